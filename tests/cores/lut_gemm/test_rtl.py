"""Golden model = simulator = Verilog: values, and the cycle of every beat, under four flow-control regimes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import sim
from hwgen.cores.lut_gemm import CORE, Gemm, LutGemmConfig, Operand, Shape
from hwgen.parts.corner_turn import travel_bits
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import REGIMES, Stimulus

US = {"target": "ultrascale+"}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "1x8x1": {"dm": 1, "dk": 8, "dn": 1, "a_words": 8, "b_words": 8, "size_bits": 6},
    "one row": {"dm": 1, "dk": 16, "dn": 5, "a_words": 16, "b_words": 64, **US},
    "one column": {"dm": 3, "dk": 32, "dn": 1, "a_words": 64, "b_words": 32},
    "odd": {"dm": 5, "dk": 8, "dn": 3, "a_words": 32, "b_words": 16, "size_bits": 32, **US},
    "two groups of rows": {"dm": 9, "dk": 8, "dn": 2, "a_words": 16, "b_words": 32},
    "two groups of columns": {"dm": 2, "dk": 64, "dn": 10, "a_words": 16, "b_words": 16, **US},
}
SMALL = LutGemmConfig(**CONFIGURATIONS["odd"])


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_three_executors_agree(name: str, regime: str, agree: Callable[..., None]) -> None:
    config = LutGemmConfig(**CONFIGURATIONS[name])
    rng = np.random.default_rng([len(name), REGIMES.index(regime)])
    agree(config, CORE.random_operations(config, 25, rng), regime)


FORMATS = [Operand("unsigned", bits) for bits in range(1, 9)] + [
    Operand("signed", bits) for bits in range(1, 9)
]
FORMATS += [Operand("bipolar", 1), Operand("ternary", 2)]


@pytest.mark.parametrize("regime", [REGIMES[0], REGIMES[3]])
def test_every_pair_of_formats(regime: str, agree: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    ops = []
    for a_format, b_format in product(FORMATS, FORMATS):
        m, n = int(rng.integers(1, 7)), int(rng.integers(1, 4))
        k = int(rng.integers(1, 17))
        ops.append(Gemm(a_format.random(rng, (m, k)), b_format.random(rng, (k, n)), a_format, b_format))
    agree(SMALL, [ops[i] for i in rng.permutation(len(ops))], regime)


@pytest.mark.parametrize("ends", [("low", "low"), ("low", "high"), ("high", "high")])
def test_extreme_operands(ends: tuple[str, str], agree: Callable[..., None]) -> None:
    ops = []
    for a_format, b_format in product(FORMATS, FORMATS):
        k = SMALL.dk * min(SMALL.a_words // a_format.bits, SMALL.b_words // b_format.bits)
        a = np.full((SMALL.dm + 1, k), getattr(a_format, ends[0]), np.int64)
        b = np.full((k, 2), getattr(b_format, ends[1]), np.int64)
        ops.append(Gemm(a, b, a_format, b_format))
    agree(SMALL, ops)


def test_sums_wrap_in_the_accumulators(agree: Callable[..., None]) -> None:
    """33,026 products of 255 · 255 are more than any signed 32-bit register holds."""
    config = LutGemmConfig(dm=1, dk=128, dn=1, a_words=4096, b_words=4096)
    u8 = Operand("unsigned", 8)
    a, b = np.full((1, 33_026), 255, np.int64), np.full((33_026, 1), 255, np.int64)
    ops = [Gemm(a, b, u8, u8), Gemm(a[:, 1:], b[1:], u8, u8)]
    assert [c.item() for c in CORE.golden(config, ops)] == [33_026 * 255**2 - 2**32, 33_025 * 255**2]
    agree(config, ops)


def test_commands_fill_the_buffers(agree: Callable[..., None]) -> None:
    u2, s4 = Operand("unsigned", 2), Operand("signed", 4)
    rng = np.random.default_rng(2)
    ops = []
    for _ in range(4):  # the whole of a_words and b_words, and every region twice
        k = SMALL.dk * SMALL.a_words // 4 // 2
        b = Gemm(s4.random(rng, (11, k)), u2.random(rng, (k, 3)), s4, u2)
        n = SMALL.dn * SMALL.b_words // 2
        ops += [b, Gemm(u2.random(rng, (6, 8)), u2.random(rng, (8, n)), u2, u2)]
    for op in ops:
        Gemm.checked(SMALL, op.a, op.b, a_format=op.a_format, b_format=op.b_format)
    agree(SMALL, ops)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("words", [8, 64])
def test_sums_of_values_outlive_their_rows(words: int, regime: str, agree: Callable[..., None]) -> None:
    """Short commands on a tall array: the next operands wait, and are loaded while rows still leave."""
    config = LutGemmConfig(dm=17, dk=8, dn=1, a_words=words, b_words=words)
    bipolar, s2 = Operand("bipolar", 1), Operand("signed", 2)
    rng = np.random.default_rng(8)
    ops = []
    for i in range(60):
        a_format, b_format = ((bipolar, bipolar), (s2, bipolar), (bipolar, s2))[i % 3]
        m, n, k = int(rng.integers(15, 40)), int(rng.integers(1, 3)), int(rng.integers(1, 9))
        ops.append(Gemm(a_format.random(rng, (m, k)), b_format.random(rng, (k, n)), a_format, b_format))
    agree(config, ops, regime)


@pytest.mark.parametrize("regime", REGIMES)
def test_empty_commands_are_taken_and_ignored(
    regime: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    rng = np.random.default_rng(4)
    s3 = Operand("signed", 3)
    real = [Gemm(s3.random(rng, (m, 9)), s3.random(rng, (9, 4)), s3, s3) for m in (6, 1, 11)]
    empty = [Shape(0, 5, 5, 2, 2), Shape(5, 0, 5, 1, 8), Shape(5, 5, 0, 8, 1), Shape(0, 0, 0)]
    order = [*empty, real[0], *empty, real[1], real[2], *empty]
    shapes = [Shape.of(op) for op in order]
    fields = [[s.m, s.n, s.k, s.a_bits - 1, s.b_bits - 1, s3.code, s3.code] for s in shapes]
    words = [np.array(column)[:, None] for column in zip(*fields, strict=True)]
    base = stimulus(SMALL, real, regime)
    inputs = {**base.inputs, "cmd": SMALL.streams[0].pack(*words)}
    seen = harness(SMALL).run(Stimulus(inputs, base.expected, base.gates))
    for got, expected in zip(CORE.collect(SMALL, real, seen.outputs), CORE.golden(SMALL, real), strict=True):
        np.testing.assert_array_equal(got, expected)
    gates = {name: sim.Gate(pattern) for name, pattern in base.gates.items()}
    ends: dict[str, Any] = {name: sim.Producer(gates[name]) for name in ("cmd", "a", "b")}
    ends["c"] = sim.Consumer(gates["c"])
    CORE.timing(SMALL).stalled(shapes, ends)
    for stream, end in ends.items():
        assert seen.transfers[stream].tolist() == end.times


@pytest.mark.parametrize("stream", ["a", "b"])
def test_what_the_host_puts_beside_the_values_does_not_matter(
    stream: str, harness: Callable[..., Harness], stimulus: Callable[..., Stimulus]
) -> None:
    """One value per row: all other bits of the beats are noise, and those of the width that travels besides."""
    rng = np.random.default_rng(6)
    for bits in range(1, 9):
        form = Operand("unsigned", bits)
        travel = travel_bits(bits)
        ops = [Gemm(form.random(rng, (3, 1)), form.random(rng, (1, 3)), form, form)]
        base = stimulus(SMALL, ops)
        beats = base.inputs[stream].copy()
        noise = rng.integers(0, 256, beats.shape, np.uint8)
        beats[:, 0] = (beats[:, 0] & ((1 << bits) - 1)) | (noise[:, 0] & ~np.uint8((1 << bits) - 1))
        beats[:, 1:] = noise[:, 1:]
        assert travel >= bits
        seen = harness(SMALL).run(Stimulus({**base.inputs, stream: beats}, base.expected, base.gates))
        np.testing.assert_array_equal(
            CORE.collect(SMALL, ops, seen.outputs)[0], CORE.golden(SMALL, ops)[0], str(bits)
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_any_configuration_agrees(
    seed: int, random_config: Callable[..., LutGemmConfig], agree: Callable[..., None]
) -> None:
    rng = np.random.default_rng([11, seed])
    config = random_config(rng)
    for i, regime in enumerate(REGIMES):
        agree(config, CORE.random_operations(config, 30, rng), regime, seed=i)


EXTREMES: dict[str, dict[str, Any]] = {
    "tallest": {"dm": 32, "dk": 8, "dn": 2, "b_words": 16},
    "widest": {"dm": 2, "dk": 8, "dn": 32, "a_words": 16},
    "longest": {"dm": 2, "dk": 512, "dn": 2, "a_words": 16, "b_words": 16},
    "deepest": {"dm": 1, "dk": 8, "dn": 1, "a_words": 16384, "b_words": 16384, "size_bits": 17},
}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ultrascale+", "generic"])
@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_agree(name: str, target: str, agree: Callable[..., None]) -> None:
    config = LutGemmConfig(target=target, **EXTREMES[name])
    for regime in REGIMES:
        agree(config, CORE.random_operations(config, 12, np.random.default_rng(9)), regime)
