"""nextpnr in one step or two, by a tool that only says what nextpnr would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from hwgen.synth import route as module
from hwgen.synth.families import family
from hwgen.synth.route import crowd, route

PLACER = family("ecp5").placer
assert PLACER is not None

PLACED = json.dumps({"modules": {"top": {"settings": {"target_freq": "120000000.000000"}}}}).encode()


class Tool:
    """Stands for nextpnr: says lines, one list per run, and keeps how it was called."""

    def __init__(self, *lines: Sequence[str]):
        self.lines: Iterator[Sequence[str]] = iter(lines)
        self.calls: list[Sequence[str]] = []
        self.netlists: list[bytes] = []

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        files: Mapping[str, bytes],
        wanted: Sequence[str],
        tell: Callable[[str], None],
        watch: Callable[[str], None] = lambda line: None,
    ) -> dict[str, bytes]:
        assert program == PLACER.program
        self.calls.append(arguments)
        self.netlists.append(files[arguments[arguments.index("--json") + 1]])
        for line in next(self.lines):
            watch(line)
        return {name: PLACED if name == "placed.json" else name.encode() for name in wanted}


def _netlist(crowded: bool) -> bytes:
    top: dict[str, object] = {"cells": {}}
    if crowded:
        crowd(top)
    return json.dumps({"modules": {"top": top}}).encode()


def _routed(tool: Tool, monkeypatch: pytest.MonkeyPatch, *, crowded: bool, aim: float = 120) -> None:
    monkeypatch.setattr(module, "run", tool.run)
    files = route(
        _netlist(crowded), PLACER, ["--85k", "--seed", "3"], aim, {"pins.lpf": b""}, ["routed.config"]
    )
    assert set(files) == {"report.json", "routed.config"}


def _aim(netlist: bytes) -> float:
    return float(json.loads(netlist)["modules"]["top"]["settings"]["target_freq"])


ESTIMATES = [
    "Info: Max frequency for clock 'slow': 90.00 MHz (PASS at 12.00 MHz)",
    "Warning: Max frequency for clock '$glbnet$clk': 80.00 MHz (FAIL at 120.00 MHz)",
]


def _round(number: int, missed: int = 0) -> str:
    return f"Info:     iter={number} wires=861873 overused=1 overuse=1 tmgfail={missed} archfail=NA"


def test_other_designs_take_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool([_round(500)])
    _routed(tool, monkeypatch, crowded=False)
    (call,) = tool.calls
    assert {"--lpf", "pins.lpf", "--textcfg", "routed.config", "--report", "report.json"} <= set(call)
    assert call[call.index("--freq") + 1] == "120"
    assert not {"--no-route", "--no-place", "--tmg-ripup"} & set(call)


def test_a_design_that_fills_a_chip_is_routed_as_fast_as_it_was_placed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = Tool(
        ESTIMATES, [_round(90, missed=7), _round(150)]
    )  # misses the aim for a while, and ends in time
    _routed(tool, monkeypatch, crowded=True)
    place, again = tool.calls
    assert {"--no-route", "--lpf", "--seed"} <= set(place)
    assert not {"--textcfg", "--report", "--tmg-ripup"} & set(place)
    assert {"--no-pack", "--no-place", "--tmg-ripup", "--textcfg", "--report"} <= set(again)
    assert "--lpf" not in again  # where its pins are the placed design knows
    assert _aim(tool.netlists[1]) == pytest.approx(0.96 * 80e6)


def test_nobody_aims_higher_than_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(ESTIMATES, [_round(151)], [])
    _routed(tool, monkeypatch, crowded=True, aim=50)
    assert [_aim(text) for text in tool.netlists[1:]] == [50e6] * 2  # once with all means, and once without


def test_an_aim_that_cannot_be_met_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    hopeless = [_round(n, missed=int(n not in (2, 7))) for n in range(1, 13)]
    hopeful = [_round(n, missed=int(n not in (2, 7, 12))) for n in range(1, 13)]
    tries = [hopeless, [_round(90), _round(91, missed=1)], hopeful]
    tool = Tool(ESTIMATES, *tries)
    _routed(tool, monkeypatch, crowded=True)
    _, *calls = tool.calls
    assert calls == calls[:1] * len(tries)
    aims = [_aim(text) / 80e6 for text in tool.netlists[1:]]
    assert aims == pytest.approx([0.96, 0.88, 0.8])


def test_routing_that_never_ends_takes_no_wire_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(ESTIMATES, [_round(91, missed=1)], *[[_round(151)]] * 2, [])
    _routed(tool, monkeypatch, crowded=True)
    *_, once, again = tool.calls
    assert [word for word in once if word != "--tmg-ripup"] == list(again) != list(once)
    assert tool.netlists[-2] == tool.netlists[-1]
