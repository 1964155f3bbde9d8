"""Addresses of nested loops, one per step, without a multiplier."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit

__all__ = ["LoopNest"]


class LoopNest(Unit):
    """Walks ``for i_n: ... for i_0: base + Σ i_k · stride_k``, innermost loop first.

    ``load`` takes base, counts and strides; from the next cycle ``address`` is the first one, and ``step`` moves to
    the next. ``ends[k]`` says that loops 0..k are in their last round. Strides are two's complement, addresses
    wrap.

    Parameters
    ----------
    name : str
        What distinguishes the module.
    address_bits : int
        Width of an address.
    counts : sequence of int
        Width of each loop's count.
    strides : sequence of int or None
        Width of each loop's stride; None where the loop does not move the address. Bit -1 is the sign.
    signed : bool
        Whether strides are two's complement.
    """

    def __init__(
        self,
        name: str,
        address_bits: int,
        counts: tuple[int, ...],
        strides: tuple[int | None, ...],
        signed: bool = False,
    ):
        self.name = name
        self.address_bits = address_bits
        self.counts = counts
        self.strides = strides
        self.signed = signed
        members: dict[str, Any] = {
            "load": In(1),
            "step": In(1),
            "base": In(address_bits),
            "address": Out(address_bits),
            "ends": Out(len(counts)),
        }
        for i, (count, stride) in enumerate(zip(counts, strides, strict=True)):
            members[f"count_{i}"] = In(count)
            if stride is not None:
                members[f"stride_{i}"] = In(stride)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``loops`` and the name."""
        return f"loops_{self.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the counters and the partial addresses."""
        m = Module()
        n = len(self.counts)
        left = [Signal(width, name=f"left_{i}", reset_less=True) for i, width in enumerate(self.counts)]
        counts = [Signal(width, name=f"total_{i}", reset_less=True) for i, width in enumerate(self.counts)]
        starts = [Signal(self.address_bits, name=f"start_{i}", reset_less=True) for i in range(n)]
        # Whether a loop is in its last round, and whether its first one is: known before the counters are asked.
        last = [Signal(name=f"last_{i}", reset_less=True) for i in range(n)]
        single = [Signal(name=f"single_{i}", reset_less=True) for i in range(n)]
        ended: list[Value] = []  # loops 0..i are all in their last round
        for i in range(n):
            ended.append(last[i] if i == 0 else ended[i - 1] & last[i])
        # Address at which the next round of each loop begins.
        nexts: list[Value] = []
        for i, width in enumerate(self.strides):
            if width is None:
                nexts.append(starts[i])
                continue
            stride = Signal(width, name=f"step_{i}", reset_less=True)
            given: Value = getattr(self, f"stride_{i}")
            with m.If(self.load):
                m.d.sync += stride.eq(given)
            moved: Value = stride.as_signed() if self.signed else stride
            total = starts[i] + moved
            nexts.append(total[: self.address_bits])
        # The innermost loop that goes on decides where all loops inside it start again.
        chosen: Value = Const(0, self.address_bits)
        for i in reversed(range(n)):
            chosen = Mux(last[i], chosen, nexts[i]) if i < n - 1 else nexts[i]
        target = Signal(self.address_bits)
        m.d.comb += [target.eq(chosen), self.address.eq(starts[0])]
        for i in range(n):
            m.d.comb += self.ends[i].eq(ended[i])
            inner_ended = ended[i - 1] if i else Const(1, 1)
            with m.If(self.step), m.If(inner_ended):
                m.d.sync += left[i].eq(Mux(last[i], counts[i], left[i] - 1))
                m.d.sync += last[i].eq(Mux(last[i], single[i], left[i] == 2))
                m.d.sync += starts[i].eq(target)
            with m.If(self.load):
                m.d.sync += [
                    left[i].eq(getattr(self, f"count_{i}")),
                    counts[i].eq(getattr(self, f"count_{i}")),
                    Cat(last[i], single[i]).eq((getattr(self, f"count_{i}") == 1).replicate(2)),
                    starts[i].eq(self.base),
                ]
        return m
