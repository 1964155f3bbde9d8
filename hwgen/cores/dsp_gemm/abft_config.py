"""Checksums of the dense GEMM core: which, and every number that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.cores.dsp_gemm.config import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.numerics import IntFormat, bits_for_range, ceil_div, ceil_log2

__all__ = ["SUM_BITS", "AbftConfig", "tree_registers"]

SUM_BITS = 32
"""Width of the core's accumulators: all checksums are kept modulo two to this."""

_COMPARE = (
    4  # cycles: the comparison, the checker's output, the register around it, the sticky one at the top
)


def tree_registers(terms: int) -> int:
    """Register stages of an adder tree with one after every two levels."""
    return ceil_div(ceil_log2(terms), 2)


@dataclass(frozen=True)
class AbftConfig:
    """A checker of a core.

    Parameters
    ----------
    core : DspGemmConfig
        What it watches.
    rows : bool
        Whether the sum over each row of C is checked, with every step.
    columns : bool
        Whether the sum over each column of C is checked, with every tile.
    """

    core: DspGemmConfig
    rows: bool = True
    columns: bool = False

    def __post_init__(self) -> None:
        if self.core.pipelined:
            raise BadInput(
                f"the checker follows cores with results straight from their buffer, and those of target "
                f"{self.core.target} are queued; choose generic, xilinx7 or ultrascale+, or another protection"
            )
        if not (self.rows or self.columns):
            raise BadInput("a checker needs something to check; choose rows, columns or both")

    @property
    def name(self) -> str:
        """What it checks, in a word."""
        return "both" if self.rows and self.columns else "rows" if self.rows else "columns"

    # Rows: the row sums of B are one more column of B, and A times that column is what the rows of C add up to.

    @property
    def weight_sum(self) -> IntFormat:
        """Format of the sum over a row of B."""
        weight = self.core.weight
        return IntFormat(weight.bits + ceil_log2(self.core.n_lanes), weight.signed)

    @property
    def weight_delay(self) -> int:
        """Cycles that a row sum of weights takes more than a weight: the last two levels end in its register."""
        return max(0, tree_registers(self.core.n_lanes) - 1)

    @property
    def field_bits(self) -> int:
        """Width that holds one pass's share of a row checksum; the distance of two in one multiplier."""
        act, weight = self.core.act, self.weight_sum
        values = [a * w for a in (act.low, act.high) for w in (weight.low, weight.high)]
        low, high = self.core.rows * min(values), self.core.rows * max(values)
        return bits_for_range(low, high) if low < 0 else high.bit_length()

    @property
    def sum_delay(self) -> int:
        """Cycles from a step's activations being taken to their sum of products."""
        return self.weight_delay + 2 + tree_registers(self.core.rows)

    @property
    def expected_delay(self) -> int:
        """Cycles from a step's activations being taken to its checksum being offered, none waiting before it."""
        return self.sum_delay + 3

    @property
    def result_registers(self) -> int:
        """Register stages of the sum over a row of C."""
        return max(1, tree_registers(self.core.n_lanes))

    @property
    def row_latency(self) -> int:
        """Cycles from a wrong beat of C being handed over to ``fault_detected``; always."""
        return self.result_registers + _COMPARE

    # Columns: the weights of a pass wait until the activations have been added up, then one row of B goes through.

    @property
    def act_sum(self) -> IntFormat:
        """Format of the sum over a column of A, of one pass."""
        core = self.core
        return IntFormat(core.act.bits + ceil_log2(core.tile_steps * core.m_lanes), core.act.signed)

    @property
    def ring_depth(self) -> int:
        """Rows of B that may have to wait.

        With no pass waiting they are those of the pass that runs and of the one that is being loaded. With one
        waiting a row is done in every cycle, and no more than one comes.
        """
        return 1 << ceil_log2(2 * self.core.rows + 8)

    @property
    def job_depth(self) -> int:
        """Passes whose activations may have to wait.

        Two of ``rows`` rows at once at most; then, of one row each, one in two cycles, while one row is done in each.
        """
        return 1 << ceil_log2(self.core.rows + 8)

    @property
    def column_latency(self) -> int:
        """Cycles from the last beat of an epoch to ``fault_detected`` if it told of an error there.

        The products of the epoch's last pass may end later than the beat does: then it counts from them.
        """
        return 3 + _COMPARE

    @property
    def product_delay(self) -> int:
        """Most cycles from an epoch's last activations being taken to the last product of its column checksums."""
        return 2 * self.core.rows + 8

    @property
    def epoch_beats(self) -> int:
        """Most beats of C of an epoch: one begins while another waits for what the core still holds."""
        return self.core.result_depth + 1 + 2 * self.core.tile_steps
