"""The memory's contract: against hand-made timelines, and against the text of the contract in plain Python."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from sim import native

IN = (
    "arvalid",
    "araddr",
    "arbeats",
    "awvalid",
    "awaddr",
    "awbeats",
    "wvalid",
    "wdata",
    "wstrb",
    "wlast",
    "rready",
    "bready",
)
OUT = ("arready", "awready", "rvalid", "rlast", "wready", "bvalid", "rresp", "bresp", "rdata", "still")
FLAGS = [flag for flag in native.FLAGS if not flag.startswith("-O")]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    path = tmp_path_factory.mktemp("probe") / "probe.so"
    here = Path(__file__).parent
    command = [str(toolchain.compiler()), *FLAGS, f"-I{Path(native.__file__).parent}"]
    subprocess.run([*command, "-o", str(path), str(here / "dram_probe.cpp")], check=True)
    library = ctypes.CDLL(str(path))
    library.probe.restype = ctypes.c_char_p

    def run(config, stimulus, memory=None, fails=()):
        """Outputs per cycle by name, the memory after, and the violation."""
        rows = np.zeros((len(stimulus), len(IN)), np.int64)
        rows[:, [IN.index("arbeats"), IN.index("awbeats")]] = 1
        rows[:, IN.index("wstrb")] = 0xFF
        for row, given in zip(rows, stimulus, strict=True):
            for name, value in given.items():
                row[IN.index(name)] = value
        out = np.zeros((len(stimulus), len(OUT)), np.int64)
        memory = np.zeros(4096, np.uint8) if memory is None else memory.copy()
        settings = np.array(config, np.int64)
        failing = np.array(fails, np.int64).reshape(-1, 3)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (settings, rows, out, memory, failing)]
        text = library.probe(
            pointers[0], ctypes.c_int64(len(rows)), pointers[1], pointers[2], pointers[3],
            ctypes.c_int64(memory.size), ctypes.c_int64(len(failing)), pointers[4],
        )  # fmt: skip
        return dict(zip(OUT, out.T, strict=True)), memory, text.decode()

    return run


def cycles(wave):
    return np.flatnonzero(wave).tolist()


def script(length, *parts):
    """Inputs per cycle: ``(first, last, values)`` holds for these cycles."""
    rows = [{"rready": 1, "bready": 1} for _ in range(length)]
    for first, last, values in parts:
        for row in rows[first : last + 1]:
            row.update(values)
    return rows


@pytest.mark.parametrize("latency", [1, 2, 5])
@pytest.mark.parametrize("interval", [1, 3])
def test_a_read(probe, latency, interval):
    content = np.arange(4096, dtype=np.uint8)
    stimulus = script(40, (2, 2, {"arvalid": 1, "araddr": 16, "arbeats": 3}))
    out, _, text = probe((latency, interval, 2, 1), stimulus, content)
    beats = [2 + latency + i * interval for i in range(3)]
    assert cycles(out["rvalid"]) == beats
    assert cycles(out["rlast"]) == beats[-1:]
    assert out["rdata"][beats].tolist() == content[16:40].view(np.int64).tolist()
    assert not out["wready"].any()
    assert text == ""


def test_a_beat_that_is_not_taken_stays(probe):
    stimulus = script(12, (0, 0, {"arvalid": 1, "arbeats": 2}), (0, 5, {"rready": 0}))
    out, _, _ = probe((1, 2, 1, 1), stimulus)
    assert cycles(out["rvalid"]) == [1, 2, 3, 4, 5, 6, 8]


def test_a_write_and_its_response(probe):
    stimulus = script(
        14,
        (1, 1, {"awvalid": 1, "awaddr": 8, "awbeats": 2}),
        (2, 2, {"wvalid": 1, "wdata": 0x0807060504030201}),
        (3, 3, {"wvalid": 1, "wdata": -1, "wstrb": 0b10010, "wlast": 1}),
        (0, 8, {"bready": 0}),
    )
    out, memory, text = probe((9, 1, 2, 4), stimulus)
    assert cycles(out["wready"]) == [2, 3]
    assert cycles(out["bvalid"]) == [7, 8, 9]
    assert memory[8:24].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 0, 255, 0, 0, 255, 0, 0, 0]
    assert text == ""


def test_bursts_are_queued_until_their_last_beat(probe):
    stimulus = script(30, (0, 29, {"arvalid": 1, "arbeats": 4}))
    out, _, _ = probe((3, 1, 2, 1), stimulus)
    # Two are accepted; the first moves in 3..6, the second right after it.
    assert cycles(out["arready"])[:5] == [0, 1, 7, 11, 15]
    assert cycles(out["rvalid"]) == list(range(3, 30))


def test_directions_take_turns(probe):
    both = {"arvalid": 1, "arbeats": 2, "awvalid": 1, "awbeats": 2, "wvalid": 1}
    stimulus = script(20, (0, 19, both))
    out, _, _ = probe((1, 1, 4, 1), stimulus)
    assert cycles(out["rvalid"]) == [1, 2, 5, 6, 9, 10, 13, 14, 17, 18]
    assert cycles(out["wready"]) == [3, 4, 7, 8, 11, 12, 15, 16, 19]


def test_errors_at_chosen_bursts(probe):
    read = {"arvalid": 1, "arbeats": 2}
    write = {"awvalid": 1, "wvalid": 1, "wlast": 1}
    stimulus = script(40, (0, 2, read), (20, 22, write), (23, 30, {"wvalid": 1, "wlast": 1}))
    out, _, _ = probe((1, 1, 8, 1), stimulus, fails=[(0, 1, 2), (1, 2, 3)])
    assert out["rresp"][cycles(out["rvalid"])].tolist() == [0, 0, 2, 2, 0, 0]
    assert out["bresp"][cycles(out["bvalid"])].tolist() == [0, 0, 3]


def test_outside_of_the_memory(probe):
    stimulus = script(
        20,
        (0, 0, {"arvalid": 1, "araddr": 4096 - 8}),
        (1, 1, {"arvalid": 1, "araddr": 4096}),
        (5, 5, {"awvalid": 1, "awaddr": 1 << 30}),
        (6, 6, {"wvalid": 1, "wlast": 1}),
        (8, 8, {"awvalid": 1, "awaddr": 1 << 30}),
        (9, 9, {"wvalid": 1, "wlast": 1, "wstrb": 0}),
    )
    out, memory, text = probe((1, 1, 2, 1), stimulus)
    assert out["rresp"][cycles(out["rvalid"])].tolist() == [0, 3]
    assert out["bresp"][cycles(out["bvalid"])].tolist() == [3, 0]
    assert not memory.any()
    assert text == ""


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([(0, 0, {"arvalid": 1, "araddr": 4088, "arbeats": 2})], "a read burst crosses 4 KiB"),
        ([(0, 0, {"awvalid": 1, "awaddr": 4089, "awbeats": 2})], "a write burst crosses 4 KiB"),
        ([(0, 5, {"arvalid": 1}), (3, 3, {"araddr": 8})], "a read address changed before it was taken"),
        ([(0, 2, {"awvalid": 1, "awbeats": 9})], "a write address changed before it was taken"),
        ([(0, 2, {"wvalid": 1})], "a write beat went before it was taken"),
        ([(0, 0, {"awvalid": 1}), (1, 1, {"wvalid": 1})], "WLAST is wrong"),
    ],
)
def test_broken_promises_are_seen(probe, parts, text):
    _, _, found = probe((9, 1, 1, 1), script(10, *parts))
    assert found == text


class Contract:
    """The numbered text of dram.hpp."""

    def __init__(self, latency, interval, depth, write_latency):
        self.latency, self.interval, self.depth, self.write_latency = latency, interval, depth, write_latency
        self.queues = {"r": [], "w": []}
        self.due, self.bus, self.left, self.wait, self.served, self.t = [], None, 0, 0, "w", 0

    def outputs(self):
        moves = self.wait == 0
        return {
            "arready": len(self.queues["r"]) < self.depth,
            "awready": len(self.queues["w"]) < self.depth,
            "rvalid": self.bus == "r" and moves,
            "rlast": self.bus == "r" and moves and self.left == 1,
            "wready": self.bus == "w" and moves,
            "bvalid": bool(self.due) and self.due[0] <= self.t,
        }

    def edge(self, q, shown):
        t = self.t
        if shown["bvalid"] and q["bready"]:
            self.due.pop(0)
        if q["arvalid"] and shown["arready"]:
            self.queues["r"].append((t + self.latency, q["arbeats"]))
        if q["awvalid"] and shown["awready"]:
            self.queues["w"].append((t + 1, q["awbeats"]))
        if (shown["rvalid"] and q["rready"]) or (shown["wready"] and q["wvalid"]):
            self.wait = self.interval - 1
            self.left -= 1
            if self.left == 0:
                if self.bus == "w":
                    self.due.append(t + self.write_latency)
                self.queues[self.bus].pop(0)
                self.bus = None
        else:
            self.wait = max(self.wait - 1, 0)
        if self.bus is None:
            ready = [way for way, queue in self.queues.items() if queue and queue[0][0] <= t + 1]
            if ready:
                other = [way for way in ready if way != self.served]
                self.bus = self.served = (other or ready)[0]
                self.left = self.queues[self.bus][0][1]
        self.t += 1


@pytest.mark.parametrize("seed", range(12))
def test_random_traffic_follows_the_text(probe, seed):
    rng = np.random.default_rng(seed)
    config = (
        int(rng.integers(1, 20)),
        int(rng.integers(1, 4)),
        int(rng.integers(1, 6)),
        int(rng.integers(1, 30)),
    )
    odds = {name: rng.uniform(0.1, 1) for name in ("arvalid", "awvalid", "wvalid", "rready", "bready")}
    stimulus = [
        {name: int(rng.random() < p) for name, p in odds.items()}
        | {"arbeats": int(rng.integers(1, 9)), "awbeats": int(rng.integers(1, 9))}
        for _ in range(3000)
    ]
    out, _, _ = probe(config, stimulus)
    contract = Contract(*config)
    for t, q in enumerate(stimulus):
        shown = contract.outputs()
        assert shown == {name: bool(out[name][t]) for name in shown}, t
        contract.edge(q, shown)


def test_standing_still_is_foretold(probe):
    """Between two cycles in which something is handed over, the outputs change when `still_until` says."""
    stimulus = script(60, (0, 0, {"arvalid": 1, "arbeats": 2}), (0, 59, {"bready": 0}))
    out, _, _ = probe((20, 5, 2, 1), stimulus)
    # From cycle 1 on nothing happens before the edge of cycle 19 grants the bus; the beats are in 20 and 25.
    assert (np.arange(60) + out["still"])[1:20].tolist() == [19] * 19
    assert (np.arange(60) + out["still"])[21:25].tolist() == [25] * 4
    assert (out["still"][26:] == -1 - np.arange(26, 60)).all()  # never: the largest number, as seen from now
