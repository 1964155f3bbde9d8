"""Single-event transients at gates: the lane engine against the hooked gates in Verilog."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults.models import Model, faults
from hwgen.faults.transients import GateSubject
from tests.faults.subjects import SUBJECTS, subject

COMPARED = ["digest", "end", "wrong", "flag", "status", "mended"]


def agree(name: str, count: int) -> None:
    lab = GateSubject.of(subject(name))
    assert lab.lanes.fault_free["digest"] == lab.plain.lanes.fault_free["digest"]
    rng = np.random.default_rng(5)
    gates = rng.integers(0, len(lab.level), count)
    cycles = rng.integers(0, lab.lanes.cycles, count)
    listed = faults(gates, cycles, Model.SET)
    ours, _ = lab.lanes.inject(listed)
    theirs = lab.run_verilated(listed)
    assert theirs.cycles == lab.lanes.cycles
    for field in COMPARED:
        differs = np.flatnonzero(ours[field] != theirs.results[field])
        shown = [
            (str(lab.level.gate(int(gates[i]))), cycles[i], ours[i], theirs.results[i]) for i in differs[:3]
        ]
        assert not shown, (field, len(differs), shown)
    wrong = ours["digest"] != lab.lanes.fault_free["digest"]
    assert 0.05 < wrong.mean() < 0.95


@pytest.mark.parametrize("name", ["dsp blocks", "size one"])
def test_engines_agree_on_transients(name: str) -> None:
    agree(name, 500)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_engines_agree_on_many_transients(name: str) -> None:
    agree(name, 10_000)


def test_every_gate_is_a_value_of_its_own() -> None:
    lab = GateSubject.of(subject("array"))
    assert len(lab.values) == len(lab.level) == len(lab.sites) == len(set(lab.values.tolist()))
    for number in range(0, len(lab.level), 97):
        assert lab.sites.site(number).element.path == lab.level.gate(number).path


def test_gates_and_cycles_that_do_not_exist_are_refused() -> None:
    lab = GateSubject.of(subject("size one"))
    with pytest.raises(BadInput, match="no gate"):
        lab.lanes.inject(faults(len(lab.level), 0, Model.SET))
    with pytest.raises(BadInput, match="comes after the end"):
        lab.lanes.inject(faults(0, lab.lanes.cycles, Model.SET))
    with pytest.raises(BadInput, match="model set"):
        lab.lanes.inject(faults(0, 0))
    with pytest.raises(BadInput, match="strike the subject's gates"):
        lab.plain.lanes.inject(faults(0, 0, Model.SET))
