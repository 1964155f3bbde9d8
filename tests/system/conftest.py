"""What several tests share: building a unit for cocotb, and running one test of a bench module on it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hwgen import toolchain
from hwgen.emit import Unit, emit
from hwgen.files import output_folder, write_if_changed
from hwgen.verify.bench import CocotbBench


def _build(component: Unit, top: str, simulator: str) -> CocotbBench:
    text = emit(component, top, {}).verilog
    assert "[-1:0]" not in text
    path = output_folder(toolchain.cache_dir() / "verilog" / "system") / f"{top}.v"
    write_if_changed(path, text)
    return CocotbBench([path], top, [], simulator)


@pytest.fixture(scope="session")
def build() -> Callable[[Unit, str, str], CocotbBench]:
    """A unit under the name of its top module, for one of the simulators; from the cache if it was built before."""
    return _build


@pytest.fixture
def run_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run one test of a bench module beside this file; it finds ``plan`` in ``plan.json``."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def run(bench: CocotbBench, module: str, test: str, plan: dict[str, Any] | None = None) -> None:
        (tmp_path / "plan.json").write_text(json.dumps(plan or {}))
        folder = tmp_path / "build"
        folder.mkdir()
        for name in {bench.build.name, bench.top}:
            (folder / name).symlink_to(bench.build)
        log = tmp_path / "log"
        with contextlib.suppress(SystemExit):  # its message says less than the log
            get_runner(bench.simulator).test(
                test_module=module,
                testcase=test,
                hdl_toplevel=bench.top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=tmp_path,
                results_xml=str(tmp_path / "results.xml"),
                extra_env={"HWGEN_BENCH": str(tmp_path), "COCOTB_LOG_LEVEL": "WARNING"},
                log_file=log,
            )
        assert get_results(tmp_path / "results.xml") == (1, 0), log.read_text()

    return run
