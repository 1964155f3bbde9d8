"""The open table of non-linear units: cells, table bits, latency and errors of every variant, from one run.

With ``--out FOLDER`` the table is written there as ``nonlinear.csv``, and error against LUTs as ``nonlinear.svg``.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks import activation as scalar
from benchmarks import norm as rows_of_norm
from benchmarks import softmax as rows_of_softmax
from benchmarks.common import Figure, main, table
from hwgen.cores.activation import ActivationConfig
from hwgen.cores.activation.accuracy import accuracy as scalar_accuracy
from hwgen.cores.activation.functions import FUNCTIONS
from hwgen.cores.activation.values import all_results
from hwgen.cores.norm import NormConfig
from hwgen.cores.norm.rsqrt import error_bound as norm_bound
from hwgen.cores.norm.rsqrt import table as root_table
from hwgen.cores.softmax import CORE as SOFTMAX
from hwgen.cores.softmax import SoftmaxConfig, quantise
from hwgen.cores.softmax.accuracy import Accuracy, accuracy, adversarial_rows
from hwgen.cores.softmax.bound import error_bound
from hwgen.cores.softmax.tables import table_bits
from hwgen.files import output_folder, write_if_changed
from hwgen.report.plots import scatter
from hwgen.toolchain import yosys_version
from hwgen.version import VERSION
from hwgen.workloads.minilm_gelu import load_gelus
from hwgen.workloads.minilm_norm import load_norms

COMMAND = "python -m benchmarks.nonlinear"
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A row of the table. Errors are in units of the result's last bit where a name ends in ``_ulp``.

    Parameters
    ----------
    family, name : str
        Kind of unit, and variant with its formats.
    lut, ff, dsp : float
        Of one lane.
    table_bits, latency : int
        Bits of constant tables per lane; cycles from an argument, or from a row's last element, to the result.
    real_ulp, real_max, real_mean : float
        On MiniLM's activations and logits; not a number where the model has none.
    domain_ulp, domain_max, domain_mean : float
        Over every argument, or for rows over random logits of the whole format.
    bound_ulp : float
        Proved for every argument or row.
    adversarial_ulp : float
        Rows of one maximum and equal others, swept.
    sum, divergence, top_1 : float
        On real logits: largest distance of a row's sum from one, mean divergence in nats, share of rows whose largest
        result is right.
    """

    family: str
    name: str
    lut: float
    ff: float
    dsp: float
    table_bits: int
    latency: int
    real_ulp: float = math.nan
    real_max: float = math.nan
    real_mean: float = math.nan
    domain_ulp: float = math.nan
    domain_max: float = math.nan
    domain_mean: float = math.nan
    bound_ulp: float = math.nan
    adversarial_ulp: float = math.nan
    sum: float = math.nan
    divergence: float = math.nan
    top_1: float = math.nan


@cache
def _activations() -> FloatArray:
    """What enters MiniLM's GELUs."""
    return np.concatenate([x.ravel() for x in load_gelus()]).astype(np.float64)


@cache
def _distances() -> FloatArray:
    """How far MiniLM's logits are below the largest one of their row."""
    return np.concatenate(
        [(r.max(axis=1, keepdims=True) - r).ravel() for r in rows_of_softmax.real_rows()]
    ).astype(np.float64)


def _real_values(config: ActivationConfig) -> FloatArray | None:
    """Real arguments of a scalar unit, before its factor."""
    if config.in_signed:
        return _activations()
    if config.function == "exp":
        return _distances() / abs(float(config.factor))
    if config.function == "exp2":
        return _distances() * math.log2(math.e)
    return None


def _scalar(name: str, config: ActivationConfig) -> Unit:
    cells, errors = scalar.measured(config), scalar_accuracy(config)
    unit = 2.0**-config.out_fraction
    real: dict[str, float] = {}
    if (values := _real_values(config)) is not None:
        x = np.clip(
            np.rint(values * 2.0**config.in_fraction), config.argument.low, config.argument.high
        ).astype(np.int64)
        at = x - config.argument.low
        ideal = config.formats.ideal(
            FUNCTIONS[config.function].of, float(config.factor), saturate=True, name=config.function
        )
        error = np.abs(all_results(config)[at] * unit - ideal[at])
        real = {
            "real_ulp": float(error.max()) / unit,
            "real_max": float(error.max()),
            "real_mean": float(error.mean()),
        }
    return Unit(
        family=config.function, name=name, lut=cells.lut, ff=cells.ff, dsp=cells.dsp,
        table_bits=config.table_bits, latency=config.latency, domain_ulp=errors.ulp,
        domain_max=errors.largest, domain_mean=errors.mean, bound_ulp=errors.ulp, **real,
    )  # fmt: skip


def _all_real(config: SoftmaxConfig) -> Accuracy:
    """Errors on all real rows together."""
    parts = [
        (len(r), accuracy(config, quantise(config, r, centre=True))) for r in rows_of_softmax.real_rows()
    ]
    count = sum(n for n, _ in parts)

    def mean(name: str) -> float:
        return float(sum(n * getattr(a, name) for n, a in parts) / count)

    return Accuracy(
        ulp=max(a.ulp for _, a in parts),
        largest=max(a.largest for _, a in parts),
        mean=mean("mean"),
        total=max(a.total for _, a in parts),
        divergence=mean("divergence"),
        top_1=mean("top_1"),
    )


def _anywhere(config: SoftmaxConfig) -> Accuracy:
    """Errors of rows of random logits, from a few steps apart to the whole format, 1 to 1,024 elements."""
    rng = np.random.default_rng(1)
    worst: list[Accuracy] = []
    for n in (1, 2, 3, 10, 100, rows_of_softmax.LONGEST):
        spread = 2.0 ** rng.uniform(0, config.in_bits, (200, 1))
        x = np.rint(rng.uniform(-0.5, 0.5, (200, n)) * spread)
        worst.append(accuracy(config, np.clip(x, config.logit.low, config.logit.high).astype(np.int64)))
    return max(worst, key=lambda a: a.ulp)


def _softmax(name: str, config: SoftmaxConfig) -> Unit:
    cells, one = rows_of_softmax.lane_cells(config), replace(config, lanes=1, longest=rows_of_softmax.LONGEST)
    real, anywhere, bound = _all_real(config), _anywhere(config), error_bound(config, rows_of_softmax.LONGEST)
    return Unit(
        family="softmax", name=name, **cells, table_bits=table_bits(config),
        latency=int(SOFTMAX.characteristics(one)["row_latency_cycles"]),
        real_ulp=real.ulp, real_max=real.largest, real_mean=real.mean,
        domain_ulp=anywhere.ulp, domain_max=anywhere.largest, domain_mean=anywhere.mean,
        bound_ulp=bound.ulp if bound else math.nan,
        adversarial_ulp=accuracy(config, adversarial_rows(config, rows_of_softmax.LONGEST)).ulp,
        sum=real.total, divergence=real.divergence, top_1=real.top_1,
    )  # fmt: skip


def _norm(form: str, in_bits: int, terms: int) -> Unit:
    config = NormConfig(
        form=form, in_bits=in_bits, out_bits=in_bits, terms=terms, longest=384, gamma_fraction=3
    )
    few, more = (rows_of_norm.measured(replace(config, lanes=lanes)) for lanes in (1, 3))
    real = [rows_of_norm.real_errors(config, problem) for problem in load_norms()]
    hard = rows_of_norm.adversarial_error(config)
    last = 2.0**-NormConfig.NORMALISED_FRACTION
    return Unit(
        family="norm", name=f"{form} INT{in_bits}, {terms} terms, normalised s{NormConfig.NORMALISED_FRACTION}",
        **{kind: (getattr(more, kind) - getattr(few, kind)) / 2 for kind in ("lut", "ff", "dsp")},
        table_bits=root_table().table_bits, latency=config.latency, real_max=max(float(e.max()) for e in real),
        real_ulp=max(float(e.max()) for e in real) / last, real_mean=float(np.mean([e.mean() for e in real])),
        adversarial_ulp=hard / last, bound_ulp=norm_bound(config) / last,
    )  # fmt: skip


def units() -> list[Unit]:
    """Every row of the table."""
    found = [_scalar(name, config) for name, config in scalar.LANES.items()]
    found += [_softmax(name, config) for name, config in rows_of_softmax.VARIANTS.items()]
    return found + [
        _norm(form, bits, terms) for form in ("layer", "rms") for bits in (8, 16) for terms in (1, 2)
    ]


_COSTS = {
    "name": "", "lut": "LUT", "ff": "FF", "dsp": "DSP", "table_bits": "table bits", "latency": "latency",
}  # fmt: skip
_REAL = {"real_ulp": "MiniLM, ulp", "real_max": "largest", "real_mean": "mean"}
_ROWS = {"adversarial_ulp": "adversarial", "bound_ulp": "bound"}
_TABLES = {
    "scalar functions": _COSTS | _REAL | {"domain_ulp": "every argument, ulp"},
    "softmax": _COSTS | _REAL | {"domain_ulp": "random rows"} | _ROWS,
    "norm": _COSTS | _REAL | _ROWS,
}
"""Columns of the printed tables and their heads."""


def measure(console: Console, folder: Path | None = None) -> list[Figure]:
    found = units()
    console.print(
        f"hwgen {VERSION}, Yosys {yosys_version()}, synth_xilinx -family xcup. LUT, FF, DSP: of one lane; of softmax "
        "and norm what a lane adds to the block. Real: activations and logits of MiniLM. Truth: double precision of "
        "the same integers.",
        highlight=False,
    )
    for title, heads in _TABLES.items():
        some = [u for u in found if (u.family if u.family in _TABLES else "scalar functions") == title]
        rows = [[_cell(getattr(u, column)) for column in heads] for u in some]
        console.print(table(title, tuple(heads.values()), rows))
    rows = [
        [_cell(getattr(u, column)) for column in ("name", "sum", "divergence", "top_1")]
        for u in found
        if u.family == "softmax"
    ]
    told = ("", "largest |sum - 1|", "mean divergence, nats", "top-1")
    console.print(table("softmax on MiniLM's logits", told, rows))
    if folder is not None:
        output_folder(folder)
        write_if_changed(folder / "nonlinear.csv", as_csv(found))
        write_if_changed(folder / "nonlinear.svg", as_plot(found))
        console.print(f"{folder / 'nonlinear.csv'} and {folder / 'nonlinear.svg'} written", highlight=False)
    return [Figure(name="nonlinear.units", value=len(found), unit="rows of the table", command=COMMAND)]


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def as_csv(found: list[Unit]) -> str:
    """All columns; empty where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Unit)]
    writer.writerow(names)
    for unit in found:
        cells = (getattr(unit, name) for name in names)
        writer.writerow(["" if isinstance(c, float) and math.isnan(c) else c for c in cells])
    return text.getvalue()


def as_plot(found: list[Unit]) -> str:
    """Largest error on real data, as a fraction of one, against the LUTs of a lane."""
    kinds = {
        "GELU": [u for u in found if u.family.startswith("gelu")],
        "exp": [u for u in found if u.family in ("exp", "exp2")],
        "softmax": [u for u in found if u.family == "softmax"],
        "norm": [u for u in found if u.family == "norm"],
    }
    return scatter(
        {kind: [(u.lut, u.real_max) for u in some] for kind, some in kinds.items()},
        labels={kind: [_MARKS.get(u.name, "") for u in some] for kind, some in kinds.items()},
        xlabel="LUTs of one lane (Yosys, UltraScale+)", ylabel="largest error on MiniLM's data", log_x=True, log_y=True,
    )  # fmt: skip


_MARKS = {
    "GELU s8.4, table": "table",
    "GELU s16.12, uniform, Edge-MoE's segments": "Edge-MoE",
    "GELU s16.12, octave 37": "octave 37",
    "GELU s16.12, quad 16": "quad 16",
    "GELU s16.12, ibert, for comparison": "I-BERT",
    "online_pow2 u0.16": "online_pow2",
    "online u0.16": "online",
    "table_exact u0.8": "table_exact",
    "ibert u0.8": "I-BERT",
    "softermax u0.8": "Softermax",
    "sole u0.8": "SOLE",
    "ita u0.8": "ITA",
}
"""What is written beside points of the plot."""


if __name__ == "__main__":
    main(measure, __doc__, into=measure)
