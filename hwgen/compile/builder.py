"""Builds programs whose instructions wait for each other exactly where they must.

Whoever emits an instruction says which words it reads and writes; the builder knows who touched them last and adds
the tokens. Because every token points backwards in the program, what it builds cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwgen.numerics import ceil_div
from hwgen.program.encoding import Instr, instr
from hwgen.program.program import Program
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig

__all__ = ["DRAM_BLOCK", "LONGEST_LOAD", "Builder", "Region"]

LONGEST_LOAD = 1 << 20
"""Bytes that a run of LOAD moves are fewer."""

DRAM_BLOCK = 64
"""Bytes of DRAM that are tracked as one word."""

_Index = npt.NDArray[np.int64] | slice


@dataclass(frozen=True)
class Region:
    """Words of a buffer that an instruction touches.

    Parameters
    ----------
    space : str
        ``act``, ``acc``, ``weight``, ``parameter``, ``plane`` (LUT weights), ``planes`` (LUT activations, all
        units one after the other), ``code``, ``value``, ``index`` (sparse weights), ``operand`` (their activations)
        or ``dram`` (blocks).
    words : slice or int array
        Which.
    """

    space: str
    words: _Index

    @classmethod
    def span(cls, space: str, first: int, count: int) -> Region:
        """``count`` words from ``first`` on."""
        return cls(space, slice(first, first + count))

    @classmethod
    def dram(cls, address: int, size: int) -> Region:
        """``size`` bytes of DRAM from ``address`` on."""
        return cls("dram", slice(address // DRAM_BLOCK, (address + size - 1) // DRAM_BLOCK + 1))


@dataclass(slots=True)
class _Draft:
    mnemonic: str
    fields: dict[str, int | str]
    comment: str
    wait: list[str] = field(default_factory=list)
    signal: list[str] = field(default_factory=list)

    @property
    def engine(self) -> str:
        return self.mnemonic.partition(".")[0]


class _Uses:
    """Last program position at which each engine used each word of a space; -1 for never."""

    def __init__(self, words: int):
        self.last = np.full((len(ENGINES), words), -1, np.int64)

    def latest(self, words: _Index) -> npt.NDArray[np.int64]:
        return np.asarray(self.last[:, words].max(axis=1, initial=-1))

    def use(self, engine: int, words: _Index, position: int) -> None:
        self.last[engine, words] = position


class Builder:
    """A program under construction.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        sizes = {
            "act": config.act_words,
            "acc": config.acc_words,
            "weight": config.weight_words,
            "parameter": config.parameter_words,
            "plane": config.plane_weight_words,
            "planes": config.lut_units * config.plane_words,
            **{
                space.name: space.words for space in (config.code, config.value, config.index, config.operand)
            },
            "dram": 1,
        }
        self._reads = {name: _Uses(words) for name, words in sizes.items()}
        self._writes = {name: _Uses(words) for name, words in sizes.items()}
        banked = {space.name: space for space in (config.act, config.acc, config.parameter)}
        self._bank_words = {name: space.bank_words for name, space in banked.items()}
        self._bank_reads = {name: _Uses(space.banks) for name, space in banked.items()}
        self._bank_writes = {name: _Uses(space.banks) for name, space in banked.items()}
        self._drafts: list[_Draft] = []
        # What each engine's latest instruction, and each instruction, can rely on: positions known complete.
        self._known = np.full((len(ENGINES), len(ENGINES)), -1, np.int64)
        self._knew: list[npt.NDArray[np.int64]] = []
        self._settings: dict[str, dict[str, int | str]] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    def reach(self, size: int) -> None:
        """Track ``size`` bytes of DRAM; call it before the first instruction that touches them."""
        self._reads["dram"] = _Uses(size // DRAM_BLOCK + 1)
        self._writes["dram"] = _Uses(size // DRAM_BLOCK + 1)

    def set(self, mnemonic: str, **fields: int | str) -> None:
        """Set an engine's loops or strides, unless they are so already."""
        if self._settings.get(mnemonic) != fields:
            self._settings[mnemonic] = fields
            self.emit(mnemonic, settings=fields)

    def emit(
        self,
        mnemonic: str,
        *,
        reads: Sequence[Region] = (),
        writes: Sequence[Region] = (),
        after: Sequence[int] = (),
        comment: str = "",
        settings: Mapping[str, int | str] | None = None,
        **fields: int | str,
    ) -> int:
        """Append an instruction and the tokens that it needs; gives its position.

        ``after`` are positions of instructions for which it waits whatever they touch; ``settings`` are further
        fields, as a mapping.
        """
        position = len(self._drafts)
        draft = _Draft(mnemonic, {**fields, **(settings or {})}, comment)
        if draft.engine == "control":
            if mnemonic == "control.fence":  # what follows is dispatched when all before has ended
                self._known[:] = position
            self._drafts.append(draft)
            self._knew.append(np.full(len(ENGINES), -1, np.int64))
            return position
        engine = ENGINES.index(draft.engine)
        needs = np.full(len(ENGINES), -1, np.int64)
        for earlier in after:
            other = ENGINES.index(self._drafts[earlier].engine)
            needs[other] = max(needs[other], earlier)
        for region in reads:
            np.maximum(needs, self._writes[region.space].latest(region.words), out=needs)
            self._bank_needs(needs, self._bank_reads, region)
        for region in writes:
            np.maximum(needs, self._writes[region.space].latest(region.words), out=needs)
            np.maximum(needs, self._reads[region.space].latest(region.words), out=needs)
            self._bank_needs(needs, self._bank_writes, region)
        self._wait(draft, engine, needs)
        for region in reads:
            self._use(region, engine, position, self._reads, self._bank_reads)
        for region in writes:
            self._use(region, engine, position, self._writes, self._bank_writes)
        self._drafts.append(draft)
        known = self._known[engine].copy()
        known[engine] = position
        self._known[engine] = known
        self._knew.append(known)
        return position

    def load(self, address: int, size: int, buffer: str, word: int, word_bytes: int) -> None:
        """Append what loads bytes of DRAM, as they are, to a buffer from its ``word`` on."""
        cfg = self.config
        most = LONGEST_LOAD - max(cfg.bus_bytes, cfg.lanes)
        target = word * word_bytes
        for at in range(0, size, most):
            count = min(most, size - at)
            # LOAD fills up the last word of activations, and the last one of the bus.
            written = ceil_div(ceil_div(count, cfg.lanes) * cfg.lanes, cfg.bus_bytes) * cfg.bus_bytes
            words = slice((target + at) // word_bytes, ceil_div(target + at + written, word_bytes))
            self.emit(
                "load.run", address=address + at, buffer=buffer, target=target + at, run_bytes=count,
                reads=[Region.dram(address + at, count)], writes=[Region(buffer, words)],
            )  # fmt: skip

    def program(self) -> Program:
        """The program, ended with halt."""
        made: list[Instr] = [
            instr(d.mnemonic, wait=d.wait, signal=d.signal, comment=d.comment, **d.fields)
            for d in self._drafts
        ]
        return Program((*made, instr("control.halt")), self.config.digest)

    def _wait(self, draft: _Draft, engine: int, needs: npt.NDArray[np.int64]) -> None:
        """Wait for what is needed and not known, newest first: waiting for one tells of what it knew."""
        known = self._known[engine]
        for other in np.argsort(-needs).tolist():
            position = int(needs[other])
            if other == engine or position <= known[other]:
                continue
            draft.wait.append(ENGINES[other])
            self._drafts[position].signal.append(ENGINES[engine])
            np.maximum(known, self._knew[position], out=known)

    def _banks(self, region: Region) -> Iterable[int]:
        words = self._bank_words[region.space]
        if isinstance(region.words, slice):
            return range(region.words.start // words, (region.words.stop - 1) // words + 1)
        return [int(bank) for bank in np.unique(region.words // words)]

    def _bank_needs(self, needs: npt.NDArray[np.int64], uses: dict[str, _Uses], region: Region) -> None:
        """One engine at a time reads a bank, and one writes it."""
        if region.space in uses:
            for bank in self._banks(region):
                np.maximum(needs, uses[region.space].last[:, bank], out=needs)

    def _use(
        self, region: Region, engine: int, position: int, uses: dict[str, _Uses], banks: dict[str, _Uses]
    ) -> None:
        uses[region.space].use(engine, region.words, position)
        if region.space in banks:
            for bank in self._banks(region):
                banks[region.space].last[engine, bank] = position
