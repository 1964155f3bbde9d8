"""Cores by name, found through the entry-point group ``hwgen.core``."""

from __future__ import annotations

import inspect
from functools import cache
from importlib.metadata import entry_points

from hwgen.core import Core
from hwgen.errors import BadInput, HwgenError

__all__ = ["core", "cores", "register"]

_CLASS_MEMBERS = ("name", "summary", "config", "supported")


def register(candidate: object, name: str) -> Core:
    """Admit a core, if it answers every question of :class:`hwgen.core.Core`.

    Raises
    ------
    HwgenError
        If something is missing; the sentence names it.
    """
    if inspect.isclass(candidate) and issubclass(candidate, Core):
        missing = sorted(candidate.__abstractmethods__)
    elif isinstance(candidate, Core):
        missing = [member for member in _CLASS_MEMBERS if not hasattr(candidate, member)]
        if not missing and candidate.name != name:
            raise HwgenError(
                f"core {name!r} calls itself {candidate.name!r}; its entry point must use that name"
            )
        if not missing:
            return candidate
    else:
        raise HwgenError(f"core {name!r} must be an instance of hwgen.core.Core, not {candidate!r}")
    what = ", ".join(missing) if missing else "an instance (its entry point names the class)"
    raise HwgenError(f"core {name!r} does not register: it lacks {what}")


@cache
def cores() -> dict[str, Core]:
    """All registered cores by name, in alphabetical order."""
    found = sorted(entry_points(group="hwgen.core"), key=lambda e: e.name)
    return {e.name: register(e.load(), e.name) for e in found}


def core(name: str) -> Core:
    """The core called ``name``.

    Raises
    ------
    BadInput
        If there is none.
    """
    if name not in cores():
        raise BadInput(f"there is no core {name!r}; there are {', '.join(cores())} (see `hwgen list cores`)")
    return cores()[name]
