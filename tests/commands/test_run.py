"""``hwgen run`` and ``hwgen diff`` as a user meets them, on the smallest accelerator."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hwgen.commands import run as run_module
from hwgen.commands.jobs import NAMES, numbers, tile
from hwgen.commands.run import run as run_workload
from hwgen.commands.targets import accelerator
from hwgen.compile.compiler import compile_network
from hwgen.explore.account import LOSSES
from hwgen.workloads.layers import gemm_view
from sim import events
from tests.commands.conftest import Run

TABLE = """
name = "two"
input = [6, 6, 3]
layer = [
  { name = "c1", kind = "conv", inputs = ["input"], out_channels = 9, kernel = 3, pad = 1, relu = true },
  { name = "p1", kind = "maxpool", inputs = ["c1"], kernel = 2, stride = 2 },
  { name = "fc", kind = "gemm", inputs = ["p1"], gemm = [1, 81, 10], act_bits = 4, weight_bits = 3 },
]
"""

COPY = """
load.run address=0 buffer=act target=0 run_bytes=16 signal=vec
vec.shape n0=4 n1=1 n2=1 r0=1 r1=1
vec.source n0=1
vec.target n0=1
vec.run op=copy source=0 target=8 wait=load signal=store
store.run address=0x100 source=8 run_bytes=16 wait=vec
control.halt
"""

DEADLOCK = """
vec.shape n0=1 n1=1 n2=1 r0=1 r1=1
vec.source n0=1
vec.target n0=1
vec.run op=copy source=0 target=8 wait=load signal=load
load.run address=0 buffer=act target=0 run_bytes=8 wait=vec signal=vec
control.halt
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(TABLE)
    return path


def test_json_has_the_keys_of_the_contract_and_every_cycle_a_name(
    run: Run, table: Path, tmp_path: Path
) -> None:
    code, out, err = run("run", "tiny", table, "--json", tmp_path / "run.json")
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "run.json").read_text())
    assert {"schema", "version", "digest", "seconds", "executor", "cycles", "macs", "utilisation", "traffic_bytes",
            "layers", "outputs"} <= set(found)  # fmt: skip
    assert found["schema"] == "hwgen.run/1"
    assert found["digest"] == accelerator("tiny", {}).digest
    assert [layer["name"] for layer in found["layers"]] == ["c1", "p1", "fc"]
    assert sum(layer["cycles"] for layer in found["layers"]) == found["cycles"]
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"]) == 36 * 27 * 9 + 81 * 10
    for layer in found["layers"]:
        assert {"name", "cycles", "macs", "utilisation"} <= set(layer)
        assert layer["compute"] + sum(layer["losses"].values()) == layer["cycles"]
        assert list(layer["losses"]) == list(LOSSES)
        assert layer["name"] in out
    assert found["traffic_bytes"] >= sum(x["read_bytes"] + x["written_bytes"] for x in found["layers"])
    assert f"{found['cycles']:,} cycles" in out


def test_timing_only_tells_the_same_cycles_without_values(run: Run, table: Path, tmp_path: Path) -> None:
    told = []
    for extra in ((), ("--timing-only",)):
        assert run("run", "tiny", table, "--json", tmp_path / "run.json", *extra)[0] == 0
        found = json.loads((tmp_path / "run.json").read_text())
        told.append((found["cycles"], found["layers"], found["counters"]))
    assert told[0] == told[1]


def test_golden_and_simulator_give_the_same_values_for_every_image(
    run: Run, table: Path, tmp_path: Path
) -> None:
    for executor in ("golden", "sim"):
        arguments = ("--executor", executor, "--images", 3, "--outputs", tmp_path / f"{executor}.npz")
        code, out, _ = run("run", "tiny", table, *arguments)
        assert code == 0
        assert "fc" in out
    golden, simulated = (np.load(tmp_path / f"{name}.npz") for name in ("golden", "sim"))
    assert set(golden) == set(simulated) == {"c1", "p1", "fc"}
    for name in golden:
        assert golden[name].shape[0] == 3
        np.testing.assert_array_equal(golden[name], simulated[name])
    assert not (golden["c1"][0] == golden["c1"][1]).all()


def test_verilog_agrees_with_simulator_and_golden_model(run: Run, table: Path, tmp_path: Path) -> None:
    options = ("--dram", "9,2,2,5", "--verify")
    code, out, err = run(
        "run", "tiny", table, "--executor", "rtl", *options, "--images", 2, "--outputs", tmp_path / "rtl.npz",
        "--events", tmp_path / "rtl.jsonl", "--report", tmp_path / "report", "--json", tmp_path / "rtl.json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "begins and ends every instruction in the simulator's cycle" in out
    assert "every value of every layer equals the golden model's" in out
    code, _, _ = run(
        "run", "tiny", table, *options, "--images", 2, "--outputs", tmp_path / "sim.npz",
        "--events", tmp_path / "sim.jsonl", "--json", tmp_path / "sim.json",
    )  # fmt: skip
    assert code == 0
    rtl, sim = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("rtl", "sim"))
    for key in ("cycles", "traffic_bytes", "counters", "layers"):
        assert rtl[key] == sim[key]
    ours, theirs = (np.load(tmp_path / f"{name}.npz") for name in ("rtl", "sim"))
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert run("diff", tmp_path / "rtl.jsonl", tmp_path / "sim.jsonl")[0] == 0
    assert "Verilator" in (tmp_path / "report" / "report.html").read_text()


def test_a_forced_deadlock_stops_both_executors_with_one_message(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "dead.hwasm"
    path.write_text(DEADLOCK)
    code, _, err = run("run", "tiny", "--program", path)
    assert code == 2
    assert (
        err == "hwgen: deadlock: load at instruction 4 waits for vec; vec at instruction 3 waits for load\n"
    )
    messages = []
    for executor in ("sim", "rtl"):
        code, out, err = run("run", "tiny", "--program", path, "--executor", executor, "--force")
        assert (code, out) == (1, "")
        messages.append(err)
    assert messages[0] == messages[1]
    assert re.fullmatch(
        r"hwgen: deadlock at cycle \d+: load at instruction 4 waits for vec; .*\n", messages[0]
    )


def test_a_program_without_end_stops_both_executors_with_one_message(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "open.hwasm"
    path.write_text("control.fence\n")
    messages = []
    for executor in ("sim", "rtl"):
        code, _, err = run("run", "tiny", "--program", path, "--executor", executor, "--force")
        assert code == 1
        messages.append(err)
    assert messages[0] == messages[1]
    assert "the program ended without halt" in messages[0]


def test_programs_run_in_the_memory_that_is_given(run: Run, tmp_path: Path) -> None:
    (tmp_path / "copy.hwasm").write_text(COPY)
    data = np.random.default_rng(1).integers(0, 256, 512, np.uint8)
    (tmp_path / "memory.bin").write_bytes(data.tobytes())
    results = []
    for executor in ("golden", "sim", "rtl"):
        code, out, _ = run(
            "run", "tiny", "--program", tmp_path / "copy.hwasm", "--memory", tmp_path / "memory.bin",
            "--executor", executor, "--outputs", tmp_path / "out.npz",
        )  # fmt: skip
        assert code == 0
        assert "program" in out
        results.append(np.load(tmp_path / "out.npz")["memory"][0].view(np.uint8))
    data[0x100:0x110] = data[:16]
    for result in results:
        np.testing.assert_array_equal(result[:512], data)


def test_a_program_file_runs_like_its_workload(run: Run, table: Path, tmp_path: Path) -> None:
    config = accelerator("tiny", {})
    given = numbers(config, str(table))
    compiled = compile_network(config, given.network)
    compiled.program.save(tmp_path / "two.hwp")
    memory = compiled.memory({name: values[0] for name, values in given.inputs.items()})
    (tmp_path / "memory.bin").write_bytes(memory.tobytes())
    code, _, _ = run(
        "run", "tiny", "--program", tmp_path / "two.hwp", "--memory", tmp_path / "memory.bin", "--timing-only",
        "--json", tmp_path / "run.json",
    )  # fmt: skip
    assert code == 0
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["instructions"] == len(compiled.program)
    assert found["cycles"] == run_workload(config, str(table)).to_dict()["cycles"]
    code, _, err = run("run", "accelerator", "--program", tmp_path / "two.hwp")
    assert code == 2
    assert re.search(r"two\.hwp is for configuration [0-9a-f]{16}, not [0-9a-f]{16}", err)


def test_the_report_stands_alone_and_tells_all(run: Run, table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    code, out, _ = run(
        "run", "tiny", table, "--report", folder, "--clock", 200, "--json", tmp_path / "run.json"
    )
    assert code == 0
    assert "at 200 MHz" in out
    page = (folder / "report.html").read_text()
    found = json.loads((tmp_path / "run.json").read_text())
    assert "two on tiny" in page
    assert f"{found['cycles']:,}" in page
    assert found["digest"] in page
    assert str(Path.home()) not in page
    assert str(tmp_path) not in page
    for layer in found["layers"]:
        assert layer["name"] in page
        assert f"{layer['cycles']:,}" in page
    for text in (*LOSSES, "roofline", "Performance counters", "Definitions", "200 MHz", "hazards"):
        assert text in page
    assert page.count("<svg") >= 5
    assert not re.search(r"<script|https?://(?!www\.w3\.org|purl|creativecommons)", page)


def test_traces_are_what_their_viewers_read(run: Run, table: Path, tmp_path: Path) -> None:
    for name in ("trace.json", "trace.vcd"):
        assert run("run", "tiny", table, "--timing-only", "--trace", tmp_path / name)[0] == 0
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert {"dsp.run c1", "store.run fc"} <= names
    assert "$enddefinitions" in (tmp_path / "trace.vcd").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace.json", "trace.vcd", "two.toml"]


@pytest.mark.parametrize("name", NAMES)
def test_every_named_workload_has_numbers(name: str) -> None:
    if name.startswith("mnist"):
        pytest.importorskip("ccexam")
    config = accelerator("n3h_z7045", {})
    given = numbers(config, name, values=name == "tile" or name.startswith("mnist"))
    assert given.network.workload.layers
    assert (given.labels is not None) == name.startswith("mnist")


@pytest.mark.parametrize("settings", [{}, {"dsp": "no", "lut": "yes"}, {"lanes": "16", "lut": "yes"}])
def test_the_tile_fits_any_core(settings: dict[str, str]) -> None:
    config = accelerator("accelerator", settings)
    assert tile(config) == tile(config)
    result = run_workload(config, "tile", verify=True)
    assert result.differences == []
    _, k, n, _ = gemm_view(tile(config).layers[0])
    assert k % config.lanes == n % config.lanes == 0


def test_the_share_of_the_lut_core_is_obeyed(run: Run, tmp_path: Path) -> None:
    for share in (0, 0.5, 1):
        arguments = ("--lut-share", share, "--json", tmp_path / "run.json", "--verify")
        assert run("run", "tiny", "gemm:6x16x16", *arguments)[0] == 0
        (layer,) = json.loads((tmp_path / "run.json").read_text())["layers"]
        assert layer["lut_share"] == share
        assert layer["engine"] == ("dsp" if share == 0 else "lut")


def test_a_wrong_value_is_named_and_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = run_module._golden

    def wrong(given: object) -> object:
        found = right(given)  # type: ignore[arg-type]
        found["gemm"][0, 1, 0, 2] ^= 1
        return found

    monkeypatch.setattr(run_module, "_golden", wrong)
    code, out, _ = run("run", "tiny", "gemm:4x8x8", "--verify")
    assert code == 1
    assert re.search(r"first difference: gemm\[0, 1, 0, 2\]: golden has -?\d+, this executor -?\d+", out)


BAD_INPUT = {
    "no accelerator": (("tine", "tile"), r"there is no accelerator or core 'tine'; there are .*tiny.*"),
    "missing configuration": (("none.toml", "tile"), r"none\.toml cannot be read .*"),
    "parameter": (("tiny", "tile", "--set", "lanes=3"), r"lanes must be .*"),
    "no workload": (("tiny",), r"give a workload or --program, one of the two"),
    "both": (("tiny", "tile", "--program", "a.hwasm"), r"give a workload or --program, not both"),
    "unknown workload": (("tiny", "resnet"), r"there is no workload 'resnet'; give minilm, .*"),
    "missing table": (("tiny", "none.csv"), r"none\.csv cannot be read .*"),
    "layer": (("tiny", "gemm:3x4"), r"'gemm:3x4' is not a layer.*"),
    "malformed table": (("tiny", "bad.toml"), r"bad\.toml is not TOML.*"),
    "table without layers": (
        ("tiny", "empty.toml"),
        r"empty\.toml: .*neither \[\[layer\]\] nor \[\[gemm\]\].*",
    ),
    "too large": (
        ("tiny", "conv:500x500x64,k3,s1,p1,n64", "--set", "act_words=64"),
        r"(layer 'conv' does not fit|act_banks).*",
    ),
    "share": (("tiny", "tile", "--lut-share", "2"), r"lut share must lie in 0\.\.1, not 2\.0"),
    "no LUT core": (("edge", "tile", "--lut-share", "0.5"), r"this accelerator has no LUT core .*"),
    "memory": (("tiny", "tile", "--dram", "1,2,3"), r"--dram takes four whole numbers.*, not '1,2,3'"),
    "memory range": (("tiny", "tile", "--dram", "0,1,1,1"), r"--dram 0,1,1,1: latency must lie in .*"),
    "images": (("tiny", "tile", "--images", "0"), r"images must be at least 1, not 0"),
    "seed": (("tiny", "tile", "--seed", "-1"), r"seed must not be negative, not -1"),
    "timing of values": (
        ("tiny", "tile", "--executor", "golden", "--timing-only"),
        r"--timing-only is for .*",
    ),
    "verify without values": (("tiny", "tile", "--verify", "--timing-only"), r"--verify compares values.*"),
    "report of golden": (
        ("tiny", "tile", "--executor", "golden", "--report", "r"),
        r"--report is about cycles.*",
    ),
    "outputs of nothing": (
        ("tiny", "tile", "--timing-only", "--outputs", "o.npz"),
        r"--outputs wants values.*",
    ),
    "trace": (("tiny", "tile", "--trace", "t.txt"), r"--trace t\.txt must end in \.json .* or \.vcd .*"),
    "outputs": (("tiny", "tile", "--outputs", "o.txt"), r"--outputs o\.txt must end in \.npz"),
    "memory without program": (("tiny", "tile", "--memory", "m.bin"), r"--memory is for --program.*"),
    "images of a program": (("tiny", "--program", "open.hwasm", "--images", "2"), r"a program runs once.*"),
    "missing program": (("tiny", "--program", "none.hwasm"), r"none\.hwasm cannot be read .*"),
    "kind of program": (
        ("tiny", "--program", "a.txt"),
        r"--program a\.txt must end in \.hwasm .* or \.hwp .*",
    ),
    "malformed program": (("tiny", "--program", "word.hwasm"), r"word\.hwasm: line 1, column 1, 'fly': .*"),
    "binary program": (("tiny", "--program", "binary.hwasm"), r"binary\.hwasm is not UTF-8 text.*"),
    "damaged program": (("tiny", "--program", "short.hwp"), r"short\.hwp: a program file begins with .*"),
    "empty program": (("tiny", "--program", "nothing.hwasm"), r"nothing\.hwasm holds no instruction.*"),
    "missing memory": (("tiny", "--program", "open.hwasm", "--memory", "n.bin"), r"n\.bin cannot be read .*"),
    "no halt": (("tiny", "--program", "open.hwasm"), r"a program must end with control\.halt.*"),
    "far away": (("tiny", "--program", "far.hwasm"), r"far\.hwasm touches DRAM up to byte .*--memory"),
    "reaches out": (
        ("tiny", "--program", "copy.hwasm", "--memory", "word.hwasm"),
        r"instruction 5 \(store\.run\): .*",
    ),
}

FILES = {
    "bad.toml": b"name = ", "empty.toml": b'name = "x"', "word.hwasm": b"fly\n", "binary.hwasm": b"\xff\xfe",
    "short.hwp": b"HWP", "nothing.hwasm": b"; only a comment\n", "open.hwasm": b"control.fence\n",
    "far.hwasm": b"load.run address=0xf0000000 buffer=act run_bytes=16\ncontrol.halt\n",
    "copy.hwasm": COPY.replace("0x100", "0x2000").encode(),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_sentence_and_exit_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    code, out, err = run("run", *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"hwgen: {sentence}\n", err)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_diff_names_the_first_event_that_differs(run: Run, tmp_path: Path) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    events.write(a, events.records([3, 5], [4, 9], [0, 1]))
    events.write(b, events.records([3, 6], [4, 9], [0, 1]))
    code, out, _ = run("diff", a, a)
    assert (code, out) == (0, "4 events, all equal\n")
    code, out, _ = run("diff", a, b, "--json", tmp_path / "diff.json")
    assert code == 1
    assert out == (
        f"event 2: {a} has the start of instruction 1 on dsp in cycle 5; "
        f"{b} has the start of instruction 1 on dsp in cycle 6\n"
    )
    found = json.loads((tmp_path / "diff.json").read_text())
    assert (found["equal"], found["first_difference"]["index"]) == (False, 2)
    events.write(b, events.records([3], [4], [0]))
    code, out, _ = run("diff", a, b)
    assert code == 1
    assert f"{b} has no more events" in out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", r"line 1: not JSON.*"),
        (b'{"cycle": 1}', r"line 1: an event is an object with exactly .*"),
        (b"\xff", r"line 1: not text in UTF-8"),
        (None, r"cannot be read .*"),
    ],
)
def test_diff_refuses_what_is_no_list_of_events(
    run: Run, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("")
    if content is not None:
        bad.write_bytes(content)
    code, out, err = run("diff", good, bad)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"hwgen: {re.escape(str(bad))},? {sentence}\n", err)


@pytest.mark.parametrize("command", ["run", "diff"])
def test_help_has_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"  hwgen {command}" in out
