"""Rooflines, timelines and signed bars: what they show, and what they refuse."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.report import Point, gantt, roofline, stacked_bars
from hwgen.report.machine import _filled

POINTS = [Point("a", 1.0, 4.0, "x"), Point("b", 30.0, 60.0, "y"), Point("c", 30.1, 60.1, "y")]


def texts(svg):
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_roofline_names_roofs_slope_and_points_but_not_on_each_other():
    written = texts(roofline(POINTS, {"peak": 64.0, "half": 32.0}, bandwidth=8.0))
    assert {"peak", "half", "8 bytes per cycle", "a", "x", "y"} <= set(written)
    assert {"b", "c"} & set(written)


def test_many_points_at_one_place_leave_names_out():
    points = [Point(f"name {i}", 2.0, 3.0, "x") for i in range(30)]
    named = [text for text in texts(roofline(points, {"peak": 8.0}, bandwidth=2.0)) if "name" in text]
    assert 1 <= len(named) <= 4


def test_a_timeline_names_tracks_and_stretches_that_have_room():
    svg = gantt(
        {"load": ([0, 50], [9, 99]), "dsp": ([], [])},
        first=0,
        last=199,
        marks={"first": (0, 100), "narrow": (100, 101)},
    )
    written = texts(svg)
    assert {"load", "dsp", "first", "cycle"} <= set(written)
    assert "narrow" not in written


@pytest.mark.parametrize("seed", range(10))
def test_cells_show_the_busy_part_of_their_time(seed):
    rng = np.random.default_rng(seed)
    busy = rng.random(300) < 0.4
    begins = np.flatnonzero(busy & ~np.r_[False, busy[:-1]])
    ends = np.flatnonzero(busy & ~np.r_[busy[1:], False])
    edges = np.linspace(20, 260, 17)
    want = [busy[int(a) : int(b)].mean() for a, b in pairwise(edges)]
    np.testing.assert_allclose(_filled("t", begins, ends, edges), want, atol=1e-9)


def test_signed_parts_leave_the_total():
    svg = stacked_bars(["a", "b"], {"x": [10.0, 4.0], "y": [-3.0, 0.0]}, ylabel="c", signed=True)
    assert {"7", "4"} <= set(texts(svg))
    assert "7" not in texts(stacked_bars(["a"], {"x": [7.0]}, ylabel="c", totals=False))


def test_a_part_has_the_colour_that_it_is_given():
    svg = stacked_bars(["a"], {"x": [1.0]}, ylabel="c", colours={"x": "#123456"})
    assert re.search("#123456", svg)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: roofline([], {"p": 1}, bandwidth=1), "at least one point"),
        (lambda: roofline(POINTS, {}, bandwidth=1), "at least one point and one peak"),
        (lambda: roofline(POINTS, {"p": 0}, bandwidth=1), "above zero"),
        (lambda: roofline([Point("a", float("inf"), 1, "x")], {"p": 1}, bandwidth=1), "must be finite"),
        (lambda: gantt({}, first=0, last=9), "at least one track"),
        (lambda: gantt({"t": ([], [])}, first=3, last=3), "last must be above first"),
        (lambda: gantt({"t": ([1], [2, 3])}, first=0, last=9), "1 first and 2 last cycles"),
        (lambda: stacked_bars(["a"], {"x": [-1]}, ylabel="c"), "zero or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(BadInput, match=message):
        draw()
