"""The result folder of a fault campaign: a manifest, and one Parquet file for each range of fault indices.

Shard ``k`` of size ``s`` holds the outcomes of faults ``k*s .. (k+1)*s - 1``. A shard is either there and whole or not
there: it is written beside its place, forced to the disk, and renamed. Nothing in the folder depends on when, where or
in which order shards were computed, so that two folders of one campaign are equal byte by byte.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from hwgen.errors import BadInput
from hwgen.files import output_folder, replacing
from hwgen.numerics import ceil_div

__all__ = ["SCHEMA", "Corrupt", "Finished", "Manifest", "Rows", "Store"]

Rows = npt.NDArray[Any]
"""Rows of a structured array: faults, or what they came to."""

SCHEMA = "hwgen.campaign/1"
"""The schema of ``manifest.json``."""

_MANIFEST, _FINISHED, _LOCK, _SHARDS = "manifest.json", "finished.json", "lock", "shards"
_SHARD = re.compile(r"(\d{6,})\.parquet")
_PARTIAL = re.compile(
    rf"\.({_MANIFEST}|{_FINISHED}|\d+\.parquet)-.*"
)  # what `replacing` left if it was killed
_MAX_SHARD = 1 << 24  # rows: a shard is held in memory, several times
_ROW_GROUP = 1 << 16  # rows
_ZSTD_LEVEL = 1  # as small as higher ones on outcomes, and faster
_DIGEST = b"hwgen.digest"
_WRITER = f"pyarrow {pa.__version__}"  # other versions may give other bytes for equal rows
_DIGESTS = {"netlist": "netlist digest", "stimulus": "stimulus digest", "faults": "fault list digest"}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a campaign is. Two campaigns with equal manifests have equal results.

    Parameters
    ----------
    netlist, stimulus, faults : str
        Digests of the netlist, of the stimulus and of the fault list.
    outcome : dtype
        Of one row of results: named columns of booleans, integers, floats or byte strings.
    shard_size : int
        Faults of one shard, ``1..2**24``. Shards are what is lost when a run is killed, and what a process computes
        at once: a second of work is a good size.
    total : int, optional
        Faults of the campaign, if known, from 0 on; with sequential stopping the most that there can be.
    versions : mapping of str to str
        Of the programs that decide the results.
    settings : mapping of str to JSON values
        Whatever else decides the results, such as the seed or the rule for stopping.

    Raises
    ------
    BadInput
        If a number is out of range, a column cannot be stored, or a setting is no JSON.
    """

    netlist: str
    stimulus: str
    faults: str
    outcome: npt.DTypeLike
    shard_size: int
    total: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.shard_size <= _MAX_SHARD:
            raise BadInput(f"shard_size is {self.shard_size} faults; choose 1 to {_MAX_SHARD}")
        if self.total is not None and self.total < 0:
            raise BadInput(f"total is {self.total} faults; choose 0 or more")
        object.__setattr__(self, "outcome", _packed(np.dtype(self.outcome)))
        try:
            # As it will be read back: tuples become lists.
            settings = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise BadInput(f"the settings of a campaign are no JSON ({error}); use plain values") from None
        object.__setattr__(self, "settings", settings)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one row of results, packed and little-endian."""
        return np.dtype(self.outcome)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "digests": {name: getattr(self, name) for name in _DIGESTS},
            "versions": dict(sorted(self.versions.items())),
            "shard_size": self.shard_size,
            "total": self.total,
            "outcome": [[name, self.dtype[name].str] for name in self.dtype.names or ()],
            "settings": dict(self.settings),
        }

    @property
    def identity(self) -> str:
        """Digest of all of it."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _packed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same columns without padding, little-endian: what digests are taken of."""
    for name in dtype.names or ():
        kind = dtype[name]
        if kind.kind not in "biufS" or not 0 < kind.itemsize <= (8 if kind.kind != "S" else kind.itemsize):
            raise BadInput(
                f"column {name} of the outcomes is of type {kind}; "
                "use booleans, integers, floats of 16 to 64 bits, or byte strings of a fixed length"
            )
    if not dtype.names:
        raise BadInput(f"outcomes are of type {dtype}; use a structured type with named columns")
    return np.dtype([(name, dtype[name].newbyteorder("<")) for name in dtype.names])


class Corrupt(NamedTuple):
    """A shard that is not what was written: its number, and what is wrong with it."""

    shard: int
    reason: str

    def __str__(self) -> str:
        return f"shard {_name(self.shard)} is corrupt ({self.reason})"


class Finished(NamedTuple):
    """What a campaign came to: shards, faults, whether the rule for stopping ended it, `Store.digest`."""

    shards: int
    rows: int
    stopped: bool
    digest: str


class _Damaged(Exception):
    """A shard cannot be used; holds the reason."""


class Store:
    """A result folder. Made by `create`, `resume` (both to write) or `open` (to read).

    Only one process at a time can have a folder open for writing; readers see whole shards at any time.

    Parameters
    ----------
    folder : Path
        The folder.
    manifest : Manifest
        What it holds.
    writer : str
        Name and version of what writes its Parquet files.
    lock : int, optional
        Descriptor of the locked file; without it the store is read only.
    """

    def __init__(self, folder: Path, manifest: Manifest, writer: str = _WRITER, lock: int | None = None):
        self.folder = folder
        self.manifest = manifest
        self._writer = writer
        self._lock = lock
        self._written: dict[int, str] = {}  # digests of the shards that this store wrote

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Self:
        """Begin a campaign in a folder that is not there, or empty.

        Raises
        ------
        BadInput
            If the folder holds something, cannot be written to, or is in use.
        """
        if (folder / _MANIFEST).exists():
            raise BadInput(
                f"{folder} holds a campaign already; go on with `--resume`, or name another folder"
            )
        return cls.resume(folder, manifest)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A campaign to read, also while another process writes it; `BadInput` if there is none."""
        return cls(folder, *_read_manifest(folder))

    @classmethod
    def resume(cls, folder: Path, manifest: Manifest, warn: Callable[[str], None] | None = None) -> Self:
        """Go on with a campaign where it was left, or begin it if it was left before it began.

        What a killed process left half written is removed, and so is every corrupt shard.

        Parameters
        ----------
        folder : Path
            The folder.
        manifest : Manifest
            What the campaign has to be.
        warn : callable, optional
            Called with one sentence for each corrupt shard.

        Raises
        ------
        BadInput
            If the folder holds another campaign or something else, cannot be written to, or is in use.
        """
        _refuse_strangers(folder)
        output_folder(folder / _SHARDS)
        store = cls(folder, manifest, lock=_locked(folder))
        try:
            with _told(folder):
                for path in [*folder.iterdir(), *(folder / _SHARDS).iterdir()]:
                    if _PARTIAL.fullmatch(path.name):
                        path.unlink()
            if (folder / _MANIFEST).exists():
                _refuse_another(folder, *_read_manifest(folder), manifest)
            else:
                _publish(folder / _MANIFEST, _json({**manifest.to_dict(), "writer": _WRITER}))
            for corrupt in store.verify():
                if warn:
                    warn(f"{corrupt}; it is computed again")
                store.discard(corrupt.shard)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let others write the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is there

    def count(self, total: int) -> int:
        """Number of shards that ``total`` faults make."""
        return ceil_div(total, self.manifest.shard_size)

    def span(self, shard: int, total: int | None = None) -> tuple[int, int]:
        """First fault of a shard, and how many it holds; all but the last one of ``total`` are full."""
        total = self.manifest.total if total is None else total
        first = shard * self.manifest.shard_size
        size = self.manifest.shard_size
        return first, size if total is None else max(0, min(size, total - first))

    def shards(self) -> list[int]:
        """Numbers of the shards that are there, ascending."""
        with _told(self.folder):
            if not (self.folder / _SHARDS).is_dir():
                return []
            names = [_SHARD.fullmatch(path.name) for path in (self.folder / _SHARDS).iterdir()]
        return sorted(int(name[1]) for name in names if name)

    def missing(self, total: int) -> list[int]:
        """Numbers of the shards that ``total`` faults still need, ascending."""
        there = set(self.shards())
        if self.manifest.total is None:  # else `resume` and `write` have compared the numbers of rows
            there = {shard for shard in there if self._rows(shard) == self.span(shard, total)[1]}
        return [shard for shard in range(self.count(total)) if shard not in there]

    def _rows(self, shard: int) -> int:
        try:
            return int(pq.read_metadata(self._path(shard)).num_rows)
        except (pa.ArrowException, OSError, ValueError):
            return -1

    @property
    def finished(self) -> Finished | None:
        """What the campaign came to, if it ran to its end."""
        with _told(self.folder), contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            return Finished(**json.loads((self.folder / _FINISHED).read_text(encoding="utf-8")))
        return None

    # Rows

    def shard(self, shard: int) -> Rows:
        """Outcomes of one shard, compared with their digest; `BadInput` if it is missing or corrupt."""
        try:
            return self._decoded(shard, self._bytes(shard))
        except _Damaged as damage:
            raise BadInput(f"{Corrupt(shard, str(damage))}; compute it again with `--resume`") from None

    def chunks(self) -> Iterator[tuple[int, Rows]]:
        """First fault and outcomes of every shard that is there, in order; holes are left out."""
        for shard in self.shards():
            yield self.span(shard)[0], self.shard(shard)

    def read(self) -> Rows:
        """Outcomes of all faults, in order; `BadInput` if a shard is missing or corrupt."""
        parts = (self.shard(shard) for shard in range(self._whole()))
        return np.concatenate([np.empty(0, self.manifest.dtype), *parts])

    def digest(self) -> str:
        """Digest of the manifest and of all rows, in order; `BadInput` if a shard is missing or corrupt."""
        return self._total({})

    def _total(self, known: dict[int, str]) -> str:
        """Digest of everything; digests of shards that are known are not computed again."""
        total = hashlib.sha256(self.manifest.identity.encode())
        for shard in range(self._whole()):
            total.update((known.get(shard) or self._digest(shard, self.shard(shard))).encode())
        return total.hexdigest()

    def verify(self) -> list[Corrupt]:
        """The shards that are not, to the byte, what was written; ascending."""
        found = []
        for shard in self.shards():
            data = self._bytes(shard)
            try:
                rows = self._decoded(shard, data)
                expected = self.span(shard)[1]
                if len(rows) != expected and (self.manifest.total is not None or len(rows) > expected):
                    raise _Damaged(f"{len(rows)} rows instead of {expected}")
                # Rows can be right in a file that is not: a bit of its statistics.
                if self._writer == _WRITER and self._encoded(rows, self._digest(shard, rows)) != data:
                    raise _Damaged("its bytes are not those of its rows")
            except _Damaged as damage:
                found.append(Corrupt(shard, str(damage)))
        return found

    def _whole(self) -> int:
        """Number of shards, if none is missing between them or, once the campaign has ended, behind them."""
        shards, ended = self.shards(), self.finished
        for shard in range(max(len(shards), ended.shards if ended else 0)):
            if shard >= len(shards) or shards[shard] != shard:
                raise self._absent(shard)
        return len(shards)

    # Writing

    def write(self, shard: int, rows: Rows) -> None:
        """Put a shard into its place, at one stroke and on the disk.

        Raises
        ------
        BadInput
            If the rows are not what the manifest says, the store is read only, or the disk refuses.
        """
        self.refuse_reader()
        expected = self.span(shard)[1]
        if rows.dtype.names != self.manifest.dtype.names or _packed(rows.dtype) != self.manifest.dtype:
            raise BadInput(
                f"outcomes are of type {rows.dtype}; the manifest has {self.manifest.dtype}: give those"
            )
        if (
            rows.ndim != 1
            or not 1 <= len(rows) <= expected
            or (self.manifest.total and len(rows) != expected)
        ):
            raise BadInput(
                f"shard {_name(shard)} has {rows.shape} outcomes; give one for each of {expected} faults"
            )
        self._unfinish()
        packed = rows.astype(self.manifest.dtype, copy=False)
        digest = self._digest(shard, packed)
        _publish(self._path(shard), self._encoded(packed, digest))
        self._written[shard] = digest

    def discard(self, shard: int) -> None:
        """Remove a shard, if it is there."""
        self.refuse_reader()
        self._unfinish()
        self._written.pop(shard, None)
        with _told(self.folder):
            self._path(shard).unlink(missing_ok=True)

    def finish(self, *, stopped: bool = False) -> Finished:
        """Note that the campaign has come to its end, with the digest of what is there."""
        self.refuse_reader()
        shards = self._whole()
        rows = sum(map(self._rows, range(shards)))
        ended = Finished(shards, rows, stopped, self._total(self._written))
        if self.finished != ended:
            _publish(self.folder / _FINISHED, _json(ended._asdict()))
        return ended

    def _unfinish(self) -> None:
        with _told(self.folder):
            (self.folder / _FINISHED).unlink(missing_ok=True)

    def refuse_reader(self) -> None:
        """Raise `BadInput` if the store is open for reading only."""
        if self._lock is None:
            raise BadInput(f"{self.folder} is open for reading only; open it with Store.resume to change it")

    # Bytes

    def _path(self, shard: int) -> Path:
        return self.folder / _SHARDS / _name(shard)

    def _absent(self, shard: int) -> BadInput:
        return BadInput(f"shard {_name(shard)} of {self.folder} is missing; compute it with `--resume`")

    def _bytes(self, shard: int) -> bytes:
        with _told(self.folder):
            try:
                return self._path(shard).read_bytes()
            except FileNotFoundError:
                raise self._absent(shard) from None

    def _digest(self, shard: int, rows: Rows) -> str:
        """Digest of packed rows in their place: a shard in another place or campaign has another one."""
        digest = hashlib.sha256(f"{self.manifest.identity} {shard} {len(rows)}\n".encode())
        digest.update(rows.tobytes())
        return digest.hexdigest()

    def _encoded(self, rows: Rows, digest: str) -> bytes:
        """Bytes of a Parquet file. Everything that pyarrow could choose is fixed: equal rows give equal bytes."""
        schema = _schema(self.manifest.dtype).with_metadata({_DIGEST: digest})
        table = pa.Table.from_arrays([_column(rows[name]) for name in rows.dtype.names or ()], schema=schema)
        data = io.BytesIO()
        pq.write_table(
            table, data, compression="zstd", compression_level=_ZSTD_LEVEL, row_group_size=_ROW_GROUP,
            use_dictionary=False, version="2.6", data_page_version="1.0", write_page_checksum=True,
        )  # fmt: skip
        return data.getvalue()

    def _decoded(self, shard: int, data: bytes) -> Rows:
        if not data:
            raise _Damaged("it is empty")
        try:
            file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            table = file.read(use_threads=False)
            digest = (file.schema_arrow.metadata or {}).get(_DIGEST, b"").decode()
            if not table.schema.remove_metadata().equals(_schema(self.manifest.dtype)):
                raise _Damaged("its columns are not those of the manifest")
            rows = np.empty(len(table), self.manifest.dtype)
            for name in self.manifest.dtype.names or ():
                rows[name] = _values(table[name], self.manifest.dtype[name])
        except (pa.ArrowException, OSError, ValueError) as error:
            first = str(error).strip().partition("\n")[0]
            raise _Damaged(f"it is no Parquet file: {first}" if first else "it is no Parquet file") from None
        if digest != self._digest(shard, rows):
            raise _Damaged("its rows do not have its digest")
        return rows


def _name(shard: int) -> str:
    return f"{shard:06}.parquet"


def _schema(dtype: np.dtype[Any]) -> pa.Schema:
    kinds = {
        name: pa.binary(dtype[name].itemsize) if dtype[name].kind == "S" else pa.from_numpy_dtype(dtype[name])
        for name in dtype.names or ()
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def _column(values: Rows) -> pa.Array:
    if values.dtype.kind != "S":
        return pa.array(np.ascontiguousarray(values))
    size = pa.binary(values.dtype.itemsize)
    return pa.Array.from_buffers(size, len(values), [None, pa.py_buffer(values.tobytes())])


def _values(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> Rows:
    if dtype.kind != "S":
        return np.asarray(column.to_numpy())
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
        for chunk in column.chunks
    ]
    return np.concatenate([np.empty(0, dtype), *parts])


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Refusals of the disk, as a sentence."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"{error.filename or path} cannot be used ({error.strerror}); free it, or name another folder"
        ) from None


def _publish(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also if the power fails."""
    with replacing(path) as part:
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(
                f"{path} cannot be written ({error.strerror}); what is done is kept: "
                "make room, then go on with `--resume`"
            ) from None
    with _told(path.parent):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _locked(folder: Path) -> int:
    """Descriptor of the folder's lock. The kernel takes it back when the process ends, however it ends."""
    with _told(folder):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise BadInput(
                f"another process writes the campaign in {folder}; wait for its end, or name another folder"
            ) from None
    return lock


def _refuse_strangers(folder: Path) -> None:
    """Refuse a folder with something in it that is no campaign, before anything is put there."""
    with _told(folder):
        if not folder.is_dir() or (folder / _MANIFEST).exists():
            return
        # What a campaign has in it that was killed before its manifest was there.
        begun = {_LOCK, _SHARDS}
        strange = sorted(
            path.name
            for path in folder.iterdir()
            if path.name not in begun and not _PARTIAL.fullmatch(path.name)
        )
        shards = folder / _SHARDS
        strange += sorted(f"{_SHARDS}/{path.name}" for path in shards.iterdir()) if shards.is_dir() else []
    if strange:
        raise BadInput(f"{folder} is no campaign and not empty (it holds {strange[0]}); name another folder")


def _read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a folder, and what writes its Parquet files."""
    try:
        data = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']} instead of {SCHEMA}")
        rest = {name: data[name] for name in ("versions", "shard_size", "total", "settings")}
        outcome = np.dtype([(name, kind) for name, kind in data["outcome"]])
        digests = {name: data["digests"][name] for name in _DIGESTS}
        return Manifest(**digests, **rest, outcome=outcome), str(data["writer"])
    except OSError as error:
        raise BadInput(f"{folder} holds no campaign ({error.strerror}); name the folder of one") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{folder / _MANIFEST} is not that of a campaign ({error}); bring it back, or name another folder"
        ) from None


def _refuse_another(folder: Path, there: Manifest, writer: str, here: Manifest) -> None:
    """Refuse to go on with a campaign that is not the same."""
    old, new = there.to_dict(), here.to_dict()
    pairs = [(text, old["digests"][name], new["digests"][name]) for name, text in _DIGESTS.items()]
    for kind, text in (("versions", "version of"), ("settings", "setting")):
        names = sorted({*old[kind], *new[kind]})
        pairs += [(f"{text} {name}", old[kind].get(name), new[kind].get(name)) for name in names]
    pairs += [("shard size", there.shard_size, here.shard_size), ("total", there.total, here.total)]
    pairs += [("list of columns", old["outcome"], new["outcome"]), ("Parquet writer", writer, _WRITER)]
    for text, was, given in pairs:
        if was != given:
            raise BadInput(
                f"the campaign in {folder} has another {text} ({was}, not {given}); "
                "resume it with the one that it began with, or name another folder"
            )
