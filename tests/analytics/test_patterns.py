"""Expressions: the same texts match as with Python's, nothing hangs, and what is wrong is refused with its place."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics.patterns import Pattern, PatternError


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", ".", "a*", "(ab)+", "[ab]", "[^a]", "b?", "(a|b)", "a{2,3}"]), max_size=6),
    st.text(alphabet="abc", max_size=10),
)
def test_patterns_match_what_pythons_do(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    assert Pattern(pattern).matches(text) == (re.fullmatch(pattern, text) is not None)


def test_a_pattern_that_makes_others_hang_does_not() -> None:
    assert not Pattern("(a+)+b").matches("a" * 2000)


@given(st.text(max_size=20))
def test_no_pattern_raises_anything_but_its_error(text: str) -> None:
    try:
        Pattern(text)
    except PatternError:
        return
