"""What every run reads and writes: words of the buffers, bytes of DRAM; exact, worked out only where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.program.dataflow import named
from hwgen.program.encoding import Instr
from hwgen.program.program import Program
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.config import CODE_WORD, SPARSE_LANES, SystemConfig

__all__ = [
    "Access",
    "Rows",
    "Run",
    "Words",
    "accesses",
    "overlap",
    "rounds",
    "runs",
    "settings_of",
    "touched",
]

RAW_WORDS = 4
"""Words of activations that ``raw`` makes of a word of sums."""

FROM_ACC = ("requantise", "raw", "softmax")
"""Operations of VEC that read sums; the others read activations."""

TURNING = ("transpose", "columns")
"""Operations of VEC that read a block once and write it turned, along n0."""

WITH_PARAMETERS = ("requantise", "sum", "max", "product", "softmax")
"""Operations of VEC that requantise."""


@dataclass(frozen=True, eq=False)
class Words:
    """Addresses ``base + Σ i_k · stride_k`` of nested loops.

    Parameters
    ----------
    base : int
        Address of the first round.
    loops : sequence of (int, int)
        Count and stride of every loop, in any order.
    """

    base: int
    loops: Sequence[tuple[int, int]] = ()

    @cached_property
    def low(self) -> int:
        """Smallest address."""
        return self.base + sum((count - 1) * stride for count, stride in self.loops if stride < 0)

    @cached_property
    def high(self) -> int:
        """One behind the largest address."""
        return self.base + 1 + sum((count - 1) * stride for count, stride in self.loops if stride > 0)

    @cached_property
    def ranges(self) -> tuple[IntArray, IntArray]:
        """The set as ascending ranges with gaps between them: first addresses, and one behind the last ones."""
        steps = sorted((abs(stride), count) for count, stride in self.loops if stride and count > 1)
        covered = 1  # without gaps, by the loops so far
        there = None
        for stride, count in steps:
            if there is None and stride <= covered:
                covered += stride * (count - 1)
                continue
            if there is None:
                there = np.zeros(self.high - self.low, np.bool_)
                there[:covered] = True
            copies = 1
            while copies < count:  # doubling: few steps even for many rounds
                more = min(copies, count - copies)
                there[more * stride :] |= there[: -more * stride].copy()
                copies += more
        if there is None:
            return np.array([self.low]), np.array([self.high])
        edges = np.flatnonzero(np.diff(there, prepend=False, append=False)) + self.low
        return edges[::2], edges[1::2]

    def addresses(self) -> IntArray:
        """All addresses, ascending."""
        return _listed(self.ranges)


@dataclass(frozen=True, eq=False)
class Rows:
    """Byte ranges, all of them repeated for a number of rows.

    Parameters
    ----------
    first, size : int array, shape (n,)
        Ranges of the first row, at least one, none of them empty.
    pitch : int
        From one row to the next, not negative.
    rows : int
        How many.
    """

    first: IntArray
    size: IntArray
    pitch: int
    rows: int

    @cached_property
    def low(self) -> int:
        """Smallest address."""
        return int(self.first.min())

    @cached_property
    def high(self) -> int:
        """One behind the largest address."""
        return int((self.first + self.size).max()) + self.pitch * (self.rows - 1)

    @cached_property
    def ranges(self) -> tuple[IntArray, IntArray]:
        """As in :class:`Words`."""
        first, end = _merged(self.first, self.first + self.size)
        if self.rows == 1:
            return first, end
        offsets = np.arange(self.rows)[:, None] * self.pitch
        return _merged((first + offsets).ravel(), (end + offsets).ravel())

    def addresses(self) -> IntArray:
        """All addresses, ascending."""
        return _listed(self.ranges)


def _merged(first: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """Ranges in ascending order, joined where they overlap or touch."""
    by_first = np.argsort(first, kind="stable")
    first, reach = first[by_first], np.maximum.accumulate(end[by_first])
    apart = np.flatnonzero(first[1:] > reach[:-1])
    return first[np.append(0, apart + 1)], reach[np.append(apart, len(reach) - 1)]


def _listed(ranges: tuple[IntArray, IntArray]) -> IntArray:
    return np.concatenate([np.arange(a, b) for a, b in zip(*ranges, strict=True)])


def overlap(one: Words | Rows, other: Words | Rows) -> tuple[int, int] | None:
    """First range that both have in common: its first address, and one behind its last; None if there is none."""
    if one.low >= other.high or other.low >= one.high:
        return None
    (a, a_end), (b, b_end) = one.ranges, other.ranges
    partner = np.searchsorted(b_end, a, "right")  # first range that ends behind the beginning of a
    near = np.minimum(partner, len(b) - 1)
    meets = np.flatnonzero((partner < len(b)) & (b[near] < a_end))
    if not meets.size:
        return None
    i, j = meets[0], near[meets[0]]
    return int(max(a[i], b[j])), int(min(a_end[i], b_end[j]))


@dataclass(frozen=True, eq=False)
class Access:
    """What a run does to one memory.

    Parameters
    ----------
    space : str
        ``dram`` (bytes), or a buffer (words): ``act``, ``acc``, ``weight``, ``parameter``, ``plane`` (weight planes of
        the LUT core), ``plane_act`` (its planes of activations), ``code``, ``value``, ``index`` (streams of the
        sparse core) or ``operand`` (its activations).
    write : bool
        Writes if true, reads otherwise.
    where : Words or Rows
        Addresses.
    units : int
        Mask of the units whose ``plane_act`` it is; 1 for all other memories.
    """

    space: str
    write: bool
    where: Words | Rows
    units: int = 1


@dataclass(frozen=True, eq=False)
class Run:
    """A run instruction with what its engine was set to before.

    Parameters
    ----------
    index : int
        Its number in the program.
    one : Instr
        The instruction.
    fields : dict of int
        Its fields.
    settings : dict of dict of int
        Fields of the engine's last ``shape``, ``window``, ``position``, ``source``, ``target`` and so on, by these
        names; those that were never set are absent.
    """

    index: int
    one: Instr
    fields: Mapping[str, int]
    settings: Mapping[str, Mapping[str, int]]


def runs(instructions: Iterable[Instr]) -> Iterator[Run]:
    """The run instructions of a program, in order."""
    settings: dict[str, dict[str, Mapping[str, int]]] = {}
    for index, one in enumerate(instructions):
        engine = one.engine
        if one.instruction.name == "run":
            yield Run(index, one, one.fields, settings.get(engine, {}))
        elif engine != "control":
            # A new dictionary: runs keep the old one.
            settings[engine] = {**settings.get(engine, {}), one.instruction.name: one.fields}


def settings_of(run: Run) -> tuple[str, ...]:
    """Names of the settings that a run uses."""
    match run.one.engine:
        case "load":
            return ("window", "position") if run.fields["windowed"] else ()
        case "store":
            return ("window",) if run.fields["run_count"] > 1 else ()
        case "vec":
            rows = ("row",) if VEC_OPS[run.fields["op"]] == "softmax" else ()
            return ("shape", "source", "target", *rows)
        case "sparse":
            return ("shape", "stream")
        case _:
            return ("shape",)


def accesses(program: Program | Sequence[Instr], config: SystemConfig) -> dict[int, tuple[Access, ...]]:
    """Reads and writes of every run instruction, by its number in the program.

    Addresses that lie outside their memory are told as they are.

    Raises
    ------
    BadInput
        If a run uses settings that were never made.
    """
    instructions = program.instructions if isinstance(program, Program) else program
    found = {}
    for run in runs(instructions):
        for name in settings_of(run):
            if name not in run.settings:
                raise BadInput(f"{named(instructions, run.index)} comes before any {run.one.engine}.{name}")
        found[run.index] = touched(run, config)
    return found


def touched(run: Run, config: SystemConfig) -> tuple[Access, ...]:
    """Reads and writes of a run whose settings were all made."""
    return tuple(_BY_ENGINE[run.one.engine](run, config))


def _span(first: int, count: int) -> Words:
    """``count`` addresses, one after the other."""
    return Words(first, ((count, 1),))


def _load(run: Run, config: SystemConfig) -> Iterator[Access]:
    f = run.fields
    groups = run.settings["position"]["group_count"] if f["windowed"] else 1
    group = ceil_div(f["run_count"] * f["run_bytes"], config.lanes) * config.lanes
    total = ceil_div(groups * group, config.bus_bytes) * config.bus_bytes
    name = BUFFERS[f["buffer"]]
    word = config.plane_weight.word_bytes if name == "plane" else getattr(config, name).word_bytes
    first = f["target"] // word
    yield Access(name, True, _span(first, ceil_div(f["target"] + total, word) - first))
    if not f["windowed"]:
        yield Access("dram", False, Rows(np.array([f["address"]]), np.array([f["run_bytes"]]), 0, 1))
        return
    # Of the rows and bytes of the window only those that exist are read; the others are padding.
    window, position = run.settings["window"], run.settings["position"]
    begin = max(0, -position["y_start"])
    rows = min(f["run_count"], window["row_count"] - position["y_start"]) - begin
    moved = np.arange(groups) * window["x_step"]
    x = position["x_start"] + moved
    lead = np.maximum(-x, 0)
    size = np.minimum(x + f["run_bytes"], window["row_bytes"]) - x - lead
    there = size > 0
    if rows > 0 and there.any():
        start = f["address"] + begin * window["row_pitch"] + moved + lead
        yield Access("dram", False, Rows(start[there], size[there], window["row_pitch"], rows))


def _operands(run: Run, chunk: int) -> tuple[tuple[int, int], ...]:
    """Loops over activations of both GEMM engines; a step of c moves by ``chunk``."""
    shape = run.settings["shape"]
    strided = ((shape[f"{name}_count"], shape[f"{name}_stride"]) for name in ("x", "y", "kx", "ky"))
    return ((shape["c_count"], chunk), *strided)


def _products(run: Run) -> int:
    """Blocks of weights per output."""
    shape = run.settings["shape"]
    return shape["c_count"] * shape["kx_count"] * shape["ky_count"]


def _sums(run: Run) -> tuple[tuple[int, int], ...]:
    """Loops over the sums that both GEMM engines write for each unit."""
    shape = run.settings["shape"]
    return (shape["x_count"] * shape["y_count"], 1), (run.fields["tiles"], run.fields["acc_stride"])


def _dsp(run: Run, config: SystemConfig) -> Iterator[Access]:
    f = run.fields
    yield Access("act", False, Words(f["act"], _operands(run, 1)))
    yield Access("weight", False, _span(f["weight"], f["tiles"] * _products(run) * config.lanes))
    if not f["keep"]:
        yield Access("acc", True, Words(f["acc"], _sums(run)))


def _lut(run: Run, config: SystemConfig) -> Iterator[Access]:
    f = run.fields
    # All units read, also those whose sums are not written.
    operands = ((f["act_bits"], 1), *_operands(run, f["act_bits"]))
    yield Access("plane_act", False, Words(f["act"], operands), (1 << config.lut_units) - 1)
    yield Access("plane", False, _span(f["weight"], f["tiles"] * _products(run) * f["weight_bits"]))
    yield Access("acc", True, Words(f["acc"], (*_sums(run), (f["units"], f["unit_stride"]))))


def rounds(config: SystemConfig, shape: Mapping[str, int], run: Mapping[str, int]) -> int:
    """Column tiles, or groups of as many as there are ways, that a run of SPARSE computes one after the other."""
    return ceil_div(run["tiles"], config.sparse_ways if shape["spread"] else 1)


def _sparse(run: Run, config: SystemConfig) -> Iterator[Access]:
    f, shape, stream = run.fields, run.settings["shape"], run.settings["stream"]
    codes = rounds(config, shape, f) * ceil_div(shape["blocks"], CODE_WORD)
    yield Access("operand", False, _span(f["operand"] * SPARSE_LANES, shape["blocks"] * SPARSE_LANES))
    yield Access("code", False, _span(f["code"], codes))
    for name in ("value", "index"):
        if stream[f"{name}_rows"]:
            yield Access(name, False, _span(f[name], stream[f"{name}_rows"]))
    yield Access("acc", True, Words(f["acc"], ((shape["rows"], 1), (f["tiles"], f["acc_stride"]))))


def _vec(run: Run, config: SystemConfig) -> Iterator[Access]:
    f = run.fields
    shape, source, target = (run.settings[name] for name in ("shape", "source", "target"))
    op = VEC_OPS[f["op"]]
    # A block that is turned is read once, not once for every word that is made of it.
    inner = ("n2", "n1", "r1", "r0") if op in TURNING else ("n2", "n1", "n0", "r1", "r0")
    reads = Words(f["source"], tuple((shape[name], source[name]) for name in inner))
    yield Access("acc" if op in FROM_ACC else "act", False, reads)
    if op in WITH_PARAMETERS:
        yield Access("parameter", False, Words(f["parameter"], ((shape["n2"], target["parameter_n2"]),)))
    if op == "softmax":
        yield Access("parameter", True, _span(run.settings["row"]["parameter"], shape["n2"] * shape["n1"]))
    many = RAW_WORDS if op == "raw" else f["planes"] if op == "planes" else 1
    writes = Words(f["target"], ((many, 1), *((shape[name], target[name]) for name in ("n2", "n1", "n0"))))
    where = {"planes": "plane_act", "columns": "operand"}.get(op, "act")
    yield Access(where, True, writes, 1 << f["unit"] if op == "planes" else 1)


def _store(run: Run, config: SystemConfig) -> Iterator[Access]:
    f = run.fields
    window = run.settings["window"] if f["run_count"] > 1 else {"row_pitch": 0, "source_pitch": 0}
    # The buffer is read in words of the bus, which may hold several of activations.
    words = ceil_div(ceil_div(f["run_bytes"], config.bus_bytes) * config.bus_bytes, config.lanes)
    yield Access("act", False, Words(f["source"], ((words, 1), (f["run_count"], window["source_pitch"]))))
    rows = Rows(np.array([f["address"]]), np.array([f["run_bytes"]]), window["row_pitch"], f["run_count"])
    yield Access("dram", True, rows)


_BY_ENGINE: dict[str, Callable[[Run, SystemConfig], Iterator[Access]]] = {
    "load": _load,
    "dsp": _dsp,
    "lut": _lut,
    "sparse": _sparse,
    "vec": _vec,
    "store": _store,
}
