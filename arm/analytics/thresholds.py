"""Thresholds: an event when a metric, or a single flow of a definition, rises above a value.

A metric that stays above makes no second event. It must have been at or below the value for `timeout` seconds before it
can make the next one, so that one that swings around the value does not flood the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from arm.analytics.definitions import ThresholdDefinition
from arm.analytics.flows import Flow
from arm.analytics.metrics import Reading
from arm.analytics.values import Key, Source, source_text, text_of

MOST_EXCEEDING: Final = 10_000
"""Flows or sources that are remembered as being above one threshold."""


class Threshold:
    """One threshold and what is above it. No clock: `now` is passed in."""

    def __init__(self, name: str, definition: ThresholdDefinition) -> None:
        self.name = name
        self.definition = definition
        self.fault: str | None = None
        """Why it was put aside: a bug that judging by it has run into. It is judged again when it is set anew."""
        self._above: dict[Key, float] = {}
        """What is above, and when it last was."""

    def flows(self, flow: Flow, now: float, allowed: Callable[[Source], bool]) -> list[dict[str, Any]]:
        """Events of the flows that have risen above the value."""
        flow.cache.weight(now)  # lets time pass, after which the scale is not 0
        scale = flow.cache.scale(now)
        least = self.definition.value / scale
        above = [(key, weight * scale) for key, weight in flow.cache.flows() if weight > least and allowed(key[0])]
        return self._events(above, now, lambda key: flow.text(key))

    def readings(
        self, readings: Iterable[Reading], now: float, allowed: Callable[[Source], bool]
    ) -> list[dict[str, Any]]:
        """Events of the data sources whose metric has risen above the value."""
        least = self.definition.value
        above = [
            ((reading.source,), float(reading.value))
            for reading in readings
            if not isinstance(reading.value, str) and reading.value > least and allowed(reading.source)
        ]
        return self._events(above, now, None)

    def _events(
        self, above: list[tuple[Key, float]], now: float, flow_key: Callable[[Key], str] | None
    ) -> list[dict[str, Any]]:
        known = self._above
        events: list[dict[str, Any]] = []
        for key, value in above:
            if key not in known:
                if len(known) >= MOST_EXCEEDING:
                    continue
                event = self._event(key[0], value)
                if flow_key is not None:
                    event["flowKey"] = flow_key(key)
                events.append(event)
            known[key] = now
        limit = now - self.definition.timeout
        for key in [key for key, last in known.items() if last < now and last <= limit]:
            del known[key]
        return events

    def _event(self, source: Source, value: float) -> dict[str, Any]:
        return {
            "agent": text_of(source[0]),
            "dataSource": source_text(source[1]),
            "metric": self.definition.metric,
            "threshold": self.definition.value,
            "thresholdID": self.name,
            "value": value,
        }
