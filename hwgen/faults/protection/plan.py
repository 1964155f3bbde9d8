"""What is protected, and how: blocks of a design, and the schemes of each."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from hwgen.errors import BadInput
from hwgen.faults.sites import SiteTable

__all__ = [
    "COPIES",
    "REPORTS",
    "REST",
    "TOP",
    "UNPROTECTED",
    "Checksums",
    "Choice",
    "Plan",
    "Scheme",
    "digest_of",
]

TOP = "top"
"""The block of the top module's own registers and memories; what is inside its instances is in other blocks."""
REST = "*"
"""The block of everything that no other one is about."""


class Scheme(StrEnum):
    """A way to protect a block."""

    PARITY = "parity"
    SECDED = "secded"
    RESIDUE = "residue"
    DMR = "dmr"
    TMR = "tmr"
    HARDENED = "hardened"
    ABFT = "abft"


class Checksums(StrEnum):
    """What :attr:`Scheme.ABFT` adds up: rows of results, columns, or both."""

    ROWS = "abft"
    COLUMNS = "abft:columns"
    BOTH = "abft:both"

    @property
    def rows(self) -> bool:
        """Whether rows are among it."""
        return self is not Checksums.COLUMNS

    @property
    def columns(self) -> bool:
        """Whether columns are."""
        return self is not Checksums.ROWS


COPIES = {Scheme.DMR: 2, Scheme.TMR: 3}
"""Schemes that copy logic, and how often it is there then."""

_MEMORIES = {
    Scheme.PARITY: Scheme.PARITY,
    Scheme.RESIDUE: Scheme.PARITY,
    Scheme.SECDED: Scheme.SECDED,
    Scheme.DMR: Scheme.DMR,
    Scheme.TMR: Scheme.TMR,
}
"""What memories get if nothing is said of them."""

_OF_MEMORIES = (Scheme.PARITY, Scheme.SECDED)
_PREFIX = "memories:"


@dataclass(frozen=True)
class Choice:
    """Schemes of a block.

    Parameters
    ----------
    registers : Scheme, optional
        Of its registers and what is between them: parity, SECDED, residue, DMR or TMR.
    memories : Scheme, optional
        Of its memories: parity or SECDED; or the same copies as of the registers.
    hardened : bool
        Whether its registers are marked as hardened.
    abft : Checksums, optional
        Checksums of the GEMM cores in it, of which there must be one; the block may be a core, or hold some.
    """

    registers: Scheme | None = None
    memories: Scheme | None = None
    hardened: bool = False
    abft: Checksums | None = None

    @classmethod
    def of(cls, words: Iterable[str]) -> Choice:
        """Schemes by name.

        ``secded`` beside another scheme is for memories alone; ``memories:`` and ``parity``, ``secded`` or ``none``
        says what memories get. Otherwise they get what registers do (with residues: parity). ``abft`` is for sums of
        rows, ``abft:columns`` and ``abft:both`` are for the others.

        Raises
        ------
        BadInput
            If there is no such scheme, or two exclude each other.
        """
        every = list(words)
        sums = [Checksums(word) for word in every if word in set(Checksums)]
        listed = [word for word in every if word not in set(Checksums)]
        plain = [_scheme(word) for word in listed if not word.startswith(_PREFIX)]
        own = [word.removeprefix(_PREFIX) for word in listed if word.startswith(_PREFIX)]
        registers = [s for s in plain if s not in (Scheme.SECDED, Scheme.HARDENED)]
        if len(set(sums)) > 1:
            raise BadInput(f"{' and '.join(sums)} exclude each other; abft:both is for rows and columns")
        if len(registers) > 1 or len(own) > 1 or (own and Scheme.SECDED in plain and len(plain) > 1):
            raise BadInput(
                f"the schemes {', '.join(listed)} exclude each other; give one for registers and one for memories"
            )
        one: Scheme | None = registers[0] if registers else None
        if set(plain) == {Scheme.SECDED}:
            one = Scheme.SECDED
        memories = Scheme.SECDED if Scheme.SECDED in plain else _MEMORIES[one] if one else None
        if own:
            memories = None if own[0] == "none" else _scheme(own[0])
            if memories not in (None, *_OF_MEMORIES):
                raise BadInput(f"memories alone can have parity, secded or none, not {own[0]!r}")
        return cls(one, memories, Scheme.HARDENED in plain, sums[0] if sums else None)

    @property
    def words(self) -> tuple[str, ...]:
        """Names from which :meth:`of` makes it."""
        found = [str(Scheme.HARDENED)] if self.hardened else []
        found += [str(self.abft)] if self.abft else []
        if self.registers:
            found.append(str(self.registers))
        usual = _MEMORIES[self.registers] if self.registers else None
        if self.memories is not usual:
            found.append(f"{_PREFIX}{self.memories or 'none'}")
        return tuple(found)

    @property
    def empty(self) -> bool:
        """Whether nothing is done."""
        return not (self.registers or self.memories or self.hardened or self.abft)

    @property
    def copies(self) -> int:
        """How often its logic is there."""
        return COPIES.get(self.registers, 1) if self.registers else 1


def _scheme(word: str) -> Scheme:
    try:
        return Scheme(word)
    except ValueError:
        raise BadInput(
            f"there is no protection {word!r}; there are {', '.join(Scheme)}, abft:columns, abft:both, "
            "and memories: with parity, secded or none"
        ) from None


@dataclass(frozen=True)
class Plan:
    """Blocks of a design and their schemes.

    Parameters
    ----------
    blocks : mapping of str to Choice
        By path of an instance, names joined by dots, or :data:`TOP`, or :data:`REST`. A block is all that is below
        its instance, but for what a longer path is about; a longer path without schemes leaves a part alone.
    """

    blocks: Mapping[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = [name for name in self.blocks if not name or not all(name.split("."))]
        if wrong:
            raise BadInput(f"{wrong[0]!r} is no block; give names of instances, joined by dots, or {TOP!r}")
        object.__setattr__(self, "blocks", MappingProxyType(dict(sorted(self.blocks.items()))))

    def __hash__(self) -> int:
        return hash(self.digest)

    @classmethod
    def of(cls, blocks: Mapping[str, Sequence[str]]) -> Plan:
        """A plan from names of blocks and schemes.

        Raises
        ------
        BadInput
            If a scheme does not exist, or schemes of a block exclude each other.
        """
        made = {}
        for name, words in blocks.items():
            if (
                isinstance(words, str)
                or not isinstance(words, Sequence)
                or not all(isinstance(w, str) for w in words)
            ):
                raise BadInput(f"block {name!r} needs a list of schemes, not {words!r}")
            try:
                made[name] = Choice.of(words)
            except BadInput as error:
                raise BadInput(f"block {name!r}: {error}") from None
        return cls(made)

    @classmethod
    def from_toml(cls, text: str) -> Plan:
        """A plan from TOML: a table ``blocks`` of lists.

        Raises
        ------
        BadInput
            If it is something else.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"the plan is no TOML: {error}") from error
        if set(data) - {"blocks"} or not isinstance(data.get("blocks", {}), dict):
            raise BadInput(f"a plan has one table, blocks, not {', '.join(data) or 'a value of that name'}")
        return cls.of(data.get("blocks", {}))

    def to_dict(self) -> dict[str, list[str]]:
        """Blocks and schemes by name; :meth:`of` makes the same plan from it."""
        return {name: list(choice.words) for name, choice in self.blocks.items()}

    def to_toml(self) -> str:
        """Text that :meth:`from_toml` reads."""
        lines = [f"{json.dumps(name)} = {json.dumps(words)}" for name, words in self.to_dict().items()]
        return "\n".join(["[blocks]", *lines, ""])

    @property
    def digest(self) -> str:
        """Of what is protected."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()[:16]

    @property
    def empty(self) -> bool:
        """Whether nothing is done."""
        return all(choice.empty for choice in self.blocks.values())

    def choice(self, path: tuple[str, ...]) -> Choice:
        """What an instance gets; the top module has the empty path."""
        return self.blocks.get(self.block(path), Choice())

    def block(self, path: tuple[str, ...]) -> str:
        """Name of the block that an instance is part of; :data:`REST` if there is no other."""
        names = [".".join(path[:size]) for size in range(len(path), 0, -1)] if path else [TOP]
        return next((name for name in names if name in self.blocks), REST)

    def check(self, table: SiteTable) -> None:
        """Compare with a design.

        Raises
        ------
        BadInput
            If a block holds no state there.
        """
        known = {e.path[:size] for e in table for size in range(1, len(e.path) + 1)}
        self.check_paths(known | ({()} if any(not e.path for e in table) else set()))

    def check_paths(self, known: Iterable[tuple[str, ...]]) -> None:
        """Compare with the paths of a design's instances.

        Raises
        ------
        BadInput
            If a block is none of them.
        """
        names = {".".join(path) or TOP for path in known}
        for name in self.blocks:
            if name not in names and name != REST:
                tail = name.rsplit(".", 1)[-1]
                near = (
                    sorted(n for n in names if n.rsplit(".", 1)[-1] == tail) or sorted(names, key=_depth)[:6]
                )
                raise BadInput(f"the design has no block {name!r}; it has {', '.join(near[:6]) or 'none'}")


REPORTS = {
    "fault_detected": "a fault was detected; stays set until reset",
    "fault_corrected": "a fault was corrected two cycles ago",
}
"""Ports that protected designs have beside their own, and what they mean."""

UNPROTECTED = Plan()
"""Nothing is protected."""


def digest_of(config: str, plan: Plan) -> str:
    """Digest of a configuration, given its own, with protection; without any, its own."""
    return config if plan.empty else hashlib.sha256(f"{config} {plan.digest}".encode()).hexdigest()[:16]


def _depth(name: str) -> tuple[Any, ...]:
    return name.count("."), name
