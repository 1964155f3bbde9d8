# amaranth: UnusedElaboratable=no
"""The requantiser: the mathematics against others' arithmetic, the hardware against the mathematics."""

from __future__ import annotations

import decimal
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib.wiring import In, Out

from hwgen import toolchain
from hwgen.emit import Unit, emit, place
from hwgen.errors import BadInput
from hwgen.numerics import INT32, IntArray
from hwgen.parts.requantise import MODES, ROUNDINGS
from hwgen.parts.requantise.golden import requantise, round_shift
from hwgen.parts.requantise.rtl import Requantise
from hwgen.parts.requantise.scales import ort_constants, pot_shift, scale_constants, tflite_constants
from hwgen.program.table import ROUNDING
from hwgen.synthesis import synthesise
from hwgen.verilated import build_model
from hwgen.workloads.onnx_qlinear import OPERATORS, random_product

LINE = np.dtype(
    [
        *((name, "<i4") for name in ("acc", "bias", "multiplier", "shift")),
        *((name, "<i4") for name in ("rounding", "zero", "low", "high")),
    ]
)


@dataclass(frozen=True)
class Under:
    """A unit under test."""

    mode: str
    scale_bits: int
    made_of: str = "multipliers"

    @property
    def name(self) -> str:
        return f"{self.mode}_{self.scale_bits}_{self.made_of}"


UNITS = [
    *(Under("nearest", bits) for bits in (8, 16, 24)),
    *(Under("single", bits) for bits in (8, 24, 31)),
    *(Under("tflite", 31), Under("ort", 24), Under("pot", 0)),
    *(Under("nearest", bits, made_of) for bits in (8, 9, 17, 24) for made_of in ("luts", "carries")),
    *(Under("single", 31, "luts"), Under("tflite", 31, "carries"), Under("ort", 24, "luts")),
]


def exact(total: int, multiplier: int, shift: int, rounding: str) -> int:
    """By the definition: the nearest integer, and the rule where there are two."""
    value = Fraction(total * multiplier, 1 << shift)
    below = value.numerator // value.denominator
    near = [below, below + 1]
    distances = [abs(value - n) for n in near]
    if distances[0] != distances[1]:
        return near[distances[1] < distances[0]]
    return {
        "half_even": next(n for n in near if n % 2 == 0),
        "half_away": max(near, key=abs),
        "half_up": below + 1,
    }[rounding]


def samples(rng: np.random.Generator, count: int, under: Under) -> Any:
    """Operands of which many lie on a tie or beside it, at a clamp's edge, or at the ends of their range."""
    lines = np.zeros(count, LINE)
    scale_bits, max_shift = under.scale_bits, MODES[under.mode].max_shift
    bits = rng.integers(1, 33, count)
    lines["acc"] = np.where(
        rng.random(count) < 0.3, INT32.random(rng, (count,)), rng.integers(-(1 << bits - 1), 1 << bits - 1)
    )
    lines["bias"] = np.where(rng.random(count) < 0.6, 0, INT32.random(rng, (count,)))
    top = (1 << scale_bits) - 1
    random = rng.integers(0, top, count, endpoint=True)
    power = 1 << rng.integers(0, max(scale_bits, 1), count)
    small = rng.integers(0, 4, count)
    multiplier = np.select(
        [(k := rng.random(count)) < 0.3, k < 0.6, k < 0.8, k < 0.9], [random, power, small, top], 0
    )
    if under.mode == "ort":  # a float32's significand
        multiplier = np.where(multiplier > 0, multiplier | 1 << scale_bits - 1, 0)
    lines["multiplier"] = multiplier if scale_bits else 1
    # Mostly shifts that leave a result near the range of a byte.
    size = np.abs(lines["acc"].astype(np.int64) + lines["bias"]) * lines["multiplier"]
    fitting = np.maximum(np.ceil(np.log2(size + 1)).astype(int) - rng.integers(0, 11, count), 0)
    lines["shift"] = np.where(
        rng.random(count) < 0.7, np.minimum(fitting, max_shift), rng.integers(0, max_shift + 1, count)
    )
    # A third as near to a tie as a sum can be.
    factor = np.maximum(lines["multiplier"].astype(np.int64), 1)
    ties = np.rint((rng.integers(-140, 140, count) + 0.5) * 2.0 ** lines["shift"] / factor)
    ties += rng.integers(-1, 2, count)
    chosen = (rng.random(count) < 1 / 3) & (np.abs(ties) < 1 << 31)
    lines["acc"] = np.where(chosen, ties, lines["acc"])
    lines["bias"] = np.where(chosen, 0, lines["bias"])
    return lines


def golden(under: Under, lines: Any, rounding: str) -> IntArray:
    """The mathematics of a batch, whose zero, low and high are constant."""
    settings = {name: int(lines[name][0]) for name in ("zero", "low", "high")}
    return requantise(
        lines["acc"], lines["bias"], lines["multiplier"], lines["shift"],
        rounding=MODES[under.mode].rounding or rounding, **settings,
    )  # fmt: skip


def test_the_mathematics_is_exact() -> None:
    rng = np.random.default_rng(1)
    lines = samples(rng, 20000, Under("nearest", 24))
    for rounding in (*ROUNDINGS, "half_up"):
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
    assert round_shift(halves, 1, "half_up").tolist() == [-2, -1, 0, 1, 2, 3]
    # A double rounding would turn 2.5 - 1/1024 into 3 by way of 2.5.
    assert round_shift(np.array([2559, -2559]), 10, "half_away").tolist() == [2, -2]


def _truncated(a: int, b: int) -> int:
    """Division of C: towards zero."""
    return abs(a) // b * (1 if a >= 0 else -1)


def _gemmlowp(x: int, multiplier: int, exponent: int) -> int:
    """TFLite's ``MultiplyByQuantizedMultiplier`` as its sources define it, without the overflow of a left shift.

    https://github.com/google/gemmlowp, fixedpoint/fixedpoint.h: SaturatingRoundingDoublingHighMul,
    RoundingDivideByPOT.
    """
    left, right = max(exponent, 0), max(-exponent, 0)
    ab = (x << left) * multiplier
    high = _truncated(ab + ((1 << 30) if ab >= 0 else 1 - (1 << 30)), 1 << 31)
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold)


def test_tflite_is_gemmlowp() -> None:
    rng = np.random.default_rng(4)
    lines = samples(rng, 40000, Under("tflite", 31))
    got = requantise(
        lines["acc"], 0, lines["multiplier"], lines["shift"], rounding="tflite", zero=0, low=-128, high=127
    )
    double = 0
    for line, y in zip(lines, got.tolist(), strict=True):
        x, multiplier, shift = int(line["acc"]), int(line["multiplier"]), int(line["shift"])
        want = min(max(_gemmlowp(x, multiplier, 31 - shift), -128), 127)
        assert y == want, line
        double += want != min(max(exact(x * multiplier, 1, shift, "half_away"), -128), 127)
    assert double > 100  # the samples reach what a single rounding would get wrong


@pytest.mark.parametrize("single", [False, True])
def test_constants_of_tflite(single: bool) -> None:
    """Round trip through the formulas, and the single rounding of TFLITE_SINGLE_ROUNDING with the same constants."""
    rng = np.random.default_rng(5)
    scales = 2.0 ** rng.uniform(-20, 3, 2000)
    multiplier, shift = tflite_constants(scales)
    assert (multiplier >= 1 << 30).all()
    assert np.abs(multiplier * 2.0**-shift / scales - 1).max() < 2.0**-30
    acc = np.rint(rng.uniform(-100, 100, 2000) / scales).astype(np.int64)
    got = requantise(
        acc, 0, multiplier, shift, rounding="half_up" if single else "tflite", zero=0, low=-128, high=127
    )
    for x, m, s, y in zip(acc.tolist(), multiplier.tolist(), shift.tolist(), got.tolist(), strict=True):
        want = (x * m + (1 << s - 1)) >> s if single else _gemmlowp(x, m, 31 - s)
        assert y == want


def test_edges_of_the_constants() -> None:
    one = np.nextafter(1.0, 0.0)
    multiplier, shift = tflite_constants([1.0, one, 2.0**-32, 2.0**-33, 0.0])
    assert multiplier.tolist() == [1 << 30, 1 << 30, 1 << 30, 0, 0]
    assert shift.tolist() == [30, 30, 62, 31, 31]
    multiplier, shift = scale_constants([1.0, one, 2.0**-80])
    assert multiplier.tolist() == [1 << 23, 1 << 23, 0]
    assert shift.tolist() == [23, 23, 63]
    multiplier, shift = ort_constants(np.float32([1, 2.0**-80, 2.0**60, 0]), 1, np.float32(1))
    assert multiplier.tolist() == [1 << 23, 1 << 23, 1 << 23, 0]
    assert shift.tolist() == [23, 63, 0, 24]
    assert pot_shift([1.0, 0.5, 2.0**-31]).tolist() == [0, 1, 31]


def test_ort_is_float32_arithmetic() -> None:
    rng = np.random.default_rng(6)
    lines = samples(rng, 400_000, Under("ort", 24))
    total = lines["acc"]
    scale = np.ldexp(lines["multiplier"].astype(np.float32), -lines["shift"])
    want = np.clip(np.rint(total.astype(np.float32) * scale), -1000, 1000).astype(np.int64)
    got = requantise(
        total, 0, lines["multiplier"], lines["shift"], rounding="ort", zero=0, low=-128, high=127
    )
    np.testing.assert_array_equal(got, np.clip(want, -128, 127))
    plain = requantise(
        total, 0, lines["multiplier"], lines["shift"], rounding="half_even", zero=0, low=-128, high=127
    )
    assert (plain != got).sum() > 100  # the samples reach what a single rounding would get wrong


@pytest.mark.parametrize("operator", OPERATORS)
def test_ort_is_onnxruntime(operator: str) -> None:
    """Over a million results of each operator, sums beyond 2**24 and ties among them."""
    results = beyond = other = 0
    for large, ties, seed in product((False, True), (False, True), range(2)):
        made = random_product(operator, np.random.default_rng([large, ties, seed]), large=large, ties=ties)
        multiplier, shift = ort_constants(made.a_scale, made.b_scale, made.y_scale)
        sums, expected = made.sums(), made.run()
        roundings = {}
        for rounding in ("ort", "half_even", "half_up"):
            signed_result = requantise(
                sums, 0, multiplier, shift,
                rounding=rounding, zero=made.y_zero - made.offset, low=-128, high=127,
            )  # fmt: skip
            roundings[rounding] = signed_result + made.offset
        np.testing.assert_array_equal(roundings["ort"], expected)
        results += expected.size
        beyond += int((np.abs(sums) > 1 << 24).sum())
        other += int((roundings["half_even"] != expected).sum() + (roundings["half_up"] != expected).sum())
    assert results >= 1_000_000
    assert beyond >= 500_000
    assert other >= 1_000  # it does reach what another arithmetic gets wrong


def test_bad_arguments_are_refused() -> None:
    refused = pytest.raises
    with refused(BadInput, match=r"^rounding must be one of half_even, half_away, half_up, not 'up'$"):
        round_shift(np.array([1]), 1, "up")
    with refused(BadInput, match=r"^shift must lie in 0\.\.63, not 64\.\.64$"):
        round_shift(np.array([1]), 64, "half_even")
    with refused(BadInput, match=r"^mode must be one of nearest, pot, single, tflite, ort, not 'gemmlowp'$"):
        Requantise("gemmlowp")
    with refused(BadInput, match=r"^scale_bits of mode nearest must lie in 8\.\.24, not 25$"):
        Requantise("nearest", 25)
    with refused(
        BadInput, match=r"^mode ort gives 8 bits, as onnxruntime does, not 16; choose mode nearest$"
    ):
        Requantise("ort", 24, 16)
    with refused(BadInput, match=r"^scale_bits of mode pot must lie in 0\.\.0, not 8$"):
        Requantise("pot", 8)
    with refused(
        BadInput, match=r"^a scale of the mode pot must be a power of two in 2\*\*-31\.\.1, not 0\.3$"
    ):
        pot_shift([0.5, 0.3])
    with refused(BadInput, match=r"^scales must lie in 0\.\.2\*\*30, not -1\.0\.\.2\.0$"):
        tflite_constants([-1.0, 2.0])
    with refused(BadInput, match=r"^scales must be positive float32 numbers whose .* is finite$"):
        ort_constants(1.0, 1.0, 0.0)


def test_the_instructions_name_the_same_roundings() -> None:
    assert ROUNDINGS == ROUNDING


class Many(Unit):
    """All units, side by side on the same operands."""

    def __init__(self) -> None:
        ports = {f"y_{under.name}": Out(signed(8)) for under in UNITS}
        super().__init__({
            "acc": In(32), "bias": In(32), "multiplier": In(31), "shift": In(6), "rounding": In(1),
            "zero": In(8), "low": In(8), "high": In(8), **ports,
        })  # fmt: skip

    @property
    def kind(self) -> str:
        return "many"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for under in UNITS:
            part = Requantise(under.mode, under.scale_bits, made_of=under.made_of)
            place(m, f"part_{under.name}", part, platform)
            names = [name for name in LINE.names or () if name in part.signature.members]
            m.d.comb += [getattr(part, name).eq(getattr(self, name)) for name in names]
            m.d.comb += getattr(self, f"y_{under.name}").eq(part.y)
        return m


HARNESS = f"""
#include <cstdint>
#include <cstdio>
#include <memory>
#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {{
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    int32_t line[8];
    while (std::fread(line, sizeof line, 1, in) == 1) {{
        top->clk = 0;
        top->acc = line[0]; top->bias = line[1]; top->multiplier = line[2]; top->shift = line[3];
        top->rounding = line[4]; top->zero = line[5] & 255; top->low = line[6] & 255; top->high = line[7] & 255;
        top->eval();
        unsigned char y[] = {{{", ".join(f"top->y_{under.name}" for under in UNITS)}}};
        std::fwrite(y, 1, sizeof y, out);
        top->clk = 1;
        top->eval();
    }}
    std::fclose(out);
    return 0;
}}
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
    slowest = max(mode.latency for mode in MODES.values())
    batches = []
    for n in range(80 * len(UNITS)):
        batch = samples(rng, 500, UNITS[n % len(UNITS)])
        low, high = sorted(rng.integers(-128, 128, 2)) if n % 4 == 3 else (-128, 127)
        batch["rounding"] = rng.integers(2)
        batch["zero"] = rng.choice([0, -128, 127, rng.integers(-128, 128)])
        batch["low"], batch["high"] = low, high
        tail = np.repeat(batch[-1:], slowest)  # settings change when the batch has left
        batches.append(np.concatenate([batch, tail]))
    lines = np.concatenate(batches)
    (tmp_path / "in").write_bytes(lines.tobytes())
    subprocess.run([model, tmp_path / "in", tmp_path / "out"], check=True)
    seen = np.frombuffer((tmp_path / "out").read_bytes(), np.int8).reshape(-1, len(UNITS))
    at = 0
    for n, batch in enumerate(batches):
        which = n % len(UNITS)
        under, kept = UNITS[which], batch[:-slowest]
        want = golden(under, kept, ROUNDINGS[batch["rounding"][0]])
        begin = at + MODES[under.mode].latency
        np.testing.assert_array_equal(seen[begin : begin + len(kept), which], want, under.name)
        at += len(batch)


@pytest.mark.parametrize(
    ("mode", "scale_bits", "dsp", "most"),
    [("nearest", 8, 2, 200), ("nearest", 24, 2, 225), ("pot", 0, 0, 155), ("single", 24, 2, 210),
     ("single", 31, 4, 260), ("tflite", 31, 4, 280), ("ort", 24, 2, 320)],
)  # fmt: skip
def test_what_a_mode_costs(mode: str, scale_bits: int, dsp: int, most: int, tmp_path: Path) -> None:
    path = tmp_path / "requantise.v"
    path.write_text(emit(Requantise(mode, scale_bits), "requantise", {}).verilog)
    cells = synthesise(path, "requantise")
    assert cells.dsp == dsp
    assert cells.lut <= most
