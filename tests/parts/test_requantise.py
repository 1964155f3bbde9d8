# amaranth: UnusedElaboratable=no
"""The requantiser: the mathematics against fractions and decimals, the hardware against the mathematics."""

from __future__ import annotations

import decimal
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib.wiring import In, Out

from hwgen import toolchain
from hwgen.emit import Unit, emit, place
from hwgen.errors import BadInput
from hwgen.numerics import INT32
from hwgen.parts.requantise import LATENCY, MAX_SHIFT, ROUNDINGS
from hwgen.parts.requantise.golden import requantise, round_shift
from hwgen.parts.requantise.rtl import Requantise
from hwgen.program.table import ROUNDING
from hwgen.synthesis import synthesise
from hwgen.verilated import build_model

SCALES = (8, 16, 24)
LINE = np.dtype(
    [
        *((name, "<i4") for name in ("acc", "bias", "multiplier", "shift")),
        *((name, "<i4") for name in ("rounding", "zero", "low", "high")),
    ]
)


def exact(total: int, multiplier: int, shift: int, rounding: str) -> int:
    """By the definition: the nearest integer, and the rule where there are two."""
    value = Fraction(total * multiplier, 1 << shift)
    below = value.numerator // value.denominator
    near = [below, below + 1]
    distances = [abs(value - n) for n in near]
    if distances[0] != distances[1]:
        return near[distances[1] < distances[0]]
    return max(near, key=abs) if rounding == "half_away" else next(n for n in near if n % 2 == 0)


def samples(rng: np.random.Generator, count: int, scale_bits: int) -> Any:
    """Operands of which many lie on a tie, at a clamp's edge, or at the ends of their range."""
    lines = np.zeros(count, LINE)
    bits = rng.integers(1, 33, count)
    lines["acc"] = np.where(
        rng.random(count) < 0.3, INT32.random(rng, (count,)), rng.integers(-(1 << bits - 1), 1 << bits - 1)
    )
    lines["bias"] = np.where(rng.random(count) < 0.6, 0, INT32.random(rng, (count,)))
    top = (1 << scale_bits) - 1
    random = rng.integers(0, top, count, endpoint=True)
    power = 1 << rng.integers(0, scale_bits, count)
    small = rng.integers(0, 4, count)
    lines["multiplier"] = np.select(
        [(k := rng.random(count)) < 0.3, k < 0.6, k < 0.8, k < 0.9], [random, power, small, top], 0
    )
    # Mostly shifts that leave a result near the range of a byte.
    size = np.abs(lines["acc"].astype(np.int64) + lines["bias"]) * lines["multiplier"]
    fitting = np.maximum(np.ceil(np.log2(size + 1)).astype(int) - rng.integers(0, 11, count), 0)
    lines["shift"] = np.where(
        rng.random(count) < 0.7, np.minimum(fitting, MAX_SHIFT), rng.integers(0, MAX_SHIFT + 1, count)
    )
    return lines


def test_the_mathematics_is_exact() -> None:
    rng = np.random.default_rng(1)
    lines = samples(rng, 20000, 24)
    for rounding in ROUNDINGS:
        got = requantise(
            lines["acc"], lines["bias"], lines["multiplier"], lines["shift"],
            rounding=rounding, zero=-3, low=-128, high=127,
        )  # fmt: skip
        for line, y in zip(lines, got.tolist(), strict=True):
            total = (int(line["acc"]) + int(line["bias"]) + (1 << 31)) % (1 << 32) - (1 << 31)
            want = exact(total, int(line["multiplier"]), int(line["shift"]), rounding) - 3
            assert y == min(max(want, -128), 127), line


@pytest.mark.parametrize(
    ("rounding", "rule"),
    [("half_even", decimal.ROUND_HALF_EVEN), ("half_away", decimal.ROUND_HALF_UP)],
)
def test_rounding_is_that_of_the_decimal_library(rounding: str, rule: str) -> None:
    """Its "half up" is away from zero."""
    rng = np.random.default_rng(2)
    values = np.concatenate(
        [np.arange(-2000, 2000), rng.integers(-(1 << 55), 1 << 55, 2000), (np.arange(-99, 99) * 2 + 1) << 40]
    )
    shifts = np.concatenate([rng.integers(0, 9, 4000), rng.integers(0, 64, 2000), np.full(198, 41)])
    got = round_shift(values, shifts, rounding)
    with decimal.localcontext(decimal.Context(prec=150)):
        for value, shift, y in zip(values.tolist(), shifts.tolist(), got.tolist(), strict=True):
            assert y == int((decimal.Decimal(value) / (1 << shift)).quantize(decimal.Decimal(1), rule))


def test_ties_by_hand() -> None:
    halves = np.array([-5, -3, -1, 1, 3, 5])
    assert round_shift(halves, 1, "half_even").tolist() == [-2, -2, 0, 0, 2, 2]
    assert round_shift(halves, 1, "half_away").tolist() == [-3, -2, -1, 1, 2, 3]
    # A double rounding would turn 2.5 - 1/1024 into 3 by way of 2.5.
    assert round_shift(np.array([2559, -2559]), 10, "half_away").tolist() == [2, -2]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^rounding must be one of half_even, half_away, not 'up'$"):
        round_shift(np.array([1]), 1, "up")
    with pytest.raises(BadInput, match=r"^shift must lie in 0\.\.63, not 64\.\.64$"):
        round_shift(np.array([1]), 64, "half_even")
    with pytest.raises(BadInput, match=r"^scale_bits must lie in 8\.\.24, not 25$"):
        Requantise(25)


def test_the_instructions_name_the_same_roundings() -> None:
    assert ROUNDINGS == ROUNDING


class Many(Unit):
    """One requantiser of each width, side by side on the same operands."""

    def __init__(self) -> None:
        ports = {f"y_{bits}": Out(signed(8)) for bits in SCALES}
        super().__init__({
            "acc": In(32), "bias": In(32), "multiplier": In(24), "shift": In(6), "rounding": In(1),
            "zero": In(8), "low": In(8), "high": In(8), **ports,
        })  # fmt: skip

    @property
    def kind(self) -> str:
        return "many"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for bits in SCALES:
            part = Requantise(bits)
            place(m, f"part_{bits}", part, platform)
            m.d.comb += [getattr(part, name).eq(getattr(self, name)) for name in LINE.names or ()]
            m.d.comb += getattr(self, f"y_{bits}").eq(part.y)
        return m


HARNESS = """
#include <cstdint>
#include <cstdio>
#include <memory>
#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    int32_t line[8];
    while (std::fread(line, sizeof line, 1, in) == 1) {
        top->clk = 0;
        top->acc = line[0]; top->bias = line[1]; top->multiplier = line[2]; top->shift = line[3];
        top->rounding = line[4]; top->zero = line[5] & 255; top->low = line[6] & 255; top->high = line[7] & 255;
        top->eval();
        unsigned char y[3] = {top->y_8, top->y_16, top->y_24};
        std::fwrite(y, 1, 3, out);
        top->clk = 1;
        top->eval();
    }
    std::fclose(out);
    return 0;
}
"""


def test_the_hardware_is_the_mathematics(tmp_path: Path) -> None:
    verilog = tmp_path / "many.v"
    verilog.write_text(emit(Many(), "many", {}).verilog)
    model = build_model(
        verilog=[verilog],
        top="many",
        harness=HARNESS,
        flags=["-CFLAGS", "-O0"],
        waivers=[toolchain.waivers()],
    )
    rng = np.random.default_rng(3)
    batches = []
    for n in range(240):
        batch = samples(rng, 500, SCALES[n % 3])
        low, high = sorted(rng.integers(-128, 128, 2)) if n % 4 == 3 else (-128, 127)
        batch["rounding"] = n % 2
        batch["zero"] = rng.choice([0, -128, 127, rng.integers(-128, 128)])
        batch["low"], batch["high"] = low, high
        tail = np.repeat(batch[-1:], LATENCY)  # settings change when the batch has left
        batches.append(np.concatenate([batch, tail]))
    lines = np.concatenate(batches)
    (tmp_path / "in").write_bytes(lines.tobytes())
    subprocess.run([model, tmp_path / "in", tmp_path / "out"], check=True)
    seen = np.frombuffer((tmp_path / "out").read_bytes(), np.int8).reshape(-1, 3)[LATENCY:]
    at = 0
    for batch in batches:
        kept = batch[:-LATENCY]
        for i, bits in enumerate(SCALES):
            want = requantise(
                kept["acc"], kept["bias"], kept["multiplier"] & ((1 << bits) - 1), kept["shift"],
                rounding=ROUNDINGS[batch["rounding"][0]],
                zero=int(batch["zero"][0]), low=int(batch["low"][0]), high=int(batch["high"][0]),
            )  # fmt: skip
            np.testing.assert_array_equal(seen[at : at + len(kept), i], want)
        at += len(batch)


@pytest.mark.parametrize(("scale_bits", "most"), [(8, 200), (24, 225)])
def test_it_takes_two_dsp_blocks(scale_bits: int, most: int, tmp_path: Path) -> None:
    path = tmp_path / "requantise.v"
    path.write_text(emit(Requantise(scale_bits), "requantise", {}).verilog)
    cells = synthesise(path, "requantise")
    assert cells.dsp == 2
    assert cells.lut <= most
