"""The same fixtures as for the other cores, for this one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from hwgen.cores.sparse_chain import CORE, SparseChainConfig
from hwgen.errors import BadInput
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Stimulus


def _random_config(rng: np.random.Generator, **fixed: object) -> SparseChainConfig:
    while True:
        packing = str(rng.choice(["a8x2", "a8x2", "w4x3", "w2x4"]))
        draw = {
            "rows": int(rng.choice([1, 2, 3, 4, 6, 8, 8, 16, int(rng.integers(1, 13))])),
            "ways": int(rng.choice([1, 2, 4, 8])),
            "depth": int(2 ** rng.integers(6, 11)),
            "narrow": packing == "a8x2" and bool(rng.integers(2)),
            "packing": packing,
            "target": str(rng.choice(["generic", "ultrascale+"])),
            "sum_words": int(2 ** rng.integers(4, 10)),
            "size_bits": int(rng.integers(6, 33)),
        }
        try:
            return SparseChainConfig(**{**draw, **fixed})
        except BadInput:
            continue


@pytest.fixture(scope="session")
def random_config() -> Callable[..., SparseChainConfig]:
    """Draw a valid configuration of moderate size; keywords fix parameters."""
    return _random_config


@pytest.fixture(scope="session")
def stimulus(core_stimulus: Callable[..., Stimulus]) -> Callable[..., Stimulus]:
    """Beats and gates for operations in one of the four regimes."""
    return functools.partial(core_stimulus, CORE)


@pytest.fixture(scope="session")
def harness(core_harness: Callable[..., Harness]) -> Callable[[SparseChainConfig], Harness]:
    """The compiled harness of a configuration; built once per session."""
    return functools.partial(core_harness, CORE)


@pytest.fixture(scope="session")
def agree(three_agree: Callable[..., None]) -> Callable[..., None]:
    """Assert golden = simulator = Verilog under the compiled harness, in one regime."""
    return functools.partial(three_agree, CORE)
