"""Every refusal with its sentence, the digest, and the numbers that follow from a configuration."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from hwgen.cores.softmax import CORE, Row, SoftmaxConfig, causal, quantise
from hwgen.cores.softmax.config import ITA_SCALE, VARIANTS
from hwgen.errors import BadInput
from tests.cores.softmax.conftest import BYTES

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"variant": "safe"}, f"variant must be one of {', '.join(VARIANTS)}, not 'safe'"),
    ({"lanes": 0}, "lanes must be an integer in 1..32, not 0"),
    ({"lanes": True}, "lanes must be an integer in 1..32, not True"),
    ({"longest": 0}, "longest must be an integer in 1..4096, not 0"),
    ({"longest": 4097}, "longest must be an integer in 1..4096, not 4097"),
    ({"in_bits": 3}, "in_bits must be an integer in 4..24, not 3"),
    ({"in_fraction": 33}, "in_fraction must be an integer in 0..32, not 33"),
    ({"kernel": "cubic"}, "kernel must be one of auto, table, linear16, quad4, quad8, quad16, not 'cubic'"),
    ({"fe": 41}, "fe must be an integer in 0..40, not 41"),
    ({"fe": 13}, "fe must be at least 14, the fraction bits of one exponential, not 13"),
    ({"reciprocal": "exact"}, "reciprocal must be one of newton, divider, not 'exact'"),
    ({"normalise": "never"}, "normalise must be one of before_pv, after_pv, not 'never'"),
    ({"out_bits": 12}, "out_bits must be 8 or 16, not 12"),
    ({"phi": 1.5}, "phi must be an integer, not 1.5"),
    ({"phi": 3}, "online_pow2 has no phi to choose; leave phi at 0"),
    ({"span": 3}, "online_pow2 has no span to choose; leave span at 12"),
    ({"variant": "unified_max", "span": 17}, "span must be an integer in 1..16, not 17"),
    (
        {"variant": "unified_max", "phi": 500},
        "phi must lie in -185..184, the exponents that logits have, not 500: every row would be recomputed",
    ),
    (
        {"scale": "fast"},
        "scale must be a positive decimal number or fraction such as 0.125 or 1/8, not 'fast'",
    ),
    ({"scale": "1/0"}, "scale must be a positive decimal number or fraction such as 0.125 or 1/8, not '1/0'"),
    ({"scale": "-1"}, "scale must be positive, not -1"),
    ({"scale": "0"}, "scale must be positive, not 0"),
    (
        {"in_bits": 24, "in_fraction": 8},
        "logits of 24 bits with 8 fraction bits and scale 1 lie up to 94548 octaves apart, at most 4096 are taken; "
        "give more fraction bits or a smaller scale",
    ),
    (
        {"in_bits": 4, "in_fraction": 0, "scale": "100"},
        "one step of a logit is 144 octaves, too coarse for exponentials of 14 fraction bits; give more fraction "
        "bits or a smaller scale",
    ),
    ({"kernel": "table"}, "a table of every logit is for at most 8 bits, not 16; choose another kernel"),
    (
        {"variant": "table_exact"},
        "a table of every logit is for at most 8 bits, not 16; choose another kernel",
    ),
    (
        {"variant": "table_exact", **BYTES, "kernel": "quad4"},
        "table_exact has its own table; leave kernel=quad4 out",
    ),
    (
        {"variant": "table_exact", **BYTES, "normalise": "after_pv"},
        "table_exact has no normalise to choose; leave normalise at before_pv",
    ),
    (
        {"variant": "twopass_ext", "normalise": "after_pv"},
        "twopass_ext knows no maximum by which exponentials could be scaled before the sum divides them; choose "
        "normalise=before_pv or variant=online_pow2",
    ),
    (
        {"variant": "unified_max", "fe": 40, "span": 16, "longest": 4096},
        "sums of 4096 elements with 56 fraction bits have 69 bits, at most 62 are taken; choose a smaller fe or span, "
        "or a shorter longest",
    ),
    ({"variant": "ibert", "out_bits": 8, "fe": 20}, "ibert has no fe to choose; leave fe at 0"),
    ({"variant": "ibert", "in_bits": 20, "in_fraction": 12}, "ibert takes logits of at most 16 bits, not 20"),
    (
        {"variant": "ibert", "in_bits": 8, "in_fraction": 0},
        "ibert needs logits in steps of 1/4096 to 1/16, for its integers to fit and mean something, not 1; choose "
        "another in_fraction or scale",
    ),
    ({"variant": "softermax"}, "softermax takes logits of at most 8 bits, not 16"),
    (
        {"variant": "softermax", **BYTES, "out_bits": 16},
        "softermax gives 8 bits, so out_bits must be 8, not 16",
    ),
    (
        {"variant": "sole", **BYTES, "scale": "0.3"},
        "sole takes logits whose scale is a power of two: choose in_fraction, not scale=0.3",
    ),
    (
        {"variant": "sole", "in_bits": 8, "in_fraction": 8},
        "sole's logits of 8 bits must reach beyond one, so in_fraction must be less than that, not 8",
    ),
    (
        {"variant": "ita", **BYTES},
        f"ita takes logits in 32nds of an octave: set in_fraction=5 and scale={ITA_SCALE}, not in_fraction=3 and "
        "scale=1",
    ),
]

LENGTH = (
    "a row must have 1..8 elements, not shape {}; give other rows, or a configuration with another longest"
)

CHANGES: dict[str, Any] = {
    "variant": "online", "lanes": 2, "longest": 100, "in_bits": 12, "in_fraction": 6, "scale": "1/3",
    "kernel": "quad8", "fe": 22, "reciprocal": "divider", "normalise": "after_pv", "out_bits": 16,
    "multiplier_bits": 18,
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS, ids=lambda x: str(x)[:60])
def test_a_bad_parameter_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        SoftmaxConfig(**parameters)


def test_settings_are_read() -> None:
    texts = {"variant": "online", "lanes": "0x2", "scale": "0.25"}
    assert SoftmaxConfig.from_settings(texts) == SoftmaxConfig(variant="online", lanes=2, scale="0.25")


def test_every_parameter_changes_the_digest() -> None:
    configs = [SoftmaxConfig(**{name: value}) for name, value in CHANGES.items()]
    configs += [SoftmaxConfig(variant="unified_max", **more) for more in ({}, {"phi": 1}, {"span": 5})]
    assert {*CHANGES, "phi", "span"} == {field.name for field in dataclasses.fields(SoftmaxConfig)}
    assert len({config.digest for config in [*configs, SoftmaxConfig()]}) == len(configs) + 1


@pytest.mark.parametrize(
    ("x", "keep", "sentence"),
    [
        ([], None, LENGTH.format("[0]")),
        ([0] * 9, None, LENGTH.format("[9]")),
        ([[1]], None, LENGTH.format("[1, 1]")),
        ([1, 2], [1], "keep must have shape [2] like the row, not [1]"),
    ],
    ids=["empty", "long", "matrix", "mask"],
)  # fmt: skip
def test_a_bad_row_is_refused(x: Any, keep: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        Row.checked(SoftmaxConfig(longest=8), x, keep)


def test_a_logit_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match=r"x.*-32768\.\.32767"):
        Row.checked(SoftmaxConfig(), [1 << 15])


def test_causal_rows_need_a_matrix() -> None:
    with pytest.raises(BadInput, match=r"^logits must have shape \(queries, keys\), not \[3\]$"):
        causal(SoftmaxConfig(), [1, 2, 3])


def test_quantise_clamps_and_never_wraps() -> None:
    config = SoftmaxConfig(in_bits=8, in_fraction=3)
    np.testing.assert_array_equal(
        quantise(config, [-1e9, -0.07, 0.0625, 0.1875, 99.0]), [-128, -1, 0, 2, 127]
    )
    np.testing.assert_array_equal(quantise(config, [[280.0, 283.0, 0.0]], centre=True), [[103, 127, -128]])
    for bad in (np.nan, np.inf):
        with pytest.raises(
            BadInput, match=r"^logits must be finite numbers; give elements that take no part by keep"
        ):
            quantise(config, [0.0, bad])


def test_characteristics_state_latency_and_bound() -> None:
    facts = CORE.characteristics(SoftmaxConfig())
    assert facts["elements_per_cycle"] == 4
    assert facts["largest_error_ulp"] == "0.79"
    assert CORE.characteristics(SoftmaxConfig(normalise="after_pv"))["largest_error_ulp"] == "none stated"
