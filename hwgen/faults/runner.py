"""Runs a fault campaign: the missing shards, in this process, in several, or on a Dask cluster.

Only the process that calls `run` writes the store. The others are given ranges of faults and send outcomes back, so
that one of them may die at any moment. What a shard holds depends on its number alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import numpy as np

from hwgen.errors import BadInput, HwgenError, MissingTool
from hwgen.faults.store import Finished, Rows, Store
from hwgen.version import VERSION

__all__ = ["Interrupted", "Prefix", "run"]

_KEPT = "what is done is kept: go on with `--resume`"
_AHEAD = 2  # shards that each process or thread has: one that it computes, one that waits
_CONNECT_S = 10.0  # for a scheduler to answer
_PATIENCE_S = 60.0  # for a cluster without workers to get one
_GOODBYE_S = 5.0  # for a process or a client to end in peace


class Interrupted(HwgenError):
    """The process was asked to end (SIGTERM)."""

    exit_code = 128 + signal.SIGTERM


class _Terminated(BaseException):
    """SIGTERM on its way out; no ``except Exception`` of a work function can hold it up."""


@dataclass(frozen=True)
class Prefix:
    """The first shards of a store: all that a rule for stopping may look at.

    Parameters
    ----------
    store : Store
        The store; shards behind the prefix may be there, and depend on who computed fastest.
    shards : int
        How many are in it, from 1 on.
    """

    store: Store
    shards: int

    def newest(self) -> Rows:
        """Outcomes of the last shard: a rule that counts needs no more, for it sees every prefix in turn."""
        return self.store.shard(self.shards - 1)

    def chunks(self) -> Iterator[Rows]:
        """Outcomes of every shard, in order."""
        return (self.store.shard(shard) for shard in range(self.shards))

    def read(self) -> Rows:
        """Outcomes of all of its faults, in order."""
        return np.concatenate(list(self.chunks()))


class _Task(NamedTuple):
    shard: int
    first: int
    size: int


class _Job(NamedTuple):
    """What every process needs; pickled once."""

    faults: Callable[[int, int], Rows]
    work: Callable[[Rows], Rows]

    def outcomes(self, task: _Task) -> Rows:
        faults = self.faults(task.first, task.size)
        if len(faults) != task.size:
            raise BadInput(
                f"the fault list gave {len(faults)} faults from {task.first} on; give the {task.size} asked for"
            )
        rows = np.asarray(self.work(faults))
        if rows.shape != (task.size,):
            raise BadInput(
                f"the work gave outcomes of shape {rows.shape} for {task.size} faults; give one for each"
            )
        return rows


def run(
    store: Store,
    faults: Callable[[int, int], Rows],
    work: Callable[[Rows], Rows],
    total: int,
    *,
    processes: int = 1,
    cluster: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[Prefix], bool] | None = None,
) -> Finished:
    """Compute what a store does not have yet. The folder that results is the same, byte by byte, whoever computes it.

    Parameters
    ----------
    store : Store
        From `Store.create` or `Store.resume`.
    faults : callable
        ``faults(first, count)`` gives faults ``first .. first + count - 1``, always the same.
    work : callable
        ``work(faults)`` gives one row of outcomes for each, always the same. With several processes or a cluster, both
        are pickled, and unpickled once per process (on a cluster: per thread), so that an object may open what is
        expensive at its first call and keep it. A work with a true attribute ``threads`` can be called by several
        threads at once, and does not hold them up: then threads take the place of processes on this machine.
    total : int
        Faults of the campaign, from 0 on.
    processes : int
        Processes or threads on this machine, from 1 on; 1 is this process. Not used with a cluster.
    cluster : str, optional
        Address of the scheduler of a Dask cluster, such as ``tcp://host:8786``. Its workers need this package, the same
        version, and the modules of `faults` and `work`.
    progress : callable, optional
        Called with faults done and `total`, at the beginning and after each shard.
    stop : callable, optional
        Rule for stopping: asked about 1, 2, 3, ... shards, in this order, also after a resume; the first yes ends the
        campaign, and shards behind it are removed. It must not look at anything but the prefix.

    Returns
    -------
    Finished
        What the campaign came to; it is in the folder, too.

    Raises
    ------
    BadInput
        If a parameter is out of range, `faults` or `work` cannot be pickled or give wrong rows, or the disk refuses.
    MissingTool
        If a cluster is asked for and the package distributed is not installed.
    HwgenError
        If a process dies, or the cluster cannot be reached or goes away.
    Interrupted
        On SIGTERM.
    """
    store.refuse_reader()
    known = store.manifest.total
    if total < 0 or known not in (None, total):
        raise BadInput(
            f"total is {total} faults; "
            + ("choose 0 or more" if known is None else f"the manifest has {known}")
        )
    if processes < 1:
        raise BadInput(f"{processes} processes cannot run a campaign; choose 1 or more")
    with _terminable():
        missing = set(store.missing(total))
        front = _Front(store, store.count(total), missing, stop)
        done = total - sum(store.span(shard, total)[1] for shard in missing)
        if progress:
            progress(done, total)
        if not front.ended():
            tasks = [_Task(shard, *store.span(shard, total)) for shard in sorted(missing)]
            with contextlib.closing(_results(_Job(faults, work), tasks, processes, cluster)) as results:
                for shard, rows in results:
                    store.write(shard, rows)
                    missing.discard(shard)
                    done += len(rows)
                    if progress:
                        progress(done, total)
                    if front.ended():
                        break
        for shard in store.shards():
            if shard >= front.shards:
                store.discard(shard)
        return store.finish(stopped=front.stopped)


class _Front:
    """The longest prefix without a hole that the rule for stopping has been asked about."""

    def __init__(self, store: Store, end: int, missing: set[int], stop: Callable[[Prefix], bool] | None):
        self.shards = 0
        self.stopped = False
        self._store, self._end, self._missing, self._stop = store, end, missing, stop

    def ended(self) -> bool:
        """Go on as far as possible; whether nothing is left to do."""
        while not self.stopped and self.shards < self._end and self.shards not in self._missing:
            self.shards += 1
            self.stopped = bool(self._stop and self._stop(Prefix(self._store, self.shards)))
        return self.stopped or self.shards == self._end


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """End in order on SIGTERM, unless somebody else listens to it already."""

    def end(*_: object) -> None:
        raise _Terminated

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        raise Interrupted(f"the campaign was asked to end; {_KEPT}") from None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _results(
    job: _Job, tasks: Iterable[_Task], processes: int, cluster: str | None
) -> Generator[tuple[int, Rows], None, None]:
    """Shards and their outcomes, in any order."""
    if cluster is None and processes == 1:
        return ((task.shard, job.outcomes(task)) for task in tasks)
    if cluster is None and getattr(job.work, "threads", False):
        return _threaded(job, iter(tasks), processes)
    try:
        blob = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BadInput(
            f"fault list and work cannot be sent to another process ({error}); "
            "define them at the top of a module, or use one process"
        ) from None
    if cluster is None:
        return _local(blob, iter(tasks), processes)
    return _remote(blob, iter(tasks), cluster)


def _threaded(job: _Job, tasks: Iterator[_Task], count: int) -> Generator[tuple[int, Rows], None, None]:
    """By threads of this process: nothing has to be opened again, and the fault-free run is there once."""
    with ThreadPoolExecutor(count) as pool:
        waiting: dict[Future[Rows], int] = {}
        try:
            for task in _first(tasks, _AHEAD * count):
                waiting[pool.submit(job.outcomes, task)] = task.shard
            while waiting:
                for future in futures_wait(waiting, return_when=FIRST_COMPLETED).done:
                    shard = waiting.pop(future)
                    rows = future.result()
                    for task in _first(tasks, 1):
                        waiting[pool.submit(job.outcomes, task)] = task.shard
                    yield shard, rows
        finally:
            for future in waiting:
                future.cancel()


_OPENED = threading.local()


def _outcomes(blob: bytes, task: _Task) -> Rows:
    """Outcomes of a task, by a job that this thread keeps: engines need not be safe to share."""
    if getattr(_OPENED, "blob", None) != blob:
        _OPENED.job = pickle.loads(blob)
        _OPENED.blob = blob
    job: _Job = _OPENED.job
    return job.outcomes(task)


# Processes of this machine. Each has a pipe of its own and nothing in common with the others, so that a killed one,
# parent or child, leaves no lock and no half-read message to anybody.


def _local(blob: bytes, tasks: Iterator[_Task], processes: int) -> Generator[tuple[int, Rows], None, None]:
    workers: dict[Connection, _Worker] = {}
    try:
        for task in _first(tasks, processes):
            worker = _Worker(blob)
            workers[worker.pipe] = worker
            worker.give(task)
        for worker in list(workers.values()) * (_AHEAD - 1):
            worker.give(next(tasks, None))
        while busy := [pipe for pipe, worker in workers.items() if worker.shards]:
            for pipe in wait(busy):
                assert isinstance(pipe, Connection)
                shard, rows = workers[pipe].take()
                workers[pipe].give(next(tasks, None))
                yield shard, rows
    except BaseException:
        for worker in workers.values():
            worker.process.kill()
        raise
    finally:
        for pipe in workers:
            pipe.close()  # which tells the process to end
        for worker in workers.values():
            worker.end()


def _first(tasks: Iterator[_Task], count: int) -> Iterator[_Task]:
    for _, task in zip(range(count), tasks, strict=False):
        yield task


class _Worker:
    """A process that computes shards, and this end of its pipe."""

    def __init__(self, blob: bytes):
        context = multiprocessing.get_context("spawn")
        self.shards: deque[int] = deque()
        self.pipe, other = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(other, blob), daemon=True)
        # Ctrl-C goes to every process of the terminal. This one answers it; the child inherits that it is held back.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            other.close()

    def give(self, task: _Task | None) -> None:
        if task is None:
            return
        self.shards.append(task.shard)
        try:
            self.pipe.send(task)
        except OSError:
            raise self._death() from None

    def take(self) -> tuple[int, Rows]:
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(answer, BaseException):
            raise answer
        return self.shards.popleft(), answer

    def _death(self) -> HwgenError:
        self.process.join(_GOODBYE_S)
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return HwgenError(
            f"a process died ({how}) at shard {self.shards[0]:06}; {_KEPT}, with fewer processes if memory is short"
        )

    def end(self) -> None:
        """Wait for the process, which has been told to end."""
        self.process.join(_GOODBYE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def _serve(pipe: Connection, blob: bytes) -> None:
    """What a worker process does until its pipe is closed."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            try:
                answer: object = _outcomes(blob, task)
            except Exception as error:
                answer = _portable(error)
            pipe.send(answer)


def _follow_parent() -> None:
    """End when the parent is killed: a shard that nobody will ask for can take long."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _portable(error: Exception) -> Exception:
    """An error that can be sent, with the place where it happened unless it is meant for the user."""
    try:
        sent: object = pickle.loads(pickle.dumps(error))
    except Exception:
        sent = None
    if not isinstance(sent, Exception):
        sent = HwgenError(f"{type(error).__name__}: {error}")
    if not isinstance(error, HwgenError):
        sent.add_note("".join(traceback.format_exception(error)))
    return sent


# A Dask cluster.


def _on_worker(blob: bytes, task: _Task, version: str) -> Rows:
    if version != VERSION:
        raise HwgenError(
            f"a worker of the cluster has hwgen {VERSION}, not {version}; install the same on both sides"
        )
    return _outcomes(blob, task)


def _itself(blob: bytes) -> bytes:
    return blob


def _remote(blob: bytes, tasks: Iterator[_Task], address: str) -> Generator[tuple[int, Rows], None, None]:
    try:
        import distributed
    except ImportError:
        raise MissingTool(
            "a campaign on a Dask cluster needs the package distributed; install it with `pip install 'hwgen[cluster]'`"
        ) from None
    connect: Any = distributed.Client  # has no types
    try:
        client = connect(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise HwgenError(
            f"there is no Dask scheduler at {address} ({error}); start it, or name another address"
        ) from None
    try:
        yield from _Cluster(client, address).results(blob, tasks)
    finally:
        with contextlib.suppress(OSError, RuntimeError, CancelledError):
            client.close(timeout=_GOODBYE_S)


class _Cluster:
    """The shards that a cluster has been given and not answered."""

    def __init__(self, client: Any, address: str):
        self._client = client
        self._address = address
        self._shards: dict[Any, int] = {}
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seen = time.monotonic()  # when there was a worker

    def results(self, blob: bytes, tasks: Iterator[_Task]) -> Generator[tuple[int, Rows], None, None]:
        # As a result of a task, which the scheduler computes again if the worker that has it dies.
        shared = self._submit(_itself, blob)
        while True:
            wanted = max(1, _AHEAD * self._threads())
            for task in _first(tasks, wanted - len(self._shards)):
                future = self._submit(_on_worker, shared, task, VERSION)
                self._shards[future] = task.shard
                future.add_done_callback(self._answers.put)
            if not self._shards:
                return
            try:
                future = self._answers.get(timeout=1)
            except queue.Empty:
                continue
            shard = self._shards.pop(future)
            yield shard, self._result(future, shard)

    def _submit(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._client.submit(function, *args, pure=False)
        except (OSError, RuntimeError, CancelledError):
            raise self._lost() from None

    def _threads(self) -> int:
        """Threads of all workers now; raises if there were none for too long, or no scheduler."""
        if self._client.status != "running":
            raise self._lost()
        try:
            threads = int(sum(self._client.nthreads().values()))
        except (OSError, RuntimeError, CancelledError):
            raise self._lost() from None
        now = time.monotonic()
        if threads:
            self._seen = now
        if now - self._seen > _PATIENCE_S:
            raise HwgenError(f"the Dask cluster at {self._address} has no workers; {_KEPT} when it has some")
        return threads

    def _result(self, future: Any, shard: int) -> Rows:
        from distributed import KilledWorker

        if future.status != "error":
            try:
                rows: Rows = future.result()
            except (OSError, RuntimeError, CancelledError):
                raise self._lost() from None
            return rows
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise HwgenError(
                f"workers of the Dask cluster at {self._address} died again and again at shard {shard:06}; {_KEPT}, "
                "with workers that have more memory"
            )
        if isinstance(error, ModuleNotFoundError):
            raise HwgenError(
                f"workers of the Dask cluster at {self._address} cannot do the work ({error}); install it there"
            )
        raise error

    def _lost(self) -> HwgenError:
        return HwgenError(f"the Dask cluster at {self._address} went away; {_KEPT}")
