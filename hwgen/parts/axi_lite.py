"""The write side of an AXI4-Lite slave with 32-bit registers."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value

__all__ = ["OKAY", "SLVERR", "register_writes"]

OKAY, SLVERR = 0b00, 0b10
"""Responses (AMBA AXI, table A3-4)."""


def register_writes(
    m: Module, owner: object, prefix: str, offsets: Mapping[str, int], word_name: str = "write_word"
) -> tuple[dict[str, Value], Value, Value]:
    """Take addresses and data, in any order, and answer; a write takes two cycles at least.

    Parameters
    ----------
    m : Module
        Gets the logic.
    owner, prefix : object, str
        Whose members ``<prefix>awaddr``, ``<prefix>wdata``, ``<prefix>bresp`` and so on are the slave's side.
    offsets : mapping of str to int
        Registers that can be written, and their byte addresses; others are answered with SLVERR.
    word_name : str
        Name of the register that holds the address.

    Returns
    -------
    dict of str to Value, Value, Value
        Whether each register is written in this cycle, with what, and which bits.
    """
    channels = {
        "aw": ("addr", "valid", "ready"),
        "w": ("data", "strb", "valid", "ready"),
        "b": ("resp", "valid", "ready"),
    }
    port: dict[str, Signal] = {
        f"{channel}{name}": getattr(owner, f"{prefix}{channel}{name}")
        for channel, names in channels.items()
        for name in names
    }
    address_free = Signal(init=1)
    data_free = Signal(init=1)
    word = Signal(len(port["awaddr"]) - 2, name=word_name, reset_less=True)
    data = Signal(32, name="write_data", reset_less=True)
    strobes = Signal(4, name="write_strobes", reset_less=True)
    response = Signal(2, name="write_response", reset_less=True)
    perform = Signal(name="write_now")
    m.d.comb += [
        port["awready"].eq(address_free),
        port["wready"].eq(data_free),
        port["bresp"].eq(response),
        perform.eq(~address_free & ~data_free & ~port["bvalid"]),
    ]
    with m.If(address_free):
        m.d.sync += [word.eq(port["awaddr"][2:]), address_free.eq(~port["awvalid"])]
    with m.Elif(perform):
        m.d.sync += address_free.eq(1)
    with m.If(data_free):
        m.d.sync += [data.eq(port["wdata"]), strobes.eq(port["wstrb"]), data_free.eq(~port["wvalid"])]
    with m.Elif(perform):
        m.d.sync += data_free.eq(1)
    written: dict[str, Value] = {}
    for name, offset in offsets.items():
        here = Signal(name=f"write_{name.lower()}")
        m.d.comb += here.eq(perform & (word == offset >> 2))
        written[name] = here
    with m.If(perform):
        m.d.sync += [port["bvalid"].eq(1), response.eq(Mux(Cat(written.values()).any(), OKAY, SLVERR))]
    with m.Elif(port["bready"]):
        m.d.sync += port["bvalid"].eq(0)
    return written, data, Cat(strobe.replicate(8) for strobe in strobes)
