"""What the generator writes of a protected design: its Verilog, ports, digest, and what a reader must know of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from hwgen import toolchain
from hwgen.emit import Emission, Port
from hwgen.faults.protection.plan import REPORTS, Plan, digest_of
from hwgen.faults.protection.transform import Protected, protected
from hwgen.files import output_folder, write_if_changed

__all__ = ["ProtectedEmission", "protect_emission"]

_DIGEST = re.compile(r"^// digest: (\w+)$", re.MULTILINE)
_MODULE = re.compile(r"^module (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class ProtectedEmission:
    """Verilog with protection, and what was done.

    Parameters
    ----------
    emission : Emission
        What is written.
    protected : Protected
        How it came about.
    """

    emission: Emission
    protected: Protected

    def files(self) -> dict[str, str]:
        """The plan, and what was made of it, by name of the file."""
        return {
            "protection.toml": self.protected.plan.to_toml(),
            "protection.json": json.dumps(self.facts(), indent=2) + "\n",
        }

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        made = self.protected
        return {
            "schema": "hwgen.protection/1",
            "plan": made.plan.digest,
            "verilog": made.digest,
            "blocks": made.plan.to_dict(),
            "reports": {name: REPORTS[name] for name in made.reports},
            "notes": list(made.notes),
            "added_registers": sorted(made.added),
            "copies": list(made.copies),
            "wider_memories": dict(sorted(made.grown.items())),
            "hardened": sorted(made.hardened),
        }


def protect_emission(made: Emission, plan: Plan) -> ProtectedEmission:
    """Protect what the generator wrote.

    Parameters
    ----------
    made : Emission
        Without protection.
    plan : Plan
        What to protect; not empty.

    Raises
    ------
    BadInput
        If a block is none of the design.
    """
    text = _DIGEST.sub(lambda found: f"// digest: {digest_of(found[1], plan)}", made.verilog, count=1)
    own = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = output_folder(toolchain.cache_dir() / "verilog" / f"plain-{own}") / f"{made.top}.v"
    write_if_changed(path, text)
    found = protected([path], made.top, plan)
    modules = tuple(_MODULE.findall(found.verilog))
    ports = tuple(Port(name, "output", 1, False) for name in found.reports)
    emission = replace(
        made, verilog=found.verilog, modules=modules, ports=(*made.ports, *ports),
        repeated=tuple(name for name in made.repeated if name in modules),
    )  # fmt: skip
    return ProtectedEmission(emission, found)
