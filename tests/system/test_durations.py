"""Cycles of runs: the closed forms against the cores' own models."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.cores.dsp_gemm import Shape
from hwgen.cores.dsp_gemm.timing import DspGemmTiming
from hwgen.errors import BadInput
from hwgen.program.encoding import encode_all, instr
from hwgen.system.config import SystemConfig
from hwgen.system.durations import dsp_cycles, lut_cycles, sparse_cycles
from hwgen.system.schedule import KINDS, schedule
from hwgen.system.vec_timing import vec_cycles


@pytest.mark.parametrize(("lanes", "latency"), [(4, 2), (8, 3), (16, 4)])
def test_dsp_runs_take_the_core_a_read_and_two_cycles(lanes, latency):
    target = "ultrascale+" if lanes == 16 else "generic"
    config = SystemConfig(lanes=lanes, dsp_tile=64, target=target, buffer_latency=latency)
    timing = DspGemmTiming(config.dsp_core)
    for outputs in (1, 2, 3, lanes, lanes + 1, lanes + 2, 64):
        for products in (1, 2, 5):
            for tiles, keep in ((1, 0), (3, 0), (1, 1)):
                shape = Shape(outputs, tiles * lanes, products * lanes, keep=bool(keep))
                expected = timing.free([shape]).ends[0] + latency + 2
                found = dsp_cycles(config, *map(np.asarray, (outputs, products, tiles, keep)))
                assert found == expected, (outputs, products, tiles, keep)


def test_lut_sums_are_no_closer_than_the_units():
    config = SystemConfig(lut=True, lut_units=6, lut_width=32)
    fixed = config.lut_array.latency + 6 + 3
    assert lut_cycles(config, np.array(1), np.array(2)) == 2 + fixed
    assert lut_cycles(config, np.array(5), np.array(2)) == 2 + 4 * 6 + fixed
    assert lut_cycles(config, np.array(5), np.array(40)) == 5 * 40 + fixed


def test_a_schedule_knows_what_was_set_before():
    config = SystemConfig()
    program = [
        instr("load.window", row_pitch=80, row_bytes=80, row_count=9, x_step=-3),
        instr("load.position", x_start=-8, y_start=-1, group_count=2),
        instr("load.run", address=5, run_bytes=7, run_count=3, windowed=1, signal="vec"),
        instr("load.window", row_pitch=16, row_bytes=16, row_count=1),
        instr("load.run", address=(1 << 40) - 8, run_bytes=7),
        instr("vec.shape", r0=2, n0=3, n1=5, n2=7),
        instr("vec.run", op="max", wait="load"),
        instr("store.window", row_pitch=640, source_pitch=3),
        instr("store.run", address=64, run_bytes=9, run_count=2),
        instr("control.fence"),
        instr("control.halt"),
    ]
    made = schedule(config, encode_all(program))
    names = [KINDS[kind] for kind in made["kind"]]
    assert names == [
        *("single", "single", "load_run", "single", "load_run", "single", "fixed", "single", "store_run"),
        *("fence", "halt"),
    ]
    first, second = made["loads"]
    assert (first["address"], first["row_pitch"], first["x_step"], first["x_start"]) == (5, 80, -3, -8)
    assert (first["group_count"], first["run_count"], first["windowed"]) == (2, 3, 1)
    assert (second["row_pitch"], second["address"]) == (16, (1 << config.address_bits) - 8)
    assert (made["stores"][0]["row_pitch"], made["stores"][0]["run_bytes"]) == (640, 9)
    assert made["duration"][6] == vec_cycles(config, "max", 2, 1, 3, 5, 7)
    assert made["wait"][6] == 1
    assert made["signal"][2] == 1 << 4


@pytest.mark.parametrize("engine", ["dsp", "lut", "vec"])
def test_runs_without_loops_are_refused(engine):
    program = encode_all([instr(f"{engine}.run"), instr(f"{engine}.shape"), instr("control.halt")])
    with pytest.raises(BadInput, match=f"instruction 0 \\({engine}.run\\) comes before any {engine}.shape"):
        schedule(SystemConfig(lut=True), program)


def test_a_sparse_run_takes_its_steps_and_a_fixed_time():
    config = SystemConfig(lanes=16, sparse=True)
    program = [
        instr("sparse.shape", rows=3, weight_bits=4),
        instr("sparse.stream", steps=70, value_rows=4),
        instr("sparse.run", tiles=2),
        instr("sparse.stream", steps=1 << 20),
        instr("sparse.run", tiles=2),
        instr("control.halt"),
    ]
    made = schedule(config, encode_all(program))
    fixed = int(sparse_cycles(config, np.array(0), np.array(0)))
    assert made["duration"].tolist() == [0, 0, 70 + fixed, 0, (1 << 20) + fixed, 0]
    for first, other, what in (("shape", "stream", "steps"), ("stream", "shape", "loops")):
        late = encode_all(
            [instr(f"sparse.{first}"), instr("sparse.run"), instr(f"sparse.{other}"), instr("control.halt")]
        )
        with pytest.raises(
            BadInput,
            match=rf"instruction 1 \(sparse.run\) comes before any sparse.{other}; set the {what} before",
        ):
            schedule(config, late)
