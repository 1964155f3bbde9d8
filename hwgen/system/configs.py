"""Named accelerators: files in TOML, with a status that says how much they were tested."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hwgen.errors import BadInput
from hwgen.faults.protection.plan import Plan
from hwgen.system.config import SystemConfig

__all__ = ["FOLDER", "STATUSES", "NamedConfig", "load", "named", "plan_of", "read"]

FOLDER = Path(__file__).parents[2] / "configs"
"""Where the named accelerators are; absent if hwgen was installed without its repository."""

STATUSES = ("supported", "experimental")
"""Supported: its Verilog is committed, and the tests check it. Experimental: it is legal, and it was generated."""

_KEYS = ("summary", "status", "parameters")
_MORE = ("core", "protection")


@dataclass(frozen=True)
class NamedConfig:
    """An accelerator with a name.

    Parameters
    ----------
    name : str
        The file's name without its suffix.
    summary : str
        One line.
    status : str
        Of :data:`STATUSES`.
    config : SystemConfig
        The accelerator.
    plan : Plan
        What of it is protected, and how.
    """

    name: str
    summary: str
    status: str
    config: SystemConfig
    plan: Plan = field(default_factory=Plan)


def named() -> dict[str, NamedConfig]:
    """All accelerators of the folder, by name.

    Raises
    ------
    BadInput
        If one of the files is wrong.
    """
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.toml"))}


def load(path: Path) -> NamedConfig:
    """The accelerator of a file.

    Raises
    ------
    BadInput
        If the file cannot be read, is no TOML, or says something else than an accelerator.
    """
    found = read(path)
    try:
        return _named(path.stem, found)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def read(path: Path) -> dict[str, Any]:
    """The tables of a configuration's file, of an accelerator or of a core.

    Raises
    ------
    BadInput
        If the file cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); name a configuration in TOML") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not text in UTF-8; name a configuration in TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not TOML: {error}") from None


def plan_of(found: Mapping[str, Any]) -> Plan:
    """What the table ``protection`` of a configuration says; nothing, if there is none.

    Raises
    ------
    BadInput
        If it is no table of blocks with lists of schemes.
    """
    table = found.get("protection", {})
    if (
        not isinstance(table, dict)
        or set(table) - {"blocks"}
        or not isinstance(table.get("blocks", {}), dict)
    ):
        raise BadInput('protection has one table, [protection.blocks], with lines such as "*" = ["parity"]')
    return Plan.of(table.get("blocks", {}))


def _named(name: str, found: Mapping[str, Any]) -> NamedConfig:
    for key in found:
        if key not in (*_KEYS, *_MORE):
            raise BadInput(f"there is no key {key!r}; a configuration has {', '.join((*_KEYS, *_MORE))}")
    if found.get("core", SystemConfig.core) != SystemConfig.core:
        raise BadInput(f"it is about the core {found['core']!r}, and an accelerator is needed; name one")
    for key in _KEYS:
        if key not in found:
            raise BadInput(f"the key {key!r} is missing; a configuration has {', '.join(_KEYS)}")
    summary, status, parameters = (found[key] for key in _KEYS)
    if not isinstance(summary, str) or not summary or not summary.isprintable():
        raise BadInput(f"summary must be one line of text, not {summary!r}")
    if status not in STATUSES:
        raise BadInput(f"status must be one of {', '.join(STATUSES)}, not {status!r}")
    if not isinstance(parameters, dict):
        raise BadInput(f"parameters must be a table [parameters], not {parameters!r}")
    known = [field.name for field in fields(SystemConfig)]
    for key in parameters:
        if key not in known:
            raise BadInput(f"an accelerator has no parameter {key!r}; it has {', '.join(known)}")
    return NamedConfig(name, summary, status, SystemConfig(**parameters), plan_of(found))
