"""Physical bounds of a layer in cycles: what no schedule on a given machine can beat.

All bounds are exact integers, rounded so that they stay bounds. The roofline is that of S. Williams, A. Waterman
and D. Patterson, "Roofline: an insightful visual performance model", CACM 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isqrt, sqrt

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.workloads.layers import Hwc, Layer, gemm_view, macs, output_shape

__all__ = [
    "Rate",
    "Roofline",
    "Split",
    "Words",
    "capacity_bound",
    "capacity_estimate",
    "compulsory_bytes",
    "compulsory_words",
    "compute_bound",
    "lut_rate",
    "reuse_bound",
    "roofline",
    "split_optimum",
    "tile_bound",
    "traffic_cycles",
]

Rate = int | Fraction
"""Multiply-accumulates per cycle, or bytes per cycle; above zero."""


def _at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise BadInput(f"{name} must be at least 1, not {value}; give a positive number.")


def _positive(name: str, rate: Rate) -> None:
    if rate <= 0:
        raise BadInput(f"{name} must be above zero, not {rate}; leave out a core that is not there.")


def lut_rate(dm: int, dk: int, dn: int, *, act_bits: int, weight_bits: int) -> Fraction:
    """Multiply-accumulates per cycle of a bit-serial core of ``dm`` x ``dn`` units of ``dk`` bits.

    A product of ``act_bits`` by ``weight_bits`` takes one pass over its bits for each pair of bit planes:
    ``dm * dk * dn / (act_bits * weight_bits)``.

    Raises
    ------
    BadInput
        If a parameter is below 1.

    Notes
    -----
    Source: BISMO, Y. Umuroglu et al., FPL 2018.
    """
    _at_least_one(dm=dm, dk=dk, dn=dn, act_bits=act_bits, weight_bits=weight_bits)
    return Fraction(dm * dk * dn, act_bits * weight_bits)


def compute_bound(work: int, *rates: Rate) -> int:
    """Cycles for ``work`` multiply-accumulates on cores that share them and never wait.

    Parameters
    ----------
    work : int
        Multiply-accumulates, at least 0.
    *rates : int or Fraction
        Multiply-accumulates per cycle of each core, after packing; each above zero, at least one.

    Returns
    -------
    int
        ``ceil(work / sum(rates))``.

    Raises
    ------
    BadInput
        If there is no rate, or one is not above zero.
    """
    if not rates:
        raise BadInput(
            "rates must not be empty; give the multiply-accumulates per cycle of at least one core."
        )
    for rate in rates:
        _positive("rate", rate)
    return ceil(Fraction(work) / sum(rates))


def tile_bound(m: int, k: int, n: int, *, rows: int, cols: int, groups: int = 1) -> int:
    """Cycles of a weight-stationary array that only loses what ragged tiles leave idle.

    Parameters
    ----------
    m, k, n : int
        Product ``(m, k) @ (k, n)``, each at least 1.
    rows, cols : int
        The array keeps ``rows`` of k by ``cols`` of n and takes one row of activations per cycle.
    groups : int
        Independent products, one after the other.

    Returns
    -------
    int
        ``groups * ceil(k / rows) * ceil(n / cols) * m``: no fill, no drain, no loading of weights.

    Raises
    ------
    BadInput
        If a parameter is below 1.
    """
    _at_least_one(m=m, k=k, n=n, rows=rows, cols=cols, groups=groups)
    return groups * ceil_div(k, rows) * ceil_div(n, cols) * m


@dataclass(frozen=True, kw_only=True)
class Words:
    """How many values a layer touches at least once.

    Parameters
    ----------
    inputs, weights, outputs : int
        Values, whatever their width.
    """

    inputs: int
    weights: int
    outputs: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.inputs + self.weights + self.outputs


def compulsory_words(layer: Layer, shape: Hwc) -> Words:
    """The values a layer has to read and write once, however much memory is on the chip.

    Parameters
    ----------
    layer : Layer
        Any kind.
    shape : tuple of int
        The (h, w, c) it reads.

    Returns
    -------
    Words
        Inputs are those of the tensor, ``h * w * c``, not of its im2col form. Pixels that no window touches, as
        with a stride larger than the kernel, are not counted; nor is padding, nor the bias.

    Raises
    ------
    BadInput
        If ``shape`` does not fit the layer.
    """
    rows, columns, channels = output_shape(layer, shape)
    outputs = rows * columns * channels
    if layer.kind == "add":
        return Words(inputs=2 * outputs, weights=0, outputs=outputs)
    if layer.kind == "gemm":
        _, k, n, groups = gemm_view(layer, shape)
        return Words(inputs=shape[0] * shape[1] * shape[2], weights=k * n * groups, outputs=outputs)
    high, wide = (
        _touched(size, count, kernel, stride, before)
        for size, count, kernel, stride, before in zip(
            shape[:2], (rows, columns), layer.kernel, layer.stride, layer.pad[:2], strict=True
        )
    )
    area = layer.kernel[0] * layer.kernel[1]
    weights = area * shape[2] * channels // layer.groups if layer.kind == "conv" else 0
    return Words(inputs=high * wide * shape[2], weights=weights, outputs=outputs)


def _touched(size: int, count: int, kernel: int, stride: int, before: int) -> int:
    """Rows of ``size`` that at least one of ``count`` windows covers, ``before`` rows of padding in front."""
    windows = (start * stride - before for start in range(count))
    covered = 0
    reached = 0  # everything below is counted
    for start in windows:
        end = min(start + kernel, size)
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def compulsory_bytes(layer: Layer, shape: Hwc, *, out_bits: int | None = None) -> int:
    """The bytes that a layer moves at least: every value once, at its width, packed without gaps.

    Parameters
    ----------
    layer : Layer
        Any kind; its ``act_bits`` and ``weight_bits`` count.
    shape : tuple of int
        The (h, w, c) it reads.
    out_bits : int or None
        Width of the results; that of the activations if None.

    Returns
    -------
    int
        Bytes, rounded up once.

    Raises
    ------
    BadInput
        If ``out_bits`` is below 1, or ``shape`` does not fit the layer.
    """
    out_bits = layer.act_bits if out_bits is None else out_bits
    _at_least_one(out_bits=out_bits)
    words = compulsory_words(layer, shape)
    bits = words.inputs * layer.act_bits + words.weights * layer.weight_bits + words.outputs * out_bits
    return ceil_div(bits, 8)


def traffic_cycles(size: int, bytes_per_cycle: Rate) -> int:
    """Cycles to move ``size`` bytes at ``bytes_per_cycle``, without a single idle cycle.

    Raises
    ------
    BadInput
        If ``bytes_per_cycle`` is not above zero.
    """
    _positive("bytes_per_cycle", bytes_per_cycle)
    return ceil(Fraction(size) / bytes_per_cycle)


def capacity_bound(m: int, k: int, n: int, words: int, *, groups: int = 1) -> int:
    """Words that products move at least between slow memory and ``words`` of fast memory.

    Parameters
    ----------
    m, k, n : int
        Product ``(m, k) @ (k, n)``, each at least 1.
    words : int
        All values that fit on the chip at once, operands and sums; at least 1.
    groups : int
        Independent products of this shape.

    Returns
    -------
    int
        ``2 * groups * m * n * k / sqrt(words) - 2 * words``, or every operand once if that is more.

    Raises
    ------
    BadInput
        If a parameter is below 1.

    Notes
    -----
    Sources: J. W. Hong and H. T. Kung, "I/O complexity: the red-blue pebble game", STOC 1981, for the order of
    growth; T. M. Smith, B. Lowery, J. Langou and R. A. van de Geijn, "A tight I/O lower bound for matrix
    multiplication", arXiv 1702.02017, for the constant. In short: cut the run wherever 2S words were read. A part
    has at most 3S values of A, B and C at hand, hence makes at most ``sqrt(S * S * S)`` products (Loomis and
    Whitney), so there are ``mnk / S^1.5`` parts; the last may be short. Several products share the same limit.
    """
    _at_least_one(m=m, k=k, n=n, words=words, groups=groups)
    once = groups * (m * k + k * n + m * n)
    return max(once, reuse_bound(groups * m * n * k, words))


def reuse_bound(products: int, words: int) -> int:
    """Words that so many products of sums move at least, whichever of a matrix product's they are.

    Parameters
    ----------
    products : int
        How many are made, at least 0: those of weights that are zero are left out.
    words : int
        All values that fit on the chip at once, operands and sums; at least 1.

    Returns
    -------
    int
        ``2 * products / sqrt(words) - 2 * words``, or 0 if that is less.

    Raises
    ------
    BadInput
        If ``words`` is below 1.

    Notes
    -----
    That of :func:`capacity_bound`: Loomis and Whitney limit any set of products, not only a full one.
    """
    _at_least_one(words=words)
    return max(0, isqrt(4 * products**2 // words) - 2 * words)


def capacity_estimate(m: int, k: int, n: int, words: int, *, groups: int = 1) -> float:
    """Words that a good schedule moves, about: ``2 * m * n * k / sqrt(words)`` and every operand once.

    Unlike :func:`capacity_bound` this is an estimate: square tiles reach the first term while they hold the sums,
    and operands and results come on top at worst. Parameters and errors are the same.
    """
    _at_least_one(m=m, k=k, n=n, words=words, groups=groups)
    return groups * (2 * m * n * k / sqrt(words) + m * k + k * n + m * n)


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """The bound of a layer on a machine.

    Parameters
    ----------
    compute : int
        Cycles that the arithmetic takes at least.
    memory : int
        Cycles that the traffic takes at least.
    """

    compute: int
    memory: int

    @property
    def cycles(self) -> int:
        """The larger of the two: no run is shorter."""
        return max(self.compute, self.memory)

    @property
    def limit(self) -> str:
        """What binds: ``"compute"`` or ``"memory"``."""
        return "compute" if self.compute >= self.memory else "memory"

    def efficiency(self, cycles: int) -> float:
        """The bound over what a run took, 0..1.

        Raises
        ------
        BadInput
            If ``cycles`` is below 1.
        """
        _at_least_one(cycles=cycles)
        return self.cycles / cycles


def roofline(
    layer: Layer,
    shape: Hwc,
    *,
    macs_per_cycle: Rate,
    bytes_per_cycle: Rate,
    fast_words: int | None = None,
    out_bits: int | None = None,
) -> Roofline:
    """The bound of one layer, alone, its operands and results in slow memory.

    Parameters
    ----------
    layer : Layer
        Any kind; pools and additions compute in no time here.
    shape : tuple of int
        The (h, w, c) it reads.
    macs_per_cycle : int or Fraction
        Of all cores together, after packing; see :func:`lut_rate` for a bit-serial one.
    bytes_per_cycle : int or Fraction
        To and from slow memory together.
    fast_words : int or None
        Values on the chip at once, or None for any number. It counts for GEMMs and pointwise convolutions, where
        :func:`capacity_bound` holds, with the narrowest of the three widths for every word.
    out_bits : int or None
        Width of the results; that of the activations if None.

    Returns
    -------
    Roofline
        Compute and memory bounds in cycles.

    Raises
    ------
    BadInput
        If a rate is not above zero, or ``shape`` does not fit the layer.
    """
    size = compulsory_bytes(layer, shape, out_bits=out_bits)
    if fast_words is not None and layer.product and layer.kernel == (1, 1):
        m, k, n, groups = gemm_view(layer, shape)
        width = min(layer.act_bits, layer.weight_bits, layer.act_bits if out_bits is None else out_bits)
        moved = capacity_bound(m, k, n, fast_words, groups=groups)
        if moved > groups * (
            m * k + k * n + m * n
        ):  # otherwise it only says what compulsory_bytes says better
            size = max(size, ceil_div(moved * width, 8))
    return Roofline(
        compute=compute_bound(macs(layer, shape), macs_per_cycle),
        memory=traffic_cycles(size, bytes_per_cycle),
    )


@dataclass(frozen=True, kw_only=True)
class Split:
    """A layer shared between a DSP core and a LUT core that run at the same time.

    Parameters
    ----------
    cycles : float
        When both end.
    lut_share : float
        Share of the output channels on the LUT core, 0..1.
    """

    cycles: float
    lut_share: float


def split_optimum(dsp: float, lut: float) -> Split:
    """The best split of a layer whose time on either core is proportional to its share.

    Parameters
    ----------
    dsp, lut : float
        Cycles of the whole layer on one core alone; above zero.

    Returns
    -------
    Split
        ``1 / (1 / dsp + 1 / lut)`` cycles at a share of ``dsp / (dsp + lut)``: both end together. Channels come
        whole and tiles are ragged, so a real split ends later.

    Raises
    ------
    BadInput
        If a time is not above zero.
    """
    for name, cycles in (("dsp", dsp), ("lut", lut)):
        if not cycles > 0:
            raise BadInput(
                f"cycles of the {name} core must be above zero, not {cycles}; give the whole layer's."
            )
    return Split(cycles=dsp * lut / (dsp + lut), lut_share=dsp / (dsp + lut))
