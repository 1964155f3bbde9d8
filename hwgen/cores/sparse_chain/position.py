"""One position of a chain: activations by number, a multiplier, and sums that stay in it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.sparse_chain.shape import ChainShape
from hwgen.emit import Unit
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.select import words_of

__all__ = ["ACT_BITS", "Position", "position_bits"]

ACT_BITS = 8


def position_bits(shape: ChainShape) -> tuple[int, int]:
    """Width of the sums as they stand in a position, and of the counts beside them, which come a cycle later."""
    if not shape.primitive:
        return shape.shared.words * shape.sum_bits, 0
    shared = shape.shared
    lower = shared.words - 1
    # The top field may lose what does not belong to its sum: it is taken modulo the sum's width.
    return lower * shared.spacing + shape.sum_bits, lower * shape.wrap_bits(shared.spacing)


class Position(Unit):
    """The sparse multiplexer, and two or more multiply-accumulates on one multiplier.

    The multiplexer is a memory of the activations, read by the number of the activation that a slot wants. Every
    position of a chain has its own copy, so that all can want different ones. The sums stay where they are for a whole
    round, whatever the patterns of its blocks: a position is an output.

    On a DSP48E2 the products of one multiplier lie side by side in one accumulator. A sum that leaves its field carries
    into the next one; the *overflow adjust unit* beside it counts how often, and the reduction node puts both together.

    Members
    -------
    fill_en, fill_address, fill_data : In
        An activation of each of the chain's rows.
    address : In
        Activation that the slot wants.
    weight : In
        Its weights, a cycle after the address.
    first : In(1)
        The slot begins new sums, a cycle after the address.
    sums : Out
        Five cycles after the address: the sums, packed or side by side.
    wraps : Out
        A cycle later: times that each sum but the top one has left its field, two's complement.
    """

    def __init__(self, shape: ChainShape):
        self.shape = shape
        sums, wraps = position_bits(shape)
        members: dict[str, Any] = {
            "fill_en": In(1), "fill_address": In(index_bits(shape.depth)),
            "fill_data": In(ACT_BITS * shape.shared.rows), "address": In(index_bits(shape.depth)),
            "weight": In(shape.slot_bits), "first": In(1), "sums": Out(sums),
        }  # fmt: skip
        if wraps:
            members["wraps"] = Out(wraps)
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``nm_position``."""
        return "nm_position"

    def elaborate(self, platform: Any) -> Module:
        """Build memory, multiplier and counts."""
        m = Module()
        acts = self._activations(m)
        if not self.shape.primitive:
            self._inferred(m, acts)
        else:
            self._dsp48e2(m, acts)
        return m

    def _activations(self, m: Module) -> list[Value]:
        """What the slot wants, a cycle after its address."""
        shape = self.shape
        # What is filled is not read before its pass begins.
        attrs: dict[str, Any] = {"no_rw_check": 1}
        if shape.depth >= 128:
            attrs["ram_style"] = "block"
        # A slot without a weight may point to a row that was never filled: zero times any number is zero, but not zero
        # times X.
        attrs["zeroed"] = 1
        memory: Memory[Any, Any] = Memory(
            shape=ACT_BITS * shape.shared.rows, depth=shape.depth, init=[], attrs=attrs
        )
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        m.d.comb += [
            write.en.eq(self.fill_en),
            write.addr.eq(self.fill_address),
            write.data.eq(self.fill_data),
            read.addr.eq(self.address),
        ]
        return [read.data[ACT_BITS * i : ACT_BITS * (i + 1)].as_signed() for i in range(shape.shared.rows)]

    def _inferred(self, m: Module, acts: list[Value]) -> None:
        """A multiplier per row, with the registers that a DSP block has."""
        shape = self.shape
        weight = Signal(signed(shape.shared.weight_bits), name="weight_taken", reset_less=True)
        weight_was = Signal(signed(shape.shared.weight_bits), name="weight_was", reset_less=True)
        m.d.sync += [weight.eq(self.weight), weight_was.eq(weight)]
        first = delay(m, self.first, 3)
        sums = []
        for i, act in enumerate(acts):
            taken = Signal(signed(ACT_BITS), name=f"act_{i}", reset_less=True)
            held = Signal(signed(ACT_BITS), name=f"act_{i}_was", reset_less=True)
            product = Signal(
                signed(ACT_BITS + shape.shared.weight_bits), name=f"product_{i}", reset_less=True
            )
            total = Signal(signed(shape.sum_bits), name=f"sum_{i}", reset_less=True)
            m.d.sync += [
                taken.eq(act),
                held.eq(taken),
                product.eq(held * weight_was),
                total.eq(Mux(first, 0, total) + product),
            ]
            sums.append(total)
        m.d.comb += self.sums.eq(Cat(sums))

    def _dsp48e2(self, m: Module, acts: list[Value]) -> None:
        """One DSP block, its accumulator split into fields."""
        p = Signal(48, name="p")
        if self.shape.shared.rows == 2:
            # The pre-adder joins two activations; B1 and B2 keep the weight for the two cycles of A and AD.
            wide = (Cat(C(0, self.shape.shared.spacing), acts[1]).as_signed(), acts[0], 0b00100)
            narrow: Value = self.weight.as_signed()
        else:
            # The pre-adder joins weights: D holds their bits as if they were not negative, and A is what their signs
            # take away.
            bits = self.shape.shared.weight_bits
            gap = C(0, self.shape.shared.spacing - bits)
            weights = words_of(self.weight, bits)
            signs = Cat(C(0, bits), *(Cat(one[-1], C(0, self.shape.shared.spacing - 1)) for one in weights))
            wide = (signs[:27], Cat(*(Cat(one, gap) for one in weights))[:27], 0b01100)
            narrow = acts[0]
        ports: dict[str, Any] = {f"p_{name}": value for name, value in _PARAMETERS.items()}
        ports |= {f"i_{name}": C(value, width) for name, (value, width) in _CONSTANT_INPUTS.items()}
        ports |= {
            f"o_{name}": Signal(width, name=f"unused_{name.lower()}")
            for name, width in _UNUSED_OUTPUTS.items()
        }
        first = delay(m, self.first, 2, name="first_in_alu")
        m.submodules.dsp = Instance(
            "DSP48E2",
            **ports,
            i_CLK=ClockSignal(),
            i_A=_extended(wide[0], 30),
            i_D=_extended(wide[1], 27),
            i_INMODE=C(wide[2], 5),
            i_B=_extended(narrow, 18),
            # W is P or zero, Z zero, X and Y the product.
            i_OPMODE=Cat(C(0b000_01_01, 7), ~first, C(0, 1)),
            o_P=p,
        )
        m.d.comb += self.sums.eq(p)
        counted = self._quarters(m, p) if self.shape.shared.rows == 2 else self._canaries(m, p, acts[0])
        m.d.comb += self.wraps.eq(Cat(counted))

    def _quarters(self, m: Module, p: Signal) -> list[Value]:
        """Count how often the lower sum left its field: its top two bits go once around.

        A product is less than a quarter of the field, so the two bits move by one at most: from the highest positive
        quarter to the lowest negative one is a carry, the other way a borrow. The first product is in its field.
        """
        spacing = self.shape.shared.spacing
        was = Signal(2, name="top_was", reset_less=True)
        count = Signal(signed(self.shape.wrap_bits(spacing)), name="count", reset_less=True)
        top = p[spacing - 2 : spacing]
        carries = (was == 1) & (top == 2)
        borrows = (was == 2) & (top == 1)
        m.d.sync += [was.eq(top), count.eq(count + Cat(carries | borrows, borrows).as_signed())]
        with m.If(delay(m, self.first, 4, name="first_in_sums")):
            m.d.sync += count.eq(0)
        return [count.as_unsigned()]

    def _canaries(self, m: Module, p: Signal, act: Value) -> list[Value]:
        """Count how often sums left their fields: what a field's low two bits have too much came from below.

        A product may be as large as its field, so a sum moves on by -1, 0, 1 or 2 fields with a product, which two bits
        tell apart. The sum of the field above without the carries, modulo four, is added up beside the DSP block.
        """
        shared = self.shape.shared
        firsts = delay(m, self.first, 3, name="first_in_products")
        first = Signal(name="first_in_sums", reset_less=True)
        m.d.sync += first.eq(firsts)
        counts: list[Value] = []
        for field, weight in enumerate(words_of(self.weight, shared.weight_bits)[1:], 1):
            product = Signal(2, name=f"low_product_{field}")
            canary = Signal(2, name=f"canary_{field}", reset_less=True)
            count = Signal(
                signed(self.shape.wrap_bits(shared.spacing)), name=f"count_{field - 1}", reset_less=True
            )
            before = Signal(signed(len(count)), name=f"count_{field - 1}_before")
            more = Signal(2, name=f"carries_{field - 1}")
            at = field * shared.spacing
            m.d.comb += [
                product.eq(weight[:2] * act[:2]),
                before.eq(Mux(first, 0, count)),
                more.eq(p[at : at + 2] - canary - before),
            ]
            in_step = delay(m, product, 3, name=f"low_product_{field}_later")
            # Three more carries are one less.
            m.d.sync += [
                canary.eq(Mux(firsts, 0, canary) + in_step),
                count.eq(before + Cat(more, more.all().replicate(len(count) - 2)).as_signed()),
            ]
            counts.append(count.as_unsigned())
        return counts


def _extended(value: Value, width: int) -> Value:
    """Exactly ``width`` bits, the sign repeated."""
    missing = width - len(value)
    return Cat(value, value[-1].replicate(missing) if value.shape().signed else C(0, missing))


_PARAMETERS: dict[str, Any] = {
    "ACASCREG": 1, "ADREG": 1, "ALUMODEREG": 0, "AMULTSEL": "AD", "AREG": 1, "A_INPUT": "DIRECT", "BCASCREG": 2,
    "BMULTSEL": "B", "BREG": 2,
    "B_INPUT": "DIRECT", "CARRYINREG": 0, "CARRYINSELREG": 0, "CREG": 0, "DREG": 1, "INMODEREG": 0, "MREG": 1,
    "OPMODEREG": 1, "PREADDINSEL": "A", "PREG": 1, "USE_MULT": "MULTIPLY", "USE_SIMD": "ONE48",
}  # fmt: skip

_CONSTANT_INPUTS = {
    "ACIN": (0, 30), "ALUMODE": (0, 4), "BCIN": (0, 18), "C": (0, 48), "CARRYCASCIN": (0, 1), "CARRYIN": (0, 1),
    "CARRYINSEL": (0, 3), "CEA1": (0, 1), "CEA2": (1, 1), "CEAD": (1, 1), "CEALUMODE": (0, 1), "CEB1": (1, 1),
    "CEB2": (1, 1), "CEC": (0, 1), "CECARRYIN": (0, 1), "CECTRL": (1, 1), "CED": (1, 1), "CEINMODE": (0, 1),
    "CEM": (1, 1), "CEP": (1, 1), "MULTSIGNIN": (0, 1), "PCIN": (0, 48), "RSTA": (0, 1),
    "RSTALLCARRYIN": (0, 1), "RSTALUMODE": (0, 1), "RSTB": (0, 1), "RSTC": (0, 1), "RSTCTRL": (0, 1),
    "RSTD": (0, 1), "RSTINMODE": (0, 1), "RSTM": (0, 1), "RSTP": (0, 1),
}  # fmt: skip

_UNUSED_OUTPUTS = {
    "ACOUT": 30, "BCOUT": 18, "CARRYCASCOUT": 1, "CARRYOUT": 4, "MULTSIGNOUT": 1, "OVERFLOW": 1, "PATTERNBDETECT": 1,
    "PATTERNDETECT": 1, "PCOUT": 48, "UNDERFLOW": 1, "XOROUT": 8,
}  # fmt: skip
