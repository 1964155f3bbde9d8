"""The order in which the core walks a product: what a host must send, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.cores.sparse_chain.config import SparseChainConfig
from hwgen.numerics import ceil_div
from hwgen.parts.sparse import BLOCK

__all__ = ["Cut", "Pass", "cut"]


@dataclass(frozen=True)
class Pass:
    """Some blocks of K for a tile of rows and a group of column tiles.

    Parameters
    ----------
    n, n_count : int
        First column of C and how many.
    m, m_count : int
        First row of C and how many.
    k, k_count : int
        First term of the sums and how many.
    first, last, end : bool
        Whether it begins and ends the sums, and ends the command.
    """

    n: int
    n_count: int
    m: int
    m_count: int
    k: int
    k_count: int
    first: bool
    last: bool
    end: bool


@dataclass(frozen=True)
class Cut:
    """How an M x N x K product is cut.

    Parameters
    ----------
    m, n, k : int
        Sizes.
    rows : int
        Rows of C per tile.
    round_columns : int
        Columns of C per round.
    group_rounds : int
        Rounds per group: as many as have accumulators, if K takes several passes.
    pass_blocks : int
        Blocks of K per pass; passes are balanced.
    """

    m: int
    n: int
    k: int
    rows: int
    round_columns: int
    group_rounds: int
    pass_blocks: int

    @property
    def rounds(self) -> int:
        """Rounds of all groups."""
        return ceil_div(self.n, self.round_columns)

    def passes(self) -> Iterator[Pass]:
        """Groups outermost, then tiles of rows, then passes."""
        width, deep = self.group_rounds * self.round_columns, self.pass_blocks * BLOCK
        for n in range(0, self.n, width):
            for m in range(0, self.m, self.rows):
                for k in range(0, self.k, deep):
                    last = k + deep >= self.k
                    yield Pass(
                        n,
                        min(width, self.n - n),
                        m,
                        min(self.rows, self.m - m),
                        k,
                        min(deep, self.k - k),
                        k == 0,
                        last,
                        last and m + self.rows >= self.m and n + width >= self.n,
                    )


def cut(config: SparseChainConfig, m: int, n: int, k: int, spread: bool) -> Cut:
    """The cut of a product on a core."""
    ways = config.ways if spread else 1
    columns = config.array.tile * ways
    rounds, blocks = ceil_div(n, columns), ceil_div(k, BLOCK)
    passes = ceil_div(blocks, config.pass_blocks)
    groups = 1
    if passes > 1:
        groups = ceil_div(rounds, config.sum_words // config.array.words)
    return Cut(m, n, k, config.rows // ways, columns, ceil_div(rounds, groups), ceil_div(blocks, passes))
