"""Packing arithmetic against exact integers: exhaustively where the operands allow it, else at the extremes."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.numerics import IntFormat
from hwgen.parts.packing import BLOCKS, SCHEMES, Packing, Scheme, arithmetic, packing

SIGNS = list(itertools.product((True, False), repeat=2))
NARROW = [(2, 2), (2, 4), (3, 3), (4, 2)]

# Products that one chain accumulates, by scheme and by the signs of weights and activations.
MAX_TERMS = {
    ("int8x2", True, True): 32,
    ("int8x2", True, False): 16,
    ("int8x2", False, True): 16,
    ("int8x2", False, False): 16,
    ("int4x4", True, True): 16,
    ("int4x4", True, False): 8,
    ("int4x4", False, True): 8,
    ("int4x4", False, False): 9,
}
# The same on the other blocks: int8x2, then int4x4; signed, mixed, unsigned.
OTHERS = {
    "xilinx7": ((16, 8, 8), (8, 4, 4)),
    "ecp5": ((8, 4, 4), (8, 4, 4)),
    "ice40": ((127, 64, 32), (8, 4, 4)),
    "nexus": ((8, 4, 4), (8, 4, 4)),
    "gowin": ((8, 4, 4), (8, 4, 4)),
}
ALL_TERMS = [("ultrascale+", *key, terms) for key, terms in MAX_TERMS.items()] + [
    (target, name, *signs, counts[2 - sum(signs)])
    for target, schemes in OTHERS.items()
    for name, counts in zip(("int8x2", "int4x4"), schemes, strict=True)
    for signs in SIGNS
]


def _format(bits: int, signed: bool) -> IntFormat:
    return IntFormat(bits, signed)


def _grid(*axes: np.ndarray) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]


def _range(bits: int, signed: bool) -> np.ndarray:
    return np.arange(1 << bits) - (1 << (bits - 1) if signed else 0)


def _recovered(p: Packing, weights: np.ndarray, acts: np.ndarray) -> np.ndarray:
    return p.separate(p.accumulate(weights, acts), p.canaries(weights, acts))


def _wrong(p: Packing, weights: np.ndarray, acts: np.ndarray) -> int:
    """Sums that differ from those of exact integers; operands of shape (sums, terms, lanes)."""
    lanes = itertools.product(range(weights.shape[-1]), range(acts.shape[-1]))
    exact = [(weights[..., i] * acts[..., j]).sum(axis=-1) for i, j in lanes]
    return int((_recovered(p, weights, acts) != np.stack(exact, axis=-1)).sum())


def _corners(p: Packing, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Every lane at an end of its range, the same in all terms: shape (corners, terms, lanes)."""
    lanes = p.scheme.weight_lanes, p.scheme.act_lanes
    ends = [(p.weight.low, p.weight.high)] * lanes[0] + [(p.act.low, p.act.high)] * lanes[1]
    corners = np.array(list(itertools.product(*ends)), np.int64)[:, None, :].repeat(terms, axis=1)
    return corners[..., : lanes[0]], corners[..., lanes[0] :]


@pytest.mark.parametrize("target", BLOCKS)
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_every_pair_of_int8_products_is_exact(target: str, weight_signed: bool, act_signed: bool) -> None:
    p = packing("int8x2", target, _format(8, weight_signed), _format(8, act_signed))
    weights = np.stack(_grid(_range(8, weight_signed), _range(8, weight_signed)), axis=-1)
    pairs = np.ascontiguousarray(weights[:, None, :])
    low, high = weights.T
    assert len(weights) == 1 << 16
    for a in _range(8, act_signed):
        acts = np.full((1, 1, 1), a)
        sums = _recovered(p, pairs, acts)
        assert np.array_equal(sums[:, 0], low * a)
        assert np.array_equal(sums[:, 1], high * a)


@pytest.mark.parametrize("target", BLOCKS)
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_every_quadruple_of_int4_operands_is_exact(
    target: str, weight_signed: bool, act_signed: bool
) -> None:
    p = packing("int4x4", target, _format(4, weight_signed), _format(4, act_signed))
    grid = _grid(*[_range(4, weight_signed)] * 2, *[_range(4, act_signed)] * 2)
    operands = np.stack(grid, axis=-1)[:, None, :]
    assert len(operands) == 1 << 16
    assert _wrong(p, operands[..., :2], operands[..., 2:]) == 0


@pytest.mark.parametrize("scheme", ["int8x2", "int4x4"])
@pytest.mark.parametrize("bits", NARROW, ids=str)
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
@pytest.mark.parametrize("target", BLOCKS)
def test_every_narrow_operand_is_exact(
    scheme: str, bits: tuple[int, int], weight_signed: bool, act_signed: bool, target: str
) -> None:
    p = packing(scheme, target, _format(bits[0], weight_signed), _format(bits[1], act_signed))
    lanes = p.scheme.act_lanes
    grid = _grid(*[_range(bits[0], weight_signed)] * 2, *[_range(bits[1], act_signed)] * lanes)
    operands = np.stack(grid, axis=-1)[:, None, :]
    assert _wrong(p, operands[..., :2], operands[..., 2:]) == 0


@pytest.mark.parametrize(("target", "scheme", "weight_signed", "act_signed", "terms"), ALL_TERMS, ids=str)
def test_as_many_terms_as_promised_are_exact_and_one_more_is_not(
    target: str, scheme: str, weight_signed: bool, act_signed: bool, terms: int
) -> None:
    bits = SCHEMES[scheme].operand_bits
    p = packing(scheme, target, _format(bits, weight_signed), _format(bits, act_signed))
    assert p.max_terms == terms
    assert _wrong(p, *_corners(p, terms)) == 0
    assert _wrong(p, *_corners(p, terms + 1)) > 0


@pytest.mark.parametrize("scheme", ["int8x2", "int4x4"])
@pytest.mark.parametrize("bits", NARROW, ids=str)
@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_narrow_operands_have_their_own_bound(
    scheme: str, bits: tuple[int, int], weight_signed: bool, act_signed: bool
) -> None:
    p = packing(scheme, "ultrascale+", _format(bits[0], weight_signed), _format(bits[1], act_signed))
    assert _wrong(p, *_corners(p, p.max_terms)) == 0
    assert _wrong(p, *_corners(p, p.max_terms + 1)) > 0


@pytest.mark.parametrize(("weight_signed", "act_signed"), SIGNS)
def test_without_packing_the_accumulator_is_the_bound(weight_signed: bool, act_signed: bool) -> None:
    p = packing("none", "ultrascale+", _format(8, weight_signed), _format(8, act_signed))
    ends = [w * a for w in (p.weight.low, p.weight.high) for a in (p.act.low, p.act.high)]
    reach = [p.max_terms * end for end in ends], [(p.max_terms + 1) * end for end in ends]
    limit = 2**47
    assert -limit <= min(reach[0]) <= max(reach[0]) < limit
    assert max(*reach[1], -min(reach[1])) >= limit
    # A single weight as large as the sum of all of them is what the accumulator ends with.
    sums = _recovered(p, np.array([[[reach[0][0]]]]), np.array([[[1]]]))
    assert sums.item() == reach[0][0]


def _naive(terms: int, w: int, a: int) -> tuple[int, int]:
    """Two sums of equal products 18 bits apart, separated by sign extension and one correction."""
    packed = terms * a * (w + (w << 18))
    low = (packed + 2**17) % 2**18 - 2**17
    return low, (packed >> 18) + (low < 0)


def test_an_18_bit_lane_holds_seven_extreme_products_and_not_eight() -> None:
    assert _naive(7, -128, -128) == (7 * 16384, 7 * 16384)
    assert _naive(8, -128, -128) != (8 * 16384, 8 * 16384)
    # "Never overflows if no more than eight are accumulated" (FlightLLM) needs narrow operands.
    for w, a in itertools.product((-127, 127), (-128, 127)):
        assert _naive(8, w, a) == (8 * w * a, 8 * w * a)
    # A bias of one less than half the lane makes room for the eighth; the canary for 24 more.
    s8 = _format(8, True)
    without = Packing(Scheme(2, 1, 18, 0, 8), s8, s8, BLOCKS["ultrascale+"])
    assert without.max_terms == 8
    assert _wrong(without, *_corners(without, 8)) == 0
    assert _wrong(without, *_corners(without, 9)) > 0


def test_uncorrected_fields_of_the_white_paper_err_as_published() -> None:
    w0, w1, a0, a1 = _grid(*[_range(4, True)] * 2, *[_range(4, False)] * 2)
    product = (w0 + (w1 << 22)) * (a0 + (a1 << 11))
    seen = [((product >> at) + 1024) % 2048 - 1024 for at in (0, 11, 22)] + [product >> 33]
    errors = [got - exact for got, exact in zip(seen, (w0 * a0, w0 * a1, w1 * a0, w1 * a1), strict=True)]
    assert [round(100 * float((e != 0).mean()), 1) for e in errors] == [0.0, 46.9, 49.8, 52.7]
    assert round(float(np.abs(errors).mean()), 4) == 0.3735


PORTS = {
    "xilinx7": "DSP48E1 (target xilinx7) has 25",
    "ecp5": "MULT18X18D (target ecp5) has 18",
    "ice40": "SB_MAC16 (target ice40) has 16",
}


@pytest.mark.parametrize(("scheme", "bits"), [("int8x2", 8), ("int4x4", 4)])
@pytest.mark.parametrize("target", PORTS)
def test_what_does_not_fit_a_port_is_refused(
    scheme: str, bits: int, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(arithmetic._PLACEMENTS, target, {})  # those of the widest block
    sentence = (
        f"packing {scheme} puts 2 s{bits} weights into 27 bits, but the port of {PORTS[target]}; "
        "choose packing=none or another target"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        packing(scheme, target, _format(bits, True), _format(bits, True))


def test_operands_too_wide_are_refused() -> None:
    sentence = "packing int4x4 takes operands of up to 4 bits, not s8 weights and s8 activations; choose packing=auto"
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        packing("int4x4", "ultrascale+", _format(8, True), _format(8, True))


@pytest.mark.parametrize("spacing", [8, 10, 11])
def test_two_weights_on_18_bits_are_9_apart(spacing: int) -> None:
    # With full range; a canary of 9 bits is what eight products need: at 9 apart, of an 18-bit window.
    port = BLOCKS["ecp5"].wide_bits
    reach = -128 - (128 << spacing)
    assert (reach >= -(1 << (port - 1))) == (spacing < 10)
    p = packing("int8x2", "ecp5", _format(8, True), _format(8, True))
    assert (p.scheme.spacing, p.window, p.max_terms) == (9, 18, 8)
    assert p.packed_weight_range[0] >= -(1 << (port - 1))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_terms_are_exact(data: st.DataObject) -> None:
    scheme = data.draw(st.sampled_from(["none", "int8x2", "int4x4"]))
    width = st.integers(2, SCHEMES[scheme].operand_bits)
    weight, act = (IntFormat(data.draw(width), data.draw(st.booleans())) for _ in "wa")
    p = packing(scheme, data.draw(st.sampled_from(sorted(BLOCKS))), weight, act)
    terms = data.draw(st.integers(1, min(p.max_terms, 400)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = weight.random(rng, (20, terms, p.scheme.weight_lanes))
    acts = act.random(rng, (20, terms, p.scheme.act_lanes))
    assert _wrong(p, weights, acts) == 0
