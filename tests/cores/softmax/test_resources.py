"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwgen.cores.softmax import CORE, SoftmaxConfig
from hwgen.cores.softmax.config import OWN, VARIANTS
from tests.cores.softmax.conftest import BYTES, PEERS

TOLERANCE = 0.15

CONFIGS: list[dict[str, Any]] = [
    {"lanes": 2, "longest": 200},
    {"lanes": 1, "longest": 40, "out_bits": 16, "normalise": "after_pv"},
    {"variant": "table_exact", "lanes": 1, "longest": 100, **BYTES},
    {"variant": "sole", "lanes": 2, "longest": 64, **PEERS["sole"]},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=lambda s: "-".join(map(str, s.values())))
def test_estimate_is_near_what_yosys_counts(
    settings: dict[str, Any], near_yosys: Callable[..., None]
) -> None:
    near_yosys(CORE, SoftmaxConfig(**settings), TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("lanes", [1, 7, 31])
def test_more_of_it_never_costs_less(variant: str, lanes: int) -> None:
    own = {"table_exact": BYTES, **PEERS}.get(variant, {})
    settings: dict[str, Any] = {"variant": variant, "lanes": lanes, "longest": 512, **own}
    guess = CORE.resources(SoftmaxConfig(**settings))
    wider: tuple[dict[str, Any], ...] = ({"lanes": lanes + 1}, {"longest": 4096})
    if variant in OWN and variant != "table_exact":
        wider += ({"fe": 30},)
    for more in wider:
        other = CORE.resources(SoftmaxConfig(**{**settings, **more}))
        # Longer rows may move from LUTs to block RAM.
        assert other.lut >= guess.lut > 0 or other.bram36 > guess.bram36
        assert other.ff >= guess.ff > 0
        assert other.dsp >= guess.dsp
        assert other.bram36 >= guess.bram36
