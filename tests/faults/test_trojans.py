"""Trojans: when they wake up, what they do, and that lanes, hooks and the hooks' controller agree on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwgen.commands.inject import subject_of
from hwgen.errors import BadInput
from hwgen.faults.access import wrapped
from hwgen.faults.access_registers import offset
from hwgen.faults.hooks import hooked
from hwgen.faults.models import Model, faults
from hwgen.faults.sites import Kind
from hwgen.faults.subject import CoreSubject
from hwgen.faults.trojans import Trigger, parse_trigger, payload, waking
from tests.faults.hook_bench import Bench

COMPARED = ("digest", "end", "wrong", "flag", "status")
BEAT = [parse_trigger("s_axis_a_tvalid=1"), parse_trigger("s_axis_a_tready=1")]
RESET = 4
STEP = 6  # cycles of a write


@pytest.fixture(scope="module")
def one() -> CoreSubject:
    found = subject_of("dsp_gemm", {"rows": "2", "cols": "2", "tile_steps": "4"}, "gemm:3x4x3", seed=1)
    assert isinstance(found, CoreSubject)
    return found


def first_site(one: CoreSubject, name: str) -> int:
    return one.sites.find(name)[0].first


def test_triggers_as_text() -> None:
    assert parse_trigger("irq=1") == Trigger("irq", 1)
    assert parse_trigger("a.b=0x40/0xf0") == Trigger("a.b", 0x40, 0xF0)
    assert str(parse_trigger("a.b=64/0b11110000")) == "a.b=0x40/0xf0"
    for text in ("irq", "=1", "irq=", "irq=x", "irq=-1", "irq=1/"):
        with pytest.raises(BadInput, match="NAME=VALUE"):
            parse_trigger(text)


def test_the_fault_begins_after_the_match_that_counts(one: CoreSubject) -> None:
    beats = waking(one.lanes, BEAT, 3)
    pins = [(one.program.inputs | one.program.outputs)[t.name][0] for t in BEAT]
    cycles = [c for c in range(one.lanes.cycles) if all(one.lanes.value(c, pin) for pin in pins)]
    assert beats.matches == tuple(cycles)
    assert beats.first == cycles[2] + 1
    register = waking(one.lanes, [Trigger("sequencer.step_index", 1, 1)])
    values = next(
        r.q for r in one.program.registers if one.sites.elements[r.element].label == "sequencer.step_index"
    )
    assert all(one.lanes.value(cycle, values) & 1 for cycle in register.matches)


@pytest.mark.parametrize(
    ("trigger", "count", "expected"),
    [
        (Trigger("nothing", 1), 1, "no port or register 'nothing' to watch"),
        (Trigger("m_axis_c_tvalid", 2), 1, "does not fit the 1 bits"),
        (Trigger("rst", 1), 1, "holds in 0 of the run's"),
        (Trigger("m_axis_c_tvalid", 1), 0, "from 1, not 0"),
    ],
)
def test_triggers_that_cannot_be(one: CoreSubject, trigger: Trigger, count: int, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        waking(one.lanes, [trigger], count)


def test_payloads(one: CoreSubject) -> None:
    table = one.sites
    a, b = "column_0.chain_0.row_0.act", "column_0.chain_0.row_0.w_out"
    assert payload(table, Model.SEU, [a], None) == ([a], 0)
    assert payload(table, Model.OVERRIDE, [a], 7) == ([a], 7)
    assert payload(table, Model.SWAP, [a, b], None) == ([a], first_site(one, b))
    for model, where, value in ((Model.SEU, [a], 1), (Model.OVERRIDE, [a], None), (Model.SWAP, [a], None)):
        with pytest.raises(BadInput, match=r"--value|--sites"):
            payload(table, model, where, value)
    wrong = {
        "does not fit": faults(first_site(one, a), 0, Model.OVERRIDE, value=256),
        "cannot be overridden": faults(len(table) - 1, 0, Model.OVERRIDE),
        "cannot be exchanged": faults(first_site(one, a), 0, Model.SWAP, value=first_site(one, "act_0")),
    }
    for text, listed in wrong.items():
        with pytest.raises(BadInput, match=text):
            one.lanes.inject(listed)


def test_an_override_loads_the_value_and_a_swap_exchanges(one: CoreSubject) -> None:
    """Against bits that are set one by one, and upsets of what differs."""
    registers = [e for e in one.sites if e.kind is Kind.FLIP_FLOP and e.width <= 32]
    first = waking(one.lanes, BEAT, 3).first
    values = {one.sites.elements[r.element].label: r.q for r in one.program.registers}
    for e in registers[::5]:
        value = 0x5A5A5A5A & ((1 << e.width) - 1)
        seen = one.lanes.value(first + 1, values[e.label]) if first + 1 < one.lanes.cycles else 0
        (loaded,), _ = one.lanes.inject(faults(e.first, first, Model.OVERRIDE, value=value))
        if seen == value:
            assert loaded["digest"] == one.lanes.fault_free["digest"]
        elif (seen ^ value).bit_count() == 1:
            (upset,), _ = one.lanes.inject(faults(e.first + (seen ^ value).bit_length() - 1, first))
            assert [upset[n] for n in COMPARED] == [loaded[n] for n in COMPARED]
    # What is exchanged twice as often as not is what it was: one register in both directions is the same fault.
    a, b = (first_site(one, f"column_0.chain_0.row_{i}.act") for i in (0, 1))
    assert one.sites.locate([a])[0] != one.sites.locate([b])[0]
    same = [e for e in registers if e.path == ("column_0", "chain_0", "row_0") and e.width == 8]
    (x, _), (y, _) = ((e.first, e.label) for e in same[:2])
    there, _ = one.lanes.inject(faults([x, y], first, Model.SWAP, duration=3, value=[y, x]))
    assert [there[n][0] for n in COMPARED] == [there[n][1] for n in COMPARED]
    assert there["digest"][0] != one.lanes.fault_free["digest"]


@pytest.mark.parametrize(("model", "duration"), [("override", 1), ("stuck-at-1", 4), ("word", 1)])
def test_lanes_and_hooks_agree(one: CoreSubject, model: str, duration: int) -> None:
    chosen = Model[model.upper().replace("-", "_")]
    first = waking(one.lanes, BEAT, 3).first
    sites = [e.first for e in one.sites if e.kind is Kind.FLIP_FLOP and e.width <= 32]
    listed = faults(sites, first, chosen, duration=duration, value=int(chosen is Model.OVERRIDE))
    ours, _ = one.lanes.inject(listed)
    theirs = one.run_verilated(listed)
    for name in COMPARED:
        assert (ours[name] == theirs.results[name]).all(), name


def test_the_controller_on_an_fpga_does_the_same(one: CoreSubject, tmp_path: Path) -> None:
    """The trojan of the command line, and the comparator beside the hooked design, on the pins of the same run."""
    made = hooked(one.sources, one.top)
    lab = tmp_path / "lab.v"
    lab.write_text(wrapped(made, watch=["s_axis_a_tvalid", "s_axis_a_tready"]))
    widths = {p.name: (p.direction, len(p.bits)) for p in one.netlist.ports if p.name != "clk"}
    inputs = {name: width for name, (direction, width) in widths.items() if direction == "input"}
    outputs = {name: width for name, (direction, width) in widths.items() if direction == "output"}
    bus = {"awaddr": 8, "awvalid": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "bready": 1, "araddr": 8,
           "awprot": 3, "arprot": 3, "arvalid": 1, "rready": 1}  # fmt: skip
    pins = {f"s_axi_fault_{name}": width for name, width in bus.items()}
    answers = {"s_axi_fault_rvalid": 1, "s_axi_fault_rdata": 32}
    bench = Bench(
        [lab], f"{one.top}_fault_lab", {**inputs, **pins, "fault_rst": 1, "fault_arm": 1}, outputs | answers
    )

    count, duration, register = 3, 2, "column_0.chain_0.row_0.p"
    element = one.sites.find(register)[0]
    (word,), _, (bit,) = made.locate([element.first])
    mask = ((1 << element.width) - 1) << int(bit)
    value = 0x1234
    settings = {
        "WORD": int(word), "CLEAR": mask, "FLIP": value << int(bit), "MODE": 2, "VALUE": 3, "MASK": 3,
        "COUNT": count, "DURATION": duration,
    }  # fmt: skip
    start = STEP * (len(settings) + 1) + RESET  # cycle 0 of the design's run
    end = start + one.lanes.cycles
    given: dict[str, np.ndarray] = {
        name: np.zeros((1, end + STEP), object) for name in (*inputs, *pins, "fault_rst", "fault_arm")
    }
    for i, (name, number) in enumerate([*settings.items(), ("CONTROL", 1)]):
        for pin, what in (
            ("awaddr", offset(name)),
            ("wdata", number),
            ("awvalid", 1),
            ("wvalid", 1),
            ("wstrb", 15),
        ):
            given[f"s_axi_fault_{pin}"][0, i * STEP] = what
    given["s_axi_fault_bready"][:] = 1
    given["s_axi_fault_rready"][:] = 1
    given["rst"][0, start - RESET : start] = 1
    for name, values in one.program.inputs.items():
        if name in inputs and name != "rst":
            for cycle in range(one.lanes.cycles):
                seen = (one.lanes.value(cycle, v) << 64 * k for k, v in enumerate(values))
                given[name][0, start + cycle] = sum(seen)
    given["s_axi_fault_araddr"][0, end] = offset("FIRED_LOW")
    given["s_axi_fault_arvalid"][0, end] = 1
    told = bench.run(given, tmp_path)

    woken = waking(one.lanes, BEAT, count)
    (at,) = np.flatnonzero(told["s_axi_fault_rvalid"][0])[:1]
    assert told["s_axi_fault_rdata"][0][at] == woken.first
    words, results = one.lanes.observe(
        faults(element.first, woken.first, Model.OVERRIDE, duration=duration, value=value)
    )
    assert results["digest"][0] != one.lanes.fault_free["digest"]
    beats = np.flatnonzero(told["m_axis_c_tvalid"][0][start:end]) + start
    data = [int(told["m_axis_c_tdata"][0][c]) for c in beats]
    assert data == words[0].reshape(len(data), 2)[:, 0].tolist()
