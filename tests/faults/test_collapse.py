"""Faults that come to the same are simulated once: with the results that each has by itself."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults.models import FAULT, Faults, Model, faults
from hwgen.faults.protection.measure import guard
from hwgen.faults.protection.plan import REST, Plan
from hwgen.faults.sites import Kind
from tests.faults.subjects import subject

ALONE = ["digest", "end", "wrong", "flag", "status", "latent", "mended"]


def listed(name: str, count: int, seed: int) -> Faults:
    """Upsets of flip-flops and of words near the beginning of memories, all cycles, the last one among them."""
    one = subject(name)
    rng = np.random.default_rng(seed)
    flip_flops = rng.integers(0, one.sites.flip_flops, count)
    near = [e.first + i for e in one.sites if e.kind is Kind.MEMORY for i in range(min(e.sites, 3 * e.width))]
    sites = np.concatenate([flip_flops, rng.choice(near, count // 3)])
    cycles = rng.integers(0, one.lanes.cycles, len(sites))
    cycles[:50] = one.lanes.cycles - 1
    made = faults(sites, cycles)
    wide = faults(rng.choice(near, count // 10), rng.integers(0, one.lanes.cycles, count // 10), Model.WORD)
    return np.concatenate([made, wide, made[:20]]).astype(FAULT)  # some of them twice


@pytest.mark.parametrize(
    ("name", "count"), [("array", 3000), ("size one", 2000), ("bit-serial", 1500), ("plain accelerator", 600)]
)
def test_the_same_as_alone(name: str, count: int) -> None:
    one = subject(name)
    rows = listed(name, count, 11)
    together, effort = one.lanes.inject(rows)
    assert effort.simulated < 0.8 * len(rows)
    _, alone = one.lanes.observe(rows)  # each is simulated whole, from its cycle to the end
    for field in ALONE:
        wrong = np.flatnonzero(together[field] != alone[field])
        assert not wrong.size, (field, rows[wrong[:3]], together[wrong[:3]], alone[wrong[:3]])
    assert len(np.unique(together["digest"])) > 20


@pytest.mark.parametrize("name", ["array", "plain accelerator", "parity"])
def test_upsets_of_flip_flops_alone_take_a_shorter_way(name: str) -> None:
    one = subject("array")
    if name == "parity":  # with registers that do nothing but report
        one = guard(one, Plan.of({REST: ("parity",)})).after
    elif name != "array":
        one = subject(name)
    rng = np.random.default_rng(3)
    upsets = faults(rng.integers(0, one.sites.flip_flops, 3000), rng.integers(0, one.lanes.cycles, 3000))
    wide = faults(upsets["site"][:5], upsets["cycle"][:5], Model.WORD)
    alone, effort = one.lanes.inject(upsets)
    beside, _ = one.lanes.inject(np.concatenate([upsets, wide]))
    assert 0 < effort.simulated < len(upsets)
    for field in ALONE:
        assert (alone[field] == beside[field][: len(upsets)]).all(), field
    assert len(np.unique(alone["flag"])) > (10 if name == "parity" else 0)
    with pytest.raises(BadInput, match="after the end"):
        one.lanes.inject(faults(0, one.lanes.cycles))


def test_upsets_in_several_flip_flops() -> None:
    one = subject("array")
    rng = np.random.default_rng(1)
    count = 500
    sizes = rng.integers(1, 5, count)
    number = np.repeat(np.arange(count), sizes)
    sites = np.concatenate([np.sort(rng.choice(one.sites.flip_flops, n, replace=False)) for n in sizes])
    cycles = rng.integers(0, one.lanes.cycles, count)
    found, _ = one.lanes.differing(number, sites, cycles)
    single = sizes == 1
    expected, _ = one.lanes.inject(faults(sites[np.repeat(single, sizes)], cycles[single]))
    for field in ALONE:
        assert (found[field][single] == expected[field]).all(), field
    assert (found["digest"] != one.lanes.fault_free["digest"]).sum() > 100
