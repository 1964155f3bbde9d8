"""The cocotb bench against the compiled harness, third-party AXI models, and what is said of a broken run."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hwgen import toolchain
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig, Gemm
from hwgen.errors import BadInput, HwgenError
from hwgen.numerics import IntFormat
from hwgen.streams import Field, Stream
from hwgen.verify.bench import CocotbBench
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import REGIMES, Stimulus, patterns

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "generic": {"rows": 3, "cols": 3, "act_bits": 7, "tile_steps": 4},
    "ultrascale+": {"rows": 3, "cols": 3, "weight_bits": 7, "tile_steps": 8, "target": "ultrascale+"},
}
SIMULATORS = ["verilator", *(["icarus"] if toolchain.icarus() else [])]
BOTH = list(itertools.product(CONFIGURATIONS, SIMULATORS))


@functools.cache
def _bench(target: str, simulator: str) -> CocotbBench:
    return Block(CORE, DspGemmConfig(**CONFIGURATIONS[target])).bench(simulator)


def _work(target: str, count: int = 12) -> tuple[DspGemmConfig, list[Gemm]]:
    config = DspGemmConfig(**CONFIGURATIONS[target])
    return config, CORE.random_operations(config, count, np.random.default_rng(2))


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(("target", "simulator"), BOTH)
def test_cocotb_sees_what_the_harness_sees(
    target: str,
    simulator: str,
    regime: str,
    harness: Callable[..., Harness],
    stimulus: Callable[..., Stimulus],
    same_as_models: Callable[..., None],
) -> None:
    config, ops = _work(target)
    todo = stimulus(config, ops, regime)
    one, other = harness(config).run(todo), _bench(target, simulator).run(todo)
    for field in ("transfers", "outputs", "lasts"):
        expected, found = getattr(one, field), getattr(other, field)
        assert expected.keys() == found.keys()
        for name in expected:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
    assert other.simulated == one.simulated
    same_as_models(config, ops, todo, other)


@pytest.mark.parametrize("test", ["pauses", "resets"])
@pytest.mark.parametrize(("target", "simulator"), BOTH)
def test_other_peoples_axi_models_get_the_same_values(
    target: str, simulator: str, test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, ops = _work(target, 6)
    sent = [i for i, op in enumerate(ops) if not op.keep]
    np.savez(tmp_path / "stimulus.npz", frames=len(sent), **CORE.stimulus(config, ops))
    bench = _bench(target, simulator)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    build = tmp_path / "build"
    build.mkdir()
    for name in {bench.build.name, bench.top}:
        (build / name).symlink_to(bench.build)
    results = get_runner(simulator).test(
        test_module="axis_bench",
        testcase=test,
        hdl_toplevel=bench.top,
        hdl_toplevel_lang="verilog",
        build_dir=build,
        test_dir=tmp_path,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"HWGEN_BENCH": str(tmp_path), "COCOTB_LOG_LEVEL": "WARNING"},
        log_file=tmp_path / "log",
    )
    assert get_results(Path(results)) == (1, 0), (tmp_path / "log").read_text()
    frames = list(np.load(tmp_path / "frames.npz").values())
    lanes = 4 * config.cols
    counts = CORE.marks(config, ops)["c"]
    assert [len(frame) for frame in frames] == [counts[i] * lanes for i in sent]
    beats = np.concatenate(frames).reshape(-1, lanes)
    for got, expected in zip(CORE.collect(config, ops, {"c": beats}), CORE.golden(config, ops), strict=True):
        np.testing.assert_array_equal(got, expected)


# A broken run: what is taken from the stimulus, and what the harness and the bench say of it.
PATIENCE = 500  # instead of the real one, which takes cocotb seconds
HUNG = f"no beat moved for {PATIENCE} cycles"
BROKEN = {
    "a weight beat too few": ("b", HUNG, HUNG),
    "an activation beat too few": ("a", HUNG, HUNG),
    "a result too many": ("c", "it sent more beats than expected", r"c sent \d+ beats, not \d+"),
}


@pytest.mark.parametrize("runner", ["harness", *SIMULATORS])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_run_is_told_in_one_sentence(
    case: str,
    runner: str,
    harness: Callable[..., Harness],
    stimulus: Callable[..., Stimulus],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("harness", "bench"):
        monkeypatch.setattr(f"hwgen.verify.{module}.PATIENCE", PATIENCE)
    stream, of_harness, of_bench = BROKEN[case]
    config = DspGemmConfig(**CONFIGURATIONS["generic"])
    ops = [Gemm(np.ones((2, 4), np.int64), np.ones((4, 5), np.int64))]
    whole = stimulus(config, ops)
    less = {stream: whole.inputs[stream][:-1]} if stream != "c" else {}
    broken = Stimulus({**whole.inputs, **less}, {"c": whole.expected["c"] - (stream == "c")}, whole.gates)
    if runner == "harness":
        sentence = rf"^dsp_gemm failed after \d+ cycles: {of_harness}; beats so far: 1 of cmd, .* of c$"
        with pytest.raises(HwgenError, match=sentence):
            harness(config).run(broken)
    else:
        with pytest.raises(HwgenError, match=rf"^the cocotb run .*{of_bench}$"):
            _bench("generic", runner).run(broken)
    # The same program serves the next run.
    again = harness(config) if runner == "harness" else _bench("generic", runner)
    assert len(again.run(whole).transfers["c"]) == whole.expected["c"]


def test_an_unknown_simulator_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^simulator must be one of verilator, icarus, not 'vcs'$"):
        CocotbBench([], "top", [], "vcs")


def test_any_block_with_streams_runs_whatever_its_ports_are_called(tmp_path: Path) -> None:
    (tmp_path / "wire.v").write_text(
        "module passes(input clk, input rst, input [7:0] s_axis_in_tdata, input s_axis_in_tvalid,\n"
        "  output s_axis_in_tready, output [7:0] m_axis_out_tdata, output m_axis_out_tvalid,\n"
        "  input m_axis_out_tready);\n"
        "  assign m_axis_out_tdata = s_axis_in_tdata;\n  assign m_axis_out_tvalid = s_axis_in_tvalid & ~rst;\n"
        "  assign s_axis_in_tready = m_axis_out_tready;\n"
        "  wire unused = clk;\nendmodule\n"
    )
    field = (Field("x", 1, IntFormat(8, False), "a byte"),)
    streams = (Stream("in", "in", field, "bytes"), Stream("out", "out", field, "the same bytes"))
    beats = np.arange(20, dtype=np.uint8)[:, None]
    seen = Harness([tmp_path / "wire.v"], "passes", streams).run(
        Stimulus({"in": beats}, {"out": 20}, patterns("both", streams, 1))
    )
    np.testing.assert_array_equal(seen.outputs["out"], beats)
    np.testing.assert_array_equal(seen.transfers["in"], seen.transfers["out"])
