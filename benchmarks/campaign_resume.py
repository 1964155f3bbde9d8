"""Fault campaigns killed (SIGKILL) at 100 random moments and resumed: equal bytes, faults lost, faults doubled."""

from __future__ import annotations

import importlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.errors import HwgenError
from hwgen.faults.runner import run
from hwgen.faults.store import Finished, Manifest, Store
from hwgen.version import VERSION

COMMAND = "python -m benchmarks.campaign_resume"
MOMENTS = 100
CAMPAIGN = "benchmarks.campaign_resume:synthetic"  # module:function that gives a Campaign
ROOT = Path(__file__).parents[1]

Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Campaign:
    """What is run: to be made anew, and the same, in every process."""

    manifest: Manifest  # with a total; a column "fault" of the outcomes is looked through for lost ones
    faults: Callable[[int, int], Rows]
    work: Callable[[Rows], Rows]

    def run(self, folder: Path, **how: Any) -> Finished:
        """Run it to its end in a folder that is new, or was left at any moment."""
        with Store.resume(folder, self.manifest) as store:
            return run(store, self.faults, self.work, self.manifest.total or 0, **how)


FAULT = np.dtype([("fault", np.uint64), ("site", np.uint32), ("cycle", np.uint16)])
OUTCOME = np.dtype([("fault", np.uint64), ("outcome", np.uint8), ("latency", np.int32), ("told", np.bool_)])


def made_up_faults(first: int, count: int) -> Rows:
    faults = np.zeros(count, FAULT)
    faults["fault"] = np.arange(first, first + count, dtype=np.uint64)
    mixed = faults["fault"] * np.uint64(0x9E37_79B9_7F4A_7C15)
    faults["site"] = mixed >> np.uint64(40)
    faults["cycle"] = (mixed >> np.uint64(20)) & np.uint64(0xFFFF)
    return faults


@dataclass
class MadeUpWork:
    """Outcomes that look random, after a pause for each shard; opens itself at its first call."""

    seconds: float = 0.01
    table: Rows | None = None

    def __call__(self, faults: Rows) -> Rows:
        if self.table is None:
            self.table = np.random.default_rng(0).integers(0, 8, 1 << 12, np.uint8)
        time.sleep(self.seconds)
        outcomes = np.zeros(len(faults), OUTCOME)
        outcomes["fault"] = faults["fault"]
        outcomes["outcome"] = self.table[faults["site"] % len(self.table)]
        outcomes["latency"] = faults["cycle"].astype(np.int32) - 100
        outcomes["told"] = outcomes["outcome"] > 5
        return outcomes


def synthetic(shards: int = 40, seconds: float = 0.01) -> Campaign:
    """A campaign whose last shard is short; `seconds` is the time of one shard."""
    size = 250
    manifest = Manifest(
        netlist="made up", stimulus="made up", faults="made up", outcome=OUTCOME, shard_size=size,
        total=shards * size - size // 2, versions={"hwgen": VERSION}, settings={"seed": 0},
    )  # fmt: skip
    return Campaign(manifest, made_up_faults, MadeUpWork(seconds))


def named(name: str) -> Campaign:
    """The campaign that ``module:function`` gives."""
    module, _, function = name.partition(":")
    campaign: Campaign = getattr(importlib.import_module(module), function)()
    return campaign


def started(name: str, folder: Path, processes: int = 1, *, quiet: bool = False) -> subprocess.Popen[bytes]:
    """A process of its own that runs a campaign; returns when it is about to begin.

    A parent that is killed while it starts a worker leaves a traceback of that worker: `quiet` drops it.
    """
    how = {"processes": processes}
    # A shell's background job ignores Ctrl-C, and so would its children: the campaign is to hear it.
    code = (
        "import pathlib, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from benchmarks.campaign_resume import named\n"
        f"campaign = named({name!r})\n"
        "print(flush=True)\n"
        f"campaign.run(pathlib.Path({str(folder)!r}), **{how!r})\n"
    )
    errors = subprocess.DEVNULL if quiet else None
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
    assert child.stdout
    child.stdout.readline()
    return child


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, its hidden ones too."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Kill(NamedTuple):
    """What a kill left, and what the resumed campaign came to."""

    late: int  # kills before it that came after the campaign's end, and do not count
    shards: int  # whole ones that were there
    torn: int  # files that were half written
    equal: bool  # to the folder of a campaign that nobody killed, byte by byte
    lost: int  # faults without an outcome
    doubled: int  # faults with more than one


def kills(moments: int, folder: Path, name: str = CAMPAIGN, seed: int = 0) -> Iterator[Kill]:
    """Kill as many campaigns, each once at a random moment of its run, and resume them.

    A moment is drawn as a number of shards, and a time after they are there: drawn as a time alone, most moments of a
    busy machine would come before the first shard, or after the last.
    """
    campaign = named(name)
    began = time.perf_counter()
    shards = campaign.run(folder / "whole").shards
    pause = (time.perf_counter() - began) / shards
    whole = contents(folder / "whole")
    draw = random.Random(seed)
    for moment in range(moments):
        target = folder / f"killed{moment}"
        late = 0
        while True:
            with started(name, target, 1 + moment % 2, quiet=True) as child:
                wanted = draw.randrange(shards)
                while child.poll() is None and len(list(target.glob("shards/[0-9]*"))) < wanted:
                    time.sleep(pause / 20)
                time.sleep(draw.uniform(0, 2 * pause))
                ended = child.poll()
                child.send_signal(signal.SIGKILL)
            if ended not in (None, 0):
                raise HwgenError(
                    f"the campaign to be killed failed by itself (exit code {ended}); run it by hand"
                )
            left = contents(target) if target.exists() else {}
            if "finished.json" not in left:
                break
            late += 1
            shutil.rmtree(target)
        campaign.run(target, processes=1 + moment % 10 // 9)
        with Store.open(target) as store:
            rows = store.read()
        total = campaign.manifest.total or 0
        numbers = rows["fault"] if "fault" in (rows.dtype.names or ()) else np.arange(len(rows))
        distinct = len(np.unique(numbers[numbers < total]))
        yield Kill(
            late,
            sum(path.startswith("shards/0") for path in left),
            sum("/." in f"/{path}" for path in left),
            contents(target) == whole,
            total - distinct,
            len(numbers) - distinct,
        )


def measure(console: Console) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        seen = list(kills(MOMENTS, Path(folder)))
    there = sorted(kill.shards for kill in seen)
    rows = [
        ("kills of a campaign that had not ended", len(seen)),
        ("kills that came too late, not counted", sum(kill.late for kill in seen)),
        ("shards that were there: fewest", there[0]),
        ("shards that were there: median", statistics.median(there)),
        ("shards that were there: most", there[-1]),
        ("kills that left a file half written", sum(kill.torn > 0 for kill in seen)),
        ("resumed folders equal to the byte", sum(kill.equal for kill in seen)),
        ("faults lost", sum(kill.lost for kill in seen)),
        ("faults doubled", sum(kill.doubled for kill in seen)),
    ]
    title = (
        f"{named(CAMPAIGN).manifest.total} faults, in one process and in two by turns; SIGKILL, then resume"
    )
    console.print(table(title, ("", ""), rows))
    values = {
        "equal": (sum(kill.equal for kill in seen), MOMENTS, "folders"),
        "lost": (sum(kill.lost for kill in seen), 0, "faults"),
        "doubled": (sum(kill.doubled for kill in seen), 0, "faults"),
    }
    return [
        Figure(
            name=f"campaign_resume.{name}", value=value, unit=unit, command=COMMAND, goal=Goal("==", bound)
        )
        for name, (value, bound, unit) in values.items()
    ]


if __name__ == "__main__":
    main(measure, __doc__)
