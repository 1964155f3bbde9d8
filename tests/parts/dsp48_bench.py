"""What the comparisons of both DSP48 models with Yosys' share: configurations, stimulus, the harness."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from hwgen import toolchain

CYCLES = 200_000


def words(text: str) -> list[str]:
    return text.split()


# Registers of the blocks under comparison: A, its cascade, B, its cascade, C, D, AD, M, P, the
# control registers, the carry's, and whether the pre-adder is used.
PARAMETERS = words("AREG ACASCREG BREG BCASCREG CREG DREG ADREG MREG PREG CTRLREG CINREG DPORT")
CONFIGURATIONS = {
    "all": (2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    "late_cascade": (2, 2, 2, 2, 1, 0, 1, 1, 1, 1, 1, 1),
    "single": (1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1),
    "no_product_register": (1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0),
    "direct_control": (2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0),
    "combinational": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "accumulator_only": (0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1),
    "mixed": (2, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1),
    "product_register_only": (0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
    "two_and_one": (1, 1, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0),
}

INPUTS = {
    **dict.fromkeys(["C", "PCIN"], 48),
    "A": 30,
    "B": 18,
    "D": 25,
    "INMODE": 5,
    "OPMODE": 7,
    "ALUMODE": 4,
    "CARRYINSEL": 3,
    "CARRYIN": 1,
    **dict.fromkeys(words("CEA1 CEA2 CEAD CEALUMODE CEB1 CEB2 CEC CECARRYIN CECTRL CED CEINMODE CEM CEP"), 1),
    **dict.fromkeys(words("RSTA RSTALLCARRYIN RSTALUMODE RSTB RSTC RSTCTRL RSTD RSTINMODE RSTM RSTP"), 1),
}


def yosys_cells(name: str) -> str:
    """Return the text of one of the Xilinx cell files that come with pyosys."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "share" / "xilinx" / name).read_text(encoding="utf-8")


def module(text: str, name: str) -> str:
    match = re.search(rf"^module {name}\s*\(.*?^endmodule\n", text, flags=re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[0]


RANDOM = r"""
#include "Vtop.h"
#include "verilated.h"
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
static uint64_t state = 0x9e3779b97f4a7c15u;
static uint64_t bits(int width) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (state * 0x2545f4914f6cdd1du) >> (64 - width);
}
// Mostly anything, often a value at an edge, sometimes the value of the cycle before.
static uint64_t operand(int width, uint64_t last) {
    const uint64_t ones = (uint64_t(1) << width) - 1, sign = uint64_t(1) << (width - 1);
    switch (bits(4)) {
        case 0: return 0;
        case 1: return ones;
        case 2: return sign;
        case 3: return sign - 1;
        case 4: return 1;
        case 5: return sign >> 2;
        case 6: return ones ^ (sign >> 2) ^ sign ^ (sign >> 1);
        case 7: case 8: return last;
        default: return bits(width);
    }
}
"""

COMPARE = (
    RANDOM
    + r"""
// X and Y carry the product together or not at all; Z = 100 goes with X = 00, Y = 10 only.
static int opmode() {
    const int x[] = {0, 2, 3}, y[] = {0, 2, 3}, z[] = {0, 1, 2, 3, 5, 6};
    if (bits(5) == 0) return 0x48;
    const int low = bits(1) ? 5 : (y[bits(20) % 3] << 2 | x[bits(20) % 3]);
    return z[bits(20) % 6] << 4 | low;
}
int main(int argc, char** argv) {
    const int sel[] = {0, 0, 1, 3, 5, 7, 0, 0};
    VerilatedContext context;
    Vtop top{&context};
    uint64_t ever = 0;
    for (long cycle = 0; cycle < atol(argv[1]); ++cycle) {
        top.CLK = 0;
        top.A = operand(30, top.A);
        // Extremes of what the comparison keeps of A: 25 bits, 24 with the pre-adder.
        if (bits(2) == 0) top.A = bits(1) ? 0x1000000 >> bits(1) : 0x0ffffff >> bits(1);
        top.B = operand(18, top.B);
        top.C = operand(48, top.C);
        top.D = operand(24, top.D);
        top.PCIN = operand(48, top.PCIN);
        top.INMODE = bits(5);
        top.OPMODE = opmode();
        top.ALUMODE = bits(2);
        top.CARRYINSEL = sel[bits(3)];
        top.CARRYIN = bits(1);
        ENABLES
        RESETS
        top.eval();
        ever |= top.bad;  // what depends on inputs without a register between
        top.CLK = 1;
        top.eval();
        ever |= top.bad;
    }
    printf("%" PRIx64 "\n", ever);
}
"""
)


def drive(prefix: str, expression: str) -> str:
    return " ".join(f"top.{name} = {expression};" for name in INPUTS if name.startswith(prefix))


def interface(text: str, kind: str, folder: Path) -> dict[str, Any]:
    """Return ports and parameters of module ``kind`` as Yosys reads them."""
    (folder / "cell.v").write_text(text, encoding="utf-8")
    toolchain.yosys(f"read_verilog -lib {folder / 'cell.v'}\nwrite_json {folder / 'cell.json'}")
    found = json.loads((folder / "cell.json").read_text(encoding="utf-8"))["modules"][kind]
    ports = {name: (port["direction"], len(port["bits"])) for name, port in found["ports"].items()}
    return {"ports": ports, "parameters": found["parameter_default_values"]}
