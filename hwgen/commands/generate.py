"""``hwgen generate``: Verilog, manifest and C header of a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.emit import Emission
from hwgen.errors import BadInput
from hwgen.faults.protection.plan import REPORTS, UNPROTECTED, Plan, digest_of
from hwgen.files import write_all
from hwgen.streams import Stream
from hwgen.verify.block import emission
from hwgen.version import VERSION

__all__ = ["Generated", "c_header", "generate", "guarded", "manifest", "role"]


@dataclass(frozen=True)
class Generated:
    """What was written.

    Parameters
    ----------
    config : CoreConfig
        For what.
    top : str
        Top module.
    modules : tuple of str
        All modules.
    files : tuple of Path
        Written, or found unchanged.
    bytes : int
        Size of the Verilog.
    plan : Plan
        What of it is protected.
    notes : tuple of str
        What is protected otherwise than asked for.
    """

    config: CoreConfig
    top: str
    modules: tuple[str, ...]
    files: tuple[Path, ...]
    bytes: int
    plan: Plan = UNPROTECTED
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of the configuration, and of its protection."""
        return digest_of(self.config.digest, self.plan)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8."""
        return {
            "config": self.config.to_dict(),
            "digest": self.digest,
            "top": self.top,
            "modules": list(self.modules),
            "files": [str(path) for path in self.files],
            "bytes": self.bytes,
            **({} if self.plan.empty else {"protection": self.plan.to_dict(), "notes": list(self.notes)}),
        }


def guarded(made: Emission, plan: Plan) -> tuple[Emission, dict[str, str], dict[str, Any]]:
    """Verilog as it is written, files about its protection, and what a manifest says of it: nothing without a plan."""
    if plan.empty:
        return made, {}, {}
    from hwgen.faults.protection.emission import protect_emission  # for those who need it

    found = protect_emission(made, plan)
    return found.emission, found.files(), {"protection": found.facts()}


def generate(
    core: Core, config: CoreConfig, folder: Path, top: str | None = None, plan: Plan = UNPROTECTED
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
    made, about, facts = guarded(emission(core, config, top), plan)
    digest = digest_of(config.digest, plan)
    models = {f"simulation/{path.name}": path.read_text() for path in core.simulation_sources(config)}
    files = {
        f"{made.top}.v": made.verilog,
        f"{made.top}.h": c_header(core, config, made.top, digest),
        **models,
        **about,
    }
    found = manifest(core, config, made, list(files)) | facts | {"digest": digest}
    files["manifest.json"] = json.dumps(found, indent=2) + "\n"
    paths = write_all(folder, files)
    notes = tuple(facts["protection"]["notes"]) if facts else ()
    return Generated(config, made.top, made.modules, tuple(paths), len(made.verilog.encode()), plan, notes)


def manifest(core: Core, config: CoreConfig, made: Emission, files: list[str]) -> dict[str, Any]:
    """Everything that Verilog cannot say: parameters, signs and meanings of ports, figures."""
    streams = core.streams(config)
    return {
        "schema": "hwgen.manifest/1",
        "version": VERSION,
        "digest": config.digest,
        "core": core.name,
        "summary": core.summary,
        "config": config.to_dict(),
        "top": made.top,
        "modules": list(made.modules),
        "files": [{"path": name, "role": role(name)} for name in files],
        "characteristics": dict(core.characteristics(config)),
        "estimated_resources": asdict(core.resources(config)),
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "ports": [asdict(port) | {"meaning": _meaning(port.name, streams)} for port in made.ports],
        "streams": [_stream(s) for s in streams],
    }


def role(name: str) -> str:
    """What a generated file is for, by its name."""
    if name.startswith("simulation/"):
        return "simulation model of a vendor cell; leave out for synthesis"
    if name.startswith("protection."):
        return "what is protected, and how"
    return {"v": "verilog", "h": "C header"}[name.rsplit(".", 1)[1]]


def _meaning(port: str, streams: tuple[Stream, ...]) -> str:
    fixed = {
        "clk": "clock",
        "rst": "reset",
        "error": "what came over the streams cannot be; stays set until reset",
        **REPORTS,
    }
    if port in fixed:
        return fixed[port]
    role = {"tdata": "data", "tvalid": "a beat is offered", "tready": "a beat is taken if offered",
            "tlast": "last beat of a command"}  # fmt: skip
    stream = next(s for s in streams if port.startswith(f"{s.prefix}_"))
    kind = port.rsplit("_", 1)[1]
    return stream.meaning if kind == "tdata" else role[kind]


def _stream(stream: Stream) -> dict[str, Any]:
    fields, at = [], 0
    for f in stream.fields:
        fields.append(
            {
                "name": f.name,
                "low_bit": at,
                "lanes": f.lanes,
                "lane_bits": f.format.bits,
                "signed": f.format.signed,
                "meaning": f.meaning,
            }
        )
        at += f.lanes * f.format.bits
    return {
        "name": stream.name,
        "prefix": stream.prefix,
        "direction": stream.direction,
        "bytes": stream.bytes,
        "last": stream.last,
        "meaning": stream.meaning,
        "fields": fields,
    }


def c_header(core: Core, config: CoreConfig, top: str, digest: str | None = None) -> str:
    """Parameters and stream layouts as C macros; the digest is the configuration's own if absent."""
    digest = digest or config.digest
    guard = f"{top.upper()}_H"
    lines = [
        f"/* {config}; hwgen {VERSION}, digest {digest} */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        f'#define {top.upper()}_DIGEST "{digest}"',
    ]
    facts: Mapping[str, Any] = config.to_dict() | dict(core.characteristics(config))
    for name, value in facts.items():
        text = f'"{value}"' if isinstance(value, str) else str(int(value))
        lines.append(f"#define {top.upper()}_{name.upper()} {text}")
    for stream in core.streams(config):
        base = f"{top.upper()}_{stream.name.upper()}"
        lines += ["", f"/* {stream.prefix}: {stream.meaning} */", f"#define {base}_BYTES {stream.bytes}"]
        at = 0
        for f in stream.fields:
            lines += [
                f"/* {f.meaning} */",
                f"#define {base}_{f.name.upper()}_LOW_BIT {at}",
                f"#define {base}_{f.name.upper()}_LANES {f.lanes}",
                f"#define {base}_{f.name.upper()}_LANE_BITS {f.format.bits}",
                f"#define {base}_{f.name.upper()}_SIGNED {int(f.format.signed)}",
            ]
            at += f.lanes * f.format.bits
    return "\n".join([*lines, "", "#endif", ""])
