"""Every refusal with its sentence, the digest, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from hwgen.cores.norm import CORE, NormConfig, Parameters, Row
from hwgen.errors import BadInput

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"form": "batch"}, "form must be one of layer, rms, not 'batch'"),
    ({"lanes": 0}, "lanes must be an integer in 1..32, not 0"),
    ({"lanes": 33}, "lanes must be an integer in 1..32, not 33"),
    ({"lanes": True}, "lanes must be an integer in 1..32, not True"),
    ({"longest": 0}, "longest must be an integer in 1..4096, not 0"),
    ({"longest": 4097}, "longest must be an integer in 1..4096, not 4097"),
    ({"in_bits": 12}, "in_bits must be 8 or 16, not 12"),
    ({"out_bits": True}, "out_bits must be 8 or 16, not True"),
    ({"terms": 3}, "terms must be an integer in 0..2, not 3"),
    ({"gamma_fraction": 18}, "gamma_fraction must be an integer in 0..17, not 18"),
    ({"gamma_fraction": -1}, "gamma_fraction must be an integer in 0..17, not -1"),
    ({"multiplier_bits": 24}, "multiplier_bits must be one of 27, 25, 18, not 24"),
]

CHANGES: dict[str, Any] = {
    "form": "rms", "lanes": 4, "longest": 100, "in_bits": 16, "out_bits": 16, "terms": 2, "gamma_fraction": 3,
    "multiplier_bits": 18,
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:40])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        NormConfig(**parameters)


def test_settings_are_read() -> None:
    texts = {"form": "rms", "lanes": "0x2", "terms": "0"}
    assert NormConfig.from_settings(texts) == NormConfig(form="rms", lanes=2, terms=0)


def test_every_parameter_changes_the_digest() -> None:
    assert list(CHANGES) == [field.name for field in dataclasses.fields(NormConfig)]
    digests = {NormConfig(**{name: value}).digest for name, value in CHANGES.items()}
    assert len(digests | {NormConfig().digest}) == len(CHANGES) + 1


def test_what_the_manifest_says() -> None:
    config = NormConfig(longest=384)
    told = CORE.characteristics(config)
    assert told["latency_cycles"] == config.latency
    assert told["longest_row"] == 384
    assert config.latency == config.rows.stat_latency + config.result_latency + 4


ONES = np.ones(8, np.bool_)
SET = Parameters(np.zeros(8, np.int64), np.zeros(8, np.int64), 0)
ROWS: list[tuple[Any, Any, Any, str]] = [
    ([], None, SET, "x must have 1..16 elements in one row, not shape (0,)"),
    (np.zeros(17), None, SET, "x must have 1..16 elements in one row, not shape (17,)"),
    (np.zeros((2, 4)), None, SET, "x must have 1..16 elements in one row, not shape (2, 4)"),
    ([128], None, SET, "x must hold whole numbers in -128..127 (s8), not 128 at index [0]"),
    ([0.5], None, SET, "x must hold whole numbers in -128..127 (s8), not 0.5 at index [0]"),
    ([np.nan], None, SET, "x must hold whole numbers in -128..127 (s8), not nan at index [0]"),
    (np.zeros(8), [1] * 8, SET, "keep must be 8 times true or false, not int64 of shape (8,)"),
    (np.zeros(8), ONES[:7], SET, "keep must be 8 times true or false, not bool of shape (7,)"),
    (np.zeros(9), None, SET, "gamma and beta must have 9..16 channels each, not 8 and 8"),
    (
        np.zeros(8), None, dataclasses.replace(SET, gamma=np.full(8, 1 << 17)),
        "gamma must hold whole numbers in -131072..131071 (s18), not 131072 at index [0]",
    ),
    (
        np.zeros(8), None, dataclasses.replace(SET, eps=-1),
        "eps must hold whole numbers in 0..67108863 (u26), not -1 at index []",
    ),
    (
        np.zeros(8), None, dataclasses.replace(SET, beta=np.zeros(7, np.int64)),
        "gamma and beta must have 8..16 channels each, not 8 and 7",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("x", "keep", "load", "sentence"), ROWS, ids=lambda x: str(x)[:30])
def test_a_bad_row_is_refused(x: Any, keep: Any, load: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Row.checked(NormConfig(lanes=4, longest=16), x, keep, load)


def test_rows_need_a_set() -> None:
    config = NormConfig(lanes=4, longest=16)
    row = Row.checked(config, np.zeros(8, np.int64))
    with pytest.raises(
        BadInput, match=r"^the first row must load a set of factors and offsets; give it one$"
    ):
        CORE.golden(config, [row])
    long = Row.checked(config, np.zeros(9, np.int64))
    with pytest.raises(
        BadInput,
        match=r"^row 1 has 9 elements, but its factors and offsets only 8 channels; load a larger set$",
    ):
        CORE.golden(config, [dataclasses.replace(row, load=SET), long])


SCALES: list[tuple[dict[str, Any], str]] = [
    ({"in_scale": 0.0}, "in_scale and out_scale must be positive, not 0.0 and 1.0"),
    (
        {"gamma": [1.0, 129.0]},
        "gamma / out_scale must lie in -128..127.999 (s18, 10 bits behind the point), not 129; "
        "choose other scales or a smaller gamma_fraction",
    ),
    (
        {"gamma": [np.nan]},
        "gamma / out_scale must lie in -128..127.999 (s18, 10 bits behind the point), not nan; "
        "choose other scales or a smaller gamma_fraction",
    ),
    (
        {"out_zero": 256},
        "beta / out_scale + out_zero must lie in -256..255.992 (s16, 7 bits behind the point), not 256.5; "
        "choose other scales",
    ),
    (
        {"in_scale": 1e-4},
        "eps / in_scale**2 must lie in 0..1024 (u26, 16 bits behind the point), not 100000; choose other scales",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), SCALES, ids=lambda x: str(x)[:30])
def test_real_parameters_that_do_not_fit_are_refused(change: dict[str, Any], sentence: str) -> None:
    arguments: dict[str, Any] = {
        "gamma": [1.0],
        "beta": [0.0],
        "eps": 1e-3,
        "in_scale": 1.0,
        "out_scale": 1.0,
    }
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Parameters.of_reals(NormConfig(), **(arguments | change))


def test_real_parameters_are_rounded() -> None:
    made = Parameters.of_reals(
        NormConfig(), [1.0, -0.5], [0.25, 0.0], eps=1e-3, in_scale=0.1, out_scale=0.05, out_zero=-3
    )
    assert made.gamma.tolist() == [20 << 10, -10 << 10]
    assert made.beta.tolist() == [round((5 - 3 + 0.5) * 128), round(-2.5 * 128)]
    assert made.eps == round(0.1 * 2**16)
