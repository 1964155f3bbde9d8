"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.norm import CORE, NormConfig, Parameters, Row
from hwgen.cores.norm.operation import random_parameters
from hwgen.verify.stimulus import REGIMES

CI: dict[str, dict[str, Any]] = {
    "one element": {"lanes": 1, "longest": 1},
    "odd": {"lanes": 3, "longest": 50, "out_bits": 16, "gamma_fraction": 3, "terms": 2},
    "small multipliers": {"lanes": 4, "longest": 100, "in_bits": 16, "multiplier_bits": 18},
    "rms": {"form": "rms", "lanes": 8, "longest": 64, "in_bits": 16, "out_bits": 16, "terms": 2},
    "widest": {"lanes": 32, "longest": 4096, "terms": 0, "multiplier_bits": 25},
}
SWEEP: dict[str, dict[str, Any]] = {
    "rms, one element": {"form": "rms", "lanes": 1, "longest": 1, "in_bits": 16},
    "two elements": {"lanes": 2, "longest": 2, "terms": 2, "multiplier_bits": 18},
    "fewer than lanes": {"lanes": 7, "longest": 3, "terms": 0},
    "default": {},
    "default, rms": {"form": "rms"},
    "minilm": {"lanes": 4, "longest": 384, "terms": 2},
    "minilm, ecp5": {"lanes": 4, "longest": 384, "multiplier_bits": 18},
    "bytes to words": {"lanes": 2, "longest": 300, "out_bits": 16, "gamma_fraction": 0, "terms": 2},
    "words to bytes": {"lanes": 5, "longest": 129, "in_bits": 16, "gamma_fraction": 17, "terms": 1},
    "words": {"lanes": 16, "longest": 768, "in_bits": 16, "out_bits": 16, "gamma_fraction": 3, "terms": 2},
    "words, ecp5": {"lanes": 1, "longest": 512, "in_bits": 16, "terms": 2, "multiplier_bits": 18},
    "words, 7 series": {"lanes": 2, "longest": 4096, "in_bits": 16, "terms": 2, "multiplier_bits": 25},
    "words, table": {"lanes": 8, "longest": 1000, "in_bits": 16, "out_bits": 16, "terms": 0},
    "rms, bytes, table": {"form": "rms", "lanes": 6, "longest": 77, "terms": 0, "multiplier_bits": 18},
    "rms, words, longest": {"form": "rms", "lanes": 9, "longest": 4096, "in_bits": 16, "terms": 2},
    "longest": {"lanes": 1, "longest": 4096},
    "longest but one": {"lanes": 31, "longest": 4095, "terms": 2},
}


def _config(settings: dict[str, Any]) -> NormConfig:
    return NormConfig(**settings)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", CI)
def test_three_executors_agree(name: str, regime: str, three_agree: Callable[..., None]) -> None:
    config = _config(CI[name])
    rng = np.random.default_rng([len(name), REGIMES.index(regime)])
    three_agree(CORE, config, CORE.random_operations(config, 60, rng), regime)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEP)
def test_the_sweep_agrees(name: str, three_agree: Callable[..., None]) -> None:
    config = _config(SWEEP[name])
    for i, regime in enumerate(REGIMES):
        rng = np.random.default_rng([11, len(name), i])
        three_agree(CORE, config, CORE.random_operations(config, 60, rng), regime, seed=i)


@pytest.mark.parametrize("name", ["odd", "rms"])
def test_every_place_of_the_leading_one(name: str, three_agree: Callable[..., None]) -> None:
    """Rows whose spread begins at each of its bits, from one element that differs by one to alternating ends."""
    config = _config(CI[name])
    form, longest = config.element, config.longest
    rng = np.random.default_rng(7)
    load = random_parameters(config, longest, rng)
    load = Parameters(np.full(longest, 3 << config.gamma_fraction), load.beta, 0)
    ops: list[Row] = []
    for n in (1, 2, 3, 5, 17, longest):
        for size in (1 << np.arange(config.in_bits)) - 1:
            x = np.zeros(n, np.int64)
            x[:: int(rng.integers(1, n + 1))] = size * int(rng.choice([-1, 1]))
            x = np.clip(x + int(rng.choice([0, 0, form.low, form.high])), form.low, form.high)
            ops.append(Row(x, np.ones(n, np.bool_), None if ops else load))
    three_agree(CORE, config, ops)


@pytest.mark.parametrize("regime", REGIMES)
def test_sets_with_every_row(regime: str, three_agree: Callable[..., None]) -> None:
    """Each row brings its own, of another length; rows of one beat follow each other at once."""
    config = _config(CI["odd"])
    rng = np.random.default_rng(8)
    ops = []
    for i in range(60):
        n = int(rng.choice([1, 3, 4, 50]))
        load = random_parameters(config, int(rng.integers(n, 51)), rng) if i < 20 or i % 7 == 0 else None
        if load is None:
            n = min(n, ops[-1].load.channels if ops[-1].load else len(ops[-1].x))
        ops.append(Row(config.element.random(rng, (n,)), rng.random(n) < 0.9, load))
    three_agree(CORE, config, ops, regime)
