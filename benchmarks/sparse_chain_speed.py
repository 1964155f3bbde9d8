"""Speed-up of N:M patterns over dense weights on the same chain, on MiniLM's two FFN products.

The weights are MiniLM's, INT8 with a scale per column, pruned by magnitude; the activations are those of 73 real
tokens, repeated up to 128. A slice of each pattern runs in the Verilog too, every beat compared. With ``--out FOLDER``
the table is written there as ``sparse_chain_speed.csv``.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.common import Figure, Goal, main, table
from hwgen.cores.sparse_chain import CORE, SparseChainConfig, SparseProduct
from hwgen.files import output_folder, write_if_changed
from hwgen.numerics import IntArray
from hwgen.parts.sparse import BLOCK, pattern_named, prune
from hwgen.verify.block import Block
from hwgen.verify.harness import Harness
from hwgen.verify.stimulus import patterns, stimulus
from hwgen.workloads.minilm import GemmProblem, load_layer
from sim import OPEN, simulate

COMMAND = "python -m benchmarks.sparse_chain_speed"
CONFIG = SparseChainConfig(rows=16, depth=1024, target="ultrascale+")
TOKENS = 128
PROVED_TOKENS, PROVED_COLUMNS = 32, 64

DENSE = pattern_named("16:16")
UNIFORM = ("8:16", "4:16", "2:16", "2:4", "1:4", "1:16")
GOALS = ("8:16", "4:16", "2:16", "2:4", "mix")
"""Those that must reach 97 % of M/N."""

MIX = {"16:16": 1, "8:16": 2, "2:4": 2, "4:16": 4, "1:4": 2, "2:16": 2, "1:16": 2, "0:16": 1}
"""Sixteenths of a matrix' blocks that get each pattern: those of the largest magnitude the first one, and so on."""


@dataclass(frozen=True)
class Row:
    """One pattern on one product; ``kept`` is the part of the magnitude that pruning left."""

    product: str
    pattern: str
    density: float
    kept: float
    codes: int
    values: int
    indices: int
    steps: int
    cycles: int
    speed_up: float
    bound: float
    limit: str

    @property
    def share(self) -> float:
        """Of the bound."""
        return self.speed_up / self.bound


HEADS = (
    "product", "pattern", "density", "magnitude", "KB codes, values, indices", "steps", "cycles", "speed-up", "M/N",
    "share", "limit",
)  # fmt: skip


def mixed(weights: IntArray, scale: np.ndarray) -> IntArray:
    """Blocks by their share of the matrix' magnitude: the larger, the denser the pattern."""
    k, n = weights.shape
    order = np.argsort(-_by_block(np.abs(weights) * scale), axis=None, kind="stable")
    codes = np.empty(n // BLOCK * (k // BLOCK), np.int64)
    ends = np.cumsum(list(MIX.values())) * codes.size // BLOCK
    for name, blocks in zip(MIX, np.split(order, ends[:-1]), strict=True):
        codes[blocks] = pattern_named(name).code
    return np.asarray(prune(weights, codes.reshape(n // BLOCK, k // BLOCK)), np.int64)


def _by_block(real: np.ndarray) -> np.ndarray:
    """Sums of each block, in the shape of the codes."""
    k, n = real.shape
    sums: np.ndarray = real.reshape(k // BLOCK, BLOCK, n // BLOCK, BLOCK).sum(axis=(1, 3)).T
    return sums


def operations(problem: GemmProblem) -> dict[str, SparseProduct]:
    """The product with dense weights, and with each pattern's."""
    acts = np.resize(problem.activations, (TOKENS, problem.activations.shape[1])).astype(np.int64)
    weights = problem.weights.astype(np.int64)
    found = {"16:16": SparseProduct(acts, weights, patterns=(DENSE,))}
    found |= {name: SparseProduct(acts, np.asarray(prune(weights, pattern_named(name)))) for name in UNIFORM}
    return found | {"mix": SparseProduct(acts, mixed(weights, problem.weight_scale))}


def _row(name: str, pattern: str, op: SparseProduct, weights: IntArray, dense: int) -> Row:
    model = CORE.timing(CONFIG)
    cycles = simulate(model, [op]).cycles
    losses = model.losses(op)
    steps = losses["compute"] + losses["edges"]
    packed = [op.packed(CONFIG, part) for part in op.cut(CONFIG).passes()]
    slots = sum(int(one.slots.sum()) for one in packed)
    bound = BLOCK * sum(one.slots.size for one in packed) / slots
    rest = {"rounds": losses["rounds"], "fill": losses["fill and drain"]}
    most = max(rest, key=lambda key: rest[key])
    limit = f"{most} {100 * rest[most] / cycles:.2f} %"
    beats = CORE.marks(CONFIG, [op])
    moved = {s.name: beats[s.name][0] * s.bytes for s in CONFIG.streams}
    magnitude = float(np.abs(op.b).sum() / np.abs(weights).sum())
    density = np.count_nonzero(op.b) / op.b.size
    return Row(
        name, pattern, density, magnitude, moved["code"], moved["value"], moved["index"], round(steps), cycles,
        dense / cycles, bound, limit,
    )  # fmt: skip


def measure(console: Console, folder: Path | None = None) -> list[Figure]:
    problems = [p for p in load_layer(0) if "ffn" in p.name]
    harness = Block(CORE, CONFIG).harness()
    rows: list[Row] = []
    proofs: list[tuple[object, ...]] = []
    for problem in problems:
        ops = operations(problem)
        weights = ops["16:16"].b
        dense = simulate(CORE.timing(CONFIG), [ops["16:16"]]).cycles
        for pattern, op in ops.items():
            rows.append(_row(problem.name, pattern, op, weights, dense))
            proofs.append((problem.name, pattern, *_proof(harness, op)))
    _print(console, rows, proofs)
    if folder is not None:
        output_folder(folder)
        write_if_changed(folder / "sparse_chain_speed.csv", as_csv(rows))
        console.print(f"{folder / 'sparse_chain_speed.csv'} written", highlight=False)
    equal = sum(bool(proof[-1]) for proof in proofs)
    figures = [
        Figure(
            name="sparse_chain_speed.slices_equal_to_rtl", value=equal, unit=f"of {len(proofs)}", command=COMMAND,
            goal=Goal("==", len(proofs)),
        )
    ]  # fmt: skip
    for row in rows:
        if row.pattern == "16:16":
            continue
        name = f"sparse_chain_speed.{row.product}.{row.pattern.replace(':', '_')}"
        goal = Goal(">=", 0.97) if row.pattern in GOALS else None
        figures += [
            Figure(name=f"{name}.speed_up", value=row.speed_up, unit="x dense", command=COMMAND),
            Figure(name=f"{name}.share_of_m_over_n", value=row.share, unit="", command=COMMAND, goal=goal),
        ]
    return figures


def _print(console: Console, rows: list[Row], proofs: list[tuple[object, ...]]) -> None:
    parts = ", ".join(f"{share} {name}" for name, share in MIX.items())
    console.print(
        f"{CONFIG}: {CONFIG.array.macs} MAC per cycle, {TOKENS} tokens.\n"
        f"Weights are sent once per {CONFIG.rows} tokens, and KB are what the streams carry in all. "
        f"Of 16 blocks of the mix, by falling magnitude: {parts}. What limits: cycles of rounds that are too short, "
        "or to fill the first half of the memories and to start passes.",
        highlight=False,
    )
    shown = []
    for row in rows:
        moved = " ".join(f"{size / 1024:,.0f}" for size in (row.codes, row.values, row.indices))
        parts_kept = (f"{100 * part:.1f} %" for part in (row.density, row.kept))
        ratios = (f"{row.speed_up:.3f}", f"{row.bound:.3f}", f"{100 * row.share:.2f} %")
        name = row.product.removeprefix("layer0.")
        shown.append((name, row.pattern, *parts_kept, moved, row.steps, row.cycles, *ratios, row.limit))
    console.print(table("Simulator, whole products", HEADS, shown))
    heads = ("product", "pattern", "M x N x K", "simulator", "Verilog", "beats", "cycles and values")
    title = "Simulator and Verilog (compiled harness), slices"
    marked = [(*proof[:-1], "equal" if proof[-1] else "DIFFERENT") for proof in proofs]
    console.print(table(title, heads, marked))


def _proof(harness: Harness, op: SparseProduct) -> tuple[str, int, int, int, bool]:
    """Size, cycles of simulator and Verilog, beats compared, and whether everything was equal."""
    part = SparseProduct(op.a[:PROVED_TOKENS], op.b[:, :PROVED_COLUMNS], patterns=op.patterns)
    ops, model = [part], CORE.timing(CONFIG)
    gates = dict.fromkeys([stream.name for stream in CONFIG.streams], OPEN)
    simulated = simulate(
        model,
        ops,
        values=lambda ops: CORE.values(CONFIG, ops),
        inputs={s.name: gates[s.name] for s in CONFIG.streams if s.direction == "in"},
        outputs={"c": gates["c"]},
    )
    seen = harness.run(stimulus(CORE, CONFIG, ops, patterns("free", CONFIG.streams, 0)))
    (golden,) = CORE.golden(CONFIG, ops)
    assert simulated.outputs is not None
    values = np.array_equal(CORE.collect(CONFIG, ops, seen.outputs)[0], golden)
    values = values and np.array_equal(simulated.outputs[0], golden)
    times = all(np.array_equal(seen.transfers[name], simulated.transfers[name]) for name in gates)
    closed = simulate(model, ops).cycles == simulated.cycles == seen.cycles
    m, n, k = part.shape
    beats = sum(len(moved) for moved in seen.transfers.values())
    return f"{m} x {n} x {k}", simulated.cycles, seen.cycles, beats, values and times and closed


def as_csv(rows: list[Row]) -> str:
    """The table, numbers unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (
            "product", "pattern", "density", "magnitude_kept", "code_bytes", "value_bytes", "index_bytes", "steps",
            "cycles", "speed_up", "m_over_n", "share", "limit",
        )
    )  # fmt: skip
    for row in rows:
        writer.writerow(
            (
                row.product, row.pattern, row.density, row.kept, row.codes, row.values, row.indices, row.steps,
                row.cycles, row.speed_up, row.bound, row.share, row.limit,
            )
        )  # fmt: skip
    return text.getvalue()


if __name__ == "__main__":
    main(measure, __doc__, into=measure)
