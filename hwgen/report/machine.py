"""Plots of machines at work: the roofline of a run, and what its engines did when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from hwgen.errors import BadInput
from hwgen.report.look import (
    HEIGHT,
    INK,
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

__all__ = ["Point", "gantt", "roofline"]

_Floats = npt.NDArray[np.float64]

_COLUMNS = 480  # cells per track: about what the page can show
_LEVELS = 6  # shades of a cell by how much of it is busy
# Parts of the plot's width or height: half a point, a letter, a line of text.
_DOT, _LETTER, _LINE = 0.005, 0.0088, 0.036
_SIDES = (((1, 0), "left", "center"), ((-1, 0), "right", "center"), ((0, 1), "center", "bottom"),
          ((0, -1), "center", "top"))  # fmt: skip
_BAND = "#eef1f4"


@dataclass(frozen=True)
class Point:
    """A point of the roofline.

    Parameters
    ----------
    name : str
        Written beside it where there is room.
    intensity : float
        Operations per byte moved; above zero.
    rate : float
        Operations per cycle; above zero.
    series : str
        Points of one series have one colour and mark.
    """

    name: str
    intensity: float
    rate: float
    series: str


def roofline(
    points: Sequence[Point],
    peaks: Mapping[str, float],
    *,
    bandwidth: float,
    xlabel: str = "MACs per byte",
    ylabel: str = "MACs per cycle",
) -> str:
    """Points under the roofs of a machine, both axes logarithmic.

    Parameters
    ----------
    points : sequence of Point
        At least one.
    peaks : mapping of str to float
        Operations per cycle that arithmetic allows, by name: one roof each; at least one.
    bandwidth : float
        Bytes per cycle that memory allows: the slope.
    xlabel, ylabel : str
        Quantity and unit of each axis.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If there is no point or no peak, or a number is not above zero.
    """
    if not points or not peaks:
        raise BadInput("A roofline needs at least one point and one peak; leave it out if there is none.")
    xy = np.array([(p.intensity, p.rate) for p in points], np.float64)
    refuse_infinite({"points": xy, "peaks": np.array([*peaks.values(), bandwidth])})
    if min(xy.min(), bandwidth, *peaks.values()) <= 0:
        raise BadInput("Every number of a roofline must be above zero; leave out points without operations.")
    top = max(peaks.values())
    ridge = top / bandwidth
    left, right = min(xy[:, 0].min(), ridge) / 2, max(xy[:, 0].max(), ridge) * 4
    bottom = min(xy[:, 1].min(), top / 8) / 1.6
    with look():
        figure, axes = new_axes(HEIGHT + 1.3)
        scale(axes.xaxis, log=True)
        scale(axes.yaxis, log=True)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, max(top, float(xy[:, 1].max())) * 1.9)
        for number, (name, peak) in enumerate(sorted(peaks.items(), key=lambda one: -one[1])):
            turn = peak / bandwidth
            first = max(left, bottom / bandwidth)
            corners = [first, turn, right] if turn > first else [first, right]
            heights = [min(peak, bandwidth * x) for x in corners]
            axes.plot(corners, heights, color=INK, linewidth=1.5 if not number else 1.0,
                      linestyle="-" if not number else (0, (4, 3)), zorder=1)  # fmt: skip
            axes.annotate(name, (right, peak), xytext=(-2, 4), textcoords="offset points", ha="right",
                          fontsize=8.5, color=SOFT)  # fmt: skip
        foot = math.sqrt(max(left, bottom / bandwidth) * ridge)
        axes.annotate(f"{short(bandwidth)} bytes per cycle", (foot, foot * bandwidth), xytext=(9, -3),
                      textcoords="offset points", va="top", fontsize=8.5, color=SOFT)  # fmt: skip
        for index, series in enumerate(dict.fromkeys(p.series for p in points)):
            own = np.array([i for i, p in enumerate(points) if p.series == series])
            axes.plot(
                xy[own, 0], xy[own, 1], "osD^vP*"[index % 7], color=colour_of(index), markersize=6, alpha=0.85,
                markeredgecolor="white", markeredgewidth=0.7, label=series,
            )  # fmt: skip
        _label(axes, [p.name for p in points], xy)
        axes.grid(visible=True)
        captions(axes, xlabel=xlabel, ylabel=ylabel, title="")
        draw_legend(axes, wanted=len({p.series for p in points}) > 1)
        return as_svg(figure)


def _label(axes: Axes, names: Sequence[str], xy: _Floats) -> None:
    """Names beside points, above or below them, where they cover neither a point nor another name."""
    low = np.array([math.log(axes.get_xlim()[0]), math.log(axes.get_ylim()[0])])
    high = np.array([math.log(axes.get_xlim()[1]), math.log(axes.get_ylim()[1])])
    places = (np.log(xy) - low) / (high - low)
    taken = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in places]
    for (x, y), place, name in zip(xy, places, names, strict=True):
        for shift, ha, va in _SIDES:
            box = _box(place, shift, len(name))
            if box[0] < 0 or box[2] > 1 or any(_meet(box, other) for other in taken):
                continue
            taken.append(box)
            axes.annotate(
                name, (x, y), xytext=(8 * shift[0], 6 * shift[1]), textcoords="offset points", ha=ha, va=va,
                fontsize=8, color=SOFT,
            )  # fmt: skip
            break


_Box = tuple[float, float, float, float]


def _box(place: _Floats, shift: tuple[int, int], length: int) -> _Box:
    """About where a name would lie, in parts of the plot's width and height."""
    wide, x, y = _LETTER * length, float(place[0]), float(place[1])
    left = x + 0.012 if shift[0] > 0 else x - 0.012 - wide if shift[0] < 0 else x - wide / 2
    middle = y + 0.036 * shift[1]
    return left, middle - _LINE / 2, left + wide, middle + _LINE / 2


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def gantt(
    tracks: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    first: float,
    last: float,
    marks: Mapping[str, tuple[float, float]] | None = None,
    xlabel: str = "cycle",
    colours: Mapping[str, str] | None = None,
) -> str:
    """What was busy when: one track per name, darker where more of the time was busy.

    Parameters
    ----------
    tracks : mapping of str to (first, last)
        Two lists of the same length: first and last cycle of every interval, in order and apart.
    first, last : float
        The cycles that are shown.
    marks : mapping of str to (float, float), optional
        Named stretches of time, shown behind the tracks, named where there is room.
    xlabel : str
        Quantity and unit of time.
    colours : mapping of str to str, optional
        Colours of tracks that are to have their own.

    Returns
    -------
    str
        SVG document.

    Raises
    ------
    BadInput
        If there is no track, nothing to show, or lists differ in length.
    """
    if not tracks:
        raise BadInput("A timeline needs at least one track; leave it out if there is none.")
    if not last > first:
        raise BadInput(f"last must be above first ({first}), not {last}; show at least two cycles.")
    with look():
        figure, axes = new_axes(0.85 + 0.42 * len(tracks) + (0.25 if marks else 0))
        edges = np.linspace(first, last + 1, min(_COLUMNS, int(last - first) + 1) + 1)
        for number, (name, (begins, ends)) in enumerate(tracks.items()):
            colour = (colours or {}).get(name, colour_of(number))
            _track(axes, number, _filled(name, begins, ends, edges), edges, colour)
        _stretches(axes, marks or {}, first, last)
        scale(axes.xaxis, log=False)
        axes.set_xlim(first, last + 1)
        axes.set_ylim(len(tracks) - 0.45, -0.55 - (0.3 if marks else 0))
        axes.set_yticks(range(len(tracks)), list(tracks))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        captions(axes, xlabel=xlabel, ylabel="", title="")
        return as_svg(figure)


def _filled(name: str, begins: npt.ArrayLike, ends: npt.ArrayLike, edges: _Floats) -> _Floats:
    """How much of each cell between two edges is busy, 0..1."""
    low, high = np.asarray(begins, np.float64), np.asarray(ends, np.float64) + 1
    if low.shape != high.shape or low.ndim != 1:
        raise BadInput(
            f"Track {name!r} has {low.size} first and {high.size} last cycles; give one of each per interval."
        )
    if not low.size:
        return np.zeros(len(edges) - 1)
    # Busy time up to a cycle is a line through these corners.
    corners = np.stack([low, high], 1).reshape(-1)
    heights = np.repeat(np.cumsum(high - low), 2)
    heights[::2] -= high - low
    return np.asarray(np.diff(np.interp(edges, corners, heights)) / np.diff(edges))


def _track(axes: Axes, number: int, filled: _Floats, edges: _Floats, colour: str) -> None:
    """Rectangles of one track: a shape per shade, cells of one shade side by side in one piece."""
    levels = np.ceil(filled * _LEVELS - 1e-9).astype(int)
    changes = np.flatnonzero(np.diff(levels)) + 1
    runs = np.stack([np.r_[0, changes], np.r_[changes, len(levels)]], 1)
    for level in range(1, _LEVELS + 1):
        boxes = [(edges[a], edges[b]) for a, b in runs.tolist() if levels[a] == level]
        if not boxes:
            continue
        corners = [
            [
                (a, number - 0.36),
                (b, number - 0.36),
                (b, number + 0.36),
                (a, number + 0.36),
                (a, number - 0.36),
            ]
            for a, b in boxes
        ]
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
        shape = Path(np.array(corners).reshape(-1, 2), codes)
        axes.add_patch(PathPatch(shape, facecolor=colour, alpha=0.1 + 0.9 * level / _LEVELS, linewidth=0))


def _stretches(axes: Axes, marks: Mapping[str, tuple[float, float]], first: float, last: float) -> None:
    """Every second stretch shaded, names above."""
    shown = [(name, max(low, first), min(high, last + 1)) for name, (low, high) in marks.items()]
    for number, (name, low, high) in enumerate(one for one in shown if one[1] < one[2]):
        if number % 2 == 0:
            axes.axvspan(low, high, color=_BAND, linewidth=0, zorder=0)
        if (high - low) / (last + 1 - first) * 118 > len(name):  # characters that fit into the width
            axes.annotate(name, ((low + high) / 2, -0.5), ha="center", va="bottom", fontsize=8, color=SOFT,
                          annotation_clip=False)  # fmt: skip
