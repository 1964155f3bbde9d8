"""The resource estimate against Yosys, on configurations small enough for every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwgen.cores.norm import CORE, NormConfig

TOLERANCE = 0.15

CONFIGS: list[dict[str, Any]] = [
    {"lanes": 2, "longest": 200},
    {"form": "rms", "lanes": 2, "longest": 90, "in_bits": 16, "terms": 2, "multiplier_bits": 18},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=lambda s: "-".join(map(str, s.values())))
def test_estimate_is_near_what_yosys_counts(
    settings: dict[str, Any], near_yosys: Callable[..., None]
) -> None:
    near_yosys(CORE, NormConfig(**settings), TOLERANCE)


@pytest.mark.parametrize("form", ["layer", "rms"])
@pytest.mark.parametrize("in_bits", [8, 16])
@pytest.mark.parametrize("lanes", [1, 7, 31])
def test_more_of_it_never_costs_less(form: str, in_bits: int, lanes: int) -> None:
    settings: dict[str, Any] = {"form": form, "in_bits": in_bits, "lanes": lanes, "longest": 512}
    guess = CORE.resources(NormConfig(**settings))
    for more in ({"lanes": lanes + 1}, {"terms": 2}, {"longest": 4096}, {"multiplier_bits": 18}):
        other = CORE.resources(NormConfig(**{**settings, **more}))
        assert other.ff >= guess.ff > 0
        assert other.dsp >= guess.dsp > 0


def test_a_lane_costs_two_multipliers() -> None:
    one, two = (CORE.resources(NormConfig(lanes=lanes)) for lanes in (8, 9))
    assert two.dsp - one.dsp == 2
