"""The contract of a core: every question that the rest of hwgen may ask, none with a default answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hwgen.config import CoreConfig
from hwgen.numerics import IntArray
from hwgen.streams import Beats, Stream

if TYPE_CHECKING:  # Amaranth is loaded only by those who build hardware
    from hwgen.emit import Unit

__all__ = ["Core", "GemmCore", "GemmSize", "Operation", "Resources", "Schedule", "StreamEnd", "Timing"]


class Operation(Protocol):
    """One unit of a core's work with its operands: what one command word starts."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates that the operation needs, padding excluded."""
        ...


class StreamEnd(Protocol):
    """The other side of one stream port, as a timing model sees it."""

    def transfer(self, earliest: int) -> int:
        """Cycle of the next beat's transfer, given the first cycle in which the core side is ready for it."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When everything happened; cycle 0 is the first after reset.

    Parameters
    ----------
    starts : sequence of int
        Cycle in which each operation's command was taken.
    ends : sequence of int
        Cycle of each operation's last transfer.
    cycles : int
        Length of the whole run: last transfer plus one.
    """

    starts: Sequence[int]
    ends: Sequence[int]
    cycles: int


class Timing(Protocol):
    """A core's cycle model: exact, or it is wrong."""

    def free(self, operations: Sequence[Any]) -> Schedule:
        """Schedule when no stream ever waits, in closed form."""
        ...

    def stalled(self, operations: Sequence[Any], ends: Mapping[str, StreamEnd]) -> Schedule:
        """Schedule with the given other sides, beat by beat."""
        ...

    def losses(self, operation: Any) -> Mapping[str, float]:
        """Where the cycles of one operation go when it runs alone: ``compute``, ``edges``, and others; they add up."""
        ...


@dataclass(frozen=True)
class Resources:
    """An *estimate* of FPGA resources; never shown in one column with a measurement.

    Parameters
    ----------
    lut, ff, dsp, bram36 : int
        Six-input LUTs (SRL and distributed RAM included), flip-flops, DSP blocks, 36-Kbit block RAMs.
    """

    lut: int
    ff: int
    dsp: int
    bram36: int


class Core(ABC):
    """A hardware unit with all that belongs to it. Every member must be given: there are no defaults."""

    name: ClassVar[str]
    summary: ClassVar[str]
    config: ClassVar[type[CoreConfig]]
    supported: ClassVar[Mapping[str, CoreConfig]]
    """Configurations whose Verilog is committed, by name."""

    @abstractmethod
    def streams(self, config: Any) -> tuple[Stream, ...]:
        """AXI-Stream ports of the stand-alone block."""

    @abstractmethod
    def component(self, config: Any) -> Unit:
        """The hardware."""

    @abstractmethod
    def golden(self, config: Any, operations: Sequence[Any]) -> list[IntArray]:
        """Results of each operation, from the mathematics."""

    @abstractmethod
    def values(self, config: Any, operations: Sequence[Any]) -> list[IntArray]:
        """The same results by the fastest exact way: what the simulator returns."""

    @abstractmethod
    def timing(self, config: Any) -> Timing:
        """The cycle model."""

    @abstractmethod
    def resources(self, config: Any) -> Resources:
        """The resource estimate."""

    @abstractmethod
    def characteristics(self, config: Any) -> Mapping[str, int | str]:
        """Latency, throughput and structure, by plain names with units: for the manifest and reports."""

    @abstractmethod
    def random_operations(self, config: Any, count: int, rng: np.random.Generator) -> list[Any]:
        """Operations that reach edges, tile boundaries and extreme operands."""

    @abstractmethod
    def tile(self, config: Any, rng: np.random.Generator) -> list[Any]:
        """Operations that keep the whole core at work for a while: its smallest workload."""

    @abstractmethod
    def stimulus(self, config: Any, operations: Sequence[Any]) -> dict[str, Beats]:
        """Beats to send on every input stream."""

    @abstractmethod
    def collect(self, config: Any, operations: Sequence[Any], beats: Mapping[str, Beats]) -> list[IntArray]:
        """Results of each operation, from the beats received on the output streams."""

    @abstractmethod
    def outside(self, config: Any, operations: Sequence[Any], beats: Mapping[str, Beats]) -> IntArray:
        """Every value received in a lane that is no part of a result: the hardware must have zeroed them."""

    @abstractmethod
    def marks(self, config: Any, operations: Sequence[Any]) -> dict[str, list[int]]:
        """Number of beats that each operation moves on every stream, in order."""

    @abstractmethod
    def simulation_sources(self, config: Any) -> Sequence[Any]:
        """Paths of Verilog models of vendor cells that a simulation of the block needs."""


@dataclass(frozen=True)
class GemmSize:
    """A product ``(m, k) @ (k, n)``.

    Parameters
    ----------
    m, k, n : int
        Sizes, at least 1.
    act_bits, weight_bits : int
        Width of the operands, signed.
    """

    m: int
    k: int
    n: int
    act_bits: int = 8
    weight_bits: int = 8

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.k * self.n


class GemmCore(Core):
    """A core that multiplies matrices, so that it can run the products of any network."""

    @abstractmethod
    def gemm(self, config: Any, size: GemmSize, rng: np.random.Generator | None) -> Any:
        """The operation with random operands; only its shape, which the cycle model takes too, without ``rng``.

        Raises
        ------
        BadInput
            If the core cannot take it: too large, or operands too wide.
        """

    @abstractmethod
    def tile_size(self, config: Any) -> GemmSize:
        """A product of a few whole tiles."""

    def tile(self, config: Any, rng: np.random.Generator) -> list[Any]:
        """One product of that size."""
        return [self.gemm(config, self.tile_size(config), rng)]
