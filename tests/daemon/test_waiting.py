"""What waits for the engine: in order, and bounded by what there is to say."""

from __future__ import annotations

import threading
from queue import Empty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.daemon.waiting import Waiting
from arm.model import Applied, Capacity, Drift, Event, Family, NextHopDown, NextHopUp, TargetUp, parse_prefix

PREFIXES = [parse_prefix(text) for text in ("192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8")]
HOPS = [bytes([10, 0, 0, number]) for number in range(3)]


def taken(queue: Waiting[Event]) -> list[Event]:
    found = []
    while True:
        try:
            found.append(queue.get(0.0))
        except Empty:
            return found


states = st.one_of(
    st.builds(Drift, st.sampled_from(PREFIXES), st.just("removed"), st.booleans()),
    st.builds(NextHopUp, st.sampled_from(HOPS)),
    st.builds(NextHopDown, st.sampled_from(HOPS), st.just("dead")),
    st.builds(Capacity, st.sampled_from(Family), st.just(5), st.none(), st.just("refused")),
)
others = st.one_of(st.builds(Applied, st.integers(1, 9), st.just(1), st.just([]), st.just(0.0)), st.just(TargetUp({})))


def about(event: Event) -> tuple[object, bool]:
    match event:
        case Drift():
            return event.prefix, event.installed
        case NextHopUp() | NextHopDown():
            return event.next_hop, isinstance(event, NextHopUp)
        case Capacity():
            return event.family, False
    raise AssertionError


@given(st.lists(st.one_of(states, others, st.just(None)), max_size=60))
def test_the_latest_word_on_each_thing_comes_in_its_place_and_nothing_else_is_lost(steps: list[Event | None]) -> None:
    """None is a moment at which the engine takes one."""
    queue: Waiting[Event] = Waiting()
    expected: list[Event] = []
    got: list[Event] = []
    for step in steps:
        if step is None:
            got += [queue.get(0.0)] if expected else []
            assert not expected or got[-1] is expected.pop(0)
            continue
        queue.put(step)
        if not isinstance(step, Applied | TargetUp):
            thing, good = about(step)
            gone = [(thing, True)] if good else [(thing, True), (thing, False)]
            expected = [e for e in expected if isinstance(e, Applied | TargetUp) or about(e) not in gone]
        expected.append(step)
    rest = taken(queue)
    assert len(rest) == len(expected)
    assert all(one is other for one, other in zip(rest, expected, strict=True))


def test_a_route_that_is_removed_again_and_again_waits_once() -> None:
    queue: Waiting[Event] = Waiting()
    for number in range(100_000):
        queue.put(Drift(PREFIXES[number % 2], "removed by another program", installed=True))
    assert queue.qsize() < 10
    assert len(taken(queue)) == 2


def test_a_next_hop_is_not_up_again_without_having_been_down() -> None:
    queue: Waiting[Event] = Waiting()
    for _ in range(3):
        queue.put(NextHopDown(HOPS[0], "dead"))
        queue.put(NextHopUp(HOPS[0]))
    assert [type(event) for event in taken(queue)] == [NextHopDown, NextHopUp]


def test_nothing_is_lost_between_threads() -> None:
    queue: Waiting[Event | str] = Waiting()
    threads = [
        threading.Thread(
            target=lambda name=name: [  # type: ignore[misc]
                (queue.put(f"{name} {n}"), queue.put(Drift(PREFIXES[n % 3], "", installed=False))) for n in range(5000)
            ]
        )
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    found: list[Event | str] = []
    while any(thread.is_alive() for thread in threads):
        try:
            found.append(queue.get(0.01))
        except Empty:
            continue
    for thread in threads:
        thread.join()
    found += taken(queue)  # type: ignore[arg-type]
    for name in "ab":
        assert [text for text in found if isinstance(text, str) and text[0] == name] == [
            f"{name} {n}" for n in range(5000)
        ]
    assert {event.prefix for event in found if isinstance(event, Drift)} == set(PREFIXES)


def test_an_empty_queue_says_so() -> None:
    with pytest.raises(Empty):
        Waiting[Event]().get(0.0)
    with pytest.raises(Empty):
        Waiting[Event]().get(-1.0)
