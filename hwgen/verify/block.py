"""A core's configuration as Verilog on disk, ready to be simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hwgen import toolchain
from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.emit import Emission, emit
from hwgen.faults.protection.plan import Plan, digest_of
from hwgen.files import output_folder, write_if_changed
from hwgen.streams import Stream
from hwgen.verify.bench import CocotbBench
from hwgen.verify.harness import Harness
from hwgen.version import VERSION

__all__ = ["Block", "emission"]


def emission(core: Core, config: CoreConfig, top: str | None = None) -> Emission:
    """Verilog of a configuration, its facts in the first lines."""
    name = top or core.name
    header = {"hwgen": VERSION, "configuration": str(config), "digest": config.digest}
    return emit(core.component(config), name, header)


@dataclass(frozen=True)
class Block:
    """One configuration of a core.

    Parameters
    ----------
    core : Core
        The core.
    config : CoreConfig
        Its configuration.
    plan : Plan
        What of it is protected.
    """

    core: Core
    config: CoreConfig
    plan: Plan = field(default_factory=Plan)

    @cached_property
    def emission(self) -> Emission:
        """Its Verilog."""
        made = emission(self.core, self.config)
        if self.plan.empty:
            return made
        from hwgen.faults.protection.emission import protect_emission  # for those who need it

        return protect_emission(made, self.plan).emission

    @property
    def streams(self) -> Sequence[Stream]:
        """Its ports."""
        return self.core.streams(self.config)

    @cached_property
    def sources(self) -> list[Path]:
        """Its Verilog in the cache, and the models of vendor cells in it."""
        folder = output_folder(toolchain.cache_dir() / "verilog" / digest_of(self.config.digest, self.plan))
        path = folder / f"{self.emission.top}.v"
        write_if_changed(path, self.emission.verilog)
        return [path, *self.core.simulation_sources(self.config)]

    def harness(self) -> Harness:
        """The compiled harness, built now or before."""
        return Harness(self.sources, self.emission.top, self.streams, self.emission.repeated)

    def bench(self, simulator: str = "verilator") -> CocotbBench:
        """The cocotb bench, built now or before."""
        return CocotbBench(self.sources, self.emission.top, self.streams, simulator)
