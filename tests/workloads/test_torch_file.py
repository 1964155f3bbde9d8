"""Tables of tensors without PyTorch: right numbers from good files, one sentence from bad ones, and nothing run."""

import pickle
import zipfile

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.workloads.torch_file import read_state_dict


def _value(value):
    return pickle.dumps(value, 2)[2:-1]


def _tensor(key="0", count=6, size=(2, 3), stride=(3, 1), offset=0, storage="FloatStorage"):
    """The opcodes that PyTorch writes for a tensor."""
    pid = b"(" + _value("storage") + b"ctorch\n" + storage.encode() + b"\n" + _value(key) + _value("cpu")
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + pid[1:] + _value(count) + b"tQ" + _value(offset)
        + _value(size) + _value(stride) + _value(False) + b"ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def _table(**tensors):
    items = b"".join(_value(name) + tensor for name, tensor in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


@pytest.fixture
def saved(tmp_path):
    """Write a file as PyTorch lays it out, and give its path."""

    def write(text, numbers=None, **more):
        path = tmp_path / "weights.pth"
        numbers = np.arange(6, dtype="<f4").tobytes() if numbers is None else numbers
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {
                "data.pkl": text,
                "byteorder": b"little",
                "data/0": numbers,
                **more,
            }.items():
                archive.writestr(f"weights/{name}", content)
        return path

    return write


def test_tensors_have_their_numbers_shapes_and_types(saved):
    whole = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = read_state_dict(
        saved(
            _table(
                whole=_tensor(),
                turned=_tensor(size=(3, 2), stride=(1, 3)),
                last=_tensor(size=(), stride=(), offset=5),
                none=_tensor(size=(0, 3)),
            )
        )
    )
    assert list(table) == ["whole", "turned", "last", "none"]
    np.testing.assert_array_equal(table["whole"], whole)
    np.testing.assert_array_equal(table["turned"], whole.T)
    assert table["last"] == 5
    assert table["none"].shape == (0, 3)
    assert all(tensor.dtype == np.float32 and tensor.flags.writeable for tensor in table.values())


@pytest.mark.parametrize(
    ("storage", "dtype"),
    [("LongStorage", "<i8"), ("HalfStorage", "<f2"), ("ByteStorage", "u1"), ("BoolStorage", "?")],
)
def test_every_element_type_is_read_as_what_it_is(saved, storage, dtype):
    numbers = np.array([0, 1, 1, 0, 0, 1], dtype)
    table = read_state_dict(saved(_table(x=_tensor(storage=storage)), numbers.tobytes()))
    assert table["x"].dtype == numbers.dtype
    np.testing.assert_array_equal(table["x"], numbers.reshape(2, 3))


FOREIGN = [
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("subprocess", "Popen"),
    ("collections", "deque"), ("torch", "load"), ("torch._utils", "_rebuild_tensor"), ("torch", "_utils.os"),
    ("torch.storage", "_load_from_bytes"), ("numpy", "ndarray"), ("hwgen.workloads.torch_file", "Path"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), FOREIGN)
def test_a_foreign_global_is_refused_and_named(saved, module, name):
    call = b"c" + f"{module}\n{name}\n".encode() + b"(" + _value("x") + b"tR"
    with pytest.raises(BadInput, match=rf"names {module}\.{name}, which a table of tensors does not need"):
        read_state_dict(saved(_table(x=call)))


def test_a_global_of_the_newer_protocols_is_refused_as_well(saved):
    with pytest.raises(BadInput, match=r"names builtins\.print"):
        read_state_dict(saved(pickle.dumps({"x": print}, 4)))


def test_nothing_is_run(saved, tmp_path):
    trace = tmp_path / "trace"
    call = b"cos\nmkdir\n(" + _value(str(trace)) + b"tR"
    with pytest.raises(BadInput, match=r"os\.mkdir"):
        read_state_dict(saved(_table(x=call)))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (_tensor(count=7), "holds 6 numbers of storage '0' instead of 7"),
        (_tensor(size=(2, 4)), "a tensor of size (2, 4) in a storage of 6"),
        (_tensor(offset=1), "a tensor of size (2, 3) in a storage of 6"),
        (_tensor(size=(1 << 40,), stride=(0,)), "in a storage of 6"),
        (_tensor(stride=(3, -1)), "stride (3, -1)"),
        (_tensor(stride=(1,)), "stride (1,)"),
        (_tensor(size=(1,), stride=(1 << 80,)), "broken pickle"),
        (_tensor(key="1"), "broken pickle"),
        (_tensor(storage="QInt8Storage"), "names torch.QInt8Storage"),
        (_value("text"), "must hold a table of tensors"),
        (b"ctorch\nFloatStorage\n)R", "broken pickle"),
    ],
)
def test_damage_is_said_in_one_sentence(saved, tensor, says):
    with pytest.raises(BadInput) as refused:
        read_state_dict(saved(_table(x=tensor)))
    assert says in str(refused.value)


def test_files_of_other_kinds_are_refused(saved, tmp_path):
    (tmp_path / "text").write_text("no zip")
    for path in (tmp_path / "text", tmp_path / "absent"):
        with pytest.raises(BadInput, match=r"must be a zip that torch\.save wrote"):
            read_state_dict(path)
    with pytest.raises(BadInput, match="little-endian"):
        read_state_dict(saved(_table(x=_tensor()), byteorder=b"big"))
    with pytest.raises(BadInput, match=r"one data\.pkl, not 2"):
        read_state_dict(saved(_table(x=_tensor()), **{"more/data.pkl": b""}))
    with pytest.raises(BadInput, match="not list"):
        read_state_dict(saved(b"\x80\x02]."))
    with pytest.raises(BadInput, match="broken pickle"):
        read_state_dict(saved(_table(x=_tensor())[:-5]))


def test_broken_bytes_give_a_sentence_or_a_table(saved):
    """Whatever a few changed bytes make of the pickle, no other error and no call comes of it."""
    good = _table(first=_tensor(), second=_tensor(size=(3,), stride=(2,)))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        text = bytearray(good)
        for place in rng.integers(2, len(text), 2):
            text[place] = rng.integers(256)
        try:
            read_state_dict(saved(bytes(text)))
        except BadInput:
            refused += 1
    assert refused > 200
