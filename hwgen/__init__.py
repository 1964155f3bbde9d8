"""Generator of neural-network hardware: Verilog, golden models and cycle models from one configuration."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwgen.errors import BadInput, HwgenError, MissingTool

if TYPE_CHECKING:
    from hwgen.commands.check import check
    from hwgen.commands.generate import generate
    from hwgen.commands.targets import resolve

__all__ = ["BadInput", "HwgenError", "MissingTool", "check", "generate", "resolve"]

# Loaded on first use: golden models and timing import this package, and must not load Amaranth with it.
_LAZY = {
    "check": "hwgen.commands.check",
    "generate": "hwgen.commands.generate",
    "resolve": "hwgen.commands.targets",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
