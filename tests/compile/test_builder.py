"""Tokens: where words, banks or DRAM are shared, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.compile.builder import Builder, Region
from hwgen.system.config import SystemConfig

CONFIG = SystemConfig(act_words=1024, act_banks=4, acc_words=512, acc_banks=4)
LOAD = {"address": 64, "run_bytes": 64}


def builder() -> Builder:
    made = Builder(CONFIG)
    made.reach(1 << 16)
    return made


def tokens(made: Builder) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(one.mnemonic, one.wait, one.signal) for one in made.program().instructions]


def test_a_reader_waits_for_the_writer():
    made = builder()
    made.emit("load.run", writes=[Region.span("act", 0, 8)], **LOAD)
    made.emit("dsp.run", reads=[Region.span("act", 4, 1)])
    assert tokens(made)[:2] == [("load.run", (), ("dsp",)), ("dsp.run", ("load",), ())]


def test_a_writer_waits_for_the_reader():
    made = builder()
    made.emit("dsp.run", reads=[Region.span("act", 4, 4)])
    made.emit("load.run", writes=[Region.span("act", 0, 5)], **LOAD)
    assert tokens(made)[1] == ("load.run", ("dsp",), ())


def test_distinct_words_of_one_bank_may_be_read_and_written():
    made = builder()
    made.emit("dsp.run", reads=[Region.span("act", 0, 8)])
    made.emit("load.run", writes=[Region.span("act", 8, 8)], **LOAD)
    assert all(not wait and not signal for _, wait, signal in tokens(made))


def test_two_readers_take_turns_at_a_bank():
    made = builder()
    made.emit("dsp.run", reads=[Region.span("act", 0, 8)])
    made.emit("store.run", address=0, run_bytes=64, reads=[Region.span("act", 100, 8)])
    made.emit("vec.run", reads=[Region.span("act", 256, 8)])  # another bank
    assert tokens(made) == [
        ("dsp.run", (), ("store",)),
        ("store.run", ("dsp",), ()),
        ("vec.run", (), ()),
        ("control.halt", (), ()),
    ]


def test_what_is_known_is_not_waited_for_again():
    made = builder()
    made.emit("load.run", writes=[Region.span("act", 0, 8)], **LOAD)
    made.emit("dsp.run", reads=[Region.span("act", 0, 8)], writes=[Region.span("acc", 0, 8)])
    # VEC waits for DSP, which had waited for LOAD.
    made.emit("vec.run", reads=[Region.span("acc", 0, 8)], writes=[Region.span("act", 0, 8)])
    made.emit("dsp.run", reads=[Region.span("weight", 0, 1)])
    assert [wait for _, wait, _ in tokens(made)] == [(), ("load",), ("dsp",), (), ()]


def test_loads_wait_for_stores_of_the_same_bytes():
    made = builder()
    made.emit("store.run", address=128, run_bytes=64, writes=[Region.dram(128, 64)])
    made.emit("load.run", reads=[Region.dram(192, 64)], writes=[Region.span("act", 512, 8)], **LOAD)
    made.emit("load.run", reads=[Region.dram(150, 64)], writes=[Region.span("act", 512, 8)], **LOAD)
    assert [wait for _, wait, _ in tokens(made)] == [(), (), ("store",), ()]


def test_scattered_words():
    made = builder()
    made.emit("vec.run", writes=[Region("act", np.arange(0, 64, 8))])
    made.emit("dsp.run", reads=[Region.span("act", 1, 7)])
    made.emit("store.run", address=0, run_bytes=8, reads=[Region.span("act", 500, 1)])
    made.emit("store.run", address=0, run_bytes=8, reads=[Region.span("act", 8, 1)])
    assert [wait for _, wait, _ in tokens(made)] == [(), (), (), ("dsp", "vec"), ()]


def test_settings_are_emitted_once():
    made = builder()
    for _ in range(2):
        made.set("store.window", row_pitch=64, source_pitch=8)
    made.set("store.window", row_pitch=128, source_pitch=8)
    assert [one.mnemonic for one in made.program().instructions] == [
        "store.window",
        "store.window",
        "control.halt",
    ]


@pytest.mark.parametrize("seed", range(5))
def test_random_uses_are_ordered(seed):
    """Whatever is emitted, any two runs that must be in order are, by the checker's independent reckoning."""
    from hwgen.program.dataflow import Dataflow

    rng = np.random.default_rng(seed)
    made = builder()
    uses = []
    for _ in range(60):
        engine = str(rng.choice(["load.run", "dsp.run", "vec.run", "store.run"]))
        first, count = int(rng.integers(0, 900)), int(rng.integers(1, 100))
        write = engine in ("load.run", "vec.run") and bool(rng.random() < 0.7)
        region = [Region.span("act", first, count)]
        fields = {"load.run": LOAD, "store.run": {"address": 0, "run_bytes": 8}}.get(engine, {})
        made.emit(engine, reads=[] if write else region, writes=region if write else [], **fields)
        uses.append((engine.partition(".")[0], write, first, first + count))
    flow = Dataflow(made.program().instructions, CONFIG.queue_depth)
    assert not flow.hangs
    for j, (engine, write, low, high) in enumerate(uses):
        for i in range(j):
            other, wrote, from_, to = uses[i]
            touch = low < to and from_ < high and (write or wrote)
            bank = write == wrote and low // 256 <= (to - 1) // 256 and from_ // 256 <= (high - 1) // 256
            if other != engine and (touch or bank):
                assert flow.ordered(i, j), (i, j)
