"""Definitions, patterns and the flow cache: what is asked for is counted, what is wrong is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics.definitions import DefinitionError, read_flow, read_threshold
from arm.analytics.patterns import Pattern, PatternError
from arm.analytics.queries import active_flows
from arm.analytics.service import Analytics
from arm.config import AnalyticsConfig
from arm.simulate.agent import Agent

SERVER, CLIENT, OTHER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9])


class Tap:
    """The listener's side: hands on what the test gives it."""

    def __init__(self) -> None:
        self.callback: Callable[[bytes], None] | None = None
        self.counters_only = True

    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None:
        self.callback, self.counters_only = callback, counters_only


def test_a_flow_counts_the_bytes_of_its_keys() -> None:
    now = [100.0]
    tap = Tap()
    analytics = Analytics(
        AnalyticsConfig(), tap, lambda addresses: [None] * len(addresses), local_as=65000, clock=lambda: now[0]
    )
    analytics.put_flow("pairs", {"keys": "ipsource,ipdestination", "value": "bytes", "t": 2})
    agent = Agent(None, rate=100)
    packets = [(SERVER, CLIENT, 1000)] * 30 + [(SERVER, OTHER, 500)] * 10
    for _ in range(200):
        now[0] += 0.1
        for built in agent.prebuild(packets):
            analytics._receive(bytes(agent.number(built)))
        while analytics.step(now[0]):
            pass
    rows = active_flows(analytics, "ALL", "pairs", most=10, least=0.0, mode="max")
    values = {row["key"]: row["value"] for row in rows}
    # 30 samples of 1,000 bytes at 1 in 100, ten times a second; the frame check sequence counts as sFlow has it.
    assert values["192.0.2.1,198.51.100.7"] == pytest.approx(30 * 1000 * 100 * 10, rel=0.05)
    assert values["192.0.2.1,203.0.113.9"] == pytest.approx(10 * 500 * 100 * 10, rel=0.05)


def test_a_definition_that_is_wrong_is_refused_with_its_place() -> None:
    analytics = Analytics(AnalyticsConfig(), Tap(), lambda addresses: [], local_as=65000)
    with pytest.raises(ValueError, match="can not stand here") as raised:
        analytics.put_flow("bad", {"keys": "nonsense(", "value": "bytes"})
    assert raised.value.at == 8  # type: ignore[attr-defined]
    assert analytics.flow("bad") is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
WORDS = st.text(alphabet="ipsource,mask:()|&=!~udportdestination0123456789.[]*+\\ ", max_size=60)


@settings(max_examples=400, deadline=None)
@given(
    ANYTHING
    | st.fixed_dictionaries(
        {}, optional={"keys": WORDS, "value": WORDS, "filter": WORDS, "n": ANYTHING, "t": ANYTHING, "metric": WORDS}
    )
)
def test_no_definition_raises_anything_but_its_error(document: object) -> None:
    for read in (read_flow, read_threshold):
        try:
            read(document)
        except DefinitionError:
            continue


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
