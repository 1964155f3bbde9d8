"""The same fixtures as for the other cores, for this one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import sim
from hwgen.cores.lut_gemm import CORE, Gemm, LutGemmConfig
from hwgen.errors import BadInput
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Stimulus, patterns


@functools.cache
def _harness(config: LutGemmConfig) -> Harness:
    return Block(CORE, config).harness()


def _stimulus(config: LutGemmConfig, ops: list[Gemm], regime: str = "free", seed: int = 1) -> Stimulus:
    expected = {"c": sum(CORE.marks(config, ops)["c"])}
    return Stimulus(CORE.stimulus(config, ops), expected, patterns(regime, config.streams, seed))


def _agree(config: LutGemmConfig, ops: list[Gemm], regime: str = "free", seed: int = 1) -> None:
    stimulus = _stimulus(config, ops, regime, seed)
    seen = _harness(config).run(stimulus)
    gates = {name: sim.Gate(pattern) for name, pattern in stimulus.gates.items()}
    told = sim.simulate(
        CORE.timing(config),
        ops,
        values=lambda todo: CORE.values(config, todo),
        inputs={name: gate for name, gate in gates.items() if name != "c"},
        outputs={"c": gates["c"]},
    )
    assert told.outputs is not None
    for expected, simulated, got in zip(
        CORE.golden(config, ops), told.outputs, CORE.collect(config, ops, seen.outputs), strict=True
    ):
        np.testing.assert_array_equal(simulated, expected)
        np.testing.assert_array_equal(got, expected)
    for stream in config.streams:
        np.testing.assert_array_equal(seen.transfers[stream.name], told.transfers[stream.name], stream.name)
    assert seen.cycles == told.cycles
    assert not CORE.outside(config, ops, seen.outputs).any()
    last_beats = np.cumsum(CORE.marks(config, ops)["c"])
    np.testing.assert_array_equal(np.flatnonzero(seen.lasts["c"]) + 1, last_beats)
    assert list(told.starts) == seen.transfers["cmd"].tolist()
    assert list(told.ends) == seen.transfers["c"][last_beats - 1].tolist()
    if regime == "free":
        free = sim.simulate(CORE.timing(config), ops)
        assert (list(free.starts), list(free.ends)) == (list(told.starts), list(told.ends))


def _random_config(rng: np.random.Generator, **fixed: object) -> LutGemmConfig:
    while True:
        draw = {
            "dm": int(rng.choice([1, 2, 3, 5, 8, 9, int(rng.integers(1, 12))])),
            "dk": int(rng.choice([8, 8, 16, 32, 64])),
            "dn": int(rng.choice([1, 2, 3, 5, 8, 9, int(rng.integers(1, 12))])),
            "a_words": int(2 ** rng.integers(3, 8)),
            "b_words": int(2 ** rng.integers(3, 8)),
            "target": str(rng.choice(["generic", "ultrascale+"])),
            "size_bits": int(rng.integers(6, 33)),
        }
        try:
            return LutGemmConfig(**{**draw, **fixed})
        except BadInput:
            continue


@pytest.fixture(scope="session")
def random_config() -> Callable[..., LutGemmConfig]:
    """Draw a valid configuration of moderate size; keywords fix parameters."""
    return _random_config


@pytest.fixture(scope="session")
def stimulus() -> Callable[..., Stimulus]:
    """Beats and gates for operations in one of the four regimes."""
    return _stimulus


@pytest.fixture(scope="session")
def harness() -> Callable[[LutGemmConfig], Harness]:
    """The compiled harness of a configuration; built once per session."""
    return _harness


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Assert golden = simulator = Verilog under the compiled harness, in one regime."""
    return _agree
