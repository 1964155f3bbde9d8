"""One sparse product with its operands, as a host hands it to the core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.cores.sparse_chain.shape import ROUND_BITS
from hwgen.cores.sparse_chain.tiling import Cut, Pass, cut
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, IntFormat, ceil_div
from hwgen.parts.sparse import BLOCK, PATTERNS, Pattern, SparseMatrix, prune

__all__ = ["Shape", "SparseProduct", "check_size", "random_products"]


@dataclass(frozen=True)
class Shape:
    """A dense product without numbers, for the cycle model: every block takes all of its slots.

    Parameters
    ----------
    m, n, k : int
        Sizes.
    weight_bits : int
        Width of a weight.
    spread : bool
        Matrix-vector mode.
    """

    m: int
    n: int
    k: int
    weight_bits: int = 8
    spread: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return self.m, self.n, self.k

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product."""
        return self.m * self.n * self.k

    def codes(self, config: SparseChainConfig, part: Pass) -> npt.NDArray[np.uint8]:
        """Codes of a pass' blocks, shape (rounds, blocks)."""
        columns = cut(config, self.m, self.n, self.k, self.spread).round_columns
        dense = next(p for p in PATTERNS if p.n == p.m)
        return np.full((ceil_div(part.n_count, columns), ceil_div(part.k_count, BLOCK)), dense.code, np.uint8)


@dataclass(frozen=True, eq=False)
class SparseProduct:
    """One command: ``C = A · B`` with a sparse B.

    Parameters
    ----------
    a : int array, shape (M, K)
        Activations, int8.
    b : int array, shape (K, N)
        Weights; those that are zero are skipped as far as the patterns allow.
    weight_bits : int
        Width of a weight.
    spread : bool
        Matrix-vector mode: the ways compute neighbouring column tiles of fewer rows.
    patterns : tuple of Pattern
        Those that a block may have.
    fewest : str
        What a block's pattern has the fewest of: ``slots`` (cycles) or ``bytes``.
    """

    a: IntArray
    b: IntArray
    weight_bits: int = 8
    spread: bool = False
    patterns: tuple[Pattern, ...] = PATTERNS
    fewest: Literal["slots", "bytes"] = "slots"
    _packed: dict[tuple[object, ...], SparseMatrix] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return self.a.shape[0], self.b.shape[1], self.a.shape[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product."""
        m, n, k = self.shape
        return m * n * k

    def packed(self, config: SparseChainConfig, part: Pass) -> SparseMatrix:
        """The pass' weights in the sparse format."""
        ways = config.ways if self.spread else 1
        lanes = config.array.shared.columns
        key = (part.n, part.n_count, part.k, part.k_count, ways, lanes)
        if key not in self._packed:
            block = self.b[part.k : part.k + part.k_count, part.n : part.n + part.n_count]
            self._packed[key] = SparseMatrix.pack(
                block,
                bits=self.weight_bits,
                patterns=self.patterns,
                fewest=self.fewest,
                lanes=lanes,
                ways=ways,
            )
        return self._packed[key]

    def codes(self, config: SparseChainConfig, part: Pass) -> npt.NDArray[np.uint8]:
        """Codes of a pass' blocks, shape (rounds, blocks)."""
        return self.packed(config, part).codes

    @classmethod
    def checked(
        cls,
        config: SparseChainConfig,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        weight_bits: int = 8,
        spread: bool = False,
        patterns: Pattern | Iterable[Pattern] = PATTERNS,
    ) -> SparseProduct:
        """A command whose operands the core can take.

        Raises
        ------
        BadInput
            If shapes do not match, a size is out of the command's range, an operand is outside its format, or a block
            of the weights has none of the patterns (row, column and block named).
        """
        if weight_bits not in config.weight_bits:
            raise BadInput(
                f"weight_bits must be {' or '.join(map(str, config.weight_bits))} on this core, not {weight_bits}"
            )
        left = config.act.check(a, "a")
        right = IntFormat(weight_bits, True).check(b, "b")
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise BadInput(
                f"a and b must have shapes (M, K) and (K, N), not {tuple(left.shape)} and {tuple(right.shape)}"
            )
        chosen = (patterns,) if isinstance(patterns, Pattern) else tuple(patterns)
        op = cls(left, right, weight_bits, spread, chosen)
        m, n, k = op.shape
        check_size(config, m, n, k)
        for part in op.cut(config).passes():
            op.packed(config, part)
        return op

    def cut(self, config: SparseChainConfig) -> Cut:
        """How the core walks it."""
        return cut(config, *self.shape, self.spread)


def check_size(config: SparseChainConfig, m: int, n: int, k: int) -> None:
    """Refuse sizes that a command has no room for.

    Raises
    ------
    BadInput
        With the size and its range.
    """
    most = (1 << config.size_bits) - 1
    rounds = ((1 << ROUND_BITS) - 1) * config.array.tile
    for name, size, limit in (("M", m, most), ("N", n, min(most, rounds)), ("K", k, most)):
        if not 1 <= size <= limit:
            raise BadInput(f"{name} must lie in 1..{limit} (size_bits is {config.size_bits}), not {size}")


def random_products(config: SparseChainConfig, count: int, rng: np.random.Generator) -> list[SparseProduct]:
    """Commands around the edges: size one, several passes and groups, every pattern, widths and modes in turn."""
    ceiling = (1 << config.size_bits) - 1
    deep = config.pass_blocks * BLOCK

    def near(*units: int) -> int:
        unit = int(rng.choice(units))
        choices = [1, unit, unit + 1, max(1, unit - 1), int(rng.integers(1, 2 * unit, endpoint=True))]
        return min(int(rng.choice(choices)), ceiling)

    ops: list[SparseProduct] = []
    while len(ops) < count:
        spread = bool(rng.integers(2)) and config.ways > 1
        bits = int(rng.choice(config.weight_bits))
        columns = cut(config, 1, 1, 1, spread).round_columns
        m, n = (
            near(config.rows // (config.ways if spread else 1), config.rows),
            near(columns, BLOCK, 2 * columns),
        )
        k = near(BLOCK, 3 * BLOCK, min(deep, 160), min(2 * deep, 320))
        weights = IntFormat(bits, True).random(rng, (k, n))
        ops.append(
            SparseProduct(
                config.act.random(rng, (m, k)),
                _pruned(config, weights, rng, config.ways if spread else 1),
                bits,
                spread,
            )
        )
    lowest = IntFormat(config.weight_bits[-1], True).low
    k = min(2 * deep, 320, ceiling)
    a = np.full((min(config.rows + 1, ceiling), k), -128, np.int64)
    b = np.full((k, min(BLOCK, ceiling)), lowest, np.int64)
    extreme = SparseProduct(a, b, config.weight_bits[-1])
    return [ops[0], extreme, *ops[1:]][:count]


def _pruned(config: SparseChainConfig, weights: IntArray, rng: np.random.Generator, ways: int) -> IntArray:
    """Weights of which every block has a pattern of its own."""
    lanes = config.array.shared.columns
    kind = rng.random()
    if kind < 0.1:
        return weights
    if kind < 0.2:
        return weights * 0
    columns = BLOCK * lanes
    shape = (ceil_div(weights.shape[1], columns), ceil_div(weights.shape[0], BLOCK))
    codes = rng.choice(len(PATTERNS), shape, p=_shares(rng))
    pruned: IntArray = np.asarray(prune(weights, codes, lanes=lanes), np.int64)
    return pruned


def _shares(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """How often each pattern comes: sometimes mostly empty blocks."""
    return rng.dirichlet(np.full(len(PATTERNS), 0.6))
