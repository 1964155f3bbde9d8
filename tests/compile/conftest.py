"""Small accelerators and networks for the compiler's tests."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.compiler import Compiled, compile_network
from hwgen.compile.network import Network, random_input, random_network
from hwgen.system.check import check, order
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, input_shapes


@pytest.fixture
def workload():
    """A workload of these layers."""

    def make(layers: list[Layer], shape: Hwc | None = None) -> Workload:
        return Workload(name="test", layers=tuple(layers), input_shape=shape)

    return make


def operands(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Random inputs of a network and of its layers that stand alone."""
    workload = network.workload
    inputs = {}
    if workload.input_shape:
        inputs[INPUT] = random_input(network, None, workload.input_shape, seed)
    for layer in workload.layers:
        if not layer.inputs:
            inputs[layer.name] = random_input(network, layer, input_shapes(workload)[layer.name], seed)
    return inputs


@pytest.fixture
def compiled_right():
    """Compile, check the program, run it on both functional models, compare with the layers' mathematics."""

    def run(config: SystemConfig, workload: Workload, share: float | None = None, seed: int = 0) -> Compiled:
        network = random_network(workload, seed, config.scale_bits)
        inputs = operands(network, seed)
        made = compile_network(config, network, share)
        check(made.program, config, dram_bytes=made.image.bytes, program_address=made.image.program_address)
        expected = reference.run(network, inputs)
        instructions = made.program.instructions
        golden = Machine(config, made.memory(inputs))
        golden.run(instructions[i] for i in order(made.program, config))
        values = Values(config, made.memory(inputs)[None])
        values.run(instructions)
        for name, result in expected.items():
            np.testing.assert_array_equal(made.results(golden.dram)[name], result, name)
            np.testing.assert_array_equal(made.results(values.dram[0])[name], result, name)
        return made

    return run
