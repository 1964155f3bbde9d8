"""The same fixtures as for the other cores, for this one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from hwgen.cores.activation import CORE, ActivationConfig
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import Stimulus


@pytest.fixture(scope="session")
def stimulus(core_stimulus: Callable[..., Stimulus]) -> Callable[..., Stimulus]:
    """Beats and gates for operations in one of the four regimes."""
    return functools.partial(core_stimulus, CORE)


@pytest.fixture(scope="session")
def harness(core_harness: Callable[..., Harness]) -> Callable[[ActivationConfig], Harness]:
    """The compiled harness of a configuration; built once per session."""
    return functools.partial(core_harness, CORE)


@pytest.fixture(scope="session")
def agree(three_agree: Callable[..., None]) -> Callable[..., None]:
    """Assert golden = simulator = Verilog under the compiled harness, in one regime."""
    return functools.partial(three_agree, CORE)
