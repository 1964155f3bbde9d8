"""Event records: order, differences, files."""

from __future__ import annotations

import numpy as np
import pytest

from sim import events
from sim.events import END, EVENT, START, first_difference, records

A = records([5, 7, -1, 5], [6, 7, -1, -1], [1, 4, 0, 0])


def test_records_are_sorted():
    assert A.dtype == EVENT
    assert A.tolist() == [
        (5, 0, START, 3),
        (5, 1, START, 0),
        (6, 1, END, 0),
        (7, 4, START, 1),
        (7, 4, END, 1),
    ]
    assert records([], [], []).tolist() == []
    with pytest.raises(ValueError, match="give one each"):
        records([1], [1, 2], [0])


def test_equal_lists_do_not_differ():
    assert first_difference(A, A.copy()) is None


def test_the_first_difference_is_named():
    other = records([5, 8, -1, 5], [6, 8, -1, -1], [1, 4, 0, 0])
    found = first_difference(A, other, names=("sim", "rtl"), engines={4: "vec"})
    assert found is not None
    assert found.index == 3
    assert found.first == {"cycle": 7, "engine": 4, "event": "start", "instruction": 1}
    assert found.second == found.first | {"cycle": 8}
    assert found.text == (
        "event 3: sim has the start of instruction 1 on vec in cycle 7; "
        "rtl has the start of instruction 1 on vec in cycle 8"
    )


def test_a_list_that_ends_first():
    found = first_difference(A, A[:2])
    assert found is not None
    assert (found.index, found.second) == (2, None)
    assert found.text == (
        "event 2: the first has the end of instruction 0 on engine 1 in cycle 6; the second has no more events"
    )
    assert first_difference(A[:2], A).first is None


def test_files_keep_events(tmp_path):
    path = tmp_path / "events.jsonl"
    events.write(path, A)
    assert path.read_text().splitlines()[2] == '{"cycle": 6, "engine": 1, "event": "end", "instruction": 0}'
    np.testing.assert_array_equal(events.read(path), A)
    lines = path.read_text().splitlines()
    path.write_text("\n\n".join(reversed(lines)))
    np.testing.assert_array_equal(events.read(path), A)
    path.write_text("")
    assert len(events.read(path)) == 0


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "not JSON"),
        ("[]", "an event is an object with exactly cycle, engine, event, instruction"),
        ('{"cycle": 1}', "an event is an object"),
        ('{"cycle": 1, "engine": 1, "event": "start", "instruction": 1, "more": 1}', "an event is an object"),
        (
            '{"cycle": 1, "engine": 1, "event": "begin", "instruction": 1}',
            "event must be start or end, not 'begin'",
        ),
        ('{"cycle": 1, "engine": 1, "event": ["end"], "instruction": 1}', "event must be"),
        (
            '{"cycle": -1, "engine": 1, "event": "end", "instruction": 1}',
            "cycle must be an integer from 0 on, not -1",
        ),
        ('{"cycle": true, "engine": 1, "event": "end", "instruction": 1}', "cycle must be an integer"),
        ('{"cycle": 1, "engine": 1.5, "event": "end", "instruction": 1}', "engine must be an integer"),
        (
            '{"cycle": 1, "engine": 1, "event": "end", "instruction": 99999999999999999999}',
            "instruction must be",
        ),
        ("[" * 100000, "line 3"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, text):
    path = tmp_path / "events.jsonl"
    events.write(path, A[:1])
    with path.open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ValueError, match=f"events.jsonl, line 3: .*{text}" if text != "line 3" else text):
        events.read(path)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n\n\xff\n")
    with pytest.raises(ValueError, match="line 3: not text in UTF-8"):
        events.read(path)
