"""The demo, whole: the real layer on three executors, and the report of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgen.commands.demo import Demo, run_demo
from hwgen.commands.demo_report import demo_report
from hwgen.report import render


@pytest.fixture(scope="module")
def demo() -> Demo:
    """The demo's findings."""
    return run_demo()


def test_every_executor_agrees_with_onnxruntime(demo: Demo) -> None:
    assert [p.problem.name for p in demo.products] == ["layer0.q_proj", "layer0.ffn_up", "layer0.ffn_down"]
    for product in demo.products:
        assert product.differences == ()
    assert demo.passed


def test_the_array_is_busy_and_every_lost_cycle_has_a_name(demo: Demo) -> None:
    for product in demo.products:
        assert product.utilisation > 0.97
        assert sum(product.losses.values()) == product.cycles


def test_the_float_error_is_that_of_the_activations(demo: Demo) -> None:
    for product in demo.products:
        assert 0 < product.error.relative < 0.08


def test_the_report_stands_alone(demo: Demo, tmp_path: Path) -> None:
    page = render(demo_report(demo))
    (tmp_path / "report.html").write_text(page)
    for product in demo.products:
        assert product.problem.name in page
        assert f"{product.cycles:,}" in page
    assert "DISAGREE" not in page
    assert str(Path.home()) not in page
