"""Pairs of products from instances of SB_MAC16."""

from __future__ import annotations

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Signal, Value

__all__ = ["registered_pair"]

_LANE = 8
_TIED = (
    "AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT",
    "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN",
)  # fmt: skip


def registered_pair(m: Module, pair: Value, other: Value, *, signed_pair: bool) -> Value:
    """Both halves of ``pair`` times ``other``, 16 bits each, the lower one first, ``PRODUCT_CYCLES`` cycles later.

    Parameters
    ----------
    m : Module
        Where the block goes, as ``multiplier``.
    pair : Value
        Two operands of 8 bits.
    other : Value
        What both are multiplied by, of at most 8 bits, signed or not.
    signed_pair : bool
        Whether the two are two's complement.
    """
    if len(pair) != 2 * _LANE or len(other) > _LANE:
        raise ValueError(
            f"operands must have {2 * _LANE} and at most {_LANE} bits, not {len(pair)} and {len(other)}"
        )
    factor = Signal(_LANE, name="factor")
    products = Signal(4 * _LANE)
    # An output register holds the adder's sum of a product and C, which is zero.
    halves = {
        f"p_{half}{name}": C(value, bits)
        for half in ("TOP", "BOT")
        for name, value, bits in (
            ("_8x8_MULT_REG", 1, 1), ("OUTPUT_SELECT", 1, 2), ("ADDSUB_LOWERINPUT", 1, 2),
            ("ADDSUB_UPPERINPUT", 1, 1), ("ADDSUB_CARRYSELECT", 0, 2),
        )
    }  # fmt: skip
    m.d.comb += factor.eq(other)
    m.submodules.multiplier = Instance(
        "SB_MAC16",
        p_NEG_TRIGGER=C(0, 1),
        p_A_REG=C(1, 1),
        p_B_REG=C(1, 1),
        p_C_REG=C(0, 1),
        p_D_REG=C(0, 1),
        p_PIPELINE_16x16_MULT_REG1=C(0, 1),
        p_PIPELINE_16x16_MULT_REG2=C(0, 1),
        p_MODE_8x8=C(1, 1),
        p_A_SIGNED=C(int(signed_pair), 1),
        p_B_SIGNED=C(int(other.shape().signed), 1),
        **halves,
        i_CLK=ClockSignal(),
        i_CE=C(1, 1),
        i_A=pair,
        i_B=Cat(factor, factor),
        i_C=C(0, 2 * _LANE),
        i_D=C(0, 2 * _LANE),
        **{f"i_{name}": C(0, 1) for name in _TIED},
        o_O=products,
    )
    return products
