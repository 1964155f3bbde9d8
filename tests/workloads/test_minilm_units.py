"""What enters MiniLM's softmaxes, LayerNorms and GELUs, and what the model makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.workloads.minilm import load_sentences
from hwgen.workloads.minilm_attention import AttentionProblem, join_sentences, load_attention
from hwgen.workloads.minilm_gelu import load_gelus
from hwgen.workloads.minilm_norm import load_norms

TOKENS = 73


@pytest.fixture(scope="module")
def attention() -> tuple[AttentionProblem, ...]:
    return load_attention([0, 5])


def test_attention_is_what_the_model_computes(attention: tuple[AttentionProblem, ...]) -> None:
    assert [p.name for p in attention] == [f"layer{layer}.sentence{i}" for layer in (0, 5) for i in range(3)]
    assert sum(p.query.shape[1] for p in attention) == 2 * TOKENS
    for p in attention:
        np.testing.assert_allclose(p.query @ np.swapaxes(p.key, 1, 2), p.logits, atol=1e-3)
        weights = np.exp(p.logits - p.logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(weights @ p.value, p.reference, atol=1e-4)
        assert p.cosine_distance(weights.astype(np.float64)).max() < 1e-12


def test_other_probabilities_turn_the_output(attention: tuple[AttentionProblem, ...]) -> None:
    p = attention[0]
    flat = np.full(p.logits.shape, 1 / p.logits.shape[-1])
    assert p.cosine_distance(flat).mean() > 1e-3


def test_sentences_are_joined_without_padding() -> None:
    sentences = load_sentences()
    text = join_sentences(sentences, 2)
    assert len(text.input_ids) == 2 * TOKENS
    assert set(text.attention_mask) == {1}
    assert 0 not in text.input_ids


@pytest.mark.parametrize("layer", [-1, 6])
def test_a_layer_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(BadInput, match=rf"^layer must lie in 0\.\.5, not {layer}; the model has no other\.$"):
        load_attention([layer])


def test_norms_are_what_the_model_computes() -> None:
    norms = load_norms()
    assert len(norms) == 13
    for p in norms:
        assert p.x.shape == (TOKENS, 384)
        x = p.x.astype(np.float64)
        centred = x - x.mean(axis=1, keepdims=True)
        y = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + p.eps) * p.gamma + p.beta
        np.testing.assert_allclose(y, p.reference, atol=2e-4)


def test_gelus_are_read() -> None:
    gelus = load_gelus()
    assert [x.shape for x in gelus] == [(TOKENS, 1536)] * 6
    both = np.concatenate(gelus)
    assert both.min() < -8
    assert both.max() > 8
    assert np.median(both) < 0  # most of what a GELU sees it throws away
