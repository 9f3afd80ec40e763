"""Numbers for people: always with a unit, never more exact than they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.cli import text as t


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (None, "-"),
        (0, "0 bit/s"),
        (0.25, "2 bit/s"),
        (125, "1.0 kbit/s"),
        (124_993, "999.9 kbit/s"),
        (124_999, "1.0 Mbit/s"),
        (11.7625e9, "94.1 Gbit/s"),
        (1e12, "8.0 Tbit/s"),
        (1e15, "8000.0 Tbit/s"),
    ],
)
def test_bytes_per_second_are_shown_as_bits_per_second(rate: float | None, shown: str) -> None:
    assert t.bits(rate) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"), (-1, "0.0 s"), (0.21, "0.2 s"), (59.9, "59 s"), (60, "1 min 0 s"), (8040, "2 h 14 min"),
        (86400, "1 d 0 h"), (3 * 86400 + 7199, "3 d 1 h"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units(seconds: float | None, shown: str) -> None:
    assert t.duration(seconds) == shown


@given(st.floats(0, 1))
def test_only_all_is_100_percent(share: float) -> None:
    assert (t.percent(share) == "100.0 %") == (share == 1)
    assert (t.percent(share, digits=0) == "100 %") == (share == 1)


def test_what_is_not_known_is_a_dash() -> None:
    for show in (t.count, t.percent, t.bits, t.size, t.per_second, t.duration, t.moment, t.plain):
        assert show(None) == "-"


def test_numbers_have_separators_and_units() -> None:
    assert t.count(691838) == "691,838"
    assert t.size(200 << 20) == "200 MiB"
    assert t.per_second(4980.4) == "4,980/s"
    assert t.per_second(0.25) == "0.2/s"
    assert t.moment(1_800_000_000_000) == "2027-01-15 08:00:00 UTC"


def test_columns_line_up() -> None:
    lines = t.table(("a", "number", ""), [("longer", "1", "x"), ("b", "20", "")], right=" r")
    assert lines == ["a       number", "longer       1  x", "b           20"]


@given(st.text())
def test_a_peers_text_can_not_move_the_cursor(text: str) -> None:
    assert t.plain(text).isprintable()
