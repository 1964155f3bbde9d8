"""First pass: number, sum and sum of squares of a row's elements, beat by beat."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from hwgen.cores.norm.config import NormConfig
from hwgen.cores.norm.stages import Stages
from hwgen.emit import Unit, place
from hwgen.parts.delay import delay

__all__ = ["Sums"]


class Sums(Unit):
    """The sums of each row, exact.

    Timing: they are there ``config.sums_latency`` cycles after the take of the row's last beat, until the next beat's.

    Parameters
    ----------
    config : NormConfig
        The core.

    Members
    -------
    x : In(lanes * in_bits), keep : In(lanes)
        A beat.
    take, begins : In(1)
        The beat is taken in this cycle; it is the first one of a row.
    store : Out(lanes * (in_bits + 1))
        The beat one cycle later, zero where nothing is kept, then ``keep``.
    count, sum, squares : Out
        The sums; no ``sum`` for ``rms``.
    """

    def __init__(self, config: NormConfig):
        self.config = config
        lanes = config.lanes
        members: dict[str, Any] = {
            "x": In(lanes * config.in_bits), "keep": In(lanes), "take": In(1), "begins": In(1),
            "store": Out(lanes * (config.in_bits + 1)),
            "count": Out(config.count.bits), "squares": Out(config.squares.bits),
        }  # fmt: skip
        if config.form == "layer":
            members["sum"] = Out(signed(config.sum.bits))
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``sums``."""
        return "sums"

    def elaborate(self, platform: Any) -> Module:
        """Build squares, trees, accumulators."""
        m = Module()
        stages = Stages(m, self.config.multiplier_bits)
        bits, lanes = self.config.in_bits, self.config.lanes
        keep = stages.held("kept", Value.cast(self.keep))
        elements = []
        squares = []
        for lane in range(lanes):
            element = Signal(signed(bits), name=f"element_{lane}", reset_less=True)
            masked = self.x[lane * bits : (lane + 1) * bits] & self.keep[lane].replicate(bits)
            m.d.sync += element.eq(masked)
            elements.append(element)
            square = _Square(bits, self.config.square_table)
            place(m, f"square_{lane}", square, platform)
            m.d.comb += square.x.eq(element)
            squares.append(square.y)
        m.d.comb += self.store.eq(Cat(*elements, keep))

        age = self.config.sums_latency - 1 - self.config.link_latency
        begins = delay(m, self.begins, age)
        take = delay(m, self.take, age, reset=True)
        sums = {"squares": _tree(stages, "squares", squares)}
        sums["count"] = delay(m, _tree(stages, "count", list(keep)), 1, name="count_later")
        if self.config.form == "layer":
            sums["sum"] = delay(m, _tree(stages, "sum", elements), 1, name="sum_later")
        for name, beat in sums.items():
            port: Value = getattr(self, name)
            total = Signal(port.shape(), name=f"{name}_total", reset_less=True)
            with m.If(take):
                m.d.sync += total.eq(Mux(begins, 0, total) + beat)
            m.d.comb += port.eq(delay(m, total, self.config.link_latency, name=f"{name}_copy"))
        return m


def _tree(stages: Stages, name: str, values: list[Any]) -> Value:
    """Their sum, a level of two-input adders per cycle."""
    level = 0
    while len(values) > 1:
        level += 1
        pairs = [values[n : n + 2] for n in range(0, len(values), 2)]
        values = [
            stages.held(f"{name}_{level}_{n}", pair[0] + pair[1] if len(pair) == 2 else pair[0])
            for n, pair in enumerate(pairs)
        ]
    return Value.cast(values[0])


class _Square(Unit):
    """``y = x * x``, a cycle later."""

    def __init__(self, bits: int, tabled: bool):
        self.bits = bits
        self.tabled = tabled
        super().__init__({"x": In(signed(bits)), "y": Out(2 * bits - 1)})

    @property
    def kind(self) -> str:
        return "square"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        y = Signal(2 * self.bits - 1, name="product", reset_less=True)
        if self.tabled:
            half = 1 << (self.bits - 1)
            words = [x * x for x in (*range(half), *range(-half, 0))]
            rom: Memory[Any, Any] = Memory(shape=len(y), depth=len(words), init=words)
            m.submodules.rom = rom
            signature = ReadPort.Signature(addr_width=self.bits, shape=len(y))
            port: Any = ReadPort(signature, memory=rom, domain="comb", path=("rom",))
            m.d.comb += port.addr.eq(self.x)
            m.d.sync += y.eq(port.data)
        else:
            m.d.sync += y.eq(self.x * self.x)
        m.d.comb += self.y.eq(y)
        return m
