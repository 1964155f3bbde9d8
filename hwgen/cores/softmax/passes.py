"""The two passes of a row as every variant has them: their ports."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Value
from amaranth.lib.wiring import In, Out

from hwgen.cores.softmax.config import SoftmaxConfig
from hwgen.cores.softmax.latency import Latency
from hwgen.cores.softmax.stages import lanes_of
from hwgen.emit import Unit

__all__ = ["FirstPass", "SecondPass"]


class FirstPass(Unit):
    """What is done with a row's elements as they arrive.

    Timing: ``store`` follows a beat by ``Latency.store`` cycles, ``stat`` by ``Latency.statistics``.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    take, last : In(1)
        A beat; it ends a row.
    x, keep : In
        Its logits, or how far they are below the row's largest; whether they take part.
    store : Out
        What is kept of the beat.
    stat : Out
        What the second pass needs to know of the row; with ``after_pv`` first the word of the stream ``s``.
    """

    def __init__(self, config: SoftmaxConfig, **members: Any):
        self.config = config
        self.latency = Latency(config)
        super().__init__({
            "take": In(1), "last": In(1), "x": In(config.in_bits * config.lanes), "keep": In(config.lanes),
            "store": Out(config.kept_bits * config.lanes + config.kept_once_bits), "stat": Out(config.stat_bits),
            **members,
        })  # fmt: skip

    @property
    def kind(self) -> str:
        """``first_pass``."""
        return "first_pass"


class SecondPass(Unit):
    """What is done with a row's elements when all of them are known.

    Timing: ``answer`` belongs to ``kept`` and ``row`` of ``Latency.results`` cycles before, which are registers.

    Parameters
    ----------
    config : SoftmaxConfig
        The core.

    Members
    -------
    kept, row : In
        What the first pass has stored of a beat, and found out about its row.
    answer : Out
        Results.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.latency = Latency(config)
        members: dict[str, Any] = {
            "kept": In(config.kept_bits * config.lanes + config.kept_once_bits), "row": In(config.stat_bits),
            "answer": Out(config.answer_bits),
        }  # fmt: skip
        super().__init__(members)

    @property
    def kind(self) -> str:
        """``second_pass``."""
        return "second_pass"

    @property
    def words(self) -> list[Value]:
        """What is kept, lane by lane."""
        return lanes_of(self.kept[: self.config.kept_bits * self.config.lanes], self.config.lanes)
