"""One BIRD with three sessions to one ARM: IPv4 reflector, IPv6 reflector and target, all on one port."""

from __future__ import annotations

from pathlib import Path

import pytest
from bird_process import Bird
from polling import until

from arm.bgp.events import SessionEvent
from arm.bgp.messages import encode_updates, path_attributes
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.bgp.tcp import listen
from arm.model import Attributes, Event, Feed, FeedComplete, Role, RoutesLearned, parse_address, parse_prefix

pytestmark = pytest.mark.root


def session(name: str, address: str, port: int, channels: str) -> str:
    return f"""
protocol bgp {name} {{
  local {address} as 65136; neighbor {address} port {port} as 65136;
  multihop; connect delay time 1; connect retry time 1; {channels}
}}
"""


def configuration(port: int) -> str:
    """As an operator should not write it: the reflectors' `rr client` sends ARM's own routes back to it."""
    export = "import none; export all; next hop keep;"
    return (
        'protocol static hops { ipv4; route 10.0.0.0/24 via "lo"; }\n'
        "protocol static s4 { ipv4; route 20.0.0.0/24 blackhole { bgp_next_hop = 10.0.0.1; }; }\n"
        "protocol static s6 { ipv6; route 2001:db8::/32 blackhole { bgp_next_hop = 2001:db8:ffff::1; }; }\n"
        + session("to_arm", "127.0.0.1", port, f"rr client; ipv4 {{ {export} }};")
        + session("to_arm6", "::1", port, f"rr client; ipv6 {{ {export} }};")
        + session(
            "from_arm", "127.0.0.2", port, "ipv4 { import all; export none; }; ipv6 { import all; export none; };"
        )
    )


def test_all_come_up_on_one_port_and_arm_does_not_learn_from_itself(tmp_path: Path) -> None:
    events: list[Event] = []
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    peers = [
        Peer("reflector", "127.0.0.1", 65136, 65136, "0.0.0.1", Role.LEARN),
        Peer("reflector6", "::1", 65136, 65136, "0.0.0.1", Role.LEARN),
        Peer("target", "127.0.0.2", 65136, 65136, "0.0.0.2", Role.PUSH),
    ]
    speaker = Speaker(
        listeners=[first, listen("::1", port), listen("127.0.0.2", port)], peers=peers, emit=events.append
    )
    pushing: list[SessionEvent] = []
    speaker.watch("target", pushing.append)
    bird = Bird(tmp_path / "bird", configuration(port))

    def learned() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for event in events:
            if isinstance(event, RoutesLearned):
                for attributes, prefixes in event.updates:
                    if attributes is not None:
                        found.setdefault(event.feed.name, set()).update(str(prefix) for prefix in prefixes)
        return found

    def status(name: str) -> int:
        return next(one.looped for one in speaker.status() if one.name == name)

    try:
        speaker.start()
        bird.start()
        until(lambda: pushing)
        until(lambda: {e.feed.name for e in events if isinstance(e, FeedComplete)} == {"reflector", "reflector6"})
        expected = {
            "reflector": {str(parse_prefix("20.0.0.0/24"))},
            "reflector6": {str(parse_prefix("2001:db8::/32"))},
        }
        assert learned() == expected
        own = Attributes(
            Feed("reflector", "127.0.0.1", 1, 65136, "10.9.9.9"),
            parse_address("10.0.0.7"),
            path_attributes(as_path=(64500,), next_hop=parse_address("10.0.0.7"), local_pref=100),
        )
        pushed = encode_updates([(parse_prefix("30.0.0.0/24"), own)])
        speaker.send("target", pushed, lambda written: None)
        until(lambda: "30.0.0.0/24" in bird.ask("show route export to_arm"), what="BIRD reflects it")
        until(lambda: status("reflector") == 1)
        assert learned() == expected
    finally:
        speaker.stop()
        bird.kill()
