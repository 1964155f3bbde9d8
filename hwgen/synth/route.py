"""nextpnr on a netlist: at once, or in two steps if the design fills a chip."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hwgen.synth.tools import Placer, Tell, run

__all__ = ["crowd", "route"]

_CROWDED = {"router2/bbMargin/x": "8", "router2/bbMargin/y": "8", "router2/histCongWeight": "2"}
"""What nextpnr's router2 is told of a design that fills a chip: to go further around, and not to come back to what was
taken twice. With its own numbers the last hundreds of some 1,040,000 wires take most of the time."""

# Aims, one after the other: of the frequency that nextpnr estimates before routing.
_PARTS = (0.96, 0.88, 0.8)
# Rounds of routing: an aim can be met if more than a few of the first ones miss it nowhere; when no later one may; and
# after which routing has ended, if it ends.
_FIRST, _FEW = 12, 2
_LATE = 90
_ROUNDS = 150
_AIM = re.compile(rb'("target_freq": )"[^"]*"')
_ESTIMATE = re.compile(r"Max frequency for clock .*: ([\d.]+) MHz")
_ROUND = re.compile(r"\biter=(\d+) wires=.* tmgfail=(\d+)")


class _EndlessError(Exception):
    """Routing does not come to its end."""


class _Watch:
    """What nextpnr's log says on the way.

    Attributes
    ----------
    mhz : list of float
        Frequencies of clocks.
    """

    def __init__(self) -> None:
        self.mhz: list[float] = []
        self._met = 0  # rounds in which no connection missed the aim

    def __call__(self, line: str) -> None:
        """Take a line of the log."""
        if found := _ESTIMATE.search(line):
            self.mhz.append(float(found.group(1)))
        elif found := _ROUND.search(line):
            rounds, missed = (int(number) for number in found.groups())
            self._met += not missed
            hopeless = rounds == _FIRST and self._met <= _FEW
            if hopeless or (rounds > _LATE and missed) or rounds > _ROUNDS:
                raise _EndlessError


def crowd(module: dict[str, Any]) -> None:
    """Mark a netlist's top module as a design that fills a chip; it is changed."""
    module.setdefault("settings", {}).update(_CROWDED)


def route(
    netlist: bytes,
    placer: Placer,
    options: Sequence[str],
    aim: float,
    files: Mapping[str, bytes],
    wanted: Sequence[str],
    tell: Tell = lambda text: None,
) -> dict[str, bytes]:
    """Place and route a netlist; gives nextpnr's report and the files that are wanted.

    A design that fills a chip (:func:`crowd`) is placed first and then routed, with an aim that the placement allows.
    nextpnr's router leaves a connection that has a way as it is, however long that became; only when it is told to
    (``--tmg-ripup``) it takes those up again that miss the aim, and then it does not end before none does. So there are
    several aims, and if none can be met it is not told to.

    Parameters
    ----------
    netlist : bytes
        The design, as Yosys writes it in JSON.
    placer : Placer
        nextpnr for the family.
    options : sequence of str
        Those that choose the device and the seed.
    aim : float
        Frequency to reach, in MHz.
    files : mapping of str to bytes
        The file with pins, if there is one.
    wanted : sequence of str
        Files of the routed design.
    tell : callable
        Is told what is being done.

    Raises
    ------
    BadInput
        If nextpnr refuses the design.
    """
    command = [*options, "--timing-allow-fail", "--freq", f"{aim:g}"]
    pins = [word.format(name) for name in files for word in placer.constraints]
    made = ["--report", "report.json", *(placer.routed if wanted else ())]
    every = ["report.json", *wanted]
    if next(iter(_CROWDED)).encode() not in netlist:
        arguments = ["--json", "netlist.json", *command, *pins, *made]
        return run(placer.program, arguments, {"netlist.json": netlist, **files}, every, tell)
    watch = _Watch()
    place = ["--json", "netlist.json", *command, *pins, "--no-route", "--write", "placed.json"]
    given = {"netlist.json": netlist, **files}
    placed = run(placer.program, place, given, ["placed.json"], tell, watch)["placed.json"]
    again = ["--json", "placed.json", *command, "--no-pack", "--no-place", *made]
    for reachable in dict.fromkeys(min([aim, *(part * mhz for mhz in watch.mhz)]) for part in _PARTS):
        # The placed design brings its own aim along, which counts for more than an option.
        placed, count = _AIM.subn(rb'\1"%.1f"' % (1e6 * reachable), placed, count=1)
        assert count
        try:
            return run(
                placer.program, [*again, "--tmg-ripup"], {"placed.json": placed}, every, tell, _Watch()
            )
        except _EndlessError:
            continue
    return run(placer.program, again, {"placed.json": placed}, every, tell)
