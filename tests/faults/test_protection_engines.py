"""Both engines see the same reports of a protected design."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hwgen.faults.engine.engine import LANES, NEVER
from hwgen.faults.models import Model
from hwgen.faults.protection.measure import guard
from hwgen.faults.protection.plan import Plan
from hwgen.faults.protection.transform import DETECTED
from tests.faults.subjects import drawn, subject

COMPARED = ["digest", "end", "wrong", "flag", "status"]


@pytest.mark.parametrize("scheme", ["parity", "dmr+secded"])
def test_results_do_not_depend_on_lanes_or_order(scheme: str) -> None:
    one = guard(subject("array"), Plan.of({"*": scheme.split("+")})).after
    listed = drawn(one, Model.SEU, 2000)
    first, _ = one.lanes.inject(listed, lanes=64)
    assert (first["flag"] != NEVER).sum() > 500
    for lanes in LANES:
        order = np.random.default_rng(lanes).permutation(len(listed))
        again, _ = one.lanes.inject(listed[order], lanes=lanes, window=50)
        for field in [*COMPARED, "latent"]:
            assert (again[field] == first[field][order]).all(), field


@pytest.mark.parametrize("model", [Model.SEU, Model.STUCK_AT_1])
def test_lanes_agree_with_verilator(model: Model) -> None:
    made = guard(subject("size one"), Plan.of({"*": ["parity", "memories:none"]})).after
    # Names that begin with fault_ are those of hooks. Under the name of a core's own report it counts as well.
    one = replace(
        made, verilog=tuple((n, re.sub(rf"\b{DETECTED}\b", "error", text)) for n, text in made.verilog)
    )
    listed = drawn(one, model, 400)
    ours, _ = one.lanes.inject(listed)
    theirs = one.run_verilated(listed)
    for field in COMPARED:
        assert (ours[field] == theirs.results[field]).all(), field
    assert (ours["flag"] != NEVER).sum() > 100
    # And with its own name, the same reports without leaving the batch; only runs that break a rule go on for a while.
    same, effort = made.lanes.inject(listed)
    well = ours["status"] != 2
    for field in COMPARED:
        assert (same[field][well] == ours[field][well]).all(), field
    assert effort.escapes < len(listed)
