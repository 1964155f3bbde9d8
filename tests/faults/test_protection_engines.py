"""Both engines see the same reports of a protected design."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.faults.engine.engine import LANES, NEVER
from hwgen.faults.models import Model
from hwgen.faults.protection.measure import guard
from hwgen.faults.protection.plan import Plan
from tests.faults.subjects import drawn, subject

COMPARED = ["digest", "end", "wrong", "flag", "status", "mended"]


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


@pytest.mark.parametrize(
    ("schemes", "model"),
    [
        (["parity", "memories:none"], Model.SEU),
        (["parity", "memories:none"], Model.STUCK_AT_1),
        (["secded"], Model.SEU),
        (["tmr", "memories:none"], Model.STUCK_AT_0),
    ],
)
def test_lanes_agree_with_verilator(schemes: list[str], model: Model) -> None:
    one = guard(subject("size one"), Plan.of({"*": schemes})).after
    listed = drawn(one, model, 400)
    ours, effort = one.lanes.inject(listed)
    theirs = one.run_verilated(listed)
    for field in COMPARED:
        assert (ours[field] == theirs.results[field]).all(), field
    told = ours["flag"] != NEVER if schemes[0] == "parity" else ours["mended"] != 0
    assert told.sum() > 60
    assert effort.escapes < len(listed)
