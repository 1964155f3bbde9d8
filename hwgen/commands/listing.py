"""``hwgen list``: what there is."""

from __future__ import annotations

from collections.abc import Callable

from hwgen import toolchain
from hwgen.boards import boards
from hwgen.commands.system_generate import SYSTEM_SUMMARY
from hwgen.commands.targets import supported
from hwgen.errors import HwgenError
from hwgen.faults.models import MEANINGS
from hwgen.registry import cores
from hwgen.system.config import SystemConfig
from hwgen.system.configs import named

__all__ = ["KINDS", "listing", "tools"]

KINDS = ("cores", "configs", "boards", "faults", "tools")
"""Kinds of things that can be listed."""


def listing(kind: str) -> dict[str, str]:
    """Names and one-line descriptions."""
    if kind == "cores":
        return {name: core.summary for name, core in cores().items()} | {SystemConfig.core: SYSTEM_SUMMARY}
    if kind == "configs":
        found = {name: f"supported: {config}" for name, (_, config) in supported().items()}
        return found | {name: f"{one.status}: {one.summary}" for name, one in named().items()}
    if kind == "boards":
        return {name: f"{one.status}: {one.summary}" for name, one in boards().items()}
    if kind == "faults":
        return {model.name.lower().replace("_", "-"): text for model, text in MEANINGS.items()}
    return tools()


def tools() -> dict[str, str]:
    """What this machine has, or the sentence that says what is missing."""

    def verilator() -> str:
        tool = toolchain.verilator()
        return f"{tool.version[0]}.{tool.version[1]:03d} ({tool.source})"

    def icarus() -> str:
        return str(toolchain.icarus() or "absent (optional)")

    questions: dict[str, Callable[[], str]] = {
        "verilator": verilator,
        "yosys": toolchain.yosys_version,
        "compiler": lambda: str(toolchain.compiler()),
        "make": lambda: str(toolchain.make()),
        "icarus": icarus,
        "cache": lambda: str(toolchain.cache_dir()),
    }
    answers = {}
    for name, ask in questions.items():
        try:
            answers[name] = ask()
        except HwgenError as error:
            answers[name] = str(error)
    return answers
