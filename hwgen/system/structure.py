"""What is wrong with single instructions of a program, alone or after those of the same engine before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hwgen.program.encoding import Instr
from hwgen.program.table import BUFFERS, VEC_OPS
from hwgen.system.access import FROM_ACC, Access, Run, overlap, runs, settings_of, touched
from hwgen.system.config import SPARSE_WEIGHT_BITS, Space, SystemConfig

__all__ = ["Structure", "spaces"]

_POSITION_LIMIT = 1 << 23
"""LOAD counts bytes within a row in 24 bits."""

_SIZE_LIMIT = 1 << 20
"""The DSP core counts products in 20 bits."""


def spaces(config: SystemConfig) -> dict[str, Space]:
    """Buffers that the accelerator has, by the names that accesses use."""
    found = dict(config.load_targets)
    if config.makes_sums:
        found["acc"] = config.acc
    if config.lut:
        found["plane_act"] = config.plane_act
    if config.sparse:
        found["operand"] = config.operand
    return found


class Structure:
    """Single instructions of a program, checked one after the other.

    Parameters
    ----------
    instructions : sequence of Instr
        In program order.
    config : SystemConfig
        The accelerator.
    dram_bytes : int
        Bytes of DRAM that programs may use, from address 0.

    Attributes
    ----------
    problems : list of (int, str)
        Instruction and what is wrong with it, in order.
    accesses : dict of tuple of Access
        Reads and writes of the runs that are right.
    """

    def __init__(self, instructions: Sequence[Instr], config: SystemConfig, dram_bytes: int):
        self.config = config
        self.dram_bytes = dram_bytes
        self.problems: list[tuple[int, str]] = []
        self.accesses: dict[int, tuple[Access, ...]] = {}
        self._spaces = spaces(config)
        self._kept: Run | None = None  # the last run of DSP, if it kept its sums
        for index, one in enumerate(instructions):
            if one.engine not in (*config.engines, "control"):
                text = f"this accelerator has no engine {one.engine}; it has {', '.join(config.engines)}"
                self.problems.append((index, text))
            elif one.mnemonic == "vec.row" and config.softmax is None:
                self.problems.append((index, "this accelerator has no softmax; build it with softmax_words"))
            elif one.mnemonic == "store.window":
                self.problems += [(index, text) for text in self._store_window(one)]
        for run in runs(instructions):
            if run.one.engine in config.engines:
                found = list(self._run(run))
                self.problems += [(run.index, text) for text in found]
        self.problems.sort(key=lambda problem: problem[0])

    def _run(self, run: Run) -> Iterator[str]:
        """What is wrong with a run; its accesses are kept if nothing is."""
        engine = run.one.engine
        unset = [name for name in settings_of(run) if name not in run.settings]
        wrong = False
        for text in [f"it comes before any {engine}.{name}, which it uses" for name in unset]:
            wrong = True
            yield text
        if not unset:
            rules: Callable[[Run], Iterator[str]] = getattr(self, f"_{engine}")
            for text in rules(run):
                wrong = True
                yield text
        if engine == "dsp":
            self._kept = run if run.fields["keep"] else None
        if wrong:
            return
        accesses = touched(run, self.config)
        for access in accesses:
            text = self._outside(access)
            if text:
                wrong = True
                yield text
        if not wrong:
            self.accesses[run.index] = accesses

    def _outside(self, access: Access) -> str:
        """What to say if an access leaves its memory; empty if it does not."""
        low, high = access.where.low, access.where.high
        does = "writes" if access.write else "reads"
        if access.space == "dram":
            if low >= 0 and high <= self.dram_bytes:
                return ""
            return f"it {does} bytes {low:#x}..{high - 1:#x} of DRAM, which ends at {self.dram_bytes - 1:#x}"
        words = self._spaces[access.space].words
        if low >= 0 and high <= words:
            return ""
        return f"it {does} words {low}..{high - 1} of {access.space}, which has 0..{words - 1}"

    def _aligned(self, name: str, value: int, unit: str = "") -> Iterator[str]:
        """Refuse bytes that are no multiple of the bus width."""
        bus = self.config.bus_bytes
        if value % bus:
            raise_to = f"{unit} ({value} bytes)" if unit else str(value)
            yield f"{name} must be a multiple of the bus width, {bus} bytes, not {raise_to}"

    def _load(self, run: Run) -> Iterator[str]:
        f = run.fields
        buffer = BUFFERS[f["buffer"]]
        if buffer not in self._spaces:
            yield f"this accelerator has no buffer {buffer}; it has {', '.join(self.config.load_targets)}"
        yield from self._aligned("target", f["target"])
        if not f["windowed"]:
            if f["run_count"] != 1:
                yield f"run_count must be 1 if the run is not windowed, not {f['run_count']}"
            return
        position = run.settings["position"]
        last = position["x_start"] + (position["group_count"] - 1) * run.settings["window"]["x_step"]
        if not -_POSITION_LIMIT <= last < _POSITION_LIMIT:
            yield (
                f"its last group begins at byte {last} of a row, and LOAD counts "
                f"{-_POSITION_LIMIT}..{_POSITION_LIMIT - 1}"
            )

    def _dsp(self, run: Run) -> Iterator[str]:
        f, shape = run.fields, run.settings["shape"]
        outputs = shape["x_count"] * shape["y_count"]
        if outputs > self.config.dsp_tile:
            yield f"x_count × y_count is {outputs} outputs, and dsp_tile is {self.config.dsp_tile}"
        products = shape["c_count"] * shape["kx_count"] * shape["ky_count"] * self.config.lanes
        if products >= _SIZE_LIMIT:
            yield f"c × kx × ky × lanes is {products} products per output, and the core counts to {_SIZE_LIMIT - 1}"
        # tiles × lanes is below the limit for every legal `tiles`.
        for name in ("keep", "accumulate"):
            if f[name] and f["tiles"] != 1:
                yield f"{name} works within one tile, and tiles is {f['tiles']}"
        if not f["accumulate"]:
            return
        if self._kept is None:
            yield "it accumulates, and the run of dsp before it kept no sums"
            return
        before = self._kept.settings.get("shape")
        if before is not None and before["x_count"] * before["y_count"] != outputs:
            kept = f"the run before it (instruction {self._kept.index}) kept {before['x_count'] * before['y_count']}"
            yield f"it accumulates {outputs} outputs, and {kept}"

    def _lut(self, run: Run) -> Iterator[str]:
        if run.fields["units"] > self.config.lut_units:
            yield f"units must be in 1..{self.config.lut_units}, not {run.fields['units']}"

    def _sparse(self, run: Run) -> Iterator[str]:
        f, shape, cfg = run.fields, run.settings["shape"], self.config
        bits, rows = shape["weight_bits"], shape["rows"]
        if bits not in SPARSE_WEIGHT_BITS:
            yield f"weight_bits must be 2, 3, 4 or 8, not {bits}"
        elif bits != 8 and not cfg.sparse_narrow:
            yield f"weight_bits must be 8, because sparse_narrow is false, not {bits}"
        if shape["spread"] and cfg.sparse_ways == 1:
            yield "spread is for several ways, and sparse_ways is 1"
        most = cfg.sparse_way_rows(shape["spread"])
        if rows > most:
            ways = f" over {cfg.sparse_ways} ways" if shape["spread"] else ""
            yield f"rows must be in 1..{most}{ways}, not {rows}"
        if f["tiles"] > 1 and f["acc_stride"] < rows:
            yield f"acc_stride must be at least {rows}, the rows of a tile, not {f['acc_stride']}"

    def _vec(self, run: Run) -> Iterator[str]:
        f, shape, cfg = run.fields, run.settings["shape"], self.config
        op = VEC_OPS[f["op"]]
        steps = shape["r0"] * shape["r1"]
        if op in FROM_ACC and "acc" not in self._spaces:
            yield f"{op} reads sums, and this accelerator has neither dsp nor lut nor sparse"
        if shape["digits"] and (op != "requantise" or cfg.softmax is None):
            yield (
                f"digits are what requantise puts together after softmax, and this is {op}"
                if cfg.softmax
                else ("digits come from softmax, which this accelerator has not")
            )
        if op == "softmax":
            yield from self._softmax(run)
        if op in ("raw", "copy", "softmax") and steps != 1:
            yield f"r0 × r1 must be 1 for {op}, not {steps}"
        if op == "product" and steps > 2:
            yield f"r0 × r1 must be 1 or 2 for product, not {steps}"
        if op == "transpose" and (shape["r0"], shape["n0"], shape["r1"]) != (cfg.lanes, cfg.lanes, 1):
            yield (
                f"transpose works on blocks: r0 and n0 must be {cfg.lanes} and r1 must be 1, "
                f"not {shape['r0']}, {shape['n0']} and {shape['r1']}"
            )
        if op == "columns":
            yield from self._columns(run)
        elif op != "planes":
            if (f["planes"], f["unit"]) != (1, 0):
                yield f"planes must be 1 and unit 0 for {op}, not {f['planes']} and {f['unit']}"
        elif not cfg.lut:
            yield "planes are for the lut engine, which this accelerator has not"
        else:
            if steps > cfg.lut_width // cfg.lanes:
                most = cfg.lut_width // cfg.lanes
                yield f"r0 × r1 must be in 1..{most} for planes, the words of a plane word, not {steps}"
            if f["unit"] >= cfg.lut_units:
                yield f"unit must be in 0..{cfg.lut_units - 1}, not {f['unit']}"

    def _columns(self, run: Run) -> Iterator[str]:
        f, shape, cfg = run.fields, run.settings["shape"], self.config
        if not cfg.sparse:
            yield "columns are for the sparse engine, which this accelerator has not"
            return
        if (shape["n0"], shape["r1"]) != (cfg.lanes, 1):
            yield (
                f"columns works on blocks: n0 must be {cfg.lanes} and r1 must be 1, "
                f"not {shape['n0']} and {shape['r1']}"
            )
        if f["planes"] != 1 or f["unit"] > 1:
            yield f"planes must be 1 and unit 0 or 1 for columns, not {f['planes']} and {f['unit']}"
        most = cfg.sparse_way_rows(f["unit"])
        if shape["r0"] > most:
            yield f"r0 must be in 1..{most} for columns, the rows of an operand word, not {shape['r0']}"

    def _softmax(self, run: Run) -> Iterator[str]:
        shape, cfg = run.settings["shape"], self.config
        if cfg.softmax is None:
            return  # vec.row, which it needs, was refused
        if shape["n0"] > cfg.softmax_words:
            yield f"n0 must be at most softmax_words, {cfg.softmax_words}, for softmax, not {shape['n0']}"
        if run.settings["row"]["digit"] >= cfg.softmax_digits:
            digit = run.settings["row"]["digit"]
            yield f"digit must be below {cfg.softmax_digits}, the digits of an exponential, not {digit}"
        read, scales = (access.where for access in touched(run, cfg) if access.space == "parameter")
        if overlap(scales, read):
            yield f"it writes parameter words {scales.low}..{scales.high - 1}, among them those that it reads"

    def _store_window(self, one: Instr) -> Iterator[str]:
        pitch = one["source_pitch"]
        yield from self._aligned("row_pitch", one["row_pitch"])
        yield from self._aligned("source_pitch", pitch * self.config.lanes, f"{pitch} words")

    def _store(self, run: Run) -> Iterator[str]:
        source = run.fields["source"]
        yield from self._aligned("address", run.fields["address"])
        yield from self._aligned("source", source * self.config.lanes, f"word {source}")
