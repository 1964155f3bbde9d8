"""The vector engine's reading: one input per cycle, and what is known of it for as long as it is inside."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.emit import place
from hwgen.numerics import ceil_log2
from hwgen.parts.loops import LoopNest
from hwgen.system.vec_lane import TERM_AGES

__all__ = [
    "FROM_ACC",
    "LEAST_BITS",
    "RAW_WORDS",
    "REDUCING",
    "TURNING",
    "Ages",
    "Marks",
    "Run",
    "walk",
]

RAW_WORDS = 4
"""Words of activations that a word of sums fills."""

REDUCING = ("requantise", "sum", "max", "product", "softmax")
"""Operations whose results come out of the requantisers; those of softmax are logits."""

FROM_ACC = ("requantise", "raw", "softmax")
"""Operations that read sums; the others read activations."""

TURNING = ("transpose", "columns")
"""Operations that turn blocks: they read one where others make one output, and write it along n0."""

LEAST_BITS = 3
"""Width of the words that an output has side by side, less one: 0..7."""


@dataclass(frozen=True)
class Ages:
    """Cycles since a buffer was asked for an input, at the places that it comes to."""

    data: int  # what the buffer answers

    @property
    def x(self) -> int:
        """An activation in the register behind the buffer."""
        return self.data + 1

    @property
    def terms(self) -> dict[str, int]:
        """The term that it adds to the sum, by the buffer it comes from."""
        return {name: self.data + age for name, age in TERM_AGES.items()}

    @property
    def complete(self) -> dict[str, int]:
        """The complete reduction, if it was an output's last input."""
        return {name: age + 1 for name, age in self.terms.items()}

    @property
    def parameter(self) -> dict[str, int]:
        """The question for a parameter that the complete reduction meets: a register is behind its buffer too."""
        return {name: age - self.x for name, age in self.complete.items()}


@dataclass
class Run:
    """What the instructions say of a run; that of ``vec.run`` itself in the cycle ``begin`` only."""

    begin: Signal
    asked: dict[str, Value]  # fields of the instruction that starts
    new: dict[str, Signal]  # its operation, one signal per operation
    ops: dict[str, Signal]  # the same, kept
    from_acc: Signal  # inputs are sums, kept
    shape: dict[str, Value]
    source: dict[str, Value]
    target: dict[str, Value]


@dataclass
class Marks:
    """What is known of a cycle of the walker, by age: one signal per age, 0 first."""

    ages: Ages
    slot: list[Signal]  # the walker is under way
    finish: list[Signal]  # ... in its last cycle
    read: list[Signal]  # an input was asked for
    first: list[Signal]  # the first one of its output
    odd: list[Signal]  # its number is odd
    last: list[Signal]  # the last one of its output
    whole: list[Signal]  # ... which the lanes requantise
    row: list[Signal]  # ... which is the last one of n0
    round: list[Signal]  # ... whose parameters are the last of their kind
    final: list[Signal]  # ... which is the run's last output


def walk(m: Module, platform: Any, vec: Any, run: Run) -> Marks:
    """Ask for one input after the other; a block of inputs may have to last longer than its inputs do.

    It lasts as long as its words take to leave: the words of ``raw`` and ``planes``, and those of ``columns``, of which
    there are as many as lanes even if few are read; and as long as its outputs take to be requantised.
    """
    counts = {name: run.shape[name] for name in ("r0", "r1", "n0", "n1", "n2")}
    bits = max(len(vec.acc_address), len(vec.act_address))
    widths = tuple(min(len(run.source[name]), bits) for name in counts)
    nest = LoopNest("vec_source", bits, tuple(len(c) for c in counts.values()), widths, True)
    place(m, "source", nest, platform)
    turning = [run.new[name] for name in TURNING if name in run.new]
    counts["n0"] = Mux(Cat(turning).any(), 1, counts["n0"])
    for k, name in enumerate(counts):
        m.d.comb += [
            getattr(nest, f"count_{k}").eq(counts[name]),
            getattr(nest, f"stride_{k}").eq(run.source[name]),
        ]
    columns = run.new.get("columns", Const(0, 1))
    least_bits = ceil_log2(vec.config.lanes) if "columns" in run.new else LEAST_BITS
    least = Signal(least_bits, reset_less=True)  # cycles of a block, less one
    left = Signal(least_bits, name="block_left", reset_less=True)
    least_asked = Signal(least_bits)
    reduces = Cat(run.new[name] for name in REDUCING if name in run.new).any()
    others = Mux(reduces, vec.config.requantise_cycles - 1, 0)
    m.d.comb += least_asked.eq(
        Mux(
            run.new["raw"],
            RAW_WORDS - 1,
            Mux(run.new["planes"], run.asked["planes"] - 1, Mux(columns, vec.config.lanes - 1, others)),
        )
    )
    active = Signal()
    reading = Signal(reset_less=True)  # inputs of the block are left
    fresh = Signal(reset_less=True)  # none was read
    odd = Signal(reset_less=True)
    read = Signal()
    block_read = Signal()
    last = Signal(name="last_read")
    block_ends = Signal()
    m.d.comb += [
        read.eq(active & reading),
        block_read.eq(nest.ends[1]),
        last.eq(read & block_read),
        block_ends.eq(active & ~left.any() & (~reading | block_read)),
        nest.load.eq(run.begin),
        nest.base.eq(run.asked["source"][:bits]),
        nest.step.eq((read & ~block_read) | block_ends),
        vec.acc_en.eq(read & run.from_acc),
        vec.acc_address.eq(nest.address[: len(vec.acc_address)]),
        vec.act_en.eq(read & ~run.from_acc),
        vec.act_address.eq(nest.address[: len(vec.act_address)]),
    ]
    with m.If(read):
        m.d.sync += [fresh.eq(0), odd.eq(~odd)]
        with m.If(block_read):
            m.d.sync += reading.eq(0)
    with m.If(left.any()):
        m.d.sync += left.eq(left - 1)
    with m.If(block_ends):
        m.d.sync += [reading.eq(1), fresh.eq(1), odd.eq(0), left.eq(least)]
        with m.If(nest.ends[4]):
            m.d.sync += active.eq(0)
    with m.If(run.begin):
        m.d.sync += [active.eq(1), reading.eq(1), fresh.eq(1), odd.eq(0)]
        m.d.sync += [least.eq(least_asked), left.eq(least_asked)]
    own = Ages(vec.config.buffer_latency)
    oldest = own.complete["act"]
    reducing = Cat(run.ops[name] for name in REDUCING if name in run.ops).any()
    return Marks(
        ages=own,
        slot=ages(m, "slot", active, own.x),
        finish=ages(m, "finish", block_ends & nest.ends[4], own.x),
        read=ages(m, "read", read, own.x),
        first=ages(m, "first", fresh, own.terms["act"]),
        odd=ages(m, "odd", odd, own.x),
        last=ages(m, "last", last, own.x),
        whole=ages(m, "whole", last & reducing, oldest),
        row=ages(m, "row", nest.ends[2], oldest),
        round=ages(m, "round", nest.ends[3], oldest),
        final=ages(m, "final", nest.ends[4], oldest),
    )


def ages(m: Module, name: str, value: Value, oldest: int) -> list[Signal]:
    """``value`` as it is, and as it was 1, 2, ... ``oldest`` cycles ago; all of them are zero after a reset."""
    signals = [Signal(name=f"{name}_{age}") for age in range(oldest + 1)]
    m.d.comb += signals[0].eq(value)
    m.d.sync += [later.eq(earlier) for earlier, later in pairwise(signals)]
    return signals
