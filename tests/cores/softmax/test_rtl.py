"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.softmax import CORE, SoftmaxConfig
from hwgen.cores.softmax.config import ITA_SCALE
from hwgen.verify.stimulus import REGIMES

ITA = {"in_fraction": 5, "scale": ITA_SCALE}
CI: dict[str, dict[str, Any]] = {
    "one element": {"lanes": 1, "longest": 1},
    "online_pow2, odd": {"lanes": 3, "longest": 50, "out_bits": 16},
    "online, after": {"variant": "online", "lanes": 2, "longest": 60, "normalise": "after_pv"},
    "twopass_ext": {"variant": "twopass_ext", "lanes": 3, "longest": 40, "reciprocal": "divider"},
    "unified_max": {"variant": "unified_max", "lanes": 4, "longest": 64, "phi": 4, "span": 6},
    "online_pow2, small multipliers": {"lanes": 2, "longest": 40, "out_bits": 16, "multiplier_bits": 18},
    "twopass_ext, small multipliers": {
        "variant": "twopass_ext", "lanes": 1, "longest": 40, "out_bits": 16, "multiplier_bits": 18
    },
    "table_exact": {"variant": "table_exact", "lanes": 2, "longest": 33, "in_bits": 8, "in_fraction": 4},
    "ibert": {"variant": "ibert", "lanes": 2, "longest": 40, "in_bits": 8, "in_fraction": 4},
    "softermax": {"variant": "softermax", "lanes": 4, "longest": 40, "in_bits": 8, "in_fraction": 2},
    "sole": {"variant": "sole", "lanes": 4, "longest": 40, "in_bits": 8, "in_fraction": 4},
    "ita": {"variant": "ita", "lanes": 4, "longest": 40, "in_bits": 8, **ITA},
}  # fmt: skip
SWEEP: dict[str, dict[str, Any]] = {
    "default": {},
    "one lane": {"lanes": 1},
    "online_pow2, words": {"out_bits": 16, "longest": 4096, "lanes": 8},
    "online_pow2, after": {"normalise": "after_pv", "lanes": 5, "longest": 300},
    "online_pow2, words, after, divider": {"normalise": "after_pv", "out_bits": 16, "reciprocal": "divider"},
    "online_pow2, bytes in": {"in_bits": 8, "in_fraction": 3, "lanes": 7, "longest": 129},
    "online_pow2, quad": {"kernel": "quad8", "scale": "1/3", "lanes": 2, "longest": 200},
    "online_pow2, wide logits": {"in_bits": 24, "in_fraction": 16, "out_bits": 16, "longest": 77},
    "online_pow2, narrow logits": {"in_bits": 4, "in_fraction": 0, "lanes": 16, "longest": 513},
    "online_pow2, fine sum": {"fe": 40, "lanes": 2, "longest": 31},
    "widest": {"lanes": 32, "longest": 4096},
    "online": {"variant": "online", "lanes": 4, "longest": 1000},
    "online, one lane, words": {"variant": "online", "lanes": 1, "longest": 300, "out_bits": 16},
    "online, words, after": {
        "variant": "online", "lanes": 3, "longest": 80, "out_bits": 16, "normalise": "after_pv"
    },
    "online, bytes in": {"variant": "online", "lanes": 6, "longest": 96, "in_bits": 8, "in_fraction": 2},
    "online, one element": {"variant": "online", "lanes": 1, "longest": 1},
    "online, divider": {"variant": "online", "lanes": 2, "longest": 9, "reciprocal": "divider"},
    "twopass_ext, one lane": {"variant": "twopass_ext", "lanes": 1, "longest": 100},
    "twopass_ext, words": {"variant": "twopass_ext", "lanes": 7, "longest": 4096, "out_bits": 16},
    "twopass_ext, bytes in": {"variant": "twopass_ext", "lanes": 16, "longest": 200, "in_bits": 8, "in_fraction": 3},
    "unified_max, always again": {"variant": "unified_max", "lanes": 2, "longest": 70, "phi": 184, "span": 1},
    "unified_max, words": {"variant": "unified_max", "lanes": 3, "longest": 500, "out_bits": 16, "span": 8},
    "unified_max, after": {
        "variant": "unified_max", "lanes": 4, "longest": 64, "normalise": "after_pv", "phi": 20, "span": 16
    },
    "unified_max, one element": {"variant": "unified_max", "lanes": 1, "longest": 1},
    "unified_max, bytes in": {
        "variant": "unified_max", "lanes": 5, "longest": 64, "in_bits": 8, "in_fraction": 4, "reciprocal": "divider"
    },
    "online, small multipliers": {
        "variant": "online", "lanes": 1, "longest": 384, "out_bits": 16, "multiplier_bits": 18
    },
    "unified_max, small multipliers": {
        "variant": "unified_max", "lanes": 2, "longest": 96, "out_bits": 16, "phi": 4, "span": 6, "multiplier_bits": 18
    },
    "online_pow2, small multipliers, after": {
        "lanes": 3, "longest": 200, "normalise": "after_pv", "kernel": "quad8", "multiplier_bits": 18
    },
    "table_exact, wide": {"variant": "table_exact", "lanes": 8, "longest": 1024, "in_bits": 8, "in_fraction": 4},
    "table_exact, narrow": {"variant": "table_exact", "lanes": 1, "longest": 20, "in_bits": 4, "in_fraction": 1},
    "table_exact, longest": {"variant": "table_exact", "lanes": 16, "longest": 4096, "in_bits": 8, "scale": "0.1"},
    "ibert, words": {"variant": "ibert", "lanes": 3, "longest": 300, "in_bits": 16, "out_bits": 16},
    "softermax, one lane": {"variant": "softermax", "lanes": 1, "longest": 300, "in_bits": 8, "in_fraction": 2},
    "sole, one lane": {"variant": "sole", "lanes": 1, "longest": 300, "in_bits": 6, "in_fraction": 3},
    "ita, one lane": {"variant": "ita", "lanes": 1, "longest": 256, "in_bits": 8, **ITA},
}  # fmt: skip


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", CI)
def test_three_executors_agree(name: str, regime: str, three_agree: Callable[..., None]) -> None:
    config = SoftmaxConfig(**CI[name])
    rng = np.random.default_rng([len(name), REGIMES.index(regime)])
    three_agree(CORE, config, CORE.random_operations(config, 60, rng), regime)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEP)
def test_the_sweep_agrees(name: str, three_agree: Callable[..., None]) -> None:
    config = SoftmaxConfig(**SWEEP[name])
    for i, regime in enumerate(REGIMES):
        rng = np.random.default_rng([11, len(name), i])
        three_agree(CORE, config, CORE.random_operations(config, 60, rng), regime, seed=i)
