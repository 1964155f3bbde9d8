"""The order in which a program's instructions are emitted: loads ahead of the work that needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Step", "emit_steps"]


def _nothing() -> None:
    """Emit nothing."""


@dataclass
class Step:
    """A piece of work for one engine, and what must be there first.

    Parameters
    ----------
    weights : callable
        Emits loads of constants: as early as the step before.
    inputs : callable
        Emits loads of tensors: as early, unless ``barrier``.
    prepare : callable
        Emits conversions of what ``inputs`` loaded.
    compute, finish : callable
        Emit the work, and what is done with its result.
    barrier : bool
        The inputs are results of the step before, or take the place of its inputs.
    alone : bool
        Its inputs leave no room for those of the step behind.
    layer : str
        Whose step it is.
    """

    compute: Callable[[], None]
    finish: Callable[[], None] = _nothing
    weights: Callable[[], None] = _nothing
    inputs: Callable[[], None] = _nothing
    prepare: Callable[[], None] = _nothing
    barrier: bool = False
    alone: bool = False
    layer: str = field(default="")


def emit_steps(steps: Sequence[Step], mark: Callable[[str], None]) -> None:
    """Emit all steps; every step's loads come before the work of the step before it.

    Parameters
    ----------
    steps : sequence of Step
        In order.
    mark : callable
        Is told the layer of everything that is emitted next.
    """
    for before, step, after in zip([None, *steps], [*steps, None], [*steps[1:], None, None], strict=False):
        if step is None:
            break
        if before is None:
            mark(step.layer)
            step.weights()
            step.inputs()
            step.prepare()
        if after is not None:
            mark(after.layer)
            after.weights()
            if not after.barrier:
                after.inputs()
        mark(step.layer)
        step.compute()
        if after is not None and not after.barrier:
            mark(after.layer)
            after.prepare()
        mark(step.layer)
        step.finish()
        if after is not None and after.barrier:
            mark(after.layer)
            after.inputs()
            after.prepare()
