"""The accelerator in a LiteX SoC, if LiteX is installed; and the driver over a bus of words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen.commands.jobs import network_job, numbers
from hwgen.commands.run import run
from hwgen.errors import BadInput
from hwgen.host.device import Device
from hwgen.host.remote import RemoteTransport
from hwgen.host.transport import LinkError

from .test_zynq import TINY, Buffer, Registers

# Migen looks at byte code and warns a lot: it is given a process of its own.
BUILD = """
import sys
from migen import ClockDomain, Signal
from litex.build.generic_platform import GenericPlatform, Pins
from litex.build.xilinx import XilinxPlatform
from litex.gen import LiteXModule
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from hwgen.host.litex import add_accelerator
from hwgen.system.configs import named

folder = sys.argv[1]
io = [("clk", 0, Pins("A1")), ("rst", 0, Pins("A2")), ("serial", 0, *[])]
platform = XilinxPlatform("xc7z020clg400-1", io[:2], toolchain="vivado")


class Clocks(LiteXModule):
    def __init__(self):
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(platform.request("clk")), self.cd_sys.rst.eq(platform.request("rst"))]


class Soc(SoCCore):
    def __init__(self):
        self.crg = Clocks()
        SoCCore.__init__(
            self, platform, 100e6, cpu_type=None, with_uart=False, with_timer=False, ident="",
            integrated_main_ram_size=0x10000,
        )
        add_accelerator(self, named()["tiny"].config, folder + "/accelerator", origin=0x30000000)


soc = Soc()
builder = Builder(soc, output_dir=folder, compile_software=False, compile_gateware=False, csr_json=folder + "/csr.json")
builder.build(build_name="soc", run=False)
"""


def test_a_soc_with_it_elaborates(tmp_path: Path) -> None:
    pytest.importorskip("litex", reason="LiteX is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / "gateware" / "soc.v").read_text()
    assert text.count("wishbone_accelerator wishbone_accelerator") == 1
    assert "accelerator" in (tmp_path / "csr.json").read_text()
    from hwgen import toolchain

    verilog = tmp_path / "accelerator" / "wishbone_accelerator.v"
    log = toolchain.yosys(
        f"read_verilog {verilog}\nread_verilog {tmp_path}/gateware/soc.v\nhierarchy -check -top soc\n"
    )
    assert "Resizing cell port" not in log


class Words:
    """A bus of words with registers and memory on it, the Verilog behind them."""

    CONTROL, MEMORY, SIZE = 0x3000_0000, 0x4000, 1 << 15

    def __init__(self) -> None:
        self.buffer = Buffer.at(self.MEMORY, self.SIZE)
        self.registers = Registers(TINY, self.buffer)

    def read(self, addr: int, length: int | None = None) -> Any:
        if addr >= self.CONTROL:
            return self.registers.read(addr - self.CONTROL)
        assert length is not None
        return self.buffer.memory[addr : addr + 4 * length].view(np.uint32).tolist()

    def write(self, addr: int, datas: Any) -> None:
        if addr >= self.CONTROL:
            self.registers.write(addr - self.CONTROL, datas)
        else:
            data = np.array(datas, np.uint32).view(np.uint8)
            self.buffer.memory[addr : addr + len(data)] = data


def test_a_program_over_a_bus_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Words()
    device = Device(RemoteTransport(bus, bus.CONTROL, bus.MEMORY, bus.SIZE), TINY)
    job = network_job(TINY, numbers(TINY, "gemm:20x24x12", seed=6), lut_share=None, images=1)
    (memory,) = next(job.batches())
    _, after = device.run(memory, job.program, job.address)
    golden = run(TINY, "gemm:20x24x12", "golden", seed=6).outputs
    assert golden is not None
    results = job.results(after)
    assert all(
        np.array_equal(results[name].reshape(-1), values.reshape(-1)) for name, values in golden.items()
    )
    device.reset()
    bus.registers.set({"STATUS": 1})
    monkeypatch.setattr("hwgen.host.remote._STOP_SECONDS", 0.01)
    with pytest.raises(LinkError, match="reset the SoC"):
        device.reset()
    device.close()
    with pytest.raises(BadInput, match="multiple of 4096 and have as many bytes, not 4096 at 0x64"):
        RemoteTransport(bus, 0, 100, 4096)
