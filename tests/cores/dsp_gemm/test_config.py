"""Every refusal with its sentence, the digest, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwgen.cores.dsp_gemm import DspGemmConfig, Gemm
from hwgen.cores.dsp_gemm.config import TARGETS
from hwgen.errors import BadInput

US = {"target": "ultrascale+"}
NEW = ("xilinx7", "ecp5", "ice40", "nexus", "gowin")
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"rows": 0}, "rows must be an integer in 1..64, not 0"),
    ({"rows": 65}, "rows must be an integer in 1..64, not 65"),
    ({"rows": 2.0}, "rows must be an integer in 1..64, not 2.0"),
    ({"rows": True}, "rows must be an integer in 1..64, not True"),
    ({"rows": "8"}, "rows must be an integer in 1..64, not '8'"),
    ({"cols": 0}, "cols must be an integer in 1..64, not 0"),
    ({"cols": 65}, "cols must be an integer in 1..64, not 65"),
    ({"act_bits": 1}, "act_bits must be an integer in 2..8, not 1"),
    ({"act_bits": 9}, "act_bits must be an integer in 2..8, not 9"),
    ({"weight_bits": 1}, "weight_bits must be an integer in 2..8, not 1"),
    ({"weight_bits": 9}, "weight_bits must be an integer in 2..8, not 9"),
    ({"act_signed": 1}, "act_signed must be true or false, not 1"),
    ({"weight_signed": "no"}, "weight_signed must be true or false, not 'no'"),
    ({"tile_steps": 2}, "tile_steps must be an integer in 4..4096, not 2"),
    ({"tile_steps": 8192}, "tile_steps must be an integer in 4..4096, not 8192"),
    ({"tile_steps": 48}, "tile_steps must be a power of two, not 48"),
    ({"size_bits": 3}, "size_bits must be an integer in 4..32, not 3"),
    ({"size_bits": 33}, "size_bits must be an integer in 4..32, not 33"),
    (
        {"size_bits": 4},
        "size_bits=4 counts to 15, which must be more than the array's 16 lanes; choose size_bits=5 or more",
    ),
    (
        {"rows": 3, "cols": 63, "size_bits": 6},
        "size_bits=6 counts to 63, which must be more than the array's 63 lanes; choose size_bits=7 or more",
    ),
    (
        {"target": "virtex2"},
        "target must be one of generic, xilinx7, ultrascale+, ecp5, ice40, nexus, gowin, not 'virtex2'",
    ),
    ({"packing": "int9x9"}, "packing must be one of auto, none, int8x2, int4x4, not 'int9x9'"),
    (
        {"packing": "int8x2"},
        "packing int8x2 needs a DSP block of known port widths, which target generic does not have; "
        "choose packing=none or target=ultrascale+",
    ),
    (
        {**US, "packing": "int4x4", "act_bits": 4, "weight_bits": 4, "cols": 7},
        "packing int4x4 computes two rows of C at once and needs an even cols, not 7; "
        "choose an even cols or packing=auto",
    ),
    (
        {**US, "packing": "int4x4"},
        "packing int4x4 takes operands of up to 4 bits, not s8 weights and s8 activations; choose packing=auto",
    ),
    (
        {"target": "ecp5", "packing": "int4x4", "act_bits": 5, "weight_bits": 4},
        "packing int4x4 takes operands of up to 4 bits, not s4 weights and s5 activations; choose packing=auto",
    ),
    (
        {"target": "ice40", "packing": "int4x4", "act_bits": 4, "weight_bits": 4, "cols": 3},
        "packing int4x4 computes two rows of C at once and needs an even cols, not 3; "
        "choose an even cols or packing=auto",
    ),
]

SETTINGS: list[tuple[dict[str, str], str]] = [
    (
        {"lanes": "4"},
        "dsp_gemm has no parameter 'lanes'; it has rows, cols, act_bits, weight_bits, act_signed, "
        "weight_signed, target, packing, tile_steps, size_bits",
    ),
    ({"rows": "four"}, "rows must be an integer, not 'four'"),
    ({"rows": ""}, "rows must be an integer, not ''"),
    ({"act_signed": "maybe"}, "act_signed must be true or false, not 'maybe'"),
    ({"cols": "99"}, "cols must be an integer in 1..64, not 99"),
]

CHANGES: dict[str, Any] = {
    "rows": 17,
    "cols": 17,
    "act_bits": 7,
    "weight_bits": 7,
    "act_signed": False,
    "weight_signed": False,
    "target": "ultrascale+",
    "packing": "none",
    "tile_steps": 512,
    "size_bits": 21,
}


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:40])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        DspGemmConfig(**parameters)


@pytest.mark.parametrize(("settings", "sentence"), SETTINGS, ids=lambda x: str(x)[:40])
def test_a_bad_setting_is_refused(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        DspGemmConfig.from_settings(settings)


@pytest.mark.parametrize("yes", ["true", "1", "Yes"])
@pytest.mark.parametrize("no", ["false", "0", "NO"])
def test_settings_are_read(yes: str, no: str) -> None:
    texts = {"rows": "0x0a", "act_signed": no, "weight_signed": yes, "target": "ultrascale+"}
    config = DspGemmConfig.from_settings(texts)
    assert config == DspGemmConfig(rows=10, act_signed=False, weight_signed=True, target="ultrascale+")
    assert DspGemmConfig.from_settings({}) == DspGemmConfig()


def test_every_parameter_changes_the_digest() -> None:
    assert list(CHANGES) == [field.name for field in dataclasses.fields(DspGemmConfig)]
    digests = {DspGemmConfig(**{name: value}).digest for name, value in CHANGES.items()}
    assert len(digests | {DspGemmConfig().digest}) == len(CHANGES) + 1
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_digest_is_the_same_in_every_process(hash_seed: str) -> None:
    program = "from hwgen.cores.dsp_gemm import DspGemmConfig; print(DspGemmConfig(rows=3).digest)"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == DspGemmConfig(rows=3).digest


@pytest.mark.parametrize(
    ("parameters", "dsps", "scheme"),
    [
        ({}, 256, (1, 1)),
        (US, 128, (2, 1)),
        ({**US, "act_bits": 4, "weight_bits": 4}, 64, (2, 2)),
        ({**US, "act_bits": 4, "weight_bits": 4, "cols": 15}, 128, (2, 1)),
        ({**US, "act_bits": 4, "weight_bits": 5}, 128, (2, 1)),
        ({**US, "cols": 15}, 128, (2, 1)),
        ({**US, "packing": "none"}, 256, (1, 1)),
        ({**US, "rows": 1, "cols": 1}, 1, (2, 1)),
        *(({"target": name}, 128, (2, 1)) for name in ("xilinx7", "ecp5", "ice40", "nexus")),
        ({"target": "gowin"}, 256, (1, 1)),
        *(({"target": name, "act_bits": 4, "weight_bits": 4}, 64, (2, 2)) for name in NEW),
    ],
    ids=str,
)
def test_multipliers(parameters: dict[str, Any], dsps: int, scheme: tuple[int, int]) -> None:
    config = DspGemmConfig(**parameters)
    assert config.dsps == dsps
    assert (config.arithmetic.scheme.weight_lanes, config.arithmetic.scheme.act_lanes) == scheme


@pytest.mark.parametrize("seed", range(60))
def test_derived_numbers_of_any_configuration(seed: int, random_config: Callable[..., DspGemmConfig]) -> None:
    rng = np.random.default_rng(seed)
    target = str(rng.choice(TARGETS))
    config = random_config(
        rng, rows=int(rng.integers(1, 65)), cols=2 * int(rng.integers(1, 33)), target=target
    )
    sizes = [s.rows for s in config.segments]
    assert sum(sizes) == config.rows
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= min(32, config.arithmetic.max_terms)
    assert [s.first_row for s in config.segments] == [sum(sizes[:i]) for i in range(len(sizes))]
    assert {s.skew + s.rows for s in config.segments} == {sizes[0]}
    assert config.m_lanes * config.n_lanes == config.cols
    assert sum(config.column_lanes(i) for i in range(config.columns)) == config.n_lanes
    assert min(config.column_lanes(i) for i in range(config.columns)) >= 1
    assert config.group(config.columns - 1) == config.groups - 1
    assert config.result_depth >= config.tile_steps + config.latency + 1
    assert min(f.lanes * f.format.bits for s in config.streams for f in s.fields) >= 1


ONES = np.ones((2, 3), np.int64)
GEMMS: list[tuple[dict[str, Any], Any, Any, str]] = [
    ({}, [[1.0, np.nan]], [[1], [1]], "a must hold whole numbers in -128..127 (s8), not nan at index [0, 1]"),
    ({}, [[1]], [[np.inf]], "b must hold whole numbers in -128..127 (s8), not inf at index [0, 0]"),
    ({}, [[1], [0.5]], [[1]], "a must hold whole numbers in -128..127 (s8), not 0.5 at index [1, 0]"),
    ({}, [[1]], [[0, 128]], "b must hold whole numbers in -128..127 (s8), not 128 at index [0, 1]"),
    (
        {"act_bits": 3, "act_signed": False},
        [[7], [-1]],
        [[0]],
        "a must hold whole numbers in 0..7 (u3), not -1 at index [1, 0]",
    ),
    ({}, [["1"]], [[1]], "a must be an array of integers, not of <U1"),
    ({}, [[1j]], [[1]], "a must be an array of integers, not of complex128"),
    ({}, ONES, ONES, "a and b must have shapes (M, K) and (K, N), not (2, 3) and (2, 3)"),
    ({}, ONES[0], ONES, "a and b must have shapes (M, K) and (K, N), not (3,) and (2, 3)"),
    ({}, ONES, ONES[0], "a and b must have shapes (M, K) and (K, N), not (2, 3) and (3,)"),
    ({}, ONES[:0], ONES.T, "M must lie in 1..1048575 (size_bits is 20), not 0"),
    ({}, ONES, ONES.T[:, :0], "N must lie in 1..1048575 (size_bits is 20), not 0"),
    (
        {"rows": 8, "cols": 8, "size_bits": 4},
        np.ones((1, 16)),
        np.ones((16, 1)),
        "K must lie in 1..15 (size_bits is 4), not 16",
    ),
]


@pytest.mark.parametrize(("parameters", "a", "b", "sentence"), GEMMS, ids=lambda x: str(x)[:30])
def test_bad_operands_are_refused(parameters: dict[str, Any], a: Any, b: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Gemm.checked(DspGemmConfig(**parameters), a, b)


@pytest.mark.parametrize("flags", [{"keep": True}, {"accumulate": True}], ids=str)
def test_sums_stay_only_within_one_tile(flags: dict[str, bool]) -> None:
    config = DspGemmConfig(cols=4, act_bits=4, weight_bits=4, tile_steps=4, **US)
    fits = Gemm.checked(config, np.ones((8, 1)), np.ones((1, 2)), **flags)
    assert fits.shape == (8, 2, 1)
    assert fits.macs == 16
    for m, n in ((9, 1), (1, 3)):
        sentence = (
            f"sums stay in the accumulators only within one tile of 8 × 2, not {m} × {n}; "
            "split the GEMM or send its result"
        )
        with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
            Gemm.checked(config, np.ones((m, 1)), np.ones((1, n)), **flags)
        assert Gemm.checked(config, np.ones((m, 1)), np.ones((1, n))).shape == (m, n, 1)


def test_whole_numbers_of_any_type_are_taken() -> None:
    for kind in (np.int8, np.uint8, np.float32, np.bool_):
        op = Gemm.checked(DspGemmConfig(), np.ones((1, 2), kind), np.ones((2, 1), kind))
        assert op.a.dtype == np.int64
