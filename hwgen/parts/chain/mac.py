"""One multiplier of a chain: weights pass by on a cascade of their own, sums on another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, ClockSignal, Instance, Module, Signal, Value, signed, unsigned
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit
from hwgen.numerics import bits_for_range
from hwgen.parts.chain.canary import canary_counts
from hwgen.parts.chain.style import Style
from hwgen.parts.mult18x18d.rtl import registered_product
from hwgen.parts.packing import Packing
from hwgen.parts.sb_mac16.rtl import registered_pair

__all__ = ["Mac", "mac_shapes", "mac_style"]

_W_PORT, _B_PORT, _P_PORT = 30, 18, 48  # DSP48E1 and DSP48E2: A (and its cascade), B, P


def mac_style(packing: Packing, primitive: bool) -> Style:
    """How a chain of the packing's block is made, or of inferred multipliers of one product."""
    return Style.of(packing.block if primitive else None)


def mac_shapes(packing: Packing, terms: int, primitive: bool) -> dict[str, Any]:
    """Shapes of a chain's ports: packed weight ``w``, packed activation ``a``, packed sum ``p``."""
    style = mac_style(packing, primitive)
    if style.cascade:
        return {"w": signed(_W_PORT), "a": signed(_B_PORT), "p": signed(_P_PORT)}
    if style.pipelined:
        acts = packing.packed_act_bits
        weight = bits_for_range(*packing.packed_weight_range)
        return {
            "w": unsigned(weight - 1) if packing.scheme.lane_bits else signed(weight),
            "a": signed(acts) if packing.act.signed else unsigned(acts),
            "p": signed(packing.packed_sum_bits(terms)),
        }
    low, high = packing.product_range
    return {
        "w": signed(packing.weight.bits) if packing.weight.signed else unsigned(packing.weight.bits),
        "a": signed(packing.act.bits) if packing.act.signed else unsigned(packing.act.bits),
        "p": signed(bits_for_range(low * terms, high * terms)),
    }


class Mac(Unit):
    """``p_out = p_in + active weight × a``.

    Timing: ``a`` and ``swap`` of a cycle meet in the same product, which is in ``p_out`` three cycles later (five,
    pipelined); ``p_in`` is added in the last of them. ``w_out`` shows what ``load`` took a cycle ago.

    Numerics: exact as long as the packing's ``max_terms`` is kept; ``canary_out`` counts the upper fields
    modulo a small power of two, one cycle ahead of ``p_out`` (in step with it, pipelined).

    Parameters
    ----------
    packing : Packing
        Operand formats and placement.
    terms : int
        Length of the chain, for the widths of the generic form.
    primitive : bool
        The packing's block if true, otherwise ``*`` and one product.
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
        With a canary only: low bits of the upper weights, and the counts.
    """

    def __init__(self, packing: Packing, terms: int, *, primitive: bool, head: bool, cascade: bool):
        self.packing = packing
        self.primitive = primitive
        self.head = head
        self.cascade = cascade
        shapes = mac_shapes(packing, terms, primitive)
        self.style = mac_style(packing, primitive)
        self.count_bits = self.style.count_bits(packing)
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
        if self.style.cascade:
            members["p_out"] = Out(shapes["p"])
        if self.count_bits:
            low_bits = self.style.low_bits(packing)
            members["low_in"] = In(low_bits)
            members["low_out"] = Out(low_bits)
            members["canary_out"] = Out(self.count_bits)
            if not head:
                members["canary_in"] = In(self.count_bits)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``mac``, what it multiplies, and its place in the chain."""
        place = ("head" if self.head else "body") + (
            "" if self.cascade or not self.style.cascade else "_first"
        )
        return f"mac_{place}"

    def elaborate(self, platform: Any) -> Module:
        """Build the multiplier."""
        m = Module()
        if self.style.pipelined:
            self._pipelined(m)
        elif self.style.cascade:
            self._dsp48(m)
            if self.count_bits:
                self._canary(m)
        else:
            self._inferred(m)
        return m

    def _pipelined(self, m: Module) -> None:
        # The register in front of the multiplier's own leaves a cycle for the way to it.
        shadow = Signal.like(self.w_in, name="shadow", reset_less=True)
        active = Signal.like(self.w_in, name="active", reset_less=True)
        act = Signal.like(self.a, name="act", reset_less=True)
        total = Signal.like(self.p, name="total", reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.w_in)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += act.eq(self.a)
        product = self._product(m, active, act)
        if self.packing.scheme.lane_bits:
            self._apart(m, total, product)
        else:
            m.d.sync += total.eq(product + (self.packing.bias_word if self.head else self.p_in))
        m.d.comb += [self.w_out.eq(shadow), self.p.eq(total)]
        if not self.count_bits:
            return
        shadow_low = Signal(len(self.low_in), reset_less=True)
        active_low = Signal(len(self.low_in), reset_less=True)
        counts = Signal(self.count_bits, reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow_low.eq(self.low_in)
        with m.If(self.swap):
            m.d.sync += active_low.eq(shadow_low)
        products = canary_counts(m, self.packing, active, active_low, act)
        bits = self.packing.scheme.canary_bits
        for i, low in enumerate(products):
            # Like the sums: every field but the top one starts from the bias.
            start = self.packing.bias % (1 << bits) if i + 1 < len(products) else 0
            before = start if self.head else self.canary_in.word_select(i, bits)
            m.d.sync += counts.word_select(i, bits).eq(low + before)
        m.d.comb += [self.low_out.eq(shadow_low), self.canary_out.eq(counts)]

    def _apart(self, m: Module, total: Signal, products: Value) -> None:
        """Sums of products that the block gives side by side."""
        packing, size = self.packing, 2 * self.packing.scheme.lane_bits
        negative = packing.product_range[0] < 0
        for i in range(len(packing.fields)):
            product: Value = products.word_select(i, size)
            value = product.as_signed() if negative else product
            sum_ = total.word_select(i, packing.scheme.spacing)
            before = 0 if self.head else self.p_in.word_select(i, packing.scheme.spacing)
            m.d.sync += sum_.eq(value + before)

    def _product(self, m: Module, weight: Signal, act: Signal) -> Value:
        """Packed product three registers later, those of the block or of the fabric."""
        if self.packing.scheme.lane_bits:
            return registered_pair(m, weight, act, signed_pair=self.packing.weight.signed)
        if self.style.cell is not None:
            return registered_product(m, weight, act)
        left = Signal.like(weight, name="left", reset_less=True)
        right = Signal.like(act, name="right", reset_less=True)
        product = Signal((weight * act).shape(), reset_less=True)
        result = Signal.like(product, name="result", reset_less=True)
        m.d.sync += [left.eq(weight), right.eq(act), product.eq(left * right), result.eq(product)]
        return result

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

    def _dsp48(self, m: Module) -> None:
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
        parameters, constants, unused = _PARAMETERS, _CONSTANT_INPUTS, _UNUSED_OUTPUTS
        if self.style.cell == "DSP48E1":
            # No W multiplexer, no choice of the pre-adder's operand but on or off, and 25 bits of D.
            ports["i_OPMODE"] = ports["i_OPMODE"][:7]
            parameters = {k: v for k, v in parameters.items() if k not in _PREADDER} | {"USE_DPORT": "FALSE"}
            constants = constants | {"D": (0, 25)}
            unused = {k: v for k, v in unused.items() if k != "XOROUT"}
        for name, width in unused.items():
            ports[f"o_{name}"] = Signal(width, name=f"unused_{name.lower()}")
        m.submodules.dsp = Instance(
            str(self.style.cell),
            **{f"p_{name}": value for name, value in parameters.items()},
            p_A_INPUT="CASCADE" if self.cascade else "DIRECT",
            i_CLK=ClockSignal(),
            **{f"i_{name}": C(value, width) for name, (value, width) in constants.items()},
            **ports,
        )

    def _canary(self, m: Module) -> None:
        bits = self.count_bits
        shadow = Signal(bits, reset_less=True)
        active = Signal(bits, reset_less=True)
        act = Signal(bits, reset_less=True)
        count = Signal(bits, reset_less=True)
        low: Value = self.low_in
        if len(low) < bits and self.packing.weight.signed:
            low = low.as_signed()
        with m.If(self.load):
            m.d.sync += shadow.eq(low)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += act.eq(self.a[:bits])
        m.d.sync += count.eq(active * act if self.head else self.canary_in + active * act)
        m.d.comb += [self.low_out.eq(shadow), self.canary_out.eq(count)]


_PARAMETERS: dict[str, Any] = {
    "ACASCREG": 1, "ADREG": 0, "ALUMODEREG": 0, "AMULTSEL": "A", "AREG": 2, "BCASCREG": 1, "BMULTSEL": "B",
    "BREG": 1, "B_INPUT": "DIRECT", "CARRYINREG": 0, "CARRYINSELREG": 0, "CREG": 0, "DREG": 0, "INMODEREG": 0,
    "MREG": 1, "OPMODEREG": 0, "PREADDINSEL": "A", "PREG": 1, "USE_MULT": "MULTIPLY", "USE_SIMD": "ONE48",
}  # fmt: skip

_PREADDER = ("AMULTSEL", "BMULTSEL", "PREADDINSEL")  # parameters that a DSP48E1 has not

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
