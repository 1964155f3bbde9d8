"""Raw failure rates of one flip-flop or memory bit: the user's numbers, each with its source. hwgen ships none.

A file has up to two tables, each with what is known of it::

    [transient]
    flip_flop = { fit_per_mbit = 50.0, source = "supplier's report 12, table 3" }
    memory = { cross_section_cm2 = 7e-15, source = "beam test of 2026-02" }
    flux = { per_cm2_h = 13.0, factor = 1.5, source = "JESD89A, New York City; 1.5 for 1,000 m" }
    derating = { timing = 0.5, source = "share of the period in which an upset is still caught" }

    [permanent]
    flip_flop = { fit_per_bit = 1e-6, source = "IEC TR 62380, die of 9 mm2, split by bits" }

FIT is failures in 1e9 hours; an Mbit has 2**20 bits. A cross section times the flux (particles per cm2 and hour) is
upsets per bit and hour. ``factor`` is the flux where the hardware works over the flux at which the rates hold, and
scales every transient rate. Factors of ``derating`` multiply every rate of their table.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwgen.errors import BadInput

__all__ = ["ELEMENTS", "KINDS", "MBIT", "Rate", "Rates", "load_rates", "parse_rates", "rates_of"]

KINDS = ("transient", "permanent")
"""Kinds of faults that have raw rates."""

ELEMENTS = ("flip_flop", "memory", "gate")
"""What a raw rate is of: one bit of either."""

MBIT = 1 << 20
"""Bits of an Mbit."""

_FORMS = ("fit_per_bit", "fit_per_mbit", "cross_section_cm2")
_DERATING = ("timing", "duty")
_FLUX = ("per_cm2_h", "factor")


@dataclass(frozen=True)
class Rate:
    """The raw rate of one bit, after flux and derating.

    Parameters
    ----------
    fit : float
        Failures in 1e9 hours of one bit; at least 0.
    source : str
        Where every number that went into it is from.
    """

    fit: float
    source: str


@dataclass(frozen=True)
class Rates:
    """Raw rates by kind of fault and element.

    Parameters
    ----------
    rates : mapping of (str, str) to Rate
        By one of :data:`KINDS` and one of :data:`ELEMENTS`; what the user did not give is not there.
    """

    rates: Mapping[tuple[str, str], Rate] = field(default_factory=dict)

    def rate(self, kind: str, element: str) -> Rate:
        """The rate of one bit with its source.

        Raises
        ------
        BadInput
            If the user gave none.
        """
        found = self.rates.get((kind, element))
        if found is None:
            raise BadInput(
                f"there is no raw rate of {kind} faults of a {element} bit, which these faults need for FIT; "
                f'give {element} = {{ fit_per_mbit = ..., source = "..." }} under [{kind}]'
            )
        return found

    def fit(self, kind: str, element: str) -> float:
        """Failures of one bit in 1e9 hours.

        Raises
        ------
        BadInput
            If the user gave no such rate.
        """
        return self.rate(kind, element).fit

    def sources(self) -> tuple[str, ...]:
        """One line per rate: what it is, its value, where it is from."""
        return tuple(
            f"{kind} {element}: {self.rates[kind, element].fit:.6g} FIT per bit ({self.rates[kind, element].source})"
            for kind in KINDS
            for element in ELEMENTS
            if (kind, element) in self.rates
        )


def load_rates(path: Path) -> Rates:
    """Raw rates of a TOML file.

    Raises
    ------
    BadInput
        If the file cannot be read, is no TOML, or something in it is unknown, missing or wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); name a file of raw rates in TOML"
        ) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not text in UTF-8; name a file of raw rates in TOML") from None
    return parse_rates(text, str(path))


def parse_rates(text: str, origin: str = "raw rates") -> Rates:
    """Raw rates of a text in TOML, which the module's description shows.

    Parameters
    ----------
    text : str
        The tables.
    origin : str
        Where it is from, for errors.

    Raises
    ------
    BadInput
        If it is no TOML, or something in it is unknown, missing or wrong.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{origin} is not TOML: {error}; correct that place") from None
    try:
        return rates_of(tables)
    except BadInput as error:
        raise BadInput(f"{origin}: {error}") from None


def rates_of(tables: Mapping[str, Any]) -> Rates:
    """Raw rates of a mapping with the tables and keys that the module's description shows.

    Raises
    ------
    BadInput
        If a key is unknown or missing, a number out of range, or a source is not named.
    """
    found: dict[tuple[str, str], Rate] = {}
    for kind, table in tables.items():
        if kind not in KINDS:
            hint = f"; put {kind} under [transient]" if kind in ("flux", "derating") else ""
            raise BadInput(f"there is no table {kind!r} of raw rates; expected only {', '.join(KINDS)}{hint}")
        if not isinstance(table, Mapping):
            raise BadInput(f"{kind} must be a table [{kind}], not {table!r}")
        for element, rate in _table(kind, table).items():
            found[kind, element] = rate
    if not found:
        raise BadInput(
            f"there is no raw rate; give at least one of {', '.join(ELEMENTS)} under [{'] or ['.join(KINDS)}]"
        )
    return Rates(found)


def _table(kind: str, table: Mapping[str, Any]) -> dict[str, Rate]:
    known = (*ELEMENTS, "derating", *(("flux",) if kind == "transient" else ()))
    for key in table:
        if key == "flux":
            if kind != "transient":
                raise BadInput(
                    f"flux scales transient faults only, not those of [{kind}]; put it under [transient]"
                )
        elif key not in known:
            raise BadInput(f"[{kind}] has an unknown key {key!r}; expected only {', '.join(known)}")
    derating, derating_source = _factors(kind, "derating", table, _DERATING)
    for name, value in derating.items():
        if not 0 < value <= 1:
            raise BadInput(
                f"[{kind}] derating.{name} is a share of time above 0 and at most 1, not {value!r}"
            )
    flux, flux_source = _factors(kind, "flux", table, _FLUX)
    for name, value in flux.items():
        if value <= 0:
            raise BadInput(f"[{kind}] flux.{name} must be above 0, not {value!r}")
    scale = math.prod(derating.values()) * flux.get("factor", 1.0)
    rows = {element: _row(kind, element, table[element]) for element in ELEMENTS if element in table}
    sections = [element for element, (form, _, _) in rows.items() if form == "cross_section_cm2"]
    if "per_cm2_h" in flux and not sections:
        raise BadInput(
            f"[{kind}] flux.per_cm2_h is for cross sections, and no rate is one; scale FIT with flux.factor instead"
        )
    if sections and "per_cm2_h" not in flux:
        raise BadInput(
            f"[{kind}] {sections[0]} is a cross section, which needs the flux in particles per cm2 and hour; give "
            'flux = { per_cm2_h = ..., source = "..." } under [transient], or a rate in FIT'
        )
    per_bit = {
        "fit_per_bit": 1.0,
        "fit_per_mbit": 1 / MBIT,
        "cross_section_cm2": flux.get("per_cm2_h", 0.0) * 1e9,  # hours of a FIT
    }
    found: dict[str, Rate] = {}
    for element, (form, value, source) in rows.items():
        fit = value * per_bit[form] * scale
        if not math.isfinite(fit):
            raise BadInput(f"[{kind}] {element} comes to more FIT than a number can hold; correct its {form}")
        found[element] = Rate(fit, "; ".join(filter(None, (source, flux_source, derating_source))))
    return found


def _row(kind: str, element: str, row: object) -> tuple[str, float, str]:
    """How a rate is given, its number, and its source."""
    where = f"[{kind}] {element}"
    values, source = _numbers(where, row, _FORMS)
    if len(values) != 1:
        raise BadInput(f"{where} gives {len(values)} rates; give exactly one of {', '.join(_FORMS)}")
    ((form, value),) = values.items()
    if value < 0:
        raise BadInput(f"{where}.{form} must be at least 0, not {value!r}")
    if kind != "transient" and form == "cross_section_cm2":
        raise BadInput(f"{where} is a cross section, which says nothing of {kind} faults; give a rate in FIT")
    return form, value, source


def _factors(
    kind: str, name: str, table: Mapping[str, Any], known: tuple[str, ...]
) -> tuple[dict[str, float], str]:
    """Optional factors of a table with a label and their source; none, and no source, if they are not there."""
    if name not in table:
        return {}, ""
    values, source = _numbers(f"[{kind}] {name}", table[name], known)
    if not values:
        raise BadInput(
            f"[{kind}] {name} has no number; give at least one of {', '.join(known)}, or leave it out"
        )
    said = ", ".join(f"{key} {value:g}" for key, value in values.items())
    return values, f"{name} {said}: {source}"


def _numbers(where: str, row: object, known: tuple[str, ...]) -> tuple[dict[str, float], str]:
    """The numbers of a row, and its source."""
    if not isinstance(row, Mapping):
        raise BadInput(f'{where} must be a table such as {{ {known[0]} = ..., source = "..." }}, not {row!r}')
    for key in row:
        if key not in (*known, "source"):
            raise BadInput(f"{where} has an unknown key {key!r}; expected only {', '.join(known)}, source")
    source = row.get("source")
    if not isinstance(source, str) or not source.strip() or not source.isprintable():
        raise BadInput(
            f"{where} must name its source in one line of text, not {source!r}; say where the number is from"
        )
    values: dict[str, float] = {}
    for key in known:
        if key in row:
            value = row[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
                raise BadInput(f"{where}.{key} must be a finite number, not {value!r}")
            values[key] = float(value)
    return values, source.strip()


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float's range
        return False
