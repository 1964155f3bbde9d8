"""Algorithm-based fault tolerance: a checker beside the core, which watches its ports and never waits.

It knows from the commands which pass every beat belongs to: a copy of the sequencer follows the streams. What the copy
would do must be what the core does, in every cycle, so the core's control is checked as well.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.cores.dsp_gemm.abft_columns import ColumnSums
from hwgen.cores.dsp_gemm.abft_config import AbftConfig
from hwgen.cores.dsp_gemm.abft_rows import RowSums
from hwgen.cores.dsp_gemm.sequencer import Sequencer
from hwgen.emit import Unit, place
from hwgen.numerics import index_bits
from hwgen.parts.delay import delay

__all__ = ["Checker", "Follower"]


class Follower(Sequencer):
    """The sequencer, which also tells a pass's last step.

    Members
    -------
    step_end : Out(1)
        The step is the pass's last.
    """

    def __init__(self, config: Any):
        super().__init__(config, step_end=Out(1))

    @property
    def kind(self) -> str:
        """``follower``."""
        return "follower"

    def _runner(self, m: Module, *stages: Any) -> Value:
        last = super()._runner(m, *stages)
        m.d.comb += self.step_end.eq(last)
        return last


class Checker(Unit):
    """Watches a core's ports, all of them as inputs; see the room's README for what it finds, and when.

    Parameters
    ----------
    config : AbftConfig
        The core, and which checksums.

    Members
    -------
    s_axis_*, m_axis_* : In
        The core's ports, whatever their direction there.
    alarm : Out(1)
        In each cycle in which something was found wrong; from a register.
    """

    def __init__(self, config: AbftConfig):
        self.config = config
        members: dict[str, Any] = {}
        for stream in config.core.streams:
            members[f"{stream.prefix}_tdata"] = In(8 * stream.bytes)
            members |= {f"{stream.prefix}_{name}": In(1) for name in ("tvalid", "tready")}
            if stream.last:
                members[f"{stream.prefix}_tlast"] = In(1)
        super().__init__({**members, "alarm": Out(1)})

    @property
    def kind(self) -> str:
        """``abft`` and what it checks."""
        return f"abft_{self.config.name}"

    def elaborate(self, platform: Any) -> Module:
        """Build the follower and the checksums."""
        m = Module()
        follower = Follower(self.config.core)
        place(m, "follower", follower, platform)
        wrong = [self._control(m, follower)]
        for name, unit in (("rows", RowSums), ("columns", ColumnSums)):
            if getattr(self.config, name):
                check = unit(self.config)
                place(m, name, check, platform)
                self._connect(m, follower, check)
                wrong.append(check.wrong)
        m.d.sync += self.alarm.eq(Cat(wrong).any())
        return m

    def _connect(self, m: Module, follower: Follower, check: Unit) -> None:
        """What both kinds of checksums see, each as far as it has the port."""
        given = {
            "b_beat": self.s_axis_b_tvalid & follower.b_ready,
            "b_data": self.s_axis_b_tdata,
            "a_data": self.s_axis_a_tdata,
            "c_beat": self.m_axis_c_tvalid & self.m_axis_c_tready,
            "c_data": self.m_axis_c_tdata,
        }
        for path, _, port in check.signature.flatten(check):
            name = str(path[0])
            if name != "wrong":
                value = given.get(name)
                value = getattr(follower, name) if value is None else value
                m.d.comb += port.eq(value[: len(port)])

    def _control(self, m: Module, follower: Follower) -> Value:
        """The follower's inputs, and whether the core's handshakes were others than the follower's."""
        data, size = self.s_axis_cmd_tdata, self.config.core.size_bits
        m.d.comb += [
            follower.m.eq(data.word_select(0, size)),
            follower.n.eq(data.word_select(1, size)),
            follower.k.eq(data.word_select(2, size)),
            follower.accumulate.eq(data[3 * size]),
            follower.keep.eq(data[3 * size + 1]),
            follower.cmd_valid.eq(self.s_axis_cmd_tvalid),
            follower.b_valid.eq(self.s_axis_b_tvalid),
            follower.a_valid.eq(self.s_axis_a_tvalid),
        ]
        valid, last = self._result_side(m, follower)
        should = Cat(follower.cmd_ready, follower.b_ready, follower.a_ready, valid, valid & last)
        does = Cat(
            self.s_axis_cmd_tready,
            self.s_axis_b_tready,
            self.s_axis_a_tready,
            self.m_axis_c_tvalid,
            self.m_axis_c_tvalid & self.m_axis_c_tlast,
        )
        wrong = Signal(name="control_wrong")
        m.d.sync += wrong.eq(should != does)
        return wrong

    def _result_side(self, m: Module, follower: Follower) -> tuple[Value, Value]:
        """TVALID and TLAST of the core's results: its buffer, without the results."""
        core = self.config.core
        stored = Signal(range(core.result_depth + 1))
        valid = Signal(name="result_valid")
        fetch = Signal()
        lasts: Memory[Any, Any] = Memory(shape=1, depth=core.result_depth, init=[])
        m.submodules.lasts = lasts
        into = lasts.write_port()
        out = lasts.read_port()
        into_index = Signal(index_bits(core.result_depth))
        out_index = Signal(index_bits(core.result_depth))
        cycles = core.store_delay - 1
        m.d.comb += [
            fetch.eq((stored != 0) & (~valid | self.m_axis_c_tready)),
            follower.freed.eq(fetch),
            into.addr.eq(into_index),
            into.data.eq(delay(m, follower.step_last, cycles)),
            into.en.eq(delay(m, follower.step_send, cycles, reset=True)),
            out.addr.eq(out_index),
            out.en.eq(fetch),
        ]
        m.d.sync += stored.eq(stored + into.en - fetch)
        with m.If(into.en):
            m.d.sync += into_index.eq(into_index + 1)
        with m.If(fetch):
            m.d.sync += [valid.eq(1), out_index.eq(out_index + 1)]
        with m.Elif(self.m_axis_c_tready):
            m.d.sync += valid.eq(0)
        return valid, out.data
