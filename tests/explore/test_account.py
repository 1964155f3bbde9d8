"""The account of cycles against cases worked out by hand, and against what must hold of any run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.explore.account import DISPATCH, LOSSES, Story, account
from hwgen.program.table import ENGINES


def story(rows, cycles):
    """A story of (engine, layer, first, last, wait, signal, tiles, short)."""
    rows = [(*row, *(0,) * (8 - len(row))) for row in rows]

    def mask(names):
        return sum(1 << ENGINES.index(name) for name in (names or "").split())

    columns = list(zip(*rows, strict=True))
    return Story(
        np.array([ENGINES.index(name) if name in ENGINES else 15 for name in columns[0]]),
        *(np.array(columns[i], np.int64) for i in (2, 3)),
        *(np.array([mask(names) for names in columns[i]]) for i in (4, 5)),
        *(np.array(columns[i], np.int64) for i in (1, 6, 7)),
        cycles,
    )  # fmt: skip


def losses(**values):
    return {name: values.get(name.replace(" ", "_"), 0) for name in LOSSES}


def test_one_product_waits_for_its_load_and_ends_with_the_dispatcher():
    rows = [("load", 0, 0, 9, "", "dsp"), ("dsp", 0, 10, 19, "load", "", 9)]
    (one,) = account(story(rows, 25), [7], [{"dsp": 8}])
    assert (one.first, one.cycles, one.main, one.busy) == (0, 25, "dsp", {"load": 10, "dsp": 10})
    # 7 compute, 8 on the DSP core, 9 in tiles, 10 busy; then 5 cycles until the program has ended.
    assert one.losses == losses(split=1, edges=1, fill_and_drain=1, dram=10, synchronisation=5)
    assert one.waits == {"load": 10, DISPATCH: 5}


def test_the_chain_goes_on_to_who_kept_the_releaser_waiting():
    rows = [
        ("dsp", 0, 0, 9, "", "vec", 10),
        ("vec", 0, 10, 14, "dsp", "store"),
        ("store", 0, 15, 19, "vec", "load"),
        ("load", 0, 20, 26, "store", "dsp"),
        ("dsp", 0, 27, 29, "load", "", 3),
    ]
    (one,) = account(story(rows, 30), [13], [{"dsp": 13}])
    assert one.waits == {"vec": 5, "store": 5, "load": 7}
    assert one.losses == losses(dram=12, synchronisation=5)


def test_of_two_tokens_the_later_one_counts_and_of_a_queue_the_one_before():
    rows = [
        ("load", 0, 0, 3, "", "dsp"),
        ("vec", 0, 0, 5, "", "dsp"),
        ("lut", 0, 0, 1, "", "", 2),
        ("lut", 0, 2, 4, "", "dsp", 3),
        ("dsp", 0, 6, 15, "load vec lut", "", 10),
    ]
    (one,) = account(story(rows, 16), [10], [{"dsp": 10, "lut": 5}])
    assert one.waits == {"vec": 6}
    rows[1] = ("vec", 0, 0, 2, "", "dsp")
    (one,) = account(story(rows, 16), [10], [{"dsp": 10, "lut": 5}])
    # The last token comes from LUT, which was busy with two instructions in turn; then nobody was.
    assert one.waits == {"lut": 5, DISPATCH: 1}
    assert one.losses == losses(synchronisation=6)


def test_layers_share_the_run_and_work_ahead_is_overlap():
    rows = [
        ("dsp", 0, 0, 9, "", "store", 10),
        ("store", 0, 10, 19, "dsp"),
        ("dsp", 1, 12, 15, "", "store", 4),
        ("store", 1, 20, 29, "dsp"),
    ]
    first, second = account(story(rows, 30), [10, 4], [{"dsp": 10}, {"dsp": 4}])
    assert (first.cycles, second.cycles) == (20, 10)
    assert first.losses == losses(dram=6, overlap=4)
    assert second.losses == losses(dram=10, overlap=-4)


def test_a_layer_that_ends_before_the_one_ahead_has_no_cycles():
    rows = [("dsp", 0, 0, 9, "", "", 10), ("vec", 1, 2, 4, "", "", 3), ("store", 2, 5, 12)]
    _, second, third = account(story(rows, 13), [10, 3, 0], [{"dsp": 10}, {"vec": 3}, {}])
    assert (second.cycles, second.losses["overlap"]) == (0, -3)
    assert (third.main, third.cycles, third.losses) == ("", 3, losses(dram=3))


def test_the_main_engine_is_the_busier_core_and_vec_where_there_is_none():
    rows = [
        ("dsp", 0, 0, 4, "", "", 5),
        ("lut", 0, 0, 9, "", "", 9),
        ("vec", 0, 0, 19),
        ("vec", 1, 20, 24, "", "", 4),
    ]
    both, alone = account(story(rows, 25), [6, 4], [{"dsp": 5, "lut": 8}, {"vec": 4}])
    assert (both.main, alone.main) == ("lut", "vec")
    assert both.losses == losses(split=2, edges=1, fill_and_drain=1, synchronisation=10)
    assert alone.losses == losses(fill_and_drain=1)


def test_the_sparse_core_is_the_main_engine_where_it_is_busiest():
    rows = [
        ("dsp", 0, 0, 4, "", "", 5),
        ("sparse", 0, 0, 9, "", "", 8),
        ("vec", 0, 0, 19),
        ("dsp", 1, 20, 24, "", "", 5),
        ("sparse", 1, 20, 24, "", "", 5),
    ]
    one, two = account(story(rows, 25), [3, 5], [{"sparse": 3}, {"dsp": 5}])
    assert (one.main, two.main) == ("sparse", "dsp")  # of equal ones the first
    assert one.losses == losses(edges=5, fill_and_drain=2, synchronisation=10)
    assert two.losses == losses()


def test_short_passes_are_weight_load():
    rows = [("dsp", 0, 0, 39, "", "", 8, 20)]
    (one,) = account(story(rows, 40), [8], [{"dsp": 8}])
    assert one.losses == losses(weight_load=20, fill_and_drain=12)


def test_control_instructions_belong_to_no_layer():
    rows = [("dsp", 0, 0, 4, "", "", 5), ("halt", -1, 9, 9)]
    (one,) = account(story(rows, 10), [5], [{"dsp": 5}])
    assert one.losses == losses(synchronisation=5)


def test_a_bound_that_was_beaten_is_none():
    with pytest.raises(ValueError, match="layer 0 computed in 5 cycles, and its bound is 6"):
        account(story([("dsp", 0, 0, 4)], 5), [6], [{}])


@st.composite
def stories(draw):
    """Engines in order, tokens as a queue, arbitrary lengths and delays; layers begin in order."""
    free = dict.fromkeys(("load", "dsp", "lut", "sparse", "vec", "store"), 0)
    rows, layer = [], 0
    given_to = {}
    for _ in range(draw(st.integers(1, 30))):
        engine = draw(st.sampled_from(sorted(free)))
        layer += draw(st.integers(0, 4)) == 0
        waits = [one for one in free if given_to.get((one, engine)) and draw(st.booleans())]
        tokens = [given_to[one, engine].pop(0) for one in waits]
        start = max([free[engine], *tokens]) + draw(st.integers(0, 3))
        length = draw(st.integers(1, 12))
        signals = [one for one in free if one != engine and draw(st.integers(0, 2)) == 0]
        for one in signals:
            given_to.setdefault((engine, one), []).append(start + length)
        free[engine] = start + length
        tiles = draw(st.integers(0, length))
        row = (engine, layer, start, start + length - 1, " ".join(waits), " ".join(signals), tiles)
        rows.append((*row, draw(st.integers(0, length - tiles))))
    return rows, max(free.values()) + draw(st.integers(0, 5)), layer + 1


@settings(deadline=None, max_examples=300)
@given(stories())
def test_parts_add_up_whatever_happens(drawn):
    rows, cycles, count = drawn
    found = account(story(rows, cycles), [0] * count, [{}] * count)
    assert sum(one.cycles for one in found) == cycles
    for one in found:
        assert one.compute + sum(one.losses.values()) == one.cycles
        assert min(cycles for name, cycles in one.losses.items() if name != "overlap") >= 0
        assert sum(one.waits.values()) == one.losses["dram"] + one.losses["synchronisation"]
        assert one.main not in one.waits
