"""Routes pushed to a real BIRD: they stand there as they were learned, and follow what happens to either side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from bird_process import Bird
from polling import until

from arm.bgp.messages import path_attributes
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.bgp.tcp import listen
from arm.model import (
    FAMILIES,
    Applied,
    Attributes,
    Change,
    Entry,
    Event,
    Feed,
    Kind,
    Plan,
    Prefix,
    Reason,
    Role,
    TargetDown,
    TargetUp,
    format_prefix,
    parse_address,
    parse_prefix,
)
from arm.target.bird import BirdTarget

pytestmark = pytest.mark.root

FEED = Feed("reflector", "127.0.0.1", 1, 65136, "10.0.0.1")
EVERYTHING = frozenset(FAMILIES)


def configuration(port: int) -> str:
    return f"""
protocol static hops {{ ipv4; route 10.0.0.0/24 via "lo"; }}
protocol static hops6 {{ ipv6; route 2001:db8:ffff::/64 via "lo"; }}
protocol bgp from_arm {{
  local 127.0.0.1 as 65136; neighbor 127.0.0.1 port {port} as 65136; multihop;
  connect delay time 1; connect retry time 1; error wait time 1,2; graceful restart on;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


class Arm:
    """A speaker with a BIRD target, and an engine that tells its whole choice whenever the target comes up."""

    def __init__(self, port: int = 0) -> None:
        self.events: list[Event] = []
        self.choice: dict[Prefix, Attributes] = {}
        listener = listen("127.0.0.1", port)
        self.port: int = listener.getsockname()[1]
        self.speaker = Speaker(
            listeners=[listener],
            peers=[Peer("target", "127.0.0.1", 65136, 65136, "0.0.0.2", Role.PUSH)],
            emit=self.events.append,
        )
        self.target = BirdTarget(self.speaker, ["target"])
        self.target.start(self._emit)
        self._number = 0
        self._epoch = 0
        self.speaker.start()

    def _emit(self, event: Event) -> None:
        if isinstance(event, TargetUp):
            self._epoch = event.epoch
            self.plan([change(prefix, found) for prefix, found in self.choice.items()], complete=True)
        self.events.append(event)

    def plan(self, changes: Sequence[Change], *, complete: bool = False) -> int:
        self._number += 1
        self.target.apply(Plan(self._number, tuple(changes), EVERYTHING if complete else frozenset(), self._epoch))
        return self._number

    def wait(self, number: int) -> Applied:
        def look() -> Applied | None:
            return next((e for e in self.events if isinstance(e, Applied) and e.plan == number), None)

        found = until(look)
        assert found is not None
        return found

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def change(prefix: Prefix, found: Attributes | None) -> Change:
    return Change(prefix, None if found is None else Entry(Kind.ROUTE, found), Reason.NEW)


def attributes(next_hop: str, **values: object) -> Attributes:
    packed = parse_address(next_hop)
    raw = path_attributes(next_hop=packed if len(packed) == 4 else None, **values)  # type: ignore[arg-type]
    return Attributes(FEED, packed, raw)


def prefixes(text: str) -> set[str]:
    """Prefixes in BIRD's list of routes."""
    return set(re.findall(r"^(\S+/\d+)\s", text, re.MULTILINE))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Callable[[], tuple[Arm, Bird]]]:
    made: list[tuple[Arm, Bird]] = []

    def make() -> tuple[Arm, Bird]:
        arm = Arm()
        made.append((arm, Bird(tmp_path / "bird", configuration(arm.port))))
        return made[-1]

    yield make
    for arm, bird in made:
        arm.speaker.stop()
        bird.kill()


def test_pushed_routes_stand_with_the_learned_attributes(pair: Callable[[], tuple[Arm, Bird]]) -> None:
    arm, bird = pair()
    bird.start()
    until(lambda: arm.count(TargetUp))
    reflected = attributes(
        "10.0.0.7", as_path=(64500, 4200000001), med=5, local_pref=321, communities=[64500 << 16 | 7]
    )
    # As a route reflector would have sent it: BIRD, whose id stands in it, would refuse it unchanged.
    own = parse_address("10.9.9.9")
    reflected = Attributes(FEED, reflected.next_hop, reflected.raw + b"\x80\x09\x04" + own + b"\x80\x0a\x04" + own)
    six = attributes("2001:db8:ffff::9", as_path=(64511,), local_pref=200, origin=2)
    plan = arm.plan([change(parse_prefix("198.51.100.0/24"), reflected), change(parse_prefix("2001:db8:1::/48"), six)])
    assert arm.wait(plan).done == 2
    text = until(lambda: bird.routes("from_arm", "master4"))
    for wanted in (
        "198.51.100.0/24",
        "BGP.origin: IGP",
        "BGP.as_path: 64500 4200000001",
        "BGP.next_hop: 10.0.0.7",
        "BGP.med: 5",
        "BGP.local_pref: 321",
        "BGP.community: (64500,7)",
    ):
        assert wanted in text
    assert "originator_id" not in text
    text = until(lambda: bird.routes("from_arm", "master6"))
    for wanted in ("2001:db8:1::/48", "BGP.origin: Incomplete", "BGP.as_path: 64511", "BGP.next_hop: 2001:db8:ffff::9"):
        assert wanted in text
    arm.wait(arm.plan([change(parse_prefix("198.51.100.0/24"), None)]))
    until(lambda: "198.51.100.0/24" not in bird.routes("from_arm", "master4"))


def test_ten_thousand_routes_arrive_and_only_what_changed_is_sent(pair: Callable[[], tuple[Arm, Bird]]) -> None:
    arm, bird = pair()
    hops = [attributes(f"10.0.0.{i}", as_path=(64500, 1000 + i), local_pref=100) for i in range(1, 100)]
    arm.choice = {parse_prefix(f"20.{i >> 8}.{i & 255}.0/24"): hops[i % 99] for i in range(10_000)}
    bird.start()
    until(lambda: arm.count(Applied))
    wanted = {format_prefix(prefix) for prefix in arm.choice}
    until(lambda: prefixes(bird.ask("show route table master4 protocol from_arm")) == wanted)
    sent = arm.speaker.status()[0].updates_out
    gone = parse_prefix("20.1.1.0/24")
    arm.wait(arm.plan([change(gone, None)]))
    assert arm.speaker.status()[0].updates_out == sent + 1
    until(lambda: prefixes(bird.ask("show route table master4 protocol from_arm")) == wanted - {format_prefix(gone)})


def test_a_bird_that_was_killed_gets_the_whole_choice_again(pair: Callable[[], tuple[Arm, Bird]]) -> None:
    arm, bird = pair()
    arm.choice = {parse_prefix(f"20.0.{i}.0/24"): attributes("10.0.0.1", as_path=(64500,)) for i in range(200)}
    bird.start()
    until(lambda: arm.count(Applied) == 1)
    bird.kill()
    until(lambda: arm.count(TargetDown) == 1)
    bird.start()
    wanted = {format_prefix(prefix) for prefix in arm.choice}
    until(lambda: prefixes(bird.ask("show route table master4 protocol from_arm")) == wanted)


def test_an_arm_that_went_silently_finds_its_routes_kept_and_what_it_leaves_out_swept(tmp_path: Path) -> None:
    arm = Arm()
    bird = Bird(tmp_path / "bird", configuration(arm.port))
    kept, dropped = parse_prefix("20.0.0.0/24"), parse_prefix("20.0.1.0/24")
    found = attributes("10.0.0.1", as_path=(64500,))
    arm.choice = {kept: found, dropped: found}
    try:
        bird.start()
        both = {format_prefix(kept), format_prefix(dropped)}
        until(lambda: prefixes(bird.ask("show route table master4 protocol from_arm")) == both)
        arm.target.stop(flush=False)
        arm.speaker.stop(keep=True)
        until(lambda: "Established" not in bird.ask("show protocols from_arm"))
        assert prefixes(bird.ask("show route table master4 protocol from_arm")) == both, "graceful restart"
        arm = Arm(arm.port)
        arm.choice = {kept: found}
        until(lambda: prefixes(bird.ask("show route table master4 protocol from_arm")) == {format_prefix(kept)})
        arm.target.stop(flush=True)
        until(lambda: not prefixes(bird.ask("show route table master4 protocol from_arm")))
    finally:
        arm.speaker.stop()
        bird.kill()


def test_birds_reload_gets_everything_again(pair: Callable[[], tuple[Arm, Bird]]) -> None:
    arm, bird = pair()
    arm.choice = {parse_prefix("20.0.0.0/24"): attributes("10.0.0.1", as_path=(64500,))}
    bird.start()
    until(lambda: arm.count(Applied) == 1)
    sent = arm.speaker.status()[0].updates_out
    bird.ask("reload in from_arm")
    until(lambda: arm.speaker.status()[0].updates_out > sent)
    assert prefixes(bird.ask("show route table master4 protocol from_arm")) == {"20.0.0.0/24"}
    assert arm.count(TargetUp) == 1
