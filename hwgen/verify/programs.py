"""Random programs that an accelerator must run: every engine, function and operation, legal by construction.

What a run touches is worked out before it is emitted; the builder adds the tokens that this makes necessary. So
engines overlap as much as the buffers allow, and any order that the tokens leave open gives the same result. The last
instructions bring the buffers that can be read to DRAM, where values are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwgen.numerics import ceil_div
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.access import FROM_ACC, RAW_WORDS, TURNING
from hwgen.system.config import PARAMETER_BYTES, SystemConfig
from hwgen.verify.case import PAGE, Place, RandomProgram
from hwgen.verify.sparse_draws import SparseWriter
from hwgen.verify.writer import STORED, Loops

__all__ = ["RandomProgram", "random_program"]

_WORK = 900  # cycles of the longest runs, roughly
_TRIES = 40  # draws of a run until one is legal


def random_program(config: SystemConfig, rng: np.random.Generator, size: int = 40) -> RandomProgram:
    """A legal program of about ``size`` random runs, and what fills the buffers before and empties them after.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    rng : Generator
        Decides everything.
    size : int
        Random runs.

    Raises
    ------
    BadInput
        If the accelerator's addresses do not reach the memory that such programs need.
    """
    writer = _Draws(config, rng, size)
    writer.fill()
    drawn = {"load": writer.load, "vec": writer.vec, "store": writer.store}
    drawn |= {"dsp": writer.dsp} if config.dsp else {}
    drawn |= {"lut": writer.lut} if config.lut else {}
    drawn |= {"sparse": writer.sparse} if config.sparse else {}
    share = rng.dirichlet(np.full(len(drawn), 2.0))
    for name in rng.choice(list(drawn), size, p=share):
        if rng.random() < 0.02:
            writer.fence()
        for _ in range(_TRIES):
            if drawn[name]():
                break
        while rng.random() < 0.25 and writer.again():
            pass
    places = writer.dump()
    return writer.finish(places)


class _Draws(SparseWriter):
    """Draws: the method of an engine appends one run, and tells whether what it drew was legal."""

    def load(self) -> bool:
        """One run of LOAD."""
        names = [name for name in BUFFERS if name in self.spaces]
        name = str(self.rng.choice(names, p=_weighted(names, {"act": 3.0})))
        return self._window(name) if self.rng.random() < 0.6 else self._plain(name, self.count(2500))

    def _target(self, name: str, size: int) -> int | None:
        """A multiple of the bus width in the buffer at which ``size`` bytes fit."""
        low, high = (end * self.spaces[name].word_bytes for end in self.arenas[name])
        bus = self.config.bus_bytes
        last = (high - ceil_div(size, bus) * bus) // bus
        return None if last < low // bus else bus * int(self.rng.integers(low // bus, last + 1))

    @property
    def _picky(self) -> bool:
        """Whether not every byte is a parameter: onnxruntime's requantiser takes significands of float32 numbers."""
        return self.config.requantiser == "ort"

    def _plain(self, name: str, size: int, target: int | None = None) -> bool:
        if name == "parameter" and (self.rng.random() < 0.8 or self._picky):
            size = ceil_div(size, PARAMETER_BYTES) * PARAMETER_BYTES
            low, high, step = self.parameters, self.parameters + PAGE - size, PARAMETER_BYTES
        else:
            low, high, step = self.data, self.dumped - size, self.one_of(1, 1, PARAMETER_BYTES, 64)
        pages = range(low // PAGE + 1, high // PAGE + 1)
        if pages and self.rng.random() < 0.2:  # close to where bursts must end
            low = high = PAGE * self.one_of(*pages) - min(
                int(self.rng.integers(0, 70)), PAGE * pages[0] - low
            )
            step = 1
        padded = ceil_div(size, self.config.lanes) * self.config.lanes
        at = self._target(name, padded) if target is None else target
        if at is None or high < low:
            return False
        address = int(self.rng.integers(low // step, high // step + 1)) * step
        return self.run("load", {}, address=address, buffer=BUFFERS.index(name), target=at, run_bytes=size)

    def _window(self, name: str) -> bool:
        if name == "parameter" and self._picky:
            return False
        rng = self.rng
        run_bytes, rows = self.count(200), self.count(9)
        groups = self.count(6)
        if rows * groups > 40 or run_bytes * rows * groups > 2500:
            return False
        row_bytes, row_count = self.count(260), self.count(12)
        pitch = row_bytes + self.one_of(0, 0, 1, 24, int(rng.integers(0, 2000)))
        step = self.one_of(0, 1, run_bytes, -run_bytes, int(rng.integers(-80, 81)))
        x, y = int(rng.integers(-run_bytes - 2, row_bytes + 2)), int(rng.integers(-rows - 1, row_count + 1))
        origin = int(rng.integers(self.data, self.dumped))
        if rng.random() < 0.08:  # far outside
            x, y = self.one_of(x, -(1 << 20), (1 << 20) - 1), self.one_of(-(1 << 16), (1 << 16) - 1, -3000)
        address = origin + x + y * pitch
        if not 0 <= address < 1 << self.config.address_bits:
            if 0 < y < row_count or -rows < y <= 0:
                return False
            address = origin  # nothing is read
        lanes = self.config.lanes
        target = self._target(name, groups * ceil_div(run_bytes * rows, lanes) * lanes)
        if target is None:
            return False
        window = {"row_pitch": pitch, "x_step": step, "row_bytes": row_bytes, "row_count": row_count}
        window["pad_value"] = self.one_of(0, -128, 127, int(rng.integers(-128, 128)))
        position = {"x_start": x, "y_start": y, "group_count": groups}
        settings = {"window": window, "position": position}
        return self.run(
            "load", settings, address=address, buffer=BUFFERS.index(name), target=target, run_bytes=run_bytes,
            run_count=rows, windowed=1,
        )  # fmt: skip

    def store(self) -> bool:
        """One run of STORE."""
        bus, rng = self.config.bus_bytes, self.rng
        rows = self.count(6)
        size = self.count(900 if rows == 1 else 200)
        settings = {}
        pitch = source_pitch = 0
        if rows > 1 or rng.random() < 0.1:
            pitch = bus * int(rng.integers(0, 2 * ceil_div(size, bus) + 2))
            source_pitch = self.unit * int(rng.integers(0, ceil_div(size, self.config.lanes * self.unit) + 3))
            settings["window"] = {"row_pitch": pitch, "source_pitch": source_pitch}
        words = ceil_div(ceil_div(size, bus) * bus, self.config.lanes)
        source = self.base("act", ((words, 1), (rows, source_pitch if rows > 1 else 0)), self.unit)
        room = STORED - size - pitch * (rows - 1)
        if source is None or room < 0:
            return False
        address = self.stored + bus * int(rng.integers(0, room // bus + 1))
        return self.run("store", settings, address=address, source=source, run_bytes=size, run_count=rows)

    def _outputs(self, most: int, unit: int) -> dict[str, int]:
        """Loops of a GEMM engine; a step of c moves by ``unit`` words."""
        x, c, kx, ky = self.count(min(most, 40)), self.count(5), self.count(4), self.count(4)
        y = self.count(min(8, most // x))
        pixel = c * unit
        row = pixel * (x + kx) + self.one_of(0, 0, 1, 5)
        return {
            "x_count": x, "x_stride": self.one_of(pixel, pixel, 2 * pixel, 1, 0, int(self.rng.integers(0, 9))),
            "y_count": y, "y_stride": self.one_of(row, row, 2 * row, 1, 0, int(self.rng.integers(0, 30))),
            "c_count": c,
            "kx_count": kx, "kx_stride": self.one_of(pixel, pixel, 3 * pixel, 0, int(self.rng.integers(0, 9))),
            "ky_count": ky, "ky_stride": self.one_of(row, row, 2 * row, 0, int(self.rng.integers(0, 30))),
        }  # fmt: skip

    def dsp(self) -> bool:
        """One run of DSP; a chain that keeps its sums goes on with the same number of outputs."""
        cfg, rng = self.config, self.rng
        shape = self._outputs(cfg.dsp_tile, 1)
        accumulate = self.kept > 0 and rng.random() < 0.9
        if accumulate:
            x = int(rng.choice([d for d in range(1, self.kept + 1) if self.kept % d == 0]))
            shape |= {"x_count": x, "y_count": self.kept // x}
        outputs = shape["x_count"] * shape["y_count"]
        keep = rng.random() < (0.5 if accumulate else 0.25)
        tiles = 1 if accumulate or keep else self.count(4)
        products = shape["c_count"] * shape["kx_count"] * shape["ky_count"]
        if products * tiles * max(outputs, cfg.lanes + 1) > _WORK:
            return False
        stride = self.one_of(outputs, outputs, outputs + 3, 1, 0)
        act, weight = (
            self.base("act", _operands(shape, 1)),
            self.base("weight", ((products * tiles * cfg.lanes, 1),)),
        )
        acc = self.base("acc", ((outputs, 1), (tiles, stride)))
        if act is None or weight is None or acc is None:
            return False
        done = self.run(
            "dsp", {"shape": shape}, act=act, weight=weight, acc=acc, tiles=tiles, acc_stride=stride,
            accumulate=int(accumulate), keep=int(keep),
        )  # fmt: skip
        if done:
            self.kept = outputs if keep else 0
        return done

    def lut(self) -> bool:
        """One run of LUT."""
        cfg = self.config
        act_bits, weight_bits = self.count(8), self.count(8)
        shape = self._outputs(60, act_bits)
        outputs = shape["x_count"] * shape["y_count"]
        products = shape["c_count"] * shape["kx_count"] * shape["ky_count"]
        tiles, units = self.count(3), self.one_of(1, cfg.lut_units, self.count(cfg.lut_units))
        if outputs * tiles * max(cfg.lut_units, act_bits * weight_bits * products) > _WORK:
            return False
        stride = self.one_of(outputs, outputs, outputs * units, 1, 0)
        unit_stride = self.one_of(outputs, outputs, outputs * tiles, 1, 0)
        act = self.base("plane_act", ((act_bits, 1), *_operands(shape, act_bits)))
        weight = self.base("plane", ((products * tiles * weight_bits, 1),))
        acc = self.base("acc", ((outputs, 1), (tiles, stride), (units, unit_stride)))
        if act is None or weight is None or acc is None:
            return False
        return self.run(
            "lut", {"shape": shape}, act=act, weight=weight, acc=acc, tiles=tiles, acc_stride=stride,
            units=units, unit_stride=unit_stride, act_bits=act_bits, weight_bits=weight_bits,
            act_signed=self.one_of(0, 1), weight_signed=self.one_of(0, 1),
        )  # fmt: skip

    def _steps(self, op: str) -> tuple[int, int]:
        """r0 and r1 for an operation."""
        lanes = self.config.lanes
        match op:
            case "raw" | "copy" | "softmax":
                return 1, 1
            case "product":
                r0 = self.one_of(1, 2)
                return r0, self.one_of(1, 2) if r0 == 1 else 1
            case "transpose":
                return lanes, 1
            case "columns":
                return self.count(self.config.sparse_rows), 1
            case "planes":
                words = self.config.lut_width // lanes
                r0 = self.count(min(words, 63))
                return r0, self.count(min(words // r0, 63))
            case _:
                return self.count(63 if self.rng.random() < 0.1 else 6), self.count(6)

    def vec(self) -> bool:
        """One run of VEC."""
        return self.vec_op(str(self.rng.choice(self.config.vec_ops)))

    def vec_op(self, op: str) -> bool:
        """One run of VEC with a given operation."""
        cfg, rng = self.config, self.rng
        r0, r1 = self._steps(op)
        n0, n1, n2 = (self.count(12) for _ in range(3))
        if op in TURNING:
            n0 = cfg.lanes
        if op == "softmax":
            n0 = self.count(cfg.softmax_words)
        planes = self.count(8) if op == "planes" else 1
        width = RAW_WORDS if op == "raw" else planes
        if n0 * n1 * n2 * max(r0 * r1, width) > _WORK:
            return False
        counts = {"r0": r0, "r1": r1, "n0": n0, "n1": n1, "n2": n2}
        source = {name: self._stride(counts, name, 1) for name in counts}
        target = {name: self._stride(counts, name, width) for name in ("n0", "n1", "n2")}
        inner = ("n2", "n1", "r1", "r0") if op in TURNING else ("n2", "n1", "n0", "r1", "r0")
        first = self.base("acc" if op in FROM_ACC else "act", [(counts[n], source[n]) for n in inner])
        where = {"planes": "plane_act", "columns": "operand"}.get(op, "act")
        last = self.base(where, [(width, 1), *((counts[n], target[n]) for n in ("n2", "n1", "n0"))])
        step = self.one_of(0, 1, 1, 3)
        parameter = self.base("parameter", ((n2, step),))
        if first is None or last is None or parameter is None:
            return False
        if r0 * r1 == 1 and op in ("copy", "sum", "max", "product") and rng.random() < 0.2:
            last, target = first, {name: source[name] for name in target}  # in place
        low, high = sorted(self.one_of(-128, 127, int(rng.integers(-128, 128))) for _ in range(2))
        if rng.random() < 0.6:
            low, high = -128, 127
        shape = counts | {
            "rounding": self.one_of(0, 1), "zero": self.one_of(0, -128, 127, int(rng.integers(-128, 128))),
            "low": low, "high": high,
            "zero0": int(rng.integers(-128, 128)), "zero1": self.one_of(0, -128, 127),
            "digits": int(op == "requantise" and cfg.softmax is not None and rng.random() < 0.3),
        }  # fmt: skip
        weights = [self.one_of(1, -1, -32768, 32767, int(rng.integers(-32768, 32768))) for _ in range(2)]
        targets = target | {"parameter_n2": step, "weight0": weights[0], "weight1": weights[1]}
        settings: dict[str, dict[str, int]] = {"shape": shape, "source": source, "target": targets}
        if op == "softmax":
            scales = self.base("parameter", ((n1 * n2, 1),))
            if scales is None or step * (n2 - 1) + parameter >= scales >= parameter - n1 * n2 + 1:
                return False
            settings["row"] = {
                "keep": self.one_of(1, n0 * cfg.lanes, max(1, int(rng.integers(n0 * cfg.lanes + 2)))),
                "keep_step": self.one_of(0, 1), "digit": int(rng.integers(cfg.softmax_digits)),
                "parameter": scales, "shift": self.one_of(0, -3, 4),
            }  # fmt: skip
        unit = self.one_of(*range(cfg.lut_units)) if op == "planes" else 0
        if op == "columns" and r0 <= cfg.sparse_way_rows(1):
            unit = self.one_of(0, 1)
        return self.run(
            "vec", settings, op=VEC_OPS.index(op), source=first,
            target=last, parameter=parameter, planes=planes, unit=unit,
        )  # fmt: skip

    def _stride(self, counts: Mapping[str, int], name: str, width: int) -> int:
        """A stride of VEC: to the next free word in the order of the loops, or any small one."""
        inner = {
            "r0": (),
            "r1": ("r0",),
            "n0": ("r0", "r1"),
            "n1": ("r0", "r1", "n0"),
            "n2": ("r0", "r1", "n0", "n1"),
        }
        if width > 1 or self.rng.random() < 0.5:
            inner |= {"n0": (), "n1": ("n0",), "n2": ("n0", "n1")}
        dense = width * int(np.prod([counts[n] for n in inner[name]]))
        return self.one_of(dense, dense, dense, -dense, dense + 1, 0, int(self.rng.integers(-9, 10)))

    # Beginning and end.

    def fill(self) -> None:
        """Fill every buffer with bytes of DRAM, in pieces, in any order."""
        pieces = []
        for name, (low, high) in self.arenas.items():
            if name not in self.config.load_targets:
                continue
            word, step = self.spaces[name].word_bytes, max(self.config.bus_bytes, self.config.lanes)
            low, high = low * word, high * word
            while low < high:
                size = min(high - low, step * int(self.rng.integers(1, 4 * PAGE // step)))
                size = min(size, PAGE // 2 if name == "parameter" else size)
                pieces.append((name, low, size))
                low += size
        for i in self.rng.permutation(len(pieces)):
            name, target, size = pieces[i]
            while not self._plain(name, size, target):
                pass
        for _ in range(self.config.lut_units if self.config.lut else 0):
            self.vec_op("planes")
        if self.config.sparse:
            self.fill_sparse()
        if "acc" in self.spaces:
            self._fill_sums()

    def _fill_sums(self) -> None:
        """Sums of a single product each, all over the buffer, so that what reads it later does not find zeros."""
        low, high = self.arenas["acc"]
        if not self.config.dsp and not self.config.lut:
            self.fill_sums(low, high)
            return
        outputs = min(16, high - low)
        shape = {"x_count": outputs, "x_stride": 1, "y_count": 1, "y_stride": 0, "c_count": 1}
        shape |= {"kx_count": 1, "kx_stride": 0, "ky_count": 1, "ky_stride": 0}
        weight_bits = self.count(8)
        space, block = ("weight", self.config.lanes) if self.config.dsp else ("plane", weight_bits)
        first, last = self.arenas[space]
        most = (last - first) // block
        for word in range(low, high - outputs + 1, most * outputs):
            run = {
                "weight": first,
                "acc": word,
                "tiles": min(most, (high - word) // outputs),
                "acc_stride": outputs,
            }
            if self.config.dsp:
                self._must("dsp", {"shape": shape}, act=self.arenas["act"][0], **run)
            else:
                bits = {
                    "act_bits": 1,
                    "weight_bits": weight_bits,
                    "weight_signed": 1,
                    "units": 1,
                    "unit_stride": 0,
                }
                self._must("lut", {"shape": shape}, act=self.arenas["plane_act"][0], **run, **bits)

    def dump(self) -> tuple[Place, ...]:
        """Bring activations and sums to DRAM."""
        places = []
        low, high = self.arenas["act"]
        at = self.dumped
        lanes, bus = self.config.lanes, self.config.bus_bytes
        if self.rng.random() < 0.3:
            self.fence()
        self._must("store", {}, address=at, source=low, run_bytes=(high - low) * lanes)
        places.append(Place(f"activations from word {low} on", at, (high - low) * lanes))
        at += (high - low) * lanes
        if "acc" not in self.arenas:
            return tuple(places)
        first, end = self.arenas["acc"]
        chunk = min(end - first, (high - low) // RAW_WORDS, 4095)
        for word in range(first, end, chunk):
            count = min(chunk, end - word)
            shape = {"r0": 1, "r1": 1, "n0": count, "n1": 1, "n2": 1, "rounding": 0, "zero": 0, "low": -128}
            shape |= {"high": 127, "zero0": 0, "zero1": 0}
            source = {"r0": 0, "r1": 0, "n0": 1, "n1": 0, "n2": 0}
            target = {"n0": RAW_WORDS, "n1": 0, "n2": 0, "parameter_n2": 0, "weight0": 0, "weight1": 0}
            settings = {"shape": shape, "source": source, "target": target}
            self._must("vec", settings, op=VEC_OPS.index("raw"), source=word, target=low, planes=1)
            size = RAW_WORDS * count * lanes
            self._must("store", {}, address=ceil_div(at, bus) * bus, source=low, run_bytes=size)
            places.append(Place(f"sums from word {word} on", ceil_div(at, bus) * bus, size))
            at = ceil_div(at, bus) * bus + size
        return tuple(places)

    def _must(self, engine: str, settings: dict[str, dict[str, int]], **fields: int) -> None:
        if not self.run(engine, settings, **fields):
            raise AssertionError(f"the last runs of {engine} do not fit: {fields}")


def _weighted(names: Sequence[str], weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    share = np.array([weights.get(name, 1.0) for name in names])
    return np.asarray(share / share.sum())


def _operands(shape: Mapping[str, int], chunk: int) -> Loops:
    pairs = [(shape[f"{n}_count"], shape[f"{n}_stride"]) for n in ("x", "y", "kx", "ky")]
    return [(shape["c_count"], chunk), *pairs]
