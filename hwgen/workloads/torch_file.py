"""Tensors from a file that PyTorch saved, without PyTorch and without running what the file says.

Such a file is a zip: a pickle that names the tensors, and the numbers of each as plain bytes. A pickle may
call anything; this reader knows the few names that a table of tensors needs and refuses every other.
"""

from __future__ import annotations

import math
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from hwgen.errors import BadInput

__all__ = ["read_state_dict"]

_STORAGES = {
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ShortStorage": "<i2",
}
"""NumPy's names of the element types whose bytes NumPy can read."""

# What broken bytes make pickle, NumPy and our own callables raise; MemoryError, because lengths may be broken too.
_BROKEN_PICKLE = (
    *(pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError),
    *(MemoryError, RecursionError, TypeError, ValueError),
)
_BROKEN_ZIP = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_state_dict(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read a table of tensors (a "state dict").

    Parameters
    ----------
    path : Path
        A file that ``torch.save`` of PyTorch 1.6 or newer wrote.

    Returns
    -------
    dict of str to ndarray
        Tensors by name, in the file's order, with the shapes and element types that they have there.

    Raises
    ------
    BadInput
        If the file cannot be read, is no such zip, is not little-endian, holds something else than a table of
        tensors, or names anything that such a table does not need.

    Notes
    -----
    Source: format as in ``torch/serialization.py`` and ``torch/_utils.py`` of PyTorch.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            table = _unpickle(archive, path)
    except _BROKEN_ZIP as error:
        raise BadInput(
            f"{path} must be a zip that torch.save wrote (PyTorch 1.6 or newer), but reading it fails: {error}."
        ) from error
    if not _is_table(table):
        raise BadInput(
            f"{path} must hold a table of tensors by name, not {type(table).__name__}; save model.state_dict()."
        )
    return dict(table)


def _unpickle(archive: zipfile.ZipFile, path: Path) -> object:
    """What the archive's pickle makes."""
    pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise BadInput(
            f"{path} must hold one data.pkl, not {len(pickles)}; give a file that torch.save wrote."
        )
    root = pickles[0].removesuffix("data.pkl")
    names = set(archive.namelist())
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder").strip() != b"little":
        raise BadInput(f"{path} must be little-endian; save it again on a little-endian machine.")

    def storage(key: str) -> bytes:
        return archive.read(f"{root}data/{key}")

    with archive.open(pickles[0]) as stream:
        try:
            return _Unpickler(stream, storage).load()
        except BadInput as error:
            raise BadInput(f"{path} {error}") from error
        except _BROKEN_PICKLE as error:
            raise BadInput(f"{path} holds a broken pickle ({error}); save the file again.") from error


def _is_table(value: object) -> TypeGuard[OrderedDict[str, npt.NDArray[Any]]]:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, np.ndarray) for name, tensor in value.items()
    )


@dataclass(frozen=True, slots=True)
class _ElementType:
    """What the name of a storage class stands for; not callable, so that a pickle can do nothing with it."""

    dtype: str


class _Unpickler(pickle.Unpickler):
    """Knows ordered dicts, tensors and storages; nothing else has a name here."""

    def __init__(self, stream: Any, storage: Callable[[str], bytes]):
        super().__init__(stream)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """The few globals of a state dict."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _ElementType(_STORAGES[name])
        raise BadInput(
            f"names {module}.{name}, which a table of tensors does not need; "
            "it is not run: give a file that holds model.state_dict() alone."
        )

    def persistent_load(self, pid: Any) -> npt.NDArray[Any]:
        """Numbers of a storage, by ``("storage", element type, key, device, count)``."""
        kind, element, key, _device, count = pid
        if kind != "storage" or not isinstance(element, _ElementType) or not isinstance(key, str):
            raise BadInput(
                f"names a storage as {pid!r}, which is not known; give a file that torch.save wrote."
            )
        values = np.frombuffer(self._storage(key), element.dtype)
        if len(values) != count:
            raise BadInput(
                f"holds {len(values)} numbers of storage {key!r} instead of {count}; it is damaged."
            )
        return values


def _tensor(
    storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> npt.NDArray[Any]:
    """A tensor from its storage; gradients and hooks do not matter here."""
    numbers = (offset, *size, *stride)
    whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    if not isinstance(storage, np.ndarray) or not whole or len(size) != len(stride):
        raise BadInput(
            f"describes a tensor by offset {offset}, size {size} and stride {stride}; it is damaged."
        )
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # A stride of zero would let a few bytes become an array that fills the memory.
    if count > len(storage) or (count and last >= len(storage)):
        raise BadInput(f"describes a tensor of size {size} in a storage of {len(storage)}; it is damaged.")
    if not count:
        return np.zeros(size, storage.dtype)
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()
