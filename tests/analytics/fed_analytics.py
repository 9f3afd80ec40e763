"""The analytics without a thread and a clock of their own: a test feeds datagrams and says what time it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from arm.analytics import Analytics, queries
from arm.config import AnalyticsConfig
from arm.model import Route


class Tap:
    """The listener's side: keeps what it was asked for."""

    def __init__(self) -> None:
        self.callback: Callable[[bytes], None] | None = None
        self.counters_only = True

    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None:
        self.callback, self.counters_only = callback, counters_only


class Fed:
    """`feed` what an agent sends; `now` moves only with `pass_`."""

    def __init__(
        self,
        config: AnalyticsConfig | None = None,
        lookup: Callable[[Sequence[bytes]], Sequence[Route | None]] = lambda addresses: [None] * len(addresses),
        **options: Any,
    ) -> None:
        self.now = 1000.0
        self.tap = Tap()
        self.analytics = Analytics(
            config or AnalyticsConfig(),
            self.tap,
            lookup,
            local_as=65000,
            clock=lambda: self.now,
            steady_ms=lambda: int(self.now * 1000),
            **options,
        )

    def define(self, name: str, **document: Any) -> None:
        self.analytics.put_flow(name, document)

    def feed(self, datagrams: Iterable[bytes]) -> None:
        for data in datagrams:
            self.analytics._receive(data)
        self.step()

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    def step(self) -> None:
        while self.analytics.step(self.now):
            pass

    def top(self, name: str, *, most: int = 10_000, mode: str = "max") -> dict[str, float]:
        """Flow -> value, largest first."""
        rows = queries.active_flows(self.analytics, "ALL", name, most=most, least=0.0, mode=mode)
        return {row["key"]: row["value"] for row in rows}

    def metric(self, text: str) -> float | None:
        """The value of one metric such as sum:image_bytes."""
        (answer,) = queries.metric(self.analytics, "ALL", text)
        return answer.get("metricValue")  # type: ignore[no-any-return]


def restarted(directory: Path) -> Fed:
    """The analytics of a process that finds what an earlier one left in `directory`."""
    return Fed(directory=directory)
