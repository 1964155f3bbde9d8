"""``hwgen generate`` for accelerators: Verilog, manifest and C header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwgen.commands.design import Design
from hwgen.commands.generate import Generated, generate, guarded, role
from hwgen.emit import Emission
from hwgen.errors import BadInput
from hwgen.faults.protection.plan import REPORTS, UNPROTECTED, Plan, digest_of
from hwgen.files import write_all
from hwgen.program import header
from hwgen.program.program import VERSION as PROGRAM_VERSION
from hwgen.program.table import ENGINES, INSTRUCTION_BYTES
from hwgen.system.check import PROGRAM_ALIGNMENT
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ERRORS, REGISTERS, c_registers
from hwgen.system.structure import spaces
from hwgen.verify.system_harness import emission, simulation_sources
from hwgen.version import VERSION

__all__ = ["SYSTEM_SUMMARY", "characteristics", "generate_design", "generate_system"]

SYSTEM_SUMMARY = (
    "a whole accelerator: instruction fetch, DSP and LUT core, vector engine, banked buffers, AXI"
)

_PORTS = {
    "clk": "clock",
    "rst": "reset",
    "irq": "interrupt, active high, until software clears it",
    "running": "a program runs; trace",
    "event_began": "engines whose instruction starts in this cycle, by number; trace",
    **REPORTS,
    "event_ended": "engines whose instruction ends in this cycle, by number; trace",
}
_CHANNELS = {
    "aw": "write address", "w": "write data", "b": "write response", "ar": "read address", "r": "read data",
}  # fmt: skip
_SIGNALS = {
    "addr": "byte address", "prot": "protection", "len": "beats of the burst, less one",
    "size": "bytes per beat, as a power of two", "burst": "kind of burst: always INCR", "cache": "memory type",
    "data": "data", "strb": "bytes that are written", "resp": "response", "last": "last beat of the burst",
    "valid": "there is one", "ready": "it is taken if there is one",
}  # fmt: skip
_BUSES = {"s_axi": "control (AXI4-Lite slave)", "m_axi": "memory (AXI4 master)"}


def generate_system(
    config: SystemConfig, folder: Path, top: str | None = None, plan: Plan = UNPROTECTED
) -> Generated:
    """Write ``<top>.v``, ``<top>.h``, ``manifest.json`` and the models of vendor cells into ``folder``.

    With protection, also ``protection.toml``, the plan, and ``protection.json``, what was made of it. Each file is
    replaced at one stroke, and only if it changed.

    Raises
    ------
    BadInput
        If the folder cannot be used, ``top`` is no Verilog identifier, or the plan does not fit the design.
    """
    if top is not None and not (top.isidentifier() and top.isascii()):
        raise BadInput(f"top must be a Verilog identifier (letters, digits, _), not {top!r}")
    made, about, facts = guarded(emission(config, top or config.core), plan)
    digest = digest_of(config.digest, plan)
    models = {f"simulation/{path.name}": path.read_text() for path in simulation_sources(config)}
    files = {
        f"{made.top}.v": made.verilog,
        f"{made.top}.h": _header(config, made.top, digest),
        **models,
        **about,
    }
    found = _manifest(config, made, list(files)) | facts | {"digest": digest}
    files["manifest.json"] = json.dumps(found, indent=2) + "\n"
    paths = write_all(folder, files)
    notes = tuple(facts["protection"]["notes"]) if facts else ()
    return Generated(config, made.top, made.modules, tuple(paths), len(made.verilog.encode()), plan, notes)


def generate_design(found: Design, folder: Path, top: str | None = None) -> Generated:
    """Write a core or an accelerator, see :func:`generate_system`."""
    if found.core is None:
        return generate_system(found.system, folder, top, found.plan)
    return generate(found.core, found.config, folder, top, found.plan)


def characteristics(config: SystemConfig) -> dict[str, int]:
    """What the accelerator can do per cycle, and how much it holds, by plain names with units."""
    return {
        "int8_macs_per_cycle": config.macs_per_cycle,
        "binary_macs_per_cycle": config.binary_macs_per_cycle,
        "sparse_macs_per_cycle": config.sparse_macs_per_cycle,
        "elements_per_vector": config.lanes,
        "bus_bytes_per_cycle": config.bus_bytes,
        "buffer_bytes": sum(buffer["bytes"] for buffer in _buffers(config)),
        "tokens_per_semaphore": (1 << config.TOKEN_BITS) - 1,
        "program_alignment_bytes": PROGRAM_ALIGNMENT,
    }


def _buffers(config: SystemConfig) -> list[dict[str, Any]]:
    """Sizes of all buffers."""
    return [
        {
            "name": name,
            "words": space.words,
            "word_bytes": space.word_bytes,
            "banks": space.banks,
            "copies": config.lut_units if name == "plane_act" else 1,
            "bytes": space.bytes * (config.lut_units if name == "plane_act" else 1),
        }
        for name, space in spaces(config).items()
    ]


def _manifest(config: SystemConfig, made: Emission, files: list[str]) -> dict[str, Any]:
    """Everything that Verilog cannot say."""
    return {
        "schema": "hwgen.manifest/1",
        "version": VERSION,
        "digest": config.digest,
        "core": config.core,
        "summary": SYSTEM_SUMMARY,
        "config": config.to_dict(),
        "top": made.top,
        "modules": list(made.modules),
        "files": [{"path": name, "role": role(name)} for name in files],
        "characteristics": characteristics(config),
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "ports": [asdict(port) | {"meaning": _meaning(port.name)} for port in made.ports],
        "engines": [{"name": name, "number": ENGINES.index(name)} for name in config.engines],
        "instruction_set": {"version": PROGRAM_VERSION, "instruction_bytes": INSTRUCTION_BYTES},
        "buffers": _buffers(config),
        "registers": [asdict(register) for register in REGISTERS if register.engine in ("", *config.engines)],
        "errors": [asdict(error) for error in ERRORS],
    }


def _meaning(port: str) -> str:
    if port in _PORTS:
        return _PORTS[port]
    bus, signal = port[:5], port[6:]
    channel = max((name for name in _CHANNELS if signal.startswith(name)), key=len)
    return f"{_BUSES[bus]}, {_CHANNELS[channel]}: {_SIGNALS[signal[len(channel) :]]}"


def _header(config: SystemConfig, top: str, digest: str) -> str:
    """Parameters, registers and instruction encoders for C and C++."""
    name = top.upper()
    facts: Mapping[str, Any] = config.to_dict() | characteristics(config)
    lines = [
        f"/* {config}; hwgen {VERSION}, digest {digest} */",
        f"#ifndef {name}_H",
        f"#define {name}_H",
        "",
        f'#define {name}_DIGEST "{digest}"',
    ]
    for key, value in facts.items():
        text = f'"{value}"' if isinstance(value, str) else str(int(value))
        lines.append(f"#define {name}_{key.upper()} {text}")
    for buffer in _buffers(config):
        base = f"{name}_BUFFER_{buffer['name'].upper()}"
        lines += [f"#define {base}_{key.upper()} {buffer[key]}" for key in ("words", "word_bytes", "banks")]
    # Several accelerators in one program share the encoders.
    encoders = [
        "",
        "#ifndef HWGEN_INSTRUCTIONS_H",
        "#define HWGEN_INSTRUCTIONS_H",
        *header.c_header(),
        "",
        "#endif",
    ]
    return "\n".join([*lines, "", *c_registers(top), *encoders, "", "#endif", ""])
