"""Checksums beside GEMM cores: which cores a design has, and the checkers that watch them."""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwgen.cores.dsp_gemm.abft_config import AbftConfig
from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.hook_edit import design_json
from hwgen.faults.protection.copies import Findings
from hwgen.faults.protection.edit import Guarded
from hwgen.faults.protection.plan import Checksums
from hwgen.system.config import SystemConfig

__all__ = ["Emitted", "checker", "gemm_cores", "observe"]

_HEADER = re.compile(r"^// configuration: (\w+)\((.*)\)$", re.MULTILINE)
_ALARM = "alarm"
_MODULE = re.compile(r"^module (\S+?)\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Emitted:
    """Verilog of a checker.

    Parameters
    ----------
    top : str
        Its module.
    modules : mapping of str to dict
        It and what is in it, in Yosys' JSON.
    texts : mapping of str to str
        The same in Verilog.
    """

    top: str
    modules: Mapping[str, Any]
    texts: Mapping[str, str]


def gemm_cores(own: str, top: str) -> dict[str, DspGemmConfig]:
    """Kinds of modules that are GEMM cores, from the facts in the first lines of emitted Verilog.

    Parameters
    ----------
    own : str
        The text.
    top : str
        Its top module.

    Raises
    ------
    BadInput
        If the facts are not those of a configuration.
    """
    found = _HEADER.search(own[: own.find("\nmodule ") + 1])
    if found is None:
        return {}
    name, settings = found[1], dict(re.findall(r"(\w+)=([^,()]*)", found[2]))
    if name == DspGemmConfig.core:
        return {top: DspGemmConfig.from_settings(settings)}
    if name == SystemConfig.core:
        system = SystemConfig.from_settings(settings)
        return {f"{top}_{DspGemmConfig.core}": system.dsp_core} if system.dsp else {}
    return {}


@cache
def _emitted(config: AbftConfig, name: str) -> Emitted:
    from hwgen.cores.dsp_gemm.abft import Checker  # Amaranth, only for those who build hardware
    from hwgen.emit import emit

    text = emit(Checker(config), name, {}).verilog
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        path = Path(folder, f"{name}.v")
        path.write_text(text, encoding="utf-8")
        modules = design_json([path], name)
    return Emitted(name, modules, {found[1]: found[0] for found in _MODULE.finditer(text)})


def checker(kind: str, core: DspGemmConfig, what: Checksums, module: Mapping[str, Any]) -> Emitted:
    """A checker for a kind of core.

    Parameters
    ----------
    kind : str
        The core's module.
    core : DspGemmConfig
        Its configuration.
    what : Checksums
        What is added up.
    module : mapping
        The core, in Yosys' JSON.

    Raises
    ------
    BadInput
        If the module's ports are not those of the configuration.
    """
    config = AbftConfig(core, what.rows, what.columns)
    made = _emitted(config, f"{kind}_abft_{config.name}")
    for name, port in made.modules[made.top]["ports"].items():
        there = module["ports"].get(name)
        if name != _ALARM and (there is None or len(there["bits"]) != len(port["bits"])):
            raise BadInput(f"module {kind} has no port {name} of {len(port['bits'])} bits, as {core} has")
    return Emitted(made.top, copy.deepcopy(dict(made.modules)), made.texts)


def observe(editor: Guarded, watched: str, made: Emitted, seen: Mapping[str, Any], found: Findings) -> str:
    """Put a checker beside a core.

    Parameters
    ----------
    editor : Guarded
        The module around the core, or the core.
    watched : str
        The instance; empty if the module itself is the core.
    made : Emitted
        The checker.
    seen : mapping
        Bits at the core's ports.
    found : Findings
        Gets the alarm.

    Returns
    -------
    str
        The checker's instance.
    """
    name = f"{watched}_abft" if watched else "abft"
    while name in editor.cells or name in editor.nets:
        name += "_"
    alarm = editor.net(1)
    ports = made.modules[made.top]["ports"]
    editor.instance(name, made.top, {port: seen[port] for port in ports if port != _ALARM}, {_ALARM: alarm})
    found.detected += alarm
    return name
