"""AXI-Stream ports as data: what the Verilog, the benches, the manifest and the C header agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwgen.numerics import IntArray, IntFormat, ceil_div

__all__ = ["Beats", "Field", "Stream"]

Beats = npt.NDArray[np.uint8]
"""The words of a stream in order: uint8, shape (beats, bytes), little endian as AXI-Stream orders bytes."""


@dataclass(frozen=True)
class Field:
    """Equal lanes inside a beat, the first one at the lowest bits.

    Parameters
    ----------
    name : str
        What the lanes are.
    lanes : int
        How many.
    format : IntFormat
        Each lane's integer format.
    meaning : str
        One line for the manifest.
    """

    name: str
    lanes: int
    format: IntFormat
    meaning: str


@dataclass(frozen=True)
class Stream:
    """One AXI-Stream port: a name, a direction, and the fields of a beat from bit 0 up.

    Parameters
    ----------
    name : str
        Role; the port is ``s_axis_<name>`` or ``m_axis_<name>``.
    direction : {"in", "out"}
        As the core sees it.
    fields : tuple of Field
        Contents of TDATA; the rest of the last byte is padding (zero, ignored).
    last : bool
        Whether the port has TLAST.
    meaning : str
        One line for the manifest.
    """

    name: str
    direction: Literal["in", "out"]
    fields: tuple[Field, ...]
    meaning: str
    last: bool = False

    @property
    def prefix(self) -> str:
        """Common beginning of the port names."""
        return f"{'s' if self.direction == 'in' else 'm'}_axis_{self.name}"

    @property
    def payload_bits(self) -> int:
        """Bits that carry something."""
        return sum(f.lanes * f.format.bits for f in self.fields)

    @property
    def bytes(self) -> int:
        """Width of TDATA in bytes."""
        return ceil_div(self.payload_bits, 8)

    def pack(self, *values: IntArray) -> Beats:
        """Beats from one integer array of shape (beats, lanes) per field."""
        columns = [
            ((v.reshape(len(v), f.lanes, 1) >> np.arange(f.format.bits)) & 1)
            .astype(np.uint8)
            .reshape(len(v), -1)
            for f, v in zip(self.fields, values, strict=True)
        ]
        return np.packbits(np.concatenate(columns, axis=1), axis=1, bitorder="little")

    def unpack(self, beats: Beats) -> list[IntArray]:
        """One int64 array of shape (beats, lanes) per field."""
        bits = np.unpackbits(beats, axis=1, bitorder="little")
        out, at = [], 0
        for f in self.fields:
            width = f.format.bits
            lanes = bits[:, at : at + f.lanes * width].reshape(len(beats), f.lanes, width).astype(np.int64)
            weights = np.left_shift(np.int64(1), np.arange(width, dtype=np.int64))
            if f.format.signed:
                weights[-1] = -weights[-1]
            out.append(lanes @ weights)
            at += f.lanes * width
        return out
