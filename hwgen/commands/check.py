"""``hwgen check``: golden model = simulator = Verilog, values and cycles, under four stall regimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgen import toolchain
from hwgen.config import CoreConfig
from hwgen.core import Core
from hwgen.errors import BadInput, HwgenError
from hwgen.faults.protection.plan import UNPROTECTED, Plan
from hwgen.numerics import IntArray
from hwgen.streams import Stream
from hwgen.verify.block import Block
from hwgen.verify.compare import Difference, first_cycle, first_last, first_value
from hwgen.verify.stimulus import REGIMES, Observation, Pattern, patterns, stimulus

if TYPE_CHECKING:
    from sim import Result

__all__ = ["RTL_EXECUTORS", "CheckResult", "available_executors", "check", "verdict"]

RTL_EXECUTORS = ("harness", "cocotb", "icarus")
"""Ways to run the Verilog: compiled harness, cocotb on Verilator, cocotb on Icarus."""


@dataclass
class CheckResult:
    """Outcome of a check.

    Parameters
    ----------
    core : str
        Core's name.
    config : CoreConfig
        What was checked.
    vectors, seed : int
        Operations, and the seed that made them.
    executors : tuple of str
        How the Verilog was run.
    """

    core: str
    config: CoreConfig
    vectors: int
    seed: int
    executors: tuple[str, ...]
    macs: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def values_equal(self) -> bool:
        """Whether all executors gave the same results."""
        return not any(d.kind != "cycle" for d in self.differences)

    @property
    def cycles_equal(self) -> bool:
        """Whether simulator and Verilog moved every beat in the same cycle."""
        return not any(d.kind == "cycle" for d in self.differences)

    @property
    def passed(self) -> bool:
        """Whether nothing differed."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys of the design's section 8."""
        free = [run for run in self.runs if run["regime"] == "free"]
        return {
            "core": self.core,
            "config": self.config.to_dict(),
            "digest": self.config.digest,
            "vectors": self.vectors,
            "seed": self.seed,
            "executors": ["golden", "sim", *self.executors],
            "values_equal": self.values_equal,
            "cycles_equal": self.cycles_equal,
            "first_difference": self.differences[0].to_dict() if self.differences else None,
            "cycles": {"sim": free[0]["sim_cycles"], "rtl": free[0]["rtl_cycles"]} if free else None,
            "macs": self.macs,
            "runs": self.runs,
        }


def available_executors() -> tuple[str, ...]:
    """Ways to run the Verilog on this machine."""
    return RTL_EXECUTORS if toolchain.icarus() else RTL_EXECUTORS[:2]


def check(
    core: Core,
    config: CoreConfig,
    *,
    vectors: int = 20,
    seed: int = 0,
    executors: Sequence[str] | None = None,
    plan: Plan = UNPROTECTED,
    tell: Callable[[str], None] = lambda text: None,
) -> CheckResult:
    """Compare golden model, simulator and Verilog on random operations.

    Parameters
    ----------
    core, config : Core, CoreConfig
        What to check.
    vectors : int
        Number of operations, at least one.
    seed : int
        Of operations and stall patterns, not negative.
    executors : sequence of str, optional
        From :data:`RTL_EXECUTORS`; all that the machine has if absent.
    plan : Plan
        What of the Verilog is protected.
    tell : callable
        Is told what goes on.

    Raises
    ------
    BadInput, HwgenError, MissingTool
        If the parameters are wrong, the Verilog hangs, or a tool is missing.
    """
    if vectors < 1:
        raise BadInput(f"vectors must be at least 1, not {vectors}")
    if seed < 0:
        raise BadInput(f"seed must not be negative, not {seed}")
    chosen = tuple(executors) if executors else available_executors()
    block = Block(core, config, plan)
    operations = core.random_operations(config, vectors, np.random.default_rng(seed))
    result = CheckResult(core.name, config, len(operations), seed, chosen)
    result.macs = sum(op.macs for op in operations)
    tell("golden model")
    golden = core.golden(config, operations)
    runners: dict[str, Any] = {}
    for name in chosen:
        tell(f"building for {name}")
        runners[name] = block.harness() if name == "harness" else block.bench(_SIMULATOR[name])
    for regime in REGIMES:
        gates = patterns(regime, block.streams, seed)
        _simulate(result, core, operations, golden, block.streams, gates, regime, runners, tell)
    return result


_SIMULATOR = {"cocotb": "verilator", "icarus": "icarus"}


def _simulate(
    result: CheckResult,
    core: Core,
    operations: Sequence[Any],
    golden: Sequence[Any],
    streams: Sequence[Stream],
    gates: dict[str, Pattern],
    regime: str,
    runners: dict[str, Any],
    tell: Callable[[str], None],
) -> None:
    """One regime on the simulator and on every way to run the Verilog."""
    from sim import Gate, simulate

    config = result.config
    tell(f"{regime}: simulator")
    simulated = simulate(
        core.timing(config),
        operations,
        values=lambda ops: core.values(config, ops),
        inputs={s.name: Gate(gates[s.name]) for s in streams if s.direction == "in"},
        outputs={s.name: Gate(gates[s.name]) for s in streams if s.direction == "out"},
    )
    found = [first_value(("golden", "sim"), golden, simulated.outputs or [])]
    if regime == "free":
        closed = simulate(core.timing(config), operations)
        if closed.cycles != simulated.cycles:
            found.append(
                Difference("cycle", ("sim", "sim in closed form"), "the run", simulated.cycles, closed.cycles)
            )
    made = stimulus(core, config, operations, gates)
    for name, runner in runners.items():
        tell(f"{regime}: {name}")
        try:
            seen = runner.run(made)
        except HwgenError as error:
            raise type(error)(f"{regime}, {name}: {error}") from None
        found += verdict(core, config, operations, golden, simulated, name, seen)
        run = {"regime": regime, "executor": name, "sim_cycles": simulated.cycles, "rtl_cycles": seen.cycles}
        result.runs.append(run | {"rtl_cycles_per_second": round(seen.simulated / seen.seconds)})
    result.differences += [d for d in found if d is not None]


def verdict(
    core: Core,
    config: CoreConfig,
    operations: Sequence[Any],
    golden: Sequence[IntArray],
    simulated: Result,
    name: str,
    seen: Observation,
) -> list[Difference | None]:
    """What a run of the Verilog, called ``name``, shows against golden model and gated simulation."""
    outside = core.outside(config, operations, seen.outputs)
    return [
        first_value(("golden", name), golden, core.collect(config, operations, seen.outputs)),
        first_value(("golden", f"{name} outside the results"), [np.zeros_like(outside)], [outside]),
        first_last(name, core.marks(config, operations), seen.lasts),
        first_cycle(("sim", name), simulated.transfers, seen.transfers),
    ]
