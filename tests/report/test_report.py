"""The page: escaped, self-contained, the same every time. The plots: what they draw and refuse."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest

from hwgen.errors import BadInput
from hwgen.report import Figure, Report, Section, Table, bars, histogram, render, scatter, stacked_bars

HERE = Path(__file__).resolve().parent
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'


def draw_every_plot():
    return [
        bars(["a", "b"], {"x & <y>": [1, 2.5], "$z$": [3, 4]}, ylabel="cycles", title="bars"),
        bars([f"layer{i}.downsample" for i in range(9)], {"x": range(1, 10)}, ylabel="cycles", log=True),
        stacked_bars(["a", "b"], {"x": [1, 2], "y": [3, 4]}, ylabel="cycles", bound=[4, 5]),
        stacked_bars([f"layer{i}.downsample" for i in range(9)], {"x": range(9)}, ylabel="c", bound=range(9)),
        scatter({"p": [(1, 2), (3, 4)], "q": [(5, 6)]}, xlabel="x", ylabel="y", diagonal=True, log_x=True),
        scatter({"p": [(1, 2)]}, xlabel="x", ylabel="y", labels={"p": ["here"]}),
        histogram({"h": [1, 2, 2, 3], "i": [-2, 2]}, xlabel="error", log=True),
        histogram({"h": [1, 2, 2, 3]}, xlabel="error", bins=3),
    ]


every_plot = cache(draw_every_plot)


def sample(**changes):
    table = Table(
        title="Counts <b>",
        columns=["name", "count", "share", "error"],
        rows=[["<script>alert(1)</script>", 1234567, "12.5 %", 0.000123456], ["b", -2, "–", float("nan")]],
        note="small & print",
    )
    figures = [Figure(title=f'Figure "{i}"', svg=svg) for i, svg in enumerate(every_plot())]
    fields = {
        "title": "Report <1>",
        "subtitle": "a & b",
        "facts": {"Tool": "x < 3"},
        "sections": [
            Section(title="One", text="First.\n\nSecond <i>.", items=[table]),
            Section(title="Two", items=figures),
            Section(title="Three"),
        ],
    }
    return Report(**{**fields, **changes})


class Tags(HTMLParser):
    """Collects start tags, and checks that they are closed in order."""

    VOID = frozenset({"meta", "br", "hr", "link", "img"})

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_strings_are_escaped():
    page = render(sample())
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for text in ("Report &lt;1&gt;", "a &amp; b", "x &lt; 3", "Second &lt;i&gt;.", "Counts &lt;b&gt;"):
        assert text in page
    assert 'aria-label="Figure &#34;0&#34;"' in page


def test_page_is_self_contained():
    tags = Tags(render(sample())).seen
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    for _, attrs in tags:
        for name, value in attrs.items():
            if name.endswith("href") or name == "src":
                assert value.startswith("#")
    assert not re.search(r"url\((?!#)|@import", render(sample()))


def test_identifiers_are_unique_and_references_resolve():
    page = render(sample())
    ids = [attrs["id"] for _, attrs in Tags(page).seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def test_same_report_gives_same_bytes_in_another_process():
    code = (
        f"import sys; sys.path[:0] = {[str(HERE.parents[1]), str(HERE)]}; import test_report as t; "
        "sys.stdout.buffer.write(t.render(t.sample()).encode()); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    page = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout
    assert page.decode() == render(sample())


def test_numbers_are_formatted_and_right_aligned():
    page = render(sample())
    for cell in ("1,234,567", "−2", "12.5 %", "0.0001235", "–"):
        assert f'<td class="number">{cell}</td>' in page
    assert "<td>b</td>" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (9.99996, "10.00"),
        (12345.6, "12,346"),
        (1.5, "1.500"),
        (-0.25, "−0.2500"),
        (1e-7, "1.000e−07"),
        (2.5e20, "2.500e+20"),
        (float("inf"), "–"),
        (7, "7"),
        ("as is", "as is"),
    ],
)
def test_cell_forms(value, text):
    table = Table(title="t", columns=["c"], rows=[[value]])
    page = render(sample(sections=[Section(title="s", items=[table])]))
    assert re.search(r"<td[^>]*>(.*?)</td>", page).group(1) == text


def test_table_without_rows_says_so():
    empty = Table(title="t", columns=["a", "b"], rows=[])
    assert "No rows." in render(sample(sections=[Section(title="s", items=[empty])]))


def test_short_reports_have_no_contents_list():
    assert "<nav" in render(sample())
    assert "<nav" not in render(sample(sections=[Section(title="s")]))


@pytest.mark.parametrize(("columns", "rows"), [([], []), (["a"], [[1, 2]])])
def test_table_refuses_cells_without_a_column(columns, rows):
    with pytest.raises(BadInput, match=r"must have"):
        Table(title="t", columns=columns, rows=rows)


@pytest.mark.parametrize(
    "inside",
    [
        "<script>1</script>",
        '<circle onclick="x()"/>',
        '<image href="https://example.org/a.png"/>',
        '<use xlink:href="other.svg#a"/>',
        "<style>@import 'a.css'</style>",
        '<rect fill="url(https://example.org/#a)"/>',
    ],
)
def test_figure_refuses_code_and_references(inside):
    with pytest.raises(BadInput, match="stands alone"):
        Figure(title="f", svg=SVG.replace("<circle", inside + "<circle"))


def test_figure_refuses_what_is_not_svg():
    with pytest.raises(BadInput, match="no <svg> element"):
        Figure(title="f", svg="<p>no</p>")


def test_figure_takes_references_into_itself_and_text_that_looks_like_code():
    inside = '<defs><path id="a"/></defs><use href="#a"/><text>only = 2, src = "x"</text></svg>'
    figure = Figure(title="f", svg=SVG.replace("</svg>", inside))
    page = render(sample(sections=[Section(title="s", items=[figure])]))
    assert '<path id="s1i1-a"/>' in page
    assert '<use href="#s1i1-a"/>' in page


def texts(svg):
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_plots_are_wellformed_and_keep_text():
    for svg in every_plot():
        assert texts(svg)
    first = texts(every_plot()[0])
    assert {"a", "b", "x & <y>", "$z$", "cycles", "bars", "2.5"} <= set(first)


def test_plots_leave_global_settings_alone_and_ignore_them():
    with mpl.rc_context({"font.size": 31.0, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = mpl.rcParams.copy()
        again = draw_every_plot()
        assert mpl.rcParams.copy() == before
    assert again == every_plot()


def test_stacked_bars_write_totals_and_name_the_bound():
    written = texts(
        stacked_bars(["a"], {"x": [12_000], "y": [34_000]}, ylabel="c", bound=[1], bound_label="floor")
    )
    assert {"46K", "floor", "x", "y"} <= set(written)


def test_value_format_is_used():
    assert "1.250 ns" not in texts(bars(["a"], {"x": [1.25]}, ylabel="ns"))
    assert "1.250" in texts(bars(["a"], {"x": [1.25]}, ylabel="ns", value_format=".3f"))


@pytest.mark.parametrize(
    ("value", "text"), [(1e12, "1T"), (2.5e9, "2.5G"), (3.14159e6, "3.14M"), (10_000, "10K"), (9999, "9,999"),
                        (0.00123, "0.00123"), (1e-9, "1e−09"), (0, "0")],
)  # fmt: skip
def test_direct_labels_are_short(value, text):
    assert text in texts(bars(["a", "b"], {"x": [value, 1]}, ylabel="c"))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: bars([], {"x": []}, ylabel="c"), "at least one label"),
        (lambda: bars(["a"], {}, ylabel="c"), "at least one label"),
        (lambda: bars(["a"], {"x": [1, 2]}, ylabel="c"), "'x' must have 1 values"),
        (lambda: bars(["a"], {"x": [-1]}, ylabel="c"), "must be zero or more"),
        (lambda: bars(["a"], {"x": [0]}, ylabel="c", log=True), "must be above zero"),
        (lambda: bars(["a"], {"x": [float("nan")]}, ylabel="c"), "must be finite"),
        (
            lambda: stacked_bars(["a"], {"x": [1]}, ylabel="c", bound=[1, 2], bound_label="b"),
            "'b' must have 1",
        ),
        (lambda: scatter({}, xlabel="x", ylabel="y"), "at least one series"),
        (lambda: scatter({"p": []}, xlabel="x", ylabel="y"), "non-empty list"),
        (lambda: scatter({"p": [(0, 1)]}, xlabel="x", ylabel="y", log_x=True), "Every x of series 'p'"),
        (lambda: scatter({"p": [(1, 1)]}, xlabel="x", ylabel="y", labels={"p": ["a", "b"]}), "2 labels"),
        (lambda: histogram({"h": []}, xlabel="x"), "at least one value"),
        (lambda: histogram({"h": [1]}, xlabel="x", bins=0), "bins must be at least 1"),
        (lambda: histogram({"h": [float("inf")]}, xlabel="x"), "must be finite"),
    ],
)
def test_plots_refuse_what_they_cannot_draw(draw, message):
    with pytest.raises(BadInput, match=message):
        draw()
