"""The compiled part of the simulator: built once by the system's C++ compiler, then loaded from a cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import platform
import subprocess
import tempfile
from pathlib import Path

__all__ = ["FLAGS", "SOURCES", "CompileError", "library"]

SOURCES = ("machine.cpp", "machine.hpp", "units.hpp", "dram.hpp")
"""Files of this folder that go into the library; the first is compiled, it includes the others."""

FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
"""Flags of the compiler. No ``-march``: the cache may be shared by different processors."""

_FOLDER = Path(__file__).parent


class CompileError(RuntimeError):
    """The compiler is missing, or refused the sources."""


@functools.cache
def library(compiler: Path, cache: Path) -> ctypes.CDLL:
    """Return the compiled machine; see :mod:`sim.machine` for what is in it.

    Parameters
    ----------
    compiler : Path
        A C++17 compiler that takes the flags of GCC.
    cache : Path
        Folder for the library, made if it is not there. The file's name is the digest of all that went into it; it
        appears by one rename, so two processes may build it at once, and one may be killed.

    Raises
    ------
    CompileError
        If the compiler cannot be run or refuses the sources; holds its first complaint.
    """
    path = cache / f"machine-{_digest(compiler)}.so"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as folder:
            built = Path(folder) / path.name
            _compile(compiler, built)
            built.replace(path)
    return ctypes.CDLL(str(path))


def _digest(compiler: Path) -> str:
    """Digest of sources, flags, compiler and kind of processor."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((_FOLDER / name).read_bytes())
    for text in (*FLAGS, str(compiler), platform.system(), platform.machine()):
        digest.update(f"\0{text}".encode())
    return digest.hexdigest()[:32]


def _compile(compiler: Path, target: Path) -> None:
    command = [str(compiler), *FLAGS, "-o", str(target), str(_FOLDER / SOURCES[0])]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CompileError(f"{compiler} cannot be run ({error.strerror}): give a C++ compiler") from error
    if answer.returncode:
        lines = (answer.stderr + answer.stdout).splitlines()
        complaint = next((line for line in lines if "error" in line), f"exit code {answer.returncode}")
        raise CompileError(f"{compiler} refused the simulator: {complaint.strip()}")
