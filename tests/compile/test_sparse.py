"""Products on the sparse core: the same results as the layers' mathematics, on every shape, pattern and mode."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_network
from hwgen.errors import BadInput
from hwgen.parts.sparse import PATTERNS
from hwgen.program.table import ENGINES
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Layer
from tests.compile.test_compiler import NETWORKS

ALONE = SystemConfig(lanes=16, dsp=False, sparse=True, sparse_rows=4, sparse_depth=128, act_words=4096)
ACCELERATORS = {
    "alone": ALONE,
    "ways": SystemConfig(
        lanes=16, dsp=False, sparse=True, sparse_ways=4, sparse_depth=64, bus_bytes=32, act_words=4096
    ),
    "beside others": SystemConfig(
        lanes=16, sparse=True, sparse_ways=8, lut=True, lut_units=2, lut_width=32, bus_bytes=64, act_words=4096
    ),
    "starved": SystemConfig(
        lanes=16, dsp=False, sparse=True, sparse_rows=2, sparse_depth=64, sparse_narrow=False, act_banks=1,
        acc_banks=1, acc_words=64, sparse_code_words=32, sparse_value_words=1024, sparse_index_words=512,
    ),
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_networks(accelerator, network, workload, compiled_right):
    shape, layers = NETWORKS[network]
    compiled_right(ACCELERATORS[accelerator], workload(layers, shape))


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 50, 1), (2, 70, 90), (13, 1, 21), (40, 64, 33), (7, 300, 20)]
)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_gemms(accelerator, shape, workload, compiled_right):
    patterns = [None, *map(str, PATTERNS)]
    for number, (pattern, bits) in enumerate(product(patterns[:: 2 if shape[0] > 9 else 1], (2, 8))):
        layer = Layer(f"g{number}", "gemm", gemm=shape, pattern=pattern, weight_bits=bits)
        compiled_right(ACCELERATORS[accelerator], workload([layer]))


def _engines(compiled) -> set[str]:
    return {one.engine for one in compiled.program.instructions if one.mnemonic.endswith(".run")}


def test_a_layer_says_who_computes_it(workload):
    config = ACCELERATORS["beside others"]
    for sparse, wanted in ((True, "sparse"), (False, "dsp")):
        layer = Layer("g", "gemm", gemm=(20, 64, 40), sparse=sparse, lut_share=0.0)
        engines = _engines(compile_network(config, random_network(workload([layer]), 1)))
        assert wanted in engines
        assert ("sparse" in engines) == sparse


def test_the_compiler_takes_the_sparse_core_where_weights_are_zero(workload):
    config = SystemConfig(lanes=16, sparse=True, act_words=4096)
    for pattern, sparse in (("2:16", True), ("16:16", False)):
        layer = Layer("g", "gemm", gemm=(64, 256, 256), pattern=pattern)
        engines = _engines(compile_network(config, random_network(workload([layer]), 1)))
        assert ("sparse" in engines) == sparse


def test_weights_that_are_not_given_take_as_long_as_dense_ones(workload):
    layer = Layer("g", "gemm", gemm=(8, 64, 40))
    network = random_network(workload([layer]), 1)
    steps = []
    for made in (network, random_network(workload([layer]), 1, with_weights=False)):
        compiled = compile_network(ALONE, made)
        runs = [one for one in compiled.program.instructions if one.mnemonic == "sparse.stream"]
        steps.append([one["steps"] for one in runs])
    assert steps[0] == steps[1]


def test_refusals(workload):
    dense, alone = SystemConfig(lanes=16), ALONE
    layer = Layer("g", "gemm", gemm=(2, 32, 16), sparse=True)
    with pytest.raises(BadInput, match="layer 'g' is for the sparse core, which this accelerator has not"):
        compile_network(dense, random_network(workload([layer]), 1))
    layer = Layer("g", "gemm", gemm=(2, 32, 16), sparse=False)
    with pytest.raises(
        BadInput, match="layer 'g' is not for the sparse core, and this accelerator has no other"
    ):
        compile_network(alone, random_network(workload([layer]), 1))
    layer = Layer("g", "gemm", gemm=(2, 4096, 16))
    small = SystemConfig(lanes=16, dsp=False, sparse=True, act_words=4096, sparse_value_words=1024)
    with pytest.raises(
        BadInput, match=r"layer 'g' does not fit: .* sparse_value_words=1024; choose a larger"
    ):
        compile_network(small, random_network(workload([layer]), 1))
    with pytest.raises(BadInput, match=r"pattern of layer 'g' must be one of 0:16, .* not '3:4'"):
        Layer("g", "gemm", gemm=(2, 4, 16), pattern="3:4")
    with pytest.raises(BadInput, match="sparse of layer 'g' must be true or false, or left out, not 1"):
        Layer("g", "gemm", gemm=(2, 4, 16), sparse=1)


def test_random_weights_have_their_pattern(workload):
    layer = Layer(
        "c", "conv", inputs=("input",), out_channels=20, kernel=(3, 2), pattern="2:4", pad=(1, 1, 1, 1)
    )
    weight = random_network(workload([layer], (5, 5, 24)), 3).data["c"].weight
    counts = np.count_nonzero(weight.reshape(3, 2, 6, 4, 20), axis=3)
    assert counts.max() == 2
    assert counts.mean() > 1.8


def test_engines_overlap(workload):
    """Activations are turned while the chains compute: the chains rarely wait."""
    from hwgen.commands.executors import simulate

    config = SystemConfig(
        lanes=16, dsp=False, sparse=True, sparse_depth=1024, act_words=16384, acc_words=4096, parameter_words=512,
        bus_bytes=64, sparse_value_words=8192, sparse_index_words=8192, sparse_code_words=2048,
    )  # fmt: skip
    layer = Layer("g", "gemm", gemm=(128, 384, 384), pattern="4:16")
    compiled = compile_network(config, random_network(workload([layer]), 1))
    run = simulate(config, compiled.program)
    steps = 8 * 24 * 24 * 4
    at = [i for i, one in enumerate(compiled.program.instructions) if one.mnemonic == "sparse.run"]
    busy = int((run.ends[at] - run.starts[at] + 1).sum())
    assert ENGINES.index("sparse") == 3
    assert steps <= busy <= 1.05 * steps
    assert int(run.ends[at].max()) - int(run.starts[at].min()) <= 1.1 * steps
