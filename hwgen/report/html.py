"""A report as data, and the one function that turns it into a self-contained HTML page.

The page needs no network, no script and no second file. Equal reports render to equal bytes: nothing
in it depends on the time, the machine or the order of a hash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from hwgen.errors import BadInput

__all__ = ["Cell", "Figure", "Report", "Section", "Table", "render"]

Cell = str | int | float

# A cell that reads as one number, with or without a short unit: "12.5 %", "3,1 ms", "–", "≤ 4".
_NUMBER_LIKE = re.compile(r"[–—-]|[<>≤≥≈±+−-]?\s?\d[\d.,\u202f]*(e[+−-]?\d+)?\s?[%×°A-Za-zµ²/]{0,8}")

# What would make the page depend on something outside it, or run code.
_FOREIGN = re.compile(
    r"<\s*(script|foreignObject|iframe)\b|@import|url\(\s*[\"']?(?!#|[\"']?data:image/)"
    r"|<\w[^>]*?\s(on\w+\s*=|([\w:]*href|src)\s*=\s*[\"']\s*(?!#|data:image/))",
    re.IGNORECASE,
)

_SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a title above it.

    Numbers are set right-aligned: integers in full with thousands separated, floats to four
    significant digits. For any other form pass a string.

    Parameters
    ----------
    title : str
        What the table shows.
    columns : sequence of str
        Headings, units included: ``"cycles"``, ``"time [ms]"``.
    rows : sequence of sequences of str, int or float
        Each as long as ``columns``.
    note : str
        Small print under the table: source, method, what a column leaves out.

    Raises
    ------
    BadInput
        If there are no columns, or a row is of another length.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.columns:
            raise BadInput(f"Table {self.title!r} must have at least one column; name its columns.")
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise BadInput(
                    f"Row {index} of table {self.title!r} must have {len(self.columns)} cells, "
                    f"not {len(row)}; fill or drop the row."
                )


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with a title above it.

    Parameters
    ----------
    title : str
        What the figure shows.
    svg : str
        An SVG document, such as those of :mod:`hwgen.report.plots`. It is put into the page as it is
        and must not refer to anything outside itself.
    note : str
        Small print under the figure.

    Raises
    ------
    BadInput
        If ``svg`` has no ``<svg>`` element, contains a script, or refers to another file.
    """

    title: str
    svg: str
    note: str = ""

    def __post_init__(self) -> None:
        if "<svg" not in self.svg or "</svg>" not in self.svg:
            raise BadInput(f"Figure {self.title!r} has no <svg> element; pass the text of an SVG document.")
        if found := _FOREIGN.search(_bare_svg(self.svg)):
            raise BadInput(
                f"Figure {self.title!r} contains {found.group()[-40:].strip()!r}, which runs code or loads "
                "another file; pass an SVG that stands alone."
            )


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, some prose, then tables and figures.

    Parameters
    ----------
    title : str
        The heading.
    text : str
        Plain prose; a blank line starts a new paragraph.
    items : sequence of Table or Figure
        In the order shown.
    """

    title: str
    text: str = ""
    items: Sequence[Table | Figure] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole page.

    Parameters
    ----------
    title : str
        Heading and name of the page.
    subtitle : str
        One line under it.
    facts : mapping of str to str
        What the reader must know first, in the order shown: configuration, versions of the tools.
    sections : sequence of Section
        The body.
    """

    title: str
    subtitle: str
    facts: Mapping[str, str]
    sections: Sequence[Section]


def render(report: Report) -> str:
    """Write ``report`` as one self-contained HTML page.

    Parameters
    ----------
    report : Report
        What to show. Every string in it is escaped, except the drawings.

    Returns
    -------
    str
        The page; write it as UTF-8. Light or dark as the reader's system asks, fit for printing.
    """
    return _template().render(report=report)


@cache
def _template() -> jinja2.Template:
    """The page template with its filters."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _format_cell
    environment.filters["paragraphs"] = _paragraphs
    environment.globals["right_aligned"] = _right_aligned
    environment.globals["embedded"] = _embedded
    environment.tests["table"] = lambda item: isinstance(item, Table)
    source = (resources.files("hwgen.report") / "template.html").read_text(encoding="utf-8")
    return environment.from_string(source)


def _format_cell(value: Cell) -> str:
    """Integers in full, floats to four significant digits, never in exponents for usual sizes."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if not math.isfinite(value):
        return "–"
    return _format_float(float(value)).replace("-", "−")


def _format_float(value: float) -> str:
    """Four significant digits, trailing zeros kept, digits before the point never dropped."""
    if value == 0:
        return "0"
    # Rounding may carry into one digit more (9.9999 -> 10.00), so the exponent is read afterwards.
    exponent = int(f"{value:.{_SIGNIFICANT_DIGITS - 1}e}".partition("e")[2])
    if not -5 < exponent < 15:
        return f"{value:.{_SIGNIFICANT_DIGITS - 1}e}"
    return f"{value:,.{max(0, _SIGNIFICANT_DIGITS - 1 - exponent)}f}"


def _right_aligned(table: Table) -> tuple[bool, ...]:
    """Which columns hold nothing but numbers."""

    def number(cell: Cell) -> bool:
        return not isinstance(cell, str) or _NUMBER_LIKE.fullmatch(cell.strip()) is not None

    return tuple(
        bool(table.rows) and all(number(row[index]) for row in table.rows)
        for index in range(len(table.columns))
    )


def _paragraphs(text: str) -> Iterator[str]:
    """Blocks of ``text`` between blank lines."""
    return (block.strip() for block in re.split(r"\n\s*\n", text) if block.strip())


def _bare_svg(svg: str) -> str:
    """The ``<svg>`` element alone: no XML prolog, no document type, no metadata."""
    element = svg[svg.index("<svg") : svg.rindex("</svg>") + len("</svg>")]
    return re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)


def _embedded(svg: str, title: str, prefix: str) -> Markup:
    """``svg`` ready to stand in the page next to others.

    Identifiers are made unique by ``prefix``, because two drawings in one page share one name space
    and a clip path of the first would otherwise cut the second.
    """
    element = _bare_svg(svg)
    for pattern in (r'(\sid=")', r'((?:xlink:)?href="#)', r"(url\(#)"):
        element = re.sub(pattern, rf"\g<1>{prefix}-", element)
    label = Markup.escape(title)
    # The author of the drawing is hwgen itself, and Figure has refused scripts and references.
    return Markup(element.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
