"""Small random networks as programs: what the compiler makes of every kind of layer, in sizes that can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwgen.compile import reference
from hwgen.compile.compiler import Compiled, compile_network
from hwgen.compile.network import random_input, random_network
from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.parts.sparse import PATTERNS
from hwgen.system.config import SystemConfig
from hwgen.verify.case import Bytes, Place, RandomProgram
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, input_shapes, output_shape

__all__ = ["random_network_program", "random_workload"]

_TRIES = 50
_FLAT = 400  # inputs of a layer that is fully connected
_MACS = 60_000  # of the largest networks, roughly: the Verilog has to run them


def random_network_program(config: SystemConfig, rng: np.random.Generator) -> RandomProgram:
    """A compiled random network that fits the accelerator.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    rng : Generator
        Decides everything.

    Raises
    ------
    BadInput
        If none of many networks fits; the last one's reason.
    """
    reason = ""
    for _ in range(_TRIES):
        workload = random_workload(config, rng)
        seed = int(rng.integers(1 << 31))
        network = random_network(workload, seed, config.scale_bits, roundings=config.roundings)
        share = None if rng.random() < 0.5 else float(rng.choice([0.0, 0.3, 0.5, 1.0]))
        try:
            compiled = compile_network(config, network, share)
        except BadInput as error:
            reason = str(error)
            continue
        inputs = {layer.name: random_input(network, layer, input_shapes(workload)[layer.name], seed)
                  for layer in workload.layers if not layer.inputs}  # fmt: skip
        if workload.input_shape:
            inputs[INPUT] = random_input(network, None, workload.input_shape, seed)
        return _program(compiled, inputs)
    raise BadInput(f"no random network fits this accelerator; the last one: {reason}")


def _program(compiled: Compiled, inputs: dict[str, IntArray]) -> RandomProgram:
    """A compiled network with operands, and what its layers must give."""
    wanted = reference.run(compiled.network, inputs)

    def results(dram: Bytes) -> dict[str, tuple[IntArray, IntArray]]:
        found = compiled.results(dram)
        return {name: (found[name], wanted[name]) for name in wanted}

    places = tuple(Place(f"tensor {name}", t.address, t.bytes) for name, t in compiled.tensors.items())
    return RandomProgram(
        compiled.program, compiled.memory(inputs), compiled.image.program_address, places, results
    )


def random_workload(config: SystemConfig, rng: np.random.Generator) -> Workload:
    """One to four small layers of kinds that the accelerator has engines for."""
    if config.makes_sums and rng.random() < 0.2:
        m, k, n = (int(rng.choice([1, 3, 8, 17, int(rng.integers(1, 41))])) for _ in range(3))
        if config.sparse:  # several passes and rounds
            k, n = k * int(rng.choice([1, 8, 20])), n * int(rng.choice([1, 4]))
        alone = Layer("gemm", "gemm", gemm=(m, k, n), **_sparsity(config, rng))
        return Workload(name="random", layers=(alone,), source="random")
    shape: Hwc = (
        int(rng.integers(1, 11)),
        int(rng.integers(1, 11)),
        int(rng.choice([1, 3, 8, int(rng.integers(1, 25))])),
    )
    layers: list[Layer] = []
    sizes = {INPUT: shape}
    # All who read a tensor agree on its width. Not one bit: random networks have results of two bits and more.
    bits = {INPUT: int(rng.integers(2, 9)) if config.lut else 8}
    kinds = ["maxpool", "avgpool", "add"]
    kinds += ["conv", "conv", "gemm"] if config.makes_sums else []
    kinds += ["depthwise", "groups"] if config.dsp or config.sparse else []
    for number in range(int(rng.integers(1, 5))):
        source = str(rng.choice([*sizes][-2:]))
        layer = _layer(f"l{number}", str(rng.choice(kinds)), source, sizes, bits, config, rng)
        if layer is None:
            continue
        layers.append(layer)
        sizes[layer.name] = output_shape(layer, sizes[source])
        bits[layer.name] = int(rng.integers(2, 9)) if config.lut else 8
        if layer.kind == "gemm":
            break
    if not layers:
        layers = [Layer("pool", "maxpool", inputs=(INPUT,), act_bits=bits[INPUT])]
    used = any(INPUT in layer.inputs for layer in layers)
    return Workload(name="random", layers=tuple(layers), input_shape=shape if used else None, source="random")


def _layer(
    name: str,
    kind: str,
    source: str,
    sizes: dict[str, Hwc],
    bits: dict[str, int],
    config: SystemConfig,
    rng: np.random.Generator,
) -> Layer | None:
    """One layer that reads ``source``; None if the draw makes no sense."""
    h, w, c = sizes[source]
    relu = bool(rng.integers(2))
    if kind == "add":
        same = [other for other in sizes if sizes[other] == sizes[source] and bits[other] == bits[source]]
        both = (source, str(rng.choice(same)))
        return Layer(name, "add", inputs=both, relu=relu, act_bits=bits[source])
    weight_bits = int(rng.integers(1, 9)) if config.lut or config.sparse else 8
    widths = {"act_bits": bits[source], "weight_bits": weight_bits, **_sparsity(config, rng)}
    if kind == "gemm":
        if h * w * c > _FLAT:
            return None
        product = (1, h * w * c, int(rng.integers(1, 25)))
        return Layer(name, "gemm", inputs=(source,), gemm=product, relu=relu, **_loose(widths))
    kernel = (int(rng.choice([1, 1, 2, 3, 3, 7])), int(rng.choice([1, 1, 2, 3, 3, 7])))
    pad = tuple(int(rng.integers(0, min(k, 4))) for k in kernel * 2)
    if h + pad[0] + pad[2] < kernel[0] or w + pad[1] + pad[3] < kernel[1]:
        return None
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    window = {"inputs": (source,), "kernel": kernel, "stride": stride, "pad": pad, "act_bits": bits[source]}
    if kind in ("maxpool", "avgpool"):
        return Layer(name, kind, **_loose(window))
    groups, out = 1, int(rng.choice([1, 3, config.lanes, int(rng.integers(1, 33))]))
    if kind == "depthwise":
        groups = out = c
    elif kind == "groups":
        groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        out = groups * int(rng.integers(1, 5))
    if out * kernel[0] * kernel[1] * c // groups * h * w > _MACS:
        return None
    return Layer(name, "conv", out_channels=out, groups=groups, relu=relu, **_loose(window | widths))


def _sparsity(config: SystemConfig, rng: np.random.Generator) -> dict[str, Any]:
    """A pattern of the weights, and now and then which core is to compute them."""
    if not config.sparse:
        return {}
    pattern = str(rng.choice([str(p) for p in PATTERNS])) if rng.random() < 0.7 else None
    alone = not config.dsp and not config.lut
    return {"pattern": pattern, "sparse": None if alone or rng.random() < 0.5 else bool(rng.integers(2))}


def _loose(fields: Mapping[str, object]) -> dict[str, Any]:
    """Fields of a layer for a call; the layer checks them."""
    return dict(fields)
