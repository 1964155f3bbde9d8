"""The committed page of registers is what the table says."""

from hwgen.system.registers import PAGE, markdown


def test_the_page_is_current():
    assert PAGE.read_text() == markdown(), "run `python -m hwgen.system.registers`"
