"""A piecewise polynomial whose products are cut into those of the target's multipliers."""

from __future__ import annotations

from amaranth.hdl import Module, Value, signed, unsigned

from hwgen.cores.softmax.stages import register
from hwgen.parts.delay import delay
from hwgen.parts.piecewise.rtl import Piecewise
from hwgen.parts.piecewise.table import Table, narrowest
from hwgen.parts.product import product_latency
from hwgen.parts.product.rtl import format_of, multiply

__all__ = ["SplitPiecewise"]


class SplitPiecewise(Piecewise):
    """As :class:`~hwgen.parts.piecewise.rtl.Piecewise`, for multipliers that are too small for its products.

    Timing: ``y`` belongs to the ``x`` of ``Latency.kernel`` cycles before.

    Parameters
    ----------
    name, table
        As for the base; segments of one length.
    port : int
        Wider operand of the target's multipliers.
    """

    def __init__(self, name: str, table: Table, port: int | None):
        assert table.direct
        assert table.form in ("linear", "quadratic")
        self.port = port
        super().__init__(name, table)

    def _polynomial(self, m: Module, entry: Value, u: Value) -> Value:
        """Horner's rule. All coefficients are read a cycle early: small LUTs make no table and adder in one."""
        table = self.table
        degree = len(table.coefficients) - 1
        factor = self._coefficient(m, degree, entry, registered=True)
        u, entry = register(m, f"u_{degree}", u), register(m, f"entry_{degree}", entry)
        while True:
            found = multiply(m, f"product_{degree}", factor, u, self.port)
            cycles = product_latency(format_of(factor), format_of(u), self.port)
            degree -= 1
            early = delay(m, entry, cycles - 1, name=f"entry_{degree}_early")
            total = (found >> table.unit_bits) + self._coefficient(m, degree, early, registered=True)
            if degree == 0:
                return total >> table.guard
            form = narrowest(*table.slopes)
            factor = register(m, f"factor_{degree}", total, (signed if form.signed else unsigned)(form.bits))
            u = delay(m, u, cycles + 1, name=f"u_{degree}")
            entry = delay(m, early, 2, name=f"entry_{degree}")
