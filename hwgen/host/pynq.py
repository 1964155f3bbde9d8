"""An accelerator in a Zynq, from the board's own Linux: registers over MMIO, memory that both sides see."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.host.config import PAGE
from hwgen.host.device import Device
from hwgen.host.transport import LinkError
from hwgen.system.config import SystemConfig
from hwgen.system.registers import register

__all__ = ["Mmio", "PynqTransport", "SharedBuffer", "open_overlay", "overlay_config", "read_overlay"]

_STOP_SECONDS = 1.0


class Mmio(Protocol):
    """What of ``pynq.MMIO`` is used."""

    def read(self, offset: int) -> int:
        """A register."""

    def write(self, offset: int, value: int) -> None:
        """Write a register."""


class SharedBuffer(Protocol):
    """What of a buffer from ``pynq.allocate`` is used; besides, it is a NumPy array of bytes."""

    physical_address: int

    def flush(self) -> None:
        """Caches to memory."""

    def invalidate(self) -> None:
        """Forget what caches hold of it."""

    def freebuffer(self) -> None:
        """Give it back."""


class PynqTransport:
    """Registers over MMIO, and a buffer of contiguous memory.

    Parameters
    ----------
    mmio : Mmio
        The accelerator's registers.
    buffer : SharedBuffer
        The accelerator's memory: an array of uint8 whose physical address is a multiple of 4 KiB.
    overlay : object
        What keeps the bitstream in use; held as long as the transport is.

    Raises
    ------
    BadInput
        If the buffer lies wrong.
    """

    def __init__(self, mmio: Mmio, buffer: SharedBuffer, overlay: object = None):
        self.mmio = mmio
        self.overlay = overlay
        self.buffer = buffer
        self._bytes: npt.NDArray[np.uint8] = np.asarray(buffer)
        if self._bytes.dtype != np.uint8 or self._bytes.ndim != 1:
            raise BadInput(
                f"the buffer must be one row of uint8, not {self._bytes.dtype} of shape {self._bytes.shape}; "
                "allocate it so"
            )
        self._base = int(buffer.physical_address)
        if self._base % PAGE:
            raise BadInput(
                f"the buffer must begin at a multiple of {PAGE}, not at {self._base:#x}; allocate a larger one"
            )

    @property
    def base(self) -> int:
        """Physical address of the buffer."""
        return self._base

    @property
    def memory_bytes(self) -> int:
        """Bytes of the buffer."""
        return len(self._bytes)

    def read_register(self, offset: int) -> int:
        """A register of 32 bits."""
        return int(self.mmio.read(offset)) & 0xFFFFFFFF

    def write_register(self, offset: int, value: int) -> None:
        """Write a register of 32 bits."""
        self.mmio.write(offset, value)

    def read(self, address: int, count: int) -> bytes:
        """Bytes of the buffer, as the accelerator left them."""
        self._check(address, count)
        self.buffer.invalidate()
        return self._bytes[address : address + count].tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to the buffer, past the caches."""
        self._check(address, len(data))
        self._bytes[address : address + len(data)] = np.frombuffer(data, np.uint8)
        self.buffer.flush()

    def _check(self, address: int, count: int) -> None:
        if address < 0 or address + count > self.memory_bytes:
            raise LinkError(
                f"{count} bytes at {address:#x} do not lie in the buffer of {self.memory_bytes}; allocate a larger one"
            )

    def reset(self) -> None:
        """Stop a program that runs; the fabric's reset belongs to the processor, and to other blocks too.

        Raises
        ------
        LinkError
            If it does not stop.
        """
        control, status = register("CONTROL").offset, register("STATUS").offset
        self.write_register(control, 0b10)
        end = self.now() + _STOP_SECONDS
        while self.read_register(status) & 1:
            if self.now() > end:
                raise LinkError("the accelerator does not stop; load the bitstream again")
            self.pause(1e-4)

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        time.sleep(seconds)

    def close(self) -> None:
        """Give the buffer back."""
        self.buffer.freebuffer()


def read_overlay(folder: Path) -> dict[str, Any]:
    """The address map of an overlay that ``hwgen host zynq`` wrote.

    Raises
    ------
    BadInput
        If there is none, or another hwgen wrote it.
    """
    path = folder / "overlay.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); name a folder of hwgen host zynq"
        ) from None
    except ValueError:
        raise BadInput(f"{path} is not JSON; write the overlay again with hwgen host zynq") from None
    if not isinstance(found, dict) or found.get("schema") != "hwgen.overlay/1":
        raise BadInput(f"{path} is no overlay of this hwgen; write it again with hwgen host zynq")
    return found


def overlay_config(found: Mapping[str, Any]) -> SystemConfig:
    """The accelerator of an address map.

    Raises
    ------
    BadInput
        If its parameters are not those of this hwgen, or give another digest.
    """
    try:
        config = SystemConfig(**found["config"])
    except TypeError as error:
        raise BadInput(f"the overlay is of another hwgen ({error}); write it again") from None
    if config.digest != found["digest"]:
        raise BadInput(
            f"the overlay's parameters give digest {config.digest}, not {found['digest']}; write it again"
        )
    return config


def open_overlay(folder: Path | str, memory_bytes: int = 1 << 26, pynq: Any = None) -> Device:
    """Load an overlay on this board, and open its accelerator.

    Parameters
    ----------
    folder : path
        Where ``hwgen host zynq`` wrote it, with ``accelerator.bit`` and ``accelerator.hwh``, which Vivado makes.
    memory_bytes : int
        Contiguous memory for programs and data.
    pynq : module, optional
        The package pynq; imported if absent.

    Raises
    ------
    BadInput
        If a file is missing.
    MissingTool
        If the package pynq is not there.
    """
    here = Path(folder)
    found = read_overlay(here)
    config = overlay_config(found)
    for name in ("accelerator.bit", "accelerator.hwh"):
        if not (here / name).is_file():
            raise BadInput(
                f"{here / name} is missing: hwgen does not include bitstreams; build it with "
                f"`vivado -mode batch -source {here / 'design.tcl'}`"
            )
    if pynq is None:
        try:
            pynq = importlib.import_module("pynq")
        except ImportError:
            raise MissingTool("an overlay needs the package pynq, on the board: pip install pynq") from None
    overlay = pynq.Overlay(str(here / "accelerator.bit"))
    control = found["control"]
    mmio = pynq.MMIO(control["base"], control["bytes"])
    buffer = pynq.allocate(shape=(memory_bytes,), dtype="u1")
    try:
        return Device(PynqTransport(mmio, buffer, overlay), config)
    except HwgenError:
        buffer.freebuffer()
        raise
