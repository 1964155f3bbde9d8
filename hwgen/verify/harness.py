"""Emitted Verilog in a compiled harness: the fast way to run it."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwgen import toolchain
from hwgen.errors import HwgenError, Misbehaviour
from hwgen.streams import Stream
from hwgen.verify.stimulus import PATIENCE, QUIET, Observation, Stimulus
from hwgen.verilated import build_model

__all__ = ["Harness"]


class Harness:
    """A block with AXI-Stream ports, compiled; built on construction, or taken from the cache.

    Parameters
    ----------
    sources : sequence of Path
        The block's Verilog, and models of the vendor cells in it.
    top : str
        Name of the top module.
    streams : sequence of Stream
        Its ports.
    repeated : sequence of str
        Modules to compile once and call, instead of once per instance: large arrays build much faster.
    """

    def __init__(
        self, sources: Sequence[Path], top: str, streams: Sequence[Stream], repeated: Sequence[str] = ()
    ):
        self.streams = tuple(streams)
        self.top = top
        text = (Path(__file__).parent / "stream_harness.cpp").read_text() + _loop(self.streams)
        lines = [f'no_inline -module "{name}"\n' for name in repeated]
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
            shared = Path(folder, "repeated.vlt")
            shared.write_text("".join(["`verilator_config\n", *lines]))
            self.executable = build_model(
                verilog=list(sources), top=top, harness=text, waivers=[toolchain.waivers(), shared]
            )

    def run(self, stimulus: Stimulus) -> Observation:
        """Run from reset until every expected beat has moved.

        Raises
        ------
        Misbehaviour
            If the block hangs, or gives more beats than expected.
        HwgenError
            If the simulation ends by itself.
        """
        with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
            into, out = Path(folder, "in"), Path(folder, "out")
            with into.open("wb") as file:
                for s in self.streams:
                    beats = stimulus.inputs.get(s.name)
                    count = stimulus.expected[s.name] if beats is None else len(beats)
                    gate = stimulus.gates[s.name]
                    file.write(struct.pack("<QQ", count, len(gate)) + gate.tobytes())
                    if beats is not None:
                        file.write(np.ascontiguousarray(beats).tobytes())
                        if s.last:
                            file.write(stimulus.lasts[s.name].tobytes())
                file.write(struct.pack("<QQ", PATIENCE, QUIET))
            began = time.perf_counter()
            done = subprocess.run([self.executable, into, out], capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - began
            if done.returncode not in (0, 1, 2):
                words = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
                raise HwgenError(
                    f"the simulation of {self.top} ended with code {done.returncode}: {words[-1]}"
                )
            return self._read(out.read_bytes(), done.returncode, seconds)

    def _read(self, raw: bytes, status: int, seconds: float) -> Observation:
        at = 0

        def vector(dtype: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
            nonlocal at
            (count,) = struct.unpack_from("<Q", raw, at)
            values = np.frombuffer(raw, dtype, count, at + 8)
            at += 8 + values.nbytes
            return values

        (simulated,) = struct.unpack_from("<Q", raw, at)
        at += 8
        transfers, outputs, lasts = {}, {}, {}
        for s in self.streams:
            transfers[s.name] = vector("<u8").astype(np.int64)
            if s.direction == "out":
                outputs[s.name] = vector("u1").astype(np.uint8).reshape(-1, s.bytes)
                last = vector("u1").astype(np.bool_)
                if s.last:
                    lasts[s.name] = last
        if status:
            moved = ", ".join(f"{len(times)} of {name}" for name, times in transfers.items())
            why = (
                f"no beat moved for {PATIENCE} cycles" if status == 1 else "it sent more beats than expected"
            )
            raise Misbehaviour(f"{self.top} failed after {simulated} cycles: {why}; beats so far: {moved}")
        return Observation(transfers, outputs, lasts, seconds, simulated)


def _loop(streams: Sequence[Stream]) -> str:
    """The cycle loop over these streams, in C++."""
    inputs = [s for s in streams if s.direction == "in"]
    outputs = [s for s in streams if s.direction == "out"]
    read = "".join(
        f"    {s.prefix}.beats = word(in);\n    {s.prefix}.period = word(in);\n"
        f"    bytes(in, {s.prefix}.gate, {s.prefix}.period);\n"
        + (f"    bytes(in, {s.prefix}.data, {s.prefix}.beats * {s.bytes});\n" if s.direction == "in" else "")
        + (f"    bytes(in, {s.prefix}.last, {s.prefix}.beats);\n" if s.direction == "in" and s.last else "")
        for s in streams
    )

    def show(s: Stream) -> str:
        last = f"top->{s.prefix}_tlast = {s.prefix}.last[{s.prefix}.sent];"
        return f"\n            {last}" if s.last else ""

    offer = "".join(
        f"""
        if (!{s.prefix}.holds && {s.prefix}.sent < {s.prefix}.beats && {s.prefix}.gate[cycle % {s.prefix}.period]) {{
            {s.prefix}.holds = true;
            put(top->{s.prefix}_tdata, &{s.prefix}.data[{s.prefix}.sent * {s.bytes}], {s.bytes});{show(s)}
        }}
        top->{s.prefix}_tvalid = {s.prefix}.holds;"""
        for s in inputs
    ) + "".join(
        f"\n        top->{s.prefix}_tready = {s.prefix}.gate[cycle % {s.prefix}.period];" for s in outputs
    )
    take = "".join(
        f"""
        if ({s.prefix}.holds && top->{s.prefix}_tready) {{
            {s.prefix}.holds = false; {s.prefix}.sent++; {s.prefix}.times.push_back(cycle); moved = cycle;
        }}"""
        for s in inputs
    ) + "".join(
        f"""
        if (top->{s.prefix}_tvalid && top->{s.prefix}_tready) {{
            {s.prefix}.times.push_back(cycle); moved = cycle;
            {s.prefix}.data.resize({s.prefix}.times.size() * {s.bytes});
            get(top->{s.prefix}_tdata, &{s.prefix}.data[({s.prefix}.times.size() - 1) * {s.bytes}], {s.bytes});
            {s.prefix}.last.push_back({f"top->{s.prefix}_tlast" if s.last else "0"});
        }}"""
        for s in outputs
    )
    done = " && ".join(
        [f"{s.prefix}.sent == {s.prefix}.beats" for s in inputs]
        + [f"{s.prefix}.times.size() >= {s.prefix}.beats" for s in outputs]
    )
    extra = " || ".join(f"{s.prefix}.times.size() > {s.prefix}.beats" for s in outputs) or "false"
    dump = "".join(
        f"    dump(out, {s.prefix}.times);\n"
        + (f"    dump(out, {s.prefix}.data); dump(out, {s.prefix}.last);\n" if s.direction == "out" else "")
        for s in streams
    )
    return f"""
namespace {{

int run(FILE* in, FILE* out) {{
    Input {", ".join(s.prefix for s in inputs)};
    Output {", ".join(s.prefix for s in outputs)};
{read}    const uint64_t patience = word(in), quiet = word(in);
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    auto edge = [&] {{ top->clk = 0; top->eval(); top->clk = 1; top->eval(); }};
    top->rst = 1;
    for (int i = 0; i < 4; i++) edge();
    top->rst = 0;
    uint64_t cycle = 0, moved = 0;
    int status = 0;
    bool finished = false;
    for (;; cycle++) {{
        top->clk = 0;{offer}
        top->eval();{take}
        if ({extra}) {{ status = 2; break; }}
        finished = finished || ({done});
        if (finished && cycle - moved >= quiet) break;
        if (cycle - moved > patience) {{ status = 1; break; }}
        top->clk = 1;
        top->eval();
    }}
    top->final();
    const uint64_t simulated = cycle + 1;
    std::fwrite(&simulated, sizeof simulated, 1, out);
{dump}    return status;
}}

}}  // namespace
"""
