"""Frames on the serial line: what they are made of, and the host's side of them.

A request is ``sync op tag length address payload crc``, a reply ``sync status tag length payload crc``; numbers are
little endian, the CRC is zlib's CRC-32 of everything between sync and CRC. The bridge answers every request, and takes
the next when the answer is on its way; see the README.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from hwgen.errors import BadInput

__all__ = [
    "ADDRESS_BYTES",
    "CRC_BYTES",
    "CRC_RESIDUE",
    "HELLO",
    "HELLO_BYTES",
    "REPLY_HEAD",
    "REPLY_SYNC",
    "REQUEST_HEAD",
    "REQUEST_SYNC",
    "UNKNOWN_TAG",
    "VERSION",
    "WORD_BYTES",
    "Hello",
    "Kind",
    "Op",
    "Replies",
    "Reply",
    "Request",
    "Status",
]

VERSION = 1
"""Of the frames."""

REQUEST_SYNC, REPLY_SYNC = b"HW", b"hw"
ADDRESS_BYTES, CRC_BYTES, WORD_BYTES = 5, 4, 4
REQUEST_HEAD = struct.Struct("<BBH5s")
"""Operation, tag, length, address."""
REPLY_HEAD = struct.Struct("<BBH")
"""Status, tag, length."""
CRC_RESIDUE = 0xDEBB20E3
"""What the CRC register holds after a right frame, its CRC included, before the final inversion."""
UNKNOWN_TAG = 0
"""Tag of a reply to a frame that was cut before its tag; requests have others."""


class Op(IntEnum):
    """What a request asks for; ``MEMORY`` tells words of memory from registers."""

    HELLO = 0x01
    """Who is there? The reply's payload is a :class:`Hello`."""
    RESET = 0x02
    """Reset what is behind the bridge, but not its memory's bytes."""
    READ_REGISTERS = 0x10
    WRITE_REGISTERS = 0x11
    READ_MEMORY = 0x12
    WRITE_MEMORY = 0x13


class Status(IntEnum):
    """How a request went."""

    OK = 0
    BAD_CRC = 1
    """Its CRC is wrong: nothing was done."""
    BAD_REQUEST = 2
    """Its operation, length or address cannot be: nothing was done."""
    CUT = 3
    """It stopped in the middle: nothing was done."""
    LINE = 4
    """A byte without a stop bit: nothing was done."""
    SLVERR = 5
    """The bus refused a word; a write has done those before it."""
    DECERR = 6
    """Nothing is at a word's address; a write has done those before it."""
    STALLED = 7
    """The bus owes an answer; a reset helps."""

    @property
    def damaged(self) -> bool:
        """Whether the frame did not arrive whole, so that sending it again may help."""
        return self in (Status.BAD_CRC, Status.CUT, Status.LINE)


class Kind(IntEnum):
    """What is behind a bridge."""

    ACCELERATOR = 1
    STREAMS = 2


HELLO = struct.Struct("<BBHQ")
"""Version, kind, longest payload, bytes of memory."""
HELLO_BYTES = HELLO.size


@dataclass(frozen=True)
class Hello:
    """Who answers.

    Parameters
    ----------
    kind : int
        Of :class:`Kind`.
    buffer_bytes : int
        Longest payload.
    memory_bytes : int
        Size of the memory.
    version : int
        Of the frames.
    """

    kind: int
    buffer_bytes: int
    memory_bytes: int
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The payload."""
        return HELLO.pack(self.version, self.kind, self.buffer_bytes, self.memory_bytes)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Hello:
        """From a payload of 12 bytes."""
        version, kind, buffer_bytes, memory_bytes = HELLO.unpack(payload)
        return cls(kind, buffer_bytes, memory_bytes, version)


@dataclass(frozen=True)
class Request:
    """A request.

    Parameters
    ----------
    op : int
        Of :class:`Op`.
    tag : int
        1..255; another one than that of the request before, unless it is that request again.
    address : int
        First byte, a multiple of 4.
    length : int
        Bytes to read; bytes of the payload of a write.
    payload : bytes
        What to write.
    """

    op: int
    tag: int
    address: int = 0
    length: int = 0
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """The frame."""
        address = self.address.to_bytes(ADDRESS_BYTES, "little")
        body = REQUEST_HEAD.pack(self.op, self.tag, self.length, address) + self.payload
        return REQUEST_SYNC + body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


@dataclass(frozen=True)
class Reply:
    """A reply.

    Parameters
    ----------
    status : int
        Of :class:`Status`.
    tag : int
        The request's.
    payload : bytes
        What was read.
    """

    status: int
    tag: int
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """The frame."""
        body = REPLY_HEAD.pack(self.status, self.tag, len(self.payload)) + self.payload
        return REPLY_SYNC + body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


class Replies:
    """Replies out of a stream of bytes, whatever else is in it.

    Parameters
    ----------
    longest : int
        Longest payload that is believed; a longer one is noise.
    """

    _HEAD = len(REPLY_SYNC) + REPLY_HEAD.size

    def __init__(self, longest: int):
        if longest < 0:
            raise BadInput(f"the longest payload must not be negative, not {longest}")
        self.longest = longest
        self._bytes = bytearray()

    def clear(self) -> None:
        """Forget what came."""
        self._bytes.clear()

    def feed(self, data: bytes) -> None:
        """More bytes of the stream."""
        self._bytes += data

    @property
    def missing(self) -> int:
        """Bytes to wait for before :meth:`take` can find something; at least one."""
        have = len(self._bytes)
        if have < self._HEAD:
            return self._HEAD + CRC_BYTES - have
        (length,) = struct.unpack_from("<H", self._bytes, self._HEAD - 2)
        whole = self._HEAD + min(int(length), self.longest) + CRC_BYTES
        return max(1, whole - have)

    def take(self) -> Reply | None:
        """The next whole reply; None until there is one."""
        found = self._bytes
        while True:
            at = found.find(REPLY_SYNC)
            if at < 0:
                # The last byte may be the first of a sync.
                keep = 1 if found[-1:] == REPLY_SYNC[:1] else 0
                del found[: len(found) - keep]
                return None
            del found[:at]
            if len(found) < self._HEAD:
                return None
            status, tag, length = REPLY_HEAD.unpack_from(found, len(REPLY_SYNC))
            end = self._HEAD + length
            if length <= self.longest:
                if len(found) < end + CRC_BYTES:
                    return None
                body = bytes(found[len(REPLY_SYNC) : end])
                crc = int.from_bytes(found[end : end + CRC_BYTES], "little")
                if crc == zlib.crc32(body):
                    del found[: end + CRC_BYTES]
                    return Reply(status, tag, body[REPLY_HEAD.size :])
            del found[: len(REPLY_SYNC)]  # no reply begins here
