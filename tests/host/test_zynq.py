"""The overlay for Zynq boards: its Tcl, its wrapper, and its driver on fakes with the Verilog behind them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hwgen import toolchain
from hwgen.commands.executors import harness
from hwgen.commands.jobs import NetworkJob, network_job, numbers
from hwgen.commands.run import run
from hwgen.emit import Emission
from hwgen.errors import BadInput, Misbehaviour, MissingTool
from hwgen.files import write_all
from hwgen.host.device import Device
from hwgen.host.overlay import overlay_files
from hwgen.host.pynq import PynqTransport, open_overlay, overlay_config, read_overlay
from hwgen.host.transport import LinkError
from hwgen.host.zynq import CELL, IP, address_map, board, zynq_boards
from hwgen.program.encoding import instr
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig
from hwgen.system.configs import named
from hwgen.system.registers import ID, REGISTERS, register, version_word
from hwgen.verify.system_harness import SystemRun, emission
from hwgen.version import VERSION

TINY = named()["tiny"].config
WORKLOAD = "gemm:20x24x12"


@pytest.fixture(autouse=True, scope="module")
def one_emission() -> Iterator[None]:
    """The same Verilog is not made for every board anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwgen.host.overlay.emission", made_once)
        yield


@cache
def made_once(config: SystemConfig) -> Emission:
    return emission(config)


class Shell:
    """Tcl whose unknown commands are recorded; those of Vivado that ask for something give its name."""

    def __init__(self, folder: Path, absent: str = ""):
        self.calls: list[list[str]] = []
        self.absent = absent
        tkinter = pytest.importorskip("tkinter")  # Python's own Tcl, where it was built with one
        self.tcl = tkinter.Tcl()
        self.error = tkinter.TclError
        self.tcl.createcommand("recorded", self._record)
        self.tcl.eval("proc unknown args { return [recorded {*}$args] }")
        self.tcl.eval("proc puts args { recorded puts {*}$args }")
        self.tcl.eval("set ::env(HWGEN_NO_BUILD) 1")
        self.script = folder / "design.tcl"

    def _record(self, *call: str) -> str:
        self.calls.append(list(call))
        name = call[0]
        if name == "get_ipdefs":
            found = re.search(r"NAME == (\w+)", " ".join(call))
            assert found is not None
            return "" if found[1] == self.absent else f"xilinx.com:ip:{found[1]}:1.0"
        if name in ("get_bd_pins", "get_bd_intf_pins", "get_bd_addr_segs", "get_bd_addr_spaces"):
            return "" if self.absent and self.absent in " ".join(call) else call[-1]
        if name == "create_bd_cell":
            return call[-1]
        return "" if name == "get_board_parts" and self.absent == "board" else name

    def run(self) -> list[list[str]]:
        self.tcl.eval(f"source {{{self.script}}}")
        return self.calls

    def named(self, name: str) -> list[list[str]]:
        return [call[1:] for call in self.calls if call[0] == name]


def written(
    folder: Path, name: str = "pynq_z2", config: SystemConfig = TINY, mhz: float = 100
) -> dict[str, str]:
    files = overlay_files(config, board(name), mhz)
    write_all(folder, files)
    return files


@pytest.mark.parametrize("name", zynq_boards())
def test_the_block_design_joins_everything(name: str, tmp_path: Path) -> None:
    files = written(tmp_path, name)
    shell = Shell(tmp_path)
    shell.run()
    family = board(name).family
    made = made_once(TINY)
    for port in made.ports[2:]:
        assert f"    {port.name} {port.width} \\" in files["design.tcl"]
    assert not shell.named("puts")
    assert shell.named("create_project")[0][-2:] == [board(name).part, "-force"]
    added = [path for call in shell.named("add_files") for path in call[-1].split()]
    assert [Path(one).name for one in added] == ["accelerator.v", f"{IP}.v", f"{name}.xdc"]
    assert all(Path(one).is_file() for one in added)
    cells = [call[-2:] for call in shell.named("create_bd_cell")]
    assert [IP, CELL] in cells
    assert {call[0].split(":")[2] for call in cells if ":" in call[0]} == {
        family.processor, "proc_sys_reset", "smartconnect"
    }  # fmt: skip

    interfaces = {tuple(call) for call in shell.named("connect_bd_intf_net")}
    assert interfaces == {
        (f"ps/{family.control}", "control_0/S00_AXI"),
        ("control_0/M00_AXI", f"{CELL}/s_axi"),
        (f"{CELL}/m_axi", "memory_0/S00_AXI"),
        ("memory_0/M00_AXI", f"ps/{family.data}"),
    }
    nets = [set(call) for call in shell.named("connect_bd_net")]
    pins = [pin for net in nets for pin in net]
    assert len(pins) == len(set(pins))  # no pin has two drivers
    assert {f"{CELL}/irq", f"ps/{family.interrupt}"} in nets
    clock = next(net for net in nets if f"ps/{family.clock}" in net)
    assert {f"{CELL}/aclk", "control_0/aclk", "memory_0/aclk"} <= clock
    reset = next(net for net in nets if f"{CELL}/aresetn" in net)
    assert "reset_0/peripheral_aresetn" in reset

    facts = json.loads(files["overlay.json"])
    control, data = shell.named("assign_bd_address")
    assert int(control[control.index("-offset") + 1], 16) == facts["control"]["base"] == family.base
    assert int(control[control.index("-range") + 1], 16) == facts["control"]["bytes"] == 4096
    assert data[-1] == f"ps/{family.segment}"
    settings = next(call[1] for call in shell.named("set_property") if "DATA_WIDTH" in call[1])
    pairs = dict(zip(*[iter(shell.tcl.splitlist(settings))] * 2, strict=True))
    assert "64" in [value for key, value in pairs.items() if "DATA_WIDTH" in key]
    assert "100" in [value for key, value in pairs.items() if key.endswith("FREQMHZ")]
    assert not shell.named("launch_runs")


def test_the_script_says_what_is_missing(tmp_path: Path) -> None:
    written(tmp_path)
    shell = Shell(tmp_path, absent="smartconnect")
    with pytest.raises(shell.error, match="this Vivado has no block smartconnect"):
        shell.run()
    shell = Shell(tmp_path, absent="m_axi_wstrb")
    shell.run()
    assert "no pin m_axi_wstrb of 8 bits" in shell.named("puts")[0][0]
    shell = Shell(tmp_path, absent="board")
    with pytest.raises(shell.error, match=r"files of pynq_z2 \(tul.com.tw:pynq-z2:\*\) are not installed"):
        shell.run()


WIDE = {"bus_bytes": 32, "address_bits": 40}


@pytest.mark.parametrize("changes", [{}, pytest.param(WIDE, marks=pytest.mark.slow)], ids=str)
def test_the_wrapper_is_verilog_with_the_right_widths(changes: dict[str, int], tmp_path: Path) -> None:
    config = SystemConfig(**{**TINY.to_dict(), **changes})
    files = written(tmp_path, "zcu104", config, 150.5)
    text = files[f"rtl/{IP}.v"]
    data = 8 * config.bus_bytes
    assert f"DATA_WIDTH {data}, ADDR_WIDTH {config.address_bits}" in text
    assert f"PSU__SAXIGP2__DATA_WIDTH {{{min(data, 128)}}}" in files["design.tcl"]
    assert "FREQMHZ {150.5}" in files["design.tcl"]
    made = made_once(config)
    for port in made.ports[2:]:
        assert text.count(f".{port.name}({port.name})") == 1
        bus = port.name[:5]
        if bus in ("s_axi", "m_axi"):
            assert f'aximm:1.0 {bus} {port.name[6:].upper()}" *)' in text
    # A tool that reads Verilog finds every port of the accelerator, with its width.
    sources = "".join(f"read_verilog {path}\n" for path in sorted((tmp_path / "rtl").iterdir()))
    log = toolchain.yosys(f"{sources}hierarchy -check -top {IP}\nproc\ncheck -assert\n")
    assert "Resizing cell port" not in log


def test_bad_boards_and_clocks_are_refused() -> None:
    with pytest.raises(BadInput, match=r"board must be one of pynq_z2, ultra96v2, .* not 'arty'"):
        board("arty")
    with pytest.raises(BadInput, match=r"the clock must lie in 1\.\.500 MHz, not 0\.5"):
        address_map(TINY, board("zc706"), 0.5)


class Buffer(np.ndarray[Any, Any]):
    """What pynq.allocate gives, with the caches that a test can look at: nothing is seen before a flush."""

    physical_address: int
    memory: npt.NDArray[np.uint8]

    @classmethod
    def at(cls, address: int, size: int) -> Buffer:
        made = np.zeros(size, np.uint8).view(cls)
        made.physical_address = address
        made.memory = np.zeros(address + size, np.uint8)
        return made

    def flush(self) -> None:
        self.memory[self.physical_address :] = self

    def invalidate(self) -> None:
        self[:] = self.memory[self.physical_address :]

    def freebuffer(self) -> None:
        self.physical_address = -1


class Registers:
    """What pynq.MMIO gives: an order to start runs the Verilog on the buffer's memory, at once and whole."""

    def __init__(self, config: SystemConfig, buffer: Buffer):
        self.config, self.buffer = config, buffer
        self.values = {r.offset: 0 for r in REGISTERS}
        digest = int(config.digest, 16)
        known = {"ID": ID, "VERSION": version_word(VERSION), "DIGEST_LOW": digest & 0xFFFFFFFF}
        self.set(known | {"DIGEST_HIGH": digest >> 32})
        self.limit = 10_000_000
        self.last: SystemRun | None = None

    def set(self, values: dict[str, int]) -> None:
        self.values |= {register(name).offset: value for name, value in values.items()}

    def read(self, offset: int) -> int:
        return self.values[offset]

    def write(self, offset: int, value: int) -> None:
        name = next(r.name for r in REGISTERS if r.offset == offset)
        if name == "IRQ_STATUS":
            self.values[offset] &= ~value
        elif name == "CONTROL" and value & 1:
            self.start()
        else:
            self.values[offset] = value

    def start(self) -> None:
        read = {
            name: self.values[register(name).offset]
            for name in ("PROGRAM_LOW", "PROGRAM_HIGH", "PROGRAM_COUNT")
        }
        where = read["PROGRAM_HIGH"] << 32 | read["PROGRAM_LOW"]
        self.last = harness(self.config).run(
            self.buffer.memory, where, read["PROGRAM_COUNT"], limit=self.limit
        )
        self.buffer.memory = self.last.memory.copy()
        self.set({name: value for name, value in self.last.registers.items() if name not in read})


class Pynq(SimpleNamespace):
    """The package, as far as it is used."""

    def __init__(self, config: SystemConfig, address: int):
        self.loaded: list[str] = []
        self.buffers: list[Buffer] = []
        self.address, self.config = address, config
        super().__init__()

    def Overlay(self, path: str) -> object:  # noqa: N802
        self.loaded.append(path)
        return object()

    def MMIO(self, base: int, size: int) -> Any:  # noqa: N802
        self.window = (base, size)
        return SimpleNamespace(
            read=lambda at: self.registers.read(at), write=lambda at, v: self.registers.write(at, v)
        )

    def allocate(self, shape: tuple[int], dtype: str) -> Buffer:
        assert dtype == "u1"
        made = Buffer.at(self.address, *shape)
        self.buffers.append(made)
        self.registers = Registers(self.config, made)
        return made


@pytest.fixture(scope="module")
def job() -> NetworkJob:
    return network_job(TINY, numbers(TINY, WORKLOAD, seed=5), lut_share=None, images=1)


def test_the_driver_runs_a_gemm_far_from_address_zero(tmp_path: Path, job: NetworkJob) -> None:
    written(tmp_path)
    for name in ("accelerator.bit", "accelerator.hwh"):
        (tmp_path / name).write_text("made by Vivado")
    pynq = Pynq(TINY, 0x3000)
    device = open_overlay(tmp_path, 1 << 15, pynq)
    assert pynq.loaded == [str(tmp_path / "accelerator.bit")]
    assert pynq.window == (0x4000_0000, 4096)
    (memory,) = next(job.batches())
    found, after = device.run(memory, job.program, job.address)
    golden = run(TINY, WORKLOAD, "golden", seed=5).outputs
    assert golden is not None
    results = job.results(after)
    for name, values in golden.items():
        np.testing.assert_array_equal(results[name].reshape(values[0].shape), values[0])
    last = pynq.registers.last
    assert last is not None
    assert found.cycles == last.cycles
    assert found.counters["dsp"]["run"] == last.registers["DSP_RUN"] > 0
    assert not last.memory[:0x3000].any()  # nothing was written before the buffer

    far = Program((instr("load.run", address=1 << 15, buffer="act", run_bytes=8), instr("control.halt")))
    image = far.body + bytes(4096 - len(far.body))
    with pytest.raises(Misbehaviour, match="no memory at this address"):
        device.run(image, far, 0)
    device.reset()
    with pytest.raises(LinkError, match="do not lie in the buffer"):
        device.transport.read((1 << 15) - 4, 8)
    device.close()
    assert pynq.buffers[0].physical_address == -1


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"overlay.json cannot be read .* name a folder of hwgen host zynq"):
        open_overlay(tmp_path)
    files = written(tmp_path)
    assert overlay_config(read_overlay(tmp_path)) == TINY
    with pytest.raises(
        BadInput, match=r"accelerator.bit is missing: hwgen does not include bitstreams; build it with"
    ):
        open_overlay(tmp_path)
    for name in ("accelerator.bit", "accelerator.hwh"):
        (tmp_path / name).touch()
    monkeypatch.setitem(__import__("sys").modules, "pynq", None)
    with pytest.raises(MissingTool, match="needs the package pynq"):
        open_overlay(tmp_path)
    # A device that is not there gives the buffer back.
    pynq = Pynq(TINY, 0x3000)
    other = Pynq(SystemConfig(), 0x3000)
    with pytest.raises(BadInput, match="the device has configuration"):
        open_overlay(tmp_path, 1 << 15, other)
    assert other.buffers[0].physical_address == -1
    (tmp_path / "overlay.json").write_text("{}")
    with pytest.raises(BadInput, match="is no overlay of this hwgen"):
        open_overlay(tmp_path, 1 << 15, pynq)
    found = json.loads(files["overlay.json"])
    with pytest.raises(BadInput, match="give digest"):
        overlay_config(found | {"digest": "0" * 16})
    assert "not included" in files["README.md"]


def test_buffers_that_lie_wrong_are_refused() -> None:
    registers = Registers(TINY, Buffer.at(0x3000, 64))
    with pytest.raises(BadInput, match="multiple of 4096, not at 0x3004"):
        PynqTransport(registers, Buffer.at(0x3004, 64))
    wide = np.zeros(4, np.uint32).view(Buffer)
    wide.physical_address = 0
    with pytest.raises(BadInput, match=r"one row of uint8, not uint32 of shape \(4,\)"):
        PynqTransport(registers, wide)


def test_reset_stops_and_tells_if_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    registers = Registers(TINY, Buffer.at(0x3000, 4096))
    device = Device(PynqTransport(registers, registers.buffer), TINY)
    registers.set({"STATUS": 1})
    monkeypatch.setattr("hwgen.host.pynq._STOP_SECONDS", 0.01)
    with pytest.raises(LinkError, match="does not stop; load the bitstream again"):
        device.reset()
