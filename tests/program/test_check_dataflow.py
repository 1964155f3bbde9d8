"""Deadlock, order and tokens of programs, against a tiny machine of queues and tokens that is tried out in full."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import BadInput
from hwgen.program import Instr, instr
from hwgen.program.dataflow import Dataflow, Unmatched, deadlock_sentence

PROPERTY = settings(derandomize=True, deadline=None, max_examples=300)
SINGLE = {"load": "load.window", "dsp": "dsp.shape", "vec": "vec.source", "store": "store.window"}
HALT = instr("control.halt")
FENCE = instr("control.fence")


def do(engine: str, wait: str = "", signal: str = "") -> Instr:
    return instr(SINGLE[engine], wait=tuple(wait.split()), signal=tuple(signal.split()))


State = tuple[int, tuple[int, ...], tuple[int, ...]]


class Toy:
    """The machine by its definition: what is dispatched, and per engine how many have started and ended."""

    def __init__(self, program: list[Instr], depth: int):
        self.program = program
        self.depth = depth
        self.engines = list(SINGLE)
        self.own = {e: [i for i, one in enumerate(program) if one.engine == e] for e in SINGLE}
        self.first: State = (0, (0,) * len(SINGLE), (0,) * len(SINGLE))

    def tokens(self, state: State, giver: str, taker: str) -> int:
        _, started, ended = state
        given = self.own[giver][: ended[self.engines.index(giver)]]
        taken = self.own[taker][: started[self.engines.index(taker)]]
        return sum(taker in self.program[i].signal for i in given) - sum(
            giver in self.program[i].wait for i in taken
        )

    def moves(self, state: State) -> Iterator[State]:
        at, started, ended = state
        sent = [sum(i < at for i in self.own[e]) for e in self.engines]
        if at < len(self.program):
            target = self.program[at].engine
            if target == "control":
                free = sent == list(ended)
            else:
                number = self.engines.index(target)
                free = sent[number] - started[number] < self.depth
            if free:
                yield at + 1, started, ended
        for n, engine in enumerate(self.engines):
            if started[n] > ended[n]:
                yield at, started, (*ended[:n], ended[n] + 1, *ended[n + 1 :])
            elif started[n] < sent[n]:
                head = self.program[self.own[engine][started[n]]]
                if all(self.tokens(state, other, engine) > 0 for other in head.wait):
                    yield at, (*started[:n], started[n] + 1, *started[n + 1 :]), ended

    def final(self) -> State:
        """Where it ends, whatever is chosen: no move takes another one away."""
        state: State | None = self.first
        while state is not None:
            last, state = state, next(self.moves(state), None)
        return last

    def everything(self) -> set[State]:
        seen = {self.first}
        todo = deque(seen)
        while todo:
            for state in self.moves(todo.popleft()):
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
        return seen

    def running(self, state: State) -> list[int]:
        _, started, ended = state
        return [self.own[e][ended[n]] for n, e in enumerate(self.engines) if started[n] > ended[n]]

    def stuck(self) -> list[tuple[str, int, list[str]]]:
        """Who waits for whom in the end."""
        state = self.final()
        at, started, ended = state
        if at == len(self.program) and started == ended == tuple(len(self.own[e]) for e in self.engines):
            return []
        found: list[tuple[str, int, list[str]]] = []
        for n, engine in enumerate(self.engines):
            if started[n] < len(self.own[engine]) and self.own[engine][started[n]] < at:
                index = self.own[engine][started[n]]
                lacks = [o for o in self.program[index].wait if not self.tokens(state, o, engine)]
                found.append((engine, index, lacks))
        if at < len(self.program):
            target = self.program[at].engine
            found.append(("control", at, [e for e, *_ in found] if target == "control" else [target]))
        return found


@st.composite
def programs(draw: st.DrawFn, most: int, *, forward: bool = False) -> list[Instr]:
    """Programs with tokens between random instructions; forward ones, and some others, do not hang."""
    engines = draw(st.lists(st.sampled_from([*SINGLE, *SINGLE, "control"]), min_size=1, max_size=most))
    waits: list[set[str]] = [set() for _ in engines]
    signals: list[set[str]] = [set() for _ in engines]
    where = st.integers(0, len(engines) - 1)
    for a, b in draw(st.lists(st.tuples(where, where), max_size=most)):
        giver, taker = (min(a, b), max(a, b)) if forward or draw(st.booleans()) else (a, b)
        names = engines[giver], engines[taker]
        if names[0] != names[1] and "control" not in names:
            even = (names[1] in signals[giver]) == (names[0] in waits[taker])
            if even or not forward:
                signals[giver] ^= {names[1]}
                waits[taker] ^= {names[0]}
    if not forward:
        for i in draw(st.lists(where, max_size=1)):
            signals[i] = set()
    return [
        FENCE if engine == "control" else instr(SINGLE[engine], wait=waits[i], signal=signals[i])
        for i, engine in enumerate(engines)
    ] + [HALT]


@PROPERTY
@given(programs(14), st.integers(1, 3))
def test_a_program_hangs_where_the_machine_does(program: list[Instr], depth: int) -> None:
    flow = Dataflow(program, depth)
    stuck = Toy(program, depth).stuck()
    assert flow.hangs == bool(stuck)
    assert [(e, i, list(missing)) for e, i, missing in flow.stuck()] == stuck
    if stuck:
        circle = flow.deadlock()
        assert circle
        assert all(one in flow.stuck() for one in circle)
        with pytest.raises(BadInput, match=r"^deadlock: "):
            flow.order()


@PROPERTY
@given(programs(14), st.integers(1, 3))
def test_an_order_keeps_what_is_sure(program: list[Instr], depth: int) -> None:
    flow = Dataflow(program, depth)
    if flow.hangs:
        return
    order = flow.order()
    assert sorted(order) == list(range(len(program)))
    tokens: Counter[tuple[str, str]] = Counter()
    for i in order:
        for other in program[i].wait:
            tokens[other, program[i].engine] -= 1
            assert tokens[other, program[i].engine] >= 0
        for other in program[i].signal:
            tokens[program[i].engine, other] += 1
    for engine, own in flow.of_engine.items():
        assert [i for i in order if program[i].engine == engine] == own
    fences = flow.of_engine["control"]
    for fence in fences:
        assert set(order[: order.index(fence)]) == set(range(fence))


@PROPERTY
@given(programs(7, forward=True), st.integers(1, 3))
def test_order_and_tokens_are_those_of_every_possible_run(program: list[Instr], depth: int) -> None:
    toy, flow = Toy(program, depth), Dataflow(program, depth)
    assert not flow.hangs
    together: set[tuple[int, int]] = set()
    most: Counter[tuple[str, str]] = Counter()
    for state in toy.everything():
        running = toy.running(state)
        together |= {(i, j) for i in running for j in running}
        for pair in flow.pairs:
            most[pair] = max(most[pair], toy.tokens(state, *pair))
    runs = [i for i, one in enumerate(program) if one.engine != "control"]
    for i in runs:
        for j in runs:
            if program[i].engine != program[j].engine:
                assert (flow.ordered(i, j) or flow.ordered(j, i)) == ((i, j) not in together)
    if not flow.unmatched():
        assert {pair: count for pair, (count, _) in flow.outstanding().items()} == most


def test_a_program_keeps_its_own_order_where_it_can() -> None:
    forward = [
        do("load", signal="dsp"),
        do("vec"),
        do("dsp", wait="load"),
        do("load"),
        FENCE,
        do("vec"),
        HALT,
    ]
    assert Dataflow(forward, 2).order() == list(range(7))
    backward = [do("vec", wait="dsp"), do("store"), do("dsp", signal="vec"), HALT]
    assert Dataflow(backward, 2).order() == [1, 2, 0, 3]


def test_tokens_that_do_not_come_out_even() -> None:
    program = [do("load", signal="dsp vec"), do("load", signal="dsp"), do("dsp", wait="load"), HALT]
    assert Dataflow(program, 2).unmatched() == [
        Unmatched("load", "vec", 1, 0, 0),
        Unmatched("load", "dsp", 2, 1, 1),
    ]
    assert not Dataflow(program, 2).hangs
    program = [do("load", wait="dsp"), do("dsp", signal="load"), do("load", wait="dsp"), HALT]
    assert Dataflow(program, 2).unmatched() == [Unmatched("dsp", "load", 1, 2, 2)]
    assert Dataflow(program, 2).hangs


def test_tokens_that_pile_up() -> None:
    """The dispatcher does not wait for DSP, so LOAD may give all its tokens before one is taken."""
    program = [*[do("load", signal="dsp")] * 70, *[do("dsp", wait="load")] * 70, HALT]
    assert Dataflow(program, 8).outstanding() == {("load", "dsp"): (70, 69)}
    # Here a full queue holds LOAD back: for 8 instructions of DSP in the queue, and one that is to be handed out.
    program = [do("load", signal="dsp"), do("dsp", wait="load")] * 70
    assert Dataflow(program, 8).outstanding()["load", "dsp"][0] == 9


DEADLOCKS = {
    "deadlock: load at instruction 0 waits for dsp; dsp at instruction 1 waits for load": [
        do("load", "dsp", "dsp"), do("dsp", "load", "load"), HALT,
    ],
    # VEC only suffers: it is not in the circle.
    "deadlock: load at instruction 1 waits for store; store at instruction 2 waits for load": [
        do("vec", "load"), do("load", "store", "vec store"), do("store", "load", "load"), HALT,
    ],
    # The queue of DSP is full, and LOAD's instruction that would help is behind it.
    "deadlock: dsp at instruction 0 waits for load; the dispatcher at instruction 2 waits for dsp": [
        do("dsp", "load"), do("dsp"), do("dsp"), do("load", signal="dsp"), HALT,
    ],
    "deadlock: vec at instruction 0 waits for load; the dispatcher at instruction 1 waits for vec": [
        do("vec", "load"), FENCE, do("load", signal="vec"), HALT,
    ],
    "deadlock: vec at instruction 0 waits for load and store; the dispatcher at instruction 1 waits for vec": [
        do("vec", "load store"), HALT,
    ],
}  # fmt: skip


@pytest.mark.parametrize("sentence", DEADLOCKS)
def test_a_deadlock_names_who_waits_for_whom(sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        Dataflow(DEADLOCKS[sentence], 2).order()
    assert str(caught.value) == sentence


def test_a_queue_that_is_deep_enough_does_not_hang() -> None:
    program = [do("dsp", "load"), do("dsp"), do("dsp"), do("load", signal="dsp"), HALT]
    assert Dataflow(program, 2).hangs
    assert not Dataflow(program, 3).hangs


def test_the_sentence_of_a_run() -> None:
    waiting = [("load", 12, ["dsp"]), ("dsp", 9, ["load", "vec", "store"]), ("control", 30, ["load"])]
    assert deadlock_sentence(812, waiting) == (
        "deadlock at cycle 812: load at instruction 12 waits for dsp; dsp at instruction 9 waits for load, vec and "
        "store; the dispatcher at instruction 30 waits for load"
    )
    assert deadlock_sentence(5, []) == "deadlock at cycle 5"
