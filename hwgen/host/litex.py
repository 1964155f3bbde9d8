"""An accelerator in a LiteX SoC. LiteX is needed to import this; ``hwgen.host`` does without.

    from hwgen.host.litex import add_accelerator
    add_accelerator(soc, config, "build/accelerator")

gives the SoC a region of registers (Wishbone), a bus master to memory, and an interrupt.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from hwgen.errors import MissingTool
from hwgen.files import write_all
from hwgen.host.wishbone_system import wishbone_emission
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ADDRESS_BITS

__all__ = ["AcceleratorModule", "add_accelerator"]


def _module(name: str) -> Any:
    """A module of LiteX or Migen, which have no types."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingTool(f"a LiteX SoC needs LiteX ({error}): pip install litex migen") from None


_migen = _module("migen")
_LiteXModule: Any = _module("litex.gen").LiteXModule
_axi = _module("litex.soc.interconnect.axi")
_wishbone = _module("litex.soc.interconnect.wishbone")
_events = _module("litex.soc.interconnect.csr_eventmanager")
_soc = _module("litex.soc.integration.soc")

_SIZE = 1 << ADDRESS_BITS
_TOP = "wishbone_accelerator"


class AcceleratorModule(_LiteXModule):  # type: ignore[misc]  # LiteX has no types
    """The Verilog as a module of LiteX.

    Parameters
    ----------
    platform : object
        LiteX's platform, which gets the source.
    config : SystemConfig
        The accelerator.
    folder : path
        Where its Verilog is written.

    Attributes
    ----------
    bus : wishbone.Interface
        Registers.
    memory : axi.AXIInterface
        To memory: INCR bursts of full width, in order.
    ev : EventManager
        The interrupt, a level: software clears it in the accelerator's register IRQ_STATUS.
    """

    def __init__(self, platform: Any, config: SystemConfig, folder: Path | str):
        made = wishbone_emission(config, _TOP)
        (path,) = write_all(Path(folder), {f"{_TOP}.v": made.verilog})
        platform.add_source(str(path))
        self.config = config
        self.bus = bus = _wishbone.Interface(data_width=32, adr_width=30, addressing="word")
        self.memory = axi = _axi.AXIInterface(
            data_width=8 * config.bus_bytes, address_width=config.address_bits, id_width=1
        )
        self.irq = _migen.Signal()
        self.ev = _events.EventManager()
        self.ev.done = _events.EventSourceLevel(description="A program ended, or failed.")
        self.ev.finalize()
        self.comb += [self.ev.done.trigger.eq(self.irq), axi.aw.id.eq(0), axi.ar.id.eq(0)]

        pins: dict[str, Any] = {
            "i_clk": _migen.ClockSignal(), "i_rst": _migen.ResetSignal(), "o_irq": self.irq,
            "i_wb_adr": bus.adr[: ADDRESS_BITS - 2], "i_wb_dat_w": bus.dat_w, "o_wb_dat_r": bus.dat_r,
            "i_wb_sel": bus.sel, "i_wb_cyc": bus.cyc, "i_wb_stb": bus.stb, "i_wb_we": bus.we,
            "o_wb_ack": bus.ack, "o_wb_err": bus.err,
        }  # fmt: skip
        for port in made.ports:
            if port.name.startswith("m_axi_"):
                channel, signal = next(
                    (c, port.name[len("m_axi_") + len(c) :])
                    for c in ("aw", "ar", "w", "b", "r")
                    if port.name.startswith(f"m_axi_{c}")
                )
                letter = "i" if port.direction == "input" else "o"
                pins[f"{letter}_{port.name}"] = getattr(getattr(axi, channel), signal)
        self.specials += _migen.Instance(_TOP, **pins)


def add_accelerator(
    soc: Any,
    config: SystemConfig,
    folder: Path | str,
    *,
    name: str = "accelerator",
    origin: int | None = None,
) -> AcceleratorModule:
    """Give an SoC an accelerator.

    Parameters
    ----------
    soc : SoC
        LiteX's; its ``dma_bus`` is used for memory if it has one, else its bus.
    config : SystemConfig
        The accelerator.
    folder : path
        Where its Verilog is written.
    name : str
        Of module, region and interrupt.
    origin : int, optional
        Where its registers are; the SoC chooses if absent.
    """
    made = AcceleratorModule(soc.platform, config, folder)
    soc.add_module(name, made)
    region = _soc.SoCRegion(origin=origin, size=_SIZE, cached=False)
    soc.bus.add_slave(name=name, slave=made.bus, region=region)
    # Bursts become beats here; whoever has LiteDRAM can give `memory` a port of its own instead.
    bus = _wishbone.Interface(
        data_width=made.memory.data_width, address_width=config.address_bits, addressing="word"
    )
    soc.submodules += _axi.AXI2Wishbone(made.memory, bus, base_address=0)
    masters = getattr(soc, "dma_bus", soc.bus)
    masters.add_master(name=f"{name}_memory", master=bus)
    if getattr(soc, "irq", None) is not None and soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    return made
