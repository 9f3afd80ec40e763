"""A simulated upstream teaches its table to ARM's own speaker, changes it on command, goes and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from arm.bgp import tcp
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.model import Event, Family, FeedComplete, FeedDown, FeedUp, Prefix, Role, RoutesLearned
from arm.model import Feed as LearnedFeed
from arm.simulate.announcer import Announcer
from arm.simulate.feed import Feed
from arm.simulate.paths import Upstream, Variant
from arm.simulate.shape import synthetic_table

TABLE = synthetic_table(ipv4=3000, ipv6=700, seed=8)


class Learner:
    """The other end: a learning session of ARM's speaker, and the table that follows from its events."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.routes: set[Prefix] = set()
        self.learned = 0
        self.complete: set[Family] = set()
        self.feeds: list[LearnedFeed] = []
        self.downs: list[str] = []
        listener = tcp.listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        peer = Peer("upstream", "127.0.0.1", 65136, 65134, "10.0.0.136", Role.LEARN, restart_time=0)
        self.speaker = Speaker(listeners=[listener], peers=[peer], emit=self.on_event)
        self.speaker.start()

    def on_event(self, event: Event) -> None:
        with self.lock:
            match event:
                case FeedUp(feed):
                    self.feeds.append(feed)
                    self.complete.clear()
                    self.routes.clear()
                case RoutesLearned(_, updates):
                    for attributes, prefixes in updates:
                        self.learned += len(prefixes)
                        if attributes is None:
                            self.routes.difference_update(prefixes)
                        else:
                            self.routes.update(prefixes)
                case FeedComplete(_, family):
                    self.complete.add(family)
                case FeedDown(_, reason, _):
                    self.downs.append(reason)


class Pair:
    """A feed and its learner; the feed is stepped while something is waited for."""

    def __init__(self) -> None:
        self.learner = Learner()
        self.notes: list[str] = []
        upstream = Upstream(0, 65134, bytes((10, 0, 0, 134)), bytes.fromhex("fd00") + bytes(13) + b"\x86")
        self.announcer = Announcer(TABLE, upstream, default=Variant.BETTER)
        peer = Peer(
            *("learner", "127.0.0.1", 65134, 65136, "10.0.0.134", Role.PUSH),
            connect=True,
            port=self.learner.port,
            restart_time=0,
        )
        self.feed = Feed(self.announcer, peer, note=self.notes.append)
        self.feed.start()

    def until(self, ready: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, (self.notes, self.learner.downs, self.feed.status())
            self.feed.step()
            time.sleep(0.005)

    def told(self) -> set[Prefix]:
        """What the learner must have in the end, without the default routes."""
        prefixes = {prefix for entries in TABLE.families.values() for prefix in entries.prefixes()}
        for prefix, told in self.announcer.told.items():
            prefixes.discard(prefix) if told is None else prefixes.add(prefix)
        return prefixes

    def agreed(self) -> bool:
        with self.learner.lock:
            return {prefix for prefix in self.learner.routes if prefix[1]} == self.told()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.feed.stop()
    pair.learner.speaker.stop()


def test_the_whole_table_is_learned_and_closed_with_end_of_rib(pair: Pair) -> None:
    pair.until(lambda: pair.learner.complete == set(Family))
    assert pair.agreed()
    assert len(pair.learner.routes) == len(TABLE) + 2
    pair.until(pair.feed.complete.is_set)
    assert pair.notes == ["up", "complete"]
    assert pair.feed.status()["state"] == "established"


def test_commands_change_what_the_peer_has(pair: Pair) -> None:
    pair.until(lambda: pair.learner.complete == set(Family))
    pair.feed.command(["shift", "withdrawn", "40"])
    pair.feed.command(["announce", "5.5.0.0/16", "better"])
    pair.feed.command(["deaggregate", "5.5.0.0/16", "20"])
    assert len(pair.told()) == len(TABLE) - 40 + 17
    pair.until(pair.agreed)
    pair.feed.command(["default", "none"])
    pair.until(lambda: all(prefix[1] for prefix in pair.learner.routes))
    assert pair.feed.command(["restore"])["away"] == 0
    pair.until(lambda: pair.agreed() and len(pair.learner.routes) == len(TABLE))


@pytest.mark.parametrize("how", ["cease", "hard"])
def test_a_session_that_is_dropped_comes_back_with_what_was_told_meanwhile(pair: Pair, how: str) -> None:
    pair.until(lambda: pair.learner.complete == set(Family))
    pair.feed.command(["drop", "0.3", how])
    pair.until(lambda: len(pair.learner.downs) == 1)
    pair.feed.command(["shift", "withdrawn", "25"])
    pair.until(lambda: len(pair.learner.feeds) == 2 and pair.learner.complete == set(Family))
    pair.until(pair.agreed)
    assert len(pair.told()) == len(TABLE) - 25
    pair.until(pair.feed.complete.is_set)
    assert pair.notes == ["up", "complete", "down", "up", "complete"]


def test_churn_keeps_its_rate_and_the_peer_its_table(pair: Pair) -> None:
    pair.until(lambda: pair.learner.complete == set(Family))
    pair.feed.command(["focus", "200", "3"])
    begin, before = time.monotonic(), pair.feed.changes
    pair.feed.command(["churn", "400"])
    pair.until(lambda: time.monotonic() - begin > 1.0)
    pair.feed.command(["churn", "0"])
    made = pair.feed.changes - before
    assert 200 <= made <= 450
    pair.until(pair.agreed)
    assert pair.learner.learned >= len(TABLE) + made


@pytest.mark.parametrize(
    "words",
    [["fly"], ["announce", "x"], ["announce", "1.0.0.0/8", "loud"], ["drop", "1", "softly"], ["churn", "-1"]],
)
def test_a_command_that_makes_no_sense_is_refused(pair: Pair, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        pair.feed.command(words)
