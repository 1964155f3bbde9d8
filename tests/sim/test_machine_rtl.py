"""The machine against its original: dispatcher, shells, LOAD, STORE and ports in Verilog, with engines that count.

The rig wires the units as the accelerator does and puts a counter in the place of every computing engine: its run lasts
as many cycles as a field of the instruction says. So queues, tokens and memory meet in every way, errors included.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

import sim
from hwgen import toolchain
from hwgen.emit import Unit, emit, place
from hwgen.files import output_folder, write_if_changed
from hwgen.parts.delay import delay
from hwgen.parts.pair import Pair as BeatPair
from hwgen.program.encoding import encode, instr
from hwgen.program.layout import layout
from hwgen.program.table import ENGINES, INSTRUCTIONS
from hwgen.system.config import SystemConfig
from hwgen.system.dispatch import Dispatch
from hwgen.system.fields import field
from hwgen.system.load import Load
from hwgen.system.ports import ReadPort, WritePort
from hwgen.system.shell import Shell
from hwgen.system.store import Store
from hwgen.verilated import build_model
from sim.machine import Counters, Dram, Kind, Outcome

RUN = {i.engine: i.function for i in INSTRUCTIONS if i.name == "run"}
DURATION = {"dsp": "act", "lut": "act", "sparse": "value", "vec": "source"}
WITHOUT = ("m_axi_arsize", "m_axi_arburst", "m_axi_awsize", "m_axi_awburst", "m_axi_wdata", "m_axi_wstrb")


class Stub(Unit):
    """An engine whose run lasts as long as a field says."""

    def __init__(self, name):
        self.name = name
        super().__init__({"start": In(1), "begins": In(1), "head": In(128), "done": Out(1)})

    @property
    def kind(self):
        return f"stub_{self.name}"

    def elaborate(self, platform):
        m = Module()
        left = Signal(21)
        busy = Signal()
        with m.If(self.begins):
            duration = field(self.head, layout(f"{self.name}.run"), DURATION[self.name])
            m.d.sync += [left.eq(duration - 1), busy.eq(1)]
        with m.Elif(busy):
            m.d.sync += [left.eq(left - 1), busy.eq(left != 1)]
        m.d.comb += self.done.eq(busy & (left == 1))
        return m


class Rig(Unit):
    """What the accelerator is without control registers, buffers and computing engines."""

    def __init__(self, config):
        self.config = config
        self.reads = ReadPort(config.address_bits, config.bus_bytes, config.outstanding, config.far)
        self.writes = WritePort(config.address_bits, config.bus_bytes, config.outstanding, config.far)
        members = {}
        for unit in (self.reads, self.writes):
            kept = unit.signature.members.items()
            members |= {n: m for n, m in kept if n.startswith("m_axi_") and n not in WITHOUT}
        super().__init__({
            **members, "start": In(1), "count": In(32), "running": Out(1), "began": Out(6), "ended": Out(6),
            "states": Out(24), "missing": Out(48), "dispatched": Out(1), "position": Out(32), "stop": Out(1),
            "code": Out(3),
        })  # fmt: skip

    @property
    def kind(self):
        return "rig"

    def elaborate(self, platform):
        m = Module()
        config, reads, writes = self.config, self.reads, self.writes
        quell = Signal()
        dispatch = Dispatch(config)
        place(m, "dispatch", dispatch, platform, reset=quell)
        shells, units = {}, {}
        for name in config.engines:
            shells[name] = Shell(RUN[name], config.queue_depth, config.TOKEN_BITS)
            units[name] = Load(config) if name == "load" else Store(config) if name == "store" else Stub(name)
            place(m, f"{name}_shell", shells[name], platform, reset=quell)
            place(m, f"{name}_engine", units[name], platform, reset=quell)
        for name, unit in (("reads", reads), ("writes", writes)):
            place(m, name, unit, platform)
            for member in unit.signature.members:
                if member in self.signature.members:
                    own, inner = getattr(self, member), getattr(unit, member)
                    out = unit.signature.members[member].flow == Out
                    m.d.comb += own.eq(inner) if out else inner.eq(own)
        load, store = units["load"], units["store"]
        wires = {
            reads: (
                "fetch",
                dispatch,
                {"valid": "read_valid", "address": "read_address", "beats": "read_beats"},
            ),
            writes: ("burst", store, {n: f"burst_{n}" for n in ("valid", "address", "beats")}),
        }
        for port, (prefix, unit, names) in wires.items():
            for to, of in names.items():
                m.d.comb += getattr(port, f"{prefix}_{to}").eq(getattr(unit, of))
        m.d.comb += [
            dispatch.read_ready.eq(reads.fetch_ready), dispatch.data_valid.eq(reads.fetch_data),
            dispatch.data.eq(reads.data), dispatch.count.eq(self.count),
            reads.load_valid.eq(load.read_valid), reads.load_address.eq(load.read_address),
            reads.load_beats.eq(load.read_beats), load.read_ready.eq(reads.load_ready),
            store.burst_ready.eq(writes.burst_ready), writes.beat_valid.eq(store.beat_valid),
            writes.beat_data.eq(store.beat_data), writes.beat_strobe.eq(store.beat_strobe),
            store.beat_ready.eq(writes.beat_ready), store.port_idle.eq(writes.idle),
            reads.drain.eq(quell), writes.drain.eq(quell),
            self.dispatched.eq(dispatch.dispatched),
        ]  # fmt: skip
        answers = [load.data_valid, load.data, load.data_take]
        if config.far:
            beats = BeatPair("beats", len(load.data))
            place(m, "beats", beats, platform, reset=quell)
            m.d.comb += [a.eq(b) for a, b in zip(answers[:2], (beats.o_valid, beats.o_data), strict=True)]
            m.d.comb += beats.o_ready.eq(load.data_take)
            answers = [beats.i_valid, beats.i_data, beats.i_ready]
        m.d.comb += [
            answers[0].eq(reads.load_data),
            answers[1].eq(reads.data),
            reads.load_take.eq(answers[2]),
        ]
        for name, shell in shells.items():
            self._engine(m, quell, name, shell, shells, units[name], dispatch)
        self._sequence(m, quell, dispatch, shells, reads.idle & writes.idle)
        return m

    def _engine(self, m, quell, name, shell, shells, unit, dispatch):
        number = ENGINES.index(name)
        far = int(self.config.far)
        gives = {
            other: delay(m, giver.gives, far, reset=True, name=f"{other}_to_{name}")
            for other, giver in shells.items()
        }
        given = Cat(gives[other][number] if other in gives else Const(0, 1) for other in ENGINES)
        stalls = shell.busy & unit.stall if hasattr(unit, "stall") else Const(0, 1)
        states = ((shell.busy & ~stalls) | shell.began, shell.idle, shell.waiting, stalls)
        m.d.comb += [
            shell.push.eq(getattr(dispatch, f"{name}_push")), shell.word.eq(dispatch.word), shell.given.eq(given),
            getattr(dispatch, f"{name}_began").eq(shell.began), getattr(dispatch, f"{name}_idle").eq(shell.idle),
            shell.done.eq(unit.done),
            self.began[number].eq(shell.began), self.ended[number].eq(shell.ended),
            self.missing.word_select(number, 8).eq(shell.missing),
            *(self.states[6 * i + number].eq(state) for i, state in enumerate(states)),
        ]  # fmt: skip
        # A stub's duration says all that it takes.
        late = self.config.far and name in ("load", "store")
        starts = [getattr(unit, n).eq(getattr(shell, n) & ~quell) for n in ("start", "begins")]
        starts.append(unit.head.eq(shell.head))
        if late:
            m.d.sync += starts
        else:
            m.d.comb += starts

    def _sequence(self, m, quell, dispatch, shells, ports_idle):
        far = self.config.far
        still = Cat(~shell.busy & ~shell.began for shell in shells.values()).all()
        stood = Signal(init=1)  # in the cycle before, too
        overflow = Cat(shell.overflow for shell in shells.values()).any()
        causes = (
            dispatch.illegal,
            overflow,
            dispatch.stuck & still & (stood | (not far)),
            dispatch.truncated,
        )
        failed = Cat(causes).any()
        code, position = Const(0, 3), dispatch.position
        for i, seen in reversed(list(enumerate(causes, 1))):
            code = Mux(seen, i, code)
        ends, settled = failed, ports_idle
        if far:
            m.d.sync += stood.eq(still)
            ends, settled = Signal(name="failed_before"), Signal(name="settled")
            first, where = Signal(3, name="first"), Signal(32, name="where")
            m.d.sync += [ends.eq(failed & self.running), settled.eq(ports_idle & quell)]
            m.d.sync += [first.eq(code), where.eq(position)]
            code, position = Mux(ends, first, 0), Mux(ends, where, position)
        m.d.comb += [self.code.eq(code), self.position.eq(position)]
        with m.FSM(name="state"):
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += dispatch.go.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.running.eq(1), self.stop.eq(dispatch.halted | ends)]
                m.d.sync += dispatch.go.eq(0)
                with m.If(self.stop):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += [self.running.eq(1), quell.eq(1)]
                with m.If(settled):
                    m.next = "IDLE"


def model(config):
    folder = output_folder(toolchain.cache_dir() / "verilog" / "rig")
    path = folder / f"rig_{config.digest}.v"
    write_if_changed(path, emit(Rig(config), "rig", {}).verilog)
    header = Path(sim.__file__).parent / "dram.hpp"
    harness = (Path(__file__).parent / "rig_harness.cpp").read_text()
    # The text of the header goes in, because it is part of what the cache's digest covers.
    harness = harness.replace('#include "dram.hpp"\n', header.read_text().replace("#pragma once\n", ""))
    lenient = ["-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-std=c++17"]
    return build_model(verilog=[path], top="rig", harness=harness, flags=lenient)


class Pair:
    """The same random program twice: as instructions, and as the simulator has it."""

    def __init__(self, rng, config, build):
        self.rng, self.config, self.build = rng, config, build
        self.engines = [ENGINES.index(name) for name in config.engines]
        self.wild = rng.random() < 0.25
        self.tokens = Counter()
        self.largest = rng.choice([60, 600, 6000])
        self.code = bytearray()
        self.window = dict.fromkeys(
            ("row_pitch", "x_step", "row_bytes", "row_count", "x_start", "y_start", "group_count"), 0
        )
        self.pitch = 0
        for _ in range(rng.randrange(60, 75) if rng.random() < 0.08 else 0):
            self.say("vec.shape", 0, 1)
            build.add(4, signal=1)
        for _ in range(rng.choice([1, 2, 5, 12, 30, 80])):
            self.one()
        if rng.random() < 0.93:
            self.say("control.halt")
            build.halt()

    def say(self, mnemonic, wait=0, signal=0, **fields):
        masks = {"wait": wait, "signal": signal}
        names = {what: [e for i, e in enumerate(ENGINES) if mask >> i & 1] for what, mask in masks.items()}
        self.code += encode(instr(mnemonic, **names, **fields))

    def masks(self, engine):
        masks = {"wait": 0, "signal": 0}
        for other in self.engines:
            if other != engine and self.rng.random() < 0.2:
                if (self.wild and self.rng.random() < 0.5) or self.tokens[other, engine] > 0:
                    masks["wait"] |= 1 << other
                    self.tokens[other, engine] -= 1
                else:
                    masks["signal"] |= 1 << other
                    self.tokens[engine, other] += 1
        return masks

    def one(self):
        rng, build = self.rng, self.build
        if rng.random() < 0.03:
            self.say("control.fence")
            build.fence()
        elif rng.random() < 0.005:
            self.code += bytes([7, *[0] * 15])
            build.illegal()
        else:
            engine = rng.choice([0, 0, 5, *self.engines])
            masks = self.masks(engine)
            if engine in (0, 5):
                (self.load if engine == 0 else self.store)(masks)
            elif rng.random() < 0.4:
                self.say(f"{ENGINES[engine]}.shape", **masks)
                build.add(engine, **masks)
            else:
                cycles = rng.choice([2, 3, rng.randrange(2, 30), rng.randrange(2, 800)])
                name = ENGINES[engine]
                legal = {"op": "copy"} if name == "vec" else {}  # in every configuration
                self.say(f"{name}.run", **masks, **legal, **{DURATION[name]: cycles})
                build.fixed(engine, cycles, **masks)

    def load(self, masks):
        rng, window = self.rng, self.window
        kind = rng.choice(["window", "position", "run", "run", "run"])
        fields = {}
        if kind == "window":
            fields = {
                "row_pitch": rng.choice([0, rng.randrange(300), rng.randrange(10000)]),
                "x_step": rng.randrange(-200, 200),
                "row_bytes": rng.choice([rng.randrange(1, 100), rng.randrange(1, 3000)]),
                "row_count": rng.randrange(1, 12),
            }
        elif kind == "position":
            fields = {
                "x_start": rng.randrange(-300, 300),
                "y_start": rng.randrange(-6, 8),
                "group_count": rng.randrange(1, 6),
            }
        if kind != "run":
            window.update(fields)
            self.say(f"load.{kind}", **masks, **fields)
            self.build.add(0, **masks)
            return
        windowed = window["group_count"] > 0 and window["row_bytes"] > 0 and rng.random() < 0.6
        fields = {
            "address": rng.randrange(1 << 16),
            "run_bytes": rng.randrange(1, rng.choice([20, self.largest])),
            "run_count": rng.randrange(1, 8) if windowed else 1,
            "windowed": int(windowed),
        }
        self.say("load.run", **masks, **fields, buffer="act")
        self.build.load(**masks, **window, **fields)

    def store(self, masks):
        rng = self.rng
        if rng.random() < 0.3:
            self.pitch = rng.randrange(100) * self.config.bus_bytes
            self.say("store.window", **masks, row_pitch=self.pitch)
            self.build.add(5, **masks)
            return
        fields = {
            "address": rng.randrange(1 << 12) * self.config.bus_bytes,
            "run_bytes": rng.randrange(1, rng.choice([16, 300, self.largest])),
            "run_count": rng.randrange(1, 6),
        }
        self.say("store.run", **masks, **fields)
        self.build.store(**masks, **fields, row_pitch=self.pitch)


def as_printed(run, program):
    """A simulation in the words of the harness."""
    events = [("dispatched", 0, cycle) for cycle in run.dispatched.tolist() if cycle >= 0]
    engines = program.engine.tolist()
    for name, cycles in (("start", run.starts), ("end", run.ends)):
        events += [
            (name, e, c) for e, c in zip(engines, cycles.tolist(), strict=True) if c >= 0 and e < len(ENGINES)
        ]
    result = [list(Outcome).index(run.outcome), run.cycles, run.drained, run.position]
    result += [run.read_beats, run.read_bursts, run.write_beats, run.write_bursts]
    nothing = Counters(0, 0, 0, 0)
    for name in ("run", "idle", "wait", "stall"):
        result += [getattr(run.counters.get(e, nothing), name) for e in range(len(ENGINES))]
    return sorted(events), result


CONFIGS = {
    "bus8": {},
    "bus16": {
        "bus_bytes": 16,
        "lanes": 4,
        "queue_depth": 2,
        "burst_beats": 4,
        "outstanding": 2,
        "buffer_latency": 5,
    },
    "bus32": {
        "lut": True,
        "bus_bytes": 32,
        "lanes": 16,
        "burst_beats": 64,
        "outstanding": 4,
        "queue_depth": 4,
    },
    "bus64": {"bus_bytes": 64, "outstanding": 32},
    "far64": {"bus_bytes": 64, "outstanding": 2, "queue_depth": 2, "buffer_latency": 5},
    "sparse": {"sparse": True, "lut": True, "lanes": 16, "bus_bytes": 16, "queue_depth": 4},
    "wide": {
        "lanes": 32,
        "burst_beats": 256,
        "outstanding": 16,
        "dsp": False,
        "act_words": 4096,
        "buffer_latency": 3,
    },
}


@pytest.mark.parametrize(
    ("name", "count"),
    [("bus8", 80), ("bus16", 80)] + [pytest.param(name, 400, marks=pytest.mark.slow) for name in CONFIGS],
)
def test_every_cycle_is_the_hardwares(simulate, new_program, name, count):
    config = SystemConfig(**CONFIGS[name])
    rng = random.Random(f"{name} {count}")
    jobs, stream = [], b""
    for _ in range(count):
        pair = Pair(rng, config, new_program())
        dram = Dram(
            latency=rng.choice([1, 2, 7, 30, 100]),
            interval=rng.choice([1, 1, 1, 2, 5]),
            depth=rng.choice([1, 2, 4, 8]),
            write_latency=rng.choice([1, 2, 10, 50]),
        )
        timing = (dram.latency, dram.interval, dram.depth, dram.write_latency)
        head = [len(pair.code), len(pair.build.rows), *timing, config.bus_bytes]
        stream += np.array(head, np.int64).tobytes() + pair.code
        jobs.append((pair.build, dram))
    lines = (
        subprocess.run([model(config)], input=stream, capture_output=True, check=True)
        .stdout.decode()
        .splitlines()
    )
    machine = {
        "engines": tuple(ENGINES.index(e) for e in config.engines), "queue_depth": config.queue_depth,
        "token_bits": config.TOKEN_BITS, "bus_bytes": config.bus_bytes, "lanes": config.lanes,
        "burst_beats": config.burst_beats, "outstanding": config.outstanding, "fetch_beats": config.FETCH_BEATS,
        "run_fifo": config.RUN_FIFO, "store_fifo": config.STORE_FIFO,
        "buffer_latency": config.store_latency, "far": config.far,
    }  # fmt: skip
    outcomes = Counter()
    events = []
    for line in lines:
        what, *numbers = line.split()
        assert what != "violation", line
        if what != "result":
            events.append((what, *map(int, numbers)))
            continue
        build, dram = jobs[outcomes.total()]
        run = simulate(build, dram, **machine)
        told, result = as_printed(run, build.program)
        seen = list(map(int, numbers))
        assert (seen[:-6], sorted(events)) == (result, told), f"program {outcomes.total()}"
        if run.outcome is Outcome.DEADLOCK:
            missing = {w.engine: sum(1 << e for e in w.missing) for w in run.waiting}
            assert seen[-6:] == [missing.get(e, 0) for e in range(len(ENGINES))]
        outcomes[run.outcome] += 1
        events = []
    assert outcomes.total() == count
    assert set(outcomes) >= {Outcome.FINISHED, Outcome.DEADLOCK, Outcome.TRUNCATED, Outcome.OVERFLOW}
    assert Kind.ILLEGAL in {row[1] for build, _ in jobs for row in build.rows}
