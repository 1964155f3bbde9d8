"""Random programs: legal, of every kind, and with one result in whatever order their tokens allow."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hwgen.errors import BadInput
from hwgen.numerics import IntArray
from hwgen.program.dataflow import DISPATCH, END, MOMENTS, START, Dataflow
from hwgen.program.encoding import Instr
from hwgen.program.table import INSTRUCTIONS, VEC_OPS
from hwgen.system.access import runs
from hwgen.system.check import order, problems
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.system.values import Values
from hwgen.verify import networks
from hwgen.verify.case import RandomProgram
from hwgen.verify.networks import random_network_program
from hwgen.verify.programs import random_program
from hwgen.verify.sweep import SWEEP

BOTH = SWEEP["softmax, 16 bits"]  # which has both cores too
MAKERS = {"program": random_program, "network": random_network_program}


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def golden(config: SystemConfig, made: RandomProgram, instructions: list[Instr]) -> IntArray:
    machine = Machine(config, made.memory)
    machine.run(instructions)
    return machine.dram


def any_order(made: RandomProgram, config: SystemConfig, seed: int) -> list[Instr]:
    """The instructions by their starts, in an order drawn from all that tokens and queues allow."""
    body = made.program.instructions
    graph = Dataflow(body, config.queue_depth).graph
    lacks = {node: graph.in_degree(node) for node in graph}
    ready = [node for node, count in lacks.items() if not count]
    draw = rng(seed)
    found = []
    while ready:
        node = ready.pop(int(draw.integers(len(ready))))
        index, moment = divmod(node, MOMENTS)
        if moment == (DISPATCH if body[index].engine == "control" else START):
            found.append(body[index])
        for later in graph.succ[node]:
            lacks[later] -= 1
            if not lacks[later]:
                ready.append(later)
    assert len(found) == len(body)
    assert END  # the third moment, at which nothing is carried out
    return found


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", SWEEP)
def test_the_checker_accepts_them(name: str, kind: str) -> None:
    config = SWEEP[name]
    for seed in range(3):
        made = MAKERS[kind](config, rng(seed))
        found = problems(made.program, config, dram_bytes=len(made.memory), program_address=made.address)
        assert [problem.sentence for problem in found] == []


@pytest.mark.parametrize("name", SWEEP)
def test_every_legal_order_and_both_models_give_one_result(name: str) -> None:
    config = SWEEP[name]
    for seed in range(2):
        made = random_program(config, rng(seed, 1))
        body = made.program.instructions
        expected = golden(config, made, list(body))
        legal = [body[i] for i in order(made.program, config)]
        for other in (legal, any_order(made, config, seed), any_order(made, config, seed + 100)):
            np.testing.assert_array_equal(golden(config, made, other), expected)
        values = Values(config, made.memory[None].copy())
        values.run(body)
        np.testing.assert_array_equal(values.dram[0], expected)


@pytest.mark.parametrize("name", SWEEP)
def test_networks_give_what_their_layers_say(name: str) -> None:
    config = SWEEP[name]
    for seed in range(4):
        made = random_network_program(config, rng(seed, 2))
        results = made.results(golden(config, made, list(made.program.instructions)))
        assert results
        for layer, (found, wanted) in results.items():
            np.testing.assert_array_equal(found, wanted, layer)


def test_the_seed_decides_everything() -> None:
    for make in MAKERS.values():
        one, same, other = (make(BOTH, rng(seed)) for seed in (3, 3, 4))
        assert one.program == same.program
        assert one.address == same.address
        np.testing.assert_array_equal(one.memory, same.memory)
        assert one.program != other.program


def test_all_that_can_be_said_is_said() -> None:
    seen: Counter[str] = Counter()
    for seed in range(25):
        made = random_program(BOTH, rng(seed, 3))
        body = made.program.instructions
        seen.update(one.mnemonic for one in body)
        seen["program in front"] += made.address < 4096 * 4
        for run in runs(body):
            fields, settings = run.fields, run.settings
            seen["takes a token"] += bool(run.one.wait)
            match run.one.engine:
                case "load":
                    seen["misaligned"] += fields["address"] % 64 != 0
                    end = fields["address"] + fields["run_bytes"]
                    seen["crosses a page"] += (
                        not fields["windowed"] and fields["address"] // 4096 < (end - 1) // 4096
                    )
                    if fields["windowed"]:
                        x, y = settings["position"]["x_start"], settings["position"]["y_start"]
                        window = settings["window"]
                        seen["left"] += x < 0
                        seen["above"] += y < 0
                        seen["right"] += x + fields["run_bytes"] > window["row_bytes"]
                        seen["below"] += y + fields["run_count"] > window["row_count"]
                        seen["far outside"] += abs(x) > 5000 or abs(y) > 2000
                        seen["groups"] += settings["position"]["group_count"] > 1
                case "dsp":
                    seen["kept"] += fields["keep"]
                    seen["goes on"] += fields["keep"] and fields["accumulate"]
                    seen["tiles"] += fields["tiles"] > 1
                case "lut":
                    seen.update((f"act bits {fields['act_bits']}", f"weight bits {fields['weight_bits']}"))
                    seen.update(
                        (f"act signed {fields['act_signed']}", f"weight signed {fields['weight_signed']}")
                    )
                case "vec":
                    seen[VEC_OPS[fields["op"]]] += 1
                    seen["backwards"] += settings["source"]["n1"] < 0
                    seen["parameter per channel"] += settings["target"]["parameter_n2"] == 1
                case "store":
                    seen["tail"] += fields["run_bytes"] % BOTH.bus_bytes != 0
                    seen["rows"] += fields["run_count"] > 1
    wanted = [i.mnemonic for i in INSTRUCTIONS if i.engine != "sparse"]
    wanted += [
        *BOTH.vec_ops,
        "misaligned",
        "crosses a page",
        "left",
        "above",
        "right",
        "below",
        "far outside",
        "groups",
    ]
    wanted += [
        "kept",
        "goes on",
        "tiles",
        "backwards",
        "parameter per channel",
        "tail",
        "rows",
        "takes a token",
    ]
    wanted += [f"{what} bits {n}" for what in ("act", "weight") for n in range(1, 9)]
    wanted += [f"{what} signed {n}" for what in ("act", "weight") for n in (0, 1)]
    wanted += ["program in front"]
    assert [what for what in wanted if not seen[what]] == []


def test_operands_and_results_are_not_trivial() -> None:
    made = random_program(BOTH, rng(1))
    after = golden(BOTH, made, list(made.program.instructions))
    for value in (0x80, 0x7F):
        assert (made.memory == value).mean() > 0.05
    for place in made.places:
        part = after[place.address : place.address + place.size]
        assert len(np.unique(part)) > 50, place.name


def test_a_place_is_named() -> None:
    made = random_program(BOTH, rng(0))
    place = made.places[1]
    assert place.name.startswith("activations")
    assert made.where(place.address + 3) == f"byte {place.address + 3:#x} of DRAM (byte 3 of {place.name})"
    assert made.where(len(made.memory)) == f"byte {len(made.memory):#x} of DRAM"


def test_programs_that_memory_cannot_hold_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"random programs of 9000 runs need \d+ bytes of DRAM, and address_bits=20"
    ):
        random_program(SWEEP["few bits"], rng(0), 9000)


def test_networks_that_never_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise BadInput("layer 'l0' does not fit")

    monkeypatch.setattr(networks, "compile_network", refuses)
    with pytest.raises(
        BadInput, match="no random network fits this accelerator; the last one: layer 'l0' does not fit"
    ):
        random_network_program(BOTH, rng(0))


def test_sparse_runs_are_of_every_kind() -> None:
    config = SWEEP["sparse, all of it"]
    seen: Counter[str] = Counter()
    for seed in range(25):
        made = random_program(config, rng(seed, 3))
        for run in runs(made.program.instructions):
            if run.one.engine == "sparse":
                shape, stream = run.settings["shape"], run.settings["stream"]
                seen.update((f"{shape['weight_bits']} bits", f"spread {shape['spread']}"))
                seen["two code words"] += shape["blocks"] > 16
                seen["no values"] += not stream["value_rows"]
                seen["no indices"] += bool(stream["value_rows"]) and not stream["index_rows"]
                seen["all rows"] += shape["rows"] == config.sparse_way_rows(shape["spread"])
                ways = config.sparse_ways if shape["spread"] else 1
                seen["a round lacks tiles"] += run.fields["tiles"] % ways != 0
                seen["rounds"] += run.fields["tiles"] > ways
            elif run.one.engine == "vec" and VEC_OPS[run.fields["op"]] == "columns":
                seen[f"columns {run.fields['unit']}"] += 1
                seen["few columns"] += run.settings["shape"]["r0"] < config.sparse_rows
    wanted = [f"{bits} bits" for bits in (2, 3, 4, 8)]
    wanted += [f"{what} {n}" for what in ("spread", "columns") for n in (0, 1)]
    wanted += [
        "two code words",
        "no values",
        "no indices",
        "all rows",
        "a round lacks tiles",
        "rounds",
        "few columns",
    ]
    assert [what for what in wanted if not seen[what]] == []
