"""The order in which a program's instructions are emitted: loads ahead of the work that needs them.

Engines take their instructions in order, so the order decides what can overlap. Here work is ordered as it would go
if every engine worked without pause: a step's constants are loaded while the step before it runs, the next band's
input while this band runs, and a step's result is taken away while the next step runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Step", "Work", "emit_work"]


def _nothing() -> None:
    """Emit nothing."""


@dataclass
class Step:
    """A run of one engine, and what goes with it.

    Parameters
    ----------
    engine : str
        Who does it.
    cycles : int
        About how long.
    compute : callable
        Emits the run.
    weights : callable
        Emits loads of its constants; called before the ``compute`` of the engine's step before this one.
    finish : callable
        Emits what is done with its result; called after the ``compute`` of the engine's next step in the band.
    """

    engine: str
    cycles: int
    compute: Callable[[], None]
    weights: Callable[[], None] = _nothing
    finish: Callable[[], None] = _nothing


@dataclass
class Work:
    """A band of a layer's outputs.

    Parameters
    ----------
    layer : str
        Whose.
    steps : sequence of Step
        Of all engines; each engine's in order.
    inputs, prepare : callable
        Emit loads of the band's input, and conversions of it: when the band before begins, unless ``barrier``.
    begin, end : callable
        Called before and after everything else of the band.
    barrier : bool
        The input is a result of the band before, or takes the place of its input.
    """

    layer: str
    steps: Sequence[Step]
    inputs: Callable[[], None] = _nothing
    prepare: Callable[[], None] = _nothing
    begin: Callable[[], None] = _nothing
    end: Callable[[], None] = _nothing
    barrier: bool = False


# What comes first of all that is due at one time.
_WEIGHTS, _INPUTS, _COMPUTE, _PREPARE, _FINISH = range(5)


def emit_work(bands: Sequence[Work], mark: Callable[[str], None]) -> None:
    """Emit all bands.

    Parameters
    ----------
    bands : sequence of Work
        In order.
    mark : callable
        Is told the layer of everything that is emitted next.
    """
    for number, work in enumerate(bands):
        if number == 0:
            mark(work.layer)
            for step in _firsts(work).values():
                step.weights()
            work.inputs()
            work.prepare()
        after = bands[number + 1] if number + 1 < len(bands) else None
        mark(work.layer)
        work.begin()
        for layer, emit in _events(work, after):
            mark(layer)
            emit()
        mark(work.layer)
        work.end()
        if after is not None and after.barrier:
            mark(after.layer)
            after.inputs()
            after.prepare()


def _firsts(work: Work) -> dict[str, Step]:
    """Each engine's first step."""
    firsts: dict[str, Step] = {}
    for step in work.steps:
        firsts.setdefault(step.engine, step)
    return firsts


def _events(work: Work, after: Work | None) -> list[tuple[str, Callable[[], None]]]:
    """What is emitted for a band, and for the next one meanwhile, in order, with the layer that it is for."""
    events: list[tuple[int, int, str, Callable[[], None]]] = []
    now: dict[str, int] = {}  # when each engine is free
    latest: dict[str, int] = {}  # when its last step began
    for step in work.steps:
        start = now.get(step.engine, 0)
        if step.engine in latest:
            events.append((latest[step.engine], _WEIGHTS, work.layer, step.weights))
        events.append((start, _COMPUTE, work.layer, step.compute))
        events.append((start + step.cycles, _FINISH, work.layer, step.finish))
        latest[step.engine] = start
        now[step.engine] = start + step.cycles
    if after is not None:
        for engine, step in _firsts(after).items():
            events.append((latest.get(engine, 0), _WEIGHTS, after.layer, step.weights))
        if not after.barrier:
            events.append((0, _INPUTS, after.layer, after.inputs))
            events.append((0, _PREPARE, after.layer, after.prepare))
    events.sort(key=lambda event: event[:2])
    return [(layer, emit) for _, _, layer, emit in events]
