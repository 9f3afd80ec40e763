"""Answers to what users ask of the analytics, as documents with the field names that sFlow-RT's users know.

Each takes what it needs while it holds the lock, which is a copy, and does the sorting and the texts without it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from arm.analytics.definitions import NAME, DefinitionError
from arm.analytics.metrics import AGGREGATES, PICKS, Reading, summarize
from arm.analytics.registry import Limit
from arm.analytics.service import Analytics
from arm.analytics.values import Source, source_text, text_of
from arm.model import parse_address
from arm.walltime import WallTime

ALL: Final = "ALL"
AGGREGATION_MODES: Final = ("max", "sum")
_MOST_NAMES: Final = 100
_TIMES: Final = frozenset({"timestamp", "start", "end"})
"""What entries of journals have in milliseconds since the epoch."""
MOST_READINGS: Final = 50_000
"""In one answer, some seven megabytes: a thousand interfaces with all of their counters."""


class UnknownFlow(LookupError):  # noqa: N818 - not the program's mistake
    """There is no definition of that name."""


class PutAside(RuntimeError):  # noqa: N818 - a word of the user's guide
    """The definition was put aside after a bug; the text says why."""


def select_agents(text: str) -> Callable[[Source], bool]:
    """Which sources a list of agent addresses (`10.0.0.1;10.0.0.2`, or ALL) takes in; DefinitionError."""
    if text == ALL:
        return lambda _: True
    wanted: set[bytes] = set()
    for each in text.replace(",", ";").split(";")[: _MOST_NAMES + 1]:
        try:
            wanted.add(parse_address(each))
        except ValueError:
            raise DefinitionError(f"{each[:64]!r} is neither an agent's address nor {ALL}", "agents") from None
    return lambda source: source[0] in wanted


def active_flows(
    analytics: Analytics, agents: str, name: str, *, most: int, least: float, mode: str
) -> list[dict[str, Any]]:
    """The largest flows, of each data source at most the definition's n; UnknownFlow, PutAside, DefinitionError.

    A flow that several data sources see is told once: with its largest value (mode max), since every switch on its way
    sees the same packets, or with the sum of the values.
    """
    chosen = select_agents(agents)
    now = analytics.clock()
    with analytics.lock:
        flow = analytics.flow(name)
        if flow is None:
            raise UnknownFlow(name)
        if flow.fault is not None:
            raise PutAside(
                f"flow {name} was put aside ({flow.fault}): this is a bug in arm, define it anew to try again"
            )
        scale = flow.cache.scale(now)
        weights = flow.cache.snapshot()
    of_source: dict[Source, list[tuple[float, tuple[Any, ...]]]] = {}
    for key, weight in weights.items():
        if chosen(key[0]):
            of_source.setdefault(key[0], []).append((weight * scale, key))
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for source, items in of_source.items():
        for value, key in heapq.nlargest(flow.definition.n, items, key=lambda item: item[0]):
            entry = merged.get(key[1:])
            if entry is None:
                entry = merged[key[1:]] = {"flowN": 0, "value": 0.0, "largest": -1.0, "key": key, "source": source}
            entry["flowN"] += 1
            entry["value"] = entry["value"] + value if mode == "sum" else max(entry["value"], value)
            if value > entry["largest"]:
                entry["largest"], entry["source"] = value, source
    top = heapq.nlargest(most, (each for each in merged.values() if each["value"] >= least), key=lambda e: e["value"])
    return [
        {
            "agent": text_of(each["source"][0]),
            "dataSource": source_text(each["source"][1]),
            "flowN": each["flowN"],
            "key": flow.text(each["key"]),
            "value": each["value"],
        }
        for each in top
    ]


def _names(text: str) -> list[tuple[str, str]]:
    """(aggregate, name) of each metric in `sum:a,max:b,c`; DefinitionError."""
    found = []
    for each in text.split(",")[: _MOST_NAMES + 1]:
        aggregate, colon, name = each.rpartition(":")
        if not colon:
            aggregate = "max"
        if aggregate not in AGGREGATES and aggregate != "any":
            raise DefinitionError(f"{aggregate[:32]!r} is none of {', '.join((*AGGREGATES, 'any'))}", "metric")
        if not NAME.fullmatch(name):
            raise DefinitionError(f"{name[:64]!r} is not the name of a metric", "metric")
        found.append((aggregate, name))
    if len(found) > _MOST_NAMES:
        raise DefinitionError(f"there are more than {_MOST_NAMES} metrics", "metric")
    return found


def metric(analytics: Analytics, agents: str, metrics: str) -> list[dict[str, Any]]:
    """A summary of each metric over the data sources that have it, in the order asked for; DefinitionError.

    A metric that nobody has is told with metricN 0 and without a value.
    """
    chosen, names = select_agents(agents), _names(metrics)
    now = analytics.clock()
    answers = []
    for aggregate, name in names:
        with analytics.lock:
            readings = [reading for reading in analytics.readings(name, now) if chosen(reading.source)]
        found = summarize(aggregate, readings)
        shown = f"{aggregate}:{name}" if f"{aggregate}:{name}" in metrics.split(",") else name
        answer: dict[str, Any] = {"metricName": shown, "metricN": found[1] if found else 0}
        if found is not None:
            ages = [_age_ms(reading, now) for reading in readings]
            answer |= {
                "metricValue": found[2],
                "lastUpdate": _age_ms(found[0], now),
                "lastUpdateMin": min(ages),
                "lastUpdateMax": max(ages),
            }
            if aggregate in PICKS:
                answer |= _of(found[0].source)
        answers.append(answer)
    return answers


def dump(analytics: Analytics, agents: str, metrics: str) -> list[dict[str, Any]]:
    """Each metric of each data source; ALL gives every metric there is. DefinitionError, Limit."""
    chosen = select_agents(agents)
    now = analytics.clock()
    wanted = None if metrics == ALL else [name for _, name in _names(metrics)]
    with analytics.lock:
        if wanted is None:
            of_counters: Iterable[str] = {name for each in analytics.metrics.sources.values() for name in each.values}
            wanted = [*analytics.flows.active, *sorted(of_counters)]
        readings: list[Reading] = []
        for name in wanted:
            readings += [reading for reading in analytics.readings(name, now) if chosen(reading.source)]
            if len(readings) > MOST_READINGS:
                raise Limit(f"these are more than {MOST_READINGS} values: name the metrics, or the agents")
    return [
        {
            **_of(reading.source),
            "lastUpdate": _age_ms(reading, now),
            "metricName": reading.name,
            "metricValue": reading.value,
        }
        for reading in readings
    ]


def known_metrics(analytics: Analytics) -> dict[str, int]:
    """Names of the metrics that there are, and how many milliseconds ago each last came."""
    now = analytics.clock()
    with analytics.lock:
        latest: dict[str, float] = {}
        for source in analytics.metrics.sources.values():
            for name, (_, at) in source.values.items():
                latest[name] = max(at, latest.get(name, at))
        for name, flow in analytics.flows.active.items():
            if len(flow.cache) and flow.fault is None:
                latest[name] = now
    return {name: max(int((now - at) * 1000), 0) for name, at in sorted(latest.items())}


def flow_keys(analytics: Analytics) -> dict[str, int]:
    """Keys that samples have had lately, and how many milliseconds ago."""
    now = analytics.clock()
    with analytics.lock:
        seen = dict(analytics.flows.seen)
    return {name: max(int((now - at) * 1000), 0) for name, at in sorted(seen.items()) if now - at < 60}


def state(analytics: Analytics) -> dict[str, Any]:
    """How the analytics themselves are doing: for the page and for those who wonder why a value is missing."""
    now = analytics.clock()
    with analytics.lock:
        flows = {
            name: {"flows": len(flow.cache), "forgotten": flow.cache.dropped, "tooLowByAtMost": flow.cache.error(now)}
            for name, flow in analytics.flows.active.items()
            if flow.fault is None
        }
        aside = {
            "flows": {name: flow.fault for name, flow in analytics.flows.active.items() if flow.fault is not None},
            "thresholds": {name: one.fault for name, one in analytics.thresholds.items() if one.fault is not None},
        }
    return {
        "samples": analytics.flows.samples,
        "droppedDatagrams": analytics.dropped,
        "failures": analytics.failures,
        "malformed": analytics.flows.malformed + analytics.metrics.malformed,
        "refusedSources": analytics.metrics.refused,
        "unresolved": analytics.flows.unresolved,
        "tableQuestions": analytics.routes.asked,
        "tableQuestionsFailed": analytics.routes.failures,
        "flows": flows,
        "putAside": aside,
    }


def _of(source: Source) -> dict[str, str]:
    return {"agent": text_of(source[0]), "dataSource": source_text(source[1])}


def _age_ms(reading: Reading, now: float) -> int:
    return max(int((now - reading.at) * 1000), 0)


def entries(found: Sequence[Any], wall: WallTime) -> list[dict[str, Any]]:
    """Entries of a journal as JSON takes them, with their times as the machine's clock shows them now."""
    return [
        {name: wall.shown_ms(value) if name in _TIMES else value for name, value in entry.items()} for entry in found
    ]
