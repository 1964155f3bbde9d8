"""A design cut into blocks that are protected apart: instances, each with all in it that no other block is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwgen.errors import BadInput
from hwgen.faults.protection.plan import TOP, Plan
from hwgen.faults.sites import Kind, SiteTable

__all__ = ["MOST", "Blocks", "cut"]

MOST = 40
"""Blocks of a design, unless somebody asks for another number."""

_SMALL = 0.04  # of all flip-flops: a block that is not cut
_BESIDE = ("_copy", "_third", "_abft")  # what protection puts beside an instance

Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """Blocks that cover a design.

    Parameters
    ----------
    paths : tuple of tuple of str
        Paths of instances; the top module's own is empty. A block is what is below its instance, but for other blocks.
    """

    paths: tuple[Path_, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """As a plan has them."""
        return tuple(".".join(path) or TOP for path in self.paths)

    def of(self, path: Path_) -> str:
        """The block of an instance, also of one that protection put beside another."""
        plain: list[str] = []
        for name in path:
            stem = name.rstrip("_")
            own = next((stem.removesuffix(end) for end in _BESIDE if stem.endswith(end)), name)
            if own == "own" and own != name:  # a copy of the logic of the module itself
                break
            plain.append(own)
        for size in range(len(plain), -1, -1):
            if tuple(plain[:size]) in self.paths:
                return ".".join(plain[:size]) or TOP
        raise BadInput(f"{'.'.join(path) or TOP} is in no block; give blocks that cover the design")

    def inner(self, name: str) -> tuple[str, ...]:
        """Blocks that lie directly or deeper in the instance of a block."""
        own = () if name == TOP else tuple(name.split("."))
        return tuple(
            ".".join(path) for path in self.paths if path[: len(own)] == own and len(path) > len(own)
        )

    def plan(self, choice: Mapping[str, Sequence[str]]) -> Plan:
        """The plan that gives blocks schemes; blocks that are not named get none, whatever is around them."""
        return Plan.of({name: list(choice.get(name, ())) for name in self.names})


def cut(table: SiteTable, most: int = MOST, whole: Collection[Path_] = ()) -> Blocks:
    """Cut a design: the largest block is cut into its own state and its instances, until all are small or many.

    Parameters
    ----------
    table : SiteTable
        Of the design.
    most : int
        Blocks, at most, but not fewer than the outermost instances.
    whole : collection of tuple of str
        Paths of instances that are not cut.

    Raises
    ------
    BadInput
        If less than one block is asked for.
    """
    if most < 1:
        raise BadInput(f"a design cannot be cut into {most} blocks; give at least 1")
    sizes: Counter[Path_] = Counter()
    inner: dict[Path_, set[Path_]] = {}
    own: set[Path_] = set()
    for e in table:
        own.add(e.path)
        for size in range(len(e.path) + 1):
            sizes[e.path[:size]] += e.width if e.kind is Kind.FLIP_FLOP else 0
            if size < len(e.path):
                inner.setdefault(e.path[:size], set()).add(e.path[: size + 1])
    all_bits = sizes[()]
    found = _parts((), inner, own)
    while True:
        done = {p for p in found if any(len(q) > len(p) and q[: len(p)] == p for q in found)}
        large = [
            p
            for p in found
            if p in inner and p not in done and p not in whole and sizes[p] > _SMALL * all_bits
        ]
        large.sort(key=lambda p: (-sizes[p], p))
        for path in large:
            parts = _parts(path, inner, own)
            if len(found) - 1 + len(parts) <= most:
                found = [p for p in found if p != path] + parts
                break
        else:
            return Blocks(tuple(sorted(found)))


def _parts(path: Path_, inner: Mapping[Path_, Iterable[Path_]], own: set[Path_]) -> list[Path_]:
    return [*([path] if path in own else []), *sorted(inner.get(path, ()))]
