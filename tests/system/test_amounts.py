"""Bytes and tile cycles of runs, against counting one by one."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.program.assembly import assemble
from hwgen.system.amounts import amounts
from hwgen.system.config import SystemConfig

CONFIG = SystemConfig(lut=True, lut_units=2, lut_width=16)


def of(text):
    return amounts(CONFIG, assemble(text).body)


def test_a_plain_load_and_a_store_move_what_they_say():
    found = of(
        "load.run address=0 buffer=act run_bytes=24\n"
        "store.window row_pitch=64\n"
        "store.run address=0 run_bytes=10 run_count=3\n"
        "control.halt"
    )
    assert found.read.tolist() == [24, 0, 0, 0]
    assert found.written.tolist() == [0, 0, 30, 0]


@pytest.mark.parametrize("seed", range(20))
def test_a_window_reads_what_lies_in_the_tensor(seed):
    rng = np.random.default_rng(seed)
    wide, high, length, count = (int(rng.integers(1, top)) for top in (40, 9, 20, 7))
    x, step, y, groups = (
        int(rng.integers(-20, 45)),
        int(rng.integers(-9, 10)),
        int(rng.integers(-5, 9)),
        int(rng.integers(1, 6)),
    )
    text = (
        f"load.window row_pitch=64 row_bytes={wide} row_count={high} x_step={step}\n"
        f"load.position x_start={x} y_start={y} group_count={groups}\n"
        f"load.run address=4096 buffer=act run_bytes={length} run_count={count} windowed=1\n"
        "control.halt"
    )  # fmt: skip
    inside = [
        1
        for group in range(groups)
        for row in range(y, y + count)
        for column in range(x + group * step, x + group * step + length)
        if 0 <= row < high and 0 <= column < wide
    ]
    assert of(text).read.tolist() == [0, 0, len(inside), 0]


def test_products_count_tiles_macs_and_short_passes():
    found = of(
        "dsp.shape x_count=3 y_count=2 c_count=4 kx_count=1 ky_count=1\n"
        "dsp.run tiles=2\n"
        "lut.shape x_count=3 y_count=1 c_count=2 kx_count=1 ky_count=1\n"
        "lut.run tiles=2 act_bits=3 weight_bits=2 units=2\n"
        "control.halt"
    )
    # 6 outputs, 8 passes: each but the last waits 9 - 6 cycles for the weights of 8 lanes.
    assert (found.tiles[1], found.short[1], found.macs[1]) == (48, 21, 48 * 64)
    assert (found.tiles[3], found.short[3], found.macs[3]) == (72, 0, 12 * 2 * 16 * 8)


def test_vec_counts_the_words_that_it_reads():
    found = of(
        "vec.shape n0=4 n1=3 n2=2 r0=2 r1=5\nvec.source n0=1\nvec.target n0=1\nvec.run op=max\ncontrol.halt"
    )
    assert found.tiles.tolist() == [0, 0, 0, 240, 0]
