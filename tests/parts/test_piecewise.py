# amaranth: UnusedElaboratable=no
"""Piecewise tables: the integers against the definition, the errors over every argument, the hardware."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import crfix
import mpmath
import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out
from scipy.special import ndtr

from hwgen import toolchain
from hwgen.emit import Unit, emit, place
from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.piecewise import FORMS, Region, Table
from hwgen.parts.piecewise.fit import octave, uniform
from hwgen.parts.piecewise.rtl import Piecewise
from hwgen.parts.piecewise.search import cheapest
from hwgen.synthesis import synthesise
from hwgen.verilated import build_model


def delta(t: Any) -> Any:
    """ReLU(x) - GELU(x) at ``|x| = t``."""
    return t * ndtr(-t)


def rsqrt(z: Any) -> Any:
    """m^-1/2 on [1, 4): the integer part of ``z`` is the exponent's parity."""
    return 1 / np.sqrt((1 + z % 1) * np.where(z < 1, 1, 2))


def recip(m: Any) -> Any:
    return 1 / m


LEFT, RIGHT = [(1.0, 1 / 32), (3.0, 1 / 16), (4.5, 1 / 8)], [(0.5, 1 / 64), (1.0, 1 / 4)]
GELU: dict[str, Any] = {"in_bits": 15, "in_fraction": 12, "out_fraction": 12}
FITTED: dict[str, tuple[Table, Any, float]] = {
    # Function, and a bound for the number before the last rounding.
    "exp2_linear_16": (
        uniform(np.exp2, 0, 1, in_bits=12, segments=16, form="linear", out_fraction=17), np.exp2, 2.3e-4,
    ),
    "exp2_quadratic_4": (
        uniform(np.exp2, 0, 1, in_bits=16, segments=4, form="quadratic", out_fraction=17), np.exp2, 5.2e-5,
    ),
    "exp2_quadratic_8": (
        uniform(np.exp2, 0, 1, in_bits=16, segments=8, form="quadratic", out_fraction=22), np.exp2, 6.6e-6,
    ),
    "exp2_quadratic_16": (
        uniform(np.exp2, 0, 1, in_bits=16, segments=16, form="quadratic", out_fraction=25), np.exp2, 8.5e-7,
    ),
    "recip_quadratic_8": (
        uniform(recip, 1, 2, in_bits=16, segments=8, form="quadratic", out_fraction=18), recip, 5.2e-5,
    ),
    "rsqrt_quadratic_16": (
        uniform(rsqrt, 0, 2, in_bits=16, segments=16, form="quadratic", out_fraction=20), rsqrt, 5.1e-5,
    ),
    "gelu_knots_77": (octave(delta, LEFT, form="knots", guard=5, **GELU), delta, 5.7e-5),
    "gelu_knots_177": (octave(delta, [(5.5, 1 / 32)], form="knots", guard=10, **GELU), delta, 4.9e-5),
    "gelu_quadratic_16": (octave(delta, [(4, 1 / 4)], form="quadratic", **GELU), delta, 7.5e-5),
    "gelu_quadratic_44": (octave(delta, [(5.5, 1 / 8)], form="quadratic", guard=8, **GELU), delta, 8.5e-6),
}  # fmt: skip

# Corners: one segment, one bit, signed results, regions that shorten, knots to the end of the range.
ODD: dict[str, Table] = {
    "one_segment": uniform(np.sin, 0, 1, in_bits=8, segments=1, form="linear", out_fraction=9),
    "one_parabola": uniform(np.sin, 0, 1, in_bits=8, segments=1, form="quadratic", out_fraction=9),
    "one_rise": uniform(np.sin, 0, 1, in_bits=8, segments=1, form="knots", out_fraction=9),
    "two_arguments": uniform(np.cos, 0, 1, in_bits=5, segments=16, form="linear", out_fraction=6),
    "one_bit": uniform(np.cos, 0, 1, in_bits=1, segments=1, form="linear", out_fraction=6),
    "same_everywhere": uniform(np.ones_like, 0, 1, in_bits=4, segments=4, form="constant", out_fraction=3),
    "signed_knots": uniform(np.sin, -4, 4, in_bits=11, segments=64, form="knots", out_fraction=10),
    "signed_quadratic": uniform(np.sin, -4, 4, in_bits=11, segments=16, form="quadratic", out_fraction=10),
    "negative": uniform(lambda t: -np.exp(t), -1, 0, in_bits=9, segments=8, form="linear", out_fraction=10),
    "shorter": octave(np.sin, [(0.5, 1 / 4), (1, 1 / 32)], in_bits=10, in_fraction=10, form="linear", out_fraction=9),
    "shorter_knots": octave(np.sin, RIGHT[::-1][:1], in_bits=10, in_fraction=10, form="knots", out_fraction=9),
    "longer": octave(np.sqrt, RIGHT, in_bits=11, in_fraction=10, form="quadratic", out_fraction=9),
    "longer_knots": octave(np.sqrt, RIGHT, in_bits=11, in_fraction=10, form="knots", out_fraction=9),
    "steps": octave(np.sqrt, RIGHT, in_bits=11, in_fraction=10, form="constant", out_fraction=9),
    "gelu_rom": uniform(delta, 0, 8, in_bits=7, segments=128, form="constant", out_fraction=4),
}  # fmt: skip

ALL = {**{name: table for name, (table, _, _) in FITTED.items()}, **ODD}


def by_definition(table: Table, x: int) -> int:
    """A result from the formulas of the docstring, in fractions."""
    start = base = 0
    for region in table.regions:
        if x < region.stop:
            step, entry = region.step_bits, base + ((x - start) >> region.step_bits)
            u = Fraction(x - (start + ((x - start) >> step << step)))
            break
        base += (region.stop - start) >> region.step_bits
        start = region.stop
    else:
        step, entry, u = 0, -1, Fraction(0)
    unit = Fraction(1 << max(region.step_bits for region in table.regions), 2)
    c = [column[entry] for column in table.coefficients]
    if table.form == "constant":
        return c[0]
    if table.form == "knots":
        p = c[0] + ((table.coefficients[0][entry + 1] - c[0]) * u / (1 << step) if u else 0)
    elif table.form == "linear":
        p = c[0] + c[1] * u / unit
    else:
        p = c[0] + (c[1] + floor(c[2] * u / unit)) * u / unit
    return floor((p + Fraction(1 << table.guard, 2)) / (1 << table.guard))


@pytest.mark.parametrize("name", ALL)
def test_results_are_those_of_the_definition(name: str) -> None:
    table = ALL[name]
    end = 1 << table.in_bits
    x = np.unique(np.concatenate([np.arange(0, end, max(1, end // 500)), [end - 1, end // 2 - 1]]))
    assert table.evaluate(x).tolist() == [by_definition(table, int(v)) for v in x]


@pytest.mark.parametrize("name", FITTED)
def test_errors_are_those_of_the_literature_or_smaller(name: str) -> None:
    table, function, bound = FITTED[name]
    assert table.max_error(function, rounded=False) <= bound
    assert table.max_error(function) <= bound + 2.0 ** -(table.out_fraction + 1)


def test_sizes_are_counted() -> None:
    table = FITTED["gelu_knots_77"][0]
    assert (table.entries, table.table_bits, table.multipliers, table.latency) == (77, 1155, 1, 5)
    table = FITTED["gelu_quadratic_16"][0]
    assert (table.segments, table.entries, table.multipliers, table.latency) == (16, 17, 2, 5)
    assert table.table_bits <= 660
    square = table.mean_square_error(delta, rounded=False) * (1 << 15)
    x = np.arange(4 << 12, 8 << 12)
    beyond = np.square(table.unrounded(x) - delta(table.argument(x))).sum()
    assert (square - beyond) / (4 << 12) <= 5e-10  # on [-4, 4]


def test_the_linear_program_is_needed() -> None:
    """Interpolation through exact values, as published tables have it, is twice as far off."""
    at = np.arange(177) / 32
    exact = tuple(int(v) for v in np.rint(delta(at) * 2**22))
    plain = Table("knots", 15, IntFormat(10, False), (Region(22528, 7),), (exact,), 10, 0.0, 12, 12)
    assert 9.7e-5 <= plain.max_error(delta, rounded=False) <= 9.8e-5
    assert plain.table_bits <= 3894


@pytest.mark.parametrize("name", ["exp", "gelu", "sigmoid", "recip"])
def test_constants_are_rounded_correctly(name: str) -> None:
    """Against crfix, which is in integers, and against 40 digits."""
    functions: dict[str, Any] = {
        "exp": np.exp,
        "gelu": lambda t: t * ndtr(t),
        "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
        "recip": lambda t: 1 / t,
    }
    plain = functions[name]
    exact = {
        "exp": mpmath.exp,
        "gelu": lambda t: t * mpmath.ncdf(t),
        "sigmoid": lambda t: 1 / (1 + mpmath.exp(-t)),
        "recip": lambda t: 1 / t,
    }[name]
    table = uniform(plain, 1, 5, in_bits=8, segments=256, form="constant", out_fraction=12)
    x = np.arange(64, 320, dtype=np.int32)
    y = table.evaluate(np.arange(256))
    np.testing.assert_array_equal(y, getattr(crfix, name)(x, fin=6, fout=12, bits=32))
    with mpmath.workdps(40):
        assert y.tolist() == [int(mpmath.nint(exact(mpmath.mpf(int(v)) / 64) * 4096)) for v in x]


def test_the_cheapest_table_meets_the_target() -> None:
    kind: dict[str, Any] = {"in_bits": 12, "in_fraction": 12, "out_fraction": 17, "max_error": 2.4e-4}
    found = cheapest(np.exp2, **kind)
    line = cheapest(np.exp2, forms=("linear",), **kind)
    assert found.max_error(np.exp2) <= 2.4e-4
    assert line.max_error(np.exp2) <= 2.4e-4
    assert found.table_bits <= 200
    assert line.table_bits <= 544
    assert line.segments == 16
    ulp = 2.0**-12
    gelu = cheapest(delta, max_error=0.75 * ulp, forms=("knots",), **GELU)
    assert gelu.max_error(delta) <= 0.75 * ulp
    assert gelu.table_bits <= 1000


def test_rounding_alone_needs_a_constant_per_argument() -> None:
    exact = cheapest(delta, in_bits=7, in_fraction=4, out_fraction=4, max_error=0.5 * 2**-4)
    assert exact.max_error(delta) <= 0.5 * 2**-4


def test_an_unreachable_target_is_refused() -> None:
    message = (
        r"^no table stays within 0\.0001; the best found, \w+ with \d+ bits, stays within 0\.000\d+: allow that, "
        r"or more fraction bits than 12$"
    )
    with pytest.raises(BadInput, match=message):
        cheapest(delta, max_error=1e-4, forms=("quadratic",), **GELU)


SIN: dict[str, Any] = {"in_bits": 8, "out_fraction": 8}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(np.log, 0, 1, segments=4, form="knots", **SIN), "the function is -inf at 0.0"),
        (lambda: uniform(np.sin, 0, 3, segments=4, form="knots", **SIN), "a power of two, not 3"),
        (lambda: uniform(np.sin, 1, 0, segments=4, form="knots", **SIN), "a power of two, not -1"),
        (lambda: uniform(np.sin, 0, 1, segments=5, form="knots", **SIN), "in 1..256, not 5"),
        (lambda: uniform(np.sin, 0, 1, segments=512, form="knots", **SIN), "in 1..256, not 512"),
        (lambda: uniform(np.sin, 0, 1, segments=4, form="cubic", **SIN), "form must be one of constant, knots"),
        (lambda: uniform(np.sin, 0, 1, segments=256, form="linear", **SIN), "use the form constant"),
        (lambda: uniform(np.sin, 0, 1, segments=4, form="linear", guard=0, **SIN), "guard must be at least 1"),
        (
            lambda: uniform(np.exp, 0, 1, segments=4, form="linear", out=IntFormat(8, True), **SIN),
            r"the results reach 255..69\d, which s8 does not hold",
        ),
        (
            lambda: octave(np.sin, [(0.7, 0.25)], in_fraction=8, form="knots", **SIN),
            "stops must be multiples of 2\\*\\*-8",
        ),
        (
            lambda: octave(np.sin, [(0.75, 0.3)], in_fraction=8, form="knots", **SIN),
            "steps powers of two",
        ),
        (
            lambda: octave(np.sin, [(0.75, 0.5)], in_fraction=8, form="knots", **SIN),
            "not at 0 and 192",
        ),
        (lambda: octave(np.sin, [(2.0, 0.5)], in_fraction=8, form="knots", **SIN), "within 1..256, not at 512"),
        (
            lambda: Table("linear", 8, IntFormat(9, True), (Region(256, 7),), ((1,), (2,)), 1, 0.0, 8, 8),
            "linear needs 2 columns of 2 entries",
        ),
        (
            lambda: Table("linear", 8, IntFormat(9, True), (Region(128, 7),), ((1, 1), (2, 2)), 1, 0.0, 8, 8),
            "c1 and c2 must end with 0",
        ),
        (lambda: Table("knots", 25, IntFormat(9, True), (), (), 1, 0.0, 8, 8), "in_bits must lie in 1..24, not 25"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


class Many(Unit):
    """All tables side by side on the same argument."""

    def __init__(self) -> None:
        super().__init__({"x": In(16), **{f"y_{name}": Out(32) for name in ALL}})

    @property
    def kind(self) -> str:
        return "many"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for name, table in ALL.items():
            part = Piecewise(name, table)
            place(m, f"part_{name}", part, platform)
            m.d.comb += [part.x.eq(self.x), getattr(self, f"y_{name}").eq(part.y)]
        return m


def harness() -> str:
    outs = ", ".join(f"top->y_{name}" for name in ALL)
    return f"""
#include <cstdint>
#include <cstdio>
#include <memory>
#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {{
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    FILE* out = std::fopen(argv[1], "wb");
    for (int x = 0; x < 65536 + 8; x++) {{
        top->clk = 0;
        top->x = x & 65535;
        top->eval();
        uint32_t y[] = {{{outs}}};
        std::fwrite(y, sizeof y, 1, out);
        top->clk = 1;
        top->eval();
    }}
    std::fclose(out);
    return 0;
}}
"""


def test_the_hardware_is_the_table(tmp_path: Path) -> None:
    verilog = tmp_path / "many.v"
    verilog.write_text(emit(Many(), "many", {}).verilog)
    flags = ["-CFLAGS", "-O0"]
    model = build_model(
        verilog=[verilog], top="many", harness=harness(), flags=flags, waivers=[toolchain.waivers()]
    )
    subprocess.run([model, tmp_path / "out"], check=True)
    seen = np.fromfile(tmp_path / "out", np.int32).reshape(-1, len(ALL))
    x = np.arange(1 << 16)
    for i, (name, table) in enumerate(ALL.items()):
        got = seen[table.latency : table.latency + len(x), i]
        np.testing.assert_array_equal(got, table.evaluate(x & ((1 << table.in_bits) - 1)), name)


@pytest.mark.parametrize(
    ("name", "lut", "dsp"),
    [
        ("exp2_linear_16", 56, 1), ("exp2_quadratic_8", 105, 2), ("recip_quadratic_8", 95, 2),
        ("gelu_knots_77", 92, 1), ("gelu_quadratic_16", 68, 2), ("gelu_rom", 5, 0),
    ],
)  # fmt: skip
def test_it_costs_few_luts_and_a_dsp_block_per_multiplier(
    name: str, lut: int, dsp: int, tmp_path: Path
) -> None:
    path = tmp_path / "part.v"
    path.write_text(emit(Piecewise("part", ALL[name]), "part", {}).verilog)
    cells = synthesise(path, "part")
    assert cells.dsp == dsp
    assert cells.lut <= lut
    assert cells.srl == 0


def test_forms_and_digests_differ() -> None:
    assert {table.form for table in ALL.values()} == set(FORMS)
    assert len({table.digest for table in ALL.values()}) == len(ALL)
    assert re.fullmatch("[0-9a-f]{16}", ALL["gelu_rom"].digest)
