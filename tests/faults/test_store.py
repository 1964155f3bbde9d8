"""A campaign's folder: same rows, same bytes; what is damaged is named; what is another campaign's is refused."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hwgen.errors import BadInput
from hwgen.faults import store as module
from hwgen.faults.store import Corrupt, Manifest, Store

OUTCOME = np.dtype([("fault", np.uint64), ("outcome", np.uint8), ("shift", np.float32), ("told", np.bool_)])
MANIFEST = Manifest(
    netlist="n1", stimulus="s1", faults="f1", outcome=OUTCOME, shard_size=100, total=350,
    versions={"hwgen": "1"}, settings={"seed": 7, "rule": (0.95, 0.01)},
)  # fmt: skip


def rows_of(shard: int, store: Store) -> np.ndarray:
    first, count = store.span(shard)
    rows = np.zeros(count, OUTCOME)
    rows["fault"] = np.arange(first, first + count)
    rows["outcome"] = rows["fault"] * 37 % 11
    rows["shift"] = np.sqrt(rows["fault"].astype(np.float64)) - 9
    rows["told"] = rows["fault"] % 3 == 0
    return rows


def filled(folder: Path, manifest: Manifest = MANIFEST) -> Path:
    with Store.create(folder, manifest) as store:
        for shard in store.missing(manifest.total or 350):
            store.write(shard, rows_of(shard, store))
        store.finish()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(*parts: str) -> Any:
    return pytest.raises(BadInput, match=".*".join(re.escape(part) for part in parts))


# Rows and bytes


def test_a_campaign_is_kept(tmp_path: Path) -> None:
    with Store.create(tmp_path / "a", MANIFEST) as store:
        assert store.missing(350) == [0, 1, 2, 3]
        assert store.count(350) == 4
        assert [store.span(shard) for shard in range(4)] == [(0, 100), (100, 100), (200, 100), (300, 50)]
        for shard in (3, 0, 2):
            store.write(shard, rows_of(shard, store))
        assert store.missing(350) == [1]
        with refused("shard 000001.parquet", "is missing; compute it with `--resume`"):
            store.read()
        with refused("shard 000001.parquet", "is missing"):
            store.digest()
        with refused("shard 000001.parquet", "is missing"):
            store.finish()
        assert [first for first, _ in store.chunks()] == [0, 200, 300]
        store.write(1, rows_of(1, store))
        assert store.finished is None
        ended = store.finish()
    assert (ended.shards, ended.rows, ended.stopped) == (4, 350, False)
    reader = Store.open(tmp_path / "a")
    assert reader.manifest == MANIFEST
    assert reader.finished == ended
    assert reader.digest() == ended.digest
    assert reader.verify() == []
    rows = reader.read()
    np.testing.assert_array_equal(rows["fault"], np.arange(350))
    np.testing.assert_array_equal(rows, np.concatenate([rows_of(shard, reader) for shard in range(4)]))
    assert sorted(contents(tmp_path / "a")) == sorted(
        ["finished.json", "lock", "manifest.json", *(f"shards/00000{i}.parquet" for i in range(4))]
    )


def test_others_can_read_the_shards(tmp_path: Path) -> None:
    folder = filled(tmp_path / "a")
    table = pq.read_table(folder / "shards" / "000003.parquet")
    assert table.schema.names == list(OUTCOME.names or ())
    expected = rows_of(3, Store.open(folder))
    for name in table.schema.names:
        np.testing.assert_array_equal(table[name].to_numpy(), expected[name])


def test_same_rows_same_bytes_whatever_the_order_and_the_layout(tmp_path: Path) -> None:
    first = contents(filled(tmp_path / "a"))
    padded = np.dtype([(name, OUTCOME[name]) for name in OUTCOME.names or ()], align=True)
    with Store.create(tmp_path / "b", MANIFEST) as store:
        for shard in (2, 3, 1, 0):
            rows = np.frombuffer(os.urandom(padded.itemsize * 100), padded).copy()[: store.span(shard)[1]]
            for name in OUTCOME.names or ():  # what is between the columns stays random
                rows[name] = rows_of(shard, store)[name]
            store.write(shard, rows)
        store.finish()
    assert contents(tmp_path / "b") == first
    swapped = OUTCOME.newbyteorder(">")
    with Store.create(tmp_path / "c", MANIFEST) as store:
        for shard in range(4):
            store.write(shard, rows_of(shard, store).astype(swapped))
        store.finish()
    assert contents(tmp_path / "c") == first


def test_every_type_comes_back_to_the_bit(tmp_path: Path) -> None:
    kinds = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "S1", "S5"]
    dtype = np.dtype([(kind, kind) for kind in kinds])
    rng = np.random.default_rng(0)
    size = 70_000  # more than a row group
    rows = np.zeros(size, dtype)
    for kind in kinds[1:]:
        rows[kind] = np.frombuffer(
            rng.bytes(size * dtype[kind].itemsize), kind
        )  # NaNs and zero bytes among them
    rows["?"] = rng.random(size) < 0.5
    manifest = replace(MANIFEST, outcome=dtype, shard_size=size, total=size)
    with Store.create(tmp_path / "a", manifest) as store:
        store.write(0, rows)
    assert np.isnan(rows["f4"]).any()
    assert Store.open(tmp_path / "a").read().tobytes() == rows.tobytes()


def test_the_digest_is_of_rows_places_and_manifest(tmp_path: Path) -> None:
    digests = {Store.open(filled(tmp_path / "a")).digest(), Store.open(filled(tmp_path / "b")).digest()}
    assert len(digests) == 1
    changes: list[dict[str, Any]] = [{"settings": {"seed": 8}}, {"shard_size": 50}, {"netlist": "n2"}]
    for number, change in enumerate(changes):
        digests.add(Store.open(filled(tmp_path / f"c{number}", replace(MANIFEST, **change))).digest())
    with Store.create(tmp_path / "d", MANIFEST) as store:
        for shard in range(4):
            rows = rows_of(shard, store)
            rows["told"][-1] ^= shard == 2
            store.write(shard, rows)
        digests.add(store.digest())
    assert len(digests) == 5


def test_a_campaign_without_faults(tmp_path: Path) -> None:
    with Store.create(tmp_path / "a", replace(MANIFEST, total=0)) as store:
        assert store.missing(0) == []
        assert store.finish().rows == 0
        assert store.read().dtype == OUTCOME
        assert len(store.read()) == 0


def test_without_a_total_a_shard_that_was_the_last_is_missing_in_a_longer_one(tmp_path: Path) -> None:
    with Store.create(tmp_path / "a", replace(MANIFEST, total=None)) as store:
        store.write(0, rows_of(0, store))
        store.write(1, rows_of(1, store)[:50])
        assert store.missing(150) == []
        assert store.missing(320) == [1, 2, 3]
        assert store.verify() == []


# What is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shard_size": 0}, "shard_size is 0 faults; choose 1 to 16777216"),
        ({"shard_size": (1 << 24) + 1}, "shard_size is 16777217 faults"),
        ({"total": -1}, "total is -1 faults; choose 0 or more"),
        ({"settings": {"a": {1}}}, "the settings of a campaign are no JSON"),
        ({"settings": {"a": float("nan")}}, "the settings of a campaign are no JSON"),
        ({"outcome": np.dtype("u1")}, "outcomes are of type uint8; use a structured type with named columns"),
        ({"outcome": np.dtype([("a", "O")])}, "column a of the outcomes is of type object; use"),
        ({"outcome": np.dtype([("a", "u1", 3)])}, "column a of the outcomes is of type ('u1', (3,)); use"),
        ({"outcome": np.dtype([("a", "S0")])}, "column a of the outcomes is of type |S0; use"),
        ({"outcome": np.dtype([("a", "g")])}, "column a of the outcomes is of type float128; use"),
        ({"outcome": np.dtype([("a", "U3")])}, "column a of the outcomes is of type <U3; use"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be(change: dict[str, Any], sentence: str) -> None:
    with refused(sentence):
        replace(MANIFEST, **change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"netlist": "n2"},
            "has another netlist digest (n1, not n2); resume it with the one that it began with",
        ),
        ({"stimulus": "s2"}, "has another stimulus digest (s1, not s2);"),
        ({"faults": "f2"}, "has another fault list digest (f1, not f2);"),
        ({"versions": {"hwgen": "2"}}, "has another version of hwgen (1, not 2);"),
        ({"versions": {"hwgen": "1", "yosys": "3"}}, "has another version of yosys (None, not 3);"),
        ({"settings": {"seed": 8, "rule": [0.95, 0.01]}}, "has another setting seed (7, not 8);"),
        ({"settings": {"seed": 7}}, "has another setting rule ([0.95, 0.01], not None);"),
        ({"shard_size": 101}, "has another shard size (100, not 101);"),
        ({"total": 351}, "has another total (350, not 351);"),
        ({"outcome": OUTCOME.descr[:2]}, "has another list of columns ("),
    ],
)
def test_another_campaign_is_refused_and_left_alone(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    before = contents(filled(tmp_path))
    with refused(f"the campaign in {tmp_path} {sentence}"):
        Store.resume(tmp_path, replace(MANIFEST, **change))
    assert contents(tmp_path) == before
    Store.resume(tmp_path, MANIFEST).close()  # the refused one holds no lock


def test_another_parquet_writer_may_read_and_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    monkeypatch.setattr(module, "_WRITER", "pyarrow 99")
    with refused("has another Parquet writer (pyarrow", "not pyarrow 99)"):
        Store.resume(tmp_path, MANIFEST)
    monkeypatch.setattr(Store, "_encoded", lambda self, rows, digest: b"what version 99 would write")
    reader = Store.open(tmp_path)
    assert reader.verify() == []
    assert len(reader.read()) == 350


def test_a_campaign_is_begun_once(tmp_path: Path) -> None:
    before = contents(filled(tmp_path))
    with refused(f"{tmp_path} holds a campaign already; go on with `--resume`, or name another folder"):
        Store.create(tmp_path, MANIFEST)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("strange", ["notes.txt", "shards/000000.parquet", ".hidden", "finished.json"])
@pytest.mark.parametrize("way", [Store.create, Store.resume])
def test_a_folder_that_is_no_campaign(tmp_path: Path, way: Callable[..., Store], strange: str) -> None:
    (tmp_path / strange).parent.mkdir(exist_ok=True)
    (tmp_path / strange).write_text("mine")
    with refused(f"{tmp_path} is no campaign and not empty (it holds {strange}); name another folder"):
        way(tmp_path, MANIFEST)
    assert contents(tmp_path) == {strange: b"mine"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with refused("output folder", "is a file or lies below one; name a folder"):
        Store.create(tmp_path / "taken", MANIFEST)
    with refused("taken holds no campaign (Not a directory); name the folder of one"):
        Store.open(tmp_path / "taken")
    with refused("absent holds no campaign (No such file or directory)"):
        Store.open(tmp_path / "absent")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema": "hwgen.campaign/2"}', '{"schema": "hwgen.campaign/1"}', "\ud7ff\x00"],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    filled(tmp_path)
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    for way in (Store.open, lambda folder: Store.resume(folder, MANIFEST)):
        with refused(f"{tmp_path / 'manifest.json'} is not that of a campaign (", "; bring it back, or name"):
            way(tmp_path)
    assert len(contents(tmp_path)) == 7


@pytest.mark.parametrize(
    ("shard", "rows", "sentence"),
    [
        (0, np.zeros(99, OUTCOME), "shard 000000.parquet has (99,) outcomes; give one for each of 100 faults"),
        (3, np.zeros(100, OUTCOME), "shard 000003.parquet has (100,) outcomes; give one for each of 50 faults"),
        (4, np.zeros(1, OUTCOME), "shard 000004.parquet has (1,) outcomes; give one for each of 0 faults"),
        (0, np.zeros((100, 1), OUTCOME), "has (100, 1) outcomes"),
        (0, np.zeros(100, OUTCOME.descr[:2]), "the manifest has"),
        (0, np.zeros(100, [*OUTCOME.descr[:3], ("told", "u1")]), "outcomes are of type"),
        (0, np.zeros(100, np.uint8), "outcomes are of type uint8"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(tmp_path: Path, shard: int, rows: np.ndarray, sentence: str) -> None:
    with Store.create(tmp_path, MANIFEST) as store:
        with refused(sentence):
            store.write(shard, rows)
        assert store.shards() == []


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    before = contents(filled(tmp_path))
    reader = Store.open(tmp_path)
    for change in (
        lambda: reader.write(0, rows_of(0, reader)),
        lambda: reader.discard(0),
        lambda: reader.finish(),
    ):
        with refused(f"{tmp_path} is open for reading only; open it with Store.resume to change it"):
            change()
    assert contents(tmp_path) == before


def test_the_end_is_forgotten_when_something_changes(tmp_path: Path) -> None:
    before = contents(filled(tmp_path))
    shutil.copytree(tmp_path, tmp_path / "copy")
    (tmp_path / "copy/shards/000003.parquet").unlink()
    with refused("shard 000003.parquet", "is missing"):  # the last one: only the note of the end knows
        Store.open(tmp_path / "copy").read()
    shutil.rmtree(tmp_path / "copy")
    with Store.resume(tmp_path, MANIFEST) as store:
        store.discard(3)
        assert store.finished is None
        store.write(3, rows_of(3, store))
        assert store.finished is None
        store.finish()
        assert contents(tmp_path) == before
        store.write(3, rows_of(3, store))
        assert store.finished is None


# Damage


def damages(data: bytes, other: bytes) -> dict[str, bytes]:
    draw = random.Random(0)
    found = {"empty": b"", "another shard": other, "longer": data + b"\0", "text": b"mine"}
    for length in (1, 3, 4, 8, len(data) // 2, len(data) - 8, len(data) - 1):
        found[f"cut to {length}"] = data[:length]
    places = [0, len(data) - 1, len(data) - 5, *(draw.randrange(len(data)) for _ in range(300))]
    for place in places:
        bit = draw.randrange(8)
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        found[f"bit {bit} of byte {place}"] = bytes(flipped)
    return found


def test_every_damage_is_found_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "shards/000001.parquet"
    data = path.read_bytes()
    reader = Store.open(tmp_path)
    for name, damaged in damages(data, (tmp_path / "shards/000002.parquet").read_bytes()).items():
        path.write_bytes(damaged)
        found = reader.verify()
        assert [corrupt.shard for corrupt in found] == [1], name
        assert re.fullmatch(r"shard 000001\.parquet is corrupt \(.+\)", str(found[0])), name
    path.write_bytes(data)
    assert reader.verify() == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "it is empty"),
        ("another shard", "its rows do not have its digest"),
        ("text", "it is no Parquet file: "),
        ("cut to 8", "it is no Parquet file: "),
    ],
)
def test_a_damaged_shard_is_not_read(tmp_path: Path, name: str, reason: str) -> None:
    filled(tmp_path)
    path = tmp_path / "shards/000001.parquet"
    path.write_bytes(damages(path.read_bytes(), (tmp_path / "shards/000002.parquet").read_bytes())[name])
    reader = Store.open(tmp_path)
    for use in (reader.read, reader.digest, lambda: list(reader.chunks()), lambda: reader.shard(1)):
        with refused(f"shard 000001.parquet is corrupt ({reason}", "); compute it again with `--resume`"):
            use()
    assert len(reader.shard(0)) == 100


def test_resume_names_and_removes_what_is_corrupt_and_keeps_the_rest(tmp_path: Path) -> None:
    before = contents(filled(tmp_path))
    kept = (tmp_path / "shards/000000.parquet").stat()
    (tmp_path / "shards/000001.parquet").write_bytes(b"")
    (tmp_path / "shards/000003.parquet").write_bytes(before["shards/000003.parquet"][:-1])
    (tmp_path / "shards/000004.parquet").write_bytes(before["shards/000003.parquet"])
    warnings: list[str] = []
    with Store.resume(tmp_path, MANIFEST, warnings.append) as store:
        assert store.missing(350) == [1, 3]
        assert warnings[0] == "shard 000001.parquet is corrupt (it is empty); it is computed again"
        assert [text.partition(" (")[0] for text in warnings[1:]] == [
            f"shard 00000{i}.parquet is corrupt" for i in (3, 4)
        ]
        for shard in (1, 3):
            store.write(shard, rows_of(shard, store))
        store.finish()
    assert contents(tmp_path) == before
    after = (tmp_path / "shards/000000.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_a_shard_of_another_campaign_or_of_another_length_is_corrupt(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    filled(tmp_path / "b", replace(MANIFEST, settings={"seed": 8}))
    filled(tmp_path / "c", replace(MANIFEST, total=None))
    shutil.copy(tmp_path / "b/shards/000002.parquet", tmp_path / "a/shards/000002.parquet")
    assert Store.open(tmp_path / "a").verify() == [Corrupt(2, "its rows do not have its digest")]
    with Store.resume(tmp_path / "c", replace(MANIFEST, total=None)) as store:
        store.write(1, rows_of(1, store)[:60])
    manifest = json.loads((tmp_path / "c/manifest.json").read_text())
    assert manifest["total"] is None
    assert Store.open(tmp_path / "c").missing(350) == [1, 3]  # 3 is full: without a total it may be


# Other processes


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    with Store.create(tmp_path, MANIFEST) as store:
        store.write(0, rows_of(0, store))
        before = contents(tmp_path)
        with refused(f"another process writes the campaign in {tmp_path}; wait for its end, or name another"):
            Store.resume(tmp_path, MANIFEST)
        assert contents(tmp_path) == before
        assert len(Store.open(tmp_path).shard(0)) == 100
    Store.resume(tmp_path, MANIFEST).close()


CHILD = """
import os, signal, sys
from pathlib import Path
from tests.faults import test_store as t
from hwgen.faults import store as module
"""


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", CHILD + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def test_the_lock_of_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    code = "store = t.Store.create(Path(sys.argv[1]), t.MANIFEST); print(flush=True); signal.pause()"
    with child(code, tmp_path / "a") as process:
        assert process.stdout
        process.stdout.readline()
        with refused("another process writes"):
            Store.resume(tmp_path / "a", MANIFEST)
        process.kill()
    Store.resume(tmp_path / "a", MANIFEST).close()


KILLED = """
step, left = sys.argv[2], int(sys.argv[3])
def dying(name, holder):
    whole = getattr(holder, name)
    def half(*arguments, **options):
        global left
        if name == step:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **options)
    setattr(holder, name, half)
for name, holder in (("fsync", os), ("replace", Path), ("mkdir", Path), ("flock", module.fcntl)):
    dying(name, holder)
t.filled(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("step", "time"),
    [
        *(("mkdir", 1), ("mkdir", 2), ("flock", 1), ("fsync", 1), ("replace", 1), ("fsync", 2), ("fsync", 5)),
        *(("fsync", 3), ("replace", 4), ("fsync", 6), ("replace", 6), ("fsync", 12)),
    ],
)
def test_killed_at_every_step_of_writing(tmp_path: Path, step: str, time: int) -> None:
    with child(KILLED, tmp_path / "a", step, time) as process:
        pass
    assert process.returncode == -signal.SIGKILL
    warnings: list[str] = []
    with Store.resume(tmp_path / "a", MANIFEST, warnings.append) as store:
        assert not [path for path in contents(tmp_path / "a") if "/." in f"/{path}"]
        for shard in store.missing(350):
            store.write(shard, rows_of(shard, store))
        store.finish()
    assert warnings == []
    assert contents(tmp_path / "a") == contents(filled(tmp_path / "b"))


def test_half_written_files_are_removed_by_a_writer_only(tmp_path: Path) -> None:
    before = contents(filled(tmp_path))
    halves = ["shards/.000001.parquet-abc.parquet", ".manifest.json-abc.json", ".finished.json-x.json"]
    for name in halves:
        (tmp_path / name).write_bytes(b"PAR1")
    (tmp_path / "report.html").write_text("mine")
    assert Store.open(tmp_path).shards() == [0, 1, 2, 3]
    assert {*contents(tmp_path)} >= {*halves}
    Store.resume(tmp_path, MANIFEST).close()
    assert contents(tmp_path) == before | {"report.html": b"mine"}


# The disk


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Store.create(tmp_path, MANIFEST) as store:
        store.write(0, rows_of(0, store))
        before = contents(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with refused("000001.parquet cannot be written (No space left on device); what is done is kept"):
                store.write(1, rows_of(1, store))
        assert contents(tmp_path) == before
        store.write(1, rows_of(1, store))


def test_a_read_only_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with refused("output folder", "is read-only; name one that can be written to"):
        Store.create(tmp_path / "new", MANIFEST)


def test_a_folder_that_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        with refused(f"{tmp_path} cannot be used (Permission denied); free it, or name another folder"):
            Store.resume(tmp_path, MANIFEST)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        with refused(f"{tmp_path} cannot be used (Permission denied); free it, or name another folder"):
            Store.open(tmp_path).read()
    Store.resume(tmp_path, MANIFEST).close()


def test_a_shard_that_is_a_folder(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "shards/000001.parquet"
    path.unlink()
    path.mkdir()
    with refused("000001.parquet cannot be used (Is a directory)"):
        Store.resume(tmp_path, MANIFEST)
