"""What programs do to the buffers and to DRAM, instruction by instruction, from the instruction set's definition.

Timing plays no part: instructions are carried out one after the other in an order that the program's tokens allow, and
a program that the checker accepts gives the same result in every such order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.numerics import IntArray, ceil_div
from hwgen.parts.requantise.golden import requantise
from hwgen.program.encoding import Instr
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.config import SystemConfig
from hwgen.system.digits import DIGIT, exponential_digits, logit_range
from hwgen.system.sparse_golden import sparse_sums, sparse_weights

__all__ = ["Machine", "loop_addresses"]

Bytes = npt.NDArray[np.uint8]


def loop_addresses(base: int, *loops: tuple[int, int]) -> IntArray:
    """Addresses ``base + Σ i · stride`` of nested loops given as (count, stride), outermost first.

    Returns
    -------
    int64 array, shape (counts...)
        One address per round.
    """
    addresses = np.array(base, np.int64)
    for count, stride in loops:
        addresses = addresses[..., None] + np.arange(count, dtype=np.int64) * stride
    return addresses


class Machine:
    """Buffers and DRAM of an accelerator.

    Parameters
    ----------
    config : SystemConfig
        The accelerator.
    dram : uint8 array
        Memory; copied.

    Attributes
    ----------
    act, weight : int8 arrays, shape (words, lanes)
    acc : int32 array, shape (words, lanes)
    parameter, plane_weight : uint8 arrays, shape (words, bytes)
    plane_act : uint8 array of bits, shape (units, words, lut_width)
    code, value, index : uint8 arrays, shape (words, bytes)
    operand : int8 array, shape (words, sparse_rows)
    dram : uint8 array
    """

    def __init__(self, config: SystemConfig, dram: Bytes):
        self.config = config
        self.dram = dram.copy()
        lanes = config.lanes
        self.act = np.zeros((config.act_words, lanes), np.int8)
        self.weight = np.zeros((config.weight_words, lanes), np.int8)
        self.acc = np.zeros((config.acc_words, lanes), np.int32)
        self.parameter = np.zeros((config.parameter_words, config.parameter.word_bytes), np.uint8)
        self.plane_weight = np.zeros((config.plane_weight_words, config.plane_weight.word_bytes), np.uint8)
        self.plane_act = np.zeros((config.lut_units, config.plane_words, config.lut_width), np.uint8)
        self.code, self.value, self.index = (
            np.zeros((space.words, space.word_bytes), np.uint8)
            for space in (config.code, config.value, config.index)
        )
        self.operand = np.zeros((config.sparse_depth, config.sparse_rows), np.int8)
        self._kept: IntArray | None = None  # sums inside the DSP core
        self._settings: dict[str, Mapping[str, int]] = {}

    def run(self, instructions: Iterable[Instr]) -> None:
        """Carry out instructions in the order given, which must be one that their tokens allow."""
        for one in instructions:
            self.execute(one)

    def execute(self, one: Instr) -> None:
        """Carry out one instruction."""
        engine = one.engine
        if engine == "control":
            return
        if not one.mnemonic.endswith(".run"):
            self._settings[one.mnemonic] = one.fields
            return
        getattr(self, f"_{engine}")(one.fields)

    def _load(self, run: Mapping[str, int]) -> None:
        if run["windowed"]:
            data = self._window(run)
        else:
            data = self.dram[run["address"] : run["address"] + run["run_bytes"]].copy()
            data = np.pad(data, (0, -len(data) % self.config.lanes))
        data = np.pad(data, (0, -len(data) % self.config.bus_bytes))
        buffer = BUFFERS[run["buffer"]]
        target: npt.NDArray[Any] = getattr(self, {"plane": "plane_weight"}.get(buffer, buffer))
        flat = target.reshape(-1).view(np.uint8)
        flat[run["target"] : run["target"] + len(data)] = data

    def _window(self, run: Mapping[str, int]) -> Bytes:
        """Runs of all groups and rows, padding included, groups aligned to words."""
        window, position = self._settings["load.window"], self._settings["load.position"]
        length, rows, groups = run["run_bytes"], run["run_count"], position["group_count"]
        group_bytes = ceil_div(rows * length, self.config.lanes) * self.config.lanes
        out = np.full((groups, group_bytes), window["pad_value"] & 0xFF, np.uint8)
        inside = np.arange(length)
        for group in range(groups):
            x = position["x_start"] + group * window["x_step"] + inside
            there = (x >= 0) & (x < window["row_bytes"])
            for row in range(rows):
                y = position["y_start"] + row
                if not 0 <= y < window["row_count"]:
                    continue
                # The address given is that of the first run's first byte, existing or not.
                first = run["address"] + row * window["row_pitch"] + group * window["x_step"]
                cells = out[group, row * length : (row + 1) * length]
                cells[there] = self.dram[first + inside[there]]
        return out.reshape(-1)

    def _store(self, run: Mapping[str, int]) -> None:
        pitches = self._settings.get("store.window", {"row_pitch": 0, "source_pitch": 0})
        flat = self.act.reshape(-1).view(np.uint8)
        for row in range(run["run_count"]):
            first = (run["source"] + row * pitches["source_pitch"]) * self.config.lanes
            address = run["address"] + row * pitches["row_pitch"]
            self.dram[address : address + run["run_bytes"]] = flat[first : first + run["run_bytes"]]

    def _patches(self, shape: Mapping[str, int], base: int, chunk: int) -> IntArray:
        """Address of every operand word, shape (outputs, products)."""
        outputs = loop_addresses(
            base, (shape["y_count"], shape["y_stride"]), (shape["x_count"], shape["x_stride"])
        )
        products = loop_addresses(
            0,
            (shape["ky_count"], shape["ky_stride"]),
            (shape["kx_count"], shape["kx_stride"]),
            (shape["c_count"], chunk),
        )
        return outputs.reshape(-1, 1) + products.reshape(1, -1)

    def _dsp(self, run: Mapping[str, int]) -> None:
        lanes = self.config.lanes
        shape = self._settings["dsp.shape"]
        where = self._patches(shape, run["act"], 1) % self.config.act_words
        outputs, products = where.shape
        a = self.act[where].astype(np.int64).reshape(outputs, products * lanes)
        for tile in range(run["tiles"]):
            first = run["weight"] + tile * products * lanes
            blocks = self.weight[first : first + products * lanes].astype(np.int64)
            # A block's words come last row first.
            b = blocks.reshape(products, lanes, lanes)[:, ::-1].reshape(products * lanes, lanes)
            sums = a @ b
            if run["accumulate"]:
                assert self._kept is not None
                sums = sums + self._kept
            if run["keep"]:
                self._kept = sums
            else:
                first = run["acc"] + tile * run["acc_stride"]
                self.acc[first : first + outputs] = sums.astype(np.int32)

    def _lut(self, run: Mapping[str, int]) -> None:
        lanes, width = self.config.lanes, self.config.lut_width
        shape = self._settings["lut.shape"]
        a_bits, b_bits = run["act_bits"], run["weight_bits"]
        where = self._patches(shape, run["act"], a_bits)
        outputs, products = where.shape
        a_weights, b_weights = (
            _plane_weights(a_bits, run["act_signed"]),
            _plane_weights(b_bits, run["weight_signed"]),
        )
        planes = np.unpackbits(self.plane_weight, axis=1, bitorder="little").reshape(-1, lanes, width)
        for unit in range(run["units"]):
            bits = self.plane_act[unit][(where[..., None] + np.arange(a_bits)) % self.config.plane_words]
            a = np.tensordot(bits.astype(np.int64), a_weights, (2, 0)).reshape(outputs, products * width)
            for tile in range(run["tiles"]):
                first = run["weight"] + tile * products * b_bits
                block = planes[first : first + products * b_bits].reshape(products, b_bits, lanes, width)
                b = np.tensordot(block.astype(np.int64), b_weights, (1, 0))  # products, lanes, width
                sums = a @ b.transpose(0, 2, 1).reshape(products * width, lanes)
                at = run["acc"] + tile * run["acc_stride"] + unit * run["unit_stride"]
                self.acc[at : at + outputs] = sums.astype(np.int32)

    def _sparse(self, run: Mapping[str, int]) -> None:
        shape = self._settings["sparse.shape"]
        streams = {"code": self.code, "value": self.value, "index": self.index}
        weights = sparse_weights(self.config, streams, shape, self._settings["sparse.stream"], run)
        for tile, sums in enumerate(sparse_sums(self.config, self.operand, weights, shape, run)):
            at = run["acc"] + tile * run["acc_stride"]
            self.acc[at : at + shape["rows"]] = sums.astype(np.int32)

    def _vec(self, run: Mapping[str, int]) -> None:
        shape, source, target = (self._settings[f"vec.{name}"] for name in ("shape", "source", "target"))
        op = VEC_OPS[run["op"]]
        counts = (shape["n2"], shape["n1"], shape["n0"])
        steps = (shape["r1"], shape["r0"])
        reads = loop_addresses(
            run["source"],
            *zip(counts, (source["n2"], source["n1"], source["n0"]), strict=True),
            *zip(steps, (source["r1"], source["r0"]), strict=True),
        ).reshape(*counts, -1)
        writes = loop_addresses(
            run["target"], *zip(counts, (target["n2"], target["n1"], target["n0"]), strict=True)
        )
        act_words = self.config.act_words
        if op == "planes":
            self._to_planes(run, reads % act_words, writes)
        elif op == "transpose":
            blocks = self.act[reads[:, :, 0] % act_words]  # n2, n1, word, lane
            self.act[writes % act_words] = blocks.swapaxes(2, 3)
        elif op == "columns":
            self._to_operands(run, reads[:, :, 0] % act_words, writes)
        elif op == "copy":
            self.act[writes % act_words] = self.act[reads[..., 0] % act_words]
        elif op == "raw":
            words = self.acc[reads[..., 0] % self.config.acc_words]
            quarters = np.ascontiguousarray(words).view(np.int8).reshape(*counts, 4, self.config.lanes)
            self.act[(writes[..., None] + np.arange(4)) % act_words] = quarters
        elif op == "softmax":
            sums = self._reduce("requantise", shape, target, reads)
            parameters = run["parameter"] + np.arange(shape["n2"]) * target["parameter_n2"]
            self._softmax(sums, shape, parameters % self.config.parameter_words, writes % act_words)
        else:
            sums = self._reduce(op, shape, target, reads)
            parameters = run["parameter"] + np.arange(shape["n2"]) * target["parameter_n2"]
            values = self._requantise(sums, shape, parameters % self.config.parameter_words)
            self.act[writes % act_words] = values.astype(np.int8)

    def _reduce(
        self, op: str, shape: Mapping[str, int], target: Mapping[str, int], reads: IntArray
    ) -> IntArray:
        """Sums, maxima or products of the inputs of each output; int64, shape (n2, n1, n0, lanes)."""
        odd = np.arange(reads.shape[-1]) % 2
        if op == "requantise":
            words = self.acc[reads % self.config.acc_words].astype(np.int64)
            places = np.arange(reads.shape[-1])[::-1, None] * (DIGIT * shape["digits"])
            return np.asarray(
                np.left_shift(words, np.minimum(places, 32)).sum(axis=3)
            )  # wraps at 32 bits anyway
        inputs = self.act[reads % self.config.act_words].astype(np.int64)
        if op == "max":
            return np.asarray(inputs.max(axis=3))
        if op == "sum":
            weights = np.where(odd, target["weight1"], target["weight0"])
            return np.asarray((inputs * weights[:, None]).sum(axis=3))
        zeros = np.where(odd, shape["zero1"], shape["zero0"])
        return np.asarray(np.prod(inputs - zeros[:, None], axis=3))

    def _softmax(self, sums: IntArray, shape: Mapping[str, int], words: IntArray, writes: IntArray) -> None:
        """Exponentials of rows, a row being all words of n0; and their parameters."""
        low, high = logit_range
        logits = self._requantise(sums, {**shape, "zero": 0, "low": low, "high": high}, words)
        row = self._settings["vec.row"]
        blocks, rows, width, lanes = logits.shape
        digits, scales = exponential_digits(self.config, logits.reshape(blocks, rows, width * lanes), row)
        self.act[writes] = digits.reshape(logits.shape)
        self.parameter[row["parameter"] : row["parameter"] + len(scales)] = scales

    def _requantise(self, sums: IntArray, shape: Mapping[str, int], words: IntArray) -> IntArray:
        raw = self.parameter[words].reshape(len(words), 1, 1, self.config.lanes, 8)
        bias = np.ascontiguousarray(raw[..., :4]).view("<i4")[..., 0].astype(np.int64)
        multiplier = raw[..., 4:7].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        multiplier &= (1 << self.config.scale_bits) - 1
        shift = raw[..., 7].astype(np.int64) & 63
        return requantise(
            sums, bias, multiplier, shift,
            zero=shape["zero"], low=shape["low"], high=shape["high"], rounding=self.config.roundings[shape["rounding"]],
        )  # fmt: skip

    def _to_planes(self, run: Mapping[str, int], reads: IntArray, writes: IntArray) -> None:
        """Bit planes of gathered elements; elements beyond those read are zero."""
        width = self.config.lut_width
        elements = self.act[reads].reshape(*reads.shape[:3], -1)
        elements = np.pad(elements, ((0, 0),) * 3 + ((0, width - elements.shape[-1]),))
        for plane in range(run["planes"]):
            bits = (elements >> plane) & 1
            self.plane_act[run["unit"]][(writes + plane) % self.config.plane_words] = bits.astype(np.uint8)

    def _to_operands(self, run: Mapping[str, int], reads: IntArray, writes: IntArray) -> None:
        """Columns of blocks, whose words are rows; rows beyond those read are zero."""
        rows = self.config.sparse_way_rows(run["unit"])
        blocks = self.act[reads].swapaxes(2, 3)  # n2, n1, lane, word
        words = np.pad(blocks, ((0, 0),) * 3 + ((0, rows - blocks.shape[3]),))
        self.operand[writes % self.config.sparse_depth] = np.tile(words, self.config.sparse_rows // rows)


def _plane_weights(bits: int, signed: int) -> IntArray:
    """Value of each plane, least significant first."""
    weights = np.left_shift(1, np.arange(bits, dtype=np.int64))
    if signed:
        weights[-1] = -weights[-1]
    return weights
