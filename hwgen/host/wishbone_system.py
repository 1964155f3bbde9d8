"""The accelerator with its registers on Wishbone, as LiteX wants it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Out

from hwgen.emit import Emission, Unit, emit, place
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ADDRESS_BITS
from hwgen.system.rtl import Accelerator
from hwgen.system.wishbone import WishboneBridge
from hwgen.version import VERSION

__all__ = ["WishboneAccelerator", "wishbone_emission"]


class WishboneAccelerator(Unit):
    """An accelerator whose registers are a Wishbone slave.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.

    Members
    -------
    wb_* : In, Out
        Classic Wishbone slave, 32 bits, addresses of words; see :class:`~hwgen.system.wishbone.WishboneBridge`.
    m_axi_* : In, Out
        AXI4 master to memory.
    irq : Out(1)
        Interrupt.
    """

    def __init__(self, config: SystemConfig):
        self.accelerator = Accelerator(config)
        self.bridge = WishboneBridge(ADDRESS_BITS)
        members = {n: m for n, m in self.bridge.signature.members.items() if n.startswith("wb_")}
        outer = self.accelerator.signature.members.items()
        members |= {name: member for name, member in outer if name.startswith("m_axi_")}
        super().__init__(members | {"irq": Out(1)})

    @property
    def kind(self) -> str:
        """``wishbone_accelerator``."""
        return "wishbone_accelerator"

    def elaborate(self, platform: Any) -> Module:
        """Join accelerator and bridge."""
        m = Module()
        place(m, "accelerator", self.accelerator, platform)
        place(m, "bridge", self.bridge, platform)
        for name, member in self.signature.members.items():
            inner = self.bridge if name.startswith("wb_") else self.accelerator
            own, its = getattr(self, name), getattr(inner, name)
            m.d.comb += own.eq(its) if member.flow == Out else its.eq(own)
        for name, member in self.accelerator.signature.members.items():
            if name.startswith("s_axi_"):
                slave, master = (
                    getattr(self.accelerator, name),
                    getattr(self.bridge, name.replace("s_", "m_", 1)),
                )
                m.d.comb += master.eq(slave) if member.flow == Out else slave.eq(master)
        return m


def wishbone_emission(config: SystemConfig, top: str = "wishbone_accelerator") -> Emission:
    """Verilog of it, its facts in the first lines."""
    header = {"hwgen": VERSION, "configuration": str(config), "digest": config.digest}
    return emit(WishboneAccelerator(config), top, header)
