"""Words of hooks: which bits share one, and which address each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hwgen.faults.hook_edit import Bit, Editor
from hwgen.numerics import ceil_log2

__all__ = ["WORD_BITS", "Decoder", "Layout", "allocate", "pack"]

WORD_BITS = 32
_CHUNK = 4  # address bits that a six-input LUT compares, beside what comes before and the strobe


@dataclass
class Layout:
    """Words of a kind of module.

    Parameters
    ----------
    places : dict
        Word and bit of each register bit, by name and number of the bit in the Verilog.
    memories : dict
        First word of each memory.
    own : list of int
        Address of each word within the module.
    children : dict
        Address of the first word of each instance in it.
    address_bits, row_bits : int
        Widths of its addresses and rows.
    swaps : dict
        Word that exchanges two registers.
    raw : dict
        For each register that moved behind a memory, under its new name, the bits that it had.
    needs_clock : bool
        Whether it has no clock and needs one.
    """

    places: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    memories: dict[str, int] = field(default_factory=dict)
    own: list[int] = field(default_factory=list)
    children: dict[str, int] = field(default_factory=dict)
    address_bits: int = 0
    row_bits: int = 0
    swaps: dict[tuple[str, str], int] = field(default_factory=dict)
    raw: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    needs_clock: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing in it can be hooked."""
        return not self.own and not self.children


def pack(registers: Sequence[tuple[str, int, int]], first: int = 0) -> dict[tuple[str, int], tuple[int, int]]:
    """Word and bit of each bit of some registers.

    Wide registers are cut into whole words, the rest goes into the first word with room, the widest first. Bits of a
    register stay neighbours within a word.

    Parameters
    ----------
    registers : sequence of (name, number of the first bit, width)
        What to pack.
    first : int
        Number of the first word.
    """
    places: dict[tuple[str, int], tuple[int, int]] = {}
    rest = []
    word = first
    for name, low, width in sorted(registers):
        whole = width // WORD_BITS
        for i in range(whole * WORD_BITS):
            places[name, low + i] = word + i // WORD_BITS, i % WORD_BITS
        word += whole
        if width % WORD_BITS:
            rest.append((-(width % WORD_BITS), name, low + whole * WORD_BITS))
    used: list[int] = []
    for less, name, low in sorted(rest):
        width = -less
        at = next((i for i, n in enumerate(used) if n + width <= WORD_BITS), len(used))
        if at == len(used):
            used.append(0)
        for i in range(width):
            places[name, low + i] = word + at, used[at] + i
        used[at] += width
    return places


def allocate(own: int, children: Mapping[str, int]) -> tuple[int, list[int], dict[str, int]]:
    """Addresses within a module: each instance gets an aligned range, then the module's own words follow.

    Parameters
    ----------
    own : int
        Number of its own words.
    children : mapping
        Address bits of each instance.

    Returns
    -------
    int, list of int, dict
        Address bits, addresses of the module's own words, first address of each instance.
    """
    at = 0
    bases: dict[str, int] = {}
    # By falling size: then each range is aligned by itself.
    for name in sorted(children, key=lambda n: (-children[n], n)):
        bases[name] = at
        at += 1 << children[name]
    return ceil_log2(at + own), list(range(at, at + own)), bases


class Decoder:
    """Comparisons of the address with constants; what several begin with is there once.

    Parameters
    ----------
    editor : Editor
        The module.
    select : Bit
        Whether the module is meant.
    address : sequence of Bit
        Least significant first.
    """

    def __init__(self, editor: Editor, select: Bit, address: Sequence[Bit]):
        self._editor = editor
        self._address = list(address)
        self._known: dict[tuple[int, int], Bit] = {(0, 0): select}

    def begins(self, prefix: int, bits: int) -> Bit:
        """Whether the module is meant and the most significant ``bits`` of the address are ``prefix``."""
        if (prefix, bits) not in self._known:
            size = bits % _CHUNK or _CHUNK
            before = self.begins(prefix >> size, bits - size)
            low = len(self._address) - bits
            part = self._editor.is_number(self._address[low : low + size], prefix & ((1 << size) - 1))
            self._known[prefix, bits] = self._editor.all(before, part)
        return self._known[prefix, bits]

    def word(self, address: int, extra: Bit = "1") -> Bit:
        """Whether a word of this module is meant, and ``extra``."""
        bits = len(self._address)
        size = bits % _CHUNK or min(_CHUNK, bits)
        before = self.begins(address >> size, bits - size) if bits else self._known[0, 0]
        part = self._editor.is_number(self._address[:size], address & ((1 << size) - 1)) if bits else "1"
        return self._editor.all(before, extra, part)

    def range(self, base: int, address_bits: int) -> Bit:
        """Whether an aligned range of addresses is meant."""
        return self.begins(base >> address_bits, len(self._address) - address_bits)
