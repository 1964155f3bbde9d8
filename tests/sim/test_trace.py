"""Timelines, parsed back."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from vcd.reader import TokenKind, tokenize

from sim import trace
from sim.machine import Dram, Outcome

NAMES = {0: "load", 1: "dsp", 4: "vec", 5: "store"}


@pytest.fixture
def finished(build, simulate):
    """A load that DSP waits for, a single instruction right behind a run, a store."""
    build.load(run_bytes=200, signal=2).add(1).fixed(1, 40, wait=1, signal=16).add(1).add(4, wait=2)
    build.store(run_bytes=100).halt()
    run = simulate(build, Dram(latency=10))
    labels = ["load.run", "dsp.shape", "dsp.run", "dsp.shape", "vec.shape", "store.run", "control.halt"]
    return run, trace.timeline(run, build.program, NAMES, labels)


@pytest.fixture
def broken(build, simulate):
    """DSP waits for ever; LOAD is cut off by an illegal instruction."""
    build.add(1, wait=16).load(run_bytes=2000).add(4).add(4).add(4).illegal()
    run = simulate(build, Dram(latency=100))
    assert run.outcome is Outcome.ILLEGAL
    return run, trace.timeline(run, build.program, NAMES)


def slices(data, engine):
    found = [e for e in data["traceEvents"] if e["ph"] == "X" and e["tid"] == engine]
    for one, other in pairwise(found):
        assert one["ts"] + one["dur"] <= other["ts"]
    return found


def test_a_trace_has_a_slice_per_instruction(finished, tmp_path):
    run, line = finished
    trace.write_chrome(tmp_path / "trace.json", line)
    data = json.loads((tmp_path / "trace.json").read_text())
    threads = {e["tid"]: e["args"]["name"] for e in data["traceEvents"] if e["name"] == "thread_name"}
    assert threads == NAMES
    seen = [e for engine in NAMES for e in slices(data, engine) if e["cat"] == "instruction"]
    assert sorted(e["args"]["instruction"] for e in seen) == [0, 1, 2, 3, 4, 5]
    for one in seen:
        i = one["args"]["instruction"]
        assert (one["ts"], one["ts"] + one["dur"] - 1) == (run.starts[i], run.ends[i])
        assert one["name"] == line.labels[i]
        assert one["args"]["stalled"] == run.stalled[i]
    waits = [e for e in slices(data, 1) if e["cat"] == "wait"]
    assert [(e["ts"] + e["dur"], e["dur"]) for e in waits] == [(run.starts[2], run.waited[2])]


def test_tokens_are_counted(finished):
    run, line = finished
    counters = [e for e in trace.chrome(line)["traceEvents"] if e["ph"] == "C"]
    levels = {(e["name"], e["ts"]): e["args"]["tokens"] for e in counters}
    assert levels == {
        ("tokens load to dsp", run.ends[0] + 1): 1,
        ("tokens load to dsp", run.starts[2] + 1): 0,
        ("tokens dsp to vec", run.ends[2] + 1): 1,
        ("tokens dsp to vec", run.starts[4] + 1): 0,
    }


def test_a_trace_of_a_program_that_failed(broken):
    run, line = broken
    data = trace.chrome(line)
    (waits,) = slices(data, 1)
    assert (waits["cat"], waits["dur"], waits["ts"] + waits["dur"]) == ("wait", run.waited[0], run.cycles + 2)
    (load,) = slices(data, 0)
    assert load["args"]["unfinished"]
    assert load["ts"] + load["dur"] == run.cycles + 1


def test_a_timeline_of_times_alone():
    one = np.array([3])
    line = trace.Timeline(one, one + 2, one * 0, 9, {0: "load"})
    (only,) = slices(trace.chrome(line), 0)
    assert (only["ts"], only["dur"], only["name"], only["args"]) == (3, 3, "0", {"instruction": 0})
    with pytest.raises(ValueError, match="labels has 2 entries for 1 instructions"):
        trace.Timeline(one, one, one, 9, {0: "load"}, ["a", "b"])


def waves(path):
    """Value of each variable from each of its changes on: {scope.name: {time: value}}."""
    names, scope, time, found = {}, "", 0, {}
    for token in tokenize(io.BytesIO(path.read_bytes())):
        if token.kind is TokenKind.SCOPE:
            scope = token.scope.ident
        elif token.kind is TokenKind.VAR:
            names[token.var.id_code] = f"{scope}.{token.var.reference}"
        elif token.kind is TokenKind.CHANGE_TIME:
            time = token.time_change
        elif token.kind is TokenKind.CHANGE_SCALAR:
            found.setdefault(names[token.scalar_change.id_code], {})[time] = int(token.scalar_change.value)
        elif token.kind is TokenKind.CHANGE_VECTOR:
            found.setdefault(names[token.vector_change.id_code], {})[time] = token.vector_change.value
    return found, time


def at(wave, cycle):
    return wave[max(time for time in wave if time <= cycle)]


def test_waves(finished, tmp_path):
    run, line = finished
    trace.write_vcd(tmp_path / "waves.vcd", line)
    found, last = waves(tmp_path / "waves.vcd")
    assert set(found) == {
        f"{name}.{wave}" for name in NAMES.values() for wave in ("busy", "waiting", "instruction")
    }
    assert last == run.cycles + 1
    for engine, name in NAMES.items():
        for cycle in range(run.cycles + 1):
            own = np.flatnonzero(line.engines == engine)
            busy = [i for i in own if run.starts[i] <= cycle <= run.ends[i]]
            waits = [i for i in own if run.starts[i] - run.waited[i] <= cycle < run.starts[i]]
            assert at(found[f"{name}.busy"], cycle) == len(busy)
            assert at(found[f"{name}.waiting"], cycle) == len(waits)
            value = at(found[f"{name}.instruction"], cycle)
            assert value == (*busy, *waits)[0] if busy or waits else set(value) == {"x"}


def test_waves_of_a_program_that_failed(broken, tmp_path):
    run, line = broken
    trace.write_vcd(tmp_path / "waves.vcd", line)
    found, last = waves(tmp_path / "waves.vcd")
    assert at(found["dsp.waiting"], run.cycles + 1) == 1
    assert last == run.cycles + 2
