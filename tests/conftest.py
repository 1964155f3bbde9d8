"""What several tests share: the core under test, random configurations of it, and the three executors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
import pytest

import sim
from hwgen.core import Core
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.errors import BadInput
from hwgen.synthesis import synthesise
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Observation, Stimulus, lasts, patterns
from hwgen.verify.stimulus import stimulus as made


@functools.cache
def _harness(core: Core, config: Any) -> Harness:
    return Block(core, config).harness()


def _stimulus(core: Core, config: Any, ops: list[Any], regime: str = "free", seed: int = 1) -> Stimulus:
    return made(core, config, ops, patterns(regime, core.streams(config), seed))


def _same_as_models(core: Core, config: Any, ops: list[Any], stimulus: Stimulus, seen: Observation) -> None:
    """Assert that a run showed what golden model and simulator say: every value, every beat's cycle."""
    golden = core.golden(config, ops)
    streams = {stream.name: stream for stream in core.streams(config)}
    gates = {name: sim.Gate(pattern) for name, pattern in stimulus.gates.items()}
    told = sim.simulate(
        core.timing(config),
        ops,
        values=lambda todo: core.values(config, todo),
        inputs={name: gate for name, gate in gates.items() if streams[name].direction == "in"},
        outputs={name: gate for name, gate in gates.items() if streams[name].direction == "out"},
    )
    assert told.outputs is not None
    results = zip(golden, told.outputs, core.collect(config, ops, seen.outputs), strict=True)
    for expected, simulated, got in results:
        np.testing.assert_array_equal(simulated, expected)
        np.testing.assert_array_equal(got, expected)
    for name in streams:
        np.testing.assert_array_equal(seen.transfers[name], told.transfers[name], name)
    assert seen.cycles == told.cycles
    assert not core.outside(config, ops, seen.outputs).any()
    counts = core.marks(config, ops)
    for name, found in seen.lasts.items():
        np.testing.assert_array_equal(found, lasts(counts[name]), name)
    first = next(
        name for name, stream in streams.items() if stream.direction == "in"
    )  # what starts an operation
    for i in range(len(ops)):
        moved = {
            name: seen.transfers[name][sum(counts[name][:i]) : sum(counts[name][: i + 1])]
            for name in streams
            if counts[name][i]
        }
        assert told.starts[i] == moved[first][0]
        assert told.ends[i] == max(times[-1] for times in moved.values())


def _three_agree(core: Core, config: Any, ops: list[Any], regime: str = "free", seed: int = 1) -> None:
    stimulus = _stimulus(core, config, ops, regime, seed)
    seen = _harness(core, config).run(stimulus)
    _same_as_models(core, config, ops, stimulus, seen)
    if regime == "free":
        free = sim.simulate(core.timing(config), ops)
        assert free.cycles == seen.cycles
        gated = sim.simulate(
            core.timing(config), ops,
            inputs={s.name: sim.OPEN for s in core.streams(config) if s.direction == "in"},
            outputs={s.name: sim.OPEN for s in core.streams(config) if s.direction == "out"},
        )  # fmt: skip
        assert (list(free.starts), list(free.ends)) == (list(gated.starts), list(gated.ends))


def _random_config(rng: np.random.Generator, **fixed: object) -> DspGemmConfig:
    while True:
        draw = {
            "rows": int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, int(rng.integers(1, 41))])),
            "cols": int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, int(rng.integers(1, 41))])),
            "act_bits": int(rng.integers(2, 9)),
            "weight_bits": int(rng.integers(2, 9)),
            "act_signed": bool(rng.integers(2)),
            "weight_signed": bool(rng.integers(2)),
            "target": str(rng.choice(["generic", "ultrascale+"])),
            "packing": str(rng.choice(["auto", "none", "int8x2", "int4x4"])),
            "tile_steps": int(2 ** rng.integers(2, 10)),
            "size_bits": int(rng.integers(4, 33)),
        }
        try:
            return DspGemmConfig(**{**draw, **fixed})
        except BadInput:
            continue


@pytest.fixture(scope="session")
def random_config() -> Callable[..., DspGemmConfig]:
    """Draw a valid configuration from the whole parameter space; keywords fix parameters."""
    return _random_config


@pytest.fixture(scope="session")
def three_agree() -> Callable[..., None]:
    """Assert golden = simulator = compiled Verilog of any core: (core, config, operations, regime)."""
    return _three_agree


def _near_yosys(core: Core, config: Any, tolerance: float) -> None:
    """Assert that the estimate has Yosys' DSP blocks and block RAMs, and nearly its LUTs and flip-flops."""
    block = Block(core, config)
    cells = synthesise(block.sources[0], block.emission.top)
    guess = core.resources(config)
    assert guess.dsp == cells.dsp
    assert guess.bram36 == ceil(cells.bram36)
    assert guess.lut == pytest.approx(cells.lut, rel=tolerance)
    assert guess.ff == pytest.approx(cells.ff, rel=tolerance)


@pytest.fixture(scope="session")
def near_yosys() -> Callable[..., None]:
    """Assert that the resource estimate of any core is near what Yosys counts: (core, config, tolerance)."""
    return _near_yosys


@pytest.fixture(scope="session")
def core_harness() -> Callable[..., Harness]:
    """The compiled harness of any core: (core, config); built once per session."""
    return _harness


@pytest.fixture(scope="session")
def core_stimulus() -> Callable[..., Stimulus]:
    """Beats and gates for operations of any core: (core, config, operations, regime)."""
    return _stimulus


@pytest.fixture(scope="session")
def stimulus() -> Callable[..., Stimulus]:
    """Beats and gates for operations of ``dsp_gemm`` in one of the four regimes."""
    return functools.partial(_stimulus, CORE)


@pytest.fixture(scope="session")
def harness() -> Callable[[DspGemmConfig], Harness]:
    """The compiled harness of a configuration of ``dsp_gemm``; built once per session."""
    return functools.partial(_harness, CORE)


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Assert golden = simulator = Verilog of ``dsp_gemm`` under the compiled harness, in one regime."""
    return functools.partial(_three_agree, CORE)


@pytest.fixture(scope="session")
def same_as_models() -> Callable[..., None]:
    """Assert that what was seen of ``dsp_gemm`` is what golden model and simulator say."""
    return functools.partial(_same_as_models, CORE)
