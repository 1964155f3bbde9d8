"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hwgen.errors import BadInput

__all__ = ["output_folder", "replacing", "write_all", "write_if_changed"]


def write_if_changed(path: Path, text: str) -> bool:
    """Put ``text`` into ``path`` at one stroke, unless it is there already; tell whether it was written."""
    data = text.encode()
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    with _beside(path) as partial:
        partial.write_bytes(data)
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to fill, which takes the place of ``path`` when all is written and goes away if anything fails.

    Raises
    ------
    BadInput
        If the folder cannot be used, or the disk refuses.
    """
    output_folder(path.parent)
    try:
        with _beside(path) as partial:
            yield partial
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); name another file") from None


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A hidden name beside ``path``, known before the file is there: a signal at any moment leaves nothing behind."""
    partial = path.with_name(f".{path.name}-{secrets.token_hex(6)}{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def output_folder(path: Path) -> Path:
    """``path`` as a folder that can be written to, made if need be.

    Raises
    ------
    BadInput
        If it is a file, lies below one, or must not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"output folder {path} is a file or lies below one; name a folder") from None
    except OSError as error:
        raise BadInput(f"output folder {path} cannot be made ({error.strerror}); name another one") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadInput(f"output folder {path} is read-only; name one that can be written to")
    return path


def write_all(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write files into ``folder``, each at one stroke and only if changed, in the order given.

    Raises
    ------
    BadInput
        If the folder cannot be used, or the disk refuses.
    """
    output_folder(folder)
    paths = [folder / name for name in files]
    try:
        for path, text in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_if_changed(path, text)
    except OSError as error:
        raise BadInput(
            f"{error.filename or folder} cannot be written ({error.strerror}); free it or name another"
        ) from None
    return paths
