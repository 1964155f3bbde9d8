"""The two rules of the other side of a stream, against a cycle-by-cycle walk of the handshake."""

from __future__ import annotations

import numpy as np
import pytest

from sim import OPEN, Consumer, Gate, Producer, simulate


def _gate(text: str) -> Gate:
    return Gate(np.array([c == "#" for c in text]))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("#", [0, 1, 2, 3, 4, 5]),
        ("..#", [2, 2, 2, 5, 5, 5]),
        ("#..", [0, 3, 3, 3, 6, 6]),
        (".##.", [1, 1, 2, 5, 5, 5]),
    ],
)
def test_a_gate_repeats_its_pattern(pattern: str, expected: list[int]) -> None:
    gate = _gate(pattern)
    assert [gate.first_open(cycle) for cycle in range(6)] == expected
    period = len(pattern)
    assert gate.first_open(10 * period + 1) == 10 * period + gate.first_open(1)


def test_a_producer_begins_to_offer_in_an_open_cycle_and_then_holds() -> None:
    producer = Producer(_gate("..#."))
    # Offered in 2 and taken at once; the next is offered in 6 and held until the core is ready in 9; the
    # one after cannot be offered before 10.
    assert [producer.transfer(cycle) for cycle in (0, 9, 9)] == [2, 9, 10]
    assert producer.times == [2, 9, 10]


def test_a_consumer_is_ready_only_in_open_cycles() -> None:
    consumer = Consumer(_gate("..#."))
    assert [consumer.transfer(cycle) for cycle in (0, 3, 7)] == [2, 6, 10]
    assert consumer.times == [2, 6, 10]


def _random(rng: np.random.Generator) -> tuple[Gate, list[bool]]:
    pattern = rng.random(int(rng.integers(1, 12))) < 0.4
    pattern[int(rng.integers(len(pattern)))] = True
    return Gate(pattern), pattern.tolist()


def _walk_producer(pattern: list[bool], ready: list[int]) -> list[int]:
    """Cycle of each transfer, the core being ready for beat ``i`` from ``ready[i]`` on, one cycle at a time."""
    times: list[int] = []
    holds, cycle = False, 0
    while len(times) < len(ready):
        holds = holds or pattern[cycle % len(pattern)]
        if holds and cycle >= ready[len(times)]:
            times.append(cycle)
            holds = False
        cycle += 1
    return times


def _walk_consumer(pattern: list[bool], valid: list[int]) -> list[int]:
    times: list[int] = []
    cycle = 0
    while len(times) < len(valid):
        if pattern[cycle % len(pattern)] and cycle >= valid[len(times)] and cycle not in times:
            times.append(cycle)
        cycle += 1
    return times


@pytest.mark.parametrize("seed", range(50))
def test_transfers_are_those_of_a_walk_over_the_cycles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate, pattern = _random(rng)
    waits = np.cumsum(rng.integers(0, 6, 40)).tolist()
    producer = Producer(gate)
    assert [producer.transfer(cycle) for cycle in waits] == _walk_producer(pattern, waits)
    # A core never offers its next beat in the cycle of the last one's transfer.
    consumer, offered, earliest = Consumer(gate), [], 0
    for wait in waits:
        earliest = max(earliest, wait)
        offered.append(earliest)
        earliest = consumer.transfer(earliest) + 1
    assert consumer.times == _walk_consumer(pattern, offered)


class _Adder:
    """A core that answers each beat of ``x`` with one of ``y``, two cycles later, one at a time."""

    class Told:
        def __init__(self, starts: list[int], ends: list[int]):
            self.starts, self.ends, self.cycles = starts, ends, ends[-1] + 1

    def free(self, operations):
        return self.Told([3 * i for i in operations], [3 * i + 2 for i in operations])

    def stalled(self, operations, ends):
        starts, done, last = [], [], -1
        for _ in operations:
            starts.append(ends["x"].transfer(last + 1))
            last = ends["y"].transfer(starts[-1] + 2)
            done.append(last)
        return self.Told(starts, done)


def test_a_simulation_tells_time_values_and_transfers() -> None:
    free = simulate(_Adder(), range(3))
    assert (free.cycles, list(free.starts), list(free.ends), free.outputs) == (9, [0, 3, 6], [2, 5, 8], None)
    assert free.transfers == {}
    walked = simulate(_Adder(), range(3), inputs={"x": OPEN}, outputs={"y": OPEN})
    assert (walked.cycles, walked.starts, walked.ends) == (free.cycles, free.starts, free.ends)
    slow = simulate(
        _Adder(),
        range(2),
        values=lambda ops: [10 * i for i in ops],
        inputs={"x": _gate(".#")},
        outputs={"y": OPEN},
    )
    assert slow.outputs == [0, 10]
    assert {name: times.tolist() for name, times in slow.transfers.items()} == {"x": [1, 4], "y": [3, 6]}
    assert slow.cycles == 7
