"""Whether a program is right for an accelerator, before it runs: operands, tokens, deadlock, hazards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hwgen.config import require_int
from hwgen.errors import BadInput
from hwgen.program.dataflow import Dataflow, deadlock_sentence, named
from hwgen.program.encoding import Instr
from hwgen.program.program import Program
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.access import Access, Words, overlap
from hwgen.system.config import SystemConfig
from hwgen.system.hazards import Hazard, hazards
from hwgen.system.structure import Structure, spaces

__all__ = ["PROGRAM_ALIGNMENT", "Problem", "Report", "check", "order", "problems"]

PROGRAM_ALIGNMENT = 4096
"""Programs begin at a multiple of this many bytes; the hardware has the same number."""


@dataclass(frozen=True)
class Problem:
    """Why a program is refused.

    Parameters
    ----------
    rule : {"structure", "tokens", "deadlock", "hazard"}
        What was checked.
    index : int
        The instruction, or the later one of two.
    sentence : str
        What is wrong, with the instruction and the range.
    """

    rule: str
    index: int
    sentence: str


@dataclass(frozen=True)
class Report:
    """What is known of a program that is right.

    Parameters
    ----------
    instructions : int
        How many.
    runs : dict of int
        Runs per engine.
    tokens : dict of int
        Tokens that pass from one engine to another, by (giver, taker).
    outstanding : dict of int
        Most of them that can lie there untaken at a time.
    extents : dict of (int, int)
        First address that is used, and one behind the last, by memory: words of buffers, bytes of ``dram``.
    """

    instructions: int
    runs: dict[str, int]
    tokens: dict[tuple[str, str], int]
    outstanding: dict[tuple[str, str], int]
    extents: dict[str, tuple[int, int]]


def check(
    program: Program,
    config: SystemConfig,
    *,
    dram_bytes: int | None = None,
    program_address: int | None = None,
) -> Report:
    """Refuse a program that could hang, leave its buffers, or give results that depend on timing.

    Parameters
    ----------
    program : Program
        The program.
    config : SystemConfig
        The accelerator that is to run it.
    dram_bytes : int, optional
        Bytes of DRAM, from address 0; absent: all that the configuration can address.
    program_address : int, optional
        Where the program itself lies in DRAM; absent: it is not checked whether runs touch it.

    Raises
    ------
    BadInput
        The first problem: of single instructions, then tokens, deadlock, hazards.
    """
    checker = _Checker(program, config, dram_bytes, program_address)
    for problem in checker.problems():
        raise BadInput(problem.sentence)
    return checker.report()


def problems(
    program: Program,
    config: SystemConfig,
    *,
    dram_bytes: int | None = None,
    program_address: int | None = None,
) -> list[Problem]:
    """Everything for which :func:`check` would refuse the program, in its order.

    Hazards are told only of programs that do not hang, and among runs whose operands are right.
    """
    return list(_Checker(program, config, dram_bytes, program_address).problems())


def order(program: Program, config: SystemConfig) -> list[int]:
    """All instructions in an order in which they may be carried out one by one: the program's own if possible.

    Raises
    ------
    BadInput
        If the program hangs: who waits for whom.
    """
    return Dataflow(program.instructions, config.queue_depth).order()


class _Checker:
    """One program on one accelerator; parameters as of :func:`check`."""

    def __init__(
        self, program: Program, config: SystemConfig, dram_bytes: int | None, program_address: int | None
    ):
        whole = 1 << config.address_bits
        if dram_bytes is not None:
            require_int("dram_bytes", dram_bytes, 1, whole)
        if program_address is not None:
            require_int("program_address", program_address, 0, whole - 1)
            if program_address % PROGRAM_ALIGNMENT:
                raise BadInput(
                    f"program_address must be a multiple of {PROGRAM_ALIGNMENT}, not {program_address:#x}"
                )
        self.program = program
        self.instructions: Sequence[Instr] = program.instructions
        self.config = config
        self.dram_bytes = whole if dram_bytes is None else dram_bytes
        self.program_address = program_address

    @cached_property
    def flow(self) -> Dataflow:
        """Who waits for whom."""
        return Dataflow(self.instructions, self.config.queue_depth)

    @cached_property
    def structure(self) -> Structure:
        """Single instructions."""
        return Structure(self.instructions, self.config, self.dram_bytes)

    def problems(self) -> Iterator[Problem]:
        """All of them, the cheap ones first."""
        yield from self._whole()
        for index, text in self.structure.problems:
            yield Problem("structure", index, f"{named(self.instructions, index)}: {text}")
        yield from self._tokens()
        if self.flow.hangs:
            waiting = self.flow.deadlock()
            yield Problem("deadlock", waiting[0][1], deadlock_sentence(None, waiting))
            return
        if not self.flow.unmatched():
            yield from self._overflows()
        yield from self._program_bytes()
        for hazard in hazards(self.flow, self.structure.accesses, spaces(self.config)):
            yield Problem("hazard", hazard.second, self._hazard_sentence(hazard))

    def report(self) -> Report:
        """What is known of a program without problems."""
        runs: dict[str, int] = {}
        extents: dict[str, tuple[int, int]] = {}
        for index, found in self.structure.accesses.items():
            engine = self.instructions[index].engine
            runs[engine] = runs.get(engine, 0) + 1
            for access in found:
                low, high = access.where.low, access.where.high
                old_low, old_high = extents.get(access.space, (low, high))
                extents[access.space] = min(low, old_low), max(high, old_high)
        return Report(
            len(self.instructions),
            runs,
            {pair: len(given) for pair, given in self.flow.signals.items()},
            {pair: most for pair, (most, _) in self.flow.outstanding().items()},
            extents,
        )

    def _whole(self) -> Iterator[Problem]:
        """The end of the program, and its place in DRAM."""
        last = max(0, len(self.instructions) - 1)
        try:
            self.program.validate()
        except BadInput as error:
            halts = (i for i, one in enumerate(self.instructions) if one.mnemonic == "control.halt")
            yield Problem("structure", next(halts, last), str(error))
        if self.program_address is not None:
            end = self.program_address + INSTRUCTION_BYTES * len(self.instructions)
            if end > self.dram_bytes:
                text = (
                    f"the program's {len(self.instructions)} instructions lie at "
                    f"{self.program_address:#x}..{end - 1:#x} of DRAM, which ends at {self.dram_bytes - 1:#x}"
                )
                yield Problem("structure", last, text)

    def _tokens(self) -> Iterator[Problem]:
        """Engines that are not there; tokens that nobody takes, or gives."""
        for index, one in enumerate(self.instructions):
            for verb, names in (("waits for", one.wait), ("signals", one.signal)):
                for name in names:
                    if name not in self.config.engines:
                        text = f"it {verb} {name}, and this accelerator has no such engine"
                        yield Problem("tokens", index, f"{named(self.instructions, index)}: {text}")
        for uneven in self.flow.unmatched():
            # What absent engines are given or asked for was told above.
            if not {uneven.giver, uneven.taker} <= {*self.config.engines}:
                continue
            if uneven.given > uneven.taken:
                text = f"nobody takes the token that {uneven.giver} gives to {uneven.taker}"
            else:
                text = f"nobody gives the token that {uneven.taker} takes from {uneven.giver}"
            text = f"{text}; the program gives {uneven.given} of them and takes {uneven.taken}"
            yield Problem("tokens", uneven.index, f"{named(self.instructions, uneven.index)}: {text}")

    def _overflows(self) -> Iterator[Problem]:
        """Counters that can come to hold more than they can count."""
        limit = (1 << self.config.TOKEN_BITS) - 1
        found = ((index, most, *pair) for pair, (most, index) in self.flow.outstanding().items())
        for index, most, giver, taker in sorted(found):
            if most > limit:
                text = (
                    f"after it {most} tokens from {giver} to {taker} can lie untaken, and a counter holds {limit}; "
                    f"let {giver} wait for {taker} before"
                )
                yield Problem("tokens", index, f"{named(self.instructions, index)}: {text}")

    def _program_bytes(self) -> Iterator[Problem]:
        """Runs that touch the program itself."""
        if self.program_address is None:
            return
        size = INSTRUCTION_BYTES * len(self.instructions)
        own = Words(self.program_address, ((size, 1),))
        for index, found in self.structure.accesses.items():
            for access in found:
                common = overlap(access.where, own) if access.space == "dram" else None
                if common:
                    text = f"it {_does(access)} {_range('dram', *common)}, where the program itself lies"
                    yield Problem("hazard", index, f"{named(self.instructions, index)}: {text}")

    def _hazard_sentence(self, hazard: Hazard) -> str:
        """Both instructions, both engines, the range, and what to do."""
        one, other = (self.instructions[i].engine for i in (hazard.first, hazard.second))
        first = named(self.instructions, hazard.first)
        where = _range(hazard.space, hazard.low, hazard.high)
        old, new = ("write" if write else "read" for write in hazard.writes)
        if hazard.bank is None:
            text = f"it {new}s {where} while {one} may {old} the same for {first}; let one wait for the other"
        else:
            port = "write" if hazard.writes[0] else "read"
            text = (
                f"it {new}s in bank {hazard.bank} of {hazard.space} (words {hazard.low}..{hazard.high - 1}) while "
                f"{one} may {old} there for {first}, and a bank has one {port} port; let {other} wait for {one}, "
                "or use another bank"
            )
        return f"{named(self.instructions, hazard.second)}: {text}"


def _does(access: Access) -> str:
    return "writes" if access.write else "reads"


def _range(space: str, low: int, high: int) -> str:
    """Addresses of a memory as text."""
    if space == "dram":
        return f"bytes {low:#x}..{high - 1:#x} of DRAM"
    return f"words {low}..{high - 1} of {space}"
