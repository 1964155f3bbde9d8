"""The array alone: random sums with bubbles, as close together as they may come, each row in its cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.cores.lut_gemm.array import Array
from hwgen.cores.lut_gemm.shape import ArrayShape

SHAPES = [(1, 8, 1), (3, 16, 2), (9, 8, 2), (2, 8, 17), (10, 8, 9)]


def _word(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits.ravel(), bitorder="little").tobytes(), "little")


def _steps(shape: ArrayShape, rng: np.random.Generator) -> tuple[list[dict[str, Any]], dict[int, np.ndarray]]:
    """Ports in every cycle, and the rows that leave, by cycle."""
    ports: list[dict[str, Any]] = []
    rows: dict[int, np.ndarray] = {}
    earliest = 0
    for _ in range(12):
        length = int(rng.choice([1, 2, shape.dm, 6]))
        total = np.zeros((shape.dm, shape.dn), np.int64)
        for n in range(length):
            last = n == length - 1
            idle = max(0, earliest - len(ports)) if last else 0
            idle += int(rng.choice([0, 0, 0, 3]))
            for valid in [0] * idle + [1]:
                a = rng.integers(0, 2, (shape.dm, shape.dk), np.uint8)
                b = rng.integers(0, 2, (shape.dn, shape.dk), np.uint8)
                step = {name: int(rng.integers(2)) for name in ("shift", "negate")}
                # Without a step the controls mean nothing.
                clear, end = (n == 0, last) if valid else (rng.integers(2), rng.integers(2))
                step |= {"a": _word(a), "b": _word(b), "valid": valid, "clear": int(clear), "last": int(end)}
                if valid:
                    count = a.astype(np.int64) @ b.T.astype(np.int64)
                    base = 0 if n == 0 else total * (2 if step["shift"] else 1)
                    total = base + (-count if step["negate"] else count)
                ports.append(step)
        earliest = len(ports) - 1 + shape.dm
        for row in range(shape.dm):
            rows[len(ports) - 1 + shape.latency + row] = total[row]
    return ports, rows


@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_rows_leave_in_their_cycles(size: tuple[int, int, int]) -> None:
    shape = ArrayShape(*size, primitive=False)
    ports, rows = _steps(shape, np.random.default_rng(sum(size)))
    array = Array(shape)
    seen: dict[int, list[int]] = {}

    async def bench(ctx: Any) -> None:
        for cycle in range(len(ports) + shape.latency + shape.dm + 3):
            for name, value in (ports[cycle] if cycle < len(ports) else {"valid": 0}).items():
                ctx.set(getattr(array, name), value)
            if ctx.get(array.row_valid):
                row = ctx.get(array.row)
                seen[cycle] = [row >> (32 * n) & 0xFFFFFFFF for n in range(shape.dn)]
            await ctx.tick()

    simulator = Simulator(array)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {cycle: (row % 2**32).tolist() for cycle, row in rows.items()}
