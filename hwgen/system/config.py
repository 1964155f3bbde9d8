"""Configuration of a whole accelerator, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hwgen.config import CoreConfig, require_bool, require_choice, require_int
from hwgen.cores.dsp_gemm.config import TARGETS, DspGemmConfig
from hwgen.cores.lut_gemm.shape import LUT6_TARGETS, ArrayShape
from hwgen.cores.softmax.config import LONGEST, SoftmaxConfig
from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.errors import BadInput
from hwgen.parts.ram import LATENCIES, READ_LATENCY
from hwgen.parts.requantise import MODES
from hwgen.program.table import ENGINES, ROUNDING, VEC_OPS

__all__ = [
    "CODE_WORD",
    "PARAMETER_BYTES",
    "REQUANTISERS",
    "SPARSE_LANES",
    "SPARSE_WEIGHT_BITS",
    "Space",
    "SystemConfig",
]

PARAMETER_BYTES = 8
"""Bytes of a requantiser's parameters per lane: bias (4), multiplier (3), shift (1)."""

SPARSE_LANES = 16
"""Outputs of a column tile of the sparse core, and products of a block: a pattern's size."""

CODE_WORD = 16
"""Blocks whose codes a word of codes holds."""

SPARSE_WEIGHT_BITS = (2, 3, 4, 8)
"""Widths of the sparse core's weights."""

REQUANTISERS = ("nearest", "single", "ort")
"""Modes of :data:`hwgen.parts.requantise.MODES` whose multiplier has a place in those parameters."""


@dataclass(frozen=True)
class Space:
    """An on-chip buffer as programs see it.

    Parameters
    ----------
    name : str
        Of the buffer.
    words : int
        Words, over all banks.
    word_bytes : int
        Bytes per word.
    banks : int
        Equal ranges of addresses, each with one read and one write port.
    """

    name: str
    words: int
    word_bytes: int
    banks: int = 1

    @property
    def bytes(self) -> int:
        """Size."""
        return self.words * self.word_bytes

    @property
    def bank_words(self) -> int:
        """Words per bank."""
        return self.words // self.banks


@dataclass(frozen=True, kw_only=True)
class SystemConfig(CoreConfig):
    """Parameters of an accelerator.

    Parameters
    ----------
    target : str
        Of :data:`~hwgen.cores.dsp_gemm.config.TARGETS`: the DSP core's multipliers are as it says there. The LUT
        core has LUT6 instances on ``xilinx7`` and ``ultrascale+``, the sparse core DSP48E2 on ``ultrascale+``.
    lanes : int
        Elements that a word of activations holds, outputs that a word of sums holds, and edge of the DSP array: a
        power of two, 4..64.
    bus_bytes : int
        Width of the AXI data bus, a power of two, 8..64.
    address_bits : int
        Width of a DRAM byte address, 20..40.
    dsp : bool
        Whether there is a DSP core (``lanes`` × ``lanes`` INT8).
    dsp_tile : int
        Its accumulator depth: most outputs of one ``dsp.run``; a power of two, 16..4096.
    lut : bool
        Whether there is a LUT core.
    lut_units, lut_width : int
        Its Dm (units along the outputs' positions, 1..32) and Dk (bits per plane word, a power of two, 8 × lanes
        down to lanes); its Dn is ``lanes``.
    act_words, act_banks : int
        Buffer of activations: words of ``lanes`` bytes, banks. Powers of two.
    weight_words : int
        Buffer of DSP weights: words of ``lanes`` bytes.
    acc_words, acc_banks : int
        Buffer of sums: words of ``lanes`` × 32 bits, banks.
    parameter_words : int
        Buffer of requantiser parameters: words of ``lanes`` × 64 bits.
    buffer_latency : int
        Cycles from a read of those buffers to its data: 2, or 3 with a register in front of their banks, or 4 with
        one behind them too, or 5 with another in front of the choice of a bank. A run takes as many cycles more as
        there are registers; large buffers need them, because their blocks of RAM lie all over the chip. From 3 on the
        other parts have registers between them, too (see the room's README): a run takes another cycle, one of STORE
        two.
    plane_words : int
        Plane words of activations per unit of the LUT core.
    plane_weight_words : int
        Plane words of weights per output of the LUT core.
    queue_depth : int
        Instructions that an engine's queue holds, a power of two, 2..32.
    burst_beats : int
        Longest AXI burst, a power of two, 4..256.
    outstanding : int
        Most AXI bursts in flight per direction, a power of two, 2..32.
    requantiser : str
        Its arithmetic, of :data:`REQUANTISERS`: ``nearest`` rounds the exact quotient once, ties as an instruction
        says; ``single`` rounds them up; ``ort`` computes in float32 as onnxruntime does, bit by bit.
    scale_bits : int
        Width of the requantiser's multiplier, 8..24; 24 for ``ort``.
    scale_luts : bool
        Whether that multiplier is made of LUTs, two or four multiplier blocks per lane less.
    requantise_cycles : int
        Cycles in which a word is requantised, a power of two, 1..8: so many lanes share a requantiser. An output of VEC
        takes at least as many.
    softmax_words : int
        Longest row of softmax in words of sums, up to 4,096 elements; 0 for none. It needs a core that makes sums.
    softmax_bits : int
        Bits of its exponentials, 8 or 16: one or two digits of seven.
    sparse : bool
        Whether there is a core for sparse weights; it works on 16 lanes.
    sparse_rows : int
        Rows of outputs that it computes at once, a power of two, 2..16.
    sparse_ways : int
        Column tiles that it computes at once if a product has few rows, a power of two up to half of the rows.
    sparse_depth : int
        Its operand words, a power of two, 64..4096.
    sparse_narrow : bool
        Whether its weights may have 2, 3 and 4 bits beside 8.
    sparse_code_words : int
        Buffer of its codes: words of 8 bytes, 16..65,536. This and the next two are powers of two.
    sparse_value_words : int
        Buffer of its values: rows of 16 bytes for each way, 16..262,144.
    sparse_index_words : int
        Buffer of its indices: rows of 8 bytes for each way, 16..262,144.
    """

    core: ClassVar[str] = "accelerator"

    target: str = "generic"
    lanes: int = 8
    bus_bytes: int = 8
    address_bits: int = 32
    dsp: bool = True
    dsp_tile: int = 256
    lut: bool = False
    lut_units: int = 4
    lut_width: int = 64
    act_words: int = 2048
    act_banks: int = 4
    weight_words: int = 2048
    acc_words: int = 1024
    acc_banks: int = 4
    parameter_words: int = 64
    buffer_latency: int = READ_LATENCY
    plane_words: int = 1024
    plane_weight_words: int = 512
    queue_depth: int = 8
    burst_beats: int = 16
    outstanding: int = 8
    requantiser: str = "nearest"
    scale_bits: int = 24
    scale_luts: bool = False
    requantise_cycles: int = 1
    softmax_words: int = 0
    softmax_bits: int = 16
    sparse: bool = False
    sparse_rows: int = 16
    sparse_ways: int = 1
    sparse_depth: int = 512
    sparse_narrow: bool = True
    sparse_code_words: int = 512
    sparse_value_words: int = 1024
    sparse_index_words: int = 1024

    def __post_init__(self) -> None:
        for name in ("dsp", "lut", "sparse", "sparse_narrow", "scale_luts"):
            require_bool(name, getattr(self, name))
        require_choice("target", self.target, TARGETS)
        require_int("address_bits", self.address_bits, 20, 40)
        require_int("buffer_latency", self.buffer_latency, LATENCIES[0], LATENCIES[-1])
        require_int("lut_units", self.lut_units, 1, 32)
        require_choice("requantiser", self.requantiser, REQUANTISERS)
        least = max(8, MODES[self.requantiser].scale_bits[0])
        require_int("scale_bits", self.scale_bits, least, 24)
        powers = {
            "lanes": (4, 64),
            "bus_bytes": (8, 64),
            "dsp_tile": (16, 4096),
            "lut_width": (8, 512),
            "act_words": (64, 1 << 20),
            "act_banks": (1, 16),
            "weight_words": (64, 1 << 20),
            "acc_words": (64, 1 << 16),
            "acc_banks": (1, 16),
            "parameter_words": (8, 4096),
            "plane_words": (16, 1 << 16),
            "plane_weight_words": (16, 1 << 16),
            "requantise_cycles": (1, 8),
            "queue_depth": (2, 32),
            "burst_beats": (4, 256),
            "outstanding": (2, 32),
            "sparse_rows": (2, 16),
            "sparse_ways": (1, 8),
            "sparse_depth": (64, 4096),
            "sparse_code_words": (16, 1 << 16),
            "sparse_value_words": (16, 1 << 18),
            "sparse_index_words": (16, 1 << 18),
        }
        for name, (low, high) in powers.items():
            value = getattr(self, name)
            require_int(name, value, low, high)
            if value & (value - 1):
                raise BadInput(f"{name} must be a power of two, not {value}")
        if self.burst_beats * self.bus_bytes > 4096:
            raise BadInput(
                f"burst_beats × bus_bytes is {self.burst_beats * self.bus_bytes}, and an AXI burst stays within "
                f"4,096 bytes; choose burst_beats={4096 // self.bus_bytes} or less"
            )
        if self.lut and not self.lanes <= self.lut_width <= 64 * self.lanes:
            raise BadInput(
                f"lut_width must lie in {self.lanes}..{64 * self.lanes} with {self.lanes} lanes, "
                f"not {self.lut_width}"
            )
        for space in (self.act, self.acc):
            if space.bank_words * space.word_bytes < 4 * max(self.bus_bytes, space.word_bytes):
                raise BadInput(
                    f"{space.name}_banks={space.banks} leaves a bank {space.bank_words} words, which is too little; "
                    f"choose fewer banks or more {space.name}_words"
                )
        if self.requantise_cycles > self.lanes:
            raise BadInput(
                f"requantise_cycles is {self.requantise_cycles}, and there are no more than {self.lanes} lanes; "
                f"choose requantise_cycles={self.lanes} or less"
            )
        if self.sparse and self.lanes != SPARSE_LANES:
            raise BadInput(f"the sparse core works on {SPARSE_LANES} lanes, not {self.lanes}; set lanes=16")
        if self.sparse_ways > self.sparse_rows // 2:
            raise BadInput(
                f"sparse_ways must be at most {self.sparse_rows // 2}, half of sparse_rows, not {self.sparse_ways}"
            )
        self._check_softmax()

    def _check_softmax(self) -> None:
        """Refuse a softmax that lacks what it needs."""
        require_int("softmax_words", self.softmax_words, 0, LONGEST // self.lanes)
        if self.softmax_bits not in (8, 16) or isinstance(self.softmax_bits, bool):
            raise BadInput(f"softmax_bits must be 8 or 16, not {self.softmax_bits!r}")
        if self.softmax is not None:
            if not self.makes_sums:
                raise BadInput(
                    "softmax is made of sums, and there is no core that makes any; set dsp=true, lut=true or "
                    "sparse=true"
                )
            if self.requantiser != "nearest":
                raise BadInput(
                    f"softmax takes logits of 16 bits, which requantiser={self.requantiser} does not give; "
                    "set requantiser=nearest"
                )
            if self.requantise_cycles > 1:
                raise BadInput(
                    "softmax takes the logits of all lanes at once, and requantise_cycles is "
                    f"{self.requantise_cycles}; set requantise_cycles=1"
                )
            wanted = self.softmax.reciprocal_bits + 1
            if self.scale_bits < wanted:
                raise BadInput(
                    f"scale_bits must be at least {wanted} for the scales of {self.softmax_bits}-bit softmax, "
                    f"not {self.scale_bits}"
                )

    @cached_property
    def softmax(self) -> SoftmaxConfig | None:
        """Configuration of the softmax in VEC; None if there is none."""
        if not self.softmax_words:
            return None
        return SoftmaxConfig(
            variant="online_pow2", lanes=self.lanes, longest=self.softmax_words * self.lanes,
            in_bits=16, in_fraction=8, normalise="after_pv", out_bits=self.softmax_bits,
        )  # fmt: skip

    @property
    def requantisers(self) -> int:
        """Requantisers of VEC."""
        return self.lanes // self.requantise_cycles

    @property
    def roundings(self) -> tuple[str, ...]:
        """Roundings of the requantiser, by the number in an instruction; if there is one, the number is not read."""
        only = MODES[self.requantiser].rounding
        return ROUNDING if only is None else (only,) * len(ROUNDING)

    @property
    def vec_ops(self) -> tuple[str, ...]:
        """Operations that VEC has."""
        absent = {"softmax"} if self.softmax is None else set()
        absent |= set() if self.lut else {"planes"}
        absent |= set() if self.sparse else {"columns"}
        absent |= set() if self.makes_sums else {"requantise", "raw"}
        return tuple(name for name in VEC_OPS if name not in absent)

    @property
    def softmax_digits(self) -> int:
        """Digits of seven bits that make an exponential."""
        return self.softmax_bits // 8

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that are there, in the order of their numbers."""
        absent = {name for name in ("dsp", "lut", "sparse") if not getattr(self, name)}
        return tuple(name for name in ENGINES if name not in absent)

    @property
    def makes_sums(self) -> bool:
        """Whether there is a core that makes sums."""
        return self.dsp or self.lut or self.sparse

    @cached_property
    def act(self) -> Space:
        """Buffer of activations."""
        return Space("act", self.act_words, self.lanes, self.act_banks)

    @cached_property
    def acc(self) -> Space:
        """Buffer of sums."""
        return Space("acc", self.acc_words, 4 * self.lanes, self.acc_banks)

    @cached_property
    def weight(self) -> Space:
        """Buffer of DSP weights."""
        return Space("weight", self.weight_words, self.lanes)

    @cached_property
    def parameter(self) -> Space:
        """Buffer of requantiser parameters."""
        return Space("parameter", self.parameter_words, PARAMETER_BYTES * self.lanes)

    @cached_property
    def plane_weight(self) -> Space:
        """Buffer of LUT weight planes: a word has ``lanes`` × ``lut_width`` bits."""
        return Space("plane", self.plane_weight_words, self.lanes * self.lut_width // 8)

    @cached_property
    def plane_act(self) -> Space:
        """Buffer of LUT activation planes: one word of ``lut_width`` bits per unit."""
        return Space("plane_act", self.plane_words, self.lut_width // 8)

    @cached_property
    def code(self) -> Space:
        """Buffer of the patterns' codes of sparse weights."""
        return Space("code", self.sparse_code_words, 8)

    @cached_property
    def value(self) -> Space:
        """Buffer of the values of sparse weights: a slice of 16 bytes for each way."""
        return Space("value", self.sparse_value_words, 16 * self.sparse_ways)

    @cached_property
    def index(self) -> Space:
        """Buffer of the indices of sparse weights: a slice of 8 bytes for each way."""
        return Space("index", self.sparse_index_words, 8 * self.sparse_ways)

    @cached_property
    def operand(self) -> Space:
        """Operands of the sparse core, within it: an activation of each row."""
        return Space("operand", self.sparse_depth, self.sparse_rows)

    @property
    def load_targets(self) -> dict[str, Space]:
        """Destinations of ``load.run`` that are there, by name."""
        spaces = {"act": self.act, "parameter": self.parameter}
        if self.dsp:
            spaces["weight"] = self.weight
        if self.lut:
            spaces["plane"] = self.plane_weight
        if self.sparse:
            spaces |= {"code": self.code, "value": self.value, "index": self.index}
        return spaces

    @property
    def far(self) -> bool:
        """Whether registers stand between the parts, because they lie far from each other."""
        return self.buffer_latency > READ_LATENCY

    @property
    def store_latency(self) -> int:
        """Cycles from STORE's reads to their data: it takes words of the bus out of rows that lie all over the chip."""
        return self.buffer_latency + (self.buffer_latency == LATENCIES[-1])

    @cached_property
    def dsp_core(self) -> DspGemmConfig:
        """Configuration of the DSP core."""
        return DspGemmConfig(
            rows=self.lanes, cols=self.lanes, target=self.target, tile_steps=self.dsp_tile, size_bits=20
        )

    @cached_property
    def lut_array(self) -> ArrayShape:
        """Size of the LUT core's array."""
        return ArrayShape(self.lut_units, self.lut_width, self.lanes, self.target in LUT6_TARGETS)

    @cached_property
    def sparse_chain(self) -> ChainShape:
        """Size of the sparse core's chains."""
        return ChainShape(
            rows=self.sparse_rows,
            ways=self.sparse_ways,
            depth=self.sparse_depth,
            narrow=self.sparse_narrow,
            packing="a8x2",
            primitive=self.target == "ultrascale+",
            terms=self.sparse_depth,  # a sum never goes beyond the operands
        )

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of the DSP core."""
        return self.lanes * self.lanes if self.dsp else 0

    @property
    def binary_macs_per_cycle(self) -> int:
        """One-bit multiply-accumulates per cycle of the LUT core: Dm · Dk · Dn."""
        return self.lut_units * self.lut_width * self.lanes if self.lut else 0

    @property
    def sparse_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of the sparse core, of weights that have a slot."""
        return SPARSE_LANES * self.sparse_rows if self.sparse else 0

    def sparse_way_rows(self, spread: bool | int) -> int:
        """Rows of outputs that a way of the sparse core computes, and most rows of its run."""
        return self.sparse_rows // self.sparse_ways if spread else self.sparse_rows

    def sparse_least(self, spread: bool | int) -> int:
        """Cycles that a round of the sparse core takes at the least: its sums leave one by one."""
        return max(self.sparse_way_rows(spread), 4)

    def sparse_gap(self, spread: bool | int) -> int:
        """Cycles between two rounds of the sparse core, in which the other ways' sums leave."""
        return self.sparse_rows - self.sparse_way_rows(spread)

    TOKEN_BITS: ClassVar[int] = 6
    """Width of a semaphore."""
    FETCH_BEATS: ClassVar[int] = 16
    """Depth of the instruction fetch buffer, in beats; bursts are half of it."""
    RUN_FIFO: ClassVar[int] = 16
    """Runs that the load engine may be ahead with its requests."""
    STORE_FIFO: ClassVar[int] = 8
    """Beats that the store engine reads ahead."""
