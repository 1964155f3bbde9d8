"""Loops, queues, readers and scratchpads, cycle by cycle in Amaranth's simulator."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.parts.fifo import Fifo
from hwgen.parts.loops import LoopNest
from hwgen.parts.pair import Pair
from hwgen.parts.prefetch import Prefetch
from hwgen.parts.ram import LATENCIES
from hwgen.parts.scratchpad import Scratchpad
from hwgen.parts.select import select, words_of


def simulate(component, bench) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 1, 2), (2, 4, 3), (1, 5, 1)])
@pytest.mark.parametrize("signed", [False, True])
def test_loops(counts, signed):
    """Addresses are base plus the strides of all loops, wrapped; the middle loop does not move."""
    strides = (3, None, -7 if signed else 9)
    nest = LoopNest("test", 8, (3, 3, 3), (4, None, 5), signed=signed)
    seen = []

    async def bench(ctx):
        for base in (5, 250):
            ctx.set(nest.base, base)
            for i, (count, stride) in enumerate(zip(counts, strides, strict=True)):
                ctx.set(getattr(nest, f"count_{i}"), count)
                if stride is not None:
                    ctx.set(getattr(nest, f"stride_{i}"), stride & 31 if i == 2 else stride)
            ctx.set(nest.load, 1)
            await ctx.tick()
            ctx.set(nest.load, 0)
            ctx.set(nest.step, 1)
            for _ in range(np.prod(counts)):
                seen.append((ctx.get(nest.address), ctx.get(nest.ends)))
                await ctx.tick()
            ctx.set(nest.step, 0)

    simulate(nest, bench)
    expected = []
    for base in (5, 250):
        for i2, i1, i0 in itertools.product(*(range(c) for c in reversed(counts))):
            address = base + i0 * strides[0] + i2 * strides[2]
            last = [i0 == counts[0] - 1, i1 == counts[1] - 1, i2 == counts[2] - 1]
            ends = sum(all(last[: k + 1]) << k for k in range(3))
            expected.append((address % 256, ends))
    assert seen == expected


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("depth", [2, 4])
def test_fifo(depth, registered):
    """As a deque, entry by entry, at every level; a pop of nothing does nothing."""
    fifo = Fifo("test", 8, depth, registered=registered)
    rng = np.random.default_rng(0)

    async def bench(ctx):
        model: deque[int] = deque()
        for _ in range(300):
            level = len(model)
            assert ctx.get(fifo.level) == level
            assert ctx.get(fifo.valid) == (level > 0)
            assert ctx.get(fifo.full) == (level == depth)
            if model:
                assert ctx.get(fifo.head) == model[0]
            push, pop = int(level < depth and rng.random() < 0.6), int(rng.random() < 0.5)
            value = int(rng.integers(256))
            ctx.set(fifo.push, push)
            ctx.set(fifo.data, value)
            ctx.set(fifo.pop, pop)
            if registered and model:  # what the head will be
                assert ctx.get(fifo.kept) == model[0]
                if level > 1 or push:
                    assert ctx.get(fifo.popped) == ([*model, value])[1]
            if pop and model:
                model.popleft()
            if push:
                model.append(value)
            await ctx.tick()

    simulate(fifo, bench)


@pytest.mark.parametrize("coming", [1.0, 0.5])
@pytest.mark.parametrize("leaving", [1.0, 0.5])
def test_pair(coming, leaving):
    """A queue of two; ready and valid do not depend on the other side of the same cycle; one word per cycle."""
    pair = Pair("test", 8)
    rng = np.random.default_rng(3)
    moved = 0

    async def bench(ctx):
        nonlocal moved
        model: deque[int] = deque()
        for _ in range(300):
            valid, ready, value = (
                int(rng.random() < coming),
                int(rng.random() < leaving),
                int(rng.integers(256)),
            )
            ctx.set(pair.i_valid, valid)
            ctx.set(pair.i_data, value)
            ctx.set(pair.o_ready, ready)
            assert ctx.get(pair.i_ready) == (len(model) < 2)
            assert ctx.get(pair.o_valid) == (len(model) > 0)
            takes = valid and len(model) < 2
            if model:
                assert ctx.get(pair.o_data) == model[0]
                if ready:
                    model.popleft()
                    moved += 1
            if takes:
                model.append(value)
            await ctx.tick()

    simulate(pair, bench)
    assert moved >= (299 if coming == leaving == 1 else 60)


@pytest.mark.parametrize("patience", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("latency", LATENCIES)
def test_prefetch(patience, latency):
    """Every word once and in order; without a pause if the consumer makes none."""
    reader = Prefetch(8, latency)
    rng = np.random.default_rng(1)
    memory = [int(v) for v in rng.integers(0, 256, 40)]
    got, times = [], []

    async def bench(ctx):
        address = 0
        pipe: deque[int] = deque([0] * latency)
        ready = True
        for cycle in range(500):
            ctx.set(reader.ask, address < len(memory))
            ctx.set(reader.last, address == len(memory) - 1)
            ctx.set(reader.read_data, pipe[0])
            ctx.set(reader.ready, ready)
            pipe.popleft()
            pipe.append(memory[min(address, len(memory) - 1)])
            address += ctx.get(reader.step)
            if ctx.get(reader.valid) and ready:
                got.append(ctx.get(reader.data))
                times.append(cycle)
                assert ctx.get(reader.is_last) == (len(got) == len(memory))
            await ctx.tick()
            ready = bool(rng.random() < patience)

    simulate(reader, bench)
    assert got == memory
    if patience == 1.0:
        assert times == list(range(latency + 1, latency + 1 + len(memory)))


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("banks", [1, 4])
@pytest.mark.parametrize(("narrow", "wide"), [(1, 1), (1, 4), (2, 8)])
def test_scratchpad(banks, narrow, wide, latency):
    """Ports of two widths see one memory; a read takes its latency; meeting in a bank raises the flag.

    If the latency is an odd one the narrow reader's data come a cycle later.
    """
    size = 128
    pad = Scratchpad(
        "test", size, wide, banks, {"load": narrow, "unit": wide}, {"left": wide, "right": narrow}, latency,
        ("right",) if latency % 2 else (),
    )  # fmt: skip
    rng = np.random.default_rng(2)
    bank_bytes = size // banks
    conflicts = 0

    async def bench(ctx):
        nonlocal conflicts
        model = np.zeros(size, np.uint8)
        expected = {"left": deque([None] * latency), "right": deque([None] * (latency + latency % 2))}
        met = deque([0] * (2 if latency == LATENCIES[-1] else 1))
        for _ in range(600):
            asked, used = {}, {"read": [], "write": []}
            touched: set[int] = set()
            writes = []
            for port, width in (("load", narrow), ("unit", wide)):
                at = int(rng.integers(size // width))
                en = bool(rng.random() < 0.5) and at * width // bank_bytes not in used["write"]
                data = rng.integers(0, 256, width, np.uint8)
                ctx.set(getattr(pad, f"{port}_en"), en)
                ctx.set(getattr(pad, f"{port}_address"), at)
                ctx.set(getattr(pad, f"{port}_data"), int.from_bytes(data.tobytes(), "little"))
                if en:
                    used["write"].append(at * width // bank_bytes)
                    touched |= set(range(at * width // wide * wide, at * width // wide * wide + wide))
                    writes.append((at * width, data))
            for port, width in (("left", wide), ("right", narrow)):
                at = int(rng.integers(size // width))
                meet = at * width // bank_bytes in used["read"]
                en = (
                    bool(rng.random() < 0.7)
                    and at * width not in touched
                    and (not meet or rng.random() < 0.2)
                )
                ctx.set(getattr(pad, f"{port}_en"), en)
                ctx.set(getattr(pad, f"{port}_address"), at)
                if en:
                    used["read"].append(at * width // bank_bytes)
                    asked[port] = int.from_bytes(model[at * width : (at + 1) * width].tobytes(), "little")
            for port, values in expected.items():
                value = values.popleft()
                assert value is None or ctx.get(getattr(pad, f"{port}_data")) == value
            assert ctx.get(pad.conflict) == met.popleft()
            met.append(int(len(used["read"]) > len(set(used["read"]))))
            conflicts += met[-1]
            for port, values in expected.items():
                values.append(None if met[-1] else asked.get(port))
            for at, data in writes:
                model[at : at + len(data)] = data
            await ctx.tick()

    simulate(pad, bench)
    assert conflicts > 0


def test_select():
    """A constant's words by index."""
    from amaranth.hdl import Const, Module, Signal

    m = Module()
    index, out = Signal(3), Signal(4)
    m.d.comb += out.eq(select(words_of(Const(0x54321, 20), 4), index))
    m.d.sync += Signal().eq(0)

    async def bench(ctx):
        for i in range(5):
            ctx.set(index, i)
            assert ctx.get(out) == i + 1

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
