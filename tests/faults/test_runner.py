"""A campaign's folder is the same, byte by byte, whoever computed it and however often that was killed."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.faults import runner
from hwgen.faults.runner import Interrupted, Prefix, run
from hwgen.faults.store import Finished, Store

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # for processes that unpickle the classes below
    sys.path.insert(0, str(ROOT))
lab = importlib.import_module("benchmarks.campaign_resume")
contents = lab.contents
SIZE = lab.synthetic().manifest.shard_size


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The folder of the campaign that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    lab.synthetic(seconds=0).run(folder)
    return contents(folder)


@dataclass
class Late(lab.MadeUpWork):
    """The first shard comes last."""

    def __call__(self, faults: np.ndarray) -> np.ndarray:
        if faults["fault"][0] == 0:
            time.sleep(0.7)
        return super().__call__(faults)


@dataclass
class Deadly(lab.MadeUpWork):
    """Shard 5 kills the process that computes it; with a file, only while that is not there."""

    once: Path | None = None

    def __call__(self, faults: np.ndarray) -> np.ndarray:
        if faults["fault"][0] == 5 * SIZE and not (self.once and self.once.exists()):
            if self.once:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(faults)


class Unsendable(Exception):
    def __init__(self, one: int, two: int):
        super().__init__(f"{one} and {two}")


@dataclass
class Wrong(lab.MadeUpWork):
    """Fails in one of several ways."""

    how: str = ""

    def __call__(self, faults: np.ndarray) -> np.ndarray:
        rows = super().__call__(faults)
        if self.how == "input":
            raise BadInput("no such site; name another")
        if self.how == "bug":
            raise ZeroDivisionError("by zero")
        if self.how == "unsendable":
            raise Unsendable(1, 2)
        return {"short": rows[:-1], "type": rows[["fault"]], "flat": rows["fault"]}.get(self.how, rows)


def too_few(first: int, count: int) -> np.ndarray:
    return lab.made_up_faults(first, count - 1)


def refused(*parts: str, kind: type[Exception] = BadInput) -> Any:
    return pytest.raises(kind, match=".*".join(re.escape(part) for part in parts))


def campaign(work: Any = None, **changes: Any) -> Any:
    made = lab.synthetic(seconds=0)
    return replace(made, work=work or made.work, **changes)


def ended(process: subprocess.Popen[bytes]) -> int:
    with process:
        return process.wait(30)


# Same bytes


@pytest.mark.parametrize("processes", [1, 2, 3, 64])
def test_any_number_of_processes(tmp_path: Path, whole: dict[str, bytes], processes: int) -> None:
    made = lab.synthetic(shards=4, seconds=0) if processes == 64 else campaign(Late())
    seen: list[tuple[int, int]] = []
    result = made.run(tmp_path, processes=processes, progress=lambda *numbers: seen.append(numbers))
    total = made.manifest.total
    assert result.rows == total
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert len(seen) == result.shards + 1
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    np.testing.assert_array_equal(Store.open(tmp_path).read()["fault"], np.arange(total))
    if processes != 64:
        assert contents(tmp_path) == whole


def test_a_finished_campaign_is_not_computed_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    lab.synthetic(seconds=0).run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    seen: list[tuple[int, int]] = []
    campaign(Deadly()).run(tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert seen == [(9875, 9875)]
    assert contents(tmp_path) == whole
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_only_what_is_corrupt_is_computed_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    made = lab.synthetic(seconds=0)
    made.run(tmp_path)
    (tmp_path / "shards/000007.parquet").write_bytes(b"")
    asked: list[int] = []

    def faults(first: int, count: int) -> np.ndarray:
        asked.append(first)
        return lab.made_up_faults(first, count)

    warnings: list[str] = []
    with Store.resume(tmp_path, made.manifest, warnings.append) as store:
        run(store, faults, made.work, 9875)
    assert asked == [7 * SIZE]
    assert warnings == ["shard 000007.parquet is corrupt (it is empty); it is computed again"]
    assert contents(tmp_path) == whole


def test_a_campaign_without_faults(tmp_path: Path) -> None:
    made = lab.synthetic()
    empty = replace(made, manifest=replace(made.manifest, total=0))
    assert empty.run(tmp_path, processes=2)[:3] == (0, 0, False)


def test_an_unknown_total_can_grow(tmp_path: Path) -> None:
    manifest = replace(lab.synthetic().manifest, total=None)
    folders = tmp_path / "grown", tmp_path / "at once"
    for folder, totals in zip(folders, [(900, 2100, 2600), (2600,)], strict=True):
        for total in totals:
            with Store.resume(folder, manifest) as store:
                assert run(store, lab.made_up_faults, lab.MadeUpWork(0), total).rows == total
    assert contents(folders[0]) == contents(folders[1])


def test_tasks_in_flight_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = runner.pickle.dumps(runner._Job(lab.made_up_faults, lab.MadeUpWork(0)))
    drawn = 0

    def tasks() -> Iterator[Any]:
        nonlocal drawn
        for shard in range(30):
            drawn += 1
            yield runner._Task(shard, shard * 10, 10)

    results = runner._local(blob, tasks(), 2)
    for taken, _ in enumerate(results, 1):
        assert drawn <= taken + 2 * 2
    assert drawn == 30


# Rules for stopping


@dataclass
class Enough:
    """Stops when enough outcomes of class 3 were seen; notes what it was asked."""

    wanted: int
    asked: list[int]
    seen: int = 0

    def __call__(self, prefix: Prefix) -> bool:
        assert prefix.shards == len(self.asked) + 1
        self.asked.append(prefix.shards)
        self.seen += int((prefix.newest()["outcome"] == 3).sum())
        rows = prefix.read()
        assert len(rows) == min(prefix.shards * SIZE, 9875)
        assert self.seen == (rows["outcome"] == 3).sum()
        return self.seen >= self.wanted


def test_a_rule_for_stopping_sees_prefixes_only(tmp_path: Path, whole: dict[str, bytes]) -> None:
    results: list[Finished] = []
    for folder, processes in (("a", 1), ("b", 2), ("c", 3)):
        rule = Enough(200, [])
        work = lab.MadeUpWork(0) if processes == 1 else Late()
        results.append(campaign(work).run(tmp_path / folder, processes=processes, stop=rule))
        assert rule.asked == list(range(1, results[0].shards + 1))
    assert results[0].stopped
    assert 3 < results[0].shards < 10
    assert results[1:] == results[:1] * 2
    assert contents(tmp_path / "b") == contents(tmp_path / "c") == contents(tmp_path / "a")
    assert contents(tmp_path / "a").items() - whole.items() == {
        ("finished.json", (tmp_path / "a/finished.json").read_bytes())
    }


def test_a_stopped_campaign_is_stopped_again(tmp_path: Path) -> None:
    made = lab.synthetic(seconds=0)
    first = made.run(tmp_path / "a", stop=Enough(200, []))
    # Left by a kill: shards behind the end, and one missing before it.
    made.run(tmp_path / "b")
    for shard in (2, first.shards + 3):
        (tmp_path / f"b/shards/{shard:06}.parquet").unlink()
    assert made.run(tmp_path / "b", stop=Enough(200, [])) == first
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert made.run(tmp_path / "b", stop=Enough(200, [])) == first


def test_a_rule_that_never_stops(tmp_path: Path, whole: dict[str, bytes]) -> None:
    rule = Enough(10**9, [])
    assert not lab.synthetic(seconds=0).run(tmp_path, stop=rule).stopped
    assert rule.asked == list(range(1, 41))
    assert contents(tmp_path) == whole


# What is refused, and what goes wrong


def test_what_cannot_be_run(tmp_path: Path) -> None:
    made = lab.synthetic()
    with Store.create(tmp_path, made.manifest) as store:
        for total, how, sentence in (
            (9876, {}, "total is 9876 faults; the manifest has 9875"),
            (-1, {}, "total is -1 faults"),
            (9875, {"processes": 0}, "0 processes cannot run a campaign; choose 1 or more"),
        ):
            with refused(sentence):
                run(store, made.faults, made.work, total, **how)
        with refused("fault list and work cannot be sent to another process (", "; define them at the top"):
            run(store, lambda first, count: made.faults(first, count), made.work, 9875, processes=2)
    with refused("is open for reading only"):
        run(Store.open(tmp_path), made.faults, made.work, 9875)
    assert Store.open(tmp_path).shards() == []


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [
        ("input", BadInput, "no such site; name another"),
        ("bug", ZeroDivisionError, "by zero"),
        ("unsendable", Exception, "1 and 2"),
        ("short", BadInput, "the work gave outcomes of shape (249,) for 250 faults; give one for each"),
        ("type", BadInput, "outcomes are of type"),
        ("flat", BadInput, "outcomes are of type uint64"),
    ],
)
def test_errors_of_the_work_are_told(
    tmp_path: Path, processes: int, how: str, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=re.escape(sentence)) as caught:
        campaign(Wrong(0, how=how)).run(tmp_path, processes=processes)
    if processes == 2 and how in ("bug", "unsendable"):
        assert "in __call__" in "".join(caught.value.__notes__)
    assert Store.open(tmp_path).shards() == []
    campaign().run(tmp_path)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_fault_list_that_gives_too_few(tmp_path: Path, processes: int) -> None:
    with refused("the fault list gave 249 faults from ", " on; give the 250 asked for"):
        campaign(faults=too_few).run(tmp_path, processes=processes)


def test_a_process_that_dies(tmp_path: Path, whole: dict[str, bytes]) -> None:
    with refused("a process died (SIGKILL) at shard 000005; what is done is kept", kind=HwgenError):
        campaign(Deadly(0.01)).run(tmp_path, processes=2)
    # Four shards are handed out at first, the fifth and sixth each for one that came back.
    assert 2 <= len(Store.open(tmp_path).shards()) < 40
    campaign().run(tmp_path, processes=2)
    assert contents(tmp_path) == whole


def test_a_full_disk_ends_the_run_and_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Store, shard: int, rows: np.ndarray) -> None:
        raise BadInput("full")

    monkeypatch.setattr(Store, "write", write)
    began = time.monotonic()
    with refused("full"):
        campaign(lab.MadeUpWork(1)).run(tmp_path, processes=2)
    assert time.monotonic() - began < 5
    assert runner.multiprocessing.active_children() == []


# Kills


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", [1, 2])
def test_signals_leave_a_campaign_that_goes_on(
    tmp_path: Path, whole: dict[str, bytes], number: int, processes: int
) -> None:
    process = lab.started(lab.CAMPAIGN, tmp_path, processes)
    while len(list(tmp_path.glob("shards/[0-9]*.parquet"))) < 3:  # in any order
        time.sleep(0.01)
    process.send_signal(number)
    assert ended(process) not in (0, -signal.SIGKILL)
    left = contents(tmp_path)
    assert 4 < len(left) < len(whole)
    assert not [path for path in left if "/." in f"/{path}"]
    campaign().run(tmp_path)
    assert contents(tmp_path) == whole


def test_sigterm_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with refused(
        "the campaign was asked to end; what is done is kept: go on with `--resume`", kind=Interrupted
    ):
        campaign(lab.MadeUpWork(0.05)).run(tmp_path)
    timer.join()
    assert Interrupted.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def children(parent: int) -> list[int]:
    text = "".join(path.read_text() for path in Path(f"/proc/{parent}/task").glob("*/children"))
    return [int(word) for word in text.split()]


def test_no_process_survives_its_parent(tmp_path: Path) -> None:
    # The module's own campaign, with shards that take minutes.
    name = "tests.faults.test_runner:endless"
    process = lab.started(name, tmp_path, 2)
    while len(workers := children(process.pid)) < 3:  # two, and the tracker of multiprocessing
        time.sleep(0.01)
    time.sleep(1)  # they compute
    process.kill()
    ended(process)
    deadline = time.monotonic() + 10
    while alive := [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
    Store.resume(tmp_path, endless().manifest).close()


def endless() -> Any:
    return campaign(lab.MadeUpWork(600))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    killed(tmp_path, 12)


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(tmp_path: Path) -> None:
    killed(tmp_path, 100)


def killed(folder: Path, moments: int) -> None:
    seen = list(lab.kills(moments, folder, seed=moments))
    assert len(seen) == moments
    assert sum(0 < kill.shards < 40 for kill in seen) > moments // 10
    assert [kill[3:] for kill in seen] == [(True, 0, 0)] * moments


def test_the_test_of_kills_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed = Store.resume.__func__

    def careless(cls: type[Store], folder: Path, manifest: Any, warn: Any = None) -> Store:
        if not (folder / "manifest.json").exists() or not folder.name.startswith("killed"):
            return resumed(cls, folder, manifest, warn)
        store = resumed(cls, folder, manifest, warn)
        monkeypatch.setattr(store, "missing", lambda total: store_missing(store, total)[1:])
        return store

    store_missing = Store.missing
    monkeypatch.setattr(Store, "resume", classmethod(careless))
    with pytest.raises(BadInput, match="is missing"):
        list(lab.kills(3, tmp_path))


def test_two_runs_at_once(tmp_path: Path, whole: dict[str, bytes]) -> None:
    first = lab.started(lab.CAMPAIGN, tmp_path, 2)
    while not (tmp_path / "manifest.json").exists():
        time.sleep(0.01)
    with refused(f"another process writes the campaign in {tmp_path}"):
        campaign().run(tmp_path)
    assert ended(first) == 0
    assert contents(tmp_path) == whole


# A Dask cluster


@contextmanager
def cluster(**how: Any) -> Iterator[str]:
    from distributed import LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with LocalCluster(**options | {"protocol": "tcp", "host": "127.0.0.1"} | how) as made:
        yield made.scheduler_address


def test_a_cluster_gives_the_same(tmp_path: Path, whole: dict[str, bytes]) -> None:
    with cluster() as address:
        seen: list[tuple[int, int]] = []
        campaign(Late()).run(tmp_path / "a", cluster=address, progress=lambda *n: seen.append(n))
        stopped = campaign(Late()).run(tmp_path / "b", cluster=address, stop=Enough(200, []))
    assert contents(tmp_path / "a") == whole
    assert seen[-1] == (9875, 9875)
    assert stopped == lab.synthetic(seconds=0).run(tmp_path / "c", stop=Enough(200, []))
    assert contents(tmp_path / "b") == contents(tmp_path / "c")


def test_a_worker_of_the_cluster_that_dies_is_replaced(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    once = tmp_path / "died"
    with cluster(n_workers=2, threads_per_worker=1, processes=True) as address:
        campaign(Deadly(once=once)).run(tmp_path / "a", cluster=address)
        # A module that only this process has.
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "nowhere", ModuleType("nowhere"))
            patched.setattr(Late, "__module__", "nowhere")
            patched.setattr(sys.modules["nowhere"], "Late", Late, raising=False)
            with refused("cannot do the work (No module named 'nowhere'); install it there", kind=HwgenError):
                campaign(Late()).run(tmp_path / "b", cluster=address)
        with Client(address, set_as_default=False) as client:  # closing amid a restart takes half a minute
            client.wait_for_workers(2, timeout=60)
    assert once.exists()
    assert contents(tmp_path / "a") == whole


def test_work_that_kills_every_worker(tmp_path: Path) -> None:
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster(n_workers=1, threads_per_worker=1, processes=True) as address,
        refused(f"workers of the Dask cluster at {address} died again and again at shard ", kind=HwgenError),
    ):
        campaign(Deadly(0.01)).run(tmp_path, cluster=address)
    assert Store.open(tmp_path).finished is None


@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [
        ("input", BadInput, "no such site; name another"),
        ("bug", ZeroDivisionError, "by zero"),
        ("short", BadInput, "the work gave outcomes of shape (249,) for 250 faults"),
    ],
)
def test_errors_on_a_cluster_are_told(tmp_path: Path, how: str, kind: type[Exception], sentence: str) -> None:
    with cluster() as address, pytest.raises(kind, match=re.escape(sentence)):
        campaign(Wrong(0, how=how)).run(tmp_path, cluster=address)


SCHEDULER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    made = LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                        protocol="tcp", host="127.0.0.1")
    print(made.scheduler_address, flush=True)
    time.sleep(600)
"""


def test_a_cluster_that_is_killed_in_the_middle(tmp_path: Path, whole: dict[str, bytes]) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCHEDULER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()

    def progress(done: int, total: int) -> None:
        if done > total / 3:
            process.kill()

    began = time.monotonic()
    with refused(
        f"the Dask cluster at {address} went away; what is done is kept: go on with", kind=HwgenError
    ):
        campaign(lab.MadeUpWork(0.02)).run(tmp_path, cluster=address, progress=progress)
    assert time.monotonic() - began < 30
    with process:
        process.kill()
    assert 13 < len(Store.open(tmp_path).shards()) < 40
    campaign().run(tmp_path, processes=2)
    assert contents(tmp_path) == whole


def test_a_cluster_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PATIENCE_S", 0.5)
    with (
        cluster(n_workers=0) as address,
        refused(f"the Dask cluster at {address} has no workers; what is done is kept", kind=HwgenError),
    ):
        campaign().run(tmp_path, cluster=address)


def test_no_cluster_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "carrier-pigeon://x", "nonsense"):
        with refused(f"there is no Dask scheduler at {address} (", "; start it, or name", kind=HwgenError):
            campaign().run(tmp_path, cluster=address)


def test_a_cluster_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with refused(
        "needs the package distributed; install it with `pip install 'hwgen[cluster]'`", kind=MissingTool
    ):
        campaign().run(tmp_path, cluster="tcp://127.0.0.1:1")


def test_a_worker_with_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = runner.pickle.dumps(runner._Job(lab.made_up_faults, lab.MadeUpWork(0)))
    task = runner._Task(0, 0, 3)
    assert len(runner._on_worker(blob, task, runner.VERSION)) == 3
    with refused(f"has hwgen {runner.VERSION}, not 0.0; install the same on both sides", kind=HwgenError):
        runner._on_worker(blob, task, "0.0")


def opened(count: list[int]) -> Callable[[], None]:
    def use() -> None:
        runner._outcomes(BLOB, runner._Task(0, 0, 3))
        count.append(id(runner._OPENED.job.work))

    return use


BLOB = runner.pickle.dumps(runner._Job(lab.made_up_faults, lab.MadeUpWork(0)))


def test_a_job_is_opened_once_by_each_thread() -> None:
    seen: list[int] = []
    use = opened(seen)
    use()
    use()
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen[0] == seen[1] != seen[2]
