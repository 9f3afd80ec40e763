"""ARM learns from a real BIRD: the whole table, its changes, its crash and its return."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bird_process import Bird
from polling import until
from scripted_peer import LEARN, Desk

from arm.bgp.attributes import describe
from arm.model import (
    Attributes,
    Family,
    FeedComplete,
    FeedDown,
    FeedUp,
    Prefix,
    RoutesLearned,
    SessionState,
    join_next_hops,
    parse_prefix,
)

pytestmark = pytest.mark.root

COUNT = 3000
LEARNER = dataclasses.replace(LEARN, local_as=65136, peer_as=65136)


def configuration(port: int, count: int = COUNT, *, extra: str = "", options: str = "") -> str:
    routes4 = "".join(
        f" route 20.{i >> 8}.{i & 255}.0/24 blackhole {{ bgp_next_hop = 10.0.0.{1 + i % 2};"
        f" bgp_path.prepend({1000 + i // 9}); bgp_path.prepend(64500); bgp_med = {i % 3}; }};\n"
        for i in range(count)
    )
    routes6 = "".join(
        f" route 2001:db8:{i:x}::/48 blackhole {{ bgp_next_hop = 2001:db8:ffff::{1 + i % 2};"
        f" bgp_path.prepend({1000 + i // 9}); bgp_community.add((64500,{i // 9})); }};\n"
        for i in range(count // 5)
    )
    return f"""
protocol static s4 {{ ipv4; {routes4} {extra} }}
protocol static s6 {{ ipv6; {routes6} }}
protocol bgp to_arm {{
  local 127.0.0.1 as 65136; neighbor 127.0.0.1 port {port} as 65136;
  multihop; connect delay time 1; connect retry time 1; error wait time 1,2; graceful restart on; {options}
  ipv4 {{ import none; export all; next hop keep; }};
  ipv6 {{ import none; export all; next hop keep; }};
}}
"""


def table(desk: Desk) -> dict[Prefix, Attributes]:
    """What the events come to, without the sweep of what is stale."""
    routes: dict[Prefix, Attributes] = {}
    for event in list(desk.events):
        if isinstance(event, RoutesLearned):
            for attributes, prefixes in event.updates:
                for prefix in prefixes:
                    if attributes is None:
                        routes.pop(prefix, None)
                    else:
                        routes[prefix] = attributes
    return routes


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Callable[..., Bird]]:
    made: list[Bird] = []

    def make(name: str, *args: str) -> Bird:
        made.append(Bird(tmp_path / name, *args))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def test_equal_paths_come_as_one_route_with_all_next_hops(desk: Callable[..., Desk], bird: Callable[..., Bird]) -> None:
    def static(name: str, hop: int) -> str:
        routes = "".join(
            f" route {prefix} blackhole {{ bgp_next_hop = 10.0.0.{hop}; }};"
            for prefix in ("30.0.0.0/8", *(["31.0.0.0/8"] if hop == 1 else []))
        )
        return f"protocol static {name} {{ ipv4; {routes} }}\n"

    one = desk([dataclasses.replace(LEARNER, add_path=True)])
    base = configuration(one.port, 9).replace("next hop keep;", "next hop keep; add paths tx;")
    peer = bird("peer", base + static("one", 1) + static("two", 2))
    peer.start()
    one.wait(FeedComplete, 2)
    both = parse_prefix("30.0.0.0/8")
    hops = [socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")]
    until(lambda: table(one)[both].next_hop == join_next_hops(hops))
    assert table(one)[parse_prefix("31.0.0.0/8")].next_hop == hops[0]
    peer.configure(base + static("two", 2))
    peer.ask("configure")
    until(lambda: table(one)[both].next_hop == hops[1] and parse_prefix("31.0.0.0/8") not in table(one))
    peer.kill()


def test_the_table_its_changes_and_its_return(desk: Callable[..., Desk], bird: Callable[..., Bird]) -> None:
    one = desk([LEARNER])
    peer = bird("peer", configuration(one.port))
    peer.start()
    one.wait(FeedComplete, 2)
    routes = table(one)
    assert len(routes) == COUNT + COUNT // 5
    view = describe(routes[parse_prefix("20.1.5.0/24")])
    number = 256 + 5
    assert view.aspath == f"64500-{1000 + number // 9}"
    assert (view.nexthop, view.med, view.localpref, view.origin) == (f"10.0.0.{1 + number % 2}", number % 3, 100, "IGP")
    view = describe(routes[parse_prefix("2001:db8:1f::/48")])
    assert view.nexthop == f"2001:db8:ffff::{1 + 0x1F % 2}"
    assert view.communities == (f"64500:{0x1F // 9}",)
    assert len({id(attributes) for attributes in routes.values()}) < len(routes) / 1.4

    peer.configure(
        configuration(one.port, COUNT - 10, extra="route 30.0.0.0/8 blackhole { bgp_next_hop = 10.0.0.9; };")
    )
    peer.ask("configure")
    until(lambda: len(table(one)) == COUNT - 9 + (COUNT - 10) // 5)
    assert parse_prefix("30.0.0.0/8") in table(one)

    peer.kill()
    down = one.wait(FeedDown)
    assert down.retain == 120, "BIRD's graceful restart time"
    before = len(one.events)
    peer.start()
    one.wait(FeedComplete, 4)
    again = [type(event) for event in one.events[before:]]
    assert again[0] is FeedUp
    assert again[-1] is FeedComplete
    assert again.count(FeedComplete) == 2
    assert one.wait(FeedUp, 2).feed.generation == 2
    taught = {
        prefix for e in one.events[before:] if isinstance(e, RoutesLearned) for _, ps in e.updates for prefix in ps
    }
    assert len(taught) == COUNT - 9 + (COUNT - 10) // 5
    assert {event.family for event in one.events[before:] if isinstance(event, FeedComplete)} == set(Family)


def test_an_end_of_rib_is_not_long_in_coming(desk: Callable[..., Desk], bird: Callable[..., Bird]) -> None:
    """BIRD 2.0 sleeps for up to 3 s over the rest of a table that it has begun to send; ARM wakes it."""
    times: list[float] = []
    for number in range(3):
        one = desk([LEARNER])
        peer = bird(f"peer{number}", configuration(one.port, 20_000))
        peer.start()
        first = until(lambda: one.count(RoutesLearned) and one.speaker._clock())  # noqa: B023
        one.wait(FeedComplete, 2)
        times.append(one.speaker._clock() - first)
        peer.kill()
    assert sorted(times)[1] < 2.0


@pytest.mark.parametrize(("theirs", "works"), [("s3cret", True), ("wrong", False)])
def test_tcp_md5_passwords(desk: Callable[..., Desk], bird: Callable[..., Bird], theirs: str, works: bool) -> None:
    one = desk([dataclasses.replace(LEARNER, password="s3cret")])
    peer = bird("peer", configuration(one.port, 10, options=f'password "{theirs}";'))
    peer.start()
    if works:
        one.wait(FeedComplete, 2)
        assert len(table(one)) == 12
        return
    # BIRD tries for as long as its connect timer runs, so what there is to see is that nothing comes of it.
    until(lambda: "Connect" in peer.ask("show protocols to_arm"))
    with pytest.raises(AssertionError):
        until(lambda: one.events or one.status().state is not SessionState.ACTIVE, timeout=2.5)


def test_arm_dials_with_a_password_too(desk: Callable[..., Desk], bird: Callable[..., Bird]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    passive = f"""
protocol bgp to_arm {{
  local 127.0.0.1 port {port} as 65136; neighbor 127.0.0.1 as 65136; multihop; passive; password "s3cret";
  ipv4 {{ import none; export all; }};
}}
"""
    peer = bird("peer", passive)
    peer.start()
    one = desk([dataclasses.replace(LEARNER, password="s3cret", connect=True, port=port)], retry=0.2)
    assert one.wait(FeedUp).families == {Family.IPV4}
    one.wait(FeedComplete)


def test_a_shutdown_has_its_words_both_ways(desk: Callable[..., Desk], bird: Callable[..., Bird]) -> None:
    one = desk([LEARNER])
    peer = bird("peer", configuration(one.port, 10))
    peer.start()
    one.wait(FeedComplete, 2)
    peer.ask('disable to_arm "new line card"')
    assert "new line card" in one.wait(FeedDown).reason
    peer.ask("enable to_arm")
    one.wait(FeedComplete, 4)
    one.speaker.stop("back in five minutes")
    until(lambda: "back in five minutes" in (peer.directory / "bird.log").read_text())
