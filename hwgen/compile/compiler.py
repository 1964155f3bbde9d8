"""From a quantised network to a program and its memory image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.compile.banded import Turns
from hwgen.compile.builder import Builder
from hwgen.compile.image import Image, Tensor
from hwgen.compile.network import LayerData, Network
from hwgen.compile.plan import Geometry, Plan, geometry, plan, rough_cycles
from hwgen.compile.product import DenseProduct, padded_weight
from hwgen.compile.sparse import SparseProduct
from hwgen.compile.sparse_figures import SparseFigures
from hwgen.compile.sparse_plan import SparsePlan, plan_sparse
from hwgen.compile.steps import Work, emit_work
from hwgen.compile.vector import Vector
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import INPUT, Hwc, Layer, Workload, input_shapes, shapes

__all__ = ["Compiled", "compile_network"]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program with its memory.

    Parameters
    ----------
    network : Network
        What was compiled.
    config : SystemConfig
        For what.
    program : Program
        The instructions.
    image : Image
        Memory.
    tensors : dict of str to Tensor
        Where ``input``, the operands of layers that stand alone (``<layer>:input``) and all results lie.
    layers : list of str
        Layer of every instruction.
    lut_shares : mapping of str to float
        Share of the column tiles that the LUT core computes, of every product on DSP and LUT core.
    sparse : mapping of str to SparseFigures
        What the weights of every product on the sparse core are.
    """

    network: Network
    config: SystemConfig
    program: Program
    image: Image
    tensors: Mapping[str, Tensor]
    layers: list[str]
    lut_shares: Mapping[str, float]
    sparse: Mapping[str, SparseFigures]

    def memory(self, inputs: Mapping[str, IntArray]) -> npt.NDArray[np.uint8]:
        """DRAM before the run, with these operands (``input``, or layers' names) in it."""
        dram = self.image.make()
        for name, values in inputs.items():
            tensor = self.tensors[name if name == INPUT else f"{name}:input"]
            tensor.write(dram, values)
        return dram

    def results(self, dram: npt.NDArray[np.uint8]) -> dict[str, IntArray]:
        """Result of every layer, from DRAM after the run."""
        return {layer.name: self.tensors[layer.name].read(dram) for layer in self.network.workload.layers}


def compile_network(config: SystemConfig, network: Network, lut_share: float | None = None) -> Compiled:
    """Compile a network.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    network : Network
        Layers and numbers.
    lut_share : float, optional
        Share of the output channels that the LUT core computes, where the layer does not say; if absent, the
        compiler weighs all.

    Raises
    ------
    BadInput
        If a layer does not fit.
    """
    workload = network.workload
    sources, sizes = input_shapes(workload), shapes(workload)
    image = Image(config, first=_margin(workload, sources))
    tensors: dict[str, Tensor] = {}
    if workload.input_shape:
        tensors[INPUT] = image.tensor(
            workload.input_shape, dense=_dense(config, workload, workload.input_shape)
        )
    for layer in workload.layers:
        if not layer.inputs:
            tensors[f"{layer.name}:input"] = image.tensor(
                sources[layer.name], dense=_gathers(config, layer, sources[layer.name])
            )
        tensors[layer.name] = image.tensor(sizes[layer.name])

    builder = Builder(config)
    turns = Turns()
    bands: list[Work] = []
    shares: dict[str, float] = {}
    sparse: dict[str, SparseFigures] = {}
    before, alone = "", False
    for layer in workload.layers:
        _check_rounding(config, layer, network.data[layer.name])
        named = layer.inputs or (f"{layer.name}:input",)
        inputs = [tensors[name] for name in named]
        barrier = alone or before in layer.inputs
        zero = network.zero(layer.inputs[0]) if layer.inputs else 0
        lowering: DenseProduct | SparseProduct | Vector
        g = geometry(config, layer, sources[layer.name], sizes[layer.name], _is_dense(config, inputs[0]))
        shared = (
            builder,
            image,
            turns,
            layer,
            network.data[layer.name],
            g,
            tensors[layer.name],
            zero,
            barrier,
        )
        if layer.product:
            share = layer.lut_share if layer.lut_share is not None else lut_share
            cut = _cut(config, layer, network.data[layer.name], g, share)
            if isinstance(cut, SparsePlan):
                lowering = SparseProduct(*shared, cut, inputs[0])
                sparse[layer.name] = lowering.figures()
            else:
                shares[layer.name] = cut.lut_tiles / g.tiles
                lowering = DenseProduct(*shared, cut, inputs[0])
        else:
            lowering = Vector(*shared, inputs)
        bands += lowering.work()
        before, alone = layer.name, not lowering.double
    builder.reach(image.bytes)
    owners: list[str] = []

    def mark(name: str) -> None:
        owners.extend([owner[0]] * (len(builder) - len(owners)))
        owner[0] = name

    owner = [""]
    emit_work(bands, mark)
    mark("")
    program = builder.program()
    image.program(program)
    return Compiled(network, config, program, image, tensors, [*owners, ""], shares, sparse)


def _cut(
    config: SystemConfig, layer: Layer, data: LayerData, g: Geometry, share: float | None
) -> Plan | SparsePlan:
    """The plan of a product that should be the fastest; the core for sparse weights is one way to compute it."""
    if layer.sparse and not config.sparse:
        raise BadInput(
            f"layer {layer.name!r} is for the sparse core, which this accelerator has not; build it with sparse=true"
        )
    others = config.dsp or config.lut
    if not config.sparse or (others and layer.sparse is False):
        return plan(config, layer, g, share)
    if layer.sparse is False:
        raise BadInput(
            f"layer {layer.name!r} is not for the sparse core, and this accelerator has no other; add dsp=true"
        )
    assert data.weight is not None
    known = any(data.weight.strides)  # weights that are not given are one zero, repeated
    found: list[tuple[float, Plan | SparsePlan]] = []
    reason: BadInput | None = None
    if others and not layer.sparse:
        try:
            dense = plan(config, layer, g, share)
            found.append((rough_cycles(config, layer, g, dense), dense))
        except BadInput as error:
            reason = error
    try:
        sparse = plan_sparse(config, layer, g, padded_weight(data.weight, layer, g), known)
        found.append((sparse.cycles(config, g), sparse))
    except BadInput as error:
        reason = error
    if not found:
        assert reason is not None
        raise reason
    return min(found, key=lambda one: one[0])[1]


def _check_rounding(config: SystemConfig, layer: Layer, data: LayerData) -> None:
    wanted = data.requantiser.rounding
    if wanted not in config.roundings:
        has = " or ".join(dict.fromkeys(config.roundings))
        raise BadInput(
            f"layer {layer.name!r} rounds {wanted}, and the accelerator's requantiser ({config.requantiser}) {has}; "
            "use Network.rounded, or an accelerator with another requantiser."
        )


def _margin(workload: Workload, sources: Mapping[str, Hwc]) -> int:
    """Room in front of the first tensor, so that no window begins below address zero."""
    most = 0
    for layer in workload.layers:
        _, w, c = sources[layer.name]
        most = max(most, (layer.pad[0] + 1) * (w + layer.pad[1]) * (c + 64))
    return most


def _gathers(config: SystemConfig, layer: Layer, source: Hwc) -> bool:
    """Whether laying out patches in full takes fewer words than reading them pixel by pixel."""
    if layer.kind != "conv" or layer.groups > 1 or source[2] % config.lanes == 0 or layer.kernel == (1, 1):
        return False
    kh, kw = layer.kernel
    return ceil_div(kh * kw * source[2], config.lanes) < kh * kw * ceil_div(source[2], config.lanes)


def _dense(config: SystemConfig, workload: Workload, shape: Hwc) -> bool:
    """Whether the network's input lies without gaps: if every layer that reads it gathers."""
    readers = [layer for layer in workload.layers if INPUT in layer.inputs]
    return all(_gathers(config, layer, shape) for layer in readers)


def _is_dense(config: SystemConfig, tensor: Tensor) -> bool:
    return tensor.pixel == tensor.shape[2] and tensor.pixel % config.lanes != 0
