"""The REST API of the analytics, with the paths and field names that sFlow-RT's users know.

What is wrong with a definition is a 400 that names the field and, for keys and filters, points at the character. A
request that waits for something to happen holds a thread of the server, so only so many are let in at a time: whatever
waits does it inside of `Waiting`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, request

from arm.analytics import Analytics, DefinitionError, LanguageError, Limit, queries
from arm.analytics.definitions import NAME
from arm.model import AgentStatus
from arm.observe.board import Board, Unavailable
from arm.walltime import WallTime
from arm.web.arguments import ArgumentError, Arguments
from arm.web.guard import Missing, answer, problem

LONGEST_POLL: Final = 60
_KEYS_WITHIN: Final = 1.0
"""Seconds that the first question for flow keys waits for a sample."""


class Crowded(Unavailable):
    """As many requests as the configuration allows are waiting already."""


class Waiting:
    """The requests that wait, at most so many: `with waiting:` around what may take long; Crowded at once if full."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    def __enter__(self) -> None:
        if not self._free.acquire(blocking=False):
            raise Crowded(f"{self._most} clients wait for events already (analytics.clients)")

    def __exit__(self, *_: object) -> None:
        self._free.release()


def create_blueprint(analytics: Analytics, board: Board) -> Blueprint:
    """The routes. Who may change something is decided before (web.access)."""
    paths = Blueprint("analytics", __name__)

    @paths.errorhandler(LanguageError)
    def bad_language(error: LanguageError) -> Response:
        shown = error.source[max(error.at - 60, 0) : error.at + 60]
        pointer = f"{shown}\n{' ' * min(error.at, 60)}^"
        document = {"status": 400, "error": str(error), "field": error.field, "position": error.at, "at": pointer}
        return answer(document, 400)

    @paths.errorhandler(DefinitionError)
    def bad_definition(error: DefinitionError) -> Response:
        return answer({"status": 400, "error": str(error), "field": error.field}, 400)

    @paths.errorhandler(queries.PutAside)
    def put_aside(error: queries.PutAside) -> Response:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @paths.errorhandler(Limit)
    def too_many(error: Limit) -> Response:
        return answer({"status": 400, "error": str(error)}, 400)

    _definitions(paths, analytics)
    _queries(paths, analytics)
    _waiting(paths, analytics, Waiting(analytics.config.clients), board.wall)

    @paths.get("/agents/json")
    def agents() -> Response:
        _arguments()
        status = board.status()
        found: dict[str, dict[str, int]] = {}
        for agent in status.listener.agents:
            _add_agent(found.setdefault(agent.agent, {}), agent, status.time_ms)
        return answer(found)

    return paths


def _arguments(*known: str) -> Arguments:
    return Arguments(request.args, frozenset(known))


def _body() -> object:
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as wrong:
        raise DefinitionError(f"the body is not JSON: {str(wrong)[:100]}") from None


def _definitions(paths: Blueprint, analytics: Analytics) -> None:
    def one(kind: str, name: str) -> Response:
        found = _all(analytics, kind)
        if name not in found:
            raise Missing(f"there is no {kind} {name[:64]!r}")
        return answer(found[name])

    def delete(kind: str, name: str) -> Response:
        try:
            analytics.delete(kind, name)
        except KeyError:
            raise Missing(f"there is no {kind} {name[:64]!r}") from None
        return Response(status=204)

    def add(kind: str, put: Callable[[str, object], Any]) -> None:
        def every() -> Response:
            _arguments()
            return answer(_all(analytics, kind))

        def single(name: str) -> Response:
            _arguments()
            if request.method == "DELETE":
                return delete(kind, name)
            if request.method == "PUT":
                return answer(put(name, _body()).document())
            return one(kind, name)

        paths.add_url_rule(f"/{kind}/json", f"every_{kind}", every, methods=["GET"])
        paths.add_url_rule(f"/{kind}/<name>/json", f"one_{kind}", single, methods=["GET", "PUT", "DELETE"])

    add("flow", analytics.put_flow)
    add("threshold", analytics.put_threshold)
    add("group", analytics.put_group)


def _all(analytics: Analytics, kind: str) -> dict[str, Any]:
    with analytics.lock:
        if kind == "flow":
            return {name: flow.definition.document() for name, flow in analytics.flows.active.items()}
        if kind == "threshold":
            return {name: each.definition.document() for name, each in analytics.thresholds.items()}
        return {name: group.document() for name, group in analytics.groups.items()}


def _queries(paths: Blueprint, analytics: Analytics) -> None:
    @paths.get("/activeflows/<agents>/<name>/json")
    def active_flows(agents: str, name: str) -> Response:
        arguments = _arguments("maxFlows", "minValue", "aggMode")
        modes = {mode: mode for mode in queries.AGGREGATION_MODES}
        try:
            found = queries.active_flows(
                analytics,
                agents,
                name,
                most=arguments.integer("maxFlows", 100, 0, 10_000),
                least=arguments.number("minValue", 0.0, 0.0),
                mode=arguments.choice("aggMode", "max", modes),
            )
        except queries.UnknownFlow:
            raise Missing(f"there is no flow {name[:64]!r}") from None
        return answer(found)

    @paths.get("/metric/<agents>/<path:metrics>/json")
    def metric(agents: str, metrics: str) -> Response:
        _arguments()
        return answer(queries.metric(analytics, agents, metrics))

    @paths.get("/dump/<agents>/<path:metrics>/json")
    def dump(agents: str, metrics: str) -> Response:
        _arguments()
        return answer(queries.dump(analytics, agents, metrics))

    @paths.get("/metrics/json")
    def known() -> Response:
        _arguments()
        return answer(queries.known_metrics(analytics))

    @paths.get("/analyzer/json")
    def state() -> Response:
        _arguments()
        return answer(queries.state(analytics))


def _waiting(paths: Blueprint, analytics: Analytics, waiting: Waiting, wall: WallTime) -> None:
    """What answers when something has happened, or time is up."""

    @paths.get("/flowkeys/json")
    def flow_keys() -> Response:
        _arguments()
        analytics.watch_keys()
        found = queries.flow_keys(analytics)
        if not found:
            with waiting:
                until = time.monotonic() + _KEYS_WITHIN
                while not (found := queries.flow_keys(analytics)) and time.monotonic() < until:
                    time.sleep(0.05)
        return answer(found)

    @paths.get("/events/json")
    def events() -> Response:
        arguments = _arguments("thresholdID", "maxEvents", "timeout", "eventID")
        wanted = _wanted(arguments, "thresholdID")
        number = arguments.integer("eventID", -1, -1, 2**53)
        most = arguments.integer("maxEvents", 100, 0, 1000)
        timeout = _timeout(arguments)
        with waiting:
            found = analytics.events.after(number, most, timeout, wanted)
        return answer(queries.entries(found, wall))

    @paths.get("/flows/json")
    def flows() -> Response:
        arguments = _arguments("name", "maxFlows", "timeout", "flowID")
        wanted = _wanted(arguments, "name")
        number = arguments.integer("flowID", -1, -1, 2**53)
        most = arguments.integer("maxFlows", 100, 0, 1000)
        timeout = _timeout(arguments)
        with waiting:
            found = analytics.ended.after(number, most, timeout, wanted)
        return answer(queries.entries(found, wall))


def _timeout(arguments: Arguments) -> float:
    """Seconds to wait; more than a minute is a minute, since scripts ask for what they like."""
    return min(arguments.number("timeout", 0.0, 0.0), LONGEST_POLL)


def _wanted(arguments: Arguments, field: str) -> Callable[[Any], bool]:
    name = arguments.text(field)
    if not name:
        return lambda _: True
    names = name.split(",")
    if not all(NAME.fullmatch(each) for each in names):
        raise ArgumentError(f"{field} is a name, or several with commas between them")
    return lambda entry: entry[field] in names


def _add_agent(found: dict[str, int], agent: AgentStatus, now_ms: int) -> None:
    """Sum up the sub-agents of an agent."""
    age = max(now_ms - agent.last_seen_ms, 0)
    found["lastSeen"] = min(age, found.get("lastSeen", age))
    for name, value in (
        ("sFlowDatagramsReceived", agent.datagrams),
        ("sFlowDatagramsLost", agent.lost_datagrams),
        ("sFlowFlowSamples", agent.flow_samples),
        ("sFlowFlowLostSamples", agent.lost_samples),
        ("sFlowCounterSamples", agent.counter_samples),
    ):
        found[name] = found.get(name, 0) + value
