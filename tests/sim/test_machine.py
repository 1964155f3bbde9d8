"""The machine against timelines worked out by hand from the hardware's registers.

With a memory of latency L and a bus of 8 bytes (two beats per instruction), the first instruction is asked for in cycle
1, its address is on the bus in 2, its beats come in 2 + L and 3 + L, go through the buffer, and fill the instruction
register for cycle 5 + L. Then it leaves for its queue, and can begin in 6 + L. The next one follows two cycles later.
"""

from __future__ import annotations

import numpy as np
import pytest

from sim import machine
from sim.machine import Counters, Dram, Kind, MachineConfig, Outcome, Program, Waiting

FIRST = 7  # cycle in which the first instruction begins, at latency 1
DSP, LUT, VEC, STORE = 1, 2, 4, 5


def bits(*engines: int) -> int:
    return sum(1 << engine for engine in engines)


@pytest.mark.parametrize("latency", [1, 2, 20])
def test_a_single_instruction(build, simulate, latency):
    run = simulate(build.add(DSP).halt(), Dram(latency=latency))
    assert run.outcome is Outcome.FINISHED
    assert run.starts.tolist() == run.ends.tolist() == [latency + 6, latency + 7]
    assert run.dispatched.tolist() == [latency + 5, latency + 7]
    assert (run.cycles, run.drained, run.position) == (latency + 7, latency + 8, 1)
    assert (run.read_beats, run.read_bursts, run.write_beats) == (4, 1, 0)
    assert run.counters[DSP] == Counters(run=1, idle=latency + 8, wait=0, stall=0)
    assert run.counters[VEC] == Counters(run=0, idle=latency + 9, wait=0, stall=0)


@pytest.mark.parametrize(("bus", "gap"), [(8, 2), (16, 1), (32, 1), (64, 1)])
def test_instructions_come_as_fast_as_the_bus_brings_them(build, simulate, bus, gap):
    for _ in range(4):
        build.add(DSP)
    run = simulate(build.halt(), bus_bytes=bus)
    first = FIRST if bus == 8 else FIRST - 1
    assert run.starts.tolist()[:4] == [first + gap * i for i in range(4)]
    assert run.read_beats == -(-5 * 16 // bus)


def test_fetch_asks_again_when_half_of_its_buffer_is_free(build, simulate):
    for _ in range(40):
        build.fixed(DSP, 50)
    run = simulate(build.halt())
    # Two bursts of 8 beats fill the buffer; each later one needs 8 beats to have left it.
    assert (run.read_beats, run.read_bursts) == (82, 11)
    assert (np.diff(run.starts[:40]) == 50).all()


def test_a_run_keeps_its_engine_busy(build, simulate):
    run = simulate(build.fixed(DSP, 10).add(DSP).fixed(DSP, 2).halt())
    assert run.starts.tolist()[:3] == [FIRST, FIRST + 10, FIRST + 11]
    assert run.ends.tolist()[:3] == [FIRST + 9, FIRST + 10, FIRST + 12]
    assert run.cycles == FIRST + 13  # the queue is empty and the engine free
    assert run.counters[DSP] == Counters(run=13, idle=run.drained + 1 - 13, wait=0, stall=0)


def test_a_token_counts_from_the_next_cycle(build, simulate):
    run = simulate(build.add(VEC, wait=bits(DSP)).fixed(DSP, 10, signal=bits(VEC)).halt())
    assert run.ends[1] == FIRST + 2 + 9
    assert run.starts[0] == run.ends[1] + 1
    assert run.waited.tolist() == [run.starts[0] - FIRST, 0, 0]
    assert run.counters[VEC].wait == run.waited[0]


def test_tokens_of_an_instruction_that_does_not_run(build, simulate):
    run = simulate(build.add(VEC, wait=bits(DSP)).add(DSP, signal=bits(VEC)).add(VEC).halt())
    assert run.starts.tolist()[:3] == [FIRST + 3, FIRST + 2, FIRST + 4]


def test_engines_take_turns(build, simulate):
    """Each waits for the other's last run."""
    for _ in range(3):
        build.fixed(DSP, 100, wait=bits(VEC), signal=bits(VEC))
        build.fixed(VEC, 30, wait=bits(DSP), signal=bits(DSP))
    build.rows[0] = (DSP, Kind.FIXED, 0, bits(VEC), 100, 0)
    run = simulate(build.halt())
    dsp, vec = run.starts[0:6:2], run.starts[1:6:2]
    assert dsp.tolist() == [FIRST, FIRST + 130, FIRST + 260]
    assert vec.tolist() == [FIRST + 100, FIRST + 230, FIRST + 360]


@pytest.mark.parametrize("latency", [1, 2, 7, 20])
def test_a_load_of_one_beat(build, simulate, latency):
    run = simulate(build.load(address=800).halt(), Dram(latency=latency))
    begin = latency + 6
    assert run.starts[0] == begin
    # Clip, count, beats, ask: the request goes in cycle 4, its address in 5. The packer has the run from cycle 6 on.
    beat = begin + max(6, 5 + latency)
    # Then one cycle to find that nothing needs alignment, one to flush, and four until the buffer holds the word.
    assert run.ends[0] == beat + 6
    assert run.stalled[0] == beat + 6 - begin - 1
    assert run.counters[0].stall == run.stalled[0]
    assert run.counters[0].run == 2  # it began, and the beat was packed
    assert (run.read_beats, run.read_bursts) == (4 + 1, 2)


@pytest.mark.parametrize(
    ("address", "length", "beats", "bursts"),
    [
        (4096 - 24, 64, 8, 2),  # split at 4 KiB
        (4096 - 21, 64, 9, 2),  # unaligned: a beat more
        (4096, 64, 8, 1),
        (0, 256, 32, 2),  # two whole bursts
        (5, 1, 1, 1),
        (7, 2, 2, 1),
        (4095, 2, 2, 2),
        (8, 16 * 8 + 1, 17, 2),
    ],
)
def test_a_load_is_split(build, simulate, address, length, beats, bursts):
    latency = 20
    run = simulate(build.load(address=address, run_bytes=length).halt(), Dram(latency=latency))
    assert (run.read_beats - 4, run.read_bursts - 1) == (beats, bursts)
    # The second request follows in the cycle after the first; its data come without a gap.
    first = run.starts[0] + 5 + latency
    last = first + beats - 1
    if bursts == 2 and beats == 2:
        last = first + 1
    ragged = length % 8 != 0
    assert run.ends[0] == last + 6
    assert run.stalled[0] == run.ends[0] - run.starts[0] - beats - ragged


def test_a_memory_of_a_beat_every_fourth_cycle(build, simulate):
    run = simulate(build.load(address=0, run_bytes=32).halt(), Dram(latency=20, interval=4))
    assert run.ends[0] == run.starts[0] + 25 + 3 * 4 + 6


def test_a_padding_run_asks_for_nothing(build, simulate):
    outside = {"windowed": 1, "row_bytes": 100, "row_count": 5, "y_start": -1}
    run = simulate(build.load(run_bytes=8, **outside).halt())
    assert (run.read_beats, run.read_bursts) == (4, 1)
    assert run.ends[0] == run.starts[0] + 12
    run = simulate(type(build)().load(run_bytes=20, **outside).halt())
    # Three pieces, then one more of four bytes that aligns the end of the group.
    assert run.ends[0] == run.starts[0] + 14
    assert run.stalled[0] == 14 - 4


def test_groups_are_aligned(build, simulate):
    window = {"windowed": 1, "row_bytes": 100, "row_count": 5, "y_start": 5, "group_count": 2}
    run = simulate(build.load(run_bytes=3, **window).halt())
    # Each group is a piece and its alignment; a run comes every four cycles.
    assert run.ends[0] == run.starts[0] + 16
    assert run.stalled[0] == 16 - 4


def test_a_wide_word_is_aligned_by_several_bus_words(build, simulate):
    window = {"windowed": 1, "row_bytes": 100, "row_count": 5, "y_start": 5}
    run = simulate(build.load(run_bytes=8, **window).halt(), lanes=32)
    assert run.ends[0] == run.starts[0] + 12 + 2
    assert run.stalled[0] == run.ends[0] - run.starts[0] - 4


def test_padding_on_both_sides_of_data(build, simulate):
    latency = 20
    window = {"windowed": 1, "row_bytes": 16, "row_count": 1, "x_start": -10}
    run = simulate(build.load(address=1024 - 10, run_bytes=40, **window).halt(), Dram(latency=latency))
    # 10 bytes before, 16 bytes of data in two beats, 14 behind. The leading padding is packed while the data come.
    assert run.read_beats == 4 + 2
    assert run.ends[0] == run.starts[0] + 5 + latency + 1 + 2 + 6
    assert run.stalled[0] == run.ends[0] - run.starts[0] - 6


@pytest.mark.parametrize("answer", [1, 5, 30])
def test_a_store_of_one_beat(build, simulate, answer):
    run = simulate(build.store(address=4096).halt(), Dram(latency=1, write_latency=answer))
    # Address in cycle 3; the buffer is read in 2 and the beat queued for 5; on the bus in 6.
    assert run.ends[0] == run.starts[0] + 7 + answer
    assert run.stalled[0] == 7 + answer - 1
    assert (run.write_beats, run.write_bursts) == (1, 1)
    assert run.cycles == run.ends[0] + 1


@pytest.mark.parametrize(
    ("fields", "beats", "bursts"),
    [
        ({"run_bytes": 20}, 3, 1),
        ({"run_bytes": 20, "address": 4096 - 8}, 3, 2),
        ({"run_bytes": 8 * 17}, 17, 2),
        ({"run_bytes": 33, "run_count": 3, "row_pitch": 4096}, 15, 3),
    ],
)
def test_stores_are_split_and_have_tails(build, simulate, fields, beats, bursts):
    run = simulate(build.store(**fields).halt())
    assert (run.write_beats, run.write_bursts) == (beats, bursts)
    assert run.stalled[0] == run.ends[0] - run.starts[0] - beats


def test_a_store_of_one_row_is_limited_by_the_bus(build, simulate):
    run = simulate(build.store(run_bytes=24).halt(), Dram(latency=1, write_latency=1))
    assert run.ends[0] == run.starts[0] + 7 + 1 + 2


def test_a_fence_waits_for_all(build, simulate):
    run = simulate(build.fixed(DSP, 100).fence().add(VEC).halt())
    end = FIRST + 99
    assert run.dispatched.tolist() == [FIRST - 1, end + 1, end + 2, end + 4]
    assert run.starts.tolist() == [FIRST, end + 1, end + 3, end + 4]


def test_a_full_queue_holds_the_dispatcher_back(build, simulate):
    build.fixed(DSP, 50).add(DSP).add(DSP).add(DSP).add(VEC).halt()
    run = simulate(build, queue_depth=2)
    end = FIRST + 49
    assert run.starts.tolist()[:4] == [FIRST, end + 1, end + 2, end + 3]
    # The queue shows its free place two cycles after the run's end.
    assert run.dispatched[3] == end + 2
    assert run.starts[4] == end + 4
    free = simulate(build, queue_depth=4)
    assert free.starts[4] == FIRST + 8


def test_a_deadlock_is_told_at_once(build, simulate):
    run = simulate(build.add(VEC, wait=bits(DSP, STORE)).add(DSP, wait=bits(VEC)).halt())
    assert run.outcome is Outcome.DEADLOCK
    assert run.cycles == FIRST + 3  # the halt is there, and the dispatcher cannot get rid of it
    assert run.position == 2
    assert run.waiting == (Waiting(DSP, 1, (VEC,)), Waiting(VEC, 0, (DSP, STORE)))
    assert run.starts.tolist() == run.ends.tolist() == [-1, -1, -1]
    # The queues are reset in the cycle after the error, which still counts.
    assert run.waited.tolist() == [run.cycles + 2 - FIRST, run.cycles + 2 - (FIRST + 2), 0]


def test_a_late_deadlock(build, simulate):
    run = simulate(build.add(VEC, wait=bits(DSP)).fixed(DSP, 500).halt())
    assert run.outcome is Outcome.DEADLOCK
    assert run.cycles == run.ends[1] + 1


def test_a_program_without_halt(build, simulate):
    run = simulate(build.add(DSP))
    assert run.outcome is Outcome.TRUNCATED
    assert (run.cycles, run.position) == (FIRST, 1)
    assert run.starts.tolist() == [FIRST]
    empty = simulate(type(build)())
    assert (empty.outcome, empty.cycles, empty.drained) == (Outcome.TRUNCATED, 1, 2)


def test_an_illegal_instruction_stops_the_program(build, simulate):
    run = simulate(build.add(DSP).illegal().add(DSP).halt())
    assert run.outcome is Outcome.ILLEGAL
    assert (run.position, run.cycles) == (1, FIRST + 1)
    assert run.starts.tolist() == [FIRST, -1, -1, -1]


def test_what_is_on_its_way_is_drained(build, simulate):
    run = simulate(build.load(run_bytes=128).illegal(), Dram(latency=50))
    assert run.outcome is Outcome.ILLEGAL
    assert run.cycles == run.starts[0] + 1  # its address is not even asked for
    assert run.drained == run.cycles + 1
    late = simulate(type(build)().load(run_bytes=128).add(DSP).add(DSP).add(DSP).illegal(), Dram(latency=50))
    ask = late.starts[0] + 5
    assert late.cycles == late.starts[0] + 7
    assert late.drained == ask + 50 + 16
    assert late.read_beats == 10 + 16


def test_too_many_tokens(build, simulate):
    for _ in range(8):
        build.add(DSP, signal=bits(VEC))
    run = simulate(build.halt(), token_bits=3)
    assert run.outcome is Outcome.OVERFLOW
    assert run.cycles == run.starts[7] == FIRST + 14
    taken = type(build)()
    for i in range(8):
        taken.add(DSP, signal=bits(VEC))
        if i == 4:
            taken.add(VEC, wait=bits(DSP))
    assert simulate(taken.halt(), token_bits=3).outcome is Outcome.FINISHED


def test_instruction_fetch_goes_before_loads(build, simulate):
    build.load(run_bytes=8000)
    for _ in range(60):
        build.add(DSP)
    run = simulate(build.halt(), Dram(latency=30, depth=4))
    assert run.outcome is Outcome.FINISHED
    assert run.starts[60] < run.ends[0]
    assert run.read_beats == 1000 + 2 * 62


def test_both_directions_share_the_bus(build, simulate):
    alone = simulate(build.load(run_bytes=4096).halt(), Dram(latency=1))
    both = simulate(type(build)().load(run_bytes=4096).store(run_bytes=4096).halt(), Dram(latency=1))
    assert both.write_beats == 512
    assert both.ends[0] > alone.ends[0] + 400


def test_what_makes_no_sense_is_refused(library, build):
    def refused(built, text, **config):
        with pytest.raises(ValueError, match=text):
            machine.run(library, MachineConfig(**config), Dram(), built.program)

    new = type(build)
    refused(new().halt().add(LUT), "instruction 1 is for an engine that is not there")
    refused(new().fixed(DSP, 1), "instruction 0 must last at least two cycles")
    refused(new().fixed(0, 5), "does not compute")
    refused(new().add(DSP, Kind.LOAD_RUN), "run of LOAD on another engine")
    refused(new().add(STORE, Kind.STORE_RUN), "no entry in stores")
    refused(new().add(DSP, wait=bits(DSP)), "waits for itself")
    refused(new().add(DSP, signal=bits(LUT)), "signals itself or an engine that is not there")
    refused(new().add(DSP, Kind.HALT), "its engine must be 15")
    refused(new().add(DSP, 9), "a kind that does not exist")
    refused(new().load(run_bytes=0), r"run_bytes of loads\[0\] must lie in 1")
    refused(new().add(DSP, duration=-2), "duration holds a number")
    for wrong in (
        {"engines": (0, 1)},
        {"engines": (0, 5, 5)},
        {"engines": (0, 5, 6)},
        {"lanes": 3},
        {"bus_bytes": 4},
    ):
        refused(new(), "must", **wrong)
    with pytest.raises(ValueError, match="latency"):
        Dram(latency=0)
    one = build.halt().program
    with pytest.raises(ValueError, match="same number"):
        Program(one.engine, one.kind, one.wait, one.signal, one.duration, [], one.loads, one.stores)
    with pytest.raises(ValueError, match="list of integers"):
        Program([0.5], one.kind, one.wait, one.signal, one.duration, [0], one.loads, one.stores)
