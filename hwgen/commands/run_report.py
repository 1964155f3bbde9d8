"""A run as a report: what an architect asks of it, and every definition that the answers rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen import toolchain
from hwgen.commands.run import RunResult, Timing
from hwgen.commands.run_account import LayerFigures, bytes_per_cycle, on_chip_bytes
from hwgen.commands.run_sparse import sparse_section
from hwgen.commands.run_terms import TERMS
from hwgen.errors import BadInput
from hwgen.explore.account import DISPATCH, LOSSES, LayerAccount
from hwgen.program.table import ENGINES, INSTRUCTION_BYTES
from hwgen.report import Cell, Figure, Point, Report, Section, Table, gantt, roofline, stacked_bars
from hwgen.version import VERSION
from sim.machine import Dram

__all__ = ["COLOURS", "run_report"]

COLOURS = {
    "load": "#56B4E9", "dsp": "#0072B2", "lut": "#E69F00", "sparse": "#D55E00", "vec": "#009E73", "store": "#CC79A7",
}  # fmt: skip
"""Of the engines."""

_LOSS_COLOURS = {
    "compute": "#0072B2", "split": "#9ecae1", "edges": "#E69F00", "weight load": "#f5d08a", "fill and drain": "#009E73",
    "dram": "#D55E00", "synchronisation": "#CC79A7", "overlap": "#8b95a1",
}  # fmt: skip
_STATE_COLOURS = {"run": "#0072B2", "stall": "#D55E00", "wait": "#E69F00", "idle": "#d5dbe1"}
_TRAFFIC_COLOURS = {"read": COLOURS["load"], "written": COLOURS["store"]}

_CLOSE = 20_000  # cycles of the closest view
_OPENING = 4  # layers of the view in the middle
_MOST_ROOFS = 3


def run_report(result: RunResult, clock_mhz: float | None = None, target: str = "accelerator") -> Report:
    """The report of a run that has cycles.

    Parameters
    ----------
    result : RunResult
        What was found.
    clock_mhz : float, optional
        Clock at which cycles are told as time.
    target : str
        What the user called the accelerator.

    Raises
    ------
    BadInput
        If the executor counted no cycles.
    """
    if result.timing is None or result.job is None:
        raise BadInput(
            "a report is about cycles, and the golden model counts none; choose the executor sim or rtl"
        )
    totals, timing = result.totals, result.timing
    found = f"{timing.cycles:,} cycles, {100 * totals.utilisation:.1f}\u202f% of the cores' arithmetic"
    return Report(
        title=f"{result.name} on {target}",
        subtitle=f"{found}; {_where(result)}",
        facts=_facts(result, timing, clock_mhz),
        sections=[
            _summary(result, timing, clock_mhz),
            _layers(result),
            _losses(result),
            *sparse_section(result),
            _roofline(result),
            _engines(result, timing),
            _traffic(result, timing),
            _setting(result),
            _definitions(),
        ],
    )


def _cores(result: RunResult) -> str:
    c = result.config
    names = [f"{c.lanes} × {c.lanes} INT8 on DSP blocks"] if c.dsp else []
    names += [f"{c.lut_units} × {c.lut_width} × {c.lanes} bits on LUTs"] if c.lut else []
    names += [f"{c.sparse_rows} × {c.lanes} INT8 of sparse weights on DSP blocks"] if c.sparse else []
    return " and ".join(names)


def _where(result: RunResult) -> str:
    """What takes most beside compute."""
    losses = result.totals.losses
    worst = max(losses, key=lambda name: losses[name])
    share = losses[worst] / result.totals.cycles
    return f"the largest loss is {worst}, {100 * share:.1f}\u202f%" if share > 0 else "nothing is lost"


def _facts(result: RunResult, timing: Timing, clock_mhz: float | None) -> dict[str, str]:
    s, c, job = result.settings, result.config, result.job
    assert job is not None
    dram = s["dram"]
    executor = {"sim": "cycle simulator", "rtl": "Verilog in the compiled harness"}[result.executor]
    facts = {
        "cores": _cores(result),
        "executor": executor + (", no values" if s["timing_only"] else ""),
        "program": f"{len(job.program):,} instructions, {job.size / 2**20:.1f} MiB of memory",
        "digest": c.digest,
        "memory": f"latency {dram['latency']}, {dram['interval']} cycle{'s' * (dram['interval'] > 1)} per beat of "
        f"{c.bus_bytes} bytes, {dram['depth']} bursts ahead, write latency {dram['write_latency']}",
        "on chip": f"{on_chip_bytes(c) / 1024:,.0f} KiB in all buffers",
        "numbers": f"seed {s['seed']}, {s['images']} image{'s' * (s['images'] > 1)}",
        "tools": _tools(result),
    }
    if clock_mhz:
        facts["clock"] = f"{clock_mhz:g} MHz"
    return facts


def _tools(result: RunResult) -> str:
    tools = f"hwgen {VERSION}"
    if result.executor == "rtl":
        tools += f", Verilator {'.'.join(map(str, toolchain.verilator().version))}"
    return tools


def _summary(result: RunResult, timing: Timing, clock_mhz: float | None) -> Section:
    totals, config, sparse = result.totals, result.config, _any_sparse(result)
    rate = float(bytes_per_cycle(config, Dram(**result.settings["dram"])))
    traffic = timing.read_bytes + timing.written_bytes
    rows: list[list[Cell]] = [
        [
            "cycles",
            timing.cycles,
            "from the first cycle of the run to the last one in which the bus is in use",
        ],
        [
            "multiply-accumulates",
            result.macs,
            f"{result.macs / timing.cycles:,.1f} per cycle" + (", weights that are zero included" * sparse),
        ],
        [
            "utilisation",
            f"{100 * totals.utilisation:.1f} %",
            "of what each layer's cores could do, without weights that are zero"
            if sparse
            else "of what all cores together could do",
        ],
    ]
    if totals.roofline is not None:
        share = f"{100 * totals.roofline / timing.cycles:.1f} %"
        rows.append(["roofline", totals.roofline, f"{share} of the cycles: layer after layer at its bound"])
    rows += [
        ["bytes read", timing.read_bytes, "with the program, and what beats carry beside the data"],
        ["bytes written", timing.written_bytes, ""],
        [
            "bandwidth",
            f"{100 * traffic / (timing.cycles * rate):.1f} %",
            f"of {rate:g} bytes per cycle",
        ],
    ]
    if clock_mhz:
        milliseconds = timing.cycles / clock_mhz / 1e3
        rows.insert(
            1,
            [
                "time",
                f"{milliseconds:,.3f} ms",
                f"at {clock_mhz:g} MHz; {1e3 / milliseconds:,.1f} per second",
            ],
        )
        giga = 2 * result.macs / timing.cycles * clock_mhz / 1e3
        rows.insert(3, ["throughput", f"{giga:,.1f} GOPS", "two operations per multiply-accumulate"])
    if result.correct is not None and result.labels is not None:
        count = len(result.labels)
        rows.append(
            ["correct", f"{100 * result.correct / count:.2f} %", f"{result.correct} of {count} images"]
        )
    marks = [["in order", text] for text in result.checks] + [
        ["DIFFERS", text] for text in result.differences
    ]
    return Section(
        title="Summary",
        items=[
            Table(title="The run", columns=["figure", "value", "remark"], rows=rows),
            Table(title="What was checked", columns=["outcome", "check"], rows=marks),
        ],
    )


def _any_sparse(result: RunResult) -> bool:
    """Whether a layer ran on the sparse core."""
    return any(layer.sparse for layer in result.layers)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %".replace("-", "−")


def _bits(layer: LayerFigures) -> str:
    return f"{layer.act_bits}×{layer.weight_bits}" if layer.weight_bits else "–"


def _layers(result: RunResult) -> Section:
    rows: list[list[Cell]] = []
    bounds: list[list[Cell]] = []
    for layer, a in _accounted(result):
        b = layer.bounds
        share = "–" if layer.lut_share is None else f"{100 * layer.lut_share:.0f} %"
        rows.append([
            layer.name, layer.kind, layer.shape, _bits(layer), share, a.main or "–", a.cycles,
            _percent(layer.utilisation if layer.macs else None), _percent(layer.efficiency), layer.main_loss or "–",
        ])  # fmt: skip
        if b is not None:
            bounds.append(
                [layer.name, b.compute, a.tiles, b.compulsory, b.capacity, b.roofline, b.limit, a.cycles]
            )
    items: list[Table | Figure] = [
        Table(
            title="Layers",
            columns=["layer", "kind", "M×K×N or output", "bits", "on LUT", "main engine", "cycles", "utilisation",
                     "efficiency", "largest loss"],
            rows=rows,
            note="Bits: activations × weights. On LUT: share of the output channels. Efficiency: roofline over cycles; "
            "above 100 % where a layer's operands came while the layer before it was at work.",
        )
    ]  # fmt: skip
    if bounds:
        items.append(
            Table(
                title="Bounds [cycles]",
                columns=[
                    "layer",
                    "compute",
                    "in tiles",
                    "traffic",
                    "with capacity",
                    "roofline",
                    "limit",
                    "cycles",
                ],
                rows=bounds,
                note="No schedule can beat the roofline, the largest of compute and traffic. In tiles: what the main "
                "engine's runs take at least as they are cut.",
            )
        )
    return Section(
        title="Layers",
        text="A layer's cycles are those from the end of the layer before it to its own end, so they add up to the "
        "run. What they are made of is told in the next section; all terms are defined at the end.",
        items=items,
    )


def _accounted(result: RunResult) -> list[tuple[LayerFigures, LayerAccount]]:
    return [(layer, layer.account) for layer in result.layers if layer.account is not None]


def _losses(result: RunResult) -> Section:
    pairs = _accounted(result)
    parts = {"compute": [float(a.compute) for _, a in pairs]}
    parts |= {name: [float(a.losses[name]) for _, a in pairs] for name in LOSSES}
    shown = {name: values for name, values in parts.items() if any(values)} or parts
    totals = result.totals
    rows: list[list[Cell]] = [
        [layer.name, a.compute, *(a.losses[name] for name in LOSSES), a.cycles] for layer, a in pairs
    ]
    rows.append(["all", totals.compute, *(totals.losses[name] for name in LOSSES), totals.cycles])
    share: list[Cell] = [_percent(v / totals.cycles) for v in (totals.compute, *totals.losses.values())]
    rows.append(["share of all", *share, "100 %"])
    waited = [name for name in (*result.config.engines, DISPATCH) if any(a.waits.get(name) for _, a in pairs)]
    waits: list[list[Cell]] = [
        [layer.name, a.main or "–", *(a.waits.get(name, 0) for name in waited), sum(a.waits.values())]
        for layer, a in pairs
    ]
    return Section(
        title="Where the cycles go",
        text="Compute is what the arithmetic takes at the least when all cores work to the end. Everything above it "
        "has a name. The parts of a layer add up to its cycles exactly.",
        items=[
            Figure(
                title="Cycles of every layer by cause",
                svg=stacked_bars(
                    [layer.name for layer, _ in pairs],
                    shown,
                    ylabel="cycles",
                    colours=_LOSS_COLOURS,
                    signed=True,
                ),
                note="Overlap that is negative (left of, or below, the axis) is work done while the layer before was "
                "not at its end; the number at a bar is what remains.",
            ),
            Table(
                title="Cycles by cause",
                columns=["layer", "compute", *LOSSES, "cycles"],
                rows=rows,
            ),
            Table(
                title="Whom the main engine waited for",
                columns=["layer", "main engine", *waited, "in all"],
                rows=waits,
                note="Cycles of dram and synchronisation by the engine that was at work meanwhile; dispatch: the next "
                "instruction had not left the dispatcher.",
            ),
        ],
    )


def _roofline(result: RunResult) -> Section:
    config = result.config
    points, roofs, dense, sparse = [], {}, False, False
    for layer, a in _accounted(result):
        moved = layer.read + layer.written
        if not (layer.products and moved and a.cycles):
            continue
        names = {"dsp": "main engine DSP", "lut": "main engine LUT", "sparse": "main engine SPARSE"}
        series = names.get(a.main, "other")
        points.append(Point(layer.name, layer.products / moved, layer.products / a.cycles, series))
        rate = layer.products / a.compute if a.compute else 0.0
        dense, sparse = dense or a.main != "sparse", sparse or a.main == "sparse"
        if config.lut and layer.weight_bits and not layer.sparse:
            roofs[f"all cores at {layer.act_bits} × {layer.weight_bits} bits"] = rate
    cores = {"DSP core": config.macs_per_cycle * dense, "SPARSE core": config.sparse_macs_per_cycle * sparse}
    for one in sorted(set(cores.values()) - {0}):
        roofs[", ".join(name for name in cores if cores[name] == one)] = float(one)
    if not roofs:
        roofs["peak"] = 1.0
    if len(roofs) > _MOST_ROOFS:  # the highest and the lowest tell enough
        ordered = sorted(roofs, key=lambda name: -roofs[name])
        roofs = {name: roofs[name] for name in (ordered[0], ordered[len(ordered) // 2], ordered[-1])}
    if not points:
        return Section(title="Roofline", text="No layer multiplies and moves bytes, so there is no roofline.")
    rate = float(bytes_per_cycle(config, Dram(**result.settings["dram"])))
    return Section(
        title="Roofline",
        text="Every layer that multiplies, by the bytes that it moved and the cycles that it took. A point on the "
        "slope is bound by memory, a point on a flat roof by arithmetic. A layer of few bits has a roof of its own."
        + " Products of weights that are zero do not count on the sparse core."
        * _any_sparse(result),
        items=[
            Figure(
                title="Multiply-accumulates per cycle over multiply-accumulates per byte",
                svg=roofline(points, roofs, bandwidth=rate),
                note="Names are left out where they would lie on each other. Points can lie above the slope where "
                "operands were moved during the layer before.",
            )
        ],
    )


def _engines(result: RunResult, timing: Timing) -> Section:
    names = list(timing.counters)
    states = {
        state: [100 * timing.counters[n][state] / timing.cycles for n in names] for state in _STATE_COLOURS
    }
    rows: list[list[Cell]] = [
        [name, *(timing.counters[name][state] for state in _STATE_COLOURS),
         f"{100 * timing.counters[name]['run'] / timing.cycles:.1f} %"]
        for name in names
    ]  # fmt: skip
    busy: list[list[Cell]] = [
        [layer.name, *(a.busy.get(name, 0) for name in names), a.cycles] for layer, a in _accounted(result)
    ]
    return Section(
        title="Engines",
        text="What the hardware's performance counters read after the run, and what every engine did when. In the "
        "timelines a track is darker where more of the time was busy.",
        items=[
            *_timelines(result, timing, names),
            Figure(
                title="Share of the cycles in every state",
                svg=stacked_bars(
                    names, states, ylabel="share of the cycles [%]", colours=_STATE_COLOURS, totals=False
                ),
            ),
            Table(
                title="Performance counters",
                columns=["engine", *_STATE_COLOURS, "share at work"],
                rows=rows,
                note="Run: at work. Stall: a transfer was under way and moved nothing. Wait: the next instruction "
                "lacked a token. Idle: there was no instruction.",
            ),
            Table(
                title="Busy cycles of every layer's instructions",
                columns=["layer", *names, "cycles"],
                rows=busy,
            ),
        ],
    )  # fmt: skip


def _timelines(result: RunResult, timing: Timing, names: Sequence[str]) -> list[Figure]:
    job = result.job
    assert job is not None
    engines = np.array(
        [ENGINES.index(n.engine) if n.engine in ENGINES else -1 for n in job.program.instructions]
    )
    # A setting takes one cycle; what an engine does are its runs.
    done = (timing.ends >= 0) & np.array([n.mnemonic.endswith(".run") for n in job.program.instructions])
    tracks = {}
    for name in names:
        own = np.flatnonzero((engines == ENGINES.index(name)) & done)
        tracks[name] = (timing.starts[own], timing.ends[own])
    pairs = _accounted(result)
    marks = {layer.name: (float(a.first), float(a.first + a.cycles)) for layer, a in pairs}
    views = [("The whole run", timing.cycles - 1)]
    if len(pairs) > 2 * _OPENING:
        a = pairs[_OPENING - 1][1]
        views.append((f"The first {_OPENING} layers", a.first + a.cycles - 1))
    if views[-1][1] > 2 * _CLOSE:
        views.append((f"The first {_CLOSE:,} cycles", _CLOSE))
    return [
        Figure(title=title, svg=gantt(tracks, first=0, last=last, marks=marks, colours=COLOURS))
        for title, last in views
        if last > 0
    ]


def _traffic(result: RunResult, timing: Timing) -> Section:
    pairs = _accounted(result)
    labels = [layer.name for layer, _ in pairs]
    moved = {"read": [float(x.read) for x, _ in pairs], "written": [float(x.written) for x, _ in pairs]}
    least = [float(x.bounds.compulsory_bytes) for x, _ in pairs if x.bounds]
    rate = bytes_per_cycle(result.config, Dram(**result.settings["dram"]))
    rows: list[list[Cell]] = []
    for layer, a in pairs:
        both = layer.read + layer.written
        bound = layer.bounds.compulsory_bytes if layer.bounds else 0
        rows.append([
            layer.name, layer.read, layer.written, bound or "–", f"{both / bound:.2f} ×" if bound else "–",
            _percent(layer.moved / float(a.cycles * rate)) if a.cycles else "–",
        ])  # fmt: skip
    known = sum(x.read + x.written for x, _ in pairs)
    other = timing.read_bytes + timing.written_bytes - known
    assert result.job is not None
    program = INSTRUCTION_BYTES * len(result.job.program)
    return Section(
        title="Traffic",
        text="Bytes that every layer's transfers move between memory and chip.",
        items=[
            Figure(
                title="Bytes moved by every layer",
                svg=stacked_bars(
                    labels, moved, ylabel="bytes", colours=_TRAFFIC_COLOURS, bound_label="compulsory",
                    bound=least if len(least) == len(labels) else None,
                ),
            ),
            Table(
                title="Traffic",
                columns=["layer", "read", "written", "compulsory", "over compulsory", "bandwidth used"],
                rows=rows,
                note=f"{other:,} bytes more went over the bus: the program's {program:,}, "
                "and the parts of beats that carry no data. Bandwidth used: what transfers of any layer move in "
                "the layer's window, over what the bus could; about, because a transfer counts as if it moved evenly.",
            ),
        ],
    )  # fmt: skip


def _setting(result: RunResult) -> Section:
    config: list[list[Cell]] = [[name, str(value)] for name, value in result.config.to_dict().items()]
    buffers: list[list[Cell]] = [
        [space.name, space.words, space.word_bytes, space.banks, space.bytes]
        for space in (*result.config.load_targets.values(), result.config.acc)
    ]
    if result.config.lut:
        planes = result.config.plane_act
        buffers.append([f"{planes.name} × {result.config.lut_units}", planes.words, planes.word_bytes, 1,
                        planes.bytes * result.config.lut_units])  # fmt: skip
    if result.config.sparse:
        operand = result.config.operand
        buffers.append([operand.name, operand.words, operand.word_bytes, operand.banks, operand.bytes])
    seconds: list[list[Cell]] = [[name, f"{value:.3f}"] for name, value in result.seconds.items()]
    return Section(
        title="Setting",
        items=[
            Table(title="Configuration", columns=["parameter", "value"], rows=config),
            Table(
                title="Buffers", columns=["buffer", "words", "bytes per word", "banks", "bytes"], rows=buffers
            ),
            Table(title="Wall time of this run [s]", columns=["step", "seconds"], rows=seconds),
        ],
    )


def _definitions() -> Section:
    return Section(
        title="Definitions",
        items=[
            Table(title="Terms", columns=["term", "meaning"], rows=[list(pair) for pair in TERMS.items()])
        ],
    )
