"""What lies in DRAM: tensors, packed weights, parameters, the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import Requantiser
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div
from hwgen.program.program import Program
from hwgen.system.config import PARAMETER_BYTES, SystemConfig
from hwgen.workloads.layers import Hwc

__all__ = ["Image", "Tensor", "align", "pack_dsp", "pack_lut", "pack_parameters"]

Bytes = npt.NDArray[np.uint8]

PAGE = 4096


def align(value: int, unit: int) -> int:
    """``value`` rounded up to a multiple of ``unit``."""
    return ceil_div(value, unit) * unit


@dataclass(frozen=True)
class Tensor:
    """A tensor in DRAM: rows of pixels, the channels of a pixel together.

    Parameters
    ----------
    address : int
        First byte.
    shape : tuple of int
        (h, w, c).
    pixel : int
        Bytes from one pixel to the next: the channels, rounded up to words unless the tensor is dense.
    pitch : int
        Bytes from one row to the next.
    """

    address: int
    shape: Hwc
    pixel: int
    pitch: int

    @property
    def bytes(self) -> int:
        """Size."""
        return self.shape[0] * self.pitch

    def write(self, dram: Bytes, values: IntArray) -> None:
        """Put values of shape (h, w, c) into DRAM; what is between them becomes zero."""
        h, w, c = self.shape
        rows = np.zeros((h, self.pitch), np.uint8)
        cells = rows[:, : w * self.pixel].reshape(h, w, self.pixel)
        cells[:, :, :c] = np.asarray(values).reshape(h, w, c).astype(np.int8).view(np.uint8)
        dram[self.address : self.address + self.bytes] = rows.reshape(-1)

    def read(self, dram: Bytes) -> IntArray:
        """Values, int64, shape (h, w, c)."""
        h, w, c = self.shape
        rows = dram[self.address : self.address + self.bytes].reshape(h, self.pitch)
        cells = rows[:, : w * self.pixel].reshape(h, w, self.pixel)[:, :, :c]
        return cells.view(np.int8).astype(np.int64)


class Image:
    """Allocation of DRAM, and the bytes that are constant.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    first : int
        First address to give out.
    """

    def __init__(self, config: SystemConfig, first: int = 0):
        self.config = config
        self._next = align(first, PAGE)
        self._parts: list[tuple[int, Callable[[], Bytes]]] = []
        self.program_address = 0

    def reserve(self, size: int) -> int:
        """Address of ``size`` free bytes, at a multiple of 64."""
        address = self._next
        self._next = align(address + size, 64)
        if self._next > 1 << self.config.address_bits:
            raise BadInput(
                f"the program needs more than the {1 << self.config.address_bits} bytes that address_bits="
                f"{self.config.address_bits} reaches; choose a larger address_bits"
            )
        return address

    def tensor(self, shape: Hwc, dense: bool = False) -> Tensor:
        """A new tensor."""
        h, w, c = shape
        pixel = c if dense else align(c, self.config.lanes)
        pitch = align(w * pixel, self.config.bus_bytes)
        return Tensor(self.reserve(h * pitch), shape, pixel, pitch)

    def constant(self, size: int, make: Callable[[], Bytes]) -> int:
        """Address of ``size`` constant bytes; ``make`` is called when the image is made."""
        address = self.reserve(size)
        self._parts.append((address, make))
        return address

    def program(self, program: Program) -> None:
        """Place the program behind everything else."""
        self._next = align(self._next, PAGE)
        body = np.frombuffer(program.body, np.uint8)
        self.program_address = self.constant(len(body), lambda: body)

    @property
    def bytes(self) -> int:
        """Size of memory, with room for the beats that reach over the end."""
        return align(self._next + self.config.bus_bytes, PAGE)

    def make(self) -> Bytes:
        """DRAM with all constants in place."""
        dram = np.zeros(self.bytes, np.uint8)
        for address, make in self._parts:
            part = make()
            dram[address : address + len(part)] = part
        return dram


def pack_dsp(weight: IntArray) -> Bytes:
    """Weights of one column tile for the DSP core.

    Parameters
    ----------
    weight : int array, shape (products, lanes, lanes)
        For every product (kernel position and chunk of channels): rows are input channels, columns outputs.

    Returns
    -------
    uint8 array
        Word by word; a block's last row comes first.
    """
    return np.ascontiguousarray(weight[:, ::-1, :]).astype(np.int8).view(np.uint8).reshape(-1)


def pack_lut(weight: IntArray, bits: int) -> Bytes:
    """Bit planes of one column tile for the LUT core.

    Parameters
    ----------
    weight : int array, shape (products, width, lanes)
        For every product: rows are input channels of a plane word, columns outputs.
    bits : int
        Planes.

    Returns
    -------
    uint8 array
        For every product and plane a word with the outputs' plane words one after the other.
    """
    columns = weight.transpose(0, 2, 1)  # products, lanes, width
    planes = (columns[:, None] >> np.arange(bits)[:, None, None]) & 1
    return np.packbits(
        planes.astype(np.uint8).reshape(len(weight) * bits, -1), axis=1, bitorder="little"
    ).reshape(-1)


def pack_parameters(requantiser: Requantiser, lanes: int) -> Bytes:
    """Parameter words of all channels; channels that do not exist give the zero point."""
    channels = align(len(requantiser.bias), lanes)
    out = np.zeros((channels, PARAMETER_BYTES), np.uint8)
    used = out[: len(requantiser.bias)]
    used[:, :4] = requantiser.bias.astype("<i4").view(np.uint8).reshape(-1, 4)
    used[:, 4:7] = requantiser.multiplier.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
    used[:, 7] = requantiser.shift
    return out.reshape(-1)
