"""The cheapest configuration for an error target, and the refusal of targets that cannot be met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwgen.cores.activation import Formats
from hwgen.cores.activation.accuracy import accuracy
from hwgen.cores.activation.design import cost, design
from hwgen.errors import BadInput

Q3_12 = Formats(in_bits=16, in_fraction=12, out_bits=16, out_fraction=12)
ULP = 2.0**-12


def softplus(v: Any) -> Any:
    return np.log1p(np.exp(v))


CASES: dict[str, tuple[Any, Formats, float, dict[str, Any], str]] = {
    "correct rounding": ("gelu", Formats(), 0.5 / 16, {}, "table"),
    "gelu": ("gelu", Q3_12, 4 * ULP, {}, "delta_uniform"),
    "sigmoid": ("sigmoid", Q3_12, 1 * ULP, {}, "uniform"),
    "exponential": (
        "exp", Formats(in_bits=16, in_fraction=12, in_signed=False, out_bits=18, out_fraction=17, out_signed=False),
        1e-4, {"scale": "-1"}, "uniform",
    ),
    "reciprocal": (
        "reciprocal", Formats(in_bits=16, in_fraction=8, in_signed=False, out_bits=16, out_fraction=12,
        out_signed=False), 4 * ULP, {"saturate": True}, "uniform",
    ),
    "signed reciprocal": ("reciprocal", Formats(), 1 / 16, {"saturate": True}, "table"),
    "callable": (softplus, Formats(in_bits=12, in_fraction=8, out_bits=13, out_fraction=8), 1 / 256, {}, "uniform"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_design_meets_its_target(name: str) -> None:
    function, formats, target, more, variant = CASES[name]
    config = design(function, formats, target, **more)
    assert accuracy(config, None if isinstance(function, str) else function).largest <= target
    assert config.variant == variant
    assert config.formats == formats


def test_a_loose_target_costs_less() -> None:
    tight, loose = (design("gelu", Q3_12, target * ULP) for target in (0.75, 8))
    assert cost(loose) < cost(tight)
    assert loose.pieces.table_bits < tight.pieces.table_bits / 4


def test_an_unreachable_target_is_refused_with_the_nearest() -> None:
    message = (
        r"^no variant stays within 0\.0001; the nearest, delta_\w+ with \d+ table bits, about \d+ LUT, \d DSP and 0 "
        r"block RAM, stays within 0\.0001\d+: allow that, or more fraction bits of results$"
    )
    formats = Formats(in_bits=14, in_fraction=11, out_bits=16, out_fraction=12)
    with pytest.raises(BadInput, match=message):
        design("gelu", formats, 1e-4)
    with pytest.raises(
        BadInput, match=r"^no variant stays within 0\.03; the nearest, table with 2048 table bits"
    ):
        design("gelu", Formats(), 0.03)


def test_functions_without_results_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^the function is not a number at -8;"):
        design(np.log, Formats(), 0.1)
    with pytest.raises(BadInput, match=r"^gelu is 3\.99987 at 4, but s8 with 5 fraction bits"):
        design("gelu", Formats(out_fraction=5), 0.1)
