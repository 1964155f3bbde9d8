# amaranth: UnusedElaboratable=no
"""The whole accelerator between AXI masters and slaves that pause, fail and are reset at any time."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import In, Out

from hwgen.emit import Unit, place
from hwgen.program.encoding import instr
from hwgen.program.program import Program
from hwgen.system.config import SystemConfig
from hwgen.system.registers import ADDRESS_BITS, ERRORS
from hwgen.system.rtl import Accelerator
from hwgen.system.wishbone import WishboneBridge
from hwgen.verify.bench import CocotbBench

CODES = {e.name: e.code for e in ERRORS}


class Board(Unit):
    """The accelerator, with two masters for its registers: AXI4-Lite, or Wishbone while ``by_wishbone`` is high.

    The IDs are there for the bench only, whose buses cannot do without.
    """

    def __init__(self, config: SystemConfig):
        self.accelerator = Accelerator(config)
        self.bridge = WishboneBridge(ADDRESS_BITS)
        bridge = {f"near_{n}": m for n, m in self.bridge.signature.members.items() if n.startswith("wb_")}
        ids = {"m_axi_arid": Out(1), "m_axi_rid": In(1), "m_axi_awid": Out(1), "m_axi_bid": In(1)}
        super().__init__({**self.accelerator.signature.members, **bridge, **ids, "by_wishbone": In(1)})

    @property
    def kind(self) -> str:
        return "board"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        inner, bridge = self.accelerator, self.bridge
        place(m, "accelerator", inner, platform)
        place(m, "bridge", bridge, platform)
        for name, member in inner.signature.members.items():
            own, its = getattr(self, name), getattr(inner, name)
            if not name.startswith("s_axi_"):
                m.d.comb += own.eq(its) if member.flow == Out else its.eq(own)
                continue
            other = getattr(bridge, name.replace("s_axi", "m_axi"))
            if member.flow == In:
                m.d.comb += its.eq(Mux(self.by_wishbone, other, own))
            else:
                # Who is not in charge sees neither ready nor valid.
                hand = name.endswith(("valid", "ready"))
                m.d.comb += own.eq(its & ~self.by_wishbone if hand else its)
                m.d.comb += other.eq(its & self.by_wishbone if hand else its)
        for name, member in bridge.signature.members.items():
            if name.startswith("wb_"):
                own, its = getattr(self, f"near_{name}"), getattr(bridge, name)
                m.d.comb += own.eq(its) if member.flow == Out else its.eq(own)
        return m


@pytest.fixture(scope="module")
def board(tiny: SystemConfig, build: Callable[[Unit, str, str], CocotbBench]) -> CocotbBench:
    return build(Board(tiny), "axi_board", "verilator")


def packed(data: Any) -> str:
    """Bytes for the plan."""
    raw = np.asarray(data, np.uint8).tobytes() if not isinstance(data, bytes) else data
    return base64.b64encode(zlib.compress(raw)).decode()


def told(job: Any) -> dict[str, Any]:
    """A job for the plan."""
    return {
        "address": job.address,
        "count": len(job.program),
        "memory": packed(job.memory),
        "expected": packed(job.expected),
    }


def wrong_programs() -> dict[str, dict[str, Any]]:
    """Programs that must end in an error: bytes, code, engine and instruction."""
    window = instr("store.window")
    waits = instr("store.window", wait=["load"])
    gives = instr("load.position", group_count=1, signal=["store"])
    halt = instr("control.halt")
    bodies = {
        "ILLEGAL": Program((window, window)).body + bytes([0x06]) + bytes(15) + Program((halt,)).body,
        "DEADLOCK": Program((window, waits, halt)).body,
        "TOKEN_OVERFLOW": Program((*[gives] * 70, halt)).body,
        "TRUNCATED": Program((window,) * 5).body,
    }
    ends = {"ILLEGAL": (6, 2), "DEADLOCK": (15, 2), "TOKEN_OVERFLOW": (15, None), "TRUNCATED": (15, 5)}
    return {
        name: {"body": packed(body), "code": CODES[name], "engine": ends[name][0], "index": ends[name][1]}
        for name, body in bodies.items()
    }


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_results_do_not_depend_on_the_bus(
    seed: int,
    board: CocotbBench,
    run_bench: Callable[..., None],
    network_job: Callable[[int], Any],
    random_job: Callable[[int, int], Any],
) -> None:
    slow = seed > 1
    jobs = [network_job(seed), *(random_job(100 * seed + i, 14) for i in range(12 if slow else 3))]
    plan = {"jobs": [told(job) for job in jobs], "seed": seed, "rounds": 6 if slow else 3}
    run_bench(board, "axi_bench", "runs", plan)


@pytest.mark.parametrize("which", ["network", "random"])
def test_an_error_on_the_bus_stops_it_and_no_more(
    which: str,
    board: CocotbBench,
    run_bench: Callable[..., None],
    network_job: Callable[[int], Any],
    random_job: Callable[[int, int], Any],
) -> None:
    job = network_job(3) if which == "network" else random_job(31, 10)
    run_bench(board, "axi_bench", "bus_errors", {"jobs": [told(job)], "seed": 3})


@pytest.mark.parametrize("test", ["memory_that_ends", "resets", "orders", "wrong_programs", "by_wishbone"])
def test_whatever_happens_the_next_run_is_right(
    test: str, board: CocotbBench, run_bench: Callable[..., None], random_job: Callable[[int, int], Any]
) -> None:
    plan = {"jobs": [told(random_job(41, 10))], "seed": 4, "wrong": wrong_programs()}
    run_bench(board, "axi_bench", test, plan)
