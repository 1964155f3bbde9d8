"""Layer tables: reading TOML and SCALE-Sim's CSV, writing TOML, and the networks that hwgen brings along.

A TOML table is a network, or a list of matrix products::

    name = "tiny"                   # one line of text
    source = "where it comes from"  # these three may be left out
    source_url = "https://..."
    licence = "MIT"
    input = [8, 8, 3]               # height, width, channels of what layers read as "input"

    [[layer]]
    name = "conv1"                  # the fields of hwgen.workloads.layers.Layer; defaults may be left out
    kind = "conv"
    inputs = ["input"]              # or one name: inputs = "input"
    out_channels = 16
    kernel = 3                      # or [3, 3]; so too stride
    pad = 1                         # or [top, left, bottom, right]

    [[layer]]
    name = "fc"
    kind = "gemm"
    inputs = ["conv1"]
    gemm = [1, 1024, 10]            # m, k, n

A list of products has ``[[gemm]]`` instead of ``[[layer]]``, each with ``name``, ``m``, ``n``, ``k`` and, if wanted,
``repeat`` (how many independent products of this shape), ``act_bits``, ``weight_bits``, ``lut_share``, ``sparse`` and
``pattern``.

SCALE-Sim's CSV has a header line and is either ``name,M,N,K[,N:M]`` or ``name,H,W,R,S,C,K,stride[,N:M]``: input
height and width, filter height and width, channels, filters. Blank lines, spaces and trailing commas do not
matter; cells after the N:M column, the pattern of the weights, are notes. SCALE-Sim pads nothing, but counts a last
window that hangs over the edge: a 7 x 7 filter at stride 2 makes 110 rows of 224. The layer has just the padding at the
bottom and right that makes the same windows whole. Depthwise layers are written there as one filter over all channels
and read as that.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.parts.sparse import PATTERNS
from hwgen.workloads.layers import Layer, Workload

__all__ = ["KNOWN", "dumps", "load", "parse_layer", "parse_scalesim", "parse_toml"]

KNOWN = ("minilm", "mobilenet_v2", "resnet18")
"""The networks whose tables are part of hwgen."""

_TOP = ("name", "source", "source_url", "licence", "input", "layer", "gemm")
_LAYER = tuple(field.name for field in fields(Layer))
_OPTIONS = ("act_bits", "weight_bits", "lut_share", "sparse", "pattern")
_GEMM = ("name", "m", "n", "k", "repeat", *_OPTIONS)
_BOTH_WAYS = {"kernel": 2, "stride": 2, "pad": 4}

_CONV_COLUMNS = (
    "Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides",
)  # fmt: skip
_GEMM_COLUMNS = ("Layer", "M", "N", "K")


def load(name_or_path: str | Path) -> Workload:
    """A known network, a layer written on one line, or a table from a file.

    Parameters
    ----------
    name_or_path : str or Path
        ``"resnet18"``, ``"mobilenet_v2"`` or ``"minilm"``; a text for :func:`parse_layer`, such as
        ``"gemm:128x384x384"``; or a file that ends in ``.toml`` (own format) or ``.csv`` (SCALE-Sim).

    Returns
    -------
    Workload
        Checked: its shapes fit.

    Raises
    ------
    BadInput
        If there is no such network or file, or the file is not a table.
    """
    if isinstance(name_or_path, str):
        if name_or_path in KNOWN:
            return _known(name_or_path)
        if name_or_path.startswith(("conv:", "gemm:")):
            return parse_layer(name_or_path)
    path = Path(name_or_path)
    readers = {".toml": parse_toml, ".csv": parse_scalesim}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(
            f"workload {str(name_or_path)!r} is neither a known network ({', '.join(KNOWN)}), nor a layer such as "
            "'gemm:128x384x384', nor a file that ends in .toml or .csv; give one of these."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else _reason(error)
        raise BadInput(f"{path} cannot be read ({reason}); give a readable text file.") from None
    return reader(text, str(path))


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


@cache
def _known(name: str) -> Workload:
    text = resources.files("hwgen.workloads").joinpath("data", f"{name}.toml").read_text(encoding="utf-8")
    return parse_toml(text, f"{name}.toml")


def parse_toml(text: str, origin: str) -> Workload:
    """Read a table in hwgen's own format, which the module's description shows.

    Parameters
    ----------
    text : str
        The table.
    origin : str
        The file it is from, for errors; without a ``name`` in the table, its stem is the name.

    Returns
    -------
    Workload
        Checked: its shapes fit.

    Raises
    ------
    BadInput
        If it is no TOML, or a field is unknown, missing or wrong; file, layer and field are named.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{origin} is not TOML: {error}; correct that place.") from None
    try:
        return _workload(table, origin)
    except BadInput as error:
        raise BadInput(f"{origin}: {error}") from None


def _workload(table: dict[str, Any], origin: str) -> Workload:
    _only(table, _TOP, "the table")
    if ("layer" in table) == ("gemm" in table):
        found = "both [[layer]] and [[gemm]]" if "layer" in table else "neither [[layer]] nor [[gemm]]"
        raise BadInput(f"the table has {found}; give one of the two.")
    kind = "layer" if "layer" in table else "gemm"
    rows = table[kind]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{kind} must be an array of tables; write [[{kind}]] before each.")
    make = _layer if kind == "layer" else _gemm
    return Workload(
        name=table.get("name", Path(origin).stem),
        layers=tuple(make(row, number) for number, row in enumerate(rows, start=1)),
        input_shape=_tuples(table.get("input")),
        source=table.get("source", ""),
        source_url=table.get("source_url", ""),
        licence=table.get("licence", ""),
    )


def _layer(row: Mapping[str, Any], number: int) -> Layer:
    where = _where("layer", row, number)
    _only(row, _LAYER, where)
    _all_of(row, ("name", "kind"), where)
    values = {key: _tuples(value) for key, value in row.items()}
    for key, count in _BOTH_WAYS.items():
        if isinstance(values.get(key), int):
            values[key] = (values[key],) * count
    if isinstance(values.get("inputs"), str):
        values["inputs"] = (values["inputs"],)
    return Layer(**values)


def _gemm(row: Mapping[str, Any], number: int) -> Layer:
    where = _where("gemm", row, number)
    _only(row, _GEMM, where)
    _all_of(row, ("name", "m", "n", "k"), where)
    values = {key: row[key] for key in _OPTIONS if key in row}
    sizes = (row["m"], row["k"], row["n"])
    return Layer(row["name"], "gemm", gemm=sizes, groups=row.get("repeat", 1), **values)


def _where(kind: str, row: Mapping[str, Any], number: int) -> str:
    return f"{kind} {row['name']!r}" if "name" in row else f"[[{kind}]] number {number}"


def _only(row: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in row:
        if key not in known:
            raise BadInput(f"{where} has an unknown field {key!r}; expected only {', '.join(known)}.")


def _all_of(row: Mapping[str, Any], wanted: tuple[str, ...], where: str) -> None:
    for key in wanted:
        if key not in row:
            raise BadInput(f"{where} lacks the field {key!r}; give {', '.join(wanted)}.")


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def dumps(workload: Workload) -> str:
    """The workload as a TOML table that :func:`parse_toml` reads back equal, one layer per line."""
    texts = {key: getattr(workload, key) for key in ("name", "source", "source_url", "licence")}
    lines = [f"{key} = {_toml(text)}" for key, text in texts.items() if text]
    if workload.input_shape is not None:
        lines.append(f"input = {_toml(workload.input_shape)}")
    lines += ["", "layer = ["]
    for layer in workload.layers:
        items = (f"{key} = {_toml(value)}" for key, value in _said(layer))
        lines.append(f"  {{ {', '.join(items)} }},")
    return "\n".join([*lines, "]", ""])


def _said(layer: Layer) -> Iterator[tuple[str, object]]:
    """The fields that are not at their defaults, in order."""
    for field in fields(layer):
        value = getattr(layer, field.name)
        if value != field.default:
            yield field.name, value


def _toml(value: object) -> str:
    """A value of a field; every text is printable, for which JSON's quoting is TOML's."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def parse_scalesim(text: str, origin: str) -> Workload:
    """Read a topology table of SCALE-Sim, of convolutions or of matrix products; its header line tells which.

    Parameters
    ----------
    text : str
        The table.
    origin : str
        The file it is from, for errors; its stem is the workload's name.

    Returns
    -------
    Workload
        Layers that stand alone, 8-bit.

    Raises
    ------
    BadInput
        If there is no header or no layer, a row is cut short, a cell is no whole number of at least 1, a name
        occurs twice, or a row asks for an unknown sparsity; file, line and column are named.

    Notes
    -----
    Source: SCALE-Sim v3, ``topologies/`` and its README; github.com/scalesim-project/SCALE-Sim, MIT.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip(" \t,")]
    if not lines:
        raise BadInput(f"{origin} is empty; expected a header line and at least one layer.")
    columns = _columns(lines[0][1], f"{origin}, line {lines[0][0]}")
    layers: dict[str, Layer] = {}
    for number, line in lines[1:]:
        where = f"{origin}, line {number}"
        try:
            layer = _scalesim_layer([cell.strip() for cell in line.split(",")], columns)
            if layer.name in layers:
                raise BadInput(f"layer {layer.name!r} is there already; rename one.")
            # The shapes of one row depend on no other: refuse them here, where the line is known.
            layers[layer.name] = Workload(name="row", layers=(layer,)).layers[0]
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
    if not layers:
        raise BadInput(f"{origin} has a header line but no layer; add at least one.")
    try:
        return Workload(
            name=Path(origin).stem,
            layers=tuple(layers.values()),
            source=f"SCALE-Sim table {Path(origin).name}",
        )
    except BadInput as error:
        raise BadInput(f"{origin}: {error}") from None


def _columns(header: str, where: str) -> tuple[str, ...]:
    cells = [cell.strip().lower() for cell in header.split(",")]
    for columns in (_GEMM_COLUMNS, _CONV_COLUMNS):
        if cells[1 : len(columns)] == [column.lower() for column in columns[1:]]:
            return columns
    raise BadInput(
        f"{where} is not a header of SCALE-Sim; expected {', '.join(_GEMM_COLUMNS)!r} or "
        f"{', '.join(_CONV_COLUMNS)!r} as the first line."
    )


def _scalesim_layer(cells: list[str], columns: tuple[str, ...]) -> Layer:
    numbers = [_whole(cells, index, column) for index, column in enumerate(columns) if index]
    pattern = _pattern(cells[len(columns)], len(columns) + 1) if len(cells) > len(columns) else None
    if columns is _GEMM_COLUMNS:
        m, n, k = numbers
        return Layer(cells[0], "gemm", gemm=(m, k, n), pattern=pattern)
    h, w, kernel_h, kernel_w, channels, filters, stride = numbers
    pad = (0, 0, _overhang(h, kernel_h, stride), _overhang(w, kernel_w, stride))
    return Layer(
        cells[0], "conv", out_channels=filters, kernel=(kernel_h, kernel_w), stride=(stride, stride), pad=pad,
        input_shape=(h, w, channels), pattern=pattern,
    )  # fmt: skip


def _overhang(size: int, kernel: int, stride: int) -> int:
    """By how much SCALE-Sim's last window, ``ceil((size - kernel) / stride)``, hangs over the edge."""
    if kernel > size:  # not even one window fits: left as it is, to be refused
        return 0
    return ceil_div(size - kernel, stride) * stride + kernel - size


def _whole(cells: list[str], index: int, column: str) -> int:
    where = f"column {index + 1} ({column})"
    if index >= len(cells) or not cells[index]:
        raise BadInput(f"{where} is missing; complete the row.")
    if not re.fullmatch(r"\+?0*[1-9][0-9]{0,18}", cells[index]):
        raise BadInput(f"{where} must be a whole number of at least 1, not {cells[index]!r}; correct it.")
    return int(cells[index])


def _pattern(cell: str, column: int) -> str | None:
    """The pattern of a row's weights; none if it is empty, or as many as there are."""
    if not cell:
        return None
    ratio = re.fullmatch(r"([1-9][0-9]{0,3}) *: *([1-9][0-9]{0,3})", cell)
    if ratio is None:
        raise BadInput(
            f"column {column} must be an N:M sparsity such as 4:4, or empty, not {cell!r}; correct it."
        )
    if int(ratio[1]) == int(ratio[2]):
        return None
    name = f"{int(ratio[1])}:{int(ratio[2])}"
    if name not in map(str, PATTERNS):
        raise BadInput(
            f"column {column} asks for {cell} sparsity; the patterns are {', '.join(map(str, PATTERNS))}: give one "
            "of them, or leave it empty."
        )
    return name


_ONE_LINE = "expected such as 'conv:56x56x64,k3,s1,p1,n64' or 'gemm:128x384x384'"


def parse_layer(text: str) -> Workload:
    """One layer on one line, for the command line.

    Parameters
    ----------
    text : str
        ``conv:HxWxC,kK,nN`` with, if wanted, ``sS`` (stride, 1), ``pP`` (padding on every side, 0) and ``gG``
        (groups, 1); ``k`` and ``s`` may be two numbers, ``k3x1``. Or ``gemm:MxKxN``.

    Returns
    -------
    Workload
        With one layer, which stands alone; its name is ``conv`` or ``gemm``, the workload's is the text.

    Raises
    ------
    BadInput
        If the text is anything else.
    """
    kind, _, rest = text.partition(":")
    first, *options = rest.split(",")
    sizes = _by(first, 3, text)
    if kind == "gemm":
        if options:
            _not_a_layer(text, f"{options[0]!r} has no meaning for a GEMM")
        return Workload(name=text, layers=(Layer("gemm", "gemm", gemm=(sizes[0], sizes[1], sizes[2])),))
    if kind != "conv":
        _not_a_layer(text, f"{kind!r} is no kind of layer")
    found: dict[str, str] = {}
    for option in options:
        if option[:1] not in tuple("kspng") or option[0] in found:
            _not_a_layer(text, f"{option!r} is unknown or there twice")
        found[option[0]] = option[1:]
    for key in "kn":
        if key not in found:
            _not_a_layer(text, f"{key!r} is missing")
    pad, channels, groups = (
        _by(found.get(key, default), 1, text)[0] for key, default in (("p", "0"), ("n", ""), ("g", "1"))
    )
    layer = Layer(
        "conv", "conv", out_channels=channels, kernel=_pair(found["k"], text), stride=_pair(found.get("s", "1"), text),
        pad=(pad,) * 4, groups=groups, input_shape=(sizes[0], sizes[1], sizes[2]),
    )  # fmt: skip
    return Workload(name=text, layers=(layer,))


def _pair(text: str, whole: str) -> tuple[int, int]:
    if "x" not in text:
        return (size := _by(text, 1, whole)[0]), size
    rows, columns = _by(text, 2, whole)
    return rows, columns


def _by(text: str, count: int, whole: str) -> list[int]:
    parts = text.split("x")
    if len(parts) != count or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        _not_a_layer(
            whole, f"{text!r} is not {count} number{'s' * (count > 1)}{' joined by x' * (count > 1)}"
        )
    return [int(part) for part in parts]


def _not_a_layer(text: str, why: str) -> NoReturn:
    raise BadInput(f"{text!r} is not a layer, because {why}; {_ONE_LINE}.")
