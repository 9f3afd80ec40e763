"""The BIRD target on a fake speaker: order, epochs, failures, what is said and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from arm.bgp.events import RefreshRequested, SessionDown, SessionEvent, SessionUp
from arm.bgp.messages import Interner, end_of_rib_family, parse_update, path_attributes
from arm.bgp.wire import HEADER_SIZE, read_header
from arm.model import (
    Applied,
    Attributes,
    Change,
    Entry,
    Event,
    Family,
    Feed,
    Kind,
    Plan,
    Reason,
    TargetDown,
    TargetUp,
    parse_address,
    parse_prefix,
)
from arm.target.bird import PENDING_LIMIT, BirdTarget

FEED = Feed("reflector", "127.0.0.1", 1, 65136, "10.0.0.1")
V4, V6 = frozenset({Family.IPV4}), frozenset({Family.IPV6})
BOTH = V4 | V6


def attributes(next_hop: str, *path: int) -> Attributes:
    packed = parse_address(next_hop)
    raw = path_attributes(as_path=path, next_hop=packed if len(packed) == 4 else None, local_pref=100)
    return Attributes(FEED, packed, raw)


A4, B4, A6 = attributes("10.0.0.1", 64500), attributes("10.0.0.2", 64501), attributes("2001:db8::1", 64500)


def put(prefix: str, what: Attributes | None) -> Change:
    return Change(parse_prefix(prefix), None if what is None else Entry(Kind.ROUTE, what), Reason.NEW)


class FakeSpeaker:
    """Takes everything, and writes it out when the test says so."""

    def __init__(self) -> None:
        self.watchers: dict[str, Callable[[SessionEvent], None]] = {}
        self.queue: list[tuple[str, Iterator[bytes], Callable[[bool], None]]] = []
        self.wire: dict[str, list[object]] = {}
        self.resets: list[str] = []
        self.shuts: list[tuple[str, bool]] = []

    def watch(self, name: str, watcher: Callable[[SessionEvent], None]) -> None:
        self.watchers[name] = watcher

    def send(self, name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None:
        self.queue.append((name, messages, done))

    def reset(self, name: str, text: str) -> None:
        self.resets.append(name)

    def shut(self, name: str, words: str, *, keep: bool) -> None:
        self.shuts.append((name, keep))

    def write(self) -> None:
        """Write all that waits: (prefix, next hop or None), and families for their End-of-RIB."""
        waiting, self.queue = self.queue, []
        for name, messages, done in waiting:
            for data in messages:
                while data:
                    size, _ = read_header(data, 0)
                    body, data = data[HEADER_SIZE:size], data[size:]
                    out = self.wire.setdefault(name, [])
                    if (family := end_of_rib_family(body)) is not None:
                        out.append(family)
                    for found, prefixes in parse_update(body, Interner(FEED)):
                        out += [(prefix, found and found.next_hop) for prefix in prefixes]
            done(True)

    def lose(self) -> None:
        waiting, self.queue = self.queue, []
        for _, _, done in waiting:
            done(False)


def started(*names: str) -> tuple[FakeSpeaker, BirdTarget, list[Event]]:
    speaker = FakeSpeaker()
    target = BirdTarget(speaker, names or ("target",), clock=lambda: 0.0)
    events: list[Event] = []
    target.start(events.append)
    return speaker, target, events


def epoch_of(event: Event) -> int:
    assert isinstance(event, TargetUp)
    return event.epoch


def test_a_plan_is_written_in_its_order_and_then_applied() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    changes = (
        put("10.1.0.0/16", A4),
        put("10.1.1.0/24", B4),
        put("2001:db8::/32", A6),
        put("10.2.0.0/16", B4),
        put("10.1.1.0/24", None),
        put("10.1.0.0/16", A4),
    )
    target.apply(Plan(7, changes, BOTH, epoch_of(events[-1])))
    assert target.status().pending == 6
    assert len(events) == 1, "nothing is applied before it is written"
    speaker.write()
    assert speaker.wire["target"] == [
        *((c.prefix, None if c.entry is None else c.entry.next_hop) for c in changes),
        Family.IPV4,
        Family.IPV6,
    ]
    applied = events[-1]
    assert isinstance(applied, Applied)
    assert (applied.plan, applied.done, applied.failed) == (7, 6, ())
    status = target.status()
    assert (status.up, status.pending, status.applied, status.failed) == (True, 0, 6, 0)
    assert status.counters["routes_told"] == 3


def test_a_plan_for_a_session_that_is_gone_is_not_sent_over_the_next() -> None:
    speaker, target, events = started()
    up = speaker.watchers["target"]
    up(SessionUp(BOTH))
    old = epoch_of(events[-1])
    up(SessionDown("gone"))
    target.apply(Plan(1, (put("10.1.0.0/16", A4),), epoch=old))
    up(SessionUp(BOTH))
    target.apply(Plan(2, (put("10.2.0.0/16", A4),), epoch=old))
    assert speaker.queue == []
    target.apply(Plan(3, (put("10.3.0.0/16", A4),), epoch=epoch_of(events[-1])))
    speaker.write()
    assert speaker.wire["target"] == [(parse_prefix("10.3.0.0/16"), A4.next_hop)]
    assert target.status().counters["plans_dropped"] == 2


def test_what_was_not_written_is_not_applied() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    target.apply(Plan(1, (put("10.1.0.0/16", A4),), epoch=epoch_of(events[-1])))
    speaker.watchers["target"](SessionDown("gone"))
    speaker.lose()
    assert not any(isinstance(event, Applied) for event in events)
    status = target.status()
    assert (status.up, status.pending, status.applied, status.reason) == (False, 0, 0, "target: gone")


def test_a_route_refresh_is_answered_with_what_was_sent_before_it() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    epoch = epoch_of(events[-1])
    changes = (put("10.1.0.0/16", A4), put("10.1.1.0/24", B4), put("2001:db8::/32", A6), put("10.9.0.0/16", A4))
    target.apply(Plan(1, (*changes, put("10.9.0.0/16", None)), epoch=epoch))
    speaker.watchers["target"](RefreshRequested(Family.IPV4))
    target.apply(Plan(2, (put("10.1.1.0/24", None),), epoch=epoch))
    speaker.write()
    again = [(parse_prefix("10.1.1.0/24"), B4.next_hop), (parse_prefix("10.1.0.0/16"), A4.next_hop)]
    assert speaker.wire["target"][5:] == [*again, (parse_prefix("10.1.1.0/24"), None)]
    assert sum(isinstance(event, TargetUp) for event in events) == 1, "the engine need not know"


def test_a_family_stays_with_its_session_until_that_comes_up_without_it() -> None:
    speaker, target, events = started("target", "target6")
    speaker.watchers["target6"](SessionUp(BOTH))
    epoch = epoch_of(events[-1])
    speaker.watchers["target"](SessionUp(BOTH))
    assert len(events) == 1
    speaker.write()
    assert speaker.wire == {"target": [Family.IPV4, Family.IPV6]}, "BIRD may drop what it kept of that session"
    target.apply(Plan(1, (put("10.1.0.0/16", A4),), epoch=epoch))
    speaker.write()
    assert speaker.wire["target6"] == [(parse_prefix("10.1.0.0/16"), A4.next_hop)]
    speaker.watchers["target6"](SessionDown("gone"))
    assert isinstance(events[-1], TargetDown), "BIRD may keep what it was sent in that session"
    speaker.watchers["target6"](SessionUp(V6))
    moved = events[-1]
    assert isinstance(moved, TargetUp)
    assert (moved.families, moved.anew) == (BOTH, BOTH)
    target.apply(Plan(2, (put("10.2.0.0/16", A4), put("2001:db8::/32", A6)), epoch=moved.epoch))
    speaker.write()
    assert speaker.wire["target"][-1] == (parse_prefix("10.2.0.0/16"), A4.next_hop)
    assert speaker.wire["target6"][-1] == (parse_prefix("2001:db8::/32"), A6.next_hop)


def test_one_session_that_comes_and_goes_voids_nothing_of_the_others() -> None:
    speaker, target, events = started("target", "target6")
    speaker.watchers["target"](SessionUp(V4))
    epoch = epoch_of(events[-1])
    speaker.watchers["target6"](SessionUp(V6))
    up = events[-1]
    assert isinstance(up, TargetUp)
    assert (up.families, up.anew) == (BOTH, V6)
    # Made before the engine knew of the second session:
    target.apply(Plan(1, (put("10.1.0.0/16", A4), put("2001:db8::/32", A6)), epoch=epoch))
    speaker.watchers["target6"](SessionDown("gone"))
    down = events[-1]
    assert isinstance(down, TargetUp)
    assert (down.families, down.anew) == (V4, frozenset())
    speaker.write()
    assert speaker.wire == {"target": [(parse_prefix("10.1.0.0/16"), A4.next_hop)]}
    assert [(e.plan, e.done, e.failed) for e in events if isinstance(e, Applied)] == [(1, 1, ())]


def test_what_can_not_be_sent_fails_with_what_depends_on_it_and_nothing_else() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    changes = (
        put("10.1.1.0/24", A4),
        put("10.2.1.0/24", A6),  # an IPv6 next hop
        put("10.2.0.0/16", A4),
        put("10.2.1.128/25", A4),
        put("10.3.0.0/16", B4),
    )
    target.apply(Plan(1, changes, epoch=epoch_of(events[-1])))
    speaker.write()
    applied = events[-1]
    assert isinstance(applied, Applied)
    assert [change for change, _ in applied.failed] == list(changes[1:3])
    assert applied.done == 3
    assert "IPv4" in applied.failed[0][1]
    assert [prefix for prefix, _ in speaker.wire["target"]] == [changes[n].prefix for n in (0, 3, 4)]


def test_a_plan_that_does_not_know_of_a_failure_leaves_out_what_depends_on_it() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    epoch = epoch_of(events[-1])
    target.apply(Plan(1, (put("10.2.1.0/24", A6),), epoch=epoch))
    target.apply(Plan(2, (put("10.2.0.0/16", A4),), epoch=epoch))
    target.apply(Plan(3, (put("10.2.0.0/16", A4),), epoch=epoch, answered=2))
    speaker.write()
    assert speaker.wire["target"] == [(parse_prefix("10.2.0.0/16"), A4.next_hop)]
    assert [(event.plan, event.done) for event in events if isinstance(event, Applied)] == [(1, 0), (2, 0), (3, 1)]


def test_each_family_goes_over_the_first_session_that_has_it() -> None:
    speaker, target, events = started("target", "target6")
    speaker.watchers["target"](SessionUp(V4))
    assert isinstance(events[-1], TargetUp)
    assert events[-1].families == V4
    target.apply(Plan(1, (put("2001:db8::/32", A6),), epoch=epoch_of(events[-1])))
    assert (len(events), speaker.queue) == (1, []), "nothing takes it"
    speaker.watchers["target6"](SessionUp(V6))
    assert isinstance(events[-1], TargetUp)
    assert events[-1].families == BOTH
    plan = Plan(2, (put("10.1.0.0/16", A4), put("2001:db8::/32", A6)), BOTH, epoch_of(events[-1]))
    target.apply(plan)
    speaker.write()
    assert speaker.wire == {
        "target": [(parse_prefix("10.1.0.0/16"), A4.next_hop), Family.IPV4],
        "target6": [(parse_prefix("2001:db8::/32"), A6.next_hop), Family.IPV6],
    }
    assert sum(isinstance(event, Applied) and event.plan == 2 for event in events) == 1
    speaker.watchers["target"](SessionDown("gone"))
    assert isinstance(events[-1], TargetUp)
    assert events[-1].families == V6
    speaker.watchers["target6"](SessionDown("gone too"))
    assert isinstance(events[-1], TargetDown)


def test_a_peer_that_lets_everything_pile_up_is_reset() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    change = put("10.1.0.0/16", A4)
    many = (change,) * (PENDING_LIMIT // 2)
    for number in range(2):
        target.apply(Plan(number, many, epoch=epoch_of(events[0])))
    assert speaker.resets == []
    target.apply(Plan(9, (change,), epoch=epoch_of(events[0])))
    assert speaker.resets == ["target"]


def test_flushing_takes_routes_out_before_their_exceptions() -> None:
    speaker, target, events = started()
    speaker.watchers["target"](SessionUp(BOTH))
    changes = (put("10.1.1.0/24", B4), put("10.1.0.0/16", A4), put("10.1.1.128/25", A4), put("10.9.0.0/16", A4))
    gone = put("10.9.0.0/16", None)
    target.apply(Plan(1, (*changes, gone), epoch=epoch_of(events[-1])))
    speaker.write()
    speaker.wire.clear()
    send = speaker.send

    def at_once(name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None:
        send(name, messages, done)
        speaker.write()

    speaker.send = at_once  # type: ignore[method-assign]
    target.stop(flush=True)
    expected = [parse_prefix(text) for text in ("10.1.0.0/16", "10.1.1.0/24", "10.1.1.128/25")]
    assert speaker.wire["target"] == [(prefix, None) for prefix in expected]
    assert speaker.shuts == [("target", False)]


def test_stopping_without_a_flush_leaves_the_routes() -> None:
    speaker, target, _ = started()
    speaker.watchers["target"](SessionUp(BOTH))
    target.stop(flush=False)
    assert speaker.queue == []
    assert speaker.shuts == [("target", True)]


def test_it_holds_what_was_told_since_the_session_came_up() -> None:
    speaker, target, events = started()
    assert target.holding() is None
    speaker.watchers["target"](SessionUp(BOTH))
    target.apply(Plan(1, (put("10.0.0.0/8", A4), put("10.1.0.0/16", B4), put("2001:db8::/32", A6)), epoch=1))
    target.apply(Plan(2, (put("10.0.0.0/8", B4), put("10.1.0.0/16", None)), epoch=1))
    speaker.write()
    holding = target.holding()
    assert holding is not None
    assert holding.source == "told over BGP"
    assert holding.routes == {
        parse_prefix("10.0.0.0/8"): parse_address("10.0.0.2"),
        parse_prefix("2001:db8::/32"): parse_address("2001:db8::1"),
    }
    speaker.watchers["target"](SessionDown("gone"))
    assert target.holding() is None
    assert [type(event) for event in events][-1] is TargetDown
