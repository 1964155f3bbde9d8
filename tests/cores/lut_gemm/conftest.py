"""The same fixtures as for the other cores, for this one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from hwgen.cores.lut_gemm import CORE, LutGemmConfig
from hwgen.errors import BadInput
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Stimulus


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
def stimulus(core_stimulus: Callable[..., Stimulus]) -> Callable[..., Stimulus]:
    """Beats and gates for operations in one of the four regimes."""
    return functools.partial(core_stimulus, CORE)


@pytest.fixture(scope="session")
def harness(core_harness: Callable[..., Harness]) -> Callable[[LutGemmConfig], Harness]:
    """The compiled harness of a configuration; built once per session."""
    return functools.partial(core_harness, CORE)


@pytest.fixture(scope="session")
def agree(three_agree: Callable[..., None]) -> Callable[..., None]:
    """Assert golden = simulator = Verilog under the compiled harness, in one regime."""
    return functools.partial(three_agree, CORE)
