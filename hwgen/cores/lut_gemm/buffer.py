"""A memory of words with one port to write and one to read."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import ceil_log2

__all__ = ["WordBuffer", "block_ram"]

_BLOCK_RAM_DEPTH = 64


class WordBuffer(Unit):
    """Words of one lane; a word is read in the cycle after its address, as it was before that cycle's write.

    Parameters
    ----------
    bits, depth : int
        Width and number of words.

    Members
    -------
    enable, address, word : In
        What is stored.
    read_enable, read_address : In
        What is read.
    o : Out
        It, from a cycle later until the next one is read.
    """

    def __init__(self, bits: int, depth: int):
        self.bits = bits
        self.depth = depth
        address = ceil_log2(depth)
        super().__init__(
            {
                "enable": In(1),
                "address": In(address),
                "word": In(bits),
                "read_enable": In(1),
                "read_address": In(address),
                "o": Out(bits),
            }
        )

    @property
    def kind(self) -> str:
        """``words``, their number and width."""
        return f"words_{self.depth}x{self.bits}"

    def elaborate(self, platform: Any) -> Module:
        """Build the memory."""
        m = Module()
        memory: Memory[Any, Any] = Memory(
            shape=self.bits, depth=self.depth, init=[], attrs=block_ram(self.depth)
        )
        m.submodules.words = memory
        write = memory.write_port()
        read = memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.word),
            write.en.eq(self.enable),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.o.eq(read.data),
        ]
        return m


def block_ram(depth: int) -> dict[str, str]:
    """Memories of a block RAM's depth belong into block RAM; smaller ones are the synthesizer's choice."""
    return {"ram_style": "block"} if depth >= _BLOCK_RAM_DEPTH else {}
