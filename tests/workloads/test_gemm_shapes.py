"""Shapes of whole networks against totals that are known from elsewhere."""

import pytest

from hwgen.errors import BadInput
from hwgen.workloads import GemmShape, minilm_gemms, resnet18_gemms


def test_minilm_at_128_tokens_has_48_gemms_and_1_43_giga_macs():
    gemms = minilm_gemms()
    assert len(gemms) == 48
    assert sum(gemm.macs for gemm in gemms) == 1_434_451_968


def test_minilm_layer_is_complete_and_in_order():
    first = [(g.name, g.m, g.k, g.n, g.repeat) for g in minilm_gemms(10)[:8]]
    assert first == [
        ("layer0.q_proj", 10, 384, 384, 1),
        ("layer0.k_proj", 10, 384, 384, 1),
        ("layer0.v_proj", 10, 384, 384, 1),
        ("layer0.scores", 10, 32, 10, 12),
        ("layer0.context", 10, 10, 32, 12),
        ("layer0.o_proj", 10, 384, 384, 1),
        ("layer0.ffn_up", 10, 384, 1536, 1),
        ("layer0.ffn_down", 10, 1536, 384, 1),
    ]
    names = [g.name for g in minilm_gemms(10)]
    assert len(set(names)) == 48
    assert names[-1] == "layer5.ffn_down"


def test_resnet18_is_the_published_list_of_21():
    assert [(g.m, g.k, g.n) for g in resnet18_gemms()] == [
        (12544, 147, 64),
        *[(3136, 576, 64)] * 4,
        (784, 576, 128),
        (784, 1152, 128),
        (784, 64, 128),
        *[(784, 1152, 128)] * 2,
        (196, 1152, 256),
        (196, 2304, 256),
        (196, 128, 256),
        *[(196, 2304, 256)] * 2,
        (49, 2304, 512),
        (49, 4608, 512),
        (49, 256, 512),
        *[(49, 4608, 512)] * 2,
        (1, 512, 1000),
    ]


def test_resnet18_names_are_unique_and_macs_are_1_81_giga():
    gemms = resnet18_gemms()
    assert len({gemm.name for gemm in gemms}) == 21
    assert sum(gemm.macs for gemm in gemms) == 1_814_073_344


def test_repeat_counts_in_macs():
    assert GemmShape(name="heads", m=2, k=3, n=5, repeat=7).macs == 210


@pytest.mark.parametrize("sequence", [0, -1, 513])
def test_minilm_refuses_a_sequence_it_has_no_positions_for(sequence):
    with pytest.raises(BadInput, match=rf"sequence must lie in 1\.\.512, not {sequence}"):
        minilm_gemms(sequence)


def test_shape_refuses_an_empty_side():
    with pytest.raises(BadInput, match="k of GEMM 'x' must be at least 1, not 0"):
        GemmShape(name="x", m=1, k=0, n=1)
