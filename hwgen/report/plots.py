"""Plots as SVG text: one look, colours that a colour-blind reader can tell apart, real text.

Every function returns a whole SVG document. Equal arguments give equal text: identifiers are hashed
with a fixed salt, no date is written, and no global state of matplotlib is changed or read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hwgen.errors import BadInput
from hwgen.report.look import (
    HEIGHT,
    INK,
    PALETTE,
    SOFT,
    as_svg,
    captions,
    colour_of,
    draw_legend,
    look,
    new_axes,
    refuse_infinite,
    scale,
    short,
)

__all__ = ["PALETTE", "bars", "histogram", "scatter", "stacked_bars"]

# Labels that need more characters than this side by side are stacked downwards instead.
_ROOM = 92
_MOST_DIRECT_LABELS = 36


def bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    title: str = "",
    log: bool = False,
    value_format: str = "",
) -> str:
    """Grouped bars with their values written on them.

    Parameters
    ----------
    labels : sequence of str
        One per group. Many or long labels turn the plot on its side.
    series : mapping of str to sequence of float
        Heights of one bar per group, in the unit of ``ylabel``; zero or more.
    ylabel : str
        Quantity and unit of the heights.
    title : str
        Optional; the report has its own.
    log : bool
        Logarithmic heights; then every height must be above zero.
    value_format : str
        Format specification of the direct labels, such as ``".1f"``; by default short numbers with
        K, M and G.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If nothing is given, lengths differ, a value is not finite, or ``log`` meets a value of zero.
    """
    data = _checked(labels, series, log=log)
    with look():
        plot = _BarPlot(labels, per_group=len(data))
        thickness = 0.8 / len(data)
        for index, (name, values) in enumerate(data.items()):
            offset = (index - (len(data) - 1) / 2) * thickness
            plot.add(values, offset=offset, thickness=thickness * 0.92, colour=colour_of(index), name=name)
            if len(labels) * len(data) <= _MOST_DIRECT_LABELS:
                plot.write(values, [short(v, value_format) for v in values], offset)
        plot.finish(ylabel=ylabel, title=title, log=log, legend=len(data) > 1)
        return as_svg(plot.figure)


def stacked_bars(
    labels: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    title: str = "",
    bound: Sequence[float] | None = None,
    bound_label: str = "physical bound",
    value_format: str = "",
    colours: Mapping[str, str] | None = None,
    signed: bool = False,
    totals: bool = True,
) -> str:
    """Bars made of parts, such as cycles per layer by cause, with an optional bound marked on each.

    Parameters
    ----------
    labels : sequence of str
        One per bar. Many or long labels turn the plot on its side.
    parts : mapping of str to sequence of float
        Height of each part of each bar, from the axis outwards, in the unit of ``ylabel``; zero or more.
    ylabel : str
        Quantity and unit of the heights.
    title : str
        Optional; the report has its own.
    bound : sequence of float, optional
        A value per bar drawn as a line across it, such as the fewest cycles the hardware allows.
    bound_label : str
        Name of ``bound`` in the legend.
    value_format : str
        Format specification of the totals; by default short numbers with K, M and G.
    colours : mapping of str to str, optional
        Colours of parts that are to have their own.
    signed : bool
        Whether parts may be negative: they then go the other way from the axis, and the total is what is left.
    totals : bool
        Whether totals are written on the bars, where there is room.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If nothing is given, lengths differ, or a value is negative or not finite.
    """
    data = _checked(labels, parts, signed=signed)
    marks = None if bound is None else _checked(labels, {bound_label: bound})[bound_label]
    with look():
        plot = _BarPlot(labels, per_group=1)
        base, below = np.zeros(len(labels)), np.zeros(len(labels))
        for index, (name, values) in enumerate(data.items()):
            colour = (colours or {}).get(name, colour_of(index))
            start = np.where(values < 0, below, base)
            plot.add(values, base=start, thickness=0.72, colour=colour, name=name)
            base, below = base + np.maximum(values, 0), below + np.minimum(values, 0)
        plot.lowest = float(below.min())
        tops = base
        if marks is not None:
            plot.mark(marks, name=bound_label)
            tops = np.maximum(base, marks)
        if totals and len(labels) <= _MOST_DIRECT_LABELS:
            plot.write(tops, [short(v, value_format) for v in base + below], 0.0)
        plot.finish(ylabel=ylabel, title=title, log=False, legend=True)
        return as_svg(plot.figure)


def scatter(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    diagonal: bool = False,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Points, in as many colours and marks as there are series.

    Parameters
    ----------
    series : mapping of str to sequence of (float, float)
        Points ``(x, y)`` of each series, in the units of the axis labels.
    xlabel, ylabel : str
        Quantity and unit of each axis.
    title : str
        Optional; the report has its own.
    log_x, log_y : bool
        Logarithmic axis; then its values must be above zero.
    diagonal : bool
        Draw the line ``y = x``, for predicted against measured.
    labels : mapping of str to sequence of str, optional
        Per series a label for each point, written next to it; an empty string writes nothing.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If nothing is given, a value is not finite, a logarithmic axis meets a value not above zero, or
        there are not as many labels as points.
    """
    points = {name: _checked_points(name, pairs, log_x, log_y) for name, pairs in series.items()}
    if not points:
        raise BadInput("scatter needs at least one series of points; leave the figure out if there is none.")
    with look():
        figure, axes = new_axes(HEIGHT + 0.3)
        scale(axes.xaxis, log=log_x)
        scale(axes.yaxis, log=log_y)
        for index, (name, xy) in enumerate(points.items()):
            marker = "osD^vP*"[index % 7]
            axes.plot(
                xy[:, 0], xy[:, 1], marker, color=colour_of(index), markersize=6, alpha=0.85,
                markeredgecolor="white", markeredgewidth=0.7, label=name,
            )  # fmt: skip
            _label_points(axes, name, xy, (labels or {}).get(name, ()))
        if diagonal:
            low, high = _common_range(points)
            axes.plot(
                [low, high], [low, high], color=SOFT, linewidth=1, dashes=(4, 3), zorder=1, label="y = x"
            )
        axes.grid(visible=True)
        captions(axes, xlabel=xlabel, ylabel=ylabel, title=title)
        draw_legend(axes, wanted=len(points) > 1 or diagonal)
        return as_svg(figure)


def histogram(
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str = "count",
    title: str = "",
    bins: int = 40,
    log: bool = False,
) -> str:
    """How often values fall into each of ``bins`` equal ranges; all series share the ranges.

    Parameters
    ----------
    series : mapping of str to sequence of float
        Values of each series, in the unit of ``xlabel``.
    xlabel : str
        Quantity and unit of the values.
    ylabel : str
        What is counted.
    title : str
        Optional; the report has its own.
    bins : int
        Number of ranges, at least 1.
    log : bool
        Logarithmic counts, for tails.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If nothing is given, a value is not finite, or ``bins`` is below 1.
    """
    if bins < 1:
        raise BadInput(f"bins must be at least 1, not {bins}; 20 to 60 read well.")
    data = {name: np.asarray(values, np.float64) for name, values in series.items()}
    if not data or any(values.size == 0 for values in data.values()):
        raise BadInput("histogram needs at least one value in every series; leave out the empty ones.")
    refuse_infinite(data)
    edges = np.histogram_bin_edges(np.concatenate(list(data.values())), bins)
    with look():
        figure, axes = new_axes(HEIGHT)
        for index, (name, values) in enumerate(data.items()):
            counts, _ = np.histogram(values, edges)
            # Overlapping series stay readable as a faint area under a firm outline.
            alpha = 0.9 if len(data) == 1 else 0.25
            axes.stairs(counts, edges, fill=True, color=colour_of(index), alpha=alpha, linewidth=0)
            axes.stairs(counts, edges, color=colour_of(index), linewidth=1.4, label=name)
        scale(axes.xaxis, log=False)
        scale(axes.yaxis, log=log)
        if not log:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True, axis="y")
        captions(axes, xlabel=xlabel, ylabel=ylabel, title=title)
        draw_legend(axes, wanted=len(data) > 1)
        return as_svg(figure)


class _BarPlot:
    """Bars over categories, upright or on their side, behind one set of calls.

    Parameters
    ----------
    labels : sequence of str
        One per category.
    per_group : int
        Bars side by side in one category; sets the height when the plot lies on its side.
    """

    def __init__(self, labels: Sequence[str], per_group: int) -> None:
        widest = max(len(label) for label in labels) + 2
        self.sideways = widest * len(labels) > _ROOM
        height = HEIGHT if not self.sideways else 1.0 + len(labels) * (0.13 + 0.19 * per_group)
        self.figure, self.axes = new_axes(height)
        self.places = np.arange(len(labels), dtype=np.float64)
        self.shortest = math.inf
        self.lowest = 0.0  # how far parts reach below the axis
        if self.sideways:
            self.axes.set_yticks(self.places, labels)
            self.axes.set_ylim(len(labels) - 0.5, -0.5)  # first label on top
        else:
            self.axes.set_xticks(self.places, labels)
            self.axes.set_xlim(-0.6, len(labels) - 0.4)
        self.axes.tick_params(axis="y" if self.sideways else "x", length=0)

    def add(
        self, values: np.ndarray, *, thickness: float, colour: str, name: str,
        offset: float = 0.0, base: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Draw one bar per category, from ``base`` (default zero) upwards."""
        self.shortest = min(self.shortest, float(values.min()))
        if self.sideways:
            self.axes.barh(
                self.places + offset, values, thickness, base, color=colour, label=name, linewidth=0
            )
        else:
            self.axes.bar(
                self.places + offset, values, thickness, base, color=colour, label=name, linewidth=0
            )

    def mark(self, values: np.ndarray, *, name: str) -> None:
        """Draw a line across each bar at ``values``."""
        low, high = self.places - 0.43, self.places + 0.43
        draw = self.axes.vlines if self.sideways else self.axes.hlines
        draw(values, low, high, color=INK, linewidth=2, label=name)

    def write(self, tops: np.ndarray, texts: Sequence[str], offset: float) -> None:
        """Write a text at the outer end of each bar."""
        for place, top, text in zip(self.places + offset, tops, texts, strict=True):
            if self.sideways:
                anchor: dict[str, Any] = {"xy": (top, place), "xytext": (4, 0), "va": "center", "ha": "left"}
            else:
                anchor = {"xy": (place, top), "xytext": (0, 3), "va": "bottom", "ha": "center"}
            self.axes.annotate(text, textcoords="offset points", fontsize=8.5, **anchor)

    def _lowest_decade(self) -> float:
        """The power of ten below the shortest bar, so that this bar too has a length."""
        return float(10.0 ** math.floor(math.log10(self.shortest) - 0.05))

    def finish(self, *, ylabel: str, title: str, log: bool, legend: bool) -> None:
        """Axes, grid and captions; the value axis leaves room for the direct labels."""
        if self.sideways:
            scale(self.axes.xaxis, log=log)
            self.axes.margins(x=0.09)
            self.axes.grid(visible=True, axis="x")
            captions(self.axes, xlabel=ylabel, ylabel="", title=title)
        else:
            scale(self.axes.yaxis, log=log)
            self.axes.margins(y=0.09)
            self.axes.grid(visible=True, axis="y")
            captions(self.axes, xlabel="", ylabel=ylabel, title=title)
        if self.lowest < 0:
            (self.axes.axvline if self.sideways else self.axes.axhline)(0, color=SOFT, linewidth=0.8)
        set_limit = self.axes.set_xlim if self.sideways else self.axes.set_ylim
        set_limit(self._lowest_decade() if log else 1.05 * self.lowest)
        draw_legend(self.axes, wanted=legend)


def _label_points(axes: Axes, name: str, xy: np.ndarray, texts: Sequence[str]) -> None:
    """Write ``texts`` next to the points."""
    if texts and len(texts) != len(xy):
        raise BadInput(
            f"Series {name!r} has {len(xy)} points but {len(texts)} labels; give one label per point."
        )
    for (x, y), text in zip(xy, texts, strict=False):
        axes.annotate(
            text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5, color=SOFT
        )


def _common_range(points: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The span that both axes cover."""
    everything = np.concatenate(list(points.values()))
    return float(everything.min()), float(everything.max())


def _checked(
    labels: Sequence[str], series: Mapping[str, Sequence[float]], *, log: bool = False, signed: bool = False
) -> dict[str, np.ndarray]:
    """Series as arrays of one value per label, none negative, or BadInput."""
    if not labels or not series:
        raise BadInput("A bar plot needs at least one label and one series; leave it out if there is none.")
    data = {name: np.asarray(values, np.float64) for name, values in series.items()}
    for name, values in data.items():
        if values.shape != (len(labels),):
            raise BadInput(
                f"Series {name!r} must have {len(labels)} values, one per label, not {values.size}; "
                "give every label a value."
            )
        if (not signed and (values < 0).any()) or (log and (values == 0).any()):
            rule = "above zero" if log else "zero or more"
            raise BadInput(f"Every value of series {name!r} must be {rule}; bars cannot show {values.min()}.")
    refuse_infinite(data)
    return data


def _checked_points(name: str, pairs: Sequence[tuple[float, float]], log_x: bool, log_y: bool) -> np.ndarray:
    """Points as an array of shape (points, 2), or BadInput."""
    xy = np.asarray(pairs, np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise BadInput(
            f"Series {name!r} must be a non-empty list of (x, y) pairs; leave out an empty series."
        )
    refuse_infinite({name: xy})
    for axis, log in ((0, log_x), (1, log_y)):
        if log and (xy[:, axis] <= 0).any():
            raise BadInput(
                f"Every {'xy'[axis]} of series {name!r} must be above zero on a logarithmic axis, "
                f"not {xy[:, axis].min()}; use a linear one."
            )
    return xy
