"""Products from instances of MULT18X18D."""

from __future__ import annotations

from amaranth.hdl import C, ClockSignal, Instance, Module, Signal, Value, signed

__all__ = ["registered_product"]

_PORT = 18
_STAGES = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")


def registered_product(m: Module, left: Value, right: Value) -> Value:
    """``left * right`` from one block with all its registers, ``PRODUCT_CYCLES`` cycles later.

    The registers have no reset and are always enabled: blocks that share a tile then share their controls too.

    Parameters
    ----------
    m : Module
        Where the block goes, as ``multiplier``.
    left, right : Value
        Operands of at most 18 bits with their sign, 17 without.
    """
    operands: dict[str, Value] = {}
    for name, value in (("A", left), ("B", right)):
        if len(value) > _PORT - (not value.shape().signed):
            raise ValueError(f"an operand must fit {_PORT} bits, signed, not {value.shape()!r}")
        port = Signal(signed(_PORT), name=f"operand_{name.lower()}")
        m.d.comb += port.eq(value)
        operands |= {f"i_{name}{bit}": port[bit] for bit in range(_PORT)}
    product = Signal(signed(2 * _PORT))
    parameters = {"p_GSR": "DISABLED"}
    for stage in _STAGES:
        parameters |= {f"p_REG_{stage}_{part}": f"{part}0" for part in ("CLK", "CE", "RST")}
    m.submodules.multiplier = Instance(
        "MULT18X18D",
        **parameters,
        **operands,
        **{f"i_C{bit}": C(0, 1) for bit in range(_PORT)},
        i_SIGNEDA=C(1, 1),
        i_SIGNEDB=C(1, 1),
        i_SOURCEA=C(0, 1),
        i_SOURCEB=C(0, 1),
        i_CLK0=ClockSignal(),
        i_CE0=C(1, 1),
        i_RST0=C(0, 1),
        **{f"o_P{bit}": product[bit] for bit in range(2 * _PORT)},
    )
    return product
