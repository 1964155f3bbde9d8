"""From a campaign to a protected design from the command line, on a core of two by two cells and on one of one cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hwgen.commands.design import design, load_plan, to_toml
from hwgen.errors import BadInput
from hwgen.faults.protection import candidates
from hwgen.faults.protection.plan import Plan
from hwgen.synthesis import Cells
from tests.commands.conftest import Run, command

CORE = ("dsp_gemm", "--set", "rows=2", "--set", "cols=2", "--set", "tile_steps=4", "gemm:3x4x3")
ONE = ("dsp_gemm", "--set", "rows=1", "--set", "cols=1", "--set", "tile_steps=4", "gemm:3x2x2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Campaigns without protection: `core` and `one` uniform, `strata`."""
    place = tmp_path_factory.mktemp("campaigns")
    assert command("inject", *CORE, "--samples", 6000, "--processes", 1, "-o", place / "core") == 0
    assert command("inject", *ONE, "--samples", 3000, "--processes", 1, "-o", place / "one") == 0
    assert (
        command("inject", *ONE, "--stratified", "--samples", 2000, "--processes", 1, "-o", place / "strata")
        == 0
    )
    (place / "plan.toml").write_text('[blocks]\n"*" = ["parity"]\n')
    return place


@pytest.fixture
def unsynthesised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Areas without Yosys, where they are not what is tested."""

    def areas(lab: candidates.Lab, schemes: Sequence[str], tell: object) -> dict[tuple[str, str], int]:
        return dict.fromkeys(product(lab.blocks.names, schemes), 1)

    monkeypatch.setattr(candidates.Lab, "areas", areas)
    monkeypatch.setattr("hwgen.commands.protect.area", lambda sources, top: Cells({"LUT2": 100}))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_core_from_its_campaign_to_a_confirmed_design(folder: Path, tmp_path: Path, run: Run) -> None:
    out, facts = tmp_path / "protected", tmp_path / "facts.json"
    code, text, err = run("protect", folder / "core", "--target", "spfm=95%", "--schemes", "parity",
                          "--processes", 1, "-o", out, "--json", facts)  # fmt: skip
    assert (code, err) == (0, "")
    assert "SPFM (transient)" in text
    assert ": confirmed" in text
    assert "chosen" in text
    found = read(facts)
    assert found["least"]
    assert found["confirmation"]["met"]
    assert 0 < found["area"]["overhead"] < 0.6
    assert abs(found["area"]["overhead"] - found["area"]["predicted_overhead"]) < 0.15
    assert found["predicted"]["spfm"]["transient"] >= 0.95
    # Everything predicted was an upper bound of harm.
    (verdict,) = found["confirmation"]["verdicts"]
    assert verdict["bound"] >= found["predicted"]["spfm"]["transient"] - 0.01
    assert found["schemes"]["parity"][0]["cycles"] == 0
    assert (out / "report.html").read_text().count("<svg") == 2
    # What was written, other commands take.
    config = out / "protected.toml"
    code, text, _ = run("generate", config, "-o", tmp_path / "rtl")
    assert code == 0
    manifest = read(tmp_path / "rtl" / "manifest.json")
    assert manifest["protection"]["blocks"] == found["plan"]
    assert Plan.from_toml((tmp_path / "rtl" / "protection.toml").read_text()).to_dict() == found["plan"]
    assert "fault_detected" in {port["name"] for port in manifest["ports"]}
    code, text, _ = run(
        "inject", config, "gemm:3x4x3", "--samples", 400, "--processes", 1, "-o", tmp_path / "again"
    )
    assert code == 0
    assert "detected" in text
    assert "false alarms" in text


def test_a_scheme_that_does_less_than_was_measured_is_not_confirmed(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, unsynthesised: None
) -> None:
    honest = candidates.Lab.effects

    def lied(self: candidates.Lab, scheme: str) -> candidates.Effects:
        found = honest(self, scheme)
        parts = {where: replace(part, escaped=0) for where, part in found.parts.items()}
        return replace(found, parts=parts)

    monkeypatch.setattr(candidates.Lab, "effects", lied)
    # To be marked as hardened changes nothing in a simulation.
    code, text, _ = run("protect", folder / "one", "--target", "spfm=90%", "--schemes", "hardened", "--processes", 1,
                        "-o", tmp_path / "lied")  # fmt: skip
    assert code == 1
    assert "NOT confirmed" in text


def test_a_level_with_bits_stuck_at_both_values(
    folder: Path, tmp_path: Path, run: Run, unsynthesised: None
) -> None:
    kinds = ("transient", "permanent")
    rate = 'flip_flop = { fit_per_mbit = 1000.0, source = "made up for tests" }'
    (tmp_path / "rates.toml").write_text("\n".join(f"[{kind}]\n{rate}" for kind in kinds))
    given = ["--rates", tmp_path / "rates.toml", "--lifetime", 10_000, "--budget-share", 0.1]
    models = ("seu", "stuck-at-0", "stuck-at-1")
    for model in models:
        code, _, _ = run("inject", *CORE, "--model", model, "--samples", 20_000, "--processes", 1, "-o",
                         tmp_path / model)  # fmt: skip
        assert code == 0
    both = [option for model in models[1:] for option in ("--with", tmp_path / model)]
    code, _, err = run("protect", tmp_path / "seu", *both, *given, "--target", "asil-d", "--schemes", "parity",
                       "--processes", 1, "-o", tmp_path / "safe", "--json", tmp_path / "f.json")  # fmt: skip
    assert (code, err) == (0, "")
    found = read(tmp_path / "f.json")
    assert {v["metric"] for v in found["confirmation"]["verdicts"]} == {"SPFM", "LFM", "PMHF"}
    assert found["confirmation"]["met"]
    # Nothing was met before, and each value that bits are stuck at has half of the raw rate.
    code, _, _ = run("inject", *CORE, "--samples", 6000, "--processes", 1, "-o", tmp_path / "again", *both, *given,
                     "--json", tmp_path / "plain.json")  # fmt: skip
    assert code == 0
    totals = read(tmp_path / "plain.json")["safety"]["totals"]
    assert totals["permanent"]["raw_fit"] == pytest.approx(totals["transient"]["raw_fit"])
    assert totals["permanent"]["lfm"]["high"] < 0.9


def test_a_goal_in_fit_uses_raw_rates(folder: Path, tmp_path: Path, run: Run, unsynthesised: None) -> None:
    (tmp_path / "rates.toml").write_text(
        '[transient]\nflip_flop = { fit_per_mbit = 1000.0, source = "made up for tests" }\n'
    )
    code, text, _ = run("protect", folder / "one", "--target", "fit=0.1", "--rates", tmp_path / "rates.toml",
                        "--schemes", "parity", "--no-confirm", "-o", tmp_path / "fit", "--json",
                        tmp_path / "f.json")  # fmt: skip
    assert code == 0
    assert "not confirmed: no new campaign was run" in text
    found = read(tmp_path / "f.json")
    assert found["predicted"]["residual_fit"]["transient"] <= 0.1
    assert "made up for tests" in found["raw_rates"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("one", "--target", "fit=1"), "needs raw rates"),
        (("one", "--target", "spfm=2"), "is no target"),
        (("one", "--target", "asil-d", "--schemes", "parity"), "permanent faults; inject them too"),
        (("one", "--target", "spfm=0.9", "--schemes", "magic"), "there is no protection 'magic'"),
        (
            ("one", "--target", "spfm=0.99", "--schemes", "parity", "--area-limit", "1"),
            "--area-limit allows 1 %",
        ),
        (("one", "--target", "spfm=0.9999999", "--schemes", "parity"), "cannot be met"),
        (("one", "--target", "spfm=0.9", "--no-confirm", "--samples", "5"), "leave one of them out"),
        (
            ("one", "--target", "spfm=0.9", "--with", "one", "--schemes", "parity"),
            "two campaigns strike the same",
        ),
        (("one", "--target", "spfm=0.9", "--with", "core", "--schemes", "parity"), "another design or job"),
        (("strata", "--target", "spfm=0.9"), "leave out --stratified"),
        (("nowhere", "--target", "spfm=0.9"), "holds no campaign"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    folder: Path, tmp_path: Path, run: Run, arguments: tuple[str, ...], said: str, unsynthesised: None
) -> None:
    places = [str(folder / a) if a in ("one", "core", "strata", "nowhere") else a for a in arguments]
    code, _, err = run("protect", *places, "-o", tmp_path / "out")
    assert code == 2
    assert said in err
    assert err.startswith("hwgen: ")
    assert err.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_a_campaign_on_a_protected_design_is_refused(folder: Path, tmp_path: Path, run: Run) -> None:
    code, text, _ = run("inject", *ONE, "--protect", folder / "plan.toml", "--samples", 300, "--processes", 1,
                        "--verify", 100, "-o", tmp_path / "p")  # fmt: skip
    assert code == 0
    assert "100 faults, 0 mismatches" in text
    code, _, err = run("protect", tmp_path / "p", "--target", "spfm=0.9", "-o", tmp_path / "out")
    assert code == 2
    assert "without protection" in err


def test_generate_and_check_take_a_plan(folder: Path, tmp_path: Path, run: Run) -> None:
    plain = ("dsp_gemm", "--set", "rows=1", "--set", "cols=1")
    assert run("generate", *plain, "-o", tmp_path / "plain")[0] == 0
    assert run("generate", *plain, "--protect", folder / "plan.toml", "-o", tmp_path / "safe")[0] == 0
    one, two = (read(tmp_path / name / "manifest.json") for name in ("plain", "safe"))
    assert one["digest"] != two["digest"]
    assert "protection" not in one
    assert {path.name for path in (tmp_path / "safe").iterdir()} >= {"protection.toml", "protection.json"}
    assert f'_DIGEST "{two["digest"]}"' in (tmp_path / "safe" / "dsp_gemm.h").read_text()
    assert f"// digest: {two['digest']}" in (tmp_path / "safe" / "dsp_gemm.v").read_text()
    code, text, _ = run(
        "check", *plain, "--protect", folder / "plan.toml", "--rtl", "harness", "--vectors", 3
    )
    assert code == 0
    assert two["digest"] in text
    assert "values equal, cycles equal" in text
    code, _, err = run("generate", "supported", "--protect", folder / "plan.toml")
    assert code == 2
    assert "--protect" in err


def test_a_configuration_comes_back_from_toml(tmp_path: Path) -> None:
    plan = {"*": ["parity", "memories:none"], "sequencer": [], "top": ["tmr"]}
    for target, settings in (("dsp_gemm", {"rows": "2"}), ("tiny", {"lanes": "8"})):
        found = design(target, settings)
        path = tmp_path / f"{target}.toml"
        path.write_text(to_toml(type(found)(found.core, found.config, Plan.of(plan)), "for a test"))
        again = design(str(path), {})
        assert again.config == found.config
        assert again.plan.to_dict() == {"*": ["parity", "memories:none"], "sequencer": [], "top": ["tmr"]}
        assert load_plan(path).to_dict() == again.plan.to_dict()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('core = "no_core"\n[parameters]\n', "there is no core 'no_core'"),
        ('core = "dsp_gemm"\n[parameters]\nrow = 3\n', "a parameter of dsp_gemm"),
        ('core = "dsp_gemm"\n[parameter]\n', "there is no key 'parameter'"),
        ('core = "dsp_gemm"\n[protection]\nblock = 3\n', "[protection.blocks]"),
        ('core = "dsp_gemm"\n[protection.blocks]\n"*" = ["magic"]\n', "there is no protection 'magic'"),
        ("core = 3", "there is no core 3"),
        ("core", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        design(str(path), {})
    assert said in str(error.value)
    assert "wrong.toml" in str(error.value)


def test_run_refuses_a_protected_design(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "safe.toml"
    found = design("tiny", {})
    path.write_text(to_toml(type(found)(None, found.config, Plan.of({"*": ["parity"]})), "for a test"))
    code, _, err = run("run", path, "tile")
    assert code == 2
    assert "protected design" in err
