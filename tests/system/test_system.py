"""Whole accelerators: golden model, simulator and Verilog on the same programs, every value and every cycle."""

from __future__ import annotations

import pytest

from hwgen.commands.system_check import SystemCheckResult, check_system
from hwgen.commands.targets import supported_systems
from hwgen.cores.dsp_gemm.config import TARGETS
from hwgen.parts.ram import LATENCIES
from hwgen.verify.sweep import CI, SWEEP


def agrees(result: SystemCheckResult) -> None:
    assert [str(difference) for difference in result.differences] == []
    assert all(run.sim_cycles == run.rtl_cycles for run in result.runs)


@pytest.mark.parametrize("name", CI)
def test_random_programs_agree(name: str) -> None:
    result = check_system(CI[name], vectors=5, seed=1, networks=1)
    agrees(result)
    assert len(result.runs) == 6
    assert result.instructions > 400


# One of them takes as long as all others together, most of it for the compiler.
LARGE = {"sparse_u280"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in supported_systems()]
)
def test_supported_accelerators_agree(name: str) -> None:
    agrees(check_system(supported_systems()[name].config, vectors=3, seed=2, networks=2))


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEP)
def test_random_programs_agree_on_every_kind_of_accelerator(name: str) -> None:
    agrees(check_system(SWEEP[name], vectors=12, seed=2, networks=6))


@pytest.mark.slow
def test_long_programs_agree() -> None:
    agrees(check_system(CI["both"], vectors=5, seed=3, networks=1, size=1000))


def test_the_sweep_covers_what_can_differ() -> None:
    assert len(SWEEP) >= 20
    seen = {
        name: {getattr(config, name) for config in SWEEP.values()}
        for name in ("bus_bytes", "lanes", "target", "buffer_latency")
    }
    assert seen == {
        "bus_bytes": {8, 16, 32, 64},
        "lanes": {4, 8, 16, 32},
        "target": set(TARGETS),
        "buffer_latency": set(LATENCIES),
    }
    assert {(config.dsp, config.lut) for config in SWEEP.values()} == {
        (a, b) for a in (False, True) for b in (False, True)
    }
    assert 2 in {config.queue_depth for config in SWEEP.values()}
    assert 2 in {config.outstanding for config in SWEEP.values()}
    assert 1 in {config.act_banks for config in SWEEP.values()}
