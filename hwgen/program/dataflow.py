"""Who waits for whom in a program: its dependency graph, its tokens, and the orders in which it can run.

Every engine does its instructions in order, each once its tokens are there. The dispatcher hands out instructions in
program order and stops at a full queue, and at a fence until all engines have finished. All of this is one graph over
three moments of every instruction: it is dispatched, it starts, it ends. A program can hang exactly if the graph has
a cycle or a token never comes. Two instructions are in order exactly if a path leads from the end of the one to the
start of the other; whatever else happens depends on how long instructions take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import numpy as np

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.program.encoding import Instr
from hwgen.program.table import ENGINES

__all__ = ["DISPATCH", "END", "START", "Dataflow", "Unmatched", "Waiting", "deadlock_sentence", "named"]

DISPATCH, START, END = range(3)
"""The moments of an instruction; moment ``m`` of instruction ``i`` is node ``3 * i + m`` of the graph."""

MOMENTS = 3
NEVER = -1  # node that is never reached: what comes after a token that nobody gives

Waiting = tuple[str, int, Sequence[str]]
"""An engine (or ``control``), the instruction that it cannot start (or hand out), the engines for which it waits."""


def deadlock_sentence(cycle: int | None, waiting: Sequence[Waiting]) -> str:
    """What to tell about a program that hangs, found before it runs, or by simulator or hardware.

    Parameters
    ----------
    cycle : int or None
        When nothing moved any more; None if the program did not run.
    waiting : sequence of (str, int, sequence of str)
        Every engine that is stuck, its instruction, and the engines whose token it lacks. The dispatcher is
        ``control``; it lacks room in an engine's queue, or engines that finish.
    """
    when = "" if cycle is None else f" at cycle {cycle}"
    texts = [
        f"{'the dispatcher' if engine == 'control' else engine} at instruction {index} waits for {_listed(missing)}"
        for engine, index, missing in waiting
    ]
    return f"deadlock{when}: {'; '.join(texts)}" if texts else f"deadlock{when}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def named(instructions: Sequence[Instr], index: int) -> str:
    """How messages name an instruction: ``instruction 12 (load.run)``."""
    return f"instruction {index} ({instructions[index].mnemonic})"


@dataclass(frozen=True)
class Unmatched:
    """Tokens between two engines that do not come out even.

    Parameters
    ----------
    giver, taker : str
        Engines.
    given, taken : int
        Tokens that the whole program gives, and takes.
    index : int
        First instruction that gives or takes one too many.
    """

    giver: str
    taker: str
    given: int
    taken: int
    index: int


class Dataflow:
    """The dependencies of a program.

    Parameters
    ----------
    instructions : sequence of Instr
        In program order.
    queue_depth : int
        Instructions that an engine's queue holds besides the one that runs.

    Attributes
    ----------
    engines : tuple of str
        Those that have an instruction or are named by one, in the order of the table.
    of_engine : dict of list of int
        Instructions of every engine, in order.
    position : list of int
        Number of every instruction within its engine.
    signals, waits : dict of list of int
        Instructions that give a token from one engine to another, and that take it, by (giver, taker).
    """

    def __init__(self, instructions: Sequence[Instr], queue_depth: int):
        self.instructions = instructions
        self.queue_depth = queue_depth
        self.of_engine: dict[str, list[int]] = {}
        self.position: list[int] = []
        self.signals: dict[tuple[str, str], list[int]] = {}
        self.waits: dict[tuple[str, str], list[int]] = {}
        for i, one in enumerate(instructions):
            engine = one.engine
            own = self.of_engine.setdefault(engine, [])
            self.position.append(len(own))
            own.append(i)
            for other in one.signal:
                self.signals.setdefault((engine, other), []).append(i)
            for other in one.wait:
                self.waits.setdefault((other, engine), []).append(i)
        pairs = [*self.signals, *self.waits]
        seen = {*self.of_engine, *(name for pair in pairs for name in pair)}
        self.engines = tuple(name for name in ENGINES if name in seen)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(giver, taker) of all tokens, in the order of the engines."""
        found = {*self.signals, *self.waits}
        return sorted(found, key=lambda pair: (ENGINES.index(pair[0]), ENGINES.index(pair[1])))

    def unmatched(self) -> list[Unmatched]:
        """Pairs of engines whose tokens do not come out even, by instruction."""
        found = []
        for pair in self.pairs:
            given, taken = self.signals.get(pair, []), self.waits.get(pair, [])
            if len(given) != len(taken):
                more = max(given, taken, key=len)
                index = more[min(len(given), len(taken))]
                found.append(Unmatched(*pair, len(given), len(taken), index))
        return sorted(found, key=lambda one: one.index)

    @cached_property
    def graph(self) -> Any:
        """The dependency graph: a ``networkx.DiGraph`` over moments."""
        graph = nx.DiGraph()
        graph.add_nodes_from(MOMENTS * i + DISPATCH for i in range(len(self.instructions)))
        graph.add_edges_from(self._in_order())
        for pair in self.pairs:
            given, taken = self.signals.get(pair, []), self.waits.get(pair, [])
            graph.add_edges_from(
                (MOMENTS * g + END, MOMENTS * t + START) for g, t in zip(given, taken, strict=False)
            )
            missing = taken[len(given) :]
            if missing:
                graph.add_edge(NEVER, NEVER)
                graph.add_edges_from((NEVER, MOMENTS * t + START) for t in missing)
        return graph

    def _in_order(self) -> Iterator[tuple[int, int]]:
        """What follows from engines and dispatcher that keep the order, full queues, and fences."""
        last: dict[str, int] = {}
        for i, one in enumerate(self.instructions):
            node = MOMENTS * i
            if i:
                yield node - MOMENTS + DISPATCH, node + DISPATCH
            engine = one.engine
            if engine == "control":
                for before in last.values():
                    yield MOMENTS * before + END, node + DISPATCH
                continue
            yield node + DISPATCH, node + START
            yield node + START, node + END
            if engine in last:
                yield MOMENTS * last[engine] + END, node + START
            last[engine] = i
            behind = self.position[i] - self.queue_depth
            if behind >= 0:  # a start makes room in the queue
                yield MOMENTS * self.of_engine[engine][behind] + START, node + DISPATCH

    @cached_property
    def reached(self) -> list[int]:
        """Nodes that the program reaches, in an order that it allows; the program's own wherever that is possible."""
        found = {}
        try:
            for node in nx.lexicographical_topological_sort(self.graph):
                found[node] = True
        except nx.NetworkXUnfeasible:  # raised at the end: what was found until then does happen
            pass
        return list(found)

    @cached_property
    def hangs(self) -> bool:
        """Whether the program hangs, however long its instructions take."""
        return len(self.reached) < len(self.graph)

    def stuck(self) -> list[Waiting]:
        """Where the program hangs: who waits at which instruction for whom; empty if it does not hang."""
        if not self.hangs:
            return []
        reached = set(self.reached)
        waiting: list[Waiting] = []
        idle = []
        at = next((i for i in range(len(self.instructions)) if MOMENTS * i + DISPATCH not in reached), None)
        for engine in self.engines:
            own = self.of_engine.get(engine, [])
            head = next((i for i in own if MOMENTS * i + START not in reached), None)
            if head is None or (at is not None and head >= at):
                idle.append(engine)
            else:
                waiting.append((engine, head, self._missing(head, reached)))
        if at is not None:
            target = self.instructions[at].engine
            busy = [engine for engine, _, _ in waiting]
            waiting.append(("control", at, busy if target == "control" else [target]))
        return waiting

    def _missing(self, index: int, reached: set[int]) -> list[str]:
        """Engines whose token an instruction lacks for ever."""
        one = self.instructions[index]
        missing = []
        for other in one.wait:
            pair = other, one.engine
            number = self.waits[pair].index(index)
            given = self.signals.get(pair, [])
            if number >= len(given) or MOMENTS * given[number] + END not in reached:
                missing.append(other)
        return missing

    def deadlock(self) -> list[Waiting]:
        """Those who wait for each other in a circle; all who are stuck if there is none, but a token that never comes.

        An engine without instructions is in the circle by way of the dispatcher, who is stuck before its next one.
        """
        stuck = self.stuck()
        holds = nx.DiGraph()
        heads = {engine: index for engine, index, _ in stuck}
        for engine, _, missing in stuck:
            for other in missing:
                if other in heads:
                    holds.add_edge(engine, other)
                elif "control" in heads and self.of_engine.get(other, [-1])[-1] >= heads["control"]:
                    holds.add_edge(engine, "control")
        try:
            circle = {edge[0] for edge in nx.find_cycle(holds)}
        except nx.NetworkXNoCycle:
            return stuck
        return [one for one in stuck if one[0] in circle]

    def order(self) -> list[int]:
        """All instructions in an order in which they may be carried out one by one.

        Raises
        ------
        BadInput
            If the program hangs: the sentence of :func:`deadlock_sentence`.
        """
        if self.hangs:
            raise BadInput(deadlock_sentence(None, self.deadlock()))
        control = [one.engine == "control" for one in self.instructions]
        found = []
        for node in self.reached:
            index, moment = divmod(node, MOMENTS)
            if moment == (DISPATCH if control[index] else START):
                found.append(index)
        return found

    @cached_property
    def _clocks(self) -> tuple[IntArray, IntArray]:
        """Per instruction and engine: instructions ended before its start, and started before its end."""
        count = len(self.engines)
        number = {name: n for n, name in enumerate(self.engines)}
        places = [number.get(one.engine, 0) for one in self.instructions]
        ended = np.zeros((len(self.instructions), count), np.int64)
        started = np.zeros_like(ended)
        nothing = (0,) * (2 * count)  # starts of every engine, then ends
        clocks: dict[int, tuple[int, ...]] = {}
        before = self.graph.pred
        for node in self.reached:
            clock = nothing
            known = [clocks[other] for other in before[node]]
            if known:
                clock = known[0] if len(known) == 1 else tuple(map(max, *known))
            index, moment = divmod(node, MOMENTS)
            if moment == START:
                ended[index] = clock[count:]
            elif moment == END:
                started[index] = clock[:count]
            if moment != DISPATCH:
                own = places[index] + (count if moment == END else 0)
                clock = (*clock[:own], self.position[index] + 1, *clock[own + 1 :])
            clocks[node] = clock
        return ended, started

    @property
    def ended(self) -> IntArray:
        """Shape (instructions, engines): how many of the engine's have surely ended when the instruction starts."""
        return self._clocks[0]

    def ordered(self, first: int, second: int) -> bool:
        """Whether an instruction has surely ended when another one, of whatever engine, starts."""
        engine = self.engines.index(self.instructions[first].engine)
        return bool(self._clocks[0][second, engine] > self.position[first])

    def outstanding(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Most tokens that a counter can come to hold, and the instruction that gives the last of them.

        The bound is exact: some duration of the instructions reaches it. All tokens must match.
        """
        found = {}
        for pair in self.pairs:
            taker = self.engines.index(pair[1])
            given = np.array(self.signals[pair])
            takers = np.array([self.position[i] for i in self.waits[pair]])
            taken = np.searchsorted(takers, self._clocks[1][given, taker])
            left = np.arange(1, len(given) + 1) - taken
            most = int(left.argmax())
            found[pair] = int(left[most]), int(given[most])
        return found
