"""The host's side of an accelerator: a serial bridge and memory for small boards, and the driver that talks to it."""

from hwgen.host.config import BoardConfig, UartConfig
from hwgen.host.device import Device, Identity, Outcome
from hwgen.host.link import UartLink
from hwgen.host.transport import LinkError, Transport
from hwgen.host.wire import SerialWire, SimulatedWire, Wire

__all__ = [
    "BoardConfig",
    "Device",
    "Identity",
    "LinkError",
    "Outcome",
    "SerialWire",
    "SimulatedWire",
    "Transport",
    "UartConfig",
    "UartLink",
    "Wire",
]
