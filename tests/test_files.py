"""Files appear whole or not at all, and stay untouched when nothing changed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hwgen.errors import BadInput
from hwgen.files import output_folder, replacing, write_all, write_if_changed

OLD = 1_000_000_000


def _aged(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (OLD, OLD))
    return path


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = _aged(tmp_path / "a.v", "same\n")
    assert not write_if_changed(path, "same\n")
    assert path.stat().st_mtime == OLD
    assert write_if_changed(path, "other\n")
    assert path.read_text() == "other\n"
    assert path.stat().st_mtime > OLD


def test_a_file_is_replaced_at_one_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _aged(tmp_path / "a.v", "old\n")
    reader = path.open()  # someone is reading the old file while the new one is put in its place
    write_if_changed(path, "new\n")
    assert reader.read() == "old\n"
    reader.close()

    def fail(source: Path, target: Path) -> None:
        assert source.read_text() == "third\n"
        assert target.read_text() == "new\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_if_changed(path, "third\n")
    assert [p.name for p in tmp_path.iterdir()] == ["a.v"]
    assert path.read_text() == "new\n"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_has_the_permissions_of_any_other(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_if_changed(tmp_path / "a.v", "x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "a.v").stat().st_mode & 0o777 == 0o666 & ~umask


def test_bytes_are_utf8_and_line_ends_as_given(tmp_path: Path) -> None:
    write_if_changed(tmp_path / "a", "8 × 8\n")
    assert (tmp_path / "a").read_bytes() == b"8 \xc3\x97 8\n"


def test_all_files_are_written_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    paths = write_all(folder, {"b.v": "b", "sub/a.json": "a"})
    assert paths == [folder / "b.v", folder / "sub" / "a.json"]
    assert [p.read_text() for p in paths] == ["b", "a"]
    for path in paths:
        os.utime(path, (OLD, OLD))
    assert write_all(folder, {"b.v": "b", "sub/a.json": "changed"}) == paths
    assert [p.stat().st_mtime == OLD for p in paths] == [True, False]


def _refused(sentence: str):
    return pytest.raises(BadInput, match=f"^{re.escape(sentence)}$")


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "taken").write_text("")
    folder = tmp_path / "taken" / below
    with _refused(f"output folder {folder} is a file or lies below one; name a folder"):
        output_folder(folder)


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with _refused(f"output folder {tmp_path} is read-only; name one that can be written to"):
        write_all(tmp_path, {"a": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", fail)
    folder = tmp_path / "new"
    with _refused(f"output folder {folder} cannot be made (Permission denied); name another one"):
        output_folder(folder)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with _refused(f"{tmp_path} cannot be written (No space left on device); free it or name another"):
        write_all(tmp_path, {"a": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_place_is_taken_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.v").mkdir()
    with pytest.raises(
        BadInput, match=r"a\.v cannot be written \(Is a directory\); free it or name another$"
    ):
        write_all(tmp_path, {"a.v": "x"})


def test_a_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = _aged(tmp_path / "sub" / "a.npz", "old")
    with replacing(path) as file:
        assert file.suffix == ".npz"
        file.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in path.parent.iterdir()] == ["a.npz"]


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = _aged(tmp_path / "a.json", "old")

    def fails() -> None:
        with replacing(path) as file:
            file.write_text("ne")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fails()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BadInput, match=r"a\.json cannot be written"), replacing(tmp_path / "a.json") as file:
        file.write_text("new")
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
