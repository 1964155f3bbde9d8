"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import tempfile
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=path.suffix)
        os.close(handle)
        try:
            yield Path(name)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); name another file") from None


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
