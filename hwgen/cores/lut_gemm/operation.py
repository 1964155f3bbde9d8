"""One GEMM with its operands, as a host hands it to the core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.cores.lut_gemm.config import LutGemmConfig
from hwgen.cores.lut_gemm.operand import KINDS, Operand
from hwgen.errors import BadInput
from hwgen.numerics import IntArray, ceil_div

__all__ = ["Gemm", "check_size", "random_gemms"]


@dataclass(frozen=True, eq=False)
class Gemm:
    """One command.

    Parameters
    ----------
    a : int array, shape (M, K)
        Values of A, of format ``a_format``.
    b : int array, shape (K, N)
        Values of B, of format ``b_format``.
    a_format, b_format : Operand
        Kinds and widths.
    """

    a: IntArray
    b: IntArray
    a_format: Operand
    b_format: Operand

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
        config: LutGemmConfig,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        a_format: Operand,
        b_format: Operand,
    ) -> Gemm:
        """A command that the core can take.

        Raises
        ------
        BadInput
            If shapes do not match, a size is out of the command's range, a value is outside its format (value
            and index named), or the bit planes do not fit the buffers.
        """
        left, right = a_format.check(a, "a"), b_format.check(b, "b")
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise BadInput(
                f"a and b must have shapes (M, K) and (K, N), not {tuple(left.shape)} and {tuple(right.shape)}"
            )
        op = cls(left, right, a_format, b_format)
        check_size(config, *op.shape, a_format.bits, b_format.bits)
        return op


def check_size(config: LutGemmConfig, m: int, n: int, k: int, a_bits: int, b_bits: int) -> None:
    """Refuse a GEMM whose sizes a command has no room for, or whose bit planes do not fit the buffers.

    Raises
    ------
    BadInput
        With the size and its range, or the words that are needed and there.
    """
    limit = (1 << config.size_bits) - 1
    for name, size in zip("MNK", (m, n, k), strict=True):
        if not 1 <= size <= limit:
            raise BadInput(f"{name} must lie in 1..{limit} (size_bits is {config.size_bits}), not {size}")
    blocks, tiles = ceil_div(k, config.dk), ceil_div(n, config.dn)
    needs = f"{blocks} block{'s'[: blocks != 1]} of {config.dk} along K"
    if a_bits * blocks > config.a_words:
        raise BadInput(
            f"a row of A has {a_bits} bit planes × {needs} = {a_bits * blocks} words, but a_words is "
            f"{config.a_words}; split K"
        )
    if tiles * b_bits * blocks > config.b_words:
        raise BadInput(
            f"B has {tiles} tile{'s'[: tiles != 1]} of {config.dn} columns × {b_bits} bit planes × {needs} = "
            f"{tiles * b_bits * blocks} words, but b_words is {config.b_words}; split N or K"
        )


def _random_operand(rng: np.random.Generator) -> Operand:
    kind = KINDS[int(rng.integers(4))]
    return Operand(kind, {"bipolar": 1, "ternary": 2}.get(kind) or int(rng.choice([1, 2, 3, 4, 5, 8, 8])))


def random_gemms(config: LutGemmConfig, count: int, rng: np.random.Generator) -> list[Gemm]:
    """Commands around the array's edges in random formats, extreme operands among them."""
    limit = (1 << config.size_bits) - 1

    def near(unit: int, ceiling: int) -> int:
        choices = [1, unit - 1, unit, unit + 1, 2 * unit, int(rng.integers(1, 3 * unit, endpoint=True))]
        return max(1, min(int(rng.choice(choices)), ceiling, limit))

    ops: list[Gemm] = []
    while len(ops) < count:
        a_format, b_format = _random_operand(rng), _random_operand(rng)
        k = near(config.dk, config.dk * min(config.a_words // a_format.bits, config.b_words // b_format.bits))
        blocks = ceil_div(k, config.dk)
        n = near(config.dn, config.dn * (config.b_words // (b_format.bits * blocks)))
        m = near(config.dm, limit)
        ops.append(Gemm(a_format.random(rng, (m, k)), b_format.random(rng, (k, n)), a_format, b_format))
    if count > 1:  # every product the largest there is
        a_format, b_format = Operand("signed", 8), Operand("unsigned", 8)
        m, k = min(config.dm + 1, limit), min(config.dk, limit)
        a, b = np.full((m, k), a_format.low, np.int64), np.full((k, 1), b_format.high, np.int64)
        ops[1] = Gemm(a, b, a_format, b_format)
    return ops
