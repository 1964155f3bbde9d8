"""What the bridge answers, from the description of the frames; a line falls silent between two chunks of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from hwgen.host.protocol import (
    CRC_BYTES,
    REQUEST_HEAD,
    REQUEST_SYNC,
    UNKNOWN_TAG,
    WORD_BYTES,
    Hello,
    Op,
    Reply,
    Status,
)

__all__ = ["BridgeModel", "Space"]

Space = tuple[int, Callable[[int], int | Status], Callable[[int, int], Status]]
"""Bytes of addresses, how a word is read (or why not), how it is written."""


class BridgeModel:
    """A bridge with registers and memory behind it.

    Parameters
    ----------
    hello : Hello
        What it says of itself.
    registers, memory : Space
        What is behind it.
    reset : callable
        What a reset does.
    """

    def __init__(self, hello: Hello, registers: Space, memory: Space, reset: Callable[[], None]):
        self.hello = hello
        self.spaces = {
            Op.READ_REGISTERS: registers,
            Op.WRITE_REGISTERS: registers,
            Op.READ_MEMORY: memory,
            Op.WRITE_MEMORY: memory,
        }
        self.reset = reset
        self._last: tuple[int, Status] = (UNKNOWN_TAG, Status.OK)

    def hear(self, chunk: bytes) -> bytes:
        """The answer to a chunk of bytes, which begins and ends in silence: of its first request, or none.

        What follows the first request is not looked at; after a damaged frame the bridge does the same.
        """
        at = chunk.find(REQUEST_SYNC)
        if at < 0:
            return b""
        frame = chunk[at + len(REQUEST_SYNC) :]
        head = REQUEST_HEAD.size
        if len(frame) < head:
            # Operation, tag and so on arrive one by one; who was cut before the tag does not know it.
            return Reply(Status.CUT, frame[1] if len(frame) > 1 else UNKNOWN_TAG).to_bytes()
        op, tag, length, raw = REQUEST_HEAD.unpack_from(frame)
        writes = op in (Op.WRITE_REGISTERS, Op.WRITE_MEMORY)
        if writes and length > self.hello.buffer_bytes:
            return Reply(Status.BAD_REQUEST, tag).to_bytes()
        end = head + (length if writes else 0)
        if len(frame) < end + CRC_BYTES:
            return Reply(Status.CUT, tag).to_bytes()
        if zlib.crc32(frame[:end]) != int.from_bytes(frame[end : end + CRC_BYTES], "little"):
            return Reply(Status.BAD_CRC, tag).to_bytes()
        if writes and tag == self._last[0] != UNKNOWN_TAG:  # it was done already, and its answer was lost
            return Reply(self._last[1], tag).to_bytes()
        status, payload = self._do(op, int.from_bytes(raw, "little"), length, frame[head:end])
        self._last = (tag, status)
        return Reply(status, tag, payload).to_bytes()

    def _do(self, op: int, address: int, length: int, payload: bytes) -> tuple[Status, bytes]:
        if op == Op.HELLO:
            return Status.OK, self.hello.to_bytes()
        if op == Op.RESET:
            self.reset()
            return Status.OK, b""
        usable = 0 < length <= self.hello.buffer_bytes
        if op not in self.spaces or not usable or (address | length) % WORD_BYTES:
            return Status.BAD_REQUEST, b""
        size, read, write = self.spaces[Op(op)]
        found = b""
        for i in range(0, length, WORD_BYTES):
            if address + i >= size:
                return Status.DECERR, b""
            if payload:
                status = write(address + i, int.from_bytes(payload[i : i + WORD_BYTES], "little"))
                if status != Status.OK:
                    return status, b""
            else:
                word = read(address + i)
                if isinstance(word, Status):
                    return word, b""
                found += word.to_bytes(WORD_BYTES, "little")
        return Status.OK, found
