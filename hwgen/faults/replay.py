"""Flipped weight bits in hardware: the network compiled with them, and the same bits upset where the weights lie.

A bit of a weight is a bit of DRAM (with one exception, see :func:`places`), because the compiler puts weights there
once, and a bit of a buffer on the chip from each load until the next one. The latter are sites of the same list that
upsets of a campaign come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile.compiler import Compiled, compile_network
from hwgen.compile.network import Network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.flips import BitFlip, flip, flip_bit
from hwgen.faults.algorithmic.forward import logits
from hwgen.faults.sites import SiteTable
from hwgen.numerics import IntArray
from hwgen.program.table import BUFFERS
from hwgen.system.config import SystemConfig
from hwgen.system.values import Values
from hwgen.workloads.layers import INPUT

__all__ = [
    "BufferBit", "MemoryBit", "Replay", "buffer_bits", "differing_bits", "flips_between", "places", "replay", "results",
    "site_of", "upset",
]  # fmt: skip

Bytes = npt.NDArray[np.uint8]

_BATCH_BYTES = 1 << 25  # memory of images at a time
_WEIGHTS = ("weight", "plane")  # buffers that hold weights bit by bit


@dataclass(frozen=True, order=True)
class MemoryBit:
    """A bit of DRAM.

    Parameters
    ----------
    address : int
        Its byte.
    bit : int
        0..7; 0 is the lowest.
    """

    address: int
    bit: int


@dataclass(frozen=True, order=True)
class BufferBit:
    """A bit of a buffer on the chip, as one load fills it.

    Parameters
    ----------
    instruction : int
        Position of the load in the program. An upset between its end and the next load of the place acts like the bit
        of DRAM; if a program loads the place once, between its end and the first run that reads it.
    buffer : str
        ``weight`` or ``plane``.
    byte, bit : int
        From the buffer's beginning; 0 is the lowest bit.
    """

    instruction: int
    buffer: str
    byte: int
    bit: int


@dataclass(frozen=True, eq=False)
class Replay:
    """One network with flipped bits, three ways.

    Parameters
    ----------
    flips : tuple of BitFlip
        What was flipped.
    bits : tuple of tuple of MemoryBit
        What each is in DRAM, see :func:`places`.
    before, forward, compiled, upset : int64 array, shape (images,)
        Classes: without flips; of the flipped network by the exact forward pass; of the flipped network compiled for
        the accelerator, in the simulator; of the unchanged program in memory where just these bits are inverted, in
        the simulator.
    differences : int
        Results of the last layer in which the three with flips differ; none is the point.
    """

    flips: tuple[BitFlip, ...]
    bits: tuple[tuple[MemoryBit, ...], ...]
    before: IntArray
    forward: IntArray
    compiled: IntArray
    upset: IntArray
    differences: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "flips": [one.to_dict() for one in self.flips],
            "bits": [[asdict(bit) for bit in one] for one in self.bits],
            "images": len(self.forward),
            "changed": int((self.before != self.forward).sum()),
            "differences": self.differences,
        }


def replay(network: Network, flips: Sequence[BitFlip], config: SystemConfig, images: IntArray) -> Replay:
    """Run flipped bits on an accelerator: as another network, and as upsets of its memory.

    Parameters
    ----------
    network : Network
        Before the first flip, with roundings that the accelerator has.
    flips : sequence of BitFlip
        What a search found, in order.
    config : SystemConfig
        The accelerator, with a DSP or a LUT core.
    images : int array, shape (images, h, w, c)
        As the network reads them.

    Raises
    ------
    BadInput
        If a flip does not fit the network, the network does not fit the accelerator, or a flipped weight is not in
        one byte of memory there (:func:`places`).
    """
    attacked = flip(network, flips)
    original, other = compile_network(config, network), compile_network(config, attacked)
    bits = places(network, flips, config, compiled=original)
    wanted = logits(attacked, images)
    zero = network.zero(network.workload.layers[-1].name)
    again = results(other, images, other.image.make()) - zero
    struck = results(original, images, upset(original.image.make(), chain.from_iterable(bits))) - zero
    wrong = (again != wanted) | (struck != wanted)
    return Replay(
        tuple(flips), bits, logits(network, images).argmax(axis=1), wanted.argmax(axis=1), again.argmax(axis=1),
        struck.argmax(axis=1), int(wrong.sum()),
    )  # fmt: skip


def places(
    network: Network, flips: Iterable[BitFlip], config: SystemConfig, *, compiled: Compiled | None = None
) -> tuple[tuple[MemoryBit, ...], ...]:
    """Where flipped bits lie in the memory of a compiled network.

    Parameters
    ----------
    network : Network
        Before the first flip.
    flips : iterable of BitFlip
        Whose places are wanted.
    config : SystemConfig
        The accelerator.
    compiled : Compiled, optional
        The network for it, if it is there already.

    Raises
    ------
    BadInput
        If a flip changes the program or more than one byte: on the sparse core weights are packed by their values.

    Notes
    -----
    A flip is one bit of memory, with one exception: the DSP core holds weights of fewer than 8 bits as bytes, so that
    the sign of such a weight is all upper bits of its byte. An attacker of that memory needs them all.

    Nobody but the compiler knows how it packs weights, so it is asked: the network is compiled with each bit flipped
    alone, and the two memories are compared.
    """
    before = compiled or compile_network(config, network)
    memory = before.image.make()
    widths = {one.name: one.weight_bits for one in network.workload.layers if one.product}
    found = []
    for one in flips:
        if one.layer not in widths:
            raise BadInput(f"there is no product {one.layer!r}; name one of {', '.join(widths)}.")
        weight = network.data[one.layer].weight
        assert weight is not None
        there = int(weight[one.index])  # an earlier flip may have changed it; its bit is where it always was
        alone = BitFlip(one.layer, one.index, one.bit, there, flip_bit(there, one.bit, widths[one.layer]))
        bits = differing_bits(before, compile_network(config, flip(network, [alone])), memory=memory)
        if len({place.address for place in bits}) != 1:
            raise BadInput(
                f"bit {one.bit} of {one.layer!r} at {one.index} changes {len(bits)} bits in several bytes of this "
                "accelerator's memory; choose one whose layer is not on the sparse core."
            )
        found.append(bits)
    return tuple(found)


def differing_bits(one: Compiled, other: Compiled, *, memory: Bytes | None = None) -> tuple[MemoryBit, ...]:
    """Bits in which the memories of two networks with one program differ, such as all that adSAF broke.

    Parameters
    ----------
    one, other : Compiled
        For one accelerator.
    memory : uint8 array, optional
        Of the first one, if it is there already.

    Raises
    ------
    BadInput
        If their programs differ: then no upset of weights makes one of the other.
    """
    if one.program.body != other.program.body or one.image.bytes != other.image.bytes:
        raise BadInput(
            "the two networks compile to different programs, because their layers or the zeros of weights differ; "
            "give networks that differ in weights, on an accelerator with a DSP or a LUT core."
        )
    changed = (one.image.make() if memory is None else memory) ^ other.image.make()
    return tuple(
        MemoryBit(int(address), bit)
        for address in np.flatnonzero(changed)
        for bit in range(8)
        if int(changed[address]) >> bit & 1
    )


def flips_between(network: Network, other: Network) -> tuple[BitFlip, ...]:
    """Flips that make one network of another of the same layers: one faulty memory as a list of its wrong bits.

    Raises
    ------
    BadInput
        If the networks have other layers or shapes.
    """
    if network.workload != other.workload:
        raise BadInput("the networks must have the same layers; give one and what was made of it.")
    found = []
    for layer in network.workload.layers:
        left, right = network.data[layer.name].weight, other.data[layer.name].weight
        if left is None or right is None:
            continue
        for place in np.argwhere(left != right):
            a, b, c, d = (int(i) for i in place)
            now, end = int(left[a, b, c, d]), int(right[a, b, c, d])
            for bit in range(layer.weight_bits):
                if (now ^ end) >> bit & 1:
                    after = flip_bit(now, bit, layer.weight_bits)
                    found.append(BitFlip(layer.name, (a, b, c, d), bit, now, after))
                    now = after
    return tuple(found)


def upset(memory: Bytes, bits: Iterable[MemoryBit]) -> Bytes:
    """Memory with some bits inverted; the original stays."""
    made = memory.copy()
    for one in bits:
        made[one.address] ^= 1 << one.bit
    return made


def results(compiled: Compiled, images: IntArray, memory: Bytes) -> IntArray:
    """Results of the last layer in the simulator, shape (images, results), zero point included.

    Parameters
    ----------
    compiled : Compiled
        A network that reads one input.
    images : int array, shape (images, h, w, c)
        Inputs.
    memory : uint8 array
        Before the run, whatever its constants are.
    """
    last = compiled.tensors[compiled.network.workload.layers[-1].name]
    step = max(1, _BATCH_BYTES // len(memory))
    found = []
    for begin in range(0, len(images), step):
        some = images[begin : begin + step]
        dram = np.tile(memory, (len(some), 1))
        for one, image in zip(dram, some, strict=True):
            compiled.tensors[INPUT].write(one, image)
        machine = Values(compiled.config, dram)
        machine.run(
            compiled.program.instructions
        )  # tokens of the compiler point backwards: this order is one of theirs
        found += [last.read(one).reshape(-1) for one in machine.dram]
    return np.stack(found)


def buffer_bits(compiled: Compiled, bit: MemoryBit) -> tuple[BufferBit, ...]:
    """Where a bit of DRAM goes on the chip: one place for each load of it, in the program's order."""
    found = []
    for number, one in enumerate(compiled.program.instructions):
        if one.mnemonic != "load.run" or one.fields["windowed"]:
            continue
        buffer, at = BUFFERS[one.fields["buffer"]], bit.address - one.fields["address"]
        if buffer in _WEIGHTS and 0 <= at < one.fields["run_bytes"]:
            found.append(BufferBit(number, buffer, one.fields["target"] + at, bit.bit))
    return tuple(found)


def site_of(table: SiteTable, place: BufferBit) -> int:
    """Number of a buffer's bit among the sites of an accelerator's netlist.

    Raises
    ------
    BadInput
        If the netlist has no such buffer.
    """
    banks = [e for e in table.find(f"{place.buffer}_buffer") if e.name == "memory"]
    bytes_ = banks[0].width // 8
    row, lane = divmod(place.byte, bytes_)
    bank, row = divmod(row, banks[0].depth)
    return banks[bank].first + row * banks[bank].width + 8 * lane + place.bit
