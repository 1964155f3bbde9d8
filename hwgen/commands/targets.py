"""From what a user calls a thing to the thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.errors import BadInput
from hwgen.registry import cores

__all__ = ["parse_settings", "resolve", "supported"]


def supported() -> dict[str, tuple[Core, CoreConfig]]:
    """Supported configurations of all cores, by name."""
    return {name: (core, config) for core in cores().values() for name, config in core.supported.items()}


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """``["rows=4", ...]`` as a mapping.

    Raises
    ------
    BadInput
        If a text has no ``=``, or a name comes twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise BadInput(f"--set takes NAME=VALUE, not {pair!r}")
        if name in settings:
            raise BadInput(f"--set gives {name} twice; keep one")
        settings[name] = value
    return settings


def resolve(target: str, settings: Mapping[str, str]) -> tuple[Core, CoreConfig]:
    """Core and configuration that ``target`` names: a core, or a supported configuration, changed by ``settings``.

    Raises
    ------
    BadInput
        If there is no such thing, or a parameter is wrong.
    """
    if target in cores():
        core = cores()[target]
        return core, core.config.from_settings(settings)
    if target in supported():
        core, config = supported()[target]
        given = core.config.from_settings(settings)  # checks names and kinds
        changed = {name: getattr(given, name) for name in settings}
        return core, replace(config, **changed)
    names = ", ".join([*cores(), *supported()])
    raise BadInput(f"there is no core or configuration {target!r}; there are {names} (see `hwgen list`)")
