"""`country:` in a flow's keys asks the same file, also when another one takes its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from arm.analytics.language import LanguageError
from arm.analytics.queries import active_flows
from arm.analytics.service import Analytics
from arm.config import AnalyticsConfig
from arm.geo import Countries
from arm.model import parse_address, parse_prefix
from arm.simulate.agent import Agent
from arm.simulate.mmdb import write

SOURCE, INSIDE, OUTSIDE = map(parse_address, ("198.51.100.7", "192.0.2.1", "203.0.113.9"))


class NoTap:
    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None:
        pass


def test_flows_are_counted_by_country_and_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(write([(parse_prefix("192.0.2.0/24"), "DE")], description=""))
    now = [100.0]

    def clock() -> float:
        return now[0]

    analytics = Analytics(
        AnalyticsConfig(),
        NoTap(),
        lambda addresses: [None] * len(addresses),
        local_as=65000,
        clock=clock,
        country=Countries(str(path), clock=clock).country,
    )
    analytics.put_flow("to", {"keys": "null:[country:ipdestination]:unknown", "value": "bytes", "t": 2})
    agent = Agent(None, rate=100)

    def values(seconds: float) -> dict[str, float]:
        for _ in range(round(seconds * 10)):
            now[0] += 0.1
            for built in agent.prebuild([(SOURCE, INSIDE, 1000)] * 3 + [(SOURCE, OUTSIDE, 1000)]):
                analytics._receive(bytes(agent.number(built)))
            while analytics.step(now[0]):
                pass
        return {row["key"]: row["value"] for row in active_flows(analytics, "ALL", "to", most=9, least=1.0, mode="max")}

    assert values(20) == pytest.approx({"DE": 3_000_000, "unknown": 1_000_000}, rel=0.05)
    path.write_bytes(write([(parse_prefix("192.0.2.0/24"), "AT")], description="another"))
    assert values(20)["AT"] == pytest.approx(3_000_000, rel=0.05)


def test_without_a_file_configured_the_definition_is_refused_with_the_key_to_set() -> None:
    analytics = Analytics(AnalyticsConfig(), NoTap(), lambda addresses: [], local_as=65000)
    with pytest.raises(LanguageError, match=r"set \[geo\] country"):
        analytics.put_flow("to", {"keys": "country:ipdestination", "value": "bytes"})
