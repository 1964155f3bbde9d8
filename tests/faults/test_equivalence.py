"""The proof that idle hooks change nothing: it holds for what is generated, and fails for what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwgen.errors import BadInput
from hwgen.faults.equivalence import prove_idle
from hwgen.faults.hooks import Hooked, hooked
from hwgen.parts.dsp48e2 import SIMULATION_MODEL as DSP_MODEL

RTL = Path(__file__).parents[2] / "rtl_out"


@pytest.fixture(scope="module")
def made() -> Hooked:
    return hooked([RTL / "dsp_gemm_int8_8x8_generic" / "dsp_gemm.v"], "dsp_gemm")


def test_every_kind_is_proved(made: Hooked) -> None:
    proofs = prove_idle(made)
    assert [p for p in proofs if not p.equivalent] == []
    assert {p.kind for p in proofs} == {k for k, layout in made.layouts.items() if not layout.empty}
    column = next(p for p in proofs if p.kind == "dsp_gemm_column_1")
    assert (column.state, column.tracking, column.dropped) == (96, 8, 0)


@pytest.mark.parametrize(
    ("pattern", "text", "kind", "reason"),
    [
        (r"fault_now_4 \? (\w+) : (\S+);", r"fault_now_4 ? \2 : \1;", "dsp_gemm_column_1", "next"),
        (r"\.load\(load\[1\]\)", ".load(load[2])", "dsp_gemm_chain_8", "instance_row_1_load"),
        (r"if \(keep\)", "if (send)", "dsp_gemm_column_1", "memory_0_enable"),
        (r"accumulators\[write_index\]", "accumulators[read_index]", "dsp_gemm_column_1", "memory_0_row"),
        (r"\.fault_strobe\(fault_strobe\)", ".fault_strobe(fault_select)", "dsp_gemm", "zero"),
        (r"(reg fault_results_live_0) = 1'h0", r"\1 = 1'h1", "dsp_gemm_column_1", "does not begin as zero"),
        (r"(reg \[7:0\] active) = 8'h00", r"\1 = 8'h01", "dsp_gemm_mac_body", "begins with another value"),
        (r"assign c = (\w+) \^ \w+", r"assign c = \1 ^ fault_flip", "dsp_gemm_column_1", "port_c"),
        (r"(fault_results_begins) \| _\w+_", r"\1 | fault_select", "dsp_gemm_column_1", "zero"),
        (r"reg \[31:0\] results \[511:0\]", "reg [31:0] results [510:0]", "dsp_gemm_column_1", "SIZE"),
    ],
)
def test_a_wrong_connection_is_found(made: Hooked, pattern: str, text: str, kind: str, reason: str) -> None:
    wrong, count = re.subn(pattern, text, made.verilog, count=1)
    assert count == 1
    (proof,) = prove_idle(replace(made, verilog=wrong), [kind])
    assert not proof.equivalent
    assert reason in proof.reason


def test_vendor_cells_stay_as_they_are() -> None:
    source = RTL / "dsp_gemm_int8_16x16_ultrascale" / "dsp_gemm.v"
    for vendor in (False, True):
        proofs = prove_idle(hooked([source, DSP_MODEL], "dsp_gemm", vendor=vendor))
        assert [p for p in proofs if not p.equivalent] == []
        assert any(p.kind.startswith("DSP48E2") for p in proofs) == vendor


def test_a_kind_without_hooks(made: Hooked) -> None:
    with pytest.raises(BadInput, match="there are no hooks in nothing"):
        prove_idle(made, ["nothing"])


@pytest.mark.parametrize(
    "name",
    [
        "softmax_u8_online_pow2",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("tiny", "edge", "lut_gemm_8x64x8_generic")),
    ],
)
def test_whole_configurations(name: str) -> None:
    (path,) = (RTL / name).glob("*.v")
    proofs = prove_idle(hooked([path], path.stem))
    assert [p for p in proofs if not p.equivalent] == []
