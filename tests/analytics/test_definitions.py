"""Definitions: what is asked for is counted, what is wrong is refused with its place."""

from __future__ import annotations

import pytest
from fed_analytics import Fed
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics.definitions import DefinitionError, read_flow, read_threshold
from arm.simulate.agent import Agent

SERVER, CLIENT, OTHER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9])


def test_a_flow_counts_the_bytes_of_its_keys() -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource,ipdestination", value="bytes", t=2)
    agent = Agent(None, rate=100)
    packets = [(SERVER, CLIENT, 1000)] * 30 + [(SERVER, OTHER, 500)] * 10
    for _ in range(200):
        fed.now += 0.1
        fed.feed(bytes(agent.number(built)) for built in agent.prebuild(packets))
    values = fed.top("pairs")
    # 30 samples of 1,000 bytes at 1 in 100, ten times a second; the frame check sequence counts as sFlow has it.
    assert values["192.0.2.1,198.51.100.7"] == pytest.approx(30 * 1000 * 100 * 10, rel=0.05)
    assert values["192.0.2.1,203.0.113.9"] == pytest.approx(10 * 500 * 100 * 10, rel=0.05)


def test_a_definition_that_is_wrong_is_refused_with_its_place() -> None:
    fed = Fed()
    with pytest.raises(ValueError, match="can not stand here") as raised:
        fed.define("bad", keys="nonsense(", value="bytes")
    assert raised.value.at == 8  # type: ignore[attr-defined]
    assert fed.analytics.flow("bad") is None


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
