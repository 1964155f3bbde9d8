"""VEC: everything that is done to elements one by one, or a few at a time, and every change of their order.

A walker asks the buffers for one input per cycle. Nothing ever waits behind it, so all that follows is told by the
*age* of an input: the cycles since it was asked for. Reductions and the requantiser are in the lanes; transposing
and bit planes are turns of blocks. A second walker counts through the places that are written.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay
from hwgen.parts.loops import LoopNest
from hwgen.parts.requantise import MODES
from hwgen.program.layout import layout
from hwgen.program.table import INSTRUCTION_BYTES, VEC_OPS
from hwgen.system.config import PARAMETER_BYTES, SystemConfig
from hwgen.system.fields import field, hold
from hwgen.system.vec_lane import VecLane
from hwgen.system.vec_requantise import VecRequantise
from hwgen.system.vec_softmax import VecSoftmax
from hwgen.system.vec_turn import Turn
from hwgen.system.vec_walk import (
    FROM_ACC,
    LEAST_BITS,
    RAW_WORDS,
    REDUCING,
    TURNING,
    Marks,
    Run,
    walk,
)

__all__ = ["Vec"]

_SHAPE, _SOURCE, _TARGET, _RUN, _ROW = range(5)  # functions, as in the table
_PLANES = 8  # bits of an element


def _at(run: Run, marks: list[Signal], ages: dict[str, int]) -> Value:
    """A mark at the age that inputs from the run's buffer have there."""
    return Mux(run.from_acc, marks[ages["acc"]], marks[ages["act"]])


class Vec(Unit):
    """The VEC engine.

    How long a run takes depends on its fields only: :func:`~hwgen.system.vec_timing.vec_cycles`.

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    acc_en, acc_address : Out, acc_data : In
        Words of sums; this and the other answers come ``buffer_latency`` cycles after the question.
    act_en, act_address : Out, act_data : In
        Words of activations.
    par_en, par_address : Out, par_data : In
        Words of parameters, or with ``requantise_cycles`` parts of them: per lane, from the lowest bit, bias (32 bits),
        multiplier (24), shift (8).
    write_en, write_address, write_data : Out
        Words of activations.
    plane_en : Out(lut_units), plane_address, plane_data : Out
        With a LUT core only: plane words, to one unit.
    operand_en, operand_address, operand_data, operand_spread : Out
        With a sparse core only: operand words, an element for each row. If ``operand_spread`` is set the core repeats
        the first ones for every way.
    scale_en, scale_address, scale_data : Out
        With softmax only: words of parameters.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        lanes = config.lanes
        members: dict[str, Any] = {
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1),
            "acc_en": Out(1), "acc_address": Out(index_bits(config.acc.words)), "acc_data": In(32 * lanes),
            "act_en": Out(1), "act_address": Out(index_bits(config.act.words)), "act_data": In(8 * lanes),
            "par_en": Out(1), "par_address": Out(index_bits(config.parameter.words * config.requantise_cycles)),
            "par_data": In(8 * PARAMETER_BYTES * config.requantisers),
            "write_en": Out(1), "write_address": Out(index_bits(config.act.words)), "write_data": Out(8 * lanes),
        }  # fmt: skip
        if config.lut:
            members |= {
                "plane_en": Out(config.lut_units),
                "plane_address": Out(index_bits(config.plane_act.words)),
                "plane_data": Out(config.lut_width),
            }
        if config.sparse:
            members |= {
                "operand_en": Out(1),
                "operand_address": Out(index_bits(config.operand.words)),
                "operand_data": Out(8 * config.sparse_rows),
                "operand_spread": Out(1),
            }
        if config.softmax is not None:
            members |= {
                "scale_en": Out(1),
                "scale_address": Out(index_bits(config.parameter.words)),
                "scale_data": Out(8 * PARAMETER_BYTES * lanes),
            }
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``vec``."""
        return "vec"

    def elaborate(self, platform: Any) -> Module:
        """Build walkers, lanes and turns."""
        m = Module()
        run = self._run(m)
        marks = walk(m, platform, self, run)
        lanes = self._lanes(m, platform, run, marks)
        requantisers = self._requantisers(m, platform, run, marks, lanes)
        self._parameters(m, run, marks)
        self._results(m, platform, run, marks, lanes, requantisers)
        return m

    def _run(self, m: Module) -> Run:
        """What the instructions say."""

        def holds(kind: str, function: int) -> dict[str, Value]:
            places = layout(f"vec.{kind}")
            return {name: hold(m, self.start, self.head, function, places, name) for name in places}

        begin = self.begins
        asked = {name: field(self.head, layout("vec.run"), name) for name in layout("vec.run")}
        absent = set() if self.config.softmax is not None else {"softmax"}
        absent |= set() if self.config.sparse else {"columns"}
        names = [name for name in VEC_OPS if name not in absent]
        ops = {name: Signal(name=f"op_{name}", reset_less=True) for name in names}
        from_acc = Signal(reset_less=True)
        new = {name: Signal(name=f"asked_{name}") for name in names}
        m.d.comb += [one.eq(~(asked["op"] ^ VEC_OPS.index(name)).any()) for name, one in new.items()]
        with m.If(begin):
            m.d.sync += [ops[name].eq(new[name]) for name in names]
            m.d.sync += from_acc.eq(Cat(new[name] for name in FROM_ACC if name in new).any())
        return Run(
            begin,
            asked,
            new,
            ops,
            from_acc,
            holds("shape", _SHAPE),
            holds("source", _SOURCE),
            holds("target", _TARGET),
        )

    def _lanes(self, m: Module, platform: Any, run: Run, marks: Marks) -> list[VecLane]:
        """The reductions."""
        cfg = self.config
        weight = Signal(16, name="weight", reset_less=True)
        zero = Signal(8, name="zero", reset_less=True)
        chain = Signal(reset_less=True)
        load = Signal(name="load_term")
        take = Signal(name="take_term")
        ages = marks.ages
        odd = marks.odd[ages.data]
        by_parity = {
            name: Mux(odd, kept[f"{name}1"], kept[f"{name}0"])
            for name, kept in (("weight", run.target), ("zero", run.shape))
        }
        m.d.sync += [
            weight.eq(Mux(run.ops["sum"], by_parity["weight"], 1)),
            zero.eq(Mux(run.ops["product"], by_parity["zero"], 0)),
            chain.eq(run.ops["product"] & odd),
        ]
        alone = run.ops["product"] | run.ops["max"]  # the term is all there is
        # A cycle before it is asked: it reaches every lane.
        by_acc, by_act = (marks.first[ages.terms[name] - 1] for name in ("acc", "act"))
        m.d.sync += [
            load.eq(Mux(run.from_acc, by_acc, by_act | alone)),
            take.eq(~run.from_acc | marks.read[ages.data - 1]),
        ]
        lanes = [VecLane(cfg.softmax is not None) for _ in range(cfg.lanes)]
        for i, lane in enumerate(lanes):
            place(m, f"lane_{i}", lane, platform)
            m.d.comb += [
                lane.acc_data.eq(self.acc_data.word_select(i, 32)),
                lane.act_data.eq(self.act_data.word_select(i, 8)),
                lane.from_acc.eq(run.from_acc),
                lane.is_max.eq(run.ops["max"]),
                lane.take.eq(take),
                lane.first.eq(marks.first[ages.x]),
                lane.chain.eq(chain),
                lane.zero.eq(zero),
                lane.weight.eq(weight),
                lane.load.eq(load),
            ]
            if cfg.softmax is not None:
                m.d.comb += lane.digits.eq(run.ops["requantise"] & run.shape["digits"])
        return lanes

    def _requantisers(
        self, m: Module, platform: Any, run: Run, marks: Marks, lanes: list[VecLane]
    ) -> list[VecRequantise]:
        """What follows the reductions: in a cycle a part of the lanes, of which each requantiser has one."""
        cfg = self.config
        made_of = "multipliers"
        if cfg.scale_luts:
            made_of = "carries" if cfg.target == "ecp5" else "luts"
        kind = (cfg.requantiser, cfg.scale_bits, cfg.requantise_cycles, cfg.softmax is not None, made_of)
        requantisers = [VecRequantise(*kind) for _ in range(cfg.requantisers)]
        complete = Signal(name="reductions_complete")
        if cfg.requantise_cycles > 1:
            before = {name: age - 1 for name, age in marks.ages.complete.items()}
            m.d.sync += complete.eq(_at(run, marks.whole, before))
        for i, unit in enumerate(requantisers):
            place(m, f"requantise_{i}", unit, platform)
            m.d.comb += [
                unit.totals.eq(Cat(lane.total for lane in lanes[i :: cfg.requantisers])),
                unit.par_data.eq(self.par_data.word_select(i, 8 * PARAMETER_BYTES)),
                unit.rounding.eq(run.shape["rounding"]),
                unit.zero_point.eq(run.shape["zero"]),
                unit.low.eq(run.shape["low"]),
                unit.high.eq(run.shape["high"]),
            ]
            if cfg.requantise_cycles > 1:
                m.d.comb += unit.complete.eq(complete)
            if cfg.softmax is not None:
                m.d.comb += unit.is_logit.eq(run.ops["softmax"])
        return requantisers

    def _parameters(self, m: Module, run: Run, marks: Marks) -> None:
        """Ask for the parameters of each output so that they meet its complete reduction."""
        parts = self.config.requantise_cycles
        part_bits = index_bits(parts) if parts > 1 else 0
        address = Signal(len(self.par_address) - part_bits, name="parameter_word", reset_less=True)
        part = Signal(part_bits, name="parameter_part")
        ask = Signal(name="ask_parameters")
        ends = Signal(name="parameters_end")
        ages = marks.ages.parameter
        m.d.comb += [ask.eq(_at(run, marks.whole, ages)), ends.eq(ask & _at(run, marks.round, ages))]
        asked = [delay(m, ask, i, reset=True, name=f"ask_parameters_{i}") for i in range(parts)]
        m.d.comb += [self.par_en.eq(Cat(asked).any()), self.par_address.eq(Cat(part, address))]
        last_ends = delay(m, ends, parts - 1, reset=True, name="parameters_end_late")
        if parts > 1:
            with m.If(self.par_en):
                m.d.sync += part.eq(part + 1)
        with m.If(run.begin):
            m.d.sync += address.eq(run.asked["parameter"][: len(address)])
        with m.Elif(last_ends):
            m.d.sync += address.eq(address + run.target["parameter_n2"])

    def _results(
        self,
        m: Module,
        platform: Any,
        run: Run,
        marks: Marks,
        lanes: list[VecLane],
        requantisers: list[VecRequantise],
    ) -> None:
        """Choose what is written, and when."""
        ops, width = run.ops, 8 * len(lanes)
        complete = Signal()
        completes = Signal()
        m.d.comb += [
            complete.eq(_at(run, marks.whole, marks.ages.complete)),
            completes.eq(_at(run, marks.final, marks.ages.complete)),
        ]
        wait = MODES[self.config.requantiser].latency - 1 + self.config.requantise_cycles - 1
        result = delay(m, complete, wait, reset=True, name="result_delay")
        result_final = delay(m, completes, wait, name="result_final_delay")
        x = Cat(lane.x for lane in lanes)
        turning = [name for name in TURNING if name in ops]
        transpose = self._turn(m, platform, "transpose", turning, self.config.lanes, 8, x, run, marks)
        m.d.comb += transpose.count.eq(self.config.lanes)
        put = Signal()  # a word is written from the next cycle's registers
        put_final = Signal()
        target = self._places(m, platform, run, put)
        address = Signal(len(target.address), name="place", reset_less=True)
        m.d.sync += address.eq(target.address)
        # Chosen a cycle before, because all the loops' registers ask for it.
        soon = Signal()
        soon_final = Signal()
        if self.config.lut:
            planes = self._planes(m, platform, run, marks, x, address)
            with m.If(ops["planes"]):
                m.d.comb += [soon.eq(planes.comes), soon_final.eq(planes.comes_marked)]
        with m.If(ops["copy"] | ops["raw"]):
            before = marks.ages.x - 1
            m.d.comb += [soon.eq(marks.slot[before]), soon_final.eq(marks.finish[before])]
        with m.If(Cat(ops[name] for name in turning).any()):
            m.d.comb += [soon.eq(transpose.coming), soon_final.eq(transpose.coming_marked)]
        with m.If(Cat(ops[name] for name in REDUCING if name != "softmax").any()):
            m.d.comb += [soon.eq(result), soon_final.eq(result_final)]
        if self.config.softmax is None:
            m.d.sync += [put.eq(soon), put_final.eq(soon_final)]
        else:
            valid = delay(m, result, 1, reset=True)
            softmax = self._softmax(m, platform, run, marks, requantisers, valid)
            m.d.comb += [
                put.eq(delay(m, soon, 1, reset=True) | (ops["softmax"] & softmax.out_valid)),
                put_final.eq(Mux(ops["softmax"], target.ends[3], delay(m, soon_final, 1))),
            ]

        quarter = Signal(2, reset_less=True)
        with m.If(run.begin):
            m.d.sync += quarter.eq(0)
        with m.Elif(put):
            m.d.sync += quarter.eq(quarter + 1)
        terms = Signal(RAW_WORDS * width)
        word = Signal(width, reset_less=True)
        m.d.comb += terms.eq(Cat(lane.term for lane in lanes))
        with m.If(ops["raw"]):
            quarters = [terms.word_select(n, width) for n in range(RAW_WORDS)]
            low, high = (Mux(quarter[0], quarters[n + 1], quarters[n]) for n in (0, 2))
            m.d.sync += word.eq(Mux(quarter[1], high, low))
        with m.Elif(ops["copy"]):
            m.d.sync += word.eq(x)
        with m.Elif(Cat(ops[name] for name in turning).any()):
            m.d.sync += word.eq(transpose.o)
        with m.Else():
            ways = range(self.config.requantise_cycles)
            m.d.sync += word.eq(Cat(one.y.word_select(i, 8) for i in ways for one in requantisers))
        if self.config.softmax is not None:
            with m.If(ops["softmax"]):
                m.d.sync += word.eq(softmax.out)
        written = Signal()
        all_written = Signal()
        elsewhere = Cat(ops[name] for name in ("planes", "columns") if name in ops).any()
        m.d.sync += [written.eq(put & ~elsewhere), all_written.eq(put & put_final)]
        m.d.comb += [
            self.write_en.eq(written),
            self.write_address.eq(address[: len(self.write_address)]),
            self.write_data.eq(word),
            self.done.eq(all_written),
        ]
        if self.config.sparse:
            self._operands(m, run, put, address, word)

    def _operands(self, m: Module, run: Run, put: Signal, address: Signal, word: Signal) -> None:
        """Columns of blocks to the sparse core, in the cycle in which a transposition would write them."""
        spread = Signal(name="spread", reset_less=True)
        enable = Signal(name="operand_written")
        with m.If(run.begin):
            m.d.sync += spread.eq(run.asked["unit"][0])
        m.d.sync += enable.eq(put & run.ops["columns"])
        m.d.comb += [
            self.operand_en.eq(enable),
            self.operand_address.eq(address[: len(self.operand_address)]),
            # A word has no more rows than the core; what lies behind them is zero.
            self.operand_data.eq(word[: len(self.operand_data)]),
            self.operand_spread.eq(spread),
        ]

    def _softmax(
        self,
        m: Module,
        platform: Any,
        run: Run,
        marks: Marks,
        requantisers: list[VecRequantise],
        valid: Value,
    ) -> VecSoftmax:
        """Rows of softmax behind the requantisers, whose results are its logits."""
        fields = layout("vec.row")
        row = {name: hold(m, self.start, self.head, _ROW, fields, name) for name in fields}
        softmax = VecSoftmax(self.config)
        place(m, "softmax", softmax, platform)
        later = {
            name: delay(
                m,
                getattr(marks, name)[marks.ages.complete["acc"]],
                MODES[self.config.requantiser].latency,
                name=f"{name}_delay",
            )
            for name in ("row", "round")
        }
        address = Signal(len(self.scale_address), name="scale_word", reset_less=True)
        m.d.comb += [
            softmax.starts.eq(run.begin),
            softmax.valid.eq(valid & run.ops["softmax"]),
            softmax.last.eq(later["row"]),
            softmax.block.eq(later["round"]),
            softmax.logits.eq(Cat(one.logit for one in requantisers)),
            *(getattr(softmax, name).eq(row[name]) for name in ("keep", "keep_step", "digit", "shift")),
            self.scale_en.eq(softmax.scale_valid),
            self.scale_address.eq(address),
            self.scale_data.eq(softmax.scale),
        ]
        with m.If(run.begin):
            m.d.sync += address.eq(row["parameter"][: len(address)])
        with m.Elif(softmax.scale_valid):
            m.d.sync += address.eq(address + 1)
        return softmax

    def _places(self, m: Module, platform: Any, run: Run, put: Signal) -> LoopNest:
        """Addresses of what is written; an output of several words has them side by side."""
        counts = [run.shape[name] for name in ("n0", "n1", "n2")]
        strides = [run.target[name] for name in ("n0", "n1", "n2")]
        spaces = [self.config.act.words] + ([self.config.plane_act.words] if self.config.lut else [])
        spaces += [self.config.operand.words] if self.config.sparse else []
        bits = index_bits(max(spaces))
        widths = tuple(min(len(s), bits) for s in strides)
        nest = LoopNest("vec_target", bits, (LEAST_BITS + 1, *(len(c) for c in counts)), (2, *widths), True)
        place(m, "target", nest, platform)
        side_by_side = Mux(run.new["raw"], RAW_WORDS, Mux(run.new["planes"], run.asked["planes"], 1))
        m.d.comb += [
            nest.load.eq(run.begin),
            nest.step.eq(put),
            nest.base.eq(run.asked["target"][:bits]),
            nest.count_0.eq(side_by_side),
            nest.stride_0.eq(1),
        ]
        for k in range(3):
            m.d.comb += [
                getattr(nest, f"count_{k + 1}").eq(counts[k]),
                getattr(nest, f"stride_{k + 1}").eq(strides[k]),
            ]
        return nest

    def _turn(
        self,
        m: Module,
        platform: Any,
        name: str,
        ops: list[str],
        rows: int,
        bits: int,
        word: Value,
        run: Run,
        marks: Marks,
    ) -> Turn:
        """A turn of the words that some operations read."""
        turn = Turn(name, rows, len(word) // bits, bits)
        place(m, f"{name}_turn", turn, platform)
        write = Cat(run.ops[op] for op in ops).any() & marks.read[marks.ages.x]
        last, mark = marks.last[marks.ages.x], marks.final[marks.ages.x]
        late = int(self.config.far)  # a word is gathered from all over the chip
        m.d.comb += [
            turn.i.eq(delay(m, word, late, name=f"{name}_word")),
            turn.write.eq(delay(m, write, late, reset=True, name=f"{name}_write")),
            turn.last.eq(delay(m, last, late, name=f"{name}_last")),
            turn.mark.eq(delay(m, mark, late, name=f"{name}_mark")),
        ]
        return turn

    def _planes(self, m: Module, platform: Any, run: Run, marks: Marks, x: Value, address: Signal) -> Turn:
        """Bit planes of the words that are read, to the LUT core."""
        cfg = self.config
        by_bit = Cat(x[bit::_PLANES] for bit in range(_PLANES))
        rows = cfg.lut_width // cfg.lanes
        turn = self._turn(m, platform, "planes", ["planes"], rows, cfg.lanes, by_bit, run, marks)
        planes = Signal(len(turn.count), name="planes", reset_less=True)
        units = Signal(cfg.lut_units, name="units", reset_less=True)
        enables = Signal(cfg.lut_units, name="plane_enables")
        with m.If(run.begin):
            m.d.sync += planes.eq(run.asked["planes"])
            m.d.sync += units.eq(Cat(~(run.asked["unit"] ^ u).any() for u in range(cfg.lut_units)))
        m.d.sync += enables.eq(Mux(run.ops["planes"] & turn.coming, units, 0))
        m.d.comb += [
            turn.count.eq(planes),
            self.plane_en.eq(enables),
            self.plane_address.eq(address[: len(self.plane_address)]),
            self.plane_data.eq(turn.o),
        ]
        return turn
