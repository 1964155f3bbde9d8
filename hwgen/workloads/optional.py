"""Import of what the optional extra ``hwgen[demo]`` brings."""

from __future__ import annotations

import importlib
from types import ModuleType

from hwgen.errors import MissingTool

__all__ = ["demo_module"]


def demo_module(name: str) -> ModuleType:
    """Import a module of the extra ``hwgen[demo]``, only when it is needed.

    Parameters
    ----------
    name : str
        Dotted module name.

    Returns
    -------
    ModuleType
        The module.

    Raises
    ------
    MissingTool
        If the module, or something it imports, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingTool(
            f"The Python module {name!r} cannot be imported ({error}); "
            "it belongs to the demo: run `pip install hwgen[demo]`."
        ) from error
