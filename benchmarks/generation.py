"""Seconds, modules and bytes of generated Verilog, beside plain Amaranth with a module per instance."""

from __future__ import annotations

import re
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # the stubs leave it out
from amaranth.hdl import Elaboratable, Module, Signal, signed
from rich.console import Console

from benchmarks.common import Figure, Goal, main, median_seconds, table
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.verify.block import emission

COMMAND = "python -m benchmarks.generation"
SIZES = (8, 16, 32, 64)
GOALS = {32: {"seconds": 5, "modules": 12, "bytes": 300_000}, 64: {"seconds": 20}}
PEER = "a plain Amaranth 0.5 array of 32 x 32 multipliers to RTLIL (Verilog not even written), measured in this run"


class PlainMac(Elaboratable):
    """One multiplier with its registers, as an ordinary submodule."""

    def __init__(self) -> None:
        self.w_in = Signal(signed(8))
        self.w_out = Signal(signed(8))
        self.load = Signal()
        self.swap = Signal()
        self.a = Signal(signed(8))
        self.p_in = Signal(signed(32))
        self.p_out = Signal(signed(32))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        active, act, product = Signal(signed(8)), Signal(signed(8)), Signal(signed(16))
        with m.If(self.load):
            m.d.sync += self.w_out.eq(self.w_in)
        with m.If(self.swap):
            m.d.sync += active.eq(self.w_out)
        m.d.sync += [act.eq(self.a), product.eq(active * act), self.p_out.eq(self.p_in + product)]
        return m


class PlainArray(Elaboratable):
    """Columns of multipliers, nothing else: no control, no accumulators, no streams."""

    def __init__(self, size: int):
        self.size = size
        self.w = Signal(8 * size)
        self.load = Signal(size)
        self.swap = Signal(size)
        self.a = Signal(8 * size)
        self.p = Signal(32 * size)

    @property
    def ports(self) -> list[Signal]:
        return [self.w, self.load, self.swap, self.a, self.p]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for column in range(self.size):
            w: Any = self.w.word_select(column, 8).as_signed()
            p: Any = 0
            for row in range(self.size):
                mac = PlainMac()
                m.submodules[f"mac_{column}_{row}"] = mac
                a = self.a.word_select(row, 8).as_signed()
                m.d.comb += [mac.w_in.eq(w), mac.p_in.eq(p), mac.a.eq(a)]
                m.d.comb += [mac.load.eq(self.load[row]), mac.swap.eq(self.swap[row])]
                w, p = mac.w_out, mac.p_out
            m.d.comb += self.p.word_select(column, 32).eq(p)
        return m


def measure(console: Console) -> list[Figure]:
    emission(CORE, DspGemmConfig(rows=2, cols=2))  # the first call loads Amaranth and its Yosys
    rows: list[tuple[object, ...]] = []
    measured: dict[tuple[str, int], dict[str, float]] = {}
    for target in ("generic", "ultrascale+"):
        for size in SIZES:
            config = DspGemmConfig(rows=size, cols=size, target=target)
            seconds = median_seconds(lambda config=config: emission(CORE, config))  # type: ignore[misc]
            made = emission(CORE, config)
            figures = {"seconds": seconds, "modules": len(made.modules), "bytes": len(made.verilog.encode())}
            measured[target, size] = figures
            rows.append((f"hwgen {target} {size} x {size}, Verilog", *figures.values()))
    plain = ""

    def build_plain() -> None:
        nonlocal plain
        plain = rtlil.convert(array := PlainArray(32), ports=array.ports, emit_src=False)

    seconds = median_seconds(build_plain)
    modules = len(re.findall(r"^module ", plain, re.MULTILINE))
    peer = {"seconds": seconds, "modules": modules, "bytes": len(plain.encode())}
    rows.append(("plain Amaranth 32 x 32, RTLIL", *peer.values()))
    console.print(table("Generation, median of 3", ("design", "seconds", "modules", "bytes"), rows))
    return [
        Figure(
            name=f"generation.{target}.{size}x{size}.{kind}",
            value=round(value, 3) if kind == "seconds" else value,
            unit=kind,
            command=COMMAND,
            goal=Goal("<=", GOALS[size][kind]) if kind in GOALS.get(size, {}) else None,
            peer=peer[kind] if size == 32 else None,
            peer_source=PEER if size == 32 else None,
        )
        for (target, size), figures in measured.items()
        for kind, value in figures.items()
    ]


if __name__ == "__main__":
    main(measure, __doc__)
