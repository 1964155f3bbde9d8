"""An accelerator behind a serial bridge: requests, answers, and asking again when one of them was lost."""

from __future__ import annotations

from collections.abc import Iterator

from hwgen.errors import BadInput
from hwgen.host.protocol import (
    CRC_BYTES,
    HELLO_BYTES,
    REPLY_HEAD,
    REPLY_SYNC,
    REQUEST_HEAD,
    REQUEST_SYNC,
    UNKNOWN_TAG,
    VERSION,
    WORD_BYTES,
    Hello,
    Op,
    Replies,
    Reply,
    Request,
    Status,
)
from hwgen.host.transport import LinkError
from hwgen.host.wire import Wire

__all__ = ["UartLink"]

_TAGS = 255
_BITS = 12  # time of a byte: ten bits on the line, and what the bus takes for a word of four, less than eight
_FRAME_BYTES = (
    len(REQUEST_SYNC) + REQUEST_HEAD.size + CRC_BYTES + len(REPLY_SYNC) + REPLY_HEAD.size + CRC_BYTES
)
_WRITES = (Op.WRITE_REGISTERS, Op.WRITE_MEMORY)
_WHY = {
    Status.SLVERR: "the bus refused it (SLVERR)",
    Status.DECERR: "there is nothing at this address (DECERR)",
    Status.STALLED: "the bus owes an answer; reset the device",
    Status.BAD_REQUEST: "the bridge does not know such a request; its hwgen is another one",
}


class UartLink:
    """Registers and memory over a serial line.

    Every request is repeated when its answer does not come, or says that it was damaged; the bridge does no write
    twice. After such a failure the line is left alone for as long as the bridge takes to listen again.

    Parameters
    ----------
    wire : Wire
        The line.
    baud : int
        Its bits per second, to know how long bytes take.
    timeout : float
        The bridge's time-out in seconds; an answer may take twice as long besides its own bytes.
    attempts : int
        How often a request is sent before it is given up.

    Raises
    ------
    LinkError
        If nobody answers, or someone with other frames.
    """

    def __init__(self, wire: Wire, baud: int, timeout: float = 0.05, attempts: int = 4):
        if attempts < 1:
            raise BadInput(f"attempts must be at least 1, not {attempts}")
        self.wire = wire
        self.baud = baud
        self.timeout = timeout
        self.attempts = attempts
        self.repeated = 0
        """Requests that were sent again, so far."""
        self._tag = UNKNOWN_TAG
        self._replies = Replies(HELLO_BYTES)
        self.hello = self._hello()
        self._replies = Replies(self.hello.buffer_bytes)

    @property
    def base(self) -> int:
        """Memory on the chip begins at 0."""
        return 0

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory, as the bridge says."""
        return self.hello.memory_bytes

    def _hello(self) -> Hello:
        found = Hello.from_bytes(self._request(Op.HELLO, answer_bytes=HELLO_BYTES))
        if found.version != VERSION:
            raise LinkError(
                f"the bridge speaks version {found.version} of the frames, this hwgen version {VERSION}; use the hwgen "
                "that generated the design, or generate it again"
            )
        return found

    def read_register(self, offset: int) -> int:
        """A register of 32 bits."""
        found = self._request(Op.READ_REGISTERS, offset, WORD_BYTES, answer_bytes=WORD_BYTES)
        return int.from_bytes(found, "little")

    def write_register(self, offset: int, value: int) -> None:
        """Write a register of 32 bits."""
        self._request(Op.WRITE_REGISTERS, offset, payload=value.to_bytes(WORD_BYTES, "little"))

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory, both numbers multiples of 4."""
        _check(address, count)
        parts = self._parts(address, count)
        return b"".join(self._request(Op.READ_MEMORY, at, size, answer_bytes=size) for at, size in parts)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory, address and number multiples of 4."""
        _check(address, len(data))
        for at, size in self._parts(address, len(data)):
            self._request(Op.WRITE_MEMORY, at, payload=data[at - address : at - address + size])

    def _parts(self, address: int, count: int) -> Iterator[tuple[int, int]]:
        step = self.hello.buffer_bytes
        for at in range(address, address + count, step):
            yield at, min(step, address + count - at)

    def reset(self) -> None:
        """Reset the accelerator; memory keeps its bytes."""
        self._request(Op.RESET)

    def now(self) -> float:
        """Seconds in the time of the hardware."""
        return self.wire.now()

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        self.wire.pause(seconds)

    def close(self) -> None:
        """Let go of the line."""
        self.wire.close()

    def _request(
        self, op: Op, address: int = 0, length: int = 0, payload: bytes = b"", *, answer_bytes: int = 0
    ) -> bytes:
        """The payload of the answer to a request."""
        self._tag = self._tag % _TAGS + 1
        size = len(payload) if op in _WRITES else length
        frame = Request(op, self._tag, address, size, payload).to_bytes()
        seconds = _BITS * (_FRAME_BYTES + len(payload) + answer_bytes) / self.baud
        what = f"{op.name.lower().replace('_', ' ')} at {address:#x}"
        reply: Reply | None = None
        for attempt in range(self.attempts):
            if attempt:
                self.repeated += 1
                self._settle()
            self.wire.write(frame)
            reply = self._answer(seconds + 2 * self.timeout)
            if reply is not None and not Status(reply.status).damaged:
                break
        else:
            raise LinkError(self._failure(what, reply))
        if reply.status != Status.OK:
            raise LinkError(f"{what} failed: {_WHY[Status(reply.status)]}")
        if len(reply.payload) != answer_bytes:
            raise LinkError(
                f"{what} was answered with {len(reply.payload)} bytes, not {answer_bytes}; "
                "the bridge is not one of hwgen's"
            )
        return reply.payload

    def _answer(self, patience: float) -> Reply | None:
        """The reply to the last request; None if none comes in time."""
        end = self.wire.now() + patience
        while (left := end - self.wire.now()) > 0:
            self._replies.feed(self.wire.read(self._replies.missing, left))
            while (found := self._replies.take()) is not None:
                if found.status not in list(Status):
                    continue
                # Who was cut before the tag does not know it.
                unknown = found.tag == UNKNOWN_TAG and Status(found.status).damaged
                if found.tag == self._tag or unknown:
                    return found
        return None

    def _settle(self) -> None:
        """Wait until the bridge listens to a new frame, and forget what it says meanwhile."""
        self.wire.pause(self.timeout)
        while self.wire.read(4096, self.timeout):
            pass
        self._replies.clear()

    def _failure(self, what: str, reply: Reply | None) -> str:
        if reply is not None:
            return (
                f"{what} arrived damaged {self.attempts} times, the last time with {Status(reply.status).name}; "
                "check the cable"
            )
        return (
            f"nobody answered {what} in {self.attempts} attempts at {self.baud} baud; check cable, rate and bitstream, "
            "and that the clock is the one that it was generated for"
        )


def _check(address: int, count: int) -> None:
    if address < 0 or address % WORD_BYTES or count % WORD_BYTES:
        raise BadInput(
            f"memory is read and written in words of {WORD_BYTES} bytes, not {count} bytes at {address:#x}; align both"
        )
