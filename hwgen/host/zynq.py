"""Zynq boards: what of the processing system an accelerator is joined to, and the address map that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hwgen.boards import Board, boards
from hwgen.config import require_choice
from hwgen.errors import BadInput
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ADDRESS_BITS, ERRORS, REGISTERS
from hwgen.version import VERSION

__all__ = ["CELL", "IP", "Family", "ZynqBoard", "address_map", "board", "is_zynq", "zynq_boards"]

IP, CELL = "accelerator_ip", "accelerator_0"
"""Name of the wrapper's module, and of its instance in the block design."""


@dataclass(frozen=True)
class Family:
    """A processing system.

    Parameters
    ----------
    name : str
        For people.
    processor : str
        Name of the vendor's block.
    control, data : str
        Its AXI master for registers, and its AXI slave in front of DRAM.
    clock, reset, interrupt : str
        Its pins: clock and reset (active low) for the fabric, interrupts from it.
    control_clocks, data_clocks : tuple of str
        Clock pins of both AXI ports.
    segment : str
        The DRAM behind that slave, as the vendor names it.
    base : int
        Where registers are in the processor's addresses.
    data_bits : int
        Widest data of the AXI slave.
    settings : tuple of (str, str)
        Parameters of the block; ``{mhz}`` and ``{bits}`` stand for clock and data width.
    externals : str
        Interfaces that must leave the design, for the vendor's automation; empty if there are none.
    """

    name: str
    processor: str
    control: str
    data: str
    clock: str
    reset: str
    interrupt: str
    control_clocks: tuple[str, ...]
    data_clocks: tuple[str, ...]
    segment: str
    base: int
    data_bits: int
    settings: tuple[tuple[str, str], ...]
    externals: str = ""


ZYNQ7 = Family(
    name="Zynq-7000",
    processor="processing_system7",
    control="M_AXI_GP0",
    data="S_AXI_HP0",
    clock="FCLK_CLK0",
    reset="FCLK_RESET0_N",
    interrupt="IRQ_F2P",
    control_clocks=("M_AXI_GP0_ACLK",),
    data_clocks=("S_AXI_HP0_ACLK",),
    segment="S_AXI_HP0/HP0_DDR_LOWOCM",
    base=0x4000_0000,
    data_bits=64,
    settings=(
        ("PCW_USE_M_AXI_GP0", "1"),
        ("PCW_USE_S_AXI_HP0", "1"),
        ("PCW_S_AXI_HP0_DATA_WIDTH", "{bits}"),
        ("PCW_USE_FABRIC_INTERRUPT", "1"),
        ("PCW_IRQ_F2P_INTR", "1"),
        ("PCW_EN_CLK0_PORT", "1"),
        ("PCW_FPGA0_PERIPHERAL_FREQMHZ", "{mhz}"),
    ),
    externals="FIXED_IO, DDR",
)
ULTRASCALE = Family(
    name="Zynq UltraScale+",
    processor="zynq_ultra_ps_e",
    control="M_AXI_HPM0_FPD",
    data="S_AXI_HP0_FPD",
    clock="pl_clk0",
    reset="pl_resetn0",
    interrupt="pl_ps_irq0",
    control_clocks=("maxihpm0_fpd_aclk",),
    data_clocks=("saxihp0_fpd_aclk",),
    segment="SAXIGP2/HP0_DDR_LOW",
    base=0xA000_0000,
    data_bits=128,
    settings=(
        ("PSU__USE__M_AXI_GP0", "1"),
        ("PSU__USE__M_AXI_GP1", "0"),
        ("PSU__USE__M_AXI_GP2", "0"),
        ("PSU__USE__S_AXI_GP2", "1"),
        ("PSU__SAXIGP2__DATA_WIDTH", "{bits}"),
        ("PSU__USE__IRQ0", "1"),
        ("PSU__FPGA_PL0_ENABLE", "1"),
        ("PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ", "{mhz}"),
    ),
)


_DEVICES = {"XC7Z": ZYNQ7, "XCZU": ULTRASCALE}
"""Processing systems by the beginning of a device's name."""


@dataclass(frozen=True)
class ZynqBoard:
    """A board.

    Parameters
    ----------
    name : str
        As users say it.
    part : str
        Its device.
    family : Family
        Its processing system.
    board_part : str
        Pattern of the vendor's board file, which knows its DRAM.
    constraints : mapping of str to str
        Files of constraints by name.
    """

    name: str
    part: str
    family: Family
    board_part: str
    constraints: Mapping[str, str] = field(default_factory=dict)


def is_zynq(one: Board) -> bool:
    """Whether there are processors beside a board's programmable logic."""
    return one.device.startswith(tuple(_DEVICES))


def zynq_boards() -> dict[str, Board]:
    """The boards with such processors, by name."""
    return {name: one for name, one in boards().items() if is_zynq(one)}


def board(name: str) -> ZynqBoard:
    """The board called ``name``.

    Raises
    ------
    BadInput
        If there is none.
    """
    found = zynq_boards()
    require_choice("board", name, tuple(found))
    one = found[name]
    family = next(family for start, family in _DEVICES.items() if one.device.startswith(start))
    constraints = {path.name: path.read_text(encoding="utf-8") for path in sorted(one.folder.glob("*.xdc"))}
    return ZynqBoard(name, one.option("part")[0], family, one.option("files")[0], constraints)


def address_map(config: SystemConfig, target: ZynqBoard, clock_mhz: float) -> dict[str, Any]:
    """What a driver must know of the design: where registers are, what they mean, what the accelerator reaches.

    The block design and the overlay's metadata are both written from it.

    Raises
    ------
    BadInput
        If the clock is out of range.
    """
    if not 1 <= clock_mhz <= 500:
        raise BadInput(f"the clock must lie in 1..500 MHz, not {clock_mhz:g}")
    family = target.family
    return {
        "schema": "hwgen.overlay/1",
        "version": VERSION,
        "digest": config.digest,
        "config": config.to_dict(),
        "board": target.name,
        "part": target.part,
        "clock_mhz": clock_mhz,
        "ip": {"module": IP, "cell": CELL},
        "control": {
            "interface": "s_axi",
            "master": family.control,
            "base": family.base,
            "bytes": 1 << ADDRESS_BITS,
            "data_bits": 32,
        },
        "data": {
            "interface": "m_axi",
            "slave": family.data,
            "data_bits": 8 * config.bus_bytes,
            "port_bits": min(8 * config.bus_bytes, family.data_bits),
            "address_bits": config.address_bits,
        },
        "interrupt": {"pin": family.interrupt, "index": 0},
        "engines": {name: ENGINES.index(name) for name in config.engines},
        "registers": [asdict(r) for r in REGISTERS if r.engine in ("", *config.engines)],
        "errors": [asdict(e) for e in ERRORS],
    }
