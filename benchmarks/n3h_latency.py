"""ResNet-18 at N3H-Core's published bit widths, layer by layer beside N3H-Core's own latency model."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.commands.executors import DRAM, simulate, timed
from hwgen.commands.jobs import Numbers, network_job
from hwgen.commands.run_account import LayerFigures, figures
from hwgen.commands.targets import accelerator
from hwgen.compile.network import random_network
from hwgen.explore import n3h
from hwgen.system.config import SystemConfig
from hwgen.workloads.layers import Workload
from hwgen.workloads.tables import load

COMMAND = "python -m benchmarks.n3h_latency"
TARGET = "n3h_z7045"
PEER = "N3H-Core's latency model (hwgen.explore.n3h), its released strategy and hardware point, products only"
MODES = ("auto", "split", "dsp", "lut")


def published(mode: str) -> Workload:
    """ResNet-18 at the published bits; the split is the compiler's, the published one, or none."""
    layers, strategy = [], iter(n3h.RESNET18_STRATEGY)
    for layer in load("resnet18").layers:
        if layer.product:
            act_bits, weight_bits, share = next(strategy)
            shares = {"auto": None, "split": share, "dsp": 0.0, "lut": 1.0}
            layer = replace(layer, act_bits=act_bits, weight_bits=weight_bits, lut_share=shares[mode])
        layers.append(layer)
    return replace(load("resnet18"), layers=tuple(layers))


def cycles(config: SystemConfig, mode: str) -> list[LayerFigures]:
    """Every layer of the network in one of the modes."""
    network = random_network(published(mode), 0, config.scale_bits, with_weights=False)
    job = network_job(config, Numbers(network, {}), lut_share=None, images=1)
    seen = simulate(config, job.program)
    return figures(job, timed(config, job.program.body), seen.starts, seen.ends, seen.drained + 1, DRAM)


def measure(console: Console) -> list[Figure]:
    config = accelerator(TARGET, {})
    model = n3h.network()
    found = {mode: cycles(config, mode) for mode in MODES}
    names = [layer.name for layer in found["auto"]]
    products = [layer.name for layer in found["auto"] if layer.macs]
    peers = dict(zip(products, model.layers, strict=True))
    rows, records = [], []
    for i, name in enumerate(names):
        ours = {mode: found[mode][i].cycles or 0 for mode in MODES}
        layer, peer = found["auto"][i], peers.get(name)
        assert layer.bounds is not None
        theirs = (peer.split, peer.dsp, peer.lut) if peer else ("-",) * 3
        verdict = "" if peer is None else "met" if ours["auto"] <= peer.split else "MISSED"
        bits = f"{layer.act_bits}x{layer.weight_bits}" if layer.macs else "-"
        rows.append((name, bits, *ours.values(), *theirs, layer.bounds.roofline, verdict))
        if peer is not None:
            records.append(_figure(f"auto.{name}", ours["auto"], peer.split))
    totals = {mode: sum(layer.cycles or 0 for layer in found[mode]) for mode in MODES}
    bound = sum(layer.bounds.roofline for layer in found["auto"] if layer.bounds)
    rows.append(("all", "", *totals.values(), model.split, model.dsp, model.lut, bound, ""))
    heads = ("layer", "bits", *MODES, "N3H split", "N3H dsp", "N3H lut", "roofline", "auto")
    console.print(table(f"ResNet-18 on {TARGET}, cycles", heads, rows))
    console.print(
        "auto: the compiler weighs every split; split: the published shares; dsp, lut: all products on one core. "
        "Layers and totals of hwgen include memory, pools and additions; N3H's are products only. fc reads 512,000 "
        "weights: at 8 bits and 8 bytes per cycle no schedule takes fewer than 64,000 cycles.",
        highlight=False,
    )
    pairs = {"auto": model.split, "split": model.split, "dsp": model.dsp, "lut": model.lut}
    return [_figure(f"total.{mode}", totals[mode], peer) for mode, peer in pairs.items()] + records


def _figure(name: str, value: int, peer: int) -> Figure:
    return Figure(
        name=f"n3h_latency.{name}", value=value, unit="cycles", command=COMMAND, goal=Goal("<=", peer), peer=peer,
        peer_source=PEER,
    )  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
