"""Elastic parts, each as a small core of its own: values and cycles against the Verilog, under all regimes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hwgen.config import CoreConfig
from hwgen.core import Core, Schedule, StreamEnd
from hwgen.emit import Unit, place
from hwgen.numerics import IntFormat
from hwgen.parts.delay import delay
from hwgen.parts.elastic.rtl import Elastic, Rows
from hwgen.parts.elastic.timing import ElasticTiming, RowsShape, RowsTiming
from hwgen.streams import Beats, Field, Stream
from hwgen.verify.stimulus import REGIMES

U8 = IntFormat(8, False)
U16 = IntFormat(16, False)


@dataclass(frozen=True, kw_only=True)
class Config(CoreConfig):
    """Latencies of the toy: ``stat`` 0 stands for no statistics, so that beats go through an Elastic."""

    core: ClassVar[str] = "toy"
    longest: int = 1
    store: int = 0
    stat: int = 0
    result: int = 0

    @property
    def shape(self) -> RowsShape:
        return RowsShape(self.longest, self.stat, self.result)


class Times:
    def __init__(self, config: Config):
        self.config = config

    def free(self, operations: Sequence[Any]) -> Schedule:
        return self.stalled(operations, {})

    def stalled(self, operations: Sequence[Any], ends: Mapping[str, StreamEnd]) -> Schedule:
        beats = [len(op) for op in operations]
        if self.config.stat:
            return RowsTiming(self.config.shape, ends.get("x"), ends.get("y")).run(beats)
        return ElasticTiming(self.config.result).run(beats, ends.get("x"), ends.get("y"))


class Toy(Unit):
    """y = 3 x + 1, or x plus the sum of its row."""

    def __init__(self, config: Config):
        self.config = config
        members: dict[str, Any] = {}
        for stream in streams():
            to, back = (In, Out) if stream.direction == "in" else (Out, In)
            members |= {
                f"{stream.prefix}_tdata": to(8 * stream.bytes), f"{stream.prefix}_tvalid": to(1),
                f"{stream.prefix}_tlast": to(1), f"{stream.prefix}_tready": back(1),
            }  # fmt: skip
        super().__init__(members)

    @property
    def kind(self) -> str:
        return "toy"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg = self.config
        x = self.s_axis_x_tdata
        if cfg.stat:
            unit: Unit = Rows("toy", 8, 16, 16, cfg.shape, cfg.store)
            running = Signal(16)
            total = Signal(16)
            m.d.comb += total.eq(running + x)
            with m.If(unit.take):
                m.d.sync += running.eq(Mux(unit.take_last, 0, total))
            m.d.comb += [
                unit.store.eq(delay(m, x, cfg.store, name="x_delay")),
                unit.stat.eq(delay(m, total, cfg.stat)),
                unit.answer.eq(delay(m, (unit.kept + unit.row)[:16], cfg.result, name="answer_delay")),
            ]
        else:
            unit = Elastic("toy", 16, cfg.result)
            m.d.comb += unit.result.eq(delay(m, (3 * x + 1)[:16], cfg.result, name="answer_delay"))
        place(m, "unit", unit, platform)
        m.d.comb += [
            unit.in_valid.eq(self.s_axis_x_tvalid),
            unit.in_last.eq(self.s_axis_x_tlast),
            self.s_axis_x_tready.eq(unit.in_ready),
            Cat(self.m_axis_y_tdata, self.m_axis_y_tlast, self.m_axis_y_tvalid).eq(
                Cat(unit.out, unit.out_last, unit.out_valid)
            ),
            unit.out_ready.eq(self.m_axis_y_tready),
        ]
        return m


def streams() -> tuple[Stream, ...]:
    return (
        Stream("x", "in", (Field("x", 1, U8, "element"),), "rows", last=True),
        Stream("y", "out", (Field("y", 1, U16, "element"),), "results", last=True),
    )


class ToyCore(Core):
    name = "toy"
    summary = ""
    config = Config
    supported: ClassVar[Mapping[str, CoreConfig]] = {}

    def streams(self, config: Config) -> tuple[Stream, ...]:
        return streams()

    def component(self, config: Config) -> Unit:
        return Toy(config)

    def golden(self, config: Config, operations: Sequence[Any]) -> list[Any]:
        return [op + op.sum() if config.stat else 3 * op + 1 for op in operations]

    values = golden

    def timing(self, config: Config) -> Any:
        return Times(config)

    def stimulus(self, config: Config, operations: Sequence[Any]) -> dict[str, Beats]:
        return {"x": np.concatenate(operations).astype(np.uint8).reshape(-1, 1)}

    def collect(self, config: Config, operations: Sequence[Any], beats: Mapping[str, Beats]) -> list[Any]:
        values = np.ascontiguousarray(beats["y"]).view("<u2")[:, 0].astype(np.int64)
        return np.split(values, np.cumsum([len(op) for op in operations])[:-1])

    def outside(self, config: Config, operations: Sequence[Any], beats: Mapping[str, Beats]) -> Any:
        return np.zeros(0, np.int64)

    def marks(self, config: Config, operations: Sequence[Any]) -> dict[str, list[int]]:
        return {name: [len(op) for op in operations] for name in ("x", "y")}

    def simulation_sources(self, config: Config) -> Sequence[Any]:
        return []

    def resources(self, config: Config) -> Any:
        raise AssertionError

    characteristics = random_operations = tile = resources


CORE = ToyCore()

ELASTIC = [Config(result=latency) for latency in (0, 1, 2, 7)]
ROWS = [
    Config(longest=1, stat=1),
    Config(longest=1, stat=6, store=3, result=4),
    Config(longest=5, stat=2, store=2, result=0),
    Config(longest=40, stat=3, store=1, result=2),
    Config(longest=70, stat=20, store=0, result=9),
]


def rows(longest: int, count: int) -> list[Any]:
    rng = np.random.default_rng(longest)
    lengths = [longest, 1, longest, 1, 1, *rng.integers(1, longest, count - 5, endpoint=True)]
    return [rng.integers(0, 256, n) for n in lengths]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("config", ELASTIC, ids=str)
def test_a_datapath_between_two_streams(
    config: Config, regime: str, three_agree: Callable[..., None]
) -> None:
    three_agree(CORE, config, rows(9, 30), regime)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("config", ROWS, ids=str)
def test_rows_that_go_by_twice(config: Config, regime: str, three_agree: Callable[..., None]) -> None:
    three_agree(CORE, config, rows(config.longest, 60), regime)


@pytest.mark.parametrize(("config", "length"), list(itertools.product(ROWS, (1, 2, 3, 5, 33, 70))))
def test_rows_of_one_length_follow_without_a_bubble(config: Config, length: int) -> None:
    if length > config.longest:
        length = config.longest
    told = Times(config).free([np.zeros(length)] * 200)
    assert told.cycles == 200 * length + config.shape.latency + length - 1
    assert np.all(np.diff(told.ends) == length)
