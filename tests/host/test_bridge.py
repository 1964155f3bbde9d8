"""The bridge against its model: right frames, damaged ones, noise, silence, a bus that refuses or hangs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hwgen.host.golden import BridgeModel
from hwgen.host.link import UartLink
from hwgen.host.protocol import (
    REPLY_SYNC,
    REQUEST_SYNC,
    Hello,
    Op,
    Replies,
    Reply,
    Request,
    Status,
)
from hwgen.host.transport import LinkError
from hwgen.host.wire import SimulatedWire

from .conftest import ADDRESS_BITS, HELLO, LINE, MEMORY, REFUSED, SILENT

TIMEOUT = LINE.timeout_us / 1e6
SILENCE = 2.5 * TIMEOUT
LONGEST = 10 * (LINE.buffer_bytes + 30) / LINE.baud


class Behind:
    """Registers and memory of the odd board, as plain Python."""

    def __init__(self) -> None:
        self.words = [0] * 8
        self.memory = bytearray(MEMORY)

    def model(self) -> BridgeModel:
        return BridgeModel(
            HELLO, (1 << 12, self.read, self.write), (1 << ADDRESS_BITS, self.load, self.store), self.reset
        )

    def reset(self) -> None:
        self.words = [0] * 8

    def read(self, address: int) -> int | Status:
        return self.words[address // 4] if address < REFUSED else Status.SLVERR

    def write(self, address: int, value: int) -> Status:
        if address >= REFUSED:
            return Status.SLVERR
        self.words[address // 4] = value & ~1
        return Status.OK

    def load(self, address: int) -> int | Status:
        if address >= MEMORY:
            return Status.DECERR
        return int.from_bytes(self.memory[address : address + 4], "little")

    def store(self, address: int, value: int) -> Status:
        if address >= MEMORY:
            return Status.DECERR
        self.memory[address : address + 4] = value.to_bytes(4, "little")
        return Status.OK


def heard(wire: SimulatedWire, chunk: bytes) -> bytes:
    """What the bridge answers to a chunk, with silence around it."""
    wire.write(chunk)
    answer = wire.read(1 << 16, LONGEST + SILENCE)
    assert wire.status()[2] == 0  # every byte had its stop bit
    return answer


def any_request(rng: random.Random, tag: int) -> Request:
    op = rng.choice([*Op, Op.WRITE_MEMORY, Op.READ_MEMORY, 0x77])
    length = 4 * rng.randint(1, LINE.buffer_bytes // 4)
    address = 4 * rng.choice([rng.randrange(8), rng.randrange(12), rng.randrange(MEMORY // 4)])
    odd = rng.random()
    if odd < 0.06:
        length = rng.choice([0, 2, 5, LINE.buffer_bytes + 4, 0xFFFF])
    elif odd < 0.12:
        address = rng.choice([MEMORY - 8, MEMORY, (1 << 16) - 8, 1 << 16, (1 << 40) - 4, 3, SILENT + 4])
    writes = op in (Op.WRITE_MEMORY, Op.WRITE_REGISTERS)
    if op in (Op.READ_REGISTERS, Op.WRITE_REGISTERS) and rng.random() < 0.8:
        length = 4
    if address <= SILENT < address + length and op in (Op.READ_REGISTERS, Op.WRITE_REGISTERS):
        address = 0 if length <= SILENT else SILENT + 4  # what hangs has its own test
    return Request(op, tag, address, length, rng.randbytes(length) if writes else b"")


def damaged(rng: random.Random, frame: bytes) -> bytes:
    """A chunk that is no right frame, or a right one behind noise."""
    kind = rng.randrange(5)
    if kind == 0:  # a bit
        at = rng.randrange(len(REQUEST_SYNC), len(frame))
        return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
    if kind == 1:  # the end is missing
        return frame[: rng.randrange(1, len(frame))]
    if kind == 2:  # noise only
        return rng.randbytes(rng.randint(1, 40))
    if kind == 3:  # noise before it
        return bytes(b for b in rng.randbytes(30) if b not in REQUEST_SYNC) + REQUEST_SYNC[:1] + frame
    return frame[:5] + frame[6:]  # a byte was lost


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_whatever_comes_it_answers_as_the_model(seed: int, odd_wire: SimulatedWire) -> None:
    rng = random.Random(seed)
    behind = Behind()
    model = behind.model()
    link = UartLink(odd_wire, LINE.baud, TIMEOUT)
    assert link.hello == HELLO
    link.write(0, bytes(behind.memory))
    # The same history: the tags of both are those of the last request.
    model.hear(Request(Op.HELLO, link._tag).to_bytes())
    tag, seen = link._tag, set()
    for _ in range(250 if seed == 1 else 4000):
        if rng.random() > 0.1:  # else the same tag again
            tag = tag % 255 + 1
        chunk = any_request(rng, tag).to_bytes()
        if rng.random() < 0.3:
            chunk = damaged(rng, chunk)
        expected = model.hear(chunk)
        assert heard(odd_wire, chunk) == expected, chunk.hex()
        seen.add(expected[2] if expected else None)
    assert seen >= {None, *(Status(i) for i in (0, 1, 2, 3, 5, 6))}
    assert link.read(0, MEMORY) == behind.memory


def test_noise_that_is_no_byte_does_no_harm(odd_wire: SimulatedWire) -> None:
    link = UartLink(odd_wire, LINE.baud, TIMEOUT)
    link.write(0, b"abcd" * 16)
    rng = random.Random(5)
    for _ in range(60):  # glitches shorter than half a bit are no start bits
        odd_wire.hold(0, 1)
        odd_wire.hold(1, rng.randint(8, 60))
    assert odd_wire.read(1, TIMEOUT) == b""
    odd_wire.hold(0, 50 * 10 * LINE.divisor)  # the line breaks, and comes back
    odd_wire.pause(SILENCE)
    assert link.read(0, 64) == b"abcd" * 16
    assert link.repeated == 0

    # The same in the middle of a frame: it is told, and the frame does nothing.
    frame = Request(Op.WRITE_MEMORY, 99, 0, 4, b"wxyz").to_bytes()
    odd_wire.write(frame[:-3])
    odd_wire.hold(0, 50 * 10 * LINE.divisor)
    odd_wire.pause(SILENCE)
    assert odd_wire.read(64, TIMEOUT) == Reply(Status.LINE, 99).to_bytes()
    assert link.read(0, 4) == b"abcd"


def test_a_write_is_done_once(odd_wire: SimulatedWire) -> None:
    link = UartLink(odd_wire, LINE.baud, TIMEOUT)
    frame = Request(Op.WRITE_REGISTERS, 77, 0, 4, (8).to_bytes(4, "little")).to_bytes()
    other = Request(Op.WRITE_REGISTERS, 77, 0, 4, (16).to_bytes(4, "little")).to_bytes()
    fine = Reply(Status.OK, 77).to_bytes()
    assert heard(odd_wire, frame) == fine
    assert heard(odd_wire, other) == fine  # the tag says that it was done
    assert link.read_register(0) == 8
    refused = Request(Op.WRITE_REGISTERS, 78, REFUSED, 4, bytes(4)).to_bytes()
    assert heard(odd_wire, refused) == heard(odd_wire, refused) == Reply(Status.SLVERR, 78).to_bytes()


def test_a_tag_of_zero_repeats_nothing(odd_wire: SimulatedWire) -> None:
    frame = Request(Op.WRITE_REGISTERS, 0, 0, 4, (8).to_bytes(4, "little")).to_bytes()
    assert heard(odd_wire, frame) == Reply(Status.OK, 0).to_bytes()  # the first request after reset
    assert UartLink(odd_wire, LINE.baud, TIMEOUT).read_register(0) == 8


def test_after_a_damaged_frame_nothing_is_believed_until_silence(odd_wire: SimulatedWire) -> None:
    link = UartLink(odd_wire, LINE.baud, TIMEOUT)
    link.write(0, b"kept")
    frame = Request(Op.WRITE_MEMORY, 99, 0, 4, b"lost").to_bytes()
    bad = frame[:-1] + bytes([frame[-1] ^ 1])
    told = Reply(Status.BAD_CRC, 99).to_bytes()
    # The padding lasts longer than the answer: the right frame comes when the bridge is done with that.
    assert heard(odd_wire, bad + bytes(30) + frame) == told
    assert link.read(0, 4) == b"kept"
    assert heard(odd_wire, bad) == told
    assert heard(odd_wire, frame) == Reply(Status.OK, 99).to_bytes()
    assert link.read(0, 4) == b"lost"


def test_a_bus_that_hangs_is_told_and_reset_frees_it(odd_wire: SimulatedWire) -> None:
    link = UartLink(odd_wire, LINE.baud, TIMEOUT)
    link.write(8, b"kept")
    for hang in (lambda: link.read_register(SILENT), lambda: link.write_register(SILENT, 1)):
        with pytest.raises(LinkError, match="owes an answer"):
            hang()
        for call in (lambda: link.read_register(0), lambda: link.write(8, b"lost")):
            with pytest.raises(LinkError, match="owes an answer"):
                call()
        link.reset()
        assert link.read_register(0) == 0
        assert link.read(8, 4) == b"kept"


def test_reset_of_the_board_at_any_time(odd_wire: SimulatedWire) -> None:
    rng = random.Random(6)
    frame = Request(Op.WRITE_MEMORY, 5, 64, 64, bytes(range(64))).to_bytes()
    for cut in (1, 7, 30, len(frame)):
        odd_wire.write(frame[:cut])
        odd_wire.pause(rng.randint(1, 300) / LINE.clock_hz)
        odd_wire.press_reset()
        link = UartLink(odd_wire, LINE.baud, TIMEOUT)
        assert link.repeated == 0
        link.write(0, frame[:64])
        assert link.read(0, 64) == frame[:64]


class Lossy:
    """A wire that loses and turns bytes, in both directions."""

    def __init__(self, wire: SimulatedWire, rng: random.Random, rate: float):
        self.wire, self.rng, self.rate = wire, rng, rate
        self.harmed = 0

    def _harm(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self.rng.random() < self.rate:
                self.harmed += 1
                if self.rng.random() < 0.5:
                    continue
                byte ^= 1 << self.rng.randrange(8)
            out.append(byte)
        return bytes(out)

    def write(self, data: bytes) -> None:
        self.wire.write(self._harm(data))

    def read(self, count: int, seconds: float) -> bytes:
        return self._harm(self.wire.read(count, seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wire, name)


def test_the_driver_gets_through_a_bad_line(odd_wire: SimulatedWire) -> None:
    rng = random.Random(7)
    bad = Lossy(odd_wire, rng, 0.004)
    link = UartLink(bad, LINE.baud, TIMEOUT, attempts=12)
    mirror = bytearray(link.read(0, MEMORY))
    for _ in range(40):
        size = 4 * rng.randint(1, 60)
        at = 4 * rng.randrange((MEMORY - size) // 4)
        mirror[at : at + size] = data = rng.randbytes(size)
        link.write(at, data)
    assert link.read(0, MEMORY) == mirror
    assert link.repeated > 20
    assert bad.harmed > 40


def test_a_dead_line_is_told(odd_wire: SimulatedWire) -> None:
    bad = Lossy(odd_wire, random.Random(8), 1.1)
    with pytest.raises(LinkError, match=r"^nobody answered hello .* 3 attempts at 250000 baud; check cable"):
        UartLink(bad, LINE.baud, TIMEOUT, attempts=3)


def test_another_version_is_told(odd_wire: SimulatedWire) -> None:
    class Other:
        def write(self, data: bytes) -> None:
            tag = data[len(REQUEST_SYNC) + 1]
            self.answer = Reply(Status.OK, tag, Hello(1, 64, 4096, version=9).to_bytes()).to_bytes()

        def read(self, count: int, seconds: float) -> bytes:
            found, self.answer = self.answer[:count], self.answer[count:]
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(odd_wire, name)

    with pytest.raises(LinkError, match="speaks version 9"):
        UartLink(Other(), LINE.baud, TIMEOUT)


def test_replies_are_found_in_noise() -> None:
    rng = random.Random(9)
    replies = [
        Reply(rng.randrange(8), rng.randrange(256), rng.randbytes(rng.randrange(30))) for _ in range(50)
    ]
    stream = b"".join(rng.choice([b"", b"h", REPLY_SYNC, b"noise"]) + one.to_bytes() for one in replies)
    found, parser = [], Replies(64)
    for i in range(0, len(stream), 7):
        parser.feed(stream[i : i + 7])
        while (one := parser.take()) is not None:
            found.append(one)
        assert parser.missing >= 1
    # A sync before a reply may swallow it until its false length has come; at the end all are there.
    parser.feed(bytes(200))
    while (one := parser.take()) is not None:
        found.append(one)
    assert found == replies
