"""Models of the literature beside faults of the netlist, in one tile: MiBB, adSAF and flipped weight bits.

All of them go through the same requantiser and the same rest of the network, so that only the models differ. Nothing is
tuned to make them agree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.compile.network import weight_shape
from hwgen.errors import BadInput
from hwgen.faults.algorithmic.adsaf import SAF1_RATIO
from hwgen.faults.algorithmic.flips import bit_values
from hwgen.faults.algorithmic.mibb import Mibb, terms
from hwgen.faults.consequence import Where
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.draws import integers, uniforms
from hwgen.faults.models import Faults
from hwgen.faults.outcome import Outcome
from hwgen.numerics import IntArray, wrap

__all__ = ["Spread", "adsaf_faults", "compare_models", "mibb_faults", "spread_of", "weight_faults"]

_STRATUM = 0x434D_0000  # of these draws; far from the small numbers that campaigns give their own
_PLACE, _BIAS, _CELL, _STUCK, _WEIGHT = range(5)


@dataclass(frozen=True)
class Spread:
    """What faults of one model do to a tile and to the answer.

    Parameters
    ----------
    model : str
        ``netlist``, ``mibb``, ``adsaf`` or ``weight bit``.
    faults : int
        How many.
    sums, outputs, network, answer : float
        Shares of these after which a sum of the array, an output of the layer, a result of the network and its class
        differ; MiBB has no sums, and its outputs stand for them.
    changed, most_changed : float
        Outputs that differ, of faults after which some do: mean and largest number.
    deviation, large_deviation : float
        Largest difference of an output in its steps, of the same faults: median and 95 % quantile.
    margin : float
        Mean loss of the class's lead over all others, of the same faults.
    """

    model: str
    faults: int
    sums: float
    outputs: float
    network: float
    answer: float
    changed: float
    most_changed: float
    deviation: float
    large_deviation: float
    margin: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_models(tile: TileSite, rows: Faults, *, n_cin: int | None, seed: int = 0) -> tuple[Spread, ...]:
    """Faults of a netlist, and as many of each model in the same tile.

    Parameters
    ----------
    tile : TileSite
        Where.
    rows : structured array of :data:`hwgen.faults.consequence.CONSEQUENCE`
        A campaign on it. Counted are the faults whose results can be followed; those that strike no sum are among them.
    n_cin : int or None
        Of :class:`hwgen.faults.algorithmic.mibb.Mibb`: multipliers that share an adder tree, the core's rows.
    seed : int
        0..2**64 - 1.

    Raises
    ------
    BadInput
        If no fault can be followed.
    """
    followed = rows[rows["masked"] != Where.NOT_FOLLOWED]
    if not len(followed):
        raise BadInput("no fault has results that could be compared; inject more faults")
    effects = followed[followed["hardware"] == Outcome.SDC]
    count = len(followed)
    found = [spread_of("netlist", tile, followed)]
    if len(effects):
        found.append(spread_of("netlist, wrong sums", tile, effects))
    mibb = tile.follow_outputs(mibb_faults(tile, count, n_cin=n_cin, seed=seed))
    found.append(spread_of("mibb", tile, mibb))
    found.append(spread_of("adsaf", tile, tile.follow(adsaf_faults(tile, count, seed=seed))))
    found.append(spread_of("weight bit", tile, tile.follow(weight_faults(tile, count, seed=seed))))
    return tuple(found)


def mibb_faults(tile: TileSite, count: int, *, n_cin: int | None, seed: int = 0) -> IntArray:
    """Outputs of a tile of which one each has MiBB's bias, shape (count, m, n).

    Every output is as likely, and β is drawn as in :func:`hwgen.faults.algorithmic.mibb.run`: given that one output is
    faulty, the model's probability does not matter.

    Parameters
    ----------
    tile : TileSite
        Where.
    count : int
        Faults.
    n_cin : int or None
        See :func:`compare_models`.
    seed : int
        0..2**64 - 1.
    """
    network = tile.network
    layer = next(one for one in network.workload.layers if one.name == tile.layer)
    r = tile.requantiser
    bits = r.high.bit_length() + 1
    low = -(1 << (bits - 1))
    says = terms(Mibb(0.0, n_cin=n_cin), layer, weight_shape(network.workload, layer), bits)
    biases = np.floor(says.n_mac * says.biases).astype(np.int64)
    free = np.clip(tile.steps(tile.sums)[1] + r.zero, low, r.high)  # without the bound of a ReLU
    m, n = free.shape
    place = integers(seed, _STRATUM + _PLACE, 0, count, m * n)
    bias = biases[integers(seed, _STRATUM + _BIAS, 0, count, len(biases))]
    made = np.repeat(free.reshape(1, -1), count, axis=0)
    own = (np.arange(count), place)
    made[own] = np.clip(made[own] + bias, low, r.high)
    return np.maximum(made, r.low).reshape(count, m, n)


def adsaf_faults(tile: TileSite, count: int, *, p_one: float = SAF1_RATIO, seed: int = 0) -> IntArray:
    """Sums of a tile in which one cell of one weight's pair is stuck, shape (count, m, n).

    Parameters
    ----------
    tile : TileSite
        Where.
    count : int
        Faults.
    p_one : float
        Share that is stuck at the largest code; the others hold zero, as in
        :class:`hwgen.faults.algorithmic.adsaf.StuckCells`.
    seed : int
        0..2**64 - 1.
    """
    bits = _weight_bits(tile)
    k, n = tile.b.shape
    cell = integers(seed, _STRATUM + _CELL, 0, count, 2 * k * n)
    place, negative = cell >> 1, (cell & 1).astype(bool)
    stuck = np.where(uniforms(seed, _STRATUM + _STUCK, 0, count) < p_one, (1 << (bits - 1)) - 1, 0)
    weight = tile.b.reshape(-1)[place]
    plus = np.where(negative, np.maximum(weight, 0), stuck)
    minus = np.where(negative, stuck, np.maximum(-weight, 0))
    return _with_weights(tile, place, plus - minus)


def weight_faults(tile: TileSite, count: int, *, seed: int = 0) -> IntArray:
    """Sums of a tile in which one bit of one weight is flipped in memory, shape (count, m, n)."""
    bits = _weight_bits(tile)
    drawn = integers(seed, _STRATUM + _WEIGHT, 0, count, tile.b.size * bits)
    place, bit = np.divmod(drawn, bits)
    weight = tile.b.reshape(-1)[place]
    value = bit_values(bits)[bit]
    there = (weight & (1 << bit)) != 0
    return _with_weights(tile, place, np.where(there, weight - value, weight + value))


def spread_of(name: str, tile: TileSite, followed: Faults) -> Spread:
    """Figures of faults that were followed, :data:`hwgen.faults.consequence.FOLLOWED`."""
    some = followed[followed["changed"] > 0]
    lead = float(tile.untouched(1)["margin"][0])

    def of(values: npt.NDArray[Any], what: Any) -> float:
        return float(what(values)) if len(values) else 0.0

    return Spread(
        name, len(followed), float((followed["masked"] != Where.ARRAY).mean()),
        float((followed["changed"] > 0).mean()), float((followed["masked"] == Where.NOWHERE).mean()),
        float(followed["critical"].mean()), of(some["changed"], np.mean), of(some["changed"], np.max),
        of(some["deviation"], np.median), of(some["deviation"], lambda v: np.quantile(v, 0.95)),
        of(lead - some["margin"], np.mean),
    )  # fmt: skip


def _with_weights(tile: TileSite, place: IntArray, weight: IntArray) -> IntArray:
    """Sums with one other weight each: a column of the tile moves by activation times difference."""
    row, column = np.divmod(place, tile.b.shape[1])
    made = np.repeat(tile.sums[None], len(place), axis=0)
    off = (weight - tile.b[row, column])[:, None] * tile.a[:, row].T
    made[np.arange(len(place)), :, column] = wrap(made[np.arange(len(place)), :, column] + off, 32)
    return made


def _weight_bits(tile: TileSite) -> int:
    return next(one.weight_bits for one in tile.network.workload.layers if one.name == tile.layer)
