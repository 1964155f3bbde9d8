"""What a user calls a design: a core or an accelerator, its parameters, and how it is protected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwgen.commands import targets
from hwgen.core import Core
from hwgen.errors import BadInput
from hwgen.faults.protection.plan import Plan
from hwgen.registry import cores
from hwgen.system.config import SystemConfig
from hwgen.system.configs import load, plan_of, read

__all__ = ["Design", "design", "load_plan", "to_toml"]

_KEYS = ("summary", "status", "core", "parameters", "protection")


@dataclass(frozen=True)
class Design:
    """A core or an accelerator with a configuration.

    Parameters
    ----------
    core : Core, optional
        The core; none for an accelerator.
    config : CoreConfig
        Its configuration.
    plan : Plan
        What is protected, and how.
    """

    core: Core | None
    config: Any
    plan: Plan

    @property
    def system(self) -> SystemConfig:
        """The accelerator's configuration.

        Raises
        ------
        BadInput
            If it is a core.
        """
        if not isinstance(self.config, SystemConfig):
            raise BadInput(f"{self.config.core} is a core; an accelerator is needed")
        return self.config


def design(target: str, settings: Mapping[str, str], protect: Path | None = None) -> Design:
    """The design that a user names.

    Parameters
    ----------
    target : str
        A core, a configuration of one, an accelerator, or a file of either in TOML.
    settings : mapping of str to str
        Changed parameters.
    protect : Path, optional
        A plan in TOML, in place of the configuration's own.

    Raises
    ------
    BadInput
        If there is no such thing, or a file or a parameter is wrong.
    """
    plan = None if protect is None else load_plan(protect)
    found = _named(target, settings)
    return found if plan is None else replace(found, plan=plan)


def _named(target: str, settings: Mapping[str, str]) -> Design:
    if targets.is_core(target):
        return Design(*targets.resolve(target, settings), Plan())
    if target.endswith(".toml"):
        tables = read(Path(target))
        if tables.get("core", SystemConfig.core) != SystemConfig.core:
            try:
                return _core(tables, settings)
            except BadInput as error:
                raise BadInput(f"{target}: {error}") from None
        return Design(None, targets.changed(load(Path(target)).config, settings), plan_of(tables))
    return Design(None, targets.accelerator(target, settings), Plan())


def _core(tables: Mapping[str, Any], settings: Mapping[str, str]) -> Design:
    """A core's configuration in TOML."""
    name, parameters = tables["core"], tables.get("parameters", {})
    for key in tables:
        if key not in _KEYS:
            raise BadInput(f"there is no key {key!r}; a core's configuration has {', '.join(_KEYS)}")
    if not isinstance(name, str) or name not in cores():
        raise BadInput(f"there is no core {name!r}; there are {', '.join(cores())}")
    if not isinstance(parameters, dict):
        raise BadInput(f"parameters must be a table [parameters], not {parameters!r}")
    core = cores()[name]
    try:
        config = core.config(**parameters)
    except TypeError:
        known = ", ".join(core.config.__dataclass_fields__)
        raise BadInput(f"a parameter of {name} is none: it has {known}") from None
    return Design(core, targets.changed(config, settings), plan_of(tables))


def load_plan(path: Path) -> Plan:
    """A plan in TOML: a table ``blocks``, or a configuration with ``protection.blocks``.

    Raises
    ------
    BadInput
        If the file cannot be read, or says something else.
    """
    tables = read(path)
    try:
        if "protection" in tables:
            return plan_of(tables)
        return Plan.from_toml(path.read_text(encoding="utf-8"))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def to_toml(found: Design, summary: str) -> str:
    """A configuration in TOML that :func:`design` reads."""
    kind = found.config.core
    lines = [f'summary = "{summary}"', 'status = "experimental"', f'core = "{kind}"', "", "[parameters]"]
    for name, value in found.config.to_dict().items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        lines.append(f"{name} = {text}")
    return "\n".join([*lines, "", found.plan.to_toml().replace("[blocks]", "[protection.blocks]")])
