"""From what a user calls a thing to the thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.errors import BadInput
from hwgen.registry import cores
from hwgen.system.config import SystemConfig
from hwgen.system.configs import NamedConfig, load, named

__all__ = [
    "accelerator",
    "changed",
    "is_core",
    "parse_settings",
    "resolve",
    "resolve_system",
    "supported",
    "supported_systems",
]

_Config = TypeVar("_Config", bound=CoreConfig)


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


def supported_systems() -> dict[str, NamedConfig]:
    """Supported accelerators, by name."""
    return {name: one for name, one in named().items() if one.status == "supported"}


def is_core(target: str) -> bool:
    """Whether ``target`` names a core or a configuration of one, and not an accelerator."""
    return target in cores() or target in supported()


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
        return core, changed(config, settings)
    names = ", ".join([*cores(), SystemConfig.core, *supported(), *named()])
    raise BadInput(f"there is no core or configuration {target!r}; there are {names} (see `hwgen list`)")


def resolve_system(target: str, settings: Mapping[str, str]) -> SystemConfig | None:
    """The accelerator that ``target`` names, changed by ``settings``; None if it names none.

    Accelerators are ``accelerator`` (all parameters as they are by default), the names of ``configs/``, and files in
    TOML.

    Raises
    ------
    BadInput
        If a file or a parameter is wrong.
    """
    if is_core(target):
        return None
    if target == SystemConfig.core:
        return SystemConfig.from_settings(settings)
    if target.endswith(".toml"):
        found = load(Path(target))
        if not found.plan.empty:
            raise BadInput(
                f"{target} is a protected design, which this command does not know; take one without"
            )
        return changed(found.config, settings)
    one = named().get(target)
    return None if one is None else changed(one.config, settings)


def changed(config: _Config, settings: Mapping[str, str]) -> _Config:
    """A configuration with other values of some parameters.

    Raises
    ------
    BadInput
        If a parameter is unknown, or its value is wrong.
    """
    given = type(config).from_settings(settings)  # checks names and kinds
    return replace(config, **{name: getattr(given, name) for name in settings})


def accelerator(target: str, settings: Mapping[str, str]) -> SystemConfig:
    """The same, where nothing but an accelerator will do.

    Raises
    ------
    BadInput
        If there is no such accelerator, or a file or a parameter is wrong.
    """
    found = resolve_system(target, settings)
    if found is None:
        names = ", ".join([*named(), SystemConfig.core, *cores()])
        raise BadInput(
            f"there is no accelerator or core {target!r}; there are {names}, and files that end in .toml"
        )
    return found
