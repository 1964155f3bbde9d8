# amaranth: UnusedElaboratable=no
"""The Wishbone bridge: in front of Control as LiteX would have it, and in front of a slave that pauses and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In

from hwgen import toolchain
from hwgen.emit import Unit, place
from hwgen.errors import BadInput
from hwgen.system.control import Control
from hwgen.system.registers import ADDRESS_BITS
from hwgen.system.wishbone import WishboneBridge
from hwgen.verify.bench import CocotbBench

SIMULATORS = ["verilator", *(["icarus"] if toolchain.icarus() else [])]
INSIDE = ("irq", "start", "stop", "program_address", "program_count", "running", "done", "error")


class Bridges(Unit):
    """A bridge with Control behind it, and one with its AXI4-Lite side at the ports."""

    def __init__(self) -> None:
        self.control = Control(["dsp"], 32, 1, "0.0.0")
        self.near = WishboneBridge(ADDRESS_BITS)
        self.far = WishboneBridge(ADDRESS_BITS)
        members: dict[str, Any] = {name: self.control.signature.members[name] for name in INSIDE}
        for name, member in self.near.signature.members.items():
            if name.startswith("m_axi_"):
                members[name] = member
            else:
                members |= {f"near_{name}": member, f"far_{name}": member}
        super().__init__(members)

    @property
    def kind(self) -> str:
        return "bridges"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        place(m, "control", self.control, platform)
        place(m, "near_bridge", self.near, platform)
        place(m, "far_bridge", self.far, platform)

        def join(inner: Any, outer: Any, flow: Any) -> None:
            m.d.comb += inner.eq(outer) if flow == In else outer.eq(inner)

        for name in INSIDE:
            join(getattr(self.control, name), getattr(self, name), self.control.signature.members[name].flow)
        for name, member in self.near.signature.members.items():
            if name.startswith("m_axi_"):
                join(getattr(self.far, name), getattr(self, name), member.flow)
                other = getattr(self.control, name.replace("m_axi", "s_axi"))
                join(getattr(self.near, name), other, member.flow)
            else:
                join(getattr(self.far, name), getattr(self, f"far_{name}"), member.flow)
                join(getattr(self.near, name), getattr(self, f"near_{name}"), member.flow)
        return m


def test_bad_widths_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^address_bits must be an integer in 3\.\.64, not 2$"):
        WishboneBridge(2)


@pytest.mark.parametrize("test", ["registers", "resets", "far_side"])
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_every_request_gets_its_own_answer(
    simulator: str,
    test: str,
    build: Callable[[Unit, str, str], CocotbBench],
    run_bench: Callable[..., None],
) -> None:
    run_bench(build(Bridges(), "bridges", simulator), "wishbone_bench", test)
