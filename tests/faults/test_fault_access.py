# amaranth: UnusedElaboratable=no
"""The fault controller over AXI4-Lite: triggers, windows and registers, cycle by cycle, on a hooked design."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.faults.access import FaultAccess, wrapped
from hwgen.faults.access_registers import FOREVER, ID, REGISTERS, c_header, markdown, offset
from hwgen.faults.hooks import Hooked, hooked
from tests.faults.hook_bench import Bench

DESIGN = """
module device(input clk, input rst, input [3:0] given, output reg [7:0] count, output reg [3:0] kept,
              output [5:0] read);
  reg [5:0] memory [7:0];
  initial begin
    memory[0] = 0; memory[1] = 1; memory[2] = 2; memory[3] = 3;
    memory[4] = 4; memory[5] = 5; memory[6] = 6; memory[7] = 7;
  end
  assign read = memory[count[2:0]];
  always @(posedge clk) begin
    if (rst) count <= 0; else count <= count + 1;
    kept <= given;
  end
endmodule
"""
BUS = {
    "awaddr": 8, "awprot": 3, "awvalid": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "bready": 1, "araddr": 8,
    "arprot": 3, "arvalid": 1, "rready": 1,
}  # fmt: skip
ANSWERS = {
    "awready": 1,
    "wready": 1,
    "bresp": 2,
    "bvalid": 1,
    "arready": 1,
    "rdata": 32,
    "rresp": 2,
    "rvalid": 1,
}
SPACING = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hooked:
    path = tmp_path_factory.mktemp("device") / "device.v"
    path.write_text(DESIGN)
    return hooked([path], "device")


@pytest.fixture(scope="module")
def bench(made: Hooked, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    path = tmp_path_factory.mktemp("lab") / "lab.v"
    path.write_text(wrapped(made, watch=["kept", "given"]))
    bus = {f"s_axi_fault_{n}": w for n, w in BUS.items()}
    answers = {f"s_axi_fault_{n}": w for n, w in ANSWERS.items()}
    inputs = {"rst": 1, "given": 4, "fault_rst": 1, "fault_arm": 1, **bus}
    return Bench([path], "device_fault_lab", inputs, {"count": 8, "kept": 4, "read": 6, **answers})


class Software:
    """Transfers, one after the other: what the bus is given, and where the answers are."""

    def __init__(self) -> None:
        self.columns: dict[str, dict[int, int]] = {}
        self.at = 1
        self.reads: list[tuple[int, int]] = []

    def set(self, name: str, cycle: int, value: int) -> None:
        self.columns.setdefault(name, {})[cycle] = value

    def write(self, name: str, value: int, strobes: int = 15, address: int | None = None) -> None:
        for port, number in (
            ("awaddr", offset(name) if address is None else address), ("awvalid", 1), ("wdata", value),
            ("wstrb", strobes), ("wvalid", 1),
        ):  # fmt: skip
            self.set(f"s_axi_fault_{port}", self.at, number)
        self.at += SPACING

    def read(self, name: str, address: int | None = None) -> None:
        self.set("s_axi_fault_araddr", self.at, offset(name) if address is None else address)
        self.set("s_axi_fault_arvalid", self.at, 1)
        self.reads.append((self.at, self.at + SPACING))
        self.at += SPACING

    def run(
        self, bench: Bench, folder: Path, cycles: int, given: Any = 0
    ) -> tuple[dict[str, Any], list[int], list[int]]:
        """Outputs, what was read, and the answers to writes."""
        columns: dict[str, Any] = {"s_axi_fault_bready": 1, "s_axi_fault_rready": 1, "given": given}
        for name, values in self.columns.items():
            columns[name] = np.array([[values.get(i, 0) for i in range(cycles)]], object)
        seen = bench.run(columns, folder)
        valid, data = seen["s_axi_fault_rvalid"][0], seen["s_axi_fault_rdata"][0]
        found = []
        for low, high in self.reads:
            (at,) = [i for i in range(low, high) if valid[i]]
            found.append(int(data[at]) if not seen["s_axi_fault_rresp"][0][at] else -1)
        answered = [
            int(seen["s_axi_fault_bresp"][0][i]) for i in range(cycles) if seen["s_axi_fault_bvalid"][0][i]
        ]
        return seen, found, answered


def place(made: Hooked, name: str) -> tuple[int, int]:
    """Word and first bit of a register or memory."""
    (element,) = made.map.table.find(name)
    word, _, bit = made.locate([element.first])
    return int(word[0]), int(bit[0])


def test_registers_hold_what_is_written_byte_by_byte(made: Hooked, bench: Bench, tmp_path: Path) -> None:
    software = Software()
    software.write("CLEAR", 0x12345678)
    software.write("CLEAR", 0xAABBCCDD, strobes=5)
    software.write("START_HIGH", 7)
    software.write("ID", 0)
    software.write("ID", 0, address=0xF0)
    for name in ("CLEAR", "START_HIGH", "ID", "DIGEST_LOW", "DIGEST_HIGH", "SHAPE", "STATUS"):
        software.read(name)
    software.read("", address=0xF0)
    _, found, answers = software.run(bench, tmp_path, software.at + 4)
    digest = int(made.digest, 16)
    shape = made.address_bits | made.row_bits << 8 | 8 << 16
    assert found == [0x12BB56DD, 7, ID, digest & 0xFFFFFFFF, digest >> 32, shape, 0, -1]
    assert answers == [0, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("start", "duration", "period", "active", "wrong"),
    [
        (0, 1, 0, 0, [0]),
        (1, 0, 0, 0, [1]),
        (5, 3, 0, 0, [5, 6, 7]),
        (2, 9, 4, 2, [2, 3, 6, 7, 10]),
        (3, FOREVER, 5, 1, [3, 8, 13, 18]),
        (4, 2, 1, 1, [4, 5]),
        (100, 1, 0, 0, []),
    ],
)
def test_cycles_after_reset(
    made: Hooked,
    bench: Bench,
    tmp_path: Path,
    start: int,
    duration: int,
    period: int,
    active: int,
    wrong: list[int],
) -> None:
    software = Software()
    word, bit = place(made, "kept")
    settings = {
        "WORD": word, "FLIP": 5 << bit, "START_LOW": start, "DURATION": duration, "PERIOD": period, "ACTIVE": active,
    }  # fmt: skip
    for name, value in settings.items():
        software.write(name, value)
    software.write("CONTROL", 1)
    first = software.at + 5
    for cycle in range(software.at + 2, first):
        software.set("rst", cycle, 1)
    software.at = first + 20
    for name in ("STATUS", "FIRED_LOW", "STROBES"):
        software.read(name)
    seen, found, _ = software.run(bench, tmp_path, software.at + 2, given=9)
    kept = seen["kept"][0]
    assert [c for c in range(20) if kept[first + c + 1] != 9] == wrong
    assert all(kept[first + c + 1] == 9 ^ 5 for c in wrong)
    assert all(kept[2:first] == 9)
    assert found[0] & 5 == (5 if wrong else 1)
    assert found[1] == (wrong[0] if wrong else 0)
    assert found[2] >= len(wrong)


def test_the_nth_match_triggers_and_the_fault_begins_after_it(
    made: Hooked, bench: Bench, tmp_path: Path
) -> None:
    software = Software()
    word, bit = place(made, "count")
    # kept is watched in bits 3:0, given in 7:4; only given counts here.
    settings = {
        "WORD": word,
        "CLEAR": 0xFF << bit,
        "MODE": 2,
        "VALUE": 0xA0,
        "MASK": 0xF0,
        "COUNT": 3,
        "DURATION": 1,
    }
    for name, value in settings.items():
        software.write(name, value)
    software.write("CONTROL", 1)
    cycles = software.at + 30
    given = np.zeros((1, cycles), object)
    matches = [software.at + i for i in (3, 4, 9, 15)]
    given[0, matches] = 0xA
    seen, _, _ = software.run(bench, tmp_path, cycles, given)
    count = seen["count"][0]
    jumps = [c for c in range(1, cycles) if count[c] != (count[c - 1] + 1) % 256]
    assert jumps == [matches[2] + 2]
    assert count[jumps[0]] == 0


def test_rows_and_columns_of_a_memory_until_disarmed(made: Hooked, bench: Bench, tmp_path: Path) -> None:
    word, bit = place(made, "memory")
    for mode in (0, 1):
        software = Software()
        settings = {"WORD": word, "ROW": 6, "FLIP": 0x20 << bit, "MODE": mode, "DURATION": 1, "START_LOW": 4}
        for name, value in settings.items():
            software.write(name, value)
        software.write("CONTROL", 1)
        armed = software.at + 2
        software.set("fault_arm", armed, 1)
        software.at += 30
        software.write("CONTROL", 2)
        end = software.at
        seen, _, _ = software.run(bench, tmp_path, end + 20)
        read, count = seen["read"][0], seen["count"][0]
        wrong = [c for c in range(end + 20) if read[c] != count[c] % 8]
        if mode:
            assert wrong == [armed + 5]
        else:
            assert wrong == [c for c in range(armed + 6, end - SPACING + 3) if count[c] % 8 == 6]
        assert all(read[c] == count[c] % 8 ^ 0x20 for c in wrong)


def test_a_reset_of_the_design_starts_the_cycles_anew(made: Hooked, bench: Bench, tmp_path: Path) -> None:
    software = Software()
    word, bit = place(made, "kept")
    for name, value in {"WORD": word, "FLIP": 1 << bit, "START_LOW": 2, "DURATION": 2}.items():
        software.write(name, value)
    software.write("CONTROL", 1)
    starts = [software.at + 3, software.at + 7, software.at + 20]
    for start in starts:
        software.set("rst", start - 1, 1)
    seen, _, _ = software.run(bench, tmp_path, software.at + 30, given=0)
    wrong = [c for c in range(software.at + 30) if seen["kept"][0][c]]
    assert wrong == [starts[0] + 3, starts[1] + 3, starts[1] + 4, starts[2] + 3, starts[2] + 4]


def test_what_cannot_be_wrapped(made: Hooked, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no port nothing to watch"):
        wrapped(made, watch=["nothing"])
    with pytest.raises(BadInput, match="at most 32"):
        wrapped(made, watch=["count"] * 5)
    with pytest.raises(BadInput, match="watch_bits"):
        FaultAccess(1, 1, 0, 33)
    path = tmp_path / "other.v"
    path.write_text("module other(input clock, output reg q); always @(posedge clock) q <= ~q; endmodule\n")
    with pytest.raises(BadInput, match="no input clk"):
        wrapped(hooked([path], "other"))


def test_header_and_page_have_every_register() -> None:
    header, page = c_header(), markdown()
    for r in REGISTERS:
        assert f"HWGEN_FAULT_REG_{r.name} 0x{r.offset:02X}u" in header
        assert f"`{r.name}`" in page
        masks = [f.mask for f in r.fields]
        assert sum(masks) == np.bitwise_or.reduce(masks or [0])
    offsets = [r.offset for r in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert re.search(r"#endif\s*$", header)
