"""Cycles of every part of a configuration, without any hardware."""

from __future__ import annotations

from functools import cached_property

from hwgen.cores.softmax.config import PEERS, SoftmaxConfig
from hwgen.cores.softmax.peers import IBERT_FACTOR_BITS
from hwgen.cores.softmax.tables import mantissas, reciprocals, rescale_mantissas
from hwgen.numerics import IntFormat, ceil_log2
from hwgen.parts.elastic.timing import READ_LATENCY, RowsShape
from hwgen.parts.piecewise.table import Table, narrowest
from hwgen.parts.product import product_latency

__all__ = [
    "ALIGN",
    "FRONT",
    "MAXIMUM",
    "NORMALISE",
    "PAIR",
    "PARABOLA",
    "PEER_TERMS",
    "QUOTIENT",
    "RESCALE",
    "RUNNING_SUM",
    "SCALED",
    "Latency",
]

ALIGN = 2
"""Of a shift to fixed point."""

MAXIMUM = 1
"""Of the running maximum, behind the tree over the lanes; what it rose by is there a cycle later."""

FRONT = 2
"""Beats in the queue before rows that may be repeated; one passes in a cycle."""

RUNNING_SUM = 4
"""From a beat's first cycle in the sum to the row's total."""

PAIR = 3
"""Of an addition of numbers with exponents."""

PEER_TERMS = 3
"""From the maximum to what a lane adds, in units that follow it by shifts."""

PARABOLA = 11
"""Of I-BERT's exponential."""

RESCALE = 3
"""Of a sum's product with a factor."""

NORMALISE = 3
"""Of the shift that brings a sum into [1, 2)."""

QUOTIENT = 5
"""From a kept exponential to its result, with a product of one cycle."""

SCALED = 4
"""The same without a division."""


class Latency:
    """Latencies of one configuration, in cycles.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config

    @property
    def levels(self) -> int:
        """Of a tree over the lanes."""
        return ceil_log2(self.config.lanes)

    @property
    def exponential(self) -> int:
        """From a logit in a register to mantissa and exponent."""
        return 1 if self.config.exponential == "table" else self.octaves + self.kernel(mantissas(self.config))

    @property
    def fine_exponential(self) -> int:
        """The same with the mantissas that rescale sums."""
        if self.config.exponential == "table":
            return 1
        return self.octaves + self.kernel(rescale_mantissas(self.config))

    @property
    def octaves(self) -> int:
        """From a logit, or a difference of two, to its octaves."""
        bits = self.config.in_bits + (self.config.variant == "online")
        return self._product(IntFormat(bits, True), IntFormat(self.config.multiplier.bit_length(), False))

    def kernel(self, table: Table) -> int:
        """Of a piecewise table of powers."""
        return table.latency + sum(cycles - 1 for cycles in self.kernel_products(table))

    def kernel_products(self, table: Table) -> list[int]:
        """Of its products, in their order."""
        place = IntFormat(table.step_bits, False)
        formats = [*reversed(table.formats[1:])]
        if table.form == "quadratic":
            formats[1] = narrowest(*table.slopes)
        return [self._product(form, place) for form in formats]

    @property
    def newton(self) -> int:
        """Of the product of a sum and the first value of its reciprocal."""
        first = reciprocals().out
        return self._product(IntFormat(self.config.reciprocal_bits + 1, False), first)

    @property
    def quotient_product(self) -> int:
        """Of a mantissa's product with the reciprocal."""
        config = self.config
        return self._product(
            IntFormat(config.mantissa_bits + 1, False), IntFormat(config.reciprocal_bits + 1, False)
        )

    def _product(self, a: IntFormat, b: IntFormat) -> int:
        return product_latency(a, b, self.config.split)

    @property
    def reciprocal(self) -> int:
        """From a sum to its reciprocal."""
        if self.config.reciprocal == "divider":
            return NORMALISE + self.config.reciprocal_bits + 2
        return NORMALISE + reciprocals().latency + self.newton + 3

    @property
    def store(self) -> int:
        """From a beat's transfer to what is kept of it."""
        variant = self.config.variant
        if variant == "sole":
            return self.maximum + 2
        fixed = {"online": 1, "table_exact": 3, "ibert": PARABOLA, "softermax": 3, "ita": 1}
        return fixed[variant] if variant in fixed else 1 + self.exponential

    @property
    def maximum(self) -> int:
        """From a beat's transfer to the maximum so far, where one is kept."""
        found = 1 if self.config.variant in ("online", "sole", "ita") else self.store
        return found + self.levels + MAXIMUM

    @property
    def rescale_wait(self) -> int:
        """Of ``online``: from the rises of the maximum to the first cycle in the sum's loop.

        The loop needs its factor at once, and what it adds two cycles later.
        """
        return max(1 + self.fine_exponential, self._terms - 2)

    @property
    def term_wait(self) -> int:
        """Of ``online``: how long the sum of a beat's exponentials waits for the loop."""
        return self.rescale_wait + 2 - self._terms

    @property
    def _terms(self) -> int:
        """Of ``online``: from the rises of the maximum to the sum of a beat's exponentials."""
        return self.exponential + ALIGN + self.levels

    @property
    def total(self) -> int:
        """From the transfer of a row's last beat to the sum."""
        variant = self.config.variant
        if variant == "twopass_ext":
            return self.store + PAIR * (self.levels + 3)
        if variant in ("table_exact", "ibert"):
            return self.store + self.levels + 1
        if variant == "unified_max":
            return self.store + 1 + ALIGN + self.levels + 1
        if variant == "online":
            return self.maximum + 1 + self.rescale_wait + 2 * RESCALE + 2
        terms = PEER_TERMS if variant in PEERS else 1 + ALIGN
        return self.maximum + terms + self.levels - 1 + RUNNING_SUM

    @property
    def statistics(self) -> int:
        """From the transfer of a row's last beat to all that the second pass needs."""
        behind = {
            "table_exact": 1,
            "ibert": IBERT_FACTOR_BITS + 1,
            "softermax": 1 + NORMALISE + 2,
            "sole": NORMALISE + 1,
            "ita": self.config.out_bits + 1,
        }
        return self.total + behind.get(self.config.variant, self.reciprocal + 1)

    @property
    def results(self) -> int:
        """From a kept beat to its results."""
        fixed = {"table_exact": self.config.out_bits + 4, "ibert": 3, "softermax": 5, "sole": 4, "ita": 3}
        if self.config.variant in fixed:
            return fixed[self.config.variant]
        again = 1 + self.exponential if self.config.variant == "online" else 0
        return again + (QUOTIENT - 1 + self.quotient_product if self.config.divides else SCALED)

    @cached_property
    def distances(self) -> RowsShape:
        """What decides the cycles of the rows that are searched for their maximum first."""
        return RowsShape(self.config.beats, 1 + self.levels + MAXIMUM, 1)

    @cached_property
    def shape(self) -> RowsShape:
        """What decides the cycles of the rows."""
        if not self.config.may_repeat:
            return RowsShape(self.config.beats, self.statistics, self.results)
        # Rows that go by again join new ones behind the exponentials.
        again, settle = self.statistics - self.store, max(self.store - READ_LATENCY, 0)
        return RowsShape(self.config.beats, self.statistics, self.results, again, settle)

    @property
    def row(self) -> int:
        """From the transfer of a row's last beat to its first result's, when nothing waits."""
        # Distances of a row follow its last logit at once, and its results follow the last distance. Rows that may
        # be repeated wait in a queue for a cycle.
        before = self.distances.latency + self.config.beats - 1 if self.config.finds_maximum else 0
        return before + self.shape.latency + self.config.may_repeat
