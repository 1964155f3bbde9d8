"""The instruction set, once: encoder, decoder, texts, C header, documentation and hardware all read this table.

An instruction is 128 bits, little endian in memory. The lowest 24 bits say who does it and who waits for whom;
the other 104 are the instruction's own fields, packed from bit 24 up in the order of the table. Bits that no field
uses are reserved and must be zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = [
    "BUFFERS",
    "CONTROL",
    "ENGINES",
    "INSTRUCTIONS",
    "INSTRUCTION_BYTES",
    "PAYLOAD_LOW",
    "ROUNDING",
    "VEC_OPS",
    "Field",
    "Instruction",
    "engine_mask",
    "instruction",
]

INSTRUCTION_BYTES = 16

ENGINES = ("load", "dsp", "lut", "sparse", "vec", "store")
"""Engines by number: the index in ``wait`` and ``signal`` masks, and the engine field of an instruction."""

CONTROL = 15
"""Engine number of the instructions that the dispatcher itself carries out."""

ENGINE_LOW, ENGINE_BITS = 0, 4
FUNCTION_LOW, FUNCTION_BITS = 4, 4
WAIT_LOW, SIGNAL_LOW, MASK_BITS = 8, 16, 8
PAYLOAD_LOW = 24

BUFFERS = ("act", "weight", "parameter", "plane", "code", "value", "index")
"""Destinations of ``load.run`` by number: activations, DSP weights, VEC parameters, LUT weight planes; codes, values
and indices of sparse weights."""

VEC_OPS = ("requantise", "raw", "sum", "max", "product", "copy", "transpose", "planes", "softmax", "columns")
"""What ``vec.run`` can do, by number."""

ROUNDING = ("half_even", "half_away")
"""Roundings of the requantiser by number: ties to even (ONNX), ties away from zero (TFLite)."""


@dataclass(frozen=True)
class Field:
    """A field of an instruction's payload.

    Parameters
    ----------
    name : str
        As in assembly text and C.
    bits : int
        Width.
    meaning : str
        One line, with the unit.
    signed : bool
        Two's complement if true.
    minimum, maximum : int, optional
        Legal values, where the width allows more.
    names : tuple of str
        Texts of the values 0, 1, ... if they have any.
    """

    name: str
    bits: int
    meaning: str
    signed: bool = False
    minimum: int | None = None
    maximum: int | None = None
    names: tuple[str, ...] = ()

    @property
    def low(self) -> int:
        """Smallest legal value."""
        if self.minimum is not None:
            return self.minimum
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest legal value."""
        if self.maximum is not None:
            return self.maximum
        if self.names:
            return len(self.names) - 1
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Instruction:
    """One kind of instruction.

    Parameters
    ----------
    engine : str
        Who does it: of :data:`ENGINES`, or ``control``.
    function : int
        Number within the engine.
    name : str
        Second half of the mnemonic ``engine.name``.
    meaning : str
        What it does, one or two sentences.
    fields : tuple of Field
        Payload, from bit 24 up.
    """

    engine: str
    function: int
    name: str
    meaning: str
    fields: tuple[Field, ...] = ()

    @property
    def mnemonic(self) -> str:
        """``engine.name``."""
        return f"{self.engine}.{self.name}"

    @property
    def engine_number(self) -> int:
        """Value of the engine field."""
        return CONTROL if self.engine == "control" else ENGINES.index(self.engine)

    def placed(self) -> Iterator[tuple[Field, int]]:
        """Fields with their lowest bit in the instruction."""
        at = PAYLOAD_LOW
        for field in self.fields:
            yield field, at
            at += field.bits

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Lowest bit of every field by name."""
        return {field.name: at for field, at in self.placed()}

    @property
    def reserved_low(self) -> int:
        """First bit that no field uses; from here to bit 127 all must be zero."""
        return PAYLOAD_LOW + sum(field.bits for field in self.fields)


def _count(name: str, bits: int, meaning: str) -> Field:
    """A field that counts something: never zero."""
    return Field(name, bits, meaning, minimum=1)


def _gemm_shape(engine: str, unit: str, chunk: str) -> Instruction:
    """The loops over activations are the same for both GEMM engines."""
    return Instruction(
        engine, 0, "shape",
        f"Sets the loops of the engine's next runs: outputs (y, x) and, for each, the products (ky, kx, c). Strides "
        f"are in {unit}; one step of c moves by {chunk}.",
        (
            _count("x_count", 12, "outputs per row"),
            Field("x_stride", 14, f"from one output to the next in a row, {unit}"),
            _count("y_count", 12, "rows of outputs"),
            Field("y_stride", 16, f"from one row of outputs to the next, {unit}"),
            _count("c_count", 10, "chunks of channels per kernel position"),
            _count("kx_count", 6, "kernel columns"),
            Field("kx_stride", 12, f"from one kernel column to the next, {unit}"),
            _count("ky_count", 6, "kernel rows"),
            Field("ky_stride", 16, f"from one kernel row to the next, {unit}"),
        ),
    )  # fmt: skip


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction("control", 0, "halt", "Ends the program once every engine has finished. The last instruction."),
    Instruction("control", 1, "fence", "Holds back what follows until every engine has finished what it has."),
    Instruction(
        "load", 0, "window",
        "Sets what the engine's next windowed runs may read: bytes and rows outside are padding.",
        (
            Field("row_pitch", 28, "from one row to the next in DRAM, bytes"),
            Field("x_step", 16, "from one group's runs to the next group's, bytes", signed=True),
            _count("row_bytes", 20, "bytes of a row that exist"),
            _count("row_count", 16, "rows that exist"),
            Field("pad_value", 8, "value of every padding byte", signed=True),
        ),
    ),
    Instruction(
        "load", 1, "position",
        "Sets where the engine's next windowed runs lie in their window, and how many groups there are.",
        (
            Field("x_start", 21, "first byte of a run, counted from the start of its row", signed=True),
            Field("y_start", 17, "first row", signed=True),
            _count("group_count", 16, "groups"),
        ),
    ),
    Instruction(
        "load", 2, "run",
        "Moves runs of bytes from DRAM to a buffer, one after the other without gaps. Windowed: for every group g "
        "and row y, the bytes at x_start + g * x_step of row y_start + y; after each group the destination is "
        "aligned to a word of activations with padding. Not windowed: one run.",
        (
            Field("address", 40, "DRAM byte address of the first run (of row y_start, byte x_start)"),
            Field("buffer", 3, "destination", names=BUFFERS),
            Field("target", 24, "first byte in the buffer; a multiple of the bus width"),
            _count("run_bytes", 20, "bytes per run"),
            _count("run_count", 14, "rows per group; 1 if not windowed"),
            Field("windowed", 1, "use window and position"),
        ),
    ),
    _gemm_shape("dsp", "words of activations", "one word"),
    Instruction(
        "dsp", 1, "run",
        "For each of `tiles` column tiles: sums over (ky, kx, c) of activation word times weight block, for every "
        "output, to the accumulator buffer. Weights of a block are `lanes` words, blocks in the order tile, ky, kx, c.",
        (
            Field("act", 20, "first word of activations"),
            Field("weight", 20, "first word of weights"),
            Field("acc", 16, "first word of sums"),
            _count("tiles", 10, "column tiles"),
            Field("acc_stride", 14, "from one tile's sums to the next tile's, words"),
            Field("accumulate", 1, "start from the sums that the last run kept"),
            Field("keep", 1, "keep the sums inside, write nothing"),
        ),
    ),
    _gemm_shape("lut", "plane words", "act_bits plane words"),
    Instruction(
        "lut", 1, "run",
        "The same on bit planes, for all units at once: unit u writes its outputs `u * unit_stride` words further.",
        (
            Field("act", 16, "first plane word of activations, the same in every unit"),
            Field("weight", 16, "first plane word of weights"),
            Field("acc", 16, "first word of sums"),
            _count("tiles", 10, "column tiles"),
            Field("acc_stride", 14, "from one tile's sums to the next tile's, words"),
            _count("units", 6, "units whose sums are written"),
            Field("unit_stride", 12, "from one unit's sums to the next unit's, words"),
            Field("act_bits", 4, "planes per activation", minimum=1, maximum=8),
            Field("weight_bits", 4, "planes per weight", minimum=1, maximum=8),
            Field("act_signed", 1, "activations are two's complement"),
            Field("weight_signed", 1, "weights are two's complement"),
        ),
    ),
    Instruction(
        "sparse", 0, "shape",
        "Sets the size of the engine's next runs: sums over K blocks of 16 products, for some rows of outputs.",
        (
            _count("blocks", 10, "blocks of 16 products per sum"),
            _count("rows", 6, "rows of outputs"),
            Field("weight_bits", 4, "bits per weight: 2, 3, 4 or 8", minimum=2, maximum=8),
            Field("spread", 1, "the ways compute neighbouring column tiles of the same rows, not parts of the rows"),
        ),
    ),
    Instruction(
        "sparse", 1, "stream",
        "Sets how long the streams of weights are that the engine's next runs read.",
        (
            _count("steps", 24, "cycles that the array works on them"),
            Field("value_rows", 18, "rows of values"),
            Field("index_rows", 18, "rows of indices"),
        ),
    ),
    Instruction(
        "sparse", 2, "run",
        "For each of `tiles` column tiles: sums over `blocks` of operand word times sparse weights, for every row, to "
        "the accumulator buffer. Weights are read as three streams: a code per block, values, indices.",
        (
            Field("operand", 10, "first block of 16 operand words"),
            Field("code", 16, "first word of codes"),
            Field("value", 18, "first row of values"),
            Field("index", 18, "first row of indices"),
            Field("acc", 16, "first word of sums"),
            _count("tiles", 10, "column tiles"),
            Field("acc_stride", 14, "from one tile's sums to the next tile's, words"),
        ),
    ),
    Instruction(
        "vec", 0, "shape",
        "Sets the loops and constants of the engine's next runs: outputs (n2, n1, n0), for each the inputs (r1, r0).",
        (
            _count("r0", 6, "inner reduction steps"),
            _count("r1", 6, "outer reduction steps"),
            _count("n0", 12, "inner outputs"),
            _count("n1", 12, "middle outputs"),
            _count("n2", 12, "outer outputs"),
            Field("rounding", 1, "of a requantiser that rounds to nearest; others have one", names=ROUNDING),
            Field("zero", 8, "zero point of the result", signed=True),
            Field("low", 8, "smallest result", signed=True),
            Field("high", 8, "largest result", signed=True),
            Field("zero0", 8, "zero point of even inputs (product)", signed=True),
            Field("zero1", 8, "zero point of odd inputs (product)", signed=True),
            Field("digits", 1, "inputs are digits of base 128, the highest one first (requantise)"),
        ),
    ),
    Instruction(
        "vec", 1, "source",
        "Sets the strides by which the engine's next runs read.",
        (
            Field("r0", 20, "per inner reduction step, words", signed=True),
            Field("r1", 20, "per outer reduction step, words", signed=True),
            Field("n0", 20, "per inner output, words", signed=True),
            Field("n1", 20, "per middle output, words", signed=True),
            Field("n2", 20, "per outer output, words", signed=True),
        ),
    ),
    Instruction(
        "vec", 2, "target",
        "Sets the strides by which the engine's next runs write, and the weights of a sum.",
        (
            Field("n0", 18, "per inner output, words", signed=True),
            Field("n1", 18, "per middle output, words", signed=True),
            Field("n2", 18, "per outer output, words", signed=True),
            Field("parameter_n2", 8, "per outer output, parameter words (0: per tensor, 1: per channel)"),
            Field("weight0", 16, "weight of even inputs (sum)", signed=True),
            Field("weight1", 16, "weight of odd inputs (sum)", signed=True),
        ),
    ),
    Instruction(
        "vec", 3, "run",
        "Reads, reduces, requantises and writes `lanes` elements at a time.",
        (
            Field("op", 4, "what is done", names=VEC_OPS),
            Field("source", 20, "first word read: of sums for requantise, raw and softmax, else of activations"),
            Field("target", 20, "first word written: plane words for planes, operands for columns, else activations"),
            Field("parameter", 12, "first parameter word"),
            Field("planes", 4, "planes per element (planes), else 1", minimum=1, maximum=8),
            Field(
                "unit", 6,
                "unit of the LUT engine that gets them (planes); 1 to repeat the elements for every way of the sparse "
                "engine (columns); else 0",
            ),
        ),
    ),
    Instruction(
        "vec", 4, "row",
        "Sets the rows of the engine's next runs of softmax: a row is the elements of n0 words, and there is one for "
        "every (n2, n1). Its exponentials are written as digits of base 128, the elements of a word backwards; what a "
        "product of all digits with values has to be scaled by, so that the exponentials of each row add up to one, "
        "becomes a parameter word per row.",
        (
            _count("keep", 13, "elements of a first row (n1 = 0) that take part; the others are zero"),
            Field("keep_step", 1, "elements that take part more in each row than in the row before"),
            Field("digit", 1, "the digit to write: 0 the highest"),
            Field("parameter", 12, "parameter word of the first row"),
            Field("shift", 5, "the scales are multiplied by 2**shift", signed=True),
        ),
    ),
    Instruction(
        "store", 0, "window",
        "Sets the pitches of the engine's next runs of several rows.",
        (
            Field("row_pitch", 28, "from one row to the next in DRAM, bytes; a multiple of the bus width"),
            Field("source_pitch", 20, "from one row to the next in the buffer, words of activations"),
        ),
    ),
    Instruction(
        "store", 1, "run",
        "Moves rows of activations to DRAM.",
        (
            Field("address", 40, "DRAM byte address; a multiple of the bus width"),
            Field("source", 20, "first word of activations; at a multiple of the bus width"),
            _count("run_bytes", 20, "bytes per row"),
            _count("run_count", 14, "rows"),
        ),
    ),
)  # fmt: skip

_BY_MNEMONIC = {i.mnemonic: i for i in INSTRUCTIONS}


def instruction(mnemonic: str) -> Instruction:
    """The instruction called ``mnemonic``; KeyError if there is none."""
    return _BY_MNEMONIC[mnemonic]


def engine_mask(*engines: str) -> int:
    """Mask with one bit per named engine."""
    return sum(1 << ENGINES.index(name) for name in engines)
