"""Simulators built from Verilog with Verilator, and the cache that keeps them.

A cache entry is named by the digest of everything that went into it. It appears by one rename, when
it is complete, so neither an interrupted build nor two builds at once can leave a broken entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hwgen import toolchain
from hwgen.errors import BadInput

__all__ = ["build_model"]

# Two states are enough for generated logic that is reset, and they are the fastest. The caller's
# flags come after these, and Verilator obeys the last.
_VERILATOR_FLAGS = (
    "-O3",
    "--assert",
    "--no-timing",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
)

# The slow files run once, at the start of a simulation: compiling them well takes longer than
# it saves.
_MAKE_VARIABLES = (
    "OPT_FAST=-O2 -march=native",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-O2 -march=native",
    "CFG_CXXFLAGS_PCH_I=-include",
)

# Variables that would change the build without being part of its digest.
_HIDDEN_INPUTS = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "OBJCACHE"),
    *("CPPFLAGS", "CXXFLAGS", "LDFLAGS", "LDLIBS", "LOADLIBES", "LIBS"),
    *("USER_CPPFLAGS", "USER_LDFLAGS", "USER_LDLIBS", "OPT"),
)

_PREFIX = "Vtop"
# Process numbers mean something on one machine only, and the cache can be on a shared disk.
_PARTIAL = f".partial-{re.sub(r'[^A-Za-z0-9]', '_', platform.node())}-"
_COMPLAINT = re.compile(r"^%(Error|Warning)|error:|undefined reference|\*\*\*")


def build_model(
    *,
    verilog: Sequence[Path],
    top: str,
    harness: str,
    flags: Sequence[str] = (),
    waivers: Sequence[Path] = (),
) -> Path:
    """Compile Verilog and a C++ harness into a program, or return the one built before.

    Warnings are errors, except those that a waiver file allows.

    Parameters
    ----------
    verilog
        Source files, in the order in which Verilator is to read them. A file that they include is
        not part of the cache entry's name: pass it here too, or do not include.
    top
        Name of the top module; the harness sees it as class ``Vtop`` in ``Vtop.h``.
    harness
        C++ source text with a ``main``.
    flags
        More flags for Verilator; they override the defaults, so ``--no-assert`` works.
    waivers
        Verilator configuration files (``.vlt``).

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    BadInput
        If Verilator or the compiler refuses the sources; holds the first complaint.
    MissingTool
        If Verilator, the compiler or make is missing.
    """
    inputs = _inputs(verilog=verilog, top=top, harness=harness, flags=flags, waivers=waivers)
    entry = _models_dir() / _digest(inputs)
    executable = entry / "model"
    if executable.is_file():
        return executable
    with _partial_entry(entry) as folder:
        _verilate(folder, [*waivers, *verilog], top=top, harness=harness, flags=flags)
        _compile(folder)
        _keep_only(folder, "model")
        (folder / "build.json").write_text(json.dumps(inputs, indent=2) + "\n", encoding="utf-8")
        # A directory cannot replace a full one: then another process was first, with the same.
        with contextlib.suppress(OSError):
            folder.rename(entry)
    if not executable.is_file():
        raise BadInput(f"The model could not be stored in {entry}: make that folder writable, or remove it.")
    return executable


def _inputs(
    *, verilog: Sequence[Path], top: str, harness: str, flags: Sequence[str], waivers: Sequence[Path]
) -> dict[str, Any]:
    """Return all that decides what the model is, as JSON data."""
    return {
        "top": top,
        "flags": [*_VERILATOR_FLAGS, *flags],
        "verilog": [_file_digest(path) for path in verilog],
        "waivers": [_file_digest(path) for path in waivers],
        "harness": hashlib.sha256(harness.encode()).hexdigest(),
        "make": list(_MAKE_VARIABLES),
        "verilator": list(toolchain.verilator().version),
        "compiler": toolchain.compiler_identity(),
    }


def _file_digest(path: Path) -> list[str]:
    """Return name and digest of a file; the name counts, because waivers can match it."""
    try:
        return [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}): give the path of a source file."
        ) from error


def _digest(data: object) -> str:
    """Return the digest of JSON data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _models_dir() -> Path:
    """Return the folder of the cache entries, and refuse one that make cannot work in."""
    folder = toolchain.cache_dir() / "models"
    if re.search(r"\s", str(folder)):
        raise BadInput(
            f"The cache folder {folder} has a space in its name, which make cannot handle: "
            "set HWGEN_CACHE to a folder without."
        )
    return folder


@contextlib.contextmanager
def _partial_entry(entry: Path) -> Iterator[Path]:
    """Give a new folder beside `entry`, removed at the end unless it was renamed."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(entry.parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{os.getpid()}-", dir=entry.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(models: Path) -> None:
    """Remove what builds left whose process was killed."""
    for folder in models.glob(f"{_PARTIAL}*"):
        pid = folder.name.removeprefix(_PARTIAL).partition("-")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to someone else
    return True


def _verilate(folder: Path, sources: Sequence[Path], *, top: str, harness: str, flags: Sequence[str]) -> None:
    """Translate the sources to C++ in `folder`."""
    (folder / "harness.cpp").write_text(harness, encoding="utf-8")
    command = [str(toolchain.verilator().executable), "--cc", "--exe", "--quiet", *_VERILATOR_FLAGS]
    command += ["--top-module", top, "--prefix", _PREFIX, "--Mdir", str(folder), *flags]
    command += [str(path.absolute()) for path in sources]
    _run([*command, "harness.cpp"], folder, what="Verilator")


def _compile(folder: Path) -> None:
    """Compile and link the C++ in `folder` to the file ``model``."""
    archive = _runtime(folder)
    _make(folder, [_PREFIX, "VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=", f"USER_LDLIBS={archive} -pthread"])
    (folder / _PREFIX).rename(folder / "model")


def _runtime(folder: Path) -> Path:
    """Return the archive of Verilator's runtime for the model in `folder`.

    Compiling the runtime is most of the work for a small model, and the same for all, so it is kept.
    """
    settings = (folder / f"{_PREFIX}_classes.mk").read_text(encoding="utf-8").replace("\\\n", " ")
    lists = re.findall(r"^VM_GLOBAL_(?:FAST|SLOW) \+=(.*)$", settings, flags=re.MULTILINE)
    objects = [f"{name}.o" for names in lists for name in names.split()]
    # What was verilated with other features (tracing, coverage) has another runtime.
    features = re.findall(r"^VM_(?!PARALLEL)\w+ = .*$", settings, flags=re.MULTILINE)
    tools = [*toolchain.verilator().version, toolchain.compiler_identity(), *_MAKE_VARIABLES]
    archive = toolchain.cache_dir() / "runtime" / f"{_digest([objects, features, tools])}.a"
    if not archive.is_file():
        # Without the caller's compiler flags: the next model can have others.
        _make(folder, [*objects, "VM_USER_CFLAGS="])
        _run(["ar", "rcs", "runtime.a", *objects], folder, what="The archiver")
        archive.parent.mkdir(parents=True, exist_ok=True)
        (folder / "runtime.a").replace(archive)
    return archive


def _make(folder: Path, goals: Sequence[str]) -> None:
    """Run the makefile that Verilator wrote; `goals` are targets and variables."""
    cxx = toolchain.compiler()
    command = [str(toolchain.make()), f"-j{os.cpu_count() or 1}", "-f", f"{_PREFIX}.mk", *_MAKE_VARIABLES]
    # The wheel's makefile would call `python`, which need not exist.
    command += [f"CXX={cxx}", f"LINK={cxx}", f"PYTHON3={sys.executable}", *goals]
    _run(command, folder, what="The C++ compiler")


def _keep_only(folder: Path, *names: str) -> None:
    """Remove all files in `folder` but the named ones."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _run(command: Sequence[str], folder: Path, *, what: str) -> None:
    """Run a build step in `folder`; turn a failure into one sentence."""
    environment = toolchain.verilator().environment
    for name in _HIDDEN_INPUTS:
        environment.pop(name, None)
    answer = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if answer.returncode == 0:
        return
    lines = (answer.stderr + answer.stdout).splitlines()
    complaint = next((line for line in lines if _COMPLAINT.search(line)), None)
    if complaint is None:
        complaint = f"exit code {answer.returncode}"
    raise BadInput(f"{what} refused the model, correct its source: {complaint.strip()}")
