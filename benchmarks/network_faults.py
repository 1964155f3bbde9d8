"""Faults in a core and the answers of networks: a digit's class, a sentence's embedding, models beside the netlist."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.targets import accelerator
from hwgen.compile.network import Network
from hwgen.cores.dsp_gemm import CORE, DspGemmConfig
from hwgen.faults.algorithmic.bfa import search
from hwgen.faults.algorithmic.flips import random_flips
from hwgen.faults.algorithmic.forward import logits
from hwgen.faults.algorithmic.objectives import untargeted
from hwgen.faults.consequence_campaign import NetworkCampaign, network_campaign, run_campaign
from hwgen.faults.consequence_models import compare_models
from hwgen.faults.consequence_rate import accuracy_under_faults
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.intervals import Interval
from hwgen.faults.models import faults
from hwgen.faults.plan import population
from hwgen.faults.replay import replay
from hwgen.numerics import IntArray
from hwgen.workloads.mnist import mnist_images, mnist_network

COMMAND = "python -m benchmarks.network_faults"

CONFIG = DspGemmConfig(rows=8, cols=8)
LAYERS = ("conv1", "conv2", "fc1", "fc2")
SAMPLES = 1000  # of a tile
SENTENCES = ("layer0.q_proj", "layer0.ffn_up", "layer0.ffn_down")
SENTENCE_SAMPLES = 200
WHAT = ("product", "layer", "answer")
DIGITS = 300  # among which the one nearest to a boundary is sought
RATED, REPLICATES = 10, 64  # digits under a fault rate, those nearest to a boundary, and inferences of each
PROBABILITIES = (0.01, 0.1, 1.0)
ATTACK, FLIPS, TESTED = 64, 4, 100
ACCELERATORS = ("edge", "n3h_z7020")


def measure(console: Console) -> list[Figure]:
    network = mnist_network()
    images, labels = mnist_images(DIGITS)
    near = _nearest(network, images, labels)
    found = {"a digit": images[7], "the digit nearest to a boundary": images[near[0]]}
    figures: list[Figure] = []
    campaigns: dict[str, NetworkCampaign] = {}
    for name, image in found.items():
        done = {layer: campaign(network, layer, image) for layer in LAYERS}
        figures += digit_figures(console, name, done)
        campaigns = campaigns or done
    figures += model_figures(console, campaigns)
    figures += rate_figures(console, network, images[near[:RATED]], labels[near[:RATED]])
    figures += sentence_figures(console)
    figures += replay_figures(console, images, labels)
    return figures


def _nearest(network: Network, images: IntArray, labels: IntArray) -> IntArray:
    """Digits by the lead of their class, the smallest one first; those that are classified wrongly come last."""
    seen = logits(network, images)
    ordered = np.sort(seen, axis=1)
    lead = np.where(seen.argmax(axis=1) == labels, ordered[:, -1] - ordered[:, -2], np.inf)
    return np.argsort(lead, kind="stable")


def campaign(network: Network, layer: str, image: IntArray) -> NetworkCampaign:
    site = TileSite.of(network, layer, image)
    subject = site.subject(CONFIG)
    members = population(subject.sites, subject.lanes.cycles, faults(0, 0))
    return run_campaign(site, CONFIG, members, name="mnist", samples=SAMPLES)


def digit_figures(console: Console, name: str, done: dict[str, NetworkCampaign]) -> list[Figure]:
    rows, figures = [], []
    for layer, one in done.items():
        site, where = one.site, one.masked
        assert isinstance(site, TileSite)
        m, n = site.sums.shape
        rows.append(
            (
                layer, f"{m}x{site.a.shape[1]}x{n}", f"{one.population.cycles:,}", _percent(one.hardware.whole.avf),
                _percent(one.hardware.whole.sdc),
                *(f"{100 * where[key].estimate:.1f}" for key in ("round", "clamp", "pool", "network")),
                _percent(one.silent), _percent(one.critical), round(one.found.rate),
            )
        )  # fmt: skip
        if name == "a digit":
            figures += [
                Figure(
                    name=f"network_faults.{layer}.core_sdc", value=round(100 * one.hardware.whole.sdc.estimate, 2),
                    unit="% of upsets give wrong sums", command=COMMAND,
                ),
                Figure(
                    name=f"network_faults.{layer}.network_sdc", value=round(100 * one.silent.estimate, 2),
                    unit="% change a result of the network", command=COMMAND,
                ),
                Figure(
                    name=f"network_faults.{layer}.rate", value=round(one.found.rate), command=COMMAND,
                    unit="faults per second, to the answer",
                ),
            ]  # fmt: skip
        else:
            figures.append(
                Figure(
                    name=f"network_faults.{layer}.critical",
                    value=round(100 * one.critical.estimate, 2),
                    unit="% change the class of the digit nearest to a boundary",
                    command=COMMAND,
                )
            )
    lead = next(iter(done.values())).site.untouched(1)["margin"][0]
    title = (
        f"MNIST CNN, INT8, {name} (its class leads by {lead:g} steps): {SAMPLES:,} flip-flop upsets in a tile on the "
        "8 x 8 core; % with 95 % intervals"
    )
    heads = (
        "layer", "tile", "cycles", "core: not masked", "core: SDC", "round", "clamp", "pool", "network",
        "result differs", "class differs", "faults/s",
    )  # fmt: skip
    console.print(table(title, heads, rows))
    return figures


def model_figures(console: Console, campaigns: dict[str, NetworkCampaign]) -> list[Figure]:
    figures = []
    for layer, one in campaigns.items():
        assert isinstance(one.site, TileSite)
        spreads = compare_models(one.site, one.rows, n_cin=CONFIG.rows)
        rows = [
            (
                s.model, s.faults, f"{100 * s.sums:.1f}", f"{100 * s.outputs:.1f}", f"{100 * s.network:.1f}",
                f"{100 * s.answer:.1f}", round(s.changed, 2), s.most_changed, s.deviation, s.large_deviation,
                round(s.margin, 2),
            )
            for s in spreads
        ]  # fmt: skip
        heads = (
            "model", "faults", "sums, %", "outputs, %", "network, %", "class, %", "outputs hit", "most", "median step",
            "95 % step", "lead lost",
        )  # fmt: skip
        console.print(
            table(f"{layer}: the same number of faults by each model, in the same tile", heads, rows)
        )
        by_model = {s.model: s for s in spreads}
        figures.append(
            Figure(
                name=f"network_faults.{layer}.mibb_over_netlist", command=COMMAND,
                value=round(by_model["mibb"].network / max(by_model["netlist, wrong sums"].network, 1e-9), 2),
                unit="times as often does a MiBB fault reach the network's result as a wrong sum of the netlist",
            )
        )  # fmt: skip
    return figures


def rate_figures(console: Console, network: Network, images: IntArray, labels: IntArray) -> list[Figure]:
    rows, figures = [], []
    for layer in ("conv1", "fc1", "fc2"):
        seen = accuracy_under_faults(
            network, images, labels, layer, CONFIG, PROBABILITIES, replicates=REPLICATES
        )
        told = [
            f"{100 * a:.2f} ± {100 * e:.2f}" for a, e in zip(seen.accuracy, seen.error, strict=True)
        ]  # standard errors
        figures.append(
            Figure(
                name=f"network_faults.{layer}.harmful", value=round(100 * seen.harmful, 2), command=COMMAND,
                unit=f"% of upsets cost the class of one of the {len(images)} digits nearest to a boundary",
            )
        )  # fmt: skip
        rows.append((layer, seen.faults, f"{100 * seen.clean:.2f}", *told))
    heads = ("layer", "faults", "no faults", *(f"p = {p:g}" for p in PROBABILITIES))
    title = f"Accuracy, %, on the {len(images)} nearest digits, {REPLICATES} inferences each, struck with probability p"
    console.print(table(title, heads, rows))
    return figures


def sentence_figures(console: Console) -> list[Figure]:
    rows, figures = [], []
    for layer in SENTENCES:
        one = network_campaign("minilm", layer, 0, samples=SENTENCE_SAMPLES)
        told = one.to_dict()
        rows.append(
            (
                layer, f"{one.site.a.shape[0]}x{one.site.a.shape[1]}x{one.site.b.shape[1]}",
                _percent(one.hardware.whole.sdc),
                *(f"{told[f'cosine_{what}'][q]:.6f}" for what in WHAT for q in ("median", "p5")),
                _percent(one.critical), round(one.found.rate),
            )
        )  # fmt: skip
        figures.append(
            Figure(
                name=f"network_faults.minilm.{layer}.critical", value=round(100 * one.critical.estimate, 1),
                unit="% of upsets move the sentence's embedding below a cosine of 0.99", command=COMMAND,
            )
        )  # fmt: skip
    heads = (
        "product", "tile", "core: SDC, %", "product: median", "5 %", "layer: median", "5 %", "embedding: median", "5 %",
        "below 0.99, %", "faults/s",
    )  # fmt: skip
    config = CORE.supported["dsp_gemm_int8_16x16_ultrascale"]
    title = (
        f"MiniLM, one sentence: {SENTENCE_SAMPLES} upsets in a tile on the {config.rows} x {config.cols} core; cosines "
        "with the fault-free run, of those with wrong sums"
    )
    console.print(table(title, heads, rows))
    return figures


def replay_figures(console: Console, images: IntArray, labels: IntArray) -> list[Figure]:
    rows, wrong = [], 0
    for name in ACCELERATORS:
        config = accelerator(name, {})
        for bits in (8, 4):
            victim = mnist_network(bits, config.scale_bits).rounded(config.roundings[0])
            found = search(victim, images[:ATTACK], untargeted(labels[:ATTACK]), flips=FLIPS)
            tests, answers = images[ATTACK : ATTACK + TESTED], labels[ATTACK : ATTACK + TESTED]
            for kind, flips in (("found", found.flips), ("random", random_flips(victim, FLIPS))):
                done = replay(victim, flips, config, tests)
                wrong += done.differences
                rows.append(
                    (
                        name, f"W{bits}A8", kind, len(flips), sum(map(len, done.bits)),
                        f"{100 * (done.before == answers).mean():.1f}", f"{100 * (done.upset == answers).mean():.1f}",
                        done.differences,
                    )
                )  # fmt: skip
    heads = (
        "accelerator", "network", "flips", "number", "bits of memory", "accuracy before, %", "after, %", "differences",
    )  # fmt: skip
    console.print(table(f"Flipped weight bits in hardware, {TESTED} digits in the simulator", heads, rows))
    return [
        Figure(
            name="network_faults.replay.differences", value=wrong, command=COMMAND, goal=Goal("==", 0),
            unit="results that differ between forward pass, recompiled network and upset memory",
        )
    ]  # fmt: skip


def _percent(one: Interval) -> str:
    return f"{100 * one.estimate:.1f} ({100 * one.low:.1f}..{100 * one.high:.1f})"


if __name__ == "__main__":
    main(measure, __doc__)
