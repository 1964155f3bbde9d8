"""``hwgen demo``: three matrix products of a real transformer on golden model, simulator and Verilog."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwgen.commands.check import verdict
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm
from hwgen.numerics import IntArray
from hwgen.synthesis import Cells, synthesise
from hwgen.verify.block import Block
from hwgen.verify.compare import Difference, first_value
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads import FloatError, GemmProblem, load_layer, ort_matmul_integer

__all__ = ["CONFIG", "Demo", "Product", "run_demo"]

CONFIG = "dsp_gemm_int8_16x16_ultrascale"
"""The supported configuration that the demo runs on."""


@dataclass(frozen=True)
class Product:
    """One matrix product of the layer.

    Parameters
    ----------
    problem : GemmProblem
        Operands and the model's own float result.
    cycles : int
        Equal in simulator and Verilog, or ``differences`` says so.
    losses : mapping of str to float
        Where the cycles go.
    utilisation : float
        Share of the array's MACs per cycle.
    error : FloatError
        Of the dequantised integer result against the model's float result.
    differences : tuple of Difference
        Between onnxruntime, golden model, simulator and Verilog; none is the point.
    seconds : mapping of str to float
        Wall time of each executor.
    """

    problem: GemmProblem
    cycles: int
    losses: Mapping[str, float]
    utilisation: float
    error: FloatError
    differences: tuple[Difference, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Demo:
    """What the demo found.

    Parameters
    ----------
    config : DspGemmConfig
        The core.
    products : tuple of Product
        Q projection and both matrices of the feed-forward network.
    cells : Cells
        Yosys' count of the core.
    """

    config: DspGemmConfig
    products: tuple[Product, ...]
    cells: Cells

    @property
    def passed(self) -> bool:
        """Whether all executors and onnxruntime agree."""
        return not any(p.differences for p in self.products)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        resources = {key: getattr(self.cells, key) for key in ("lut", "ff", "dsp", "bram36")}
        return {
            "config": self.config.to_dict(),
            "digest": self.config.digest,
            "passed": self.passed,
            "macs": sum(p.problem.shape.macs for p in self.products),
            "cycles": sum(p.cycles for p in self.products),
            "resources": resources,
            "layers": [
                {
                    "name": p.problem.name,
                    "m": p.problem.shape.m,
                    "k": p.problem.shape.k,
                    "n": p.problem.shape.n,
                    "macs": p.problem.shape.macs,
                    "cycles": p.cycles,
                    "utilisation": p.utilisation,
                    "losses": dict(p.losses),
                    "float_error": asdict(p.error),
                    "seconds": dict(p.seconds),
                    "first_difference": p.differences[0].to_dict() if p.differences else None,
                }
                for p in self.products
            ],
        }


def run_demo(tell: Callable[[str], None] = lambda text: None) -> Demo:
    """Run layer 0 of all-MiniLM-L6-v2 on three sentences.

    Raises
    ------
    MissingTool
        If the model's package, onnxruntime, Verilator or Yosys is missing.
    """
    tell("running all-MiniLM-L6-v2 with onnxruntime")
    problems = load_layer(0)
    config = CORE.supported[CONFIG]
    block = Block(CORE, config)
    tell("building the Verilog simulation")
    harness = block.harness()
    products = tuple(_product(config, harness, problem, tell) for problem in problems)
    tell("counting resources with Yosys")
    cells = synthesise(block.sources[0], block.emission.top)
    return Demo(config, products, cells)


def _product(
    config: DspGemmConfig, harness: Harness, problem: GemmProblem, tell: Callable[[str], None]
) -> Product:
    from sim import OPEN, simulate

    operations = [Gemm.checked(config, problem.activations, problem.weights)]
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        tell(f"{problem.name}: {name}")
        began = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - began
        return result

    golden: list[IntArray] = timed("golden", lambda: CORE.golden(config, operations))
    timing = CORE.timing(config)
    simulated = timed(
        "simulator", lambda: simulate(timing, operations, values=lambda ops: CORE.values(config, ops))
    )
    gated = simulate(timing, operations, inputs={"cmd": OPEN, "a": OPEN, "b": OPEN}, outputs={"c": OPEN})
    made = stimulus(CORE, config, operations, patterns("free", config.streams, 0))
    seen = timed("Verilog", lambda: harness.run(made))
    reference = timed("onnxruntime", lambda: ort_matmul_integer(problem.activations, problem.weights))
    found = (
        first_value(("onnxruntime", "golden"), [reference.astype(np.int64)], golden),
        first_value(("golden", "simulator"), golden, simulated.outputs),
        *verdict(CORE, config, operations, golden, gated, "Verilog", seen),
        None
        if simulated.cycles == seen.cycles
        else Difference("cycle", ("simulator", "Verilog"), "the run", simulated.cycles, seen.cycles),
    )
    return Product(
        problem,
        seen.cycles,
        timing.losses(operations[0]),
        problem.shape.macs / (config.rows * config.cols * seen.cycles),
        problem.float_error(golden[0].astype(np.int32)),
        tuple(d for d in found if d is not None),
        seconds,
    )
