"""LOAD: runs of bytes from DRAM into a buffer, with padding where the window ends.

Three stages, each ahead of the next: the *walker* works out one run after the other, the *issuer* asks for its bytes,
and the *packer* joins what comes back with padding into words of the bus's width, without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.numerics import ceil_log2, index_bits
from hwgen.parts.fifo import Fifo
from hwgen.parts.payload import payload
from hwgen.program.layout import layout
from hwgen.program.table import BUFFERS, INSTRUCTION_BYTES
from hwgen.system.bursts import burst_limit
from hwgen.system.config import SystemConfig
from hwgen.system.fields import field, hold
from hwgen.system.ports import BEATS_BITS

__all__ = ["Load"]

_DONE_AFTER = 4  # cycles from the packer's last step until the buffer holds the last word

_PARTS = ("lead", "data", "trail")  # of a run: padding, bytes, padding
_RUN_BITS = 20
_POSITION_BITS = 24  # signed byte position within a row


class Load(Unit):
    """The LOAD engine.

    Members
    -------
    start, begins, head, done
        The shell's side; with ``begins`` what starts is a run.
    stall : Out(1)
        A run is under way and nothing was packed in this cycle.
    read_valid, read_address, read_beats : Out, read_ready : In
        Requests.
    data_valid, data : In, data_take : Out
        Beats.
    write_en : Out
        One bit per buffer of the table, of those that are there; ``write_address`` counts bus words.
    """

    def __init__(self, config: SystemConfig):
        self.config = config
        widest = max(space.bytes for space in config.load_targets.values())
        super().__init__({
            "start": In(1), "begins": In(1), "head": In(8 * INSTRUCTION_BYTES), "done": Out(1), "stall": Out(1),
            "read_valid": Out(1), "read_address": Out(config.address_bits), "read_beats": Out(BEATS_BITS),
            "read_ready": In(1),
            "data_valid": In(1), "data": In(8 * config.bus_bytes), "data_take": Out(1),
            "write_en": Out(len(BUFFERS)), "write_address": Out(index_bits(widest // config.bus_bytes)),
            "write_data": Out(8 * config.bus_bytes),
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``load``."""
        return "load"

    def elaborate(self, platform: Any) -> Module:
        """Build the three stages."""
        m = Module()
        width = 3 * _RUN_BITS + ceil_log2(self.config.bus_bytes) + 2 + 2 * 3 + 1
        runs = Fifo("runs", width, self.config.RUN_FIFO, registered=True)
        place(m, "runs", runs, platform)
        begin = self.begins
        pad = self._walker(m, runs, begin)
        self._packer(m, runs, begin, pad)
        return m

    def _walker(self, m: Module, runs: Fifo, begin: Signal) -> Value:
        """One run every four cycles, and its requests; gives the value of padding bytes."""
        cfg = self.config
        head: Value = self.head
        window, position, run = (layout(f"load.{name}") for name in ("window", "position", "run"))
        pitch, x_step, row_bytes, row_count = (
            hold(m, self.start, head, 0, window, name) for name in ("row_pitch", "x_step", "row_bytes", "row_count")
        )  # fmt: skip
        x_start, y_start, group_count = (
            hold(m, self.start, head, 1, position, name) for name in ("x_start", "y_start", "group_count")
        )  # fmt: skip
        pad = hold(m, self.start, head, 0, window, "pad_value")

        windowed = field(head, run, "windowed")
        given_address = field(head, run, "address")[: cfg.address_bits]
        bytes_ = Signal(_RUN_BITS, name="run_bytes", reset_less=True)
        rows = Signal(14, name="rows", reset_less=True)
        inside = Signal(name="whole", reset_less=True)  # no window: everything exists
        rows_left = Signal(14, reset_less=True)
        groups_left = Signal(16, reset_less=True)
        address = Signal(cfg.address_bits, name="run_address", reset_less=True)
        group_address = Signal(cfg.address_bits, reset_less=True)
        x = Signal(_POSITION_BITS, name="x", reset_less=True)
        y = Signal(18, name="y", reset_less=True)

        lead = Signal(_RUN_BITS, reset_less=True)
        trail = Signal(_RUN_BITS, reset_less=True)
        row_there = Signal(reset_less=True)
        data = Signal(_RUN_BITS, name="data_bytes", reset_less=True)
        first = Signal(cfg.address_bits, name="first_byte", reset_less=True)
        shift = ceil_log2(cfg.bus_bytes)
        beats = Signal(_RUN_BITS - shift + 2, reset_less=True)
        pushed = Signal()

        x_signed = x.as_signed()
        y_signed = y.as_signed()
        end = Signal(_POSITION_BITS + 1, name="run_stop")
        over = Signal(_POSITION_BITS + 2, name="over")
        last_row = Signal()
        last_run = Signal()
        # The same of the run that is asked for, when the counters are at the next one.
        ends_group = Signal(reset_less=True)
        ends_all = Signal(reset_less=True)
        asks = Signal(reset_less=True)  # there are beats to ask for
        there = Signal(
            3, name="parts_there", reset_less=True
        )  # of lead, data, trail: any; no more than a piece
        ends = Signal(3, name="parts_end", reset_less=True)
        closes = _closes(dict(zip(_PARTS, zip(there, ends, strict=True), strict=True)))
        counts = Signal(name="counts_beats")
        last_burst = Signal()
        limit = burst_limit(m, cfg, first, counts, self.read_valid & self.read_ready)
        m.d.comb += [
            end.eq(x_signed + bytes_),
            over.eq(end.as_signed() - row_bytes),
            last_row.eq(rows_left == 1),
            last_run.eq(last_row & (groups_left == 1)),
            last_burst.eq(beats <= limit),
            self.read_beats.eq(Mux(last_burst, beats, limit)),
            self.read_address.eq(Cat(Const(0, shift), first[shift:])),
            runs.data.eq(Cat(lead, data, trail, first[:shift], ends_group, ends_all, there, ends, closes)),
        ]
        with m.FSM(name="walk"):
            with m.State("IDLE"), m.If(begin):
                m.next = "CLIP"
            with m.State("CLIP"):
                # Bytes before the row's first and behind its last are padding.
                before = Mux(x_signed < 0, -x_signed, 0)
                behind = Mux(over.as_signed() > 0, over.as_signed(), 0)
                m.d.sync += [
                    lead.eq(Mux(inside, 0, _least(before, bytes_))),
                    trail.eq(Mux(inside, 0, _least(behind, bytes_))),
                    row_there.eq(inside | ((y_signed >= 0) & (y_signed < row_count))),
                ]
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [
                    lead.eq(Mux(row_there, lead, bytes_)),
                    trail.eq(Mux(row_there, trail, 0)),
                    data.eq(Mux(row_there, bytes_ - lead - trail, 0)),
                    first.eq(address + lead),
                ]
                m.next = "BEATS"
            with m.State("BEATS"):
                m.d.comb += counts.eq(1)
                m.d.sync += [
                    asks.eq(data != 0),
                    there.eq(Cat(lead != 0, data != 0, trail != 0)),
                    ends.eq(
                        Cat(
                            lead <= cfg.bus_bytes,
                            data + first[:shift] <= cfg.bus_bytes,
                            trail <= cfg.bus_bytes,
                        )
                    ),
                    beats.eq((first[:shift] + data + (cfg.bus_bytes - 1)) >> shift),
                    pushed.eq(0),
                    ends_group.eq(last_row),
                    ends_all.eq(last_run),
                ]
                m.next = "ASK"
            with m.State("ASK"):
                ready = Signal(name="may_ask")
                final = Signal(name="asked_all")
                m.d.comb += [
                    ready.eq(pushed | ~runs.full),
                    runs.push.eq(~pushed & ~runs.full),
                    self.read_valid.eq(ready & asks),
                    final.eq(ready & (~asks | (self.read_ready & last_burst))),
                ]
                with m.If(ready):
                    m.d.sync += pushed.eq(1)
                with m.If(self.read_valid & self.read_ready):
                    # Later bursts begin at the start of a bus word.
                    m.d.sync += [
                        beats.eq(beats - limit),
                        first.eq(Cat(Const(0, shift), first[shift:] + limit)),
                    ]
                with m.If(final):
                    with m.If(ends_all):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "CLIP"
        with m.If(begin):
            m.d.sync += [
                bytes_.eq(field(head, run, "run_bytes")),
                rows.eq(field(head, run, "run_count")),
                rows_left.eq(field(head, run, "run_count")),
                groups_left.eq(Mux(windowed, group_count, 1)),
                inside.eq(~windowed),
                address.eq(given_address),
                group_address.eq(given_address),
                x.eq(x_start),
                y.eq(y_start),
            ]
        with m.Elif(counts):
            with m.If(last_row):
                m.d.sync += [
                    rows_left.eq(rows),
                    groups_left.eq(groups_left - 1),
                    address.eq(group_address + x_step),
                    group_address.eq(group_address + x_step),
                    x.eq(x_signed + x_step),
                    y.eq(y_start),
                ]
            with m.Else():
                m.d.sync += [
                    rows_left.eq(rows_left - 1),
                    address.eq(address + pitch),
                    y.eq(y_signed + 1),
                ]

        padding: Value = Mux(inside, 0, pad)[:8]
        return padding

    def _packer(self, m: Module, runs: Fifo, begin: Signal, pad: Value) -> None:
        """Takes a piece per cycle (a beat, or up to a bus word of padding) and joins them."""
        cfg = self.config
        bus = cfg.bus_bytes
        shift = ceil_log2(bus)
        word_bits = ceil_log2(cfg.lanes)
        lead = Signal(_RUN_BITS, name="lead_left", reset_less=True)
        data = Signal(_RUN_BITS, name="data_left", reset_less=True)
        trail = Signal(_RUN_BITS, name="trail_left", reset_less=True)
        low = Signal(shift, name="low", reset_less=True)  # first wanted byte of the next beat
        # Whether any of them is left, and whether no more than the next piece: known a cycle before.
        some = {name: Signal(name=f"{name}_there", reset_less=True) for name in _PARTS}
        ends = {name: Signal(name=f"{name}_ends", reset_less=True) for name in some}
        closes = Signal(reset_less=True)  # the piece of this cycle, if it comes, is the run's last
        group_end = Signal(reset_less=True)
        run_end = Signal(reset_less=True)
        active = Signal()
        aligning = Signal()
        flush = Signal()
        offset = Signal(max(shift, word_bits), reset_less=True)  # bytes packed, modulo both widths

        in_lead = Signal()
        in_data = Signal()
        amount = Signal(shift + 1)  # bytes of this cycle's piece
        piece = Signal()
        finish = Signal()
        space = Signal(shift + 1)
        ragged = Signal()
        aligned = Signal()
        load = Signal()
        align, open_, further, padding = self._ends_of_group(m, aligning, offset[:word_bits])
        m.d.comb += [
            in_lead.eq(active & some["lead"]),
            in_data.eq(active & ~some["lead"] & some["data"]),
            self.data_take.eq(in_data),
            space.eq(bus - low),
            ragged.eq(align & open_),
            piece.eq((active & (~in_data | self.data_valid)) | ragged),
            finish.eq(active & closes & (self.data_valid | ~in_data)),
        ]
        with m.If(align):
            m.d.comb += amount.eq(padding)
        with m.Elif(in_lead):
            m.d.comb += amount.eq(Mux(ends["lead"], lead[: shift + 1], bus))
        with m.Elif(in_data):
            m.d.comb += amount.eq(Mux(ends["data"], data[: shift + 1], space))
        with m.Else():
            m.d.comb += amount.eq(Mux(ends["trail"], trail[: shift + 1], bus))
        m.d.comb += [
            aligned.eq(align & ~further),
            load.eq(
                runs.valid & ((~active & ~aligning & ~flush) | (finish & ~group_end) | (aligned & ~run_end))
            ),
            runs.pop.eq(load),
        ]
        short = shift + 2  # bits that two bus words take: the rest of a long sum is not waited for
        two = ~data[short:].any() & (data[:short] + low <= 2 * bus)
        less = {"lead": lead <= 2 * bus, "data": two, "trail": trail <= 2 * bus}

        def taken(part: str) -> list[Any]:
            """A piece of the part went."""
            flags: dict[str, tuple[Value, Value]] = {name: (some[name], ends[name]) for name in some}
            flags[part] = (~ends[part], less[part])
            return [some[part].eq(~ends[part]), ends[part].eq(less[part]), closes.eq(_closes(flags))]

        with m.If(in_lead):
            m.d.sync += [lead.eq(lead - bus), *taken("lead")]
        with m.If(in_data & self.data_valid):
            m.d.sync += [data.eq(data - space), low.eq(0), *taken("data")]
        with m.If(active & ~in_lead & ~in_data):
            m.d.sync += [trail.eq(trail - bus), *taken("trail")]
        with m.If(finish):
            m.d.sync += [active.eq(0), aligning.eq(group_end)]
        with m.If(aligned):
            m.d.sync += [aligning.eq(0), flush.eq(run_end)]
        with m.If(load):
            flags = (*some.values(), *ends.values())
            m.d.sync += [
                Cat(lead, data, trail, low, group_end, run_end, *flags, closes).eq(runs.head),
                active.eq(1),
            ]
        with m.If(flush):
            m.d.sync += flush.eq(0)

        # Three more stages: the piece as it came, turned into place, joined.
        came = Signal(8 * bus, reset_less=True)
        came_turn = Signal(shift, reset_less=True)
        came_amount = Signal(shift + 1, reset_less=True)
        came_valid = Signal()
        came_flush = Signal()
        at = offset[:shift]
        m.d.sync += [
            came_valid.eq(piece),
            came_flush.eq(flush),
            came.eq(Mux(in_data, self.data, Cat(pad for _ in range(bus)))),
            came_turn.eq(at - Mux(in_data, low, 0)),
            came_amount.eq(amount),
        ]
        with m.If(begin):
            m.d.sync += offset.eq(0)
        with m.Elif(piece):
            m.d.sync += offset.eq(offset + amount)

        turned = Signal(8 * bus, reset_less=True)
        turned_amount = Signal(shift + 1, reset_less=True)
        turned_valid = Signal()
        turned_flush = Signal()
        m.d.sync += [
            turned.eq(_rotate_bytes(came, came_turn, bus)),
            turned_amount.eq(came_amount),
            turned_valid.eq(came_valid),
            turned_flush.eq(came_flush),
        ]

        kept = Signal(8 * bus, reset_less=True)
        kept_bytes = Signal(shift, reset_less=True)  # bytes in it
        joined = Signal(8 * bus)
        complete = Signal()
        after = Signal(shift + 1)
        m.d.comb += [after.eq(kept_bytes + turned_amount), complete.eq(turned_valid & after[shift])]
        parts = []
        for i in range(bus):
            old = kept.word_select(i, 8)
            new = Mux(turned_flush, 0, turned.word_select(i, 8))
            parts.append(Mux(kept_bytes > i, old, new) if i < bus - 1 else new)
        m.d.comb += joined.eq(Cat(parts))
        write = Signal()
        targets = Signal(len(BUFFERS), reset_less=True)
        address = Signal(len(self.write_address), name="bus_word", reset_less=True)
        m.d.comb += write.eq(complete | (turned_flush & (kept_bytes != 0)))
        with m.If(turned_valid):
            m.d.sync += [kept.eq(Mux(complete, turned, joined)), kept_bytes.eq(after[:shift])]
        m.d.sync += [
            self.write_en.eq(Mux(write, targets, 0)),
            payload(m, self.write_address).eq(address),
            payload(m, self.write_data).eq(joined),
        ]
        run = layout("load.run")
        with m.If(begin):
            buffer = field(self.head, run, "buffer")
            m.d.sync += [
                kept_bytes.eq(0),
                targets.eq(Cat(buffer == i for i in range(len(BUFFERS)))),
                address.eq(field(self.head, run, "target")[shift:]),
            ]
        with m.Elif(write):
            m.d.sync += address.eq(address + 1)
        ending = Signal(_DONE_AFTER)
        m.d.sync += ending.eq(Cat(flush, ending[:-1]))
        m.d.comb += [self.done.eq(ending[-1]), self.stall.eq(~piece)]

    def _ends_of_group(self, m: Module, aligning: Signal, offset: Value) -> tuple[Value, Value, Value, Value]:
        """What fills a group's last word: whether it is done now, is necessary, goes on, and how much it is now.

        If parts are far from each other a cycle works it out, and the next does it.
        """
        bus = self.config.bus_bytes
        to_word = Signal(len(offset) + 1)
        m.d.comb += to_word.eq(self.config.lanes - offset)
        known = Signal(name="padding_known")
        found: list[Value] = [offset != 0, (offset != 0) & (to_word > bus), _least(to_word, bus)]
        if not self.config.far:
            m.d.comb += known.eq(aligning)
            return known, found[0], found[1], found[2]
        m.d.sync += known.eq(aligning & ~known)
        kept = [
            Signal(value.shape(), name=name, reset_less=True)
            for name, value in zip(("ragged_end", "ragged_further", "padding_now"), found, strict=True)
        ]
        m.d.sync += [register.eq(value) for register, value in zip(kept, found, strict=True)]
        return known, kept[0], kept[1], kept[2]


def _closes(parts: Mapping[str, tuple[Value, Value]]) -> Value:
    """Whether a run ends with its next piece; of every part whether there is any, and whether a piece ends it."""
    (lead, lead_ends), (data, data_ends), (trail, trail_ends) = (parts[name] for name in _PARTS)
    return Mux(lead, lead_ends & ~data & ~trail, Mux(data, data_ends & ~trail, trail_ends))


def _least(a: Any, b: Any) -> Value:
    return Mux(Value.cast(a) < Value.cast(b), a, b)


def _rotate_bytes(value: Value, amount: Value, count: int) -> Value:
    """``value`` rotated towards the high end by ``amount`` bytes."""
    for bit in range(len(amount)):
        step = 8 << bit
        turned = Cat(value[8 * count - step :], value[: 8 * count - step])
        value = Mux(amount[bit], turned, value)
    return value
