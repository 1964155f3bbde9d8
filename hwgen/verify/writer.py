"""Writes legal random programs: where things lie, which words a run touches, which tokens that makes necessary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwgen.compile.builder import DRAM_BLOCK, Builder, Region
from hwgen.errors import BadInput
from hwgen.numerics import ceil_div
from hwgen.program.encoding import instr
from hwgen.program.table import VEC_OPS
from hwgen.system.access import Access, Rows, Run, Words, overlap, touched
from hwgen.system.config import PARAMETER_BYTES, SystemConfig
from hwgen.system.structure import spaces
from hwgen.verify.case import PAGE, Bytes, Place, RandomProgram, random_bytes

__all__ = ["STORED", "Loops", "Settings", "Writer"]

Loops = Sequence[tuple[int, int]]
Settings = dict[str, dict[str, int]]

_DATA = 6 * PAGE  # bytes of operands that LOAD reads
_STREAMS = 6 * PAGE  # bytes of sparse weights

STORED = 3 * PAGE
"""Bytes of DRAM that STORE may write before the end of the program, and LOAD may read."""

# Bytes of a buffer that a program uses at most: what it fills, and what it brings to DRAM at the end.
_ARENA = {
    "act": 1 << 14, "acc": 1 << 13, "weight": 1 << 14, "parameter": 1 << 12, "plane": 1 << 13, "plane_act": 1 << 12,
    "code": 1 << 11, "value": 1 << 14, "index": 1 << 13, "operand": 1 << 13,
}  # fmt: skip
_TOKENS = 48  # instructions after which a fence comes at the latest, so that no counter can overflow
_RECENT = 16  # extra tokens reach so many instructions back


class Writer:
    """A program under construction: appends what is legal, and the settings and tokens that it needs.

    Parameters
    ----------
    config, rng, size
        As for :func:`hwgen.verify.programs.random_program`.
    """

    def __init__(self, config: SystemConfig, rng: np.random.Generator, size: int):
        self.config = config
        self.rng = rng
        self.spaces = spaces(config)
        self.arenas = {name: self._arena(name) for name in self.spaces}
        self.unit = max(1, config.bus_bytes // config.lanes)  # words of activations per bus word
        # The program lies before everything else, or behind it.
        room = ceil_div(16 * (12 * size + 400), PAGE) * PAGE
        front = room if rng.random() < 0.5 else 0
        self.address = 0
        self.data = front + PAGE * int(rng.integers(0, 2))
        self.parameters = self.data + _DATA
        self.streams = self.parameters + PAGE
        self.stored = self.streams + (_STREAMS if config.sparse else 0)
        self.streams_used = 0
        self.contents: list[tuple[int, Bytes]] = []  # what lies at which address of DRAM
        self.dumped = self.stored + STORED
        held = {name: self._held(name) for name in ("act", "acc") if name in self.arenas}
        self.program_end = ceil_div(self.dumped + sum(held.values()), PAGE) * PAGE
        self.front = front
        whole = self.program_end - front + room
        if whole > 1 << config.address_bits:
            raise BadInput(
                f"random programs of {size} runs need {whole} bytes of DRAM, and address_bits={config.address_bits} "
                f"reaches {1 << config.address_bits}; choose a larger address_bits, or fewer runs"
            )
        self.builder = Builder(config)
        self.builder.reach(self.program_end)
        self.settings: dict[str, Settings] = {}
        self.engines: list[str] = []  # of every instruction
        self.last: tuple[str, Settings, dict[str, int]] = ("", {}, {})
        self.kept = 0  # outputs that the DSP core kept
        self.since_fence = 0
        self.eager = float(rng.choice([0.0, 0.05, 0.2]))  # how often an instruction waits without need

    def _arena(self, name: str) -> tuple[int, int]:
        """Words of a buffer that the program uses: all of a small one, else some around the end of a bank."""
        space, cfg = self.spaces[name], self.config
        step = max(1, cfg.bus_bytes // space.word_bytes)
        words = max(_ARENA[name] // space.word_bytes, 2 * cfg.lanes if name == "weight" else 16, 2 * step)
        if words >= space.words:
            return 0, space.words
        middle = space.bank_words * int(self.rng.integers(1, space.banks + 1))
        low = min(max(0, middle - words // 2), space.words - words) // step * step
        return low, low + words // step * step

    def _held(self, name: str) -> int:
        low, high = self.arenas[name]
        return (high - low) * self.spaces[name].word_bytes

    # Draws.

    def count(self, most: int) -> int:
        """1 to ``most``, small ones more often, one most of all."""
        if most <= 1 or self.rng.random() < 0.2:
            return 1
        return int(np.exp(self.rng.uniform(0, np.log(most + 1))))

    def one_of(self, *values: int) -> int:
        """One of some numbers."""
        return int(self.rng.choice(values))

    def base(self, name: str, loops: Loops, step: int = 1) -> int | None:
        """A first word so that loops stay within the arena, at a multiple of ``step``; None if there is none."""
        low, high = self.arenas[name]
        shape = Words(0, loops)
        first, last = ceil_div(low - shape.low, step), (high - shape.high) // step
        return None if last < first else step * int(self.rng.integers(first, last + 1))

    # Emission.

    def fence(self) -> None:
        """Append a fence."""
        self.builder.emit("control.fence")
        self.engines.append("control")
        self.since_fence = 0

    def _after(self, engine: str) -> list[int]:
        """Instructions for which the next one waits without need."""
        if self.rng.random() >= self.eager:
            return []
        first = max(0, len(self.engines) - _RECENT)
        others = [i for i in range(first, len(self.engines)) if self.engines[i] not in (engine, "control")]
        return [
            int(i) for i in self.rng.choice(others, min(len(others), self.one_of(1, 1, 2)), replace=False)
        ]

    def _emit(
        self, mnemonic: str, reads: Sequence[Region], writes: Sequence[Region], fields: dict[str, int]
    ) -> None:
        engine = mnemonic.partition(".")[0]
        after = self._after(engine)
        self.builder.emit(mnemonic, reads=reads, writes=writes, after=after, settings=fields)
        self.engines.append(engine)
        self.since_fence += 1

    def run(self, engine: str, settings: Settings, **fields: int) -> bool:
        """Append a run and what it must be set to, unless it leaves its arenas; tells whether it was appended."""
        values: dict[str, Any] = {**fields}
        one = instr(f"{engine}.run", **values)
        found = touched(Run(0, one, one.fields, settings), self.config)
        if not all(self._inside(access) for access in found) or not _defined(found, fields, settings):
            return False
        if self.since_fence > _TOKENS:
            self.fence()
        known = self.settings.setdefault(engine, {})
        for name, setting in settings.items():
            if known.get(name) != setting or self.rng.random() < 0.1:
                self._emit(f"{engine}.{name}", (), (), setting)
            known[name] = setting
        reads = [r for access in found if not access.write for r in self._regions(access)]
        writes = [r for access in found if access.write for r in self._regions(access)]
        self._emit(f"{engine}.run", reads, writes, dict(one.fields))
        self.last = engine, settings, fields
        return True

    def again(self) -> bool:
        """The last run once more, with the same settings and on other words; tells whether it was appended."""
        engine, settings, fields = self.last
        bus = self.config.bus_bytes
        moved = dict(fields)
        for name, step in {
            "load": {"address": 1, "target": bus},
            "dsp": {"act": 1, "weight": self.config.lanes, "acc": 1},
            "lut": {"act": 1, "weight": 1, "acc": 1},
            "sparse": {"operand": 1, "acc": 1},
            "vec": {"source": 1, "target": 1},
            "store": {"address": bus, "source": self.unit},
        }[engine].items():
            moved[name] += step * int(self.rng.integers(-8, 9))
        legal = all(
            0 <= moved[name] < fields[name] + (1 << 10) for name in fields if fields[name] != moved[name]
        )
        return legal and not fields.get("accumulate") and self.run(engine, settings, **moved)

    def _inside(self, access: Access) -> bool:
        low, high = self.arenas.get(access.space, (0, 0))
        if access.space == "dram":
            low, high = (self.stored, self.program_end) if access.write else (self.data, self.dumped)
        # Units of the LUT core read all that lies where the one reads.
        return low <= access.where.low and access.where.high <= high

    def _regions(self, access: Access) -> list[Region]:
        addresses = access.where.addresses()
        if access.space == "dram":
            return [Region("dram", np.unique(addresses // DRAM_BLOCK))]
        if access.space != "plane_act":
            return [Region(access.space, addresses)]
        units = [u for u in range(self.config.lut_units) if access.units >> u & 1]
        return [Region("planes", addresses + u * self.config.plane_words) for u in units]

    def finish(self, places: tuple[Place, ...]) -> RandomProgram:
        """The program in its memory."""
        program = self.builder.program()
        body = np.frombuffer(program.body, np.uint8)
        fits = len(body) <= self.front
        self.address = (
            PAGE * int(self.rng.integers(0, (self.front - len(body)) // PAGE + 1))
            if fits
            else self.program_end
        )
        size = ceil_div(max(self.program_end, self.address + len(body)), PAGE) * PAGE
        memory = random_bytes(self.rng, size)
        memory[self.parameters : self.streams] = self._parameters(PAGE // PARAMETER_BYTES)
        for address, data in self.contents:
            memory[address : address + len(data)] = data
        memory[self.address : self.address + len(body)] = body
        return RandomProgram(
            program, memory, self.address, (Place("what STORE wrote", self.stored, STORED), *places)
        )

    def _parameters(self, count: int) -> Bytes:
        """Parameters of requantisers: most of them bring sums into the range of a byte."""
        rng, bits = self.rng, self.config.scale_bits
        out = np.zeros((count, PARAMETER_BYTES), np.uint8)
        bias = rng.choice([0, 1, -1, 100, -5000, 1 << 20, -(1 << 31), (1 << 31) - 1], count)
        multiplier = rng.integers(1 << (bits - 1), 1 << bits, count)
        shift = np.minimum(bits + rng.integers(-2, 24, count), 63)
        odd = rng.random(count) < 0.15
        # A float32's significand has its upper bit set, or is zero.
        least = [1 << (bits - 1)] if self.config.requantiser == "ort" else [1, 3]
        multiplier[odd] = rng.choice([0, *least, (1 << bits) - 1], odd.sum())
        shift[odd] = rng.choice([0, 1, 2, 31, 32, 63], odd.sum())
        out[:, :4] = bias.astype("<i4")[:, None].view(np.uint8)
        out[:, 4:7] = multiplier.astype("<u4")[:, None].view(np.uint8)[:, :3]
        out[:, 7] = shift
        return out.reshape(-1)


def _defined(found: Sequence[Access], fields: Mapping[str, int], settings: Settings) -> bool:
    """Whether a run's result does not depend on the order of its own reads and writes.

    A run of VEC must not read what it writes, unless word by word in place; units and planes must not overlap.
    """
    if any(
        access.write and access.space in ("acc", "plane_act") and not _distinct(access.where)
        for access in found
    ):
        return False
    pairs = [
        (old.where, new.where)
        for old in found
        for new in found
        if not old.write and new.write and old.space == new.space
    ]
    if not any(overlap(old, new) for old, new in pairs):
        return True
    if "source" not in settings:
        return False
    shape, source, target = (settings[name] for name in ("shape", "source", "target"))
    moves = [(source[n], target[n]) for n in ("n0", "n1", "n2") if shape[n] > 1]
    single = VEC_OPS[fields["op"]] != "transpose" and shape["r0"] * shape["r1"] == 1
    same = fields["source"] == fields["target"] and all(a == b for a, b in moves)
    return single and same and all(_distinct(new) for _, new in pairs)


def _distinct(where: Words | Rows) -> bool:
    """Whether no address occurs twice."""
    return isinstance(where, Words) and len(where.addresses()) == int(np.prod([n for n, _ in where.loops]))
