"""The vector engine: every operation under random loops, each byte it writes and the cycle in which it ends."""

from __future__ import annotations

import functools
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hwgen import toolchain
from hwgen.emit import emit
from hwgen.files import output_folder, write_if_changed
from hwgen.numerics import INT32, IntArray, IntFormat, wrap
from hwgen.parts.requantise.golden import requantise
from hwgen.program.layout import layout, opcode
from hwgen.program.table import ROUNDING, VEC_OPS, instruction
from hwgen.system.config import SystemConfig
from hwgen.system.vec import Vec
from hwgen.system.vec_timing import vec_cycles
from hwgen.verilated import build_model

SMALL = {"act_words": 256, "act_banks": 1, "acc_banks": 1, "parameter_words": 16}
CONFIGS = {
    "narrow": SystemConfig(**SMALL, lanes=4, acc_words=1024, scale_bits=8),
    "planes": SystemConfig(
        **SMALL,
        lanes=8,
        acc_words=64,
        scale_bits=24,
        lut=True,
        lut_units=3,
        plane_words=512,
        buffer_latency=4,
    ),
    "wide": SystemConfig(**SMALL, lanes=16, acc_words=64, scale_bits=16, lut=True, lut_units=1, lut_width=32),
    "shared": SystemConfig(**SMALL, lanes=8, acc_words=64, requantise_cycles=4, buffer_latency=5),
    "half": SystemConfig(
        **SMALL, lanes=4, acc_words=64, requantise_cycles=2, lut=True, lut_units=2, lut_width=32
    ),
    "columns": SystemConfig(
        **SMALL,
        lanes=16,
        acc_words=64,
        scale_bits=8,
        sparse=True,
        sparse_rows=4,
        sparse_ways=2,
        sparse_depth=1024,
        buffer_latency=3,
    ),
}
MORE = {
    "long_planes": SystemConfig(
        **SMALL, lanes=4, acc_words=64, scale_bits=12, lut=True, lut_units=32, lut_width=256
    ),
    "short_planes": SystemConfig(
        **SMALL, lanes=32, acc_words=64, scale_bits=20, lut=True, lut_width=32, plane_words=16
    ),
    "many_lanes": SystemConfig(**SMALL, lanes=64, acc_words=64, scale_bits=24, buffer_latency=4),
    "one_requantiser": SystemConfig(
        **SMALL,
        lanes=8,
        acc_words=64,
        requantise_cycles=8,
        dsp=False,
        lut=True,
        lut_units=1,
    ),
    "many_columns": SystemConfig(
        **SMALL,
        lanes=16,
        acc_words=64,
        scale_bits=8,
        lut=True,
        lut_units=1,
        lut_width=32,
        sparse=True,
        sparse_ways=4,
        sparse_depth=64,
    ),
}
INT8 = IntFormat(8, True)


# ---- the reference: from the meaning of the instructions alone ----


@dataclass
class Memory:
    """What the engine reads, and what it writes: kept apart, so that every address can be drawn at random."""

    config: SystemConfig
    act: IntArray  # (words, lanes)
    acc: IntArray  # (words, lanes)
    bias: IntArray  # (words, lanes), and the same for the others
    multiplier: IntArray
    shift: IntArray
    out: IntArray = field(init=False)
    planes: IntArray = field(init=False)
    operands: IntArray = field(init=False)  # rows, and whether they are repeated

    def __post_init__(self) -> None:
        cfg = self.config
        self.out = np.zeros((cfg.act_words, cfg.lanes), np.int64)
        units = cfg.lut_units if cfg.lut else 0
        self.planes = np.zeros((units, cfg.plane_words, cfg.lut_width), np.int64)
        self.operands = np.zeros((cfg.sparse_depth if cfg.sparse else 0, cfg.sparse_rows + 1), np.int64)

    def parameter_bytes(self) -> bytes:
        words = self.bias & 0xFFFFFFFF | self.multiplier << 32 | self.shift << 56
        return words.astype("<i8").tobytes()


def addresses(run: dict[str, int]) -> Iterator[tuple[int, int, int, list[int]]]:
    """Outputs in order: parameter word, target, round of n0, sources."""
    for n2 in range(run["n2"]):
        for n1 in range(run["n1"]):
            for n0 in range(run["n0"]):
                at = run["source"] + n2 * run["s_n2"] + n1 * run["s_n1"] + n0 * run["s_n0"]
                to = run["target"] + n2 * run["t_n2"] + n1 * run["t_n1"] + n0 * run["t_n0"]
                inputs = [
                    at + r1 * run["s_r1"] + r0 * run["s_r0"]
                    for r1 in range(run["r1"])
                    for r0 in range(run["r0"])
                ]
                yield run["parameter"] + n2 * run["parameter_n2"], to, n0, inputs


def perform(memory: Memory, run: dict[str, int]) -> None:
    """Do a run."""
    op = VEC_OPS[run["op"]]
    block: list[IntArray] = []
    for parameter, to, n0, inputs in addresses(run):
        source = memory.acc if op in ("requantise", "raw") else memory.act
        if op in ("transpose", "columns"):
            if n0 == 0:
                block = [source[at % len(source)] for at in inputs]
            column = [word[n0] for word in block]
            if op == "transpose":
                memory.out[to % len(memory.out)] = column
            else:
                rest = [0] * (memory.config.sparse_rows - len(column))
                memory.operands[to % len(memory.operands)] = [*column, *rest, run["unit"]]
            continue
        x = [source[at % len(source)] for at in inputs]
        if op == "copy":
            memory.out[to % len(memory.out)] = x[0]
        elif op == "raw":
            raw = np.frombuffer(x[0].astype("<i4").tobytes(), np.int8).reshape(4, -1)
            for j in range(4):
                memory.out[(to + j) % len(memory.out)] = raw[j]
        elif op == "planes":
            elements = np.zeros(memory.config.lut_width, np.int64)
            elements[: len(x) * memory.config.lanes] = np.concatenate(x)
            for bit in range(run["planes"]):
                memory.planes[run["unit"], (to + bit) % memory.config.plane_words] = elements >> bit & 1
        else:
            weights = (run["weight0"], run["weight1"])
            zeros = (run["zero0"], run["zero1"])
            if op == "max":
                acc = np.max(x, axis=0)
            elif op == "product":
                acc = np.prod([x[k] - zeros[k % 2] for k in range(len(x))], axis=0)
            else:
                acc = sum(x[k] * (weights[k % 2] if op == "sum" else 1) for k in range(len(x)))
            p = parameter % len(memory.bias)
            memory.out[to % len(memory.out)] = requantise(
                wrap(acc, 32), memory.bias[p], memory.multiplier[p], memory.shift[p],
                rounding=ROUNDING[run["rounding"]], zero=run["zero"], low=run["low"], high=run["high"],
            )  # fmt: skip


# ---- random work ----


def image(config: SystemConfig, rng: np.random.Generator, *, ends: bool) -> Memory:
    """Contents of the buffers; ``ends`` takes only the ends of every range."""
    act, acc = (config.act_words, config.lanes), (config.acc_words, config.lanes)
    par = (config.parameter_words, config.lanes)
    top = (1 << config.scale_bits) - 1
    if ends:
        return Memory(
            config, rng.choice([-128, 127], act), rng.choice([INT32.low, INT32.high], acc),
            rng.choice([INT32.low, 0, INT32.high], par), rng.choice([0, 1, top], par), rng.choice([0, 1, 31, 63], par),
        )  # fmt: skip
    size = rng.integers(1, 33, acc)
    sums = rng.integers(-(1 << size - 1), 1 << size - 1)
    random, power = rng.integers(0, top, par, endpoint=True), 1 << rng.integers(0, config.scale_bits, par)
    return Memory(
        config, INT8.random(rng, act), np.where(rng.random(acc) < 0.9, sums, INT32.random(rng, acc)),
        np.where(rng.random(par) < 0.8, rng.integers(-100, 100, par), INT32.random(rng, par)),
        np.where(rng.random(par) < 0.5, random, power),
        np.where(rng.random(par) < 0.9, rng.integers(0, config.scale_bits + 16, par), rng.integers(0, 64, par)),
    )  # fmt: skip


def legal_ops(config: SystemConfig) -> list[str]:
    return [op for op in config.vec_ops if op != "softmax"]  # which is more than VEC alone


def random_shape(config: SystemConfig, op: str, rng: np.random.Generator) -> dict[str, int]:
    """Loops that the operation may have."""
    most = config.lut_width // config.lanes
    r0, r1 = (int(n) for n in rng.choice([1, 1, 2, 3, 7], 2))
    if op in ("copy", "raw"):
        r0 = r1 = 1
    elif op == "product":
        r0, r1 = [(1, 1), (1, 2), (2, 1)][rng.integers(3)]
    elif op == "transpose":
        r0, r1 = config.lanes, 1
    elif op == "columns":
        r0, r1 = int(rng.integers(1, config.sparse_rows, endpoint=True)), 1
    elif op == "planes":
        r0 = int(rng.choice([1, most, rng.integers(1, most, endpoint=True)]))
        r1 = int(rng.integers(1, most // r0, endpoint=True))
    elif rng.random() < 0.05:
        r0, r1 = (63, 2) if rng.random() < 0.5 else (1, 63)
    n0, n1, n2 = (int(n) for n in rng.choice([1, 2, 3, 5, 8], 3))
    low, high = sorted(int(n) for n in rng.integers(-128, 128, 2)) if rng.random() < 0.3 else (-128, 127)
    return {
        "r0": r0, "r1": r1, "n0": config.lanes if op in ("transpose", "columns") else n0, "n1": n1, "n2": n2,
        "rounding": int(rng.integers(2)), "digits": 0, "low": low, "high": high,
        **{name: int(INT8.random(rng, (1,))[0]) for name in ("zero", "zero0", "zero1")},
    }  # fmt: skip


def random_strides(fields: tuple[str, ...], bits: int, rng: np.random.Generator) -> dict[str, int]:
    near = rng.random() < 0.8
    draw = (
        rng.integers(-9, 10, len(fields))
        if near
        else rng.integers(-(1 << bits - 1), 1 << bits - 1, len(fields))
    )
    return dict(zip(fields, draw.tolist(), strict=True))


def word(mnemonic: str, values: dict[str, int]) -> bytes:
    total = opcode(instruction(mnemonic))
    for name, place in layout(mnemonic).items():
        total |= (values[name] & (1 << place.bits) - 1) << place.low
    return total.to_bytes(16, "little")


@dataclass
class Work:
    """Entries for the harness, and the runs among them."""

    entries: list[bytes] = field(default_factory=list)
    runs: list[dict[str, int]] = field(default_factory=list)


def random_work(config: SystemConfig, rng: np.random.Generator, count: int) -> Work:
    """Runs of all operations; what an instruction sets is sometimes left as it was."""
    work = Work()
    source: dict[str, int] = {}
    target: dict[str, int] = {}
    shape: dict[str, int] = {}
    ops = legal_ops(config)
    shaped = ""

    def add(mnemonic: str, values: dict[str, int], stop: int = 0) -> None:
        gap = int(rng.choice([0, 0, 0, 1, 25]))
        work.entries.append(word(mnemonic, values) + struct.pack("<II", gap, stop))

    for n in range(count):
        op = ops[n % len(ops)] if n < 3 * len(ops) else str(rng.choice(ops))
        if op == shaped and rng.random() < 0.5:
            op = shaped
        elif shaped != op or rng.random() < 0.7:
            shape, shaped = random_shape(config, op, rng), op
            add("vec.shape", shape)
        if not source or rng.random() < 0.7:
            source = random_strides(("r0", "r1", "n0", "n1", "n2"), 20, rng)
            add("vec.source", source)
        if not target or rng.random() < 0.7:
            target = random_strides(("n0", "n1", "n2"), 18, rng)
            target |= {"parameter_n2": int(rng.choice([0, 1, rng.integers(256)]))}
            target |= {name: int(IntFormat(16, True).random(rng, (1,))[0]) for name in ("weight0", "weight1")}
            add("vec.target", target)
        run = {
            "op": VEC_OPS.index(op), "source": int(rng.integers(1 << 20)), "target": int(rng.integers(1 << 20)),
            "parameter": int(rng.integers(1 << 12)), "planes": int(rng.integers(1, 9)) if op == "planes" else 1,
            "unit": int(rng.integers({"planes": config.lut_units, "columns": 2}.get(op, 1))),
        }  # fmt: skip
        if rng.random() < 0.05:
            add("vec.run", run, stop=int(rng.integers(1, 60)))  # is stopped by a reset, which leaves no trace
            source, target, shaped = {}, {}, ""
            continue
        add("vec.run", run)
        named = {f"s_{k}": v for k, v in source.items()}
        named |= {k if k[0] != "n" else f"t_{k}": v for k, v in target.items()}
        work.runs.append(shape | named | run)
    return work


# ---- the hardware ----

HARNESS = """
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

typedef std::vector<unsigned char> Bytes;
static std::mt19937 noise(1);

static Bytes take(FILE* in, size_t count) {
    Bytes data(count);
    if (std::fread(data.data(), 1, count, in) != count) std::exit(3);
    return data;
}

// A buffer whose answers are LATENCY cycles old, and nonsense to a question that nobody asked.
struct Reader {
    Bytes data;
    std::vector<Bytes> answers;  // oldest first
    size_t width;
    Reader(FILE* in, size_t width, size_t words)
        : data(take(in, width * words)), answers(LATENCY, Bytes(width)), width(width) {}
    const unsigned char* answer() const { return answers.front().data(); }
    void edge(bool en, uint32_t address) {
        answers.erase(answers.begin());
        answers.emplace_back(width);
        Bytes& last = answers.back();
        if (en) std::memcpy(last.data(), &data[address * width], width);
        else for (auto& byte : last) byte = noise();
    }
};

struct Entry { unsigned char head[16]; uint32_t gap, stop; };

int main(int argc, char** argv) {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    Reader act(in, LANES, ACT_WORDS), acc(in, 4 * LANES, ACC_WORDS), par(in, 8 * LANES / PARTS, PAR_WORDS * PARTS);
    Bytes written(LANES * ACT_WORDS), planes(UNITS * PLANE_WORDS * PLANE_BYTES), operands(OPERANDS * (ROWS + 1));
    top->start = top->begins = 0;
    auto cycle = [&]() {
        std::memcpy(&top->act_data, act.answer(), act.width);
        std::memcpy(&top->acc_data, acc.answer(), acc.width);
        std::memcpy(&top->par_data, par.answer(), par.width);
        top->clk = 0;
        top->eval();
        bool done = top->done;
        if (top->write_en) std::memcpy(&written[top->write_address * LANES], &top->write_data, LANES);
#if UNITS
        for (int u = 0; u < UNITS; u++)
            if (top->plane_en >> u & 1) {
                size_t at = (u * PLANE_WORDS + top->plane_address) * PLANE_BYTES;
                std::memcpy(&planes[at], &top->plane_data, PLANE_BYTES);
            }
#endif
#if OPERANDS
        if (top->operand_en) {
            unsigned char* at = &operands[top->operand_address * (ROWS + 1)];
            std::memcpy(at, &top->operand_data, ROWS);
            at[ROWS] = top->operand_spread;
        }
#endif
        act.edge(top->act_en, top->act_address);
        acc.edge(top->acc_en, top->acc_address);
        par.edge(top->par_en, top->par_address);
        top->clk = 1;
        top->eval();
        return done;
    };
    auto reset = [&]() { top->rst = 1; cycle(); cycle(); top->rst = 0; };
    reset();
    Entry entry;
    while (std::fread(&entry, sizeof entry, 1, in) == 1) {
        Bytes saved = written, saved_planes = planes, saved_operands = operands;
        unsigned char garbage[16];
        for (uint32_t n = 0; n < entry.gap; n++) if (cycle()) return 4;
        std::memcpy(&top->head, entry.head, 16);
        top->start = 1;
        top->begins = (entry.head[0] >> 4) == 3;
        uint32_t cycles = 1;
        bool done = cycle();
        top->start = top->begins = 0;
        for (auto& byte : garbage) byte = noise();
        std::memcpy(&top->head, garbage, 16);
        if ((entry.head[0] >> 4) != 3) { if (done) return 5; continue; }
        if (entry.stop) {
            for (uint32_t n = 1; n < entry.stop; n++) cycle();
            reset();
            written = saved;
            planes = saved_planes;
            operands = saved_operands;
            continue;
        }
        for (; !done && cycles < 1000000; cycles++) done = cycle();
        std::fwrite(&cycles, sizeof cycles, 1, out);
    }
    for (int n = 0; n < 40; n++) if (cycle()) return 6;
    std::fwrite(written.data(), 1, written.size(), out);
    std::fwrite(planes.data(), 1, planes.size(), out);
    std::fwrite(operands.data(), 1, operands.size(), out);
    std::fclose(out);
    return 0;
}
"""


@functools.cache
def model(name: str) -> Path:
    config = (CONFIGS | MORE)[name]
    text = emit(Vec(config), "vec", {}).verilog
    assert "[-1:0]" not in text
    path = output_folder(toolchain.cache_dir() / "verilog" / "system") / f"vec_{name}.v"
    write_if_changed(path, text)
    numbers = {
        "LANES": config.lanes, "ACT_WORDS": config.act_words, "ACC_WORDS": config.acc_words,
        "PAR_WORDS": config.parameter_words, "UNITS": config.lut_units if config.lut else 0,
        "PLANE_WORDS": config.plane_words, "PLANE_BYTES": config.lut_width // 8,
        "OPERANDS": config.sparse_depth if config.sparse else 0, "ROWS": config.sparse_rows,
        "LATENCY": config.buffer_latency, "PARTS": config.requantise_cycles,
    }  # fmt: skip
    # A comparison with zero comes out of Yosys as `!` of a whole vector, which is what the language defines it to be.
    waiver = path.with_name("vec.vlt")
    write_if_changed(
        waiver,
        '`verilator_config\nlint_off -rule WIDTHTRUNC -file "*/vec_*.v" -match "Logical operator LOGNOT*"\n',
    )
    defines = "".join(f"#define {key} {value}\n" for key, value in numbers.items())
    return build_model(
        verilog=[path],
        top="vec",
        harness=defines + HARNESS,
        flags=["-CFLAGS", "-O0"],
        waivers=[toolchain.waivers(), waiver],
    )


def agree(name: str, memory: Memory, work: Work, folder: Path) -> None:
    """Assert that the hardware does the runs as the reference does, in the cycles that the model tells."""
    config = memory.config
    data = (
        memory.act.astype(np.int8).tobytes() + memory.acc.astype("<i4").tobytes() + memory.parameter_bytes()
    )
    (folder / "in").write_bytes(data + b"".join(work.entries))
    subprocess.run([model(name), folder / "in", folder / "out"], check=True)
    seen = (folder / "out").read_bytes()
    cycles = np.frombuffer(seen, "<u4", len(work.runs))
    for i, run in enumerate(work.runs):
        loops = [run[key] for key in ("r0", "r1", "n0", "n1", "n2")]
        assert cycles[i] == vec_cycles(config, VEC_OPS[run["op"]], *loops, run["planes"]), run
        perform(memory, run)
    at = cycles.nbytes
    out = np.frombuffer(seen, np.int8, memory.out.size, at).reshape(memory.out.shape)
    np.testing.assert_array_equal(out, memory.out)
    at += out.nbytes
    planes = np.frombuffer(seen, np.uint8, memory.planes.size // 8, at)
    operands = np.frombuffer(seen, np.int8, offset=at + planes.nbytes).reshape(memory.operands.shape)
    np.testing.assert_array_equal(operands, memory.operands)
    bits = np.unpackbits(planes, bitorder="little").reshape(memory.planes.shape)
    np.testing.assert_array_equal(bits, memory.planes)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_operation_alone(name: str, tmp_path: Path) -> None:
    """A difference here names the operation; the memories would show only the last run's writes later."""
    config = CONFIGS[name]
    for n, op in enumerate(legal_ops(config)):
        rng = np.random.default_rng(n)
        work = random_work(config, rng, 200)
        only = Work()
        shape, run = random_shape(config, op, rng), next(r for r in work.runs if VEC_OPS[r["op"]] == op)
        run |= shape
        source = {key: run[f"s_{key}"] for key in ("r0", "r1", "n0", "n1", "n2")}
        target = run | {key: run[f"t_{key}"] for key in ("n0", "n1", "n2")}
        for mnemonic, values in (("shape", run), ("source", source), ("target", target), ("run", run)):
            only.entries.append(word(f"vec.{mnemonic}", values) + bytes(8))
        only.runs.append(run)
        agree(name, image(config, rng, ends=False), only, tmp_path)


@pytest.mark.parametrize("ends", [False, True], ids=["anything", "ends"])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_hardware_does_what_the_instructions_mean(name: str, ends: bool, tmp_path: Path) -> None:
    config = CONFIGS[name]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        agree(name, image(config, rng, ends=ends), random_work(config, rng, 60), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS | MORE)
def test_the_same_for_long(name: str, tmp_path: Path) -> None:
    config = (CONFIGS | MORE)[name]
    for seed in range(100, 130):
        rng = np.random.default_rng(seed)
        agree(name, image(config, rng, ends=seed % 3 == 0), random_work(config, rng, 100), tmp_path)


def one_run(config: SystemConfig, memory: Memory, op: str, folder: Path, **fields: int) -> IntArray:
    """What one run of one output writes."""
    run: dict[str, int] = dict.fromkeys((*layout("vec.shape"), *layout("vec.target"), *layout("vec.run")), 0)
    run |= {"r0": 1, "r1": 1, "n0": 1, "n1": 1, "n2": 1, "planes": 1, "low": -128, "high": 127}
    run |= {f"{side}_{key}": 0 for side in "st" for key in ("r0", "r1", "n0", "n1", "n2")}
    run |= {"s_r0": 1, "op": VEC_OPS.index(op)} | fields
    work = Work()
    source = {key: run[f"s_{key}"] for key in ("r0", "r1", "n0", "n1", "n2")}
    target = run | {key: run[f"t_{key}"] for key in ("n0", "n1", "n2")}
    for mnemonic, values in (("shape", run), ("source", source), ("target", target), ("run", run)):
        work.entries.append(word(f"vec.{mnemonic}", values) + bytes(8))
    work.runs.append(run)
    agree("narrow", memory, work, folder)
    return memory.out[0]


def test_extremes_by_hand(tmp_path: Path) -> None:
    """The reference and the hardware against numbers that were worked out here."""
    config = CONFIGS["narrow"]
    lanes = config.lanes
    act = np.full((config.act_words, lanes), -128)
    acc = np.tile([5, -5, 7, -7], (config.acc_words, 1))
    ones = np.ones((config.parameter_words, lanes), np.int64)

    def memory(shift: int, multiplier: int = 1, bias: int = 0) -> Memory:
        return Memory(config, act, acc, ones * bias, ones * multiplier, ones * shift)

    # Ties of both signs: 2.5 and 3.5.
    assert one_run(config, memory(1), "requantise", tmp_path, rounding=0).tolist() == [2, -2, 4, -4]
    assert one_run(config, memory(1), "requantise", tmp_path, rounding=1).tolist() == [3, -3, 4, -4]
    # The bias wraps: 5 + 2**31 - 1 is negative, -5 + 2**31 - 1 is not.
    assert one_run(config, memory(0, bias=2**31 - 1), "requantise", tmp_path).tolist() == [-128, 127] * 2
    assert one_run(config, memory(63, 255, 2**31 - 1), "requantise", tmp_path).tolist() == [0] * 4
    # -128 x -128 = 2**14, (-128 - 127)**2 = 65025, and 2 x -128 x -32768 = 2**23.
    assert one_run(config, memory(8), "product", tmp_path, r0=2).tolist() == [64] * 4
    assert one_run(config, memory(10), "product", tmp_path, r0=2, zero0=127, zero1=127).tolist() == [64] * 4
    assert (
        one_run(config, memory(17), "sum", tmp_path, r0=2, weight0=-32768, weight1=-32768).tolist()
        == [64] * 4
    )
    # 63 x 63 sums of -7 with a bias, times the largest multiplier.
    total = requantise(
        np.array([5, -5, 7, -7]) * 3969, 1, 255, 16, rounding="half_even", zero=-1, low=-100, high=100
    )
    fields = {"r0": 63, "r1": 63, "zero": -1, "low": -100, "high": 100}
    assert one_run(config, memory(16, 255, 1), "requantise", tmp_path, **fields).tolist() == total.tolist()


def test_cycles_of_arrays_are_those_of_numbers() -> None:
    config = CONFIGS["planes"]
    rng = np.random.default_rng(1)
    loops = rng.integers(1, 64, (6, 50))
    loops[5] = loops[5] % 8 + 1
    numbers = rng.integers(0, len(VEC_OPS), 50)
    together = vec_cycles(config, numbers, *loops)
    for i, number in enumerate(numbers):
        one = vec_cycles(config, VEC_OPS[number], *(int(n) for n in loops[:, i]))
        assert isinstance(one, int)
        assert together[i] == one == vec_cycles(config, int(number), *(int(n) for n in loops[:, i]))
    assert vec_cycles(config, "copy", 1, 1, 4095, 4095, 4095) == 4095**3 + 3 + config.buffer_latency
