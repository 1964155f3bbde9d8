"""One GEMM with its operands, as a host hands it to the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.numerics import IntArray

__all__ = ["Gemm", "check_kept", "check_size", "random_gemms"]


@dataclass(frozen=True, eq=False)
class Gemm:
    """One command.

    Parameters
    ----------
    a : int array, shape (M, K)
        Activations.
    b : int array, shape (K, N)
        Weights.
    accumulate : bool
        Add to the sums that the previous command kept.
    keep : bool
        Leave the sums in the accumulators; nothing is sent.
    """

    a: IntArray
    b: IntArray
    accumulate: bool = False
    keep: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return self.a.shape[0], self.b.shape[1], self.a.shape[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates: M·N·K."""
        m, n, k = self.shape
        return m * n * k

    @classmethod
    def checked(
        cls,
        config: DspGemmConfig,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        accumulate: bool = False,
        keep: bool = False,
    ) -> Gemm:
        """A command whose operands the core can take.

        Raises
        ------
        BadInput
            If shapes do not match, a size is out of the command's range, an operand is outside its format
            (value and index named), or sums are kept over more than one tile.
        """
        left = config.act.check(a, "a")
        right = config.weight.check(b, "b")
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise BadInput(
                f"a and b must have shapes (M, K) and (K, N), not {tuple(left.shape)} and {tuple(right.shape)}"
            )
        op = cls(left, right, accumulate, keep)
        m, n, k = op.shape
        check_size(config, m, n, k)
        rows = config.tile_steps * config.m_lanes
        if (accumulate or keep) and (m > rows or n > config.n_lanes):
            raise BadInput(
                f"sums stay in the accumulators only within one tile of {rows} × {config.n_lanes}, "
                f"not {m} × {n}; split the GEMM or send its result"
            )
        return op


def check_size(config: DspGemmConfig, m: int, n: int, k: int) -> None:
    """Refuse sizes that a command has no room for.

    Raises
    ------
    BadInput
        With the size and its range.
    """
    limit = (1 << config.size_bits) - 1
    for name, size in zip("MNK", (m, n, k), strict=True):
        if not 1 <= size <= limit:
            raise BadInput(f"{name} must lie in 1..{limit} (size_bits is {config.size_bits}), not {size}")


def check_kept(operations: Sequence[Gemm]) -> None:
    """Refuse a command that adds to sums which the command before did not keep.

    Raises
    ------
    BadInput
        If that command sent its sums, has another M or N, or does not exist.
    """
    for i, op in enumerate(operations):
        before = operations[i - 1] if i else None
        if op.accumulate and not (before and before.keep and before.shape[:2] == op.shape[:2]):
            m, n, _ = op.shape
            raise BadInput(
                f"command {i} adds to {m} × {n} sums that the command before it did not keep; "
                "give that one keep=True and the same M and N"
            )


def random_gemms(config: DspGemmConfig, count: int, rng: np.random.Generator) -> list[Gemm]:
    """Commands around the array's edges: size one, exact multiples, one more, one less, K split in two."""

    def size(unit: int, ceiling: int) -> int:
        choices = [
            1,
            unit,
            unit + 1,
            max(1, unit - 1),
            2 * unit,
            int(rng.integers(1, 3 * unit, endpoint=True)),
        ]
        return min(int(rng.choice(choices)), ceiling)

    ceiling = (1 << config.size_bits) - 1
    rows = config.tile_steps * config.m_lanes
    ops: list[Gemm] = []
    while len(ops) < count:
        m = size(max(1, rows if rows <= 64 and rng.random() < 0.5 else config.rows), ceiling)
        n, k = size(config.n_lanes, ceiling), size(config.rows, ceiling)
        if rng.random() < 0.02 and rows <= 256:
            m, n = min(2 * rows + int(rng.integers(0, rows)), ceiling), min(n, config.n_lanes)
        ops.append(Gemm(config.act.random(rng, (m, k)), config.weight.random(rng, (k, n))))
        if rng.random() < 0.15:  # the same tile once more, its sum over K split between two commands
            m, n = min(m, rows), min(n, config.n_lanes)
            for accumulate in (False, True):
                k = size(config.rows, ceiling)
                a, b = config.act.random(rng, (m, k)), config.weight.random(rng, (k, n))
                ops.append(Gemm(a, b, accumulate=accumulate, keep=not accumulate))
    corner = (config.act.low, config.weight.low)
    k = min(2 * config.rows + 1, ceiling)
    a = np.full((min(config.m_lanes + 1, ceiling), k), corner[0], np.int64)
    b = np.full((k, min(config.n_lanes, ceiling)), corner[1], np.int64)
    return [ops[0], Gemm(a, b), *ops[1:]][:count]
