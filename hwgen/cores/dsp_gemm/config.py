"""Configuration of the dense GEMM core, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hwgen.config import CoreConfig, require_bool, require_choice, require_int
from hwgen.errors import BadInput
from hwgen.numerics import INT32, IntFormat, ceil_div, ceil_log2
from hwgen.parts.chain.style import Style
from hwgen.parts.packing import BLOCKS, SCHEMES, Packing, packing
from hwgen.streams import Field, Stream

__all__ = ["TARGETS", "DspGemmConfig", "Segment"]

TARGETS = ("generic", "xilinx7", "ultrascale+", "ecp5", "ice40", "nexus", "gowin")
"""Targets that the core is built for; ``generic`` leaves the multipliers to the synthesizer."""

_WIDE = {"gowin": "none"}
"""What ``auto`` takes for more than 4 bits, if not ``int8x2``: half of Gowin's multiplier is one of 9 × 9 bits."""

_RESULT_CYCLES = 4  # of a pipelined result side: the way to the buffer, its two, and the queue behind it

_LONGEST_CHAIN = 32  # one 32-deep SRL per skewed bit; longer chains only add latency
# A row's operands drive at most so many columns before they are registered again; pipelined, so many.
_COLUMNS_PER_GROUP = 8
_COLUMNS_PER_PIPELINED_GROUP = 2


@dataclass(frozen=True)
class Segment:
    """A run of rows whose partial sums travel one cascade.

    Parameters
    ----------
    first_row : int
        Row at the head.
    rows : int
        Length.
    skew : int
        Cycles by which the head's activations are delayed, so that all segments end together.
    """

    first_row: int
    rows: int
    skew: int


@dataclass(frozen=True, kw_only=True)
class DspGemmConfig(CoreConfig):
    """Parameters of the dense GEMM core.

    Parameters
    ----------
    rows : int
        Products summed per output and cycle (lanes along K), 1..64.
    cols : int
        Outputs computed per cycle, 1..64; ``rows * cols`` is the array's MACs per cycle.
    act_bits, weight_bits : int
        Operand widths, 2..8.
    act_signed, weight_signed : bool
        Two's complement operands if true, otherwise unsigned.
    target : str
        ``generic`` (inferred multipliers, one product each); with packed products ``ultrascale+`` (DSP48E2
        instances), ``xilinx7`` (DSP48E1), ``ecp5`` (MULT18X18D), ``ice40`` (SB_MAC16), ``nexus`` and ``gowin``
        (inferred).
    packing : str
        ``auto`` (the densest that is exact), ``none``, ``int8x2`` or ``int4x4``.
    tile_steps : int
        Accumulator depth: steps (cycles) of M that share one load of the weights; a power of two, 4..4096.
    size_bits : int
        Width of M, N and K in a command, 4..32, counting beyond the array's rows and columns.
    """

    core: ClassVar[str] = "dsp_gemm"

    rows: int = 16
    cols: int = 16
    act_bits: int = 8
    weight_bits: int = 8
    act_signed: bool = True
    weight_signed: bool = True
    target: str = "generic"
    packing: str = "auto"
    tile_steps: int = 256
    size_bits: int = 20

    def __post_init__(self) -> None:
        require_int("rows", self.rows, 1, 64)
        require_int("cols", self.cols, 1, 64)
        require_int("act_bits", self.act_bits, 2, 8)
        require_int("weight_bits", self.weight_bits, 2, 8)
        require_bool("act_signed", self.act_signed)
        require_bool("weight_signed", self.weight_signed)
        require_choice("packing", self.packing, ("auto", *SCHEMES))
        require_int("tile_steps", self.tile_steps, 4, 4096)
        require_int("size_bits", self.size_bits, 4, 32)
        if self.tile_steps & (self.tile_steps - 1):
            raise BadInput(f"tile_steps must be a power of two, not {self.tile_steps!r}")
        if self.target in BLOCKS and self.packing not in ("auto", "none"):
            packing(
                self.packing, self.target, self.weight, self.act
            )  # a port too narrow is the better reason
        require_choice("target", self.target, TARGETS)
        if self.target == "generic" and self.packing not in ("auto", "none"):
            raise BadInput(
                f"packing {self.packing} needs a DSP block of known port widths, which target generic "
                "does not have; choose packing=none or target=ultrascale+"
            )
        if self.packing == "int4x4" and self.cols % 2:
            raise BadInput(
                f"packing int4x4 computes two rows of C at once and needs an even cols, not {self.cols}; "
                "choose an even cols or packing=auto"
            )
        lanes = max(self.rows, self.n_lanes)
        if (1 << self.size_bits) - 1 <= lanes:
            raise BadInput(
                f"size_bits={self.size_bits} counts to {(1 << self.size_bits) - 1}, which must be more than the "
                f"array's {lanes} lanes; choose size_bits={(lanes + 1).bit_length()} or more"
            )

    @property
    def act(self) -> IntFormat:
        """Format of A."""
        return IntFormat(self.act_bits, self.act_signed)

    @property
    def weight(self) -> IntFormat:
        """Format of B."""
        return IntFormat(self.weight_bits, self.weight_signed)

    @cached_property
    def arithmetic(self) -> Packing:
        """Packing in use; the lanes of one multiplier."""
        name = self.packing
        if name == "auto" and self.target == "generic":
            name = "none"
        if name == "auto":
            narrow = max(self.act_bits, self.weight_bits) <= SCHEMES["int4x4"].operand_bits
            name = "int4x4" if narrow and self.cols % 2 == 0 else _WIDE.get(self.target, "int8x2")
        return packing(
            name, "ultrascale+" if self.target == "generic" else self.target, self.weight, self.act
        )

    @property
    def m_lanes(self) -> int:
        """Rows of C per step."""
        return self.arithmetic.scheme.act_lanes

    @property
    def n_lanes(self) -> int:
        """Columns of C per step."""
        return self.cols // self.m_lanes

    @property
    def columns(self) -> int:
        """Chains of multipliers side by side."""
        return ceil_div(self.n_lanes, self.arithmetic.scheme.weight_lanes)

    def column_lanes(self, column: int) -> int:
        """Columns of C that chain ``column`` computes: fewer in the last one if they do not divide."""
        lanes = self.arithmetic.scheme.weight_lanes
        return min(lanes, self.n_lanes - column * lanes)

    @property
    def columns_per_group(self) -> int:
        """Columns that get their operands in the same cycle."""
        return _COLUMNS_PER_PIPELINED_GROUP if self.pipelined else _COLUMNS_PER_GROUP

    @property
    def groups(self) -> int:
        """Registers that a row's operands cross on their way to the last column."""
        return ceil_div(self.columns, self.columns_per_group)

    def group(self, column: int) -> int:
        """Register stages between the array's edge and ``column``."""
        return column // self.columns_per_group

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Balanced cascades, the longer ones first: none longer than the packing can separate."""
        count = ceil_div(self.rows, min(_LONGEST_CHAIN, self.arithmetic.max_terms))
        base, longer = divmod(self.rows, count)
        sizes = [base + (i < longer) for i in range(count)]
        return tuple(Segment(sum(sizes[:i]), size, sizes[0] - size) for i, size in enumerate(sizes))

    @property
    def sum_levels(self) -> int:
        """Registered adder levels that join the segments."""
        return ceil_log2(len(self.segments))

    @property
    def style(self) -> Style:
        """How multipliers are used, and their sums."""
        return Style.of(BLOCKS.get(self.target))

    @property
    def pipelined(self) -> bool:
        """Whether control, accumulators and results have the further registers that slower fabrics need."""
        return self.style.pipelined

    ACCUMULATE_CYCLES: ClassVar[int] = 3

    @property
    def accumulate_cycles(self) -> int:
        """Cycles between reading an accumulator and the earliest read that sees what was written back."""
        return self.ACCUMULATE_CYCLES + 2 * self.pipelined

    @property
    def command_cycles(self) -> int:
        """Cycles from a command being taken to its first pass being ready."""
        return 2 if self.pipelined else 1

    @property
    def load_cycles(self) -> int:
        """Cycles from the first activations of a pass to the first weights of the next one."""
        return 2 if self.pipelined else 1

    @property
    def result_cycles(self) -> int:
        """Cycles from an entry of the result buffer being read to its being offered."""
        return _RESULT_CYCLES if self.pipelined else 1

    @property
    def result_queue(self) -> int:
        """Results that may be on their way from the buffer or wait behind it: one per cycle can leave."""
        return 8 if self.pipelined else 1

    @property
    def read_delay(self) -> int:
        """Cycles from a step's activations being taken to its accumulator being read."""
        arithmetic = self.style.mac_cycles + self.style.separate_cycles(self.arithmetic) - 1
        registers = arithmetic - (self.accumulate_cycles - 3)  # the sums arrive when what was read does
        return self.segments[0].rows + registers + self.sum_levels

    @property
    def store_delay(self) -> int:
        """Cycles from a step's activations being taken to its results being readable from the result buffer."""
        return self.read_delay + self.accumulate_cycles + self.groups - 1

    @property
    def latency(self) -> int:
        """Cycles from a step's activations being taken to its results being offered, nothing waiting."""
        return self.store_delay + self.result_cycles

    @property
    def result_depth(self) -> int:
        """Entries of the result buffer: a whole tile beside those in flight (double buffering)."""
        return 1 << ceil_log2(self.tile_steps + self.latency + 1 + self.pipelined)

    @property
    def dsps(self) -> int:
        """Multipliers: DSP blocks where the target has them."""
        return self.rows * self.columns

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Ports of the stand-alone block."""
        size = IntFormat(self.size_bits, False)
        flag = IntFormat(1, False)
        acts = self.m_lanes * self.rows
        return (
            Stream(
                "cmd",
                "in",
                (
                    Field("m", 1, size, "rows of A and C"),
                    Field("n", 1, size, "columns of B and C"),
                    Field("k", 1, size, "columns of A, rows of B"),
                    Field("accumulate", 1, flag, "add to what the last command kept; one tile only"),
                    Field("keep", 1, flag, "keep the sums in the accumulators, send nothing; one tile only"),
                ),
                "one word per GEMM",
            ),
            Stream(
                "b",
                "in",
                (Field("b", self.n_lanes, self.weight, "B[k, n..], the tile's last k first"),),
                "weights, one k of a tile per beat",
            ),
            Stream(
                "a",
                "in",
                (Field("a", acts, self.act, f"A[m + j, k + r] in lane j * {self.rows} + r"),),
                "activations, one step of a tile per beat",
            ),
            Stream(
                "c",
                "out",
                (Field("c", self.cols, INT32, f"C[m + j, n + i] in lane j * {self.n_lanes} + i"),),
                "results, one step of a tile per beat; TLAST ends a command",
                last=True,
            ),
        )
