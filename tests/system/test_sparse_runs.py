"""The sparse engine as programs see it: what its runs compute, against the matrix that was packed; what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.parts.sparse import PATTERNS, Pattern, SparseMatrix, pattern_named, prune
from hwgen.program.assembly import assemble
from hwgen.program.encoding import Instr, instr
from hwgen.system.amounts import amounts
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.memories import block_rams, memories
from hwgen.system.structure import spaces
from hwgen.system.values import Values

CONFIGS = {
    "one way": {},
    "four ways": {"sparse_ways": 4},
    "eight ways": {"sparse_ways": 8},
    "few rows": {"sparse_rows": 4, "sparse_narrow": False},
    "few rows, two ways": {"sparse_rows": 4, "sparse_ways": 2},
    "two rows": {"sparse_rows": 2},
}


def system(**fields: Any) -> SystemConfig:
    return SystemConfig(lanes=16, dsp=False, sparse=True, **fields)


def rows_of(size: int, row: int) -> int:
    return -(-size // row)


class Job:
    """A random matrix in the buffers of both models, and random operands."""

    def __init__(
        self,
        config: SystemConfig,
        rng: np.random.Generator,
        bits: int,
        spread: int,
        patterns: Iterable[Pattern],
    ):
        ways = config.sparse_ways if spread else 1
        self.config, self.spread, self.bits = config, spread, bits
        self.blocks = int(rng.choice([1, 2, 15, 16, 17, 32]))
        self.tiles = int(rng.integers(1, 3 * ways + 1))
        shape = 16 * self.blocks - int(rng.integers(16)), 16 * self.tiles - int(rng.integers(16))
        half = 1 << (bits - 1)
        codes = rng.choice([p.code for p in patterns], (rows_of(shape[1], 16 * ways), self.blocks))
        matrix = prune(rng.integers(-half, half, shape), codes, ways=ways)
        packed = SparseMatrix.pack(matrix, bits=bits, ways=ways)
        self.weights = np.zeros((16 * self.blocks, 16 * self.tiles), np.int64)
        self.weights[: shape[0], : shape[1]] = matrix
        # The streams fill the slices of a row, whoever reads them.
        each = 1 if spread else config.sparse_ways
        self.stream = {
            "steps": packed.cycles(config.sparse_least(spread), config.sparse_gap(spread)),
            "value_rows": rows_of(packed.value_rows, each),
            "index_rows": rows_of(packed.index_rows, each),
        }
        self.at = {"code": 3, "value": 5, "index": 7, "acc": 9, "operand": 2}
        self.models: tuple[Machine, Values] = (
            Machine(config, np.zeros(16, np.uint8)),
            Values(config, np.zeros((2, 16), np.uint8)),
        )
        operand = rng.integers(-128, 128, (2, config.sparse_depth, config.sparse_rows))
        self.models[0].operand[:], self.models[1].operand[:] = operand[0], operand
        self.operands = operand[0].astype(np.int64)
        for model in self.models:
            for name, data in zip(("code", "value", "index"), packed.streams(), strict=True):
                buffer = getattr(model, name)
                buffer[:] = rng.integers(0, 256, buffer.shape)
                flat = buffer.reshape(-1)
                first = self.at[name] * buffer.shape[1]
                flat[first : first + len(data)] = np.frombuffer(data, np.uint8)

    def program(self, rows: int, stride: int, **wrong: int) -> list[Instr]:
        shape = {"blocks": self.blocks, "rows": rows, "weight_bits": self.bits, "spread": self.spread}
        return [
            instr("sparse.shape", **shape),
            instr("sparse.stream", **self.stream | wrong),
            instr("sparse.run", tiles=self.tiles, acc_stride=stride, **self.at),
        ]

    def expected(self, rows: int) -> IntArray:
        """Sums, shape (tiles, rows, 16)."""
        ways = self.config.sparse_ways if self.spread else 1
        words = self.operands[32 : 32 + 16 * self.blocks]
        per_way = self.config.sparse_rows // ways
        sums = []
        for tile in range(self.tiles):
            low = tile % ways * per_way
            sums.append(words[:, low : low + rows].T @ self.weights[:, 16 * tile : 16 * (tile + 1)])
        return np.array(sums)


@pytest.mark.parametrize("name", CONFIGS)
def test_runs_multiply_with_the_matrix_that_was_packed(name: str) -> None:
    config = system(**CONFIGS[name], sparse_depth=1024, acc_words=1024, sparse_value_words=4096,
                    sparse_index_words=4096)  # fmt: skip
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bits = int(rng.choice([2, 3, 4, 8])) if config.sparse_narrow else 8
        spread = int(config.sparse_ways > 1 and rng.random() < 0.6)
        few = rng.choice(np.array(PATTERNS, object), int(rng.integers(1, 9)), replace=False)
        job = Job(config, rng, bits, spread, few)
        rows = int(rng.integers(1, config.sparse_way_rows(spread) + 1))
        stride = rows + int(rng.integers(0, 4))
        expected = job.expected(rows)
        before = rng.integers(-1 << 31, 1 << 31, job.models[0].acc.shape)
        golden, values = job.models
        golden.acc[:], values.acc[:] = before, before
        for model in job.models:
            model.run(job.program(rows, stride))
        for tile in range(job.tiles):
            at = 9 + tile * stride
            before[at : at + rows] = expected[tile]
        np.testing.assert_array_equal(golden.acc, before)
        np.testing.assert_array_equal(values.acc[0], before)


def test_columns_are_turned_and_repeated() -> None:
    config = system(sparse_rows=8, sparse_ways=4, act_words=64, sparse_depth=64)
    rng = np.random.default_rng(1)
    act = rng.integers(-128, 128, (64, 16)).astype(np.int8)
    settings = [
        instr("vec.shape", r0=2, n0=16, n1=2),
        instr("vec.source", r0=3, n1=10),
        instr("vec.target", n0=2, n1=1),
    ]
    for unit in (0, 1):
        golden, values = Machine(config, np.zeros(1, np.uint8)), Values(config, np.zeros((1, 1), np.uint8))
        golden.act[:], values.act[0] = act, act
        for model in (golden, values):
            model.operand[:] = 77
            model.run([*settings, instr("vec.run", op="columns", source=5, target=4, unit=unit)])
        expected = np.full((64, 8), 77)
        for block in range(2):
            for k in range(16):
                two = [act[5 + 10 * block + 3 * r, k] for r in range(2)]
                expected[4 + block + 2 * k] = two * 4 if unit else [*two, *[0] * 6]
        np.testing.assert_array_equal(golden.operand, expected)
        np.testing.assert_array_equal(values.operand[0], expected)


def test_streams_by_hand() -> None:
    """Two blocks of three bits, worked out here: 2:16, then 2:4."""
    config = system(sparse_ways=2)
    words = np.zeros((3, 8), np.uint8)
    words[1, 0] = 0x72
    values = np.zeros((10, 16 * 2), np.uint8)
    indices = np.zeros((10, 8 * 2), np.uint8)
    # Ten steps of three units: output 1's number is bits 5:3 of the first byte. Word 1 is the second slice of the row.
    values[4, 0] = 0b011 | 0b101 << 3  # step 0: +3 for output 0, -3 for output 1
    values[4, 6 * 2] = 0b100  # step 2, of the second block: -4
    values[5, 22] = 0b111  # step 9: byte 54 of the stream, -1
    indices[6, 0] = 0x5E  # step 0: rows 14 and 5
    indices[6, 8:] = 0xFF  # step 1: row 15, where the values are zero
    indices[7, 0] = 0b10  # steps 2 and 3 are a word: row 2 of group 0
    for row, first in ((7, 4), (7, 12), (8, 4), (8, 12)):  # every second step of a group: its last row
        indices[row, first : first + 4] = 0xFF
    indices[8, 12] = 0xFE  # step 9: row 2 of group 3
    stream = {"steps": 16, "value_rows": 2, "index_rows": 3}
    run = {"operand": 1, "code": 1, "value": 4, "index": 6, "acc": 20}
    operands = np.arange(16 * 48).reshape(48, 16) % 251 - 125
    found = []
    for model in (Machine(config, np.zeros(1, np.uint8)), Values(config, np.zeros((1, 1), np.uint8))):
        model.code[:3], model.value[:10], model.index[:10] = words, values, indices
        model.operand[..., :48, :] = operands
        model.run(
            [
                instr("sparse.shape", blocks=2, rows=16, weight_bits=3),
                instr("sparse.stream", **stream),
                instr("sparse.run", **run),
            ]
        )
        found.append(model.acc.reshape(-1, 16)[20:36])
    k = operands[16:]
    np.testing.assert_array_equal(found[0][:, 0], 3 * k[14] - 4 * k[16 + 2] - k[16 + 12 + 2])
    np.testing.assert_array_equal(found[0][:, 1], -3 * k[5])
    assert not found[0][:, 2:].any()
    np.testing.assert_array_equal(found[0], found[1])


def test_streams_that_are_not_what_the_program_says_are_refused() -> None:
    config = system(sparse_ways=2, sparse_depth=1024, sparse_value_words=4096, sparse_index_words=4096)
    for seed in range(20):
        job = Job(
            config, np.random.default_rng(seed), 8, seed % 2, [pattern_named("4:16"), pattern_named("16:16")]
        )
        said = job.stream
        for model in job.models:
            for name in said:
                for change in (-1, 1):
                    if name == "steps" or said[name] + change >= 0:
                        with pytest.raises(BadInput, match="sparse weights"):
                            model.run(job.program(1, 1, **{name: said[name] + change}))
            wrong: list[tuple[int, int, int]] = [(0, 0, 0x0F)]
            wrong += [(job.blocks // 16, job.blocks % 16 // 2, 0x10)] if job.blocks % 2 else []
            for word, byte, mask in wrong:
                kept = model.code[3 + word, byte]
                model.code[3 + word, byte] |= mask
                with pytest.raises(BadInput, match="code"):
                    model.run(job.program(1, 1))
                model.code[3 + word, byte] = kept
            model.run(job.program(1, 1))


REFUSED: dict[str, dict[str, Any]] = {
    "the sparse core works on 16 lanes, not 8; set lanes=16": {"sparse": True},
    "sparse_ways must be at most 4, half of sparse_rows, not 8": {"sparse_rows": 8, "sparse_ways": 8},
    "sparse_rows must be an integer in 2..16, not 1": {"sparse_rows": 1},
    "sparse_rows must be a power of two, not 12": {"sparse_rows": 12},
    "sparse_depth must be an integer in 64..4096, not 32": {"sparse_depth": 32},
    "sparse_code_words must be a power of two, not 100": {"sparse_code_words": 100},
    "sparse_narrow must be true or false, not 1": {"sparse_narrow": 1},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_configurations_that_cannot_be(sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        SystemConfig(**REFUSED[sentence])
    assert str(caught.value) == sentence


def test_what_a_configuration_has() -> None:
    without, having = SystemConfig(lanes=16, dsp=False), system(sparse_ways=4, sparse_rows=8, softmax_words=4)
    assert without.engines == ("load", "vec", "store")
    assert having.engines == ("load", "sparse", "vec", "store")
    assert {"columns", "requantise", "raw", "softmax"} == {*having.vec_ops} - {*without.vec_ops}
    assert {*spaces(having)} - {*spaces(without)} == {"acc", "code", "value", "index", "operand"}
    assert [having.load_targets[name].word_bytes for name in ("code", "value", "index")] == [8, 64, 32]
    assert (having.sparse_macs_per_cycle, without.sparse_macs_per_cycle, having.macs_per_cycle) == (128, 0, 0)
    assert [(having.sparse_least(spread), having.sparse_gap(spread)) for spread in (0, 1)] == [(8, 0), (4, 6)]
    for config in (having, *(system(**fields) for fields in CONFIGS.values())):
        for spread in (False, True):
            core = config.sparse_chain
            assert config.sparse_least(spread) == core.least(spread)
            assert config.sparse_gap(spread) == core.gap(spread)
    bits = {m.name: m.copies * m.rows * m.bits for m in memories(having)}
    assert {name: bits[name] for name in ("code", "value", "index", "operand")} == {
        "code": 512 * 64, "value": 1024 * 512, "index": 1024 * 256, "operand": 16 * 512 * 64,
    }  # fmt: skip
    assert block_rams(having, "xilinx")["value"] == 15


def test_macs_are_those_of_all_steps() -> None:
    config = system(sparse_ways=4)
    found = amounts(
        config,
        assemble(
            "sparse.shape blocks=3 rows=5 weight_bits=8\nsparse.stream steps=40 value_rows=1\nsparse.run tiles=2\n"
            "sparse.shape blocks=3 rows=2 weight_bits=8 spread=1\nsparse.run tiles=3\ncontrol.halt"
        ).body,
    )
    assert found.tiles.tolist() == [0, 0, 40, 0, 40, 0]
    assert found.macs.tolist() == [0, 0, 40 * 16 * 5, 0, 40 * 16 * 8, 0]
    assert not found.short.any()
