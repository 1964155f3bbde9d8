"""One multiplier of a chain: weights pass by on a cascade of their own, sums on another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, ClockSignal, Instance, Module, Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import bits_for_range
from hwgen.parts.packing import Packing

__all__ = ["Mac", "mac_shapes"]

_W_PORT, _B_PORT, _P_PORT = 30, 18, 48  # DSP48E2: A (and its cascade), B, P


def mac_shapes(packing: Packing, terms: int, primitive: bool) -> dict[str, Any]:
    """Shapes of a chain's ports: packed weight ``w``, packed activation ``a``, packed sum ``p``."""
    if primitive:
        return {"w": signed(_W_PORT), "a": signed(_B_PORT), "p": signed(_P_PORT)}
    low, high = packing.product_range
    return {
        "w": signed(packing.weight.bits) if packing.weight.signed else unsigned(packing.weight.bits),
        "a": signed(packing.act.bits) if packing.act.signed else unsigned(packing.act.bits),
        "p": signed(bits_for_range(low * terms, high * terms)),
    }


class Mac(Unit):
    """``p_out = p_in + active weight × a``.

    Timing: ``a`` and ``swap`` of a cycle meet in the same product, which is in ``p_out`` three cycles later;
    ``p_in`` is added in the last of them. ``w_out`` shows what ``load`` took a cycle ago.

    Numerics: exact as long as the packing's ``max_terms`` is kept; ``canary_out`` counts the upper field
    modulo a small power of two, one cycle ahead of ``p_out``.

    Parameters
    ----------
    packing : Packing
        Operand formats and placement.
    terms : int
        Length of the chain, for the widths of the generic form.
    primitive : bool
        A DSP48E2 instance if true, otherwise ``*``.
    head : bool
        Starts a sum (from the packing's bias) instead of continuing ``p_in``.
    cascade : bool
        Whether ``w_in`` comes from the DSP block below (its cascade port) or from the fabric.

    Members
    -------
    w_in, w_out : In, Out
        Packed weight on its way along the chain.
    load, swap : In(1)
        Take ``w_in``; make what was taken the active weight.
    a : In
        Packed activation.
    p_in, p_out : In, Out
        Cascade of partial sums; ``p`` is the same for the fabric.
    low_in, low_out, canary_in, canary_out : In, Out
        With a canary only: low bits of the upper weight, and the count.
    """

    def __init__(self, packing: Packing, terms: int, *, primitive: bool, head: bool, cascade: bool):
        self.packing = packing
        self.primitive = primitive
        self.head = head
        self.cascade = cascade
        shapes = mac_shapes(packing, terms, primitive)
        self.canary_bits = packing.scheme.canary_bits if primitive else 0
        members = {
            "w_in": In(shapes["w"]),
            "w_out": Out(shapes["w"]),
            "load": In(1),
            "swap": In(1),
            "a": In(shapes["a"]),
            "p": Out(shapes["p"]),
        }
        if not head:
            members["p_in"] = In(shapes["p"])
        if primitive:
            members["p_out"] = Out(shapes["p"])
        if self.canary_bits:
            members["low_in"] = In(self.canary_bits)
            members["low_out"] = Out(self.canary_bits)
            members["canary_out"] = Out(self.canary_bits)
            if not head:
                members["canary_in"] = In(self.canary_bits)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``mac``, what it multiplies, and its place in the chain."""
        place = ("head" if self.head else "body") + ("" if self.cascade or not self.primitive else "_first")
        return f"mac_{place}"

    def elaborate(self, platform: Any) -> Module:
        """Build the multiplier."""
        m = Module()
        if self.primitive:
            self._dsp48e2(m)
        else:
            self._inferred(m)
        if self.canary_bits:
            self._canary(m)
        return m

    def _inferred(self, m: Module) -> None:
        active = Signal.like(self.w_in, name="active", reset_less=True)
        act = Signal.like(self.a, name="act", reset_less=True)
        product = Signal((self.w_in * self.a).shape(), reset_less=True)
        shadow = Signal.like(self.w_in, name="shadow", reset_less=True)
        total = Signal.like(self.p, name="total", reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.w_in)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += [act.eq(self.a), product.eq(active * act)]
        m.d.sync += total.eq(product if self.head else self.p_in + product)
        m.d.comb += [self.w_out.eq(shadow), self.p.eq(total)]

    def _dsp48e2(self, m: Module) -> None:
        # A1 is the shadow weight (and feeds the cascade), A2 the active one; B2, M and P are pipeline
        # registers. OPMODE: W = 0, Z = C or PCIN, X and Y = M.
        wide = "i_ACIN" if self.cascade else "i_A"
        ports: dict[str, Any] = {
            wide: self.w_in,
            "i_B": self.a,
            "i_OPMODE": C(0b00_011_01_01 if self.head else 0b00_001_01_01, 9),
            "i_C": C(self.packing.bias_word if self.head else 0, _P_PORT),
            "i_CEA1": self.load,
            "i_CEA2": self.swap,
            "o_ACOUT": self.w_out,
            "o_PCOUT": self.p_out,
            "o_P": self.p,
        }
        if not self.cascade:
            ports["i_ACIN"] = C(0, 30)
        else:
            ports["i_A"] = C(0, 30)
        ports["i_PCIN"] = C(0, _P_PORT) if self.head else self.p_in
        for name, width in _UNUSED_OUTPUTS.items():
            ports[f"o_{name}"] = Signal(width, name=f"unused_{name.lower()}")
        m.submodules.dsp = Instance(
            "DSP48E2",
            **{f"p_{name}": value for name, value in _PARAMETERS.items()},
            p_A_INPUT="CASCADE" if self.cascade else "DIRECT",
            i_CLK=ClockSignal(),
            **{f"i_{name}": C(value, width) for name, (value, width) in _CONSTANT_INPUTS.items()},
            **ports,
        )

    def _canary(self, m: Module) -> None:
        shadow = Signal(self.canary_bits, reset_less=True)
        active = Signal(self.canary_bits, reset_less=True)
        act = Signal(self.canary_bits, reset_less=True)
        count = Signal(self.canary_bits, reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.low_in)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += act.eq(self.a[: self.canary_bits])
        m.d.sync += count.eq(active * act if self.head else self.canary_in + active * act)
        m.d.comb += [self.low_out.eq(shadow), self.canary_out.eq(count)]


_PARAMETERS: dict[str, Any] = {
    "ACASCREG": 1, "ADREG": 0, "ALUMODEREG": 0, "AMULTSEL": "A", "AREG": 2, "BCASCREG": 1, "BMULTSEL": "B",
    "BREG": 1, "B_INPUT": "DIRECT", "CARRYINREG": 0, "CARRYINSELREG": 0, "CREG": 0, "DREG": 0, "INMODEREG": 0,
    "MREG": 1, "OPMODEREG": 0, "PREADDINSEL": "A", "PREG": 1, "USE_MULT": "MULTIPLY", "USE_SIMD": "ONE48",
}  # fmt: skip

_CONSTANT_INPUTS = {
    "ALUMODE": (0, 4), "BCIN": (0, 18), "CARRYCASCIN": (0, 1), "CARRYIN": (0, 1), "CARRYINSEL": (0, 3),
    "CEAD": (0, 1), "CEALUMODE": (0, 1), "CEB1": (0, 1), "CEB2": (1, 1), "CEC": (0, 1), "CECARRYIN": (0, 1),
    "CECTRL": (0, 1), "CED": (0, 1), "CEINMODE": (0, 1), "CEM": (1, 1), "CEP": (1, 1), "D": (0, 27),
    "INMODE": (0, 5), "MULTSIGNIN": (0, 1), "RSTA": (0, 1), "RSTALLCARRYIN": (0, 1), "RSTALUMODE": (0, 1),
    "RSTB": (0, 1), "RSTC": (0, 1), "RSTCTRL": (0, 1), "RSTD": (0, 1), "RSTINMODE": (0, 1), "RSTM": (0, 1),
    "RSTP": (0, 1),
}  # fmt: skip

_UNUSED_OUTPUTS = {
    "BCOUT": 18, "CARRYCASCOUT": 1, "CARRYOUT": 4, "MULTSIGNOUT": 1, "OVERFLOW": 1, "PATTERNBDETECT": 1,
    "PATTERNDETECT": 1, "UNDERFLOW": 1, "XOROUT": 8,
}  # fmt: skip
