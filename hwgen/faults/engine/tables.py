"""Programs, jobs and faults as the flat arrays that the compiled engine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hwgen.faults.hook_edit import REPORTS
from hwgen.faults.models import Faults, Masks
from hwgen.faults.operations import Code, LoweredMemory, Op, Program
from hwgen.streams import Stream
from hwgen.system.registers import register
from hwgen.verify.stimulus import Stimulus

__all__ = ["MEMORY_PINS", "Numbers", "Pieces", "program_table", "stream_table", "system_table", "with_memory"]

Numbers = npt.NDArray[np.uint64]

MEMORY_PINS = ("memory_row", "memory_target", "memory_take")
"""Inputs that :func:`with_memory` adds: which row is read, which one is written, and whether it is."""

_NONE = (1 << 32) - 1


def program_table(program: Program) -> Numbers:
    """A program; the clock is no input, and the reset is told."""
    out: list[int] = [len(program.widths), *program.widths, len(program.constants)]
    for value, number in program.constants.items():
        out += [value, number]
    out.append(len(program.ops))
    for op in program.ops:
        out += [op.code, op.result, op.immediate, len(op.args)]
        shifts = op.shifts if op.code is Code.CONCAT else (0,) * len(op.args)
        for value, shift in zip(op.args, shifts, strict=True):
            out += [value, shift]
    out.append(len(program.registers))
    for r in program.registers:
        out += [r.d, r.q, r.init]
    out.append(len(program.memories))
    for m in program.memories:
        out += [m.width, m.depth, int(m.external), len(m.init), *m.init, len(m.writes)]
        for port in m.writes:
            out += port
    pins = input_pins(program)
    inputs = [value for name, values in program.inputs.items() if name != "clk" for value in values]
    outputs = [value for values in program.outputs.values() for value in values]
    out += [len(inputs), *inputs, len(outputs), *outputs, pins["rst"]]
    return np.array(out, np.uint64)


def input_pins(program: Program) -> dict[str, int]:
    """First pin of every input but the clock."""
    return _places({name: len(values) for name, values in program.inputs.items() if name != "clk"})


def output_pins(program: Program) -> dict[str, int]:
    """First pin of every output."""
    return _places({name: len(values) for name, values in program.outputs.items()})


def _places(sizes: Mapping[str, int]) -> dict[str, int]:
    found, at = {}, 0
    for name, size in sizes.items():
        found[name] = at
        at += size
    return found


def stream_table(program: Program, streams: tuple[Stream, ...], stimulus: Stimulus, quiet: int) -> Numbers:
    """What the other side of every stream does."""
    inputs, outputs = input_pins(program), output_pins(program)
    reports = [outputs.get(name, _NONE) for name in ("error", *REPORTS)]
    out: list[int] = [quiet, *reports, len(streams)]
    for s in streams:
        sent = s.direction == "in"
        ours, theirs = (inputs, outputs) if sent else (outputs, inputs)
        beats = stimulus.inputs.get(s.name)
        count = stimulus.expected[s.name] if beats is None else len(beats)
        words = -(-s.bytes // 8)
        last = ours[f"{s.prefix}_tlast"] if s.last else _NONE
        out += [int(sent), count, words, ours[f"{s.prefix}_tdata"], ours[f"{s.prefix}_tvalid"]]
        gate = stimulus.gates[s.name]
        out += [theirs[f"{s.prefix}_tready"], last, len(gate), *(int(bit) for bit in gate)]
        payload = np.zeros(0, np.uint64)
        if beats is not None:
            padded = np.zeros((len(beats), 8 * words), np.uint8)
            padded[:, : s.bytes] = beats
            payload = padded.reshape(-1).view("<u8")
        out += [len(payload), *payload.tolist()]
        lasts = stimulus.lasts[s.name] if sent and s.last else np.zeros(0, np.bool_)
        out += [len(lasts), *(int(bit) for bit in lasts)]
    return np.array(out, np.uint64)


def with_memory(program: Program, memory: npt.NDArray[np.uint8], bus_bytes: int) -> Program:
    """An accelerator's program with the memory behind its AXI4 master, a memory of bytes for each lane of the bus.

    The bench says, on three more inputs, which row is shown on RDATA and to which row a beat goes, and whether it is
    taken. So what faults do to data in memory is seen like what they do to any other memory.
    """
    rows = len(memory) // bus_bytes
    widths = list(program.widths)
    constants = dict(program.constants)

    def value(width: int) -> int:
        widths.append(width)
        return len(widths) - 1

    bits = max(2, rows.bit_length())  # one row more than there are: none
    show, target, take = value(bits), value(bits), value(1)
    before: list[Op] = []
    after: list[Op] = []
    strobes, words = program.outputs["m_axi_wstrb"], program.outputs["m_axi_wdata"]
    taken = value(1)
    after.append(Op(Code.AND, taken, (take, program.outputs["m_axi_wvalid"][0])))
    memories = list(program.memories)
    shown = []
    image = memory[: rows * bus_bytes].reshape(rows, bus_bytes)
    for lane in range(bus_bytes):
        strobe, data, enable = value(1), value(8), value(1)
        whole = strobes[lane // 64]
        if widths[whole] == 1:
            strobe = whole
        else:
            after.append(Op(Code.SLICE, strobe, (whole,), lane % 64))
        after.append(Op(Code.SLICE, data, (words[lane // 8],), lane % 8 * 8))
        after.append(Op(Code.AND, enable, (taken, strobe)))
        column = image[:, lane].tolist()
        memories.append(LoweredMemory(-1, 0, 8, rows, tuple(column), ((target, data, enable),), True))
        shown.append(value(8))
        before.append(Op(Code.READ, shown[-1], (show,), len(memories) - 1))
    for word, result in enumerate(program.inputs["m_axi_rdata"]):
        lanes = shown[8 * word : 8 * word + widths[result] // 8]
        before.append(Op(Code.CONCAT, result, tuple(lanes), 0, tuple(8 * i for i in range(len(lanes)))))
    inputs = {name: values for name, values in program.inputs.items() if name != "m_axi_rdata"}
    inputs |= dict(zip(MEMORY_PINS, ((show,), (target,), (take,)), strict=True))
    return replace(
        program, widths=tuple(widths), constants=constants, inputs=inputs, ops=(*before, *program.ops, *after),
        memories=tuple(memories),
    )  # fmt: skip


_MASTER_IN = ("arready", "awready", "wready", "rvalid", "rlast", "rresp", "bvalid", "bresp")
_HOST_IN = ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready")
_MASTER_OUT = (
    "arvalid", "awvalid", "wvalid", "wlast", "rready", "bready", "araddr", "awaddr", "arlen", "awlen", "wstrb",
)  # fmt: skip
_HOST_OUT = ("awready", "wready", "bvalid", "arready", "rvalid", "rdata")


def system_table(
    program: Program, size: int, bus_bytes: int, dram: Sequence[int], address: int, count: int
) -> Numbers:
    """What host and memory do: the host starts a program, waits for the interrupt, and reads the status.

    Parameters
    ----------
    program : Program
        From :func:`with_memory`.
    size, bus_bytes : int
        Bytes of memory, and of the bus.
    dram : sequence of int
        Latency, interval, depth and write latency of the memory, cycles.
    address, count : int
        Byte address of the program, and its number of instructions.
    """
    inputs, outputs = input_pins(program), output_pins(program)
    out = [*dram, bus_bytes, size // bus_bytes, size]
    out += [inputs[f"m_axi_{name}"] for name in _MASTER_IN]
    out += [inputs[name] for name in MEMORY_PINS]
    out += [inputs[f"s_axi_{name}"] for name in _HOST_IN]
    out += [outputs[f"m_axi_{name}"] for name in _MASTER_OUT]
    out += [outputs[f"s_axi_{name}"] for name in _HOST_OUT] + [outputs["irq"]]
    out += [outputs.get(name, _NONE) for name in REPORTS]
    writes = {
        "IRQ_ENABLE": 3,
        "PROGRAM_LOW": address & 0xFFFF_FFFF,
        "PROGRAM_HIGH": address >> 32,
        "PROGRAM_COUNT": count,
        "CONTROL": 1,
    }
    status = register("STATUS")
    failed = next(field.low for field in status.fields if field.name == "error")
    out += [status.offset, failed, len(writes)]
    for name, number in writes.items():
        out += [register(name).offset, number]
    return np.array(out, np.uint64)


class Pieces:
    """Where the bits of elements are in a program.

    Parameters
    ----------
    program : Program
        The design.
    """

    _STRIDE = 1 << 20  # more than the bits of any element's word

    def __init__(self, program: Program):
        found = [(r.element, r.low, program.widths[r.q], 0, i) for i, r in enumerate(program.registers)]
        found += [(m.element, m.low, m.width, 1, i) for i, m in enumerate(program.memories) if not m.external]
        columns = np.array(sorted(found), np.int64).reshape(-1, 5).T
        self._element, self._low, self._width, self._memory, self._index = columns
        self._start = self._element * self._STRIDE + self._low

    def table(self, listed: Faults, given: Masks) -> Numbers:
        """Faults for the engine."""
        begin = given.element * self._STRIDE + given.low
        first = np.searchsorted(self._start, begin, side="right") - 1
        last = np.searchsorted(self._start, begin + given.width - 1, side="right") - 1
        when = [listed[name] for name in ("cycle", "duration", "period", "on")]
        targets = [*self._target(given, first, begin), np.ones(len(listed), np.uint64)]
        whole = np.stack([*map(_unsigned, when), targets.pop(), *targets], axis=1)
        if np.array_equal(first, last):
            return whole.reshape(-1)
        parts: list[Numbers] = []
        at = 0
        for i in np.flatnonzero(first != last).tolist():
            several = []
            one = slice(i, i + 1)
            for piece in range(int(first[i]), int(last[i]) + 1):
                several += [int(x[0]) for x in self._target(given[one], np.array([piece]), begin[one])]
            parts += [
                whole[at:i].reshape(-1),
                whole[i, :4],
                np.array([len(several) // 5, *several], np.uint64),
            ]
            at = i + 1
        return np.concatenate([*parts, whole[at:].reshape(-1)])

    def _target(
        self, given: Masks, piece: npt.NDArray[np.int64], begin: npt.NDArray[np.int64]
    ) -> list[Numbers]:
        """What faults do to one piece each: kind, index, row, and masks of what is cleared and inverted."""
        low = np.maximum(begin, self._start[piece]) - self._start[piece]
        end = np.minimum(begin + given.width, self._start[piece] + self._width[piece]) - self._start[piece]
        mask = (_ALL >> _unsigned(64 - (end - low))) << _unsigned(low)
        kind = np.where(given.column, 2, self._memory[piece])
        row = given.row
        swapped = given.other >= 0
        if swapped.any():
            # Registers of one width are cut alike.
            same = np.searchsorted(self._start, given.other * self._STRIDE + self._low[piece])
            kind = np.where(swapped, 4, kind)
            row = np.where(swapped, self._index[np.minimum(same, len(self._index) - 1)], row)
        flip = np.where(given.value == _ALL, mask, given.value << _unsigned(low) & mask)
        masks = [
            np.where(some, bits, np.uint64(0)) for some, bits in ((given.clear, mask), (given.flip, flip))
        ]
        return [_unsigned(kind), _unsigned(self._index[piece]), _unsigned(row), *masks]


_ALL = np.uint64((1 << 64) - 1)


def _unsigned(numbers: npt.ArrayLike) -> Numbers:
    return np.asarray(numbers).astype(np.uint64)
