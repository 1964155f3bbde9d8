"""The compiled part of the lane engine: built once by the system's C++ compiler, then loaded from the cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import subprocess
import tempfile
from pathlib import Path

from hwgen import toolchain
from hwgen.errors import HwgenError

__all__ = ["library"]

_FOLDER = Path(__file__).parent
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")


@functools.cache
def library(bench: str, memory_model: str = "") -> ctypes.CDLL:
    """The engine with one kind of bench, compiled for this processor.

    Parameters
    ----------
    bench : str
        ``streams`` or ``system``.
    memory_model : str
        For ``system``: C++ text of the memory's contract, ``sim/dram.hpp``.

    Raises
    ------
    MissingTool
        If there is no compiler.
    HwgenError
        If it refuses the sources.
    """
    name = bench.removesuffix("s").capitalize()
    flags = [
        *_FLAGS,
        f'-DFAULTS_BENCH="{bench}.hpp"',
        f"-DFAULTS_JOB={name}Job",
        f"-DFAULTS_CLASS={name}Bench",
    ]
    digest = hashlib.sha256("\0".join([*flags, toolchain.compiler_identity(), memory_model]).encode())
    for path in sorted(path for path in _FOLDER.iterdir() if path.suffix in (".cpp", ".hpp")):
        digest.update(path.read_bytes())
    target = toolchain.cache_dir() / "faults" / f"{bench}-{digest.hexdigest()[:32]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
            built = Path(folder, target.name)
            Path(folder, "dram.hpp").write_text(memory_model, encoding="utf-8")
            command = [
                str(toolchain.compiler()),
                *flags,
                "-I",
                folder,
                "-o",
                str(built),
                str(_FOLDER / "engine.cpp"),
            ]
            answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if answer.returncode:
                lines = (answer.stderr + answer.stdout).splitlines()
                complaint = next(
                    (line for line in lines if "error" in line), f"exit code {answer.returncode}"
                )
                raise HwgenError(f"the compiler refused the lane engine: {complaint.strip()}; report this")
            built.replace(target)
    return _declared(ctypes.CDLL(str(target)))


def _declared(made: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions."""
    pointer, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    made.faults_complaint.restype = ctypes.c_char_p
    made.faults_open.argtypes = [pointer, pointer, u32]
    made.faults_open.restype = pointer
    made.faults_close.argtypes = [pointer]
    made.faults_cycles.argtypes = [pointer]
    made.faults_cycles.restype = u32
    made.faults_fault_free.argtypes = [pointer, pointer]
    made.faults_value.argtypes = [pointer, u32, u32]
    made.faults_value.restype = u64
    made.faults_observed.argtypes = [pointer]
    made.faults_observed.restype = u64
    made.faults_observe.argtypes = [pointer, pointer, u64, u32, pointer, pointer]
    made.faults_observe.restype = ctypes.c_int
    made.faults_inject.argtypes = [pointer, pointer, u64, ctypes.c_int, u32, u32, pointer, pointer]
    made.faults_inject.restype = ctypes.c_int
    made.faults_upsets.argtypes = [pointer, pointer, pointer, u64, ctypes.c_int, u32, u32, pointer, pointer]
    made.faults_upsets.restype = ctypes.c_int
    made.faults_spread.argtypes = [pointer, pointer, pointer, u64, pointer]
    made.faults_spread.restype = ctypes.c_int64
    made.faults_changes.argtypes = [pointer, pointer]
    made.faults_changes.restype = None
    return made
