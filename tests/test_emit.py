# amaranth: UnusedElaboratable=no
"""The Verilog that leaves the house: the same bytes every time, plain names, lint-clean, ports with signs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen import toolchain
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.emit import Emission, Port, Unit, emit, place
from hwgen.errors import HwgenError
from hwgen.numerics import IntFormat
from hwgen.parts.chain.chain import Chain
from hwgen.parts.packing import packing
from hwgen.verify.block import emission
from hwgen.version import VERSION

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "1x1 generic": {"rows": 1, "cols": 1},
    "1x1 dsp": {"rows": 1, "cols": 1, "target": "ultrascale+"},
    "1x1 narrowest": {"rows": 1, "cols": 1, "act_bits": 2, "weight_bits": 2, "tile_steps": 4, "size_bits": 4},
    "2x2 int4x4": {"rows": 2, "cols": 2, "act_bits": 4, "weight_bits": 4, "target": "ultrascale+"},
    "fewest sizes": {"rows": 14, "cols": 14, "tile_steps": 4096, "size_bits": 4},
    "fewest sizes dsp": {"rows": 30, "cols": 9, "tile_steps": 16, "size_bits": 5, "target": "ultrascale+"},
    "uneven": {"rows": 35, "cols": 5, "act_signed": False, "target": "ultrascale+"},
    "large generic": {"rows": 32, "cols": 32},
    "large dsp": {"rows": 32, "cols": 32, "target": "ultrascale+"},
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def written(request: pytest.FixtureRequest) -> tuple[DspGemmConfig, Emission]:
    config = DspGemmConfig(**CONFIGURATIONS[request.param])
    return config, emission(CORE, config)


def test_the_text_is_for_people(written: tuple[DspGemmConfig, Emission]) -> None:
    config, verilog = written
    text = verilog.verilog
    names = re.findall(r"^module (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(verilog.modules)
    assert len(set(names)) == len(names) <= 12
    assert all(name == "dsp_gemm" or name.startswith("dsp_gemm_") for name in names)
    assert "\\" not in text
    assert "[-1:0]" not in text
    assert not re.search(r"(?<![\w*])/\w+/", text), "an absolute path"
    assert not re.search(r"\(\* *(src|generator|top|init)\b", text)
    assert text.startswith(f"// hwgen: {VERSION}\n// configuration: {config}\n// digest: {config.digest}\n")
    assert len(text) <= 300_000


def test_the_ports_are_those_of_the_streams(written: tuple[DspGemmConfig, Emission]) -> None:
    config, verilog = written
    ports = {port.name: port for port in verilog.ports}
    expected = {"clk": ("input", 1), "rst": ("input", 1)}
    for s in config.streams:
        to, back = ("input", "output") if s.direction == "in" else ("output", "input")
        expected |= {f"{s.prefix}_tdata": (to, 8 * s.bytes), f"{s.prefix}_tvalid": (to, 1)}
        expected |= {f"{s.prefix}_tready": (back, 1)} | ({f"{s.prefix}_tlast": (to, 1)} if s.last else {})
    assert {name: (port.direction, port.width) for name, port in ports.items()} == expected
    top = re.search(r"^module dsp_gemm\((.*?)\);(.*?)^endmodule", verilog.verilog, re.MULTILINE | re.DOTALL)
    assert top is not None
    assert re.findall(r"\w+", top[1]) == [port.name for port in verilog.ports]
    for name, (direction, width) in expected.items():
        size = rf"\[{width - 1}:0\] " if width > 1 else ""
        assert re.search(rf"^  {direction} {size}{name};$", top[2], re.MULTILINE), name


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if "large" not in name])
def test_verilator_has_no_complaint(name: str, tmp_path: Path) -> None:
    config = DspGemmConfig(**CONFIGURATIONS[name])
    path = tmp_path / "dsp_gemm.v"
    path.write_text(emission(CORE, config).verilog)
    tool = toolchain.verilator()
    files = [toolchain.waivers(), path, *CORE.simulation_sources(config)]
    told = subprocess.run(
        [tool.executable, "--lint-only", "--quiet", "--top-module", "dsp_gemm", *files],
        env=tool.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


PROGRAM = """
import sys
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.verify.block import emission
for target in ("generic", "ultrascale+"):
    config = DspGemmConfig(rows=9, cols=6, act_bits=4, weight_bits=4, target=target)
    sys.stdout.write(emission(CORE, config).verilog)
"""


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    texts = set()
    for seed in ("1", "2"):
        folder = tmp_path / f"folder {seed}"
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=folder, capture_output=True, check=True
        )
        texts.add(told.stdout)
    here = "".join(
        emission(CORE, DspGemmConfig(rows=9, cols=6, act_bits=4, weight_bits=4, target=target)).verilog
        for target in ("generic", "ultrascale+")
    )
    assert texts == {here.encode()}


def test_ports_carry_their_signs() -> None:
    p = packing("int8x2", "ultrascale+", IntFormat(8, True), IntFormat(8, False))
    written = emit(Chain(p, 2, terms=2, primitive=True, first=True), "chain", {})
    ports = {port.name: port for port in written.ports}
    assert ports["p"] == Port("p", "output", 48, True)
    assert ports["w_in"] == Port("w_in", "input", 30, True)
    assert ports["a"] == Port("a", "input", 16, False)
    assert ports["canary"] == Port("canary", "output", 2, False)


def test_another_top_renames_all_modules() -> None:
    config = DspGemmConfig(rows=2, cols=2)
    ours, theirs = emission(CORE, config), emission(CORE, config, top="mine")
    assert theirs.top == "mine"
    assert theirs.modules == tuple(name.replace("dsp_gemm", "mine", 1) for name in ours.modules)
    assert theirs.repeated == ("mine_column_1",)


class _Leaf(wiring.Component):
    """Inverts."""

    kind = "leaf"

    def __init__(self) -> None:
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class _Pair(_Leaf):
    """Two leaves in a row."""

    kind = "pair"

    def __init__(self, second: str):
        self.second = second
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        one, other = _Leaf(), _Leaf()
        place(m, "one", one, platform)
        place(m, self.second, other, platform)
        m.d.comb += [one.i.eq(self.i), other.i.eq(one.o), self.o.eq(other.o)]
        return m


def test_a_kind_is_written_once() -> None:
    written = emit(_Pair("other"), "pair", {"fact": "value"})
    assert sorted(written.modules) == ["pair", "pair_leaf"]
    assert written.repeated == ("pair_leaf",)
    assert written.verilog.startswith("// fact: value\n")


def test_a_name_that_is_no_identifier_is_refused() -> None:
    with pytest.raises(
        HwgenError, match=r"^the Verilog of pair has the name '.*', which is no plain identifier$"
    ):
        emit(_Pair("the-other"), "pair", {})


def test_a_kind_is_one_thing() -> None:
    class Part(Unit):
        kind = "part"

        def __init__(self, bits: int):
            super().__init__({"i": In(bits), "o": Out(bits)})

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            m.d.comb += self.o.eq(self.i)
            return m

    class Whole(Part):
        kind = "whole"

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            for bits in (2, 3):
                place(m, f"part_{bits}", Part(bits), platform)
            return m

    with pytest.raises(HwgenError, match=r"^two components of kind top_part have different ports; "):
        emit(Whole(4), "top", {})


class _Count(Unit):
    """Counts cycles."""

    def __init__(self) -> None:
        super().__init__({"value": Out(4)})

    @property
    def kind(self) -> str:
        return "count"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.sync += self.value.eq(self.value + 1)
        return m


class _Restarted(Unit):
    """A counter that a signal resets."""

    def __init__(self) -> None:
        super().__init__({"again": In(1), "value": Out(4)})

    @property
    def kind(self) -> str:
        return "restarted"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = _Count()
        place(m, "count", count, platform, reset=self.again)
        m.d.comb += self.value.eq(count.value)
        return m


def test_a_placed_component_can_have_a_reset_of_its_own() -> None:
    """In simulation and in the Verilog."""
    from amaranth.sim import Simulator

    dut = _Restarted()
    seen = []

    async def bench(ctx: Any) -> None:
        for cycle in range(6):
            ctx.set(dut.again, cycle == 3)
            seen.append(ctx.get(dut.value))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, 1, 2, 3, 0, 1]
    text = emit(_Restarted(), "restarted", {}).verilog
    assert re.search(r"assign \w+ = rst \| again;", text)
