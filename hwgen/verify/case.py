"""A program with its memory, and what is known of its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwgen.numerics import IntArray
from hwgen.program.program import Program

__all__ = ["PAGE", "Bytes", "Place", "RandomProgram", "random_bytes"]

PAGE = 4096

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """A range of DRAM and what lies there.

    Parameters
    ----------
    name : str
        What it is.
    address, size : int
        In bytes.
    """

    name: str
    address: int
    size: int


@dataclass(frozen=True, eq=False)
class RandomProgram:
    """A program with its memory.

    Parameters
    ----------
    program : Program
        The instructions.
    memory : uint8 array
        DRAM before the run; addresses count from 0.
    address : int
        Where the program lies in it.
    places : tuple of Place
        What else lies where.
    results : callable
        Given DRAM after the run: the results by name, and what they must be from the mathematics of the layers;
        empty if the program is no network.
    """

    program: Program
    memory: Bytes
    address: int
    places: tuple[Place, ...] = ()
    results: Callable[[Bytes], Mapping[str, tuple[IntArray, IntArray]]] = field(default=lambda dram: {})

    def where(self, address: int) -> str:
        """A byte of DRAM as text: its address, and its place in what lies there."""
        text = f"byte {address:#x} of DRAM"
        for place in self.places:
            if place.address <= address < place.address + place.size:
                return f"{text} (byte {address - place.address} of {place.name})"
        return text


def random_bytes(rng: np.random.Generator, size: int) -> Bytes:
    """Bytes of which a third are where arithmetic breaks: -128, 127, 0, -1."""
    data = rng.integers(0, 256, size, np.uint8)
    extreme = rng.random(size) < 1 / 3
    data[extreme] = rng.choice(np.array([0x80, 0x80, 0x7F, 0x7F, 0x00, 0xFF], np.uint8), int(extreme.sum()))
    return data
