"""N3H-Core's latency model: a bit-serial LUT core and a DSP core that share each layer by output channels.

Source: Y. Gong, Z. Xu et al., "N3H-Core: neuron-designed neural network accelerator via FPGA-based heterogeneous
computing cores", FPGA 2022 (arXiv 2112.08193), and the latency functions of its released software
(github.com/zhihanxu/N3H-Core, ``lib/env/linear_quantize_env_ru.py``). It models no real core of this project; it
is what the project's split is compared with.

The software is followed to the cycle, so these oddities are kept:

- The LUT core's stall terms count ``regions - 3``, which is negative with fewer than three regions.
- The DSP core's loop over regions has four parts: full by full, the last rows, the last columns, and both last. The
  software adds the last three even when nothing is left over: their operand reads are then charged for no products.
- Reading weights costs a base of 32 + 8 cycles with full columns of regions, but twice 32 + 16 with the last ones and
  once 32 + 16 in the last corner. Six cycles of pipeline are charged to full regions only.
- The DSP core waits for activations only if it has no whole region of weights, which the model cannot express, so
  that term is always zero and left out here.
- The DSP core reads two 4-bit values per word in every layer but the first and last, whatever the layer's own bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import BadInput
from hwgen.explore.bounds import split_optimum
from hwgen.numerics import ceil_div
from hwgen.workloads.layers import Workload
from hwgen.workloads.shapes import gemms
from hwgen.workloads.tables import load

__all__ = [
    "CLOCK_HZ",
    "PUBLISHED",
    "RESNET18_STRATEGY",
    "LayerCycles",
    "NetworkCycles",
    "Point",
    "Precision",
    "dsp_cycles",
    "layer_cycles",
    "lut_cycles",
    "network",
]

CLOCK_HZ = 100_000_000
"""The clock that the software assumes: it multiplies cycles by 1e-5 to get milliseconds."""

Precision = tuple[int, int, float]
"""Activation bits, weight bits, and the share of output channels on the LUT core."""

_WORD = 64  # bits of a DRAM word
_FETCH = 32 + 9 + 5  # DRAM base, transition between fetches, synchronisation
_LUT_BASE = 238
_DSP_BASE = 32
_DSP_SIDE = 16  # input channels, and output channels, of the DSP array
_READ_PORTS = 2  # of the weights: cycles per tile
_OPERAND_WORDS = _DSP_SIDE * 8 // _WORD  # DRAM words for 16 operands of 8 bits


@dataclass(frozen=True, kw_only=True)
class Point:
    """A hardware point of the search; the defaults are those of the published ResNet-18 strategy.

    Parameters
    ----------
    lut_m, lut_n : int
        Rows and columns of the LUT core's dot-product units; M and N in the software. At least 1.
    lut_k : int
        Bits of each unit, a multiple of 64, so that rows are whole DRAM words; K in the software.
    lut_depth : int
        Entries of the LUT core's activation buffer; Bm in the software. At least 1.
    dsp_act_depth : int
        Entries of the DSP core's activation buffer; Lmem in the software, Dl in its model. At least 1.
    dsp_weight_depth : int
        Entries of the DSP core's weight buffer; Rmem in the software, Dr in its model. At least 1.

    Raises
    ------
    BadInput
        If a parameter is out of range.
    """

    lut_m: int = 8
    lut_n: int = 16
    lut_k: int = 128
    lut_depth: int = 1024
    dsp_act_depth: int = 2048
    dsp_weight_depth: int = 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise BadInput(f"{name} must be at least 1, not {value}; give a positive number.")
        if self.lut_k % _WORD:
            raise BadInput(f"lut_k must be a multiple of {_WORD}, not {self.lut_k}; round it up.")


PUBLISHED = Point()
"""The point of the published strategy: an 8 x 128 x 16 LUT core beside the 16 x 16 DSP core."""

RESNET18_STRATEGY: tuple[Precision, ...] = (
    (8, 8, 0.25),
    *((3, 7, 0.5),) * 4,
    (2, 3, 0.75), (2, 3, 0.88), (4, 8, 0.13), (3, 3, 0.75), (2, 3, 0.75),
    (2, 3, 0.82), (3, 3, 0.81), (4, 7, 0.06), (3, 3, 0.81), (2, 5, 0.82),
    (2, 2, 0.85), (3, 2, 0.9), (4, 6, 0.05), (3, 3, 0.85), (2, 4, 0.82),
    (8, 8, 0.3),
)  # fmt: skip
"""The README's strategy, one triple per product in the order of :func:`hwgen.workloads.resnet18_gemms`.

The software's layer list has the same order: each shortcut after the two convolutions that it bypasses, which is where
the small shares 0.13, 0.06 and 0.05 are.
"""


def _check(m: int, k: int, n: int) -> None:
    for name, value, low in (("m", m, 1), ("k", k, 1), ("n", n, 0)):
        if value < low:
            raise BadInput(f"{name} must be at least {low}, not {value}; give the size of a product.")


def lut_cycles(m: int, k: int, n: int, *, act_bits: int, weight_bits: int, point: Point = PUBLISHED) -> int:
    """Cycles of the LUT core for ``(m, k) @ (k, n)``.

    Parameters
    ----------
    m, k, n : int
        Output pixels, products per sum (each at least 1), and the output channels it gets; 0 channels take 0.
    act_bits, weight_bits : int
        Widths of the operands, 1..8.
    point : Point
        The hardware.

    Returns
    -------
    int
        Fetching both operands, plus the execution that the fetches do not hide.

    Raises
    ------
    BadInput
        If a size is out of range, or one row of activations exceeds the buffer.
    """
    _check(m, k, n)
    for name, bits in (("act_bits", act_bits), ("weight_bits", weight_bits)):
        if not 1 <= bits <= 8:
            raise BadInput(f"{name} must lie in 1..8, not {bits}; the LUT core has no other widths.")
    if n == 0:
        return 0
    tiles_m, tiles_n, tiles_k = ceil_div(m, point.lut_m), ceil_div(n, point.lut_n), ceil_div(k, point.lut_k)
    regions = point.lut_depth // (tiles_k * act_bits)
    if regions == 0:
        raise BadInput(
            f"lut_depth is {point.lut_depth}, but k = {k} at {act_bits} bits takes {tiles_k * act_bits} entries; "
            "make the buffer deeper."
        )
    rounds, last = ceil_div(tiles_m, regions), tiles_m % regions
    execute = (tiles_k + 8) * weight_bits * act_bits + 8
    words = tiles_k * point.lut_k // _WORD
    fetch_acts = _FETCH + point.lut_m * act_bits * words
    fetch_weights = _FETCH + point.lut_n * weight_bits * words

    stall = 0
    if tiles_m * tiles_n > regions + 3:
        if rounds > 1:
            stall = ((regions - 3) * (tiles_n - 1) * rounds + last) * execute
        elif last > 3:
            stall = (last - 3) * (tiles_n - 1) * execute
    if fetch_acts - 1 <= execute:
        stall += rounds * (10 + (regions - 3) * (execute - fetch_acts))
    return _LUT_BASE + fetch_acts * tiles_m + fetch_weights * rounds * tiles_n + stall


def dsp_cycles(m: int, k: int, n: int, *, wide: bool, point: Point = PUBLISHED) -> int:
    """Cycles of the DSP core, 16 input by 16 output channels, for ``(m, k) @ (k, n)``.

    Parameters
    ----------
    m, k, n : int
        Output pixels, products per sum (each at least 1), and the output channels it gets; 0 channels take 0.
    wide : bool
        One 8-bit product per DSP, as in first and last layers, instead of two 4-bit ones.
    point : Point
        The hardware; of it only ``dsp_act_depth`` and ``dsp_weight_depth`` matter.

    Returns
    -------
    int
        Products and operand reads of all regions.

    Raises
    ------
    BadInput
        If a size is out of range, or one sum's operands exceed a buffer.
    """
    _check(m, k, n)
    if n == 0:
        return 0
    tiles_k = ceil_div(k, _DSP_SIDE if wide else 2 * _DSP_SIDE)
    tiles_n = ceil_div(n, _DSP_SIDE)
    rows = point.dsp_act_depth // tiles_k
    columns = point.dsp_weight_depth // (tiles_k * _READ_PORTS)
    for name, regions in (("dsp_act_depth", rows), ("dsp_weight_depth", columns)):
        if regions == 0:
            raise BadInput(
                f"{name} is {getattr(point, name)}, too small for k = {k}, which takes {tiles_k} tiles; "
                "make the buffer deeper."
            )
    full_rows, last_rows = divmod(m, rows)
    full_columns, last_columns = divmod(tiles_n, columns)

    def products(some_rows: int, some_columns: int) -> int:
        return tiles_k * some_columns * some_rows * _READ_PORTS

    def weight_words(some_columns: int) -> int:
        return tiles_k * some_columns * _OPERAND_WORDS * (_DSP_SIDE // _READ_PORTS)

    read_acts = _DSP_BASE + 1 + tiles_k * 8 * _OPERAND_WORDS
    read_weights = _DSP_BASE + _DSP_SIDE // _READ_PORTS + weight_words(columns)
    corner_weights = _DSP_BASE + _DSP_SIDE + weight_words(last_columns)
    last_weights = corner_weights + _DSP_BASE + _DSP_SIDE
    return (
        full_rows * full_columns * (products(rows, columns) + 6 + read_weights + read_acts)
        + full_columns * (products(last_rows, columns) + read_weights + read_acts)
        + full_rows * (products(rows, last_columns) + last_weights + read_acts)
        + (products(last_rows, last_columns) + corner_weights + read_acts)
        + _DSP_BASE
    )


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """One layer in the model, cycles throughout.

    Parameters
    ----------
    name : str
        Of the layer.
    dsp, lut : int
        The whole layer on that core alone.
    dsp_part, lut_part : int
        Its part of the split layer.
    n_lut, n_dsp : int
        Output channels of the two parts.
    """

    name: str
    dsp: int
    lut: int
    dsp_part: int
    lut_part: int
    n_lut: int
    n_dsp: int

    @property
    def split(self) -> int:
        """Both parts, side by side: the longer one."""
        return max(self.dsp_part, self.lut_part)

    @property
    def better(self) -> int:
        """The whole layer on the better core."""
        return min(self.dsp, self.lut)

    @property
    def ideal(self) -> float:
        """The split bound ``1 / (1 / dsp + 1 / lut)``."""
        return split_optimum(self.dsp, self.lut).cycles


def layer_cycles(
    m: int, k: int, n: int, precision: Precision, *, wide: bool, point: Point = PUBLISHED, name: str = "layer"
) -> LayerCycles:
    """One layer on either core alone, and split by output channels.

    Parameters
    ----------
    m, k, n : int
        Product ``(m, k) @ (k, n)``, each at least 1.
    precision : Precision
        Activation and weight bits of the LUT core, and its share of the output channels, 0..1.
    wide : bool
        Whether the DSP core computes in 8 bits.
    point : Point
        The hardware.
    name : str
        For the result.

    Returns
    -------
    LayerCycles
        ``round(n * share)`` channels, half to even, are on the LUT core and the rest on the DSP core. The software
        rounds both sides on their own, which is the same unless a share falls on half a channel.

    Raises
    ------
    BadInput
        If a size, a width or the share is out of range, or a buffer is too small.
    """
    act_bits, weight_bits, share = precision
    if not 0 <= share <= 1:
        raise BadInput(f"share of layer {name!r} must lie in 0..1, not {share}; it counts output channels.")
    _check(m, k, n)
    n_lut = round(n * share)

    def lut(channels: int) -> int:
        return lut_cycles(m, k, channels, act_bits=act_bits, weight_bits=weight_bits, point=point)

    def dsp(channels: int) -> int:
        return dsp_cycles(m, k, channels, wide=wide, point=point)

    return LayerCycles(
        name=name,
        dsp=dsp(n),
        lut=lut(n),
        dsp_part=dsp(n - n_lut),
        lut_part=lut(n_lut),
        n_lut=n_lut,
        n_dsp=n - n_lut,
    )


@dataclass(frozen=True, kw_only=True)
class NetworkCycles:
    """A network in the model; layers run one after the other.

    Parameters
    ----------
    layers : tuple of LayerCycles
        In order.
    """

    layers: tuple[LayerCycles, ...]

    @property
    def dsp(self) -> int:
        """Every layer on the DSP core."""
        return sum(layer.dsp for layer in self.layers)

    @property
    def lut(self) -> int:
        """Every layer on the LUT core."""
        return sum(layer.lut for layer in self.layers)

    @property
    def split(self) -> int:
        """Every layer split."""
        return sum(layer.split for layer in self.layers)

    @property
    def better(self) -> int:
        """Every layer on its better core."""
        return sum(layer.better for layer in self.layers)

    @property
    def ideal(self) -> float:
        """The sum of the layers' split bounds."""
        return sum(layer.ideal for layer in self.layers)


def network(
    workload: Workload | None = None,
    strategy: tuple[Precision, ...] = RESNET18_STRATEGY,
    *,
    point: Point = PUBLISHED,
) -> NetworkCycles:
    """A network in the model; by default the published design point, ResNet-18.

    Parameters
    ----------
    workload : Workload or None
        Its products are the layers, the first and last of them 8-bit on the DSP core; ResNet-18 if None. The
        model has no groups: a layer of g groups counts as g products.
    strategy : tuple of Precision
        One for each product.
    point : Point
        The hardware.

    Returns
    -------
    NetworkCycles
        Every layer on either core alone, and split.

    Raises
    ------
    BadInput
        If there are more or fewer triples than products, or a layer does not fit the hardware.
    """
    shapes = [
        shape
        for shape in gemms(load("resnet18") if workload is None else workload)
        for _ in range(shape.repeat)
    ]
    if len(strategy) != len(shapes):
        raise BadInput(f"strategy has {len(strategy)} triples for {len(shapes)} products; give one for each.")
    ends = (0, len(shapes) - 1)
    return NetworkCycles(
        layers=tuple(
            layer_cycles(s.m, s.k, s.n, precision, wide=i in ends, point=point, name=s.name)
            for i, (s, precision) in enumerate(zip(shapes, strategy, strict=True))
        )
    )
