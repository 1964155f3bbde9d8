"""Raw rates: arithmetic by hand, sources, and what is refused."""

from __future__ import annotations

import pytest

from hwgen.errors import BadInput
from hwgen.faults.rates import MBIT, load_rates, parse_rates, rates_of

FULL = """
[transient]
flip_flop = { fit_per_mbit = 50.0, source = "report 12" }
memory = { cross_section_cm2 = 7e-15, source = "beam test" }
flux = { per_cm2_h = 13.0, factor = 1.5, source = "JESD89A" }
derating = { timing = 0.5, duty = 0.25, source = "static timing" }

[permanent]
flip_flop = { fit_per_bit = 1e-6, source = "handbook" }
memory = { fit_per_mbit = 0, source = "not built" }
derating = { duty = 0.5, source = "on half of the time" }
"""


def test_rates_follow_from_their_units():
    rates = parse_rates(FULL)
    # An Mbit is 2**20 bits; twice the derating and the flux factor.
    assert rates.fit("transient", "flip_flop") == pytest.approx(50 / 1048576 * 1.5 * 0.125, rel=1e-14)
    # 7e-15 cm2 x 13 /cm2/h = 9.1e-14 upsets an hour = 9.1e-5 FIT.
    assert rates.fit("transient", "memory") == pytest.approx(9.1e-5 * 1.5 * 0.125, rel=1e-14)
    # Flux does not reach permanent faults.
    assert rates.fit("permanent", "flip_flop") == pytest.approx(5e-7, rel=1e-14)
    assert rates.fit("permanent", "memory") == 0
    assert MBIT == 1048576


def test_published_cross_sections_give_the_published_rates():
    # 7-series configuration memory, 6.99e-15 cm2: 95 FIT/Mb in New York City (facts/faults.md 4.4).
    rates = parse_rates(
        '[transient]\nmemory = {cross_section_cm2 = 6.99e-15, source = "UG116"}\n'
        'flux = {per_cm2_h = 13.0, source = "JESD89A"}'
    )
    assert rates.fit("transient", "memory") * 2**20 == pytest.approx(95, abs=0.5)


def test_every_source_is_named_with_the_number_it_is_for():
    sources = parse_rates(FULL).sources()
    assert len(sources) == 4
    assert "transient memory: 1.70625e-05 FIT per bit" in sources[1]
    for word in (
        "beam test",
        "flux per_cm2_h 13, factor 1.5: JESD89A",
        "derating timing 0.5, duty 0.25: static timing",
    ):
        assert word in sources[1]
    assert "JESD89A" not in sources[2]


def test_a_rate_that_is_not_there_is_refused_and_says_what_to_write():
    rates = parse_rates('[transient]\nflip_flop = {fit_per_bit = 1, source = "s"}')
    assert rates.fit("transient", "flip_flop") == 1
    with pytest.raises(
        BadInput, match=r"no raw rate of transient faults of a memory bit.*under \[transient\]"
    ):
        rates.fit("transient", "memory")
    with pytest.raises(BadInput, match="of permanent faults of a flip_flop bit"):
        rates.fit("permanent", "flip_flop")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is no raw rate; give at least one"),
        ("[transient]", "there is no raw rate; give at least one"),
        ("[transient", "is not TOML"),
        ("[seu]\n", "no table 'seu'"),
        ("[flux]\nfactor = 1.0", "no table 'flux' .* put flux under"),
        ("transient = 3", "must be a table"),
        ("[transient]\nlatch = 3", "unknown key 'latch'"),
        ("[transient]\nflip_flop = 50.0", "must be a table such as"),
        ("[transient]\nflip_flop = {fit_per_bit = 1}", "must name its source"),
        ('[transient]\nflip_flop = {fit_per_bit = 1, source = " "}', "must name its source"),
        ('[transient]\nflip_flop = {fit_per_bit = 1, source = "a\\nb"}', "one line of text"),
        ("[transient]\nflip_flop = {fit_per_bit = 1, source = 7}", "must name its source"),
        ('[transient]\nflip_flop = {source = "s"}', "gives 0 rates"),
        ('[transient]\nflip_flop = {fit_per_bit = 1, fit_per_mbit = 1, source = "s"}', "gives 2 rates"),
        ('[transient]\nflip_flop = {fit = 1, source = "s"}', "unknown key 'fit'"),
        ('[transient]\nflip_flop = {fit_per_bit = -1, source = "s"}', "at least 0, not -1"),
        ('[transient]\nflip_flop = {fit_per_bit = nan, source = "s"}', "finite number, not nan"),
        ('[transient]\nflip_flop = {fit_per_bit = inf, source = "s"}', "finite number, not inf"),
        ('[transient]\nflip_flop = {fit_per_bit = true, source = "s"}', "finite number, not True"),
        ('[transient]\nflip_flop = {fit_per_bit = "1", source = "s"}', "finite number, not '1'"),
        (f'[transient]\nflip_flop = {{fit_per_bit = 1{"0" * 400}, source = "s"}}', "finite number, not 1000"),
        ('[transient]\nmemory = {cross_section_cm2 = 1e-14, source = "s"}', "needs the flux"),
        (
            '[permanent]\nmemory = {cross_section_cm2 = 1e-14, source = "s"}',
            "says nothing of permanent faults",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(text, what):
    with pytest.raises(BadInput, match=what) as caught:
        parse_rates(text, "rates.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("rates.toml")


@pytest.mark.parametrize(
    ("factors", "what"),
    [
        ('derating = {timing = 0.0, source = "s"}', "derating.timing is a share of time above 0"),
        ('derating = {timing = 1.01, source = "s"}', "at most 1, not 1.01"),
        ("derating = {timing = 0.5}", "must name its source"),
        ('derating = {source = "s"}', "derating has no number"),
        ('derating = {avf = 0.5, source = "s"}', "unknown key 'avf'"),
        ('flux = {factor = 0.0, source = "s"}', "flux.factor must be above 0"),
        ('flux = {per_cm2_h = 13.0, source = "s"}', "flux.per_cm2_h is for cross sections"),
        ('flux = {factor = 1e308, source = "s"}', "more FIT than a number can hold"),
    ],
)
def test_bad_factors_are_refused(factors, what):
    rate = 'flip_flop = {fit_per_bit = 10, source = "s"}\n'
    assert parse_rates(f"[transient]\n{rate}").fit("transient", "flip_flop") == 10
    with pytest.raises(BadInput, match=what):
        parse_rates(f"[transient]\n{rate}{factors}")


def test_flux_is_not_for_permanent_faults():
    with pytest.raises(BadInput, match="flux scales transient faults only"):
        rates_of({"permanent": {"flux": {"factor": 2.0, "source": "s"}}})


def test_files_are_read_and_named_in_errors(tmp_path):
    path = tmp_path / "rates.toml"
    path.write_text(FULL)
    assert load_rates(path) == parse_rates(FULL)
    path.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"rates\.toml is not text in UTF-8"):
        load_rates(path)
    with pytest.raises(BadInput, match=r"nothing\.toml cannot be read"):
        load_rates(tmp_path / "nothing.toml")
