"""Named accelerators: the files in configs/, what is said of bad ones, and the blocks of RAM they take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwgen.errors import BadInput
from hwgen.parts.ram import BlockRam
from hwgen.system.config import SystemConfig
from hwgen.system.configs import FOLDER, load, named
from hwgen.system.memories import block_rams, memories

DEVICES = {
    "edge": ("ecp5", 208),
    "edge_ecp5": ("ecp5", 208),
    "n3h_z7020": ("xilinx", 140),
    "n3h_z7045": ("xilinx", 545),
    "sparse_edge": ("ecp5", 208),
    "sparse_u280": ("xilinx", 2016),
}
GOOD = 'summary = "mine"\nstatus = "experimental"\n[parameters]\nlanes = 4\n'


def test_the_folder_is_read() -> None:
    found = named()
    assert set(found) == {"tiny", "attention", *DEVICES}
    assert found["tiny"].status == "supported"
    assert found["tiny"].config.lut
    assert found["n3h_z7045"].config == SystemConfig(
        target="xilinx7", lanes=16, bus_bytes=8, lut=True,
        lut_units=8, lut_width=128, act_words=32768, weight_words=16384,
        acc_words=2048, parameter_words=512, plane_words=4096, plane_weight_words=1024, queue_depth=16,
        burst_beats=64, outstanding=8,
    )  # fmt: skip


def test_they_fit_their_devices_as_the_readme_says() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        if found := re.match(r"\| (?:.*\(`(.+)`\)|(total)) ((?:\| *\d* *)+)\|$", line):
            rows[found[1] or found[2]] = [cell.strip() for cell in found[3].split("|")[1:]]
    dense = ("edge", "edge_ecp5", "n3h_z7020", "n3h_z7045")
    names = ("tiny", *dense, "attention", "sparse_edge", "sparse_u280")  # in the order of the columns
    families = {name: DEVICES.get(name, ("xilinx", 0))[0] for name in names}
    for column, (name, family) in enumerate(families.items()):
        config = named()[name].config
        told = {key: int(cells[column]) for key, cells in rows.items() if cells[column]}
        assert told == block_rams(config, family)
        if name in DEVICES:
            assert told["total"] <= DEVICES[name][1]
            assert f" {DEVICES[name][1]} " in text
        assert f"| `{name}` " in text


def test_memories_hold_the_buffers() -> None:
    config = named()["tiny"].config
    bits = {m.name: m.copies * m.rows * m.bits for m in memories(config) if m.name != "dsp core"}
    spaces = (config.act, config.acc, config.weight, config.parameter, config.plane_weight)
    assert bits == {s.name: 8 * s.bytes for s in spaces} | {
        "plane_act": config.lut_units * config.plane_words * config.lut_width
    }
    assert set(block_rams(SystemConfig(dsp=False), "xilinx")) == {"act", "parameter", "total"}


def test_a_block_takes_the_shape_that_needs_least() -> None:
    block = BlockRam("X", {512: 36, 1024: 18})
    assert (block.parts(512, 36), block.parts(513, 36), block.parts(1024, 19), block.parts(64, 1)) == (
        1,
        2,
        2,
        1,
    )


BAD = {
    "no TOML": ("lanes = =", r"is not TOML: .*line 1"),
    "unknown key": (
        "[parameter]",
        r"there is no key 'parameter'; a configuration has summary, status, parameters",
    ),
    "missing key": (GOOD.partition("\n")[2], r"the key 'summary' is missing"),
    "status": (
        GOOD.replace("experimental", "fine"),
        r"status must be one of supported, experimental, not 'fine'",
    ),
    "summary": (GOOD.replace('"mine"', "3"), r"summary must be one line of text, not 3"),
    "parameters": ('summary = "a"\nstatus = "supported"\nparameters = 4\n', r"parameters must be a table"),
    "unknown parameter": (
        GOOD + "line = 3\n",
        r"an accelerator has no parameter 'line'; it has target, lanes",
    ),
    "value": (GOOD.replace("4", "5"), r"lanes must be a power of two, not 5"),
    "kind": (GOOD.replace("4", '"4"'), r"lanes must be an integer in 4\.\.64, not '4'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, case: str) -> None:
    text, sentence = BAD[case]
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert re.match(rf"{re.escape(str(path))}:? .*{sentence}", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"cannot be read \(No such file or directory\); name a configuration in TOML"
    ):
        load(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is not text in UTF-8"):
        load(tmp_path / "bytes.toml")
    (tmp_path / "good.toml").write_text(GOOD)
    assert load(tmp_path / "good.toml").config == SystemConfig(lanes=4)
