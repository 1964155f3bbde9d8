"""The same as :mod:`hwgen.system.golden` by the fastest exact way, for many images at once.

Timing does not depend on values, so one simulation of a program holds for every image; what differs is done here with
the images as an axis of every buffer. Products go through BLAS in float32, in runs of the sum that cannot round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.matmul import exact_matmul
from hwgen.numerics import IntArray, ceil_div
from hwgen.program.encoding import Instr
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.config import SystemConfig
from hwgen.system.digits import DIGIT, exponential_digits, logit_range
from hwgen.system.sparse_values import dense_weights

__all__ = ["Values"]

Bytes = npt.NDArray[np.uint8]
_Int = npt.NDArray[Any]

_GATHER = 1 << 21  # bytes of operands that are laid out at once: what stays near the processor


class Values:
    """Buffers of an accelerator, and DRAM, for several images.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    dram : uint8 array, shape (images, bytes)
        Memory of every image; changed in place. Programs, weights and parameters must be the same in all; so
        with softmax, which makes parameters, there is one image.
    """

    def __init__(self, config: SystemConfig, dram: Bytes):
        self.config = config
        self.dram = dram
        images, lanes = len(dram), config.lanes
        self.act = np.zeros((images, config.act_words, lanes), np.int8)
        self.acc = np.zeros((images, config.acc_words, lanes), np.int32)
        units = config.lut_units if config.lut else 0
        self.plane_act = np.zeros((images, units, config.plane_words, config.lut_width), np.uint8)
        # What is constant in the program is held once.
        self.weight = np.zeros((config.weight_words, lanes), np.int8)
        self.parameter = np.zeros((config.parameter_words, config.parameter.word_bytes), np.uint8)
        self.plane = np.zeros((config.plane_weight_words, config.plane_weight.word_bytes), np.uint8)
        self.code, self.value, self.index = (
            np.zeros((space.words, space.word_bytes), np.uint8)
            for space in (config.code, config.value, config.index)
        )
        self.operand = np.zeros(
            (images, config.sparse_depth if config.sparse else 0, config.sparse_rows), np.int8
        )
        self._set: dict[str, Mapping[str, int]] = {}
        self._kept: dict[int, _Int] = {}  # sums inside the DSP core, by first output

    def run(self, instructions: Iterable[Instr]) -> None:
        """Carry out instructions in an order that their tokens allow."""
        for one in instructions:
            if one.engine == "control":
                continue
            if one.mnemonic.endswith(".run"):
                getattr(self, f"_{one.engine}")(one.fields)
            else:
                self._set[one.mnemonic] = one.fields

    # Transfers.

    def _load(self, run: Mapping[str, int]) -> None:
        cfg = self.config
        buffer = BUFFERS[run["buffer"]]
        source = self.dram if buffer == "act" else self.dram[:1]
        if run["windowed"]:
            data = self._window(run, source)
        else:
            data = source[:, run["address"] : run["address"] + run["run_bytes"]]
        size = ceil_div(ceil_div(data.shape[1], cfg.lanes) * cfg.lanes, cfg.bus_bytes) * cfg.bus_bytes
        target: _Int = getattr(self, buffer)
        flat = target.reshape(len(source), -1).view(np.uint8)
        at = run["target"]
        flat[:, at : at + data.shape[1]] = data
        flat[:, at + data.shape[1] : at + size] = 0

    def _window(self, run: Mapping[str, int], source: Bytes) -> Bytes:
        """As the golden model's, all groups of a row at once."""
        window, position = self._set["load.window"], self._set["load.position"]
        length, rows, groups = run["run_bytes"], run["run_count"], position["group_count"]
        size = ceil_div(rows * length, self.config.lanes) * self.config.lanes
        out = np.full((len(source), groups, size), window["pad_value"] & 0xFF, np.uint8)
        offsets = np.arange(groups)[:, None] * window["x_step"] + np.arange(length)
        x = position["x_start"] + offsets
        there = (x >= 0) & (x < window["row_bytes"])
        whole = bool(there.all())
        for row in range(rows):
            if not 0 <= position["y_start"] + row < window["row_count"]:
                continue
            first = run["address"] + row * window["row_pitch"]
            cells = out[:, :, row * length : (row + 1) * length]
            if whole and groups == 1:
                cells[:, 0] = source[:, first : first + length]
            else:
                cells[:, there] = source[:, first + offsets[there]]
        return out.reshape(len(source), -1)

    def _store(self, run: Mapping[str, int]) -> None:
        pitches = self._set.get("store.window", {"row_pitch": 0, "source_pitch": 0})
        flat = self.act.reshape(len(self.act), -1).view(np.uint8)
        for row in range(run["run_count"]):
            first = (run["source"] + row * pitches["source_pitch"]) * self.config.lanes
            address = run["address"] + row * pitches["row_pitch"]
            self.dram[:, address : address + run["run_bytes"]] = flat[:, first : first + run["run_bytes"]]

    # Products.

    def _dsp(self, run: Mapping[str, int]) -> None:
        lanes = self.config.lanes
        shape = self._set["dsp.shape"]
        where = _patches(shape, run["act"], 1)
        outputs, products = where.shape
        tiles = run["tiles"]
        size = products * lanes
        blocks = self.weight[run["weight"] : run["weight"] + tiles * size].reshape(
            tiles, products, lanes, lanes
        )
        # A block's words come last row first.
        b = blocks[:, :, ::-1].transpose(1, 2, 0, 3).reshape(size, tiles * lanes).astype(np.float32)
        step = max(1, _GATHER // max(1, len(self.act) * size))
        for first in range(0, outputs, step):
            part = where[first : first + step] % self.config.act_words
            a = self.act[:, part].reshape(-1, size).astype(np.float32)
            self._sums(run, exact_matmul(a, b, 128 * 128), first, len(part))

    def _sums(self, run: Mapping[str, int], sums: _Int, first: int, count: int) -> None:
        """Sums of all tiles of some outputs to the buffer, or kept."""
        tiles, lanes = run["tiles"], self.config.lanes
        sums = sums.reshape(len(self.act), count, tiles, lanes)
        if run["accumulate"]:
            sums = sums + self._kept[first]
        if run["keep"]:
            self._kept[first] = sums
            return
        for tile in range(tiles):
            at = run["acc"] + tile * run["acc_stride"] + first
            self.acc[:, at : at + count] = sums[:, :, tile]

    def _lut(self, run: Mapping[str, int]) -> None:
        lanes, width = self.config.lanes, self.config.lut_width
        a_bits, b_bits, tiles = run["act_bits"], run["weight_bits"], run["tiles"]
        where = _patches(self._set["lut.shape"], run["act"], a_bits)
        outputs, products = where.shape
        a_values, b_values = (
            _plane_values(a_bits, run["act_signed"]),
            _plane_values(b_bits, run["weight_signed"]),
        )
        words = self.plane[run["weight"] : run["weight"] + tiles * products * b_bits]
        bits = np.unpackbits(words, axis=1, bitorder="little").reshape(tiles, products, b_bits, lanes, width)
        b = np.einsum("tprlw,r->pwtl", bits, b_values, dtype=np.float32).reshape(
            products * width, tiles * lanes
        )
        limit = int(np.abs(a_values).sum() * np.abs(b_values).sum())
        # Planes that belong to one word are put together once, where they lie.
        used = np.unique(where)
        place = np.zeros(self.config.plane_words, np.int64)
        place[used] = np.arange(len(used))
        for unit in range(run["units"]):
            planes = self.plane_act[:, unit][:, (used[:, None] + np.arange(a_bits)) % self.config.plane_words]
            values = np.einsum("iubw,b->iuw", planes, a_values, dtype=np.float32)
            step = max(1, _GATHER // max(1, 4 * len(self.act) * products * width))
            for first in range(0, outputs, step):
                part = place[where[first : first + step]]
                a = values[:, part].reshape(-1, products * width)
                sums = exact_matmul(a, b, limit).reshape(len(self.act), len(part), tiles, lanes)
                for tile in range(tiles):
                    at = run["acc"] + tile * run["acc_stride"] + unit * run["unit_stride"] + first
                    self.acc[:, at : at + len(part)] = sums[:, :, tile]

    def _sparse(self, run: Mapping[str, int]) -> None:
        cfg, shape = self.config, self._set["sparse.shape"]
        streams = (self.code, self.value, self.index)
        b = dense_weights(cfg, *streams, shape, self._set["sparse.stream"], run).reshape(-1, run["tiles"], 16)
        limit = max(1, 128 * int(np.abs(b).max()))
        first, rows = 16 * run["operand"], shape["rows"]
        ways = cfg.sparse_ways if shape["spread"] else 1
        for way in range(min(ways, run["tiles"])):
            low = way * (cfg.sparse_rows // ways)
            words = self.operand[:, first : first + len(b), low : low + rows]
            a = words.swapaxes(1, 2).reshape(-1, len(b))
            sums = exact_matmul(a, b[:, way::ways].reshape(len(b), -1), limit)
            for n, one in enumerate(sums.reshape(len(self.act), rows, -1, 16).transpose(2, 0, 1, 3)):
                at = run["acc"] + (way + n * ways) * run["acc_stride"]
                self.acc[:, at : at + rows] = one

    # Vectors.

    def _vec(self, run: Mapping[str, int]) -> None:
        shape, source, target = (self._set[f"vec.{name}"] for name in ("shape", "source", "target"))
        op = VEC_OPS[run["op"]]
        names = ("n2", "n1", "n0")
        counts = tuple(shape[name] for name in names)
        reads = _loops(run["source"], [(shape[n], source[n]) for n in (*names, "r1", "r0")]).reshape(
            *counts, -1
        )
        writes = _loops(run["target"], [(shape[n], target[n]) for n in names])
        act_words, images = self.config.act_words, len(self.act)
        if op == "planes":
            self._to_planes(run, reads % act_words, writes)
        elif op == "transpose":
            self.act[:, writes % act_words] = self.act[:, reads[:, :, 0] % act_words].swapaxes(3, 4)
        elif op == "columns":
            self._to_operands(run, self.act[:, reads[:, :, 0] % act_words], writes)
        elif op == "copy":
            self.act[:, writes % act_words] = self.act[:, reads[..., 0] % act_words]
        elif op == "raw":
            sums32 = np.ascontiguousarray(self.acc[:, reads[..., 0] % self.config.acc_words])
            quarters = sums32.view(np.int8).reshape(images, *counts, 4, self.config.lanes)
            self.act[:, (writes[..., None] + np.arange(4)) % act_words] = quarters
        elif op == "softmax":
            self._softmax(run, shape, target, reads[..., 0] % self.config.acc_words, writes % act_words)
        else:
            sums = self._reduce(op, shape, target, reads)
            words = (
                run["parameter"] + np.arange(counts[0]) * target["parameter_n2"]
            ) % self.config.parameter_words
            self.act[:, writes % act_words] = self._requantise(sums, shape, words).astype(np.int8)

    def _reduce(
        self, op: str, shape: Mapping[str, int], target: Mapping[str, int], reads: IntArray
    ) -> IntArray:
        """Sums, maxima or products of the inputs of each output, one input after the other."""
        count = reads.shape[-1]
        if op == "requantise":
            words = reads % self.config.acc_words
            if count == 1:
                return self.acc[:, words[..., 0]]
            if shape["digits"]:
                places = np.arange(count, dtype=np.int64)[::-1, None] * DIGIT
                moved = np.left_shift(self.acc[:, words].astype(np.int64), np.minimum(places, 32))
                return np.asarray(moved.sum(axis=-2).astype(np.int32))  # wraps
            return np.asarray(self.acc[:, words].sum(axis=-2, dtype=np.int32))
        words = reads % self.config.act_words
        total: _Int | None = None
        for k in range(count):
            x = self.act[:, words[..., k]]
            if op == "max":
                total = x if total is None else np.maximum(total, x)
            elif op == "sum":
                term = x.astype(np.int32) * np.int32(target[f"weight{k % 2}"])
                total = term if total is None else total + term
            else:
                term = x.astype(np.int32) - np.int32(shape[f"zero{k % 2}"])
                total = term if total is None else total * term
        assert total is not None
        return total

    def _softmax(
        self, run: Mapping[str, int], shape: Mapping[str, int], target: Mapping[str, int], reads: IntArray,
        writes: IntArray,
    ) -> None:  # fmt: skip
        low, high = logit_range
        words = (
            run["parameter"] + np.arange(len(reads)) * target["parameter_n2"]
        ) % self.config.parameter_words
        logits = self._requantise(self.acc[:, reads], {**shape, "zero": 0, "low": low, "high": high}, words)
        row = self._set["vec.row"]
        (found,) = logits
        blocks, rows, width, lanes = found.shape
        digits, scales = exponential_digits(self.config, found.reshape(blocks, rows, width * lanes), row)
        self.act[0, writes] = digits.reshape(found.shape)
        self.parameter[row["parameter"] : row["parameter"] + len(scales)] = scales

    def _requantise(self, sums: _Int, shape: Mapping[str, int], words: IntArray) -> _Int:
        raw = self.parameter[words].reshape(len(words), 1, 1, self.config.lanes, 8)
        bias = np.ascontiguousarray(raw[..., :4]).view("<i4")[..., 0]
        multiplier = raw[..., 4:7].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        multiplier &= (1 << self.config.scale_bits) - 1
        shift = raw[..., 7].astype(np.int64) & 63
        rounding = self.config.roundings[shape["rounding"]]
        if rounding == "ort":  # a processor's float32 is what onnxruntime uses too
            real = (sums.astype(np.int32) + bias).astype(np.float32)
            real *= np.ldexp(multiplier.astype(np.float32), -shift)
            real = np.rint(real) + np.float32(shape["zero"])
            near: _Int = np.clip(real, shape["low"], shape["high"]).astype(np.int64)
            return near
        drops = (shift > 0).astype(np.int64)  # where nothing is shifted out there is nothing to round
        half = np.left_shift(drops, np.maximum(shift - 1, 0))
        product = (sums.astype(np.int32) + bias).astype(np.int64)  # wraps at 32 bits, as the adder does
        product *= multiplier
        if rounding == "half_even":
            rounded = product >> shift
            rounded &= drops  # odd ones: only there a tie goes up
            rounded += half - drops
        elif rounding == "half_up":
            rounded = np.broadcast_to(half, product.shape).copy()
        else:
            rounded = product >> 63
            rounded &= -drops  # a negative tie goes down
            rounded += half
        rounded += product
        rounded >>= shift
        rounded += shape["zero"]
        clamped: _Int = np.clip(rounded, shape["low"], shape["high"], out=rounded)
        return clamped

    def _to_planes(self, run: Mapping[str, int], reads: IntArray, writes: IntArray) -> None:
        width = self.config.lut_width
        elements = self.act[:, reads].reshape(len(self.act), *reads.shape[:3], -1).view(np.uint8)
        used = elements.shape[-1]
        target = self.plane_act[:, run["unit"]]
        for plane in range(run["planes"]):
            words = np.zeros((*elements.shape[:-1], width), np.uint8)
            words[..., :used] = (elements >> plane) & 1
            target[:, (writes + plane) % self.config.plane_words] = words

    def _to_operands(self, run: Mapping[str, int], blocks: _Int, writes: IntArray) -> None:
        cfg = self.config
        ways = cfg.sparse_ways if run["unit"] else 1
        words = np.zeros((*writes.shape, ways, cfg.sparse_rows // ways), np.int8)
        words = np.broadcast_to(words, (len(blocks), *words.shape)).copy()
        words[..., : blocks.shape[3]] = blocks.swapaxes(3, 4)[..., None, :]
        self.operand[:, writes % cfg.sparse_depth] = words.reshape(*words.shape[:4], cfg.sparse_rows)


def _loops(base: int, loops: list[tuple[int, int]]) -> IntArray:
    addresses = np.array(base, np.int64)
    for count, stride in loops:
        addresses = addresses[..., None] + np.arange(count, dtype=np.int64) * stride
    return addresses


def _patches(shape: Mapping[str, int], base: int, chunk: int) -> IntArray:
    """Address of every operand word, shape (outputs, products)."""
    outputs = _loops(base, [(shape["y_count"], shape["y_stride"]), (shape["x_count"], shape["x_stride"])])
    kernel = [(shape["ky_count"], shape["ky_stride"]), (shape["kx_count"], shape["kx_stride"])]
    return outputs.reshape(-1, 1) + _loops(0, [*kernel, (shape["c_count"], chunk)]).reshape(1, -1)


def _plane_values(bits: int, signed: int) -> npt.NDArray[np.float32]:
    """Value of each plane, least significant first."""
    values = np.exp2(np.arange(bits)).astype(np.float32)
    if signed:
        values[-1] = -values[-1]
    return values
