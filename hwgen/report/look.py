"""How plots look: one style, colours that a colour-blind reader can tell apart, real text; and the parts they share."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hwgen.errors import BadInput

__all__ = [
    "HEIGHT",
    "INK",
    "PALETTE",
    "SOFT",
    "WIDTH",
    "as_svg",
    "captions",
    "colour_of",
    "draw_legend",
    "look",
    "new_axes",
    "refuse_infinite",
    "scale",
    "short",
]

#: Series colours in the order used: M. Okabe and K. Ito, "Color Universal Design", without yellow and
#: black, which are too faint and too heavy for areas.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F")

INK = "#2b3138"
SOFT = "#5a6470"
_GRID = "#e3e7eb"
_FEW_DECADES = 100  # from end to end of a logarithmic axis

# `Any` because matplotlib 3.11 types the keys of settings one by one, older ones as plain strings.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hwgen",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so layout is the same on every machine
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": "#aab3bd",
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": "#aab3bd",
    "ytick.color": "#aab3bd",
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 0.9,
    "legend.handleheight": 0.9,
    "legend.columnspacing": 1.5,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

WIDTH = 9.4  # inches; at 72 points an inch the width of the report's column
HEIGHT = 3.7


def look() -> AbstractContextManager[None]:
    """Our settings over matplotlib's defaults; what a user configured is put back afterwards."""
    return matplotlib.style.context(["default", _STYLE])


def new_axes(height: float) -> tuple[Figure, Axes]:
    """A figure without pyplot, hence without its registry of open figures."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def scale(axis: XAxis | YAxis, *, log: bool) -> None:
    """Logarithmic if asked, else few ticks; short numbers either way."""
    if log:
        (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
        axis.set_minor_formatter(FuncFormatter(lambda value, _: _between(axis, value)))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _between(axis: XAxis | YAxis, value: float) -> str:
    """Text of a tick between powers of ten: of 2 and 5, where there are few powers."""
    low, high = axis.get_view_interval()
    digit = round(value / 10 ** math.floor(math.log10(value)))
    return short(value) if high < _FEW_DECADES * low and digit in (2, 5) else ""


def captions(axes: Axes, *, xlabel: str, ylabel: str, title: str) -> None:
    """Axis labels and title, where there are any."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title)


def draw_legend(axes: Axes, *, wanted: bool) -> None:
    """One row above the plot, where it covers nothing."""
    if not wanted:
        return
    handles, names = axes.get_legend_handles_labels()
    # Lines (a bound, a diagonal) come after the series they are held against; matplotlib puts them first.
    order = sorted(range(len(names)), key=lambda index: isinstance(handles[index], LineCollection))
    axes.figure.legend(
        [handles[index] for index in order],
        [names[index] for index in order],
        loc="outside upper left",
        ncols=5,
    )


def refuse_infinite(data: Mapping[str, np.ndarray]) -> None:
    """BadInput if any value is infinite or not a number."""
    for name, values in data.items():
        if not np.isfinite(values).all():
            raise BadInput(f"Every value of series {name!r} must be finite; leave out what was not measured.")


def colour_of(index: int) -> str:
    """The colour of series number ``index``; they repeat after seven."""
    return PALETTE[index % len(PALETTE)]


def short(value: float, spec: str = "") -> str:
    """``value`` in at most three significant digits with K, M, G or T, or as ``spec`` says."""
    return (format(value, spec) if spec else _abbreviated(value)).replace("-", "−")


def _abbreviated(value: float) -> str:
    """At most three significant digits below a thousand and from ten thousand on."""
    if value == 0:
        return "0"
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "K")):
        if abs(value) >= limit:
            return f"{_three_digits(value / (1e3 if suffix == 'K' else limit))}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 1e3 else _three_digits(value)


def _three_digits(value: float) -> str:
    """Three significant digits without trailing zeros."""
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_svg(figure: Figure) -> str:
    """The drawing as text, without date or program version."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
