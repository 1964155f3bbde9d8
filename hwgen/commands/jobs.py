"""What is to be run on an accelerator: a network that was compiled, or a program as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen.compile.compiler import Compiled, compile_network
from hwgen.compile.image import PAGE, align
from hwgen.compile.network import Network, random_input, random_network
from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.program.assembly import assemble
from hwgen.program.program import Program
from hwgen.program.table import INSTRUCTION_BYTES
from hwgen.system.config import SystemConfig
from hwgen.system.structure import Structure
from hwgen.workloads.layers import INPUT, Layer, Workload, input_shapes
from hwgen.workloads.tables import KNOWN, load

__all__ = [
    "NAMES", "Job", "NetworkJob", "Numbers", "ProgramJob", "network_job", "numbers", "program_job", "tile",
]  # fmt: skip

Bytes = npt.NDArray[np.uint8]

_MNIST = {"mnist": 8, "mnist_w4a8": 4}  # and their bits of a weight

NAMES = (*KNOWN, *_MNIST, "tile")
"""Workloads that have a name."""

_BATCH_BYTES = (
    1 << 25
)  # memory of the images that are computed at once: more would leave the processor's cache
_MOST_BYTES = 1 << 30  # memory that is made without being asked for


@dataclass(frozen=True, eq=False)
class Numbers:
    """A network with operands for it.

    Parameters
    ----------
    network : Network
        Layers and weights.
    inputs : mapping of str to int array, shape (images, h, w, c)
        ``input``, and the operands of layers that stand alone by their names; empty if only time counts.
    labels : int array or None
        The class of every image, where the workload has real ones.
    """

    network: Network
    inputs: Mapping[str, IntArray]
    labels: IntArray | None = None


def numbers(
    config: SystemConfig, workload: str, *, seed: int = 0, images: int = 1, values: bool = True
) -> Numbers:
    """A workload with weights and inputs: its own if it has any, else random ones.

    Parameters
    ----------
    config : SystemConfig
        The accelerator: ``tile`` fills it, and requantisers are as wide as its own.
    workload : str
        One of :data:`NAMES`, or what :func:`hwgen.workloads.tables.load` takes.
    seed : int
        Of random weights; image *i* is drawn with ``seed + i``.
    images : int
        How many.
    values : bool
        False if only time counts: there are no inputs then, and weights only if the time may depend on them.

    Raises
    ------
    BadInput
        If there is no such workload.
    MissingTool
        If a package with real weights is missing.
    """
    if workload in _MNIST:
        from hwgen.workloads.mnist import mnist_images, mnist_network

        pixels, labels = mnist_images(images)
        digits = mnist_network(_MNIST[workload], config.scale_bits).rounded(config.roundings[0])
        return Numbers(digits, {INPUT: pixels}, labels)
    shapes = tile(config) if workload == "tile" else _load(workload)
    network = random_network(
        shapes, seed, config.scale_bits, roundings=config.roundings, with_weights=values or config.sparse
    )
    inputs: dict[str, IntArray] = {}
    if values:
        sizes = input_shapes(shapes)
        wanted = {layer.name: (layer, sizes[layer.name]) for layer in shapes.layers if not layer.inputs}
        if shapes.input_shape:
            draws = [random_input(network, None, shapes.input_shape, seed + i) for i in range(images)]
            inputs[INPUT] = np.stack(draws)
        for name, (layer, size) in wanted.items():
            inputs[name] = np.stack([random_input(network, layer, size, seed + i) for i in range(images)])
    return Numbers(network, inputs)


def _load(workload: str) -> Workload:
    try:
        return load(workload)
    except BadInput as error:
        if "is neither a known network" in str(error):
            raise BadInput(
                f"there is no workload {workload!r}; give {', '.join(NAMES)}, a layer such as "
                "'gemm:128x384x384', or a table that ends in .toml or .csv"
            ) from None
        raise


def tile(config: SystemConfig) -> Workload:
    """One GEMM that fills the accelerator's core: most outputs of a run, and column tiles for both halves."""
    if config.dsp:
        m = min(config.dsp_tile, config.acc_words // 2)
        depth = config.weight_words // (2 * config.lanes)
    elif config.lut:
        m, depth = config.lut_units * config.lanes, config.plane_weight_words // 16
    else:
        m, depth = config.sparse_rows, config.sparse_depth // (2 * config.lanes)
    k = config.lanes * max(1, min(8, depth, config.act_words // (4 * m)))
    gemm = (m, k, 2 * config.lanes)
    return Workload(name="tile", layers=(Layer("tile", "gemm", gemm=gemm),), source="one GEMM")


class Job(ABC):
    """A program with its memory.

    Attributes
    ----------
    name : str
        Of the workload, or the program's file.
    config : SystemConfig
        The accelerator.
    program : Program
        The instructions.
    address : int
        Where they lie in memory.
    size : int
        Bytes of memory.
    layers : tuple of str
        Their names, in order.
    owners : list of str
        Layer of every instruction; empty for none.
    images : int
        How often it is run, on other operands.
    """

    name: str
    config: SystemConfig
    program: Program
    address: int
    size: int
    layers: tuple[str, ...]
    owners: list[str]
    images: int

    @cached_property
    def owner(self) -> IntArray:
        """Index of every instruction's layer; -1 for none."""
        index = {name: i for i, name in enumerate(self.layers)}
        return np.array([index.get(name, -1) for name in self.owners], np.int64)

    @abstractmethod
    def batches(self) -> Iterator[Bytes]:
        """Memory before the run, shape (images, bytes), as many images at a time as fit."""

    @abstractmethod
    def results(self, dram: Bytes) -> dict[str, IntArray]:
        """What to keep of one image's memory after the run."""


class NetworkJob(Job):
    """A network that was compiled.

    Parameters
    ----------
    compiled : Compiled
        Program and memory image.
    given : Numbers
        Network and operands.
    images : int
        How many.
    """

    def __init__(self, compiled: Compiled, given: Numbers, images: int):
        self.compiled, self.given, self.images = compiled, given, images
        self.workload = compiled.network.workload
        self.name, self.config = self.workload.name, compiled.config
        self.program, self.address = compiled.program, compiled.image.program_address
        self.size = compiled.image.bytes
        self.layers = tuple(layer.name for layer in self.workload.layers)
        self.owners = compiled.layers

    def batches(self) -> Iterator[Bytes]:
        """Constants, and the operands of each image."""
        constant = self.compiled.image.make()
        step = 1 if self.config.softmax is not None else max(1, _BATCH_BYTES // len(constant))
        for first in range(0, self.images, step):
            made = np.tile(constant, (min(step, self.images - first), 1))
            for name, values in self.given.inputs.items():
                tensor = self.compiled.tensors[name if name == INPUT else f"{name}:input"]
                for image, dram in enumerate(made, first):
                    tensor.write(dram, values[image])
            yield made

    def results(self, dram: Bytes) -> dict[str, IntArray]:
        """Results of all layers, int8."""
        return {name: values.astype(np.int8) for name, values in self.compiled.results(dram).items()}


class ProgramJob(Job):
    """A program as it is, in memory that is zero or given.

    Parameters
    ----------
    name : str
        The file's name.
    config : SystemConfig
        The accelerator.
    program : Program
        The instructions; they are put behind everything that they touch.
    memory : uint8 array or None
        Bytes from address 0 on.
    """

    images = 1
    layers = ("program",)

    def __init__(self, name: str, config: SystemConfig, program: Program, memory: Bytes | None):
        self.name, self.config, self.program = name, config, program
        whole = 1 << config.address_bits
        reach = 0
        if memory is None:
            found = Structure(program.instructions, config, whole).accesses.values()
            reach = max((a.where.high for one in found for a in one if a.space == "dram"), default=0)
        self.data = align(reach if memory is None else len(memory), PAGE)
        self.address = self.data
        code = INSTRUCTION_BYTES * len(program.instructions)
        self.size = align(self.address + code + config.bus_bytes, PAGE)
        if memory is None and self.size > _MOST_BYTES:
            raise BadInput(
                f"{name} touches DRAM up to byte {reach - 1:#x}, which is more than the {_MOST_BYTES >> 20} MiB that "
                "are made for it; give its memory with --memory"
            )
        if self.size > whole:
            raise BadInput(
                f"memory and program take {self.size} bytes, and address_bits={config.address_bits} reaches {whole}; "
                "give less memory or choose a larger address_bits"
            )
        self.memory = memory
        self.owners = ["program" if one.engine != "control" else "" for one in program.instructions]

    def batches(self) -> Iterator[Bytes]:
        """The memory given, and the program behind it."""
        made = np.zeros((1, self.size), np.uint8)
        if self.memory is not None:
            made[0, : len(self.memory)] = self.memory
        body = np.frombuffer(self.program.body, np.uint8)
        made[0, self.address : self.address + len(body)] = body
        yield made

    def results(self, dram: Bytes) -> dict[str, IntArray]:
        """All bytes up to the program, as int8."""
        return {"memory": dram[: self.data].view(np.int8)}


def network_job(config: SystemConfig, given: Numbers, *, lut_share: float | None, images: int) -> NetworkJob:
    """Compile a network for an accelerator.

    Raises
    ------
    BadInput
        If the share is out of range, or a layer does not fit.
    """
    if lut_share is not None and not 0 <= lut_share <= 1:
        raise BadInput(f"lut share must lie in 0..1, not {lut_share}")
    if lut_share and not config.lut:
        raise BadInput(
            "this accelerator has no LUT core to share layers with; leave the share out or set lut=true"
        )
    return NetworkJob(compile_network(config, given.network, lut_share), given, images)


def program_job(config: SystemConfig, path: Path, memory: Path | None) -> ProgramJob:
    """A program from a file: assembly text (``.hwasm``), or a program file (``.hwp``) for this configuration.

    Raises
    ------
    BadInput
        If a file cannot be read, is malformed, or the program is for another configuration.
    """
    if path.suffix == ".hwp":
        program = Program.load(path)
    elif path.suffix == ".hwasm":
        raw = _read(path, "a program")
        try:
            program = assemble(raw.decode())
        except UnicodeDecodeError:
            raise BadInput(f"{path} is not UTF-8 text; give assembly text or a .hwp file") from None
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
    else:
        raise BadInput(f"--program {path} must end in .hwasm (text) or .hwp (program file)")
    if program.digest and program.digest != config.digest:
        raise BadInput(
            f"{path} is for configuration {program.digest}, not {config.digest}; compile it for this one"
        )
    if not program.instructions:
        raise BadInput(f"{path} holds no instruction; end it with control.halt")
    data = None if memory is None else np.frombuffer(_read(memory, "memory"), np.uint8)
    return ProgramJob(path.name, config, program, data)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read as {what} ({error.strerror}); name another file") from None
