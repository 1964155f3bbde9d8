"""The corner turn: planes of every width, mixed blocks back to back and with gaps, masks, and what it costs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.emit import emit
from hwgen.parts.corner_turn import LATENCY, WIDTHS, beats, block_beats, codes, travel_bits
from hwgen.parts.corner_turn.rtl import CornerTurn
from hwgen.synthesis import synthesise
from hwgen.verilated import build_model

HARNESS = """
#include <cstdio>
#include <cstring>
#include <memory>
#include "Vtop.h"
#include "verilated.h"

// Stimulus and answers are words of BYTES bytes, each after first, travel_log and count (two bytes).
int main(int argc, char** argv) {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    unsigned char line[4 + BYTES], word[(BYTES + 7) / 8 * 8];
    while (std::fread(line, 1, sizeof line, in) == sizeof line) {
        top->clk = 0;
        top->first = line[0];
        top->travel_log = line[1];
        top->count = line[2] | line[3] << 8;
        std::memset(word, 0, sizeof word);
        std::memcpy(&top->i, line + 4, BYTES);
        top->eval();
        std::memcpy(word, &top->o, BYTES);
        std::fwrite(word, 1, BYTES, out);
        top->clk = 1;
        top->eval();
    }
    std::fclose(out);
    return 0;
}
"""


@pytest.mark.parametrize("width", [8, 16, 32, 64, 72, 256])
def test_planes_come_in_order_and_in_time(width: int, tmp_path: Path) -> None:
    verilog = tmp_path / "corner_turn.v"
    verilog.write_text(emit(CornerTurn(width), "corner_turn", {}).verilog)
    model = build_model(
        verilog=[verilog],
        top="corner_turn",
        harness=HARNESS.replace("BYTES", str(width // 8)),
        flags=["-CFLAGS", "-O0"],
        waivers=[toolchain.waivers()],
    )
    rng = np.random.default_rng(width)
    lines, planes, log = [], {}, {travel: i for i, travel in enumerate(WIDTHS)}
    for n in range(600):
        travel = int(rng.choice(WIDTHS)) if n % 40 > 20 else 8
        count = int(rng.choice([1, width, rng.integers(1, width, endpoint=True)]))
        values = rng.integers(0, 1 << travel, (1, count))
        words = beats(values, width, travel)
        assert len(words) == block_beats(count, travel)
        for p in range(travel):
            bits = np.zeros(width, np.uint8)
            bits[:count] = values[0] >> p & 1
            planes[len(lines) + LATENCY] = np.packbits(bits, bitorder="little").tobytes()
            # Words that nobody sends are whatever was there: the mask must not let them through.
            word = words[p] if p < len(words) else rng.integers(0, 256, width // 8, np.uint8)
            # Controls are taken with the first word and may change afterwards.
            said = (log[travel], count) if p == 0 else (int(rng.integers(4)), int(rng.integers(1, width)))
            lines.append(bytes([p == 0, said[0], said[1] & 255, said[1] >> 8]) + word.tobytes())
        gap = rng.integers(0, 256, (int(rng.choice([0, 0, 0, 1, 5])), width // 8), np.uint8)
        lines += [bytes([0, 0, 1, 0]) + word.tobytes() for word in gap]
    lines += [bytes(4 + width // 8)] * LATENCY
    Path(tmp_path, "in").write_bytes(b"".join(lines))
    subprocess.run([model, tmp_path / "in", tmp_path / "out"], check=True, env=dict(os.environ))
    seen = Path(tmp_path, "out").read_bytes()
    for cycle, plane in planes.items():
        assert seen[cycle * width // 8 : (cycle + 1) * width // 8] == plane, cycle


@pytest.mark.parametrize("travel", WIDTHS)
@pytest.mark.parametrize("length", [1, 3, 8, 15, 16, 17, 40])
def test_words_hold_each_value_once(travel: int, length: int) -> None:
    width = 16
    values = np.arange(2 * length).reshape(2, length) % (1 << travel)
    words = np.unpackbits(beats(values, width, travel), axis=1, bitorder="little")
    per_row = len(words) // 2
    assert per_row == length // width * travel + min(travel, length % width)
    for row in range(2):
        for k in range(length):
            block, at = divmod(k, width)
            word = words[row * per_row + block * travel + at % travel]
            lane = word[at // travel * travel :][:travel]
            assert int(lane @ (1 << np.arange(travel))) == values[row, k]


def test_travelling_widths_and_codes() -> None:
    assert [travel_bits(bits) for bits in range(1, 9)] == [1, 2, 4, 4, 8, 8, 8, 8]
    assert codes(np.array([-1, 1]), 1, bipolar=True).tolist() == [0, 1]
    assert codes(np.array([-4, -1, 3]), 3).tolist() == [4, 7, 3]


def test_the_exchanges_take_few_luts(tmp_path: Path) -> None:
    path = tmp_path / "corner_turn.v"
    path.write_text(emit(CornerTurn(64), "corner_turn", {}).verilog)
    cells = synthesise(path, "corner_turn")
    assert cells.lut <= 5.5 * 64
    assert cells.ff <= 4 * 64
