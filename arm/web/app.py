"""The page, the REST API and the metrics: one Flask application over a board.

Nothing here changes ARM's state, and nothing is kept between requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flask import Flask, Response, request, send_from_directory

from arm import __version__
from arm.analytics import Analytics
from arm.config import Config
from arm.geo import Countries
from arm.model import ChangeRecord, Explanation, Family, SessionStatus, parse_address, parse_prefix
from arm.observe import metrics
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import SPANS
from arm.walltime import CLOCK
from arm.web import breakdown, cache, capacity, countries, difference, machine, prefixes, settings, shapes, topprefixes
from arm.web.access import restrict
from arm.web.analytics import create_blueprint
from arm.web.answers import Answers
from arm.web.arguments import TEXT_LIMIT, ArgumentError, Arguments
from arm.web.guard import Missing, answer, protect
from arm.web.shapes import Json

STATIC = Path(__file__).parent / "static"


def create_app(
    board: Board,
    config: Config,
    *,
    analytics: Analytics | None = None,
    geo: Countries | None = None,
    current: Callable[[], Config] | None = None,
    now_ms: Callable[[], int] = CLOCK.steady_ms,
) -> Flask:
    """The WSGI application.

    `geo` are the countries of `[geo] country`, `current` gives the configuration in force once it may have been
    reloaded, and `now_ms` is now in steady milliseconds (arm/walltime.py).
    """
    geo = geo if geo is not None else Countries(config.geo.country)
    app = Flask("arm.web", static_folder=str(STATIC), static_url_path="/static")
    app.url_map.merge_slashes = False
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
    protect(app, config.http.hosts)
    restrict(app, config.http)
    _pages(app)
    _observability(app, board, config.http.metrics_prefixes, now_ms)
    answers = Answers(board)
    _arm(app, board, answers, now_ms)
    _rankings(app, board, answers, geo)
    _views(app, board, answers)
    _settings(app, current if current is not None else lambda: config)
    _bgp(app, board, answers)
    if analytics is not None:
        app.register_blueprint(create_blueprint(analytics, board))
    return app


def _arguments(*known: str) -> Arguments:
    return Arguments(request.args, frozenset(known))


def _pages(app: Flask) -> None:
    @app.get("/")
    def page() -> Response:
        return send_from_directory(STATIC, "index.html")

    @app.get("/openapi.json")
    def openapi() -> Response:
        return send_from_directory(STATIC, "openapi.json", mimetype="application/json")

    @app.get("/version")
    def version() -> Response:
        _arguments()
        return Response(f"{__version__}\n", content_type="text/plain; charset=utf-8")


def _observability(app: Flask, board: Board, metrics_prefixes: int, now_ms: Callable[[], int]) -> None:
    @app.get("/metrics")
    def prometheus() -> Response:
        status, health = shapes.judged(board, now_ms())
        page = metrics.render(
            status,
            health,
            top=[one for family in Family for one in topprefixes.busiest(board, family, metrics_prefixes)],
            switch=board.switch.reports(),
            wall=board.wall,
        )
        return Response(page, content_type=metrics.CONTENT_TYPE)

    @app.get("/healthz")
    def alive() -> Response:
        _, health = shapes.judged(board, now_ms())
        return answer(shapes.health_document(health), 200 if health.alive else 503)

    @app.get("/readyz")
    def ready() -> Response:
        _, health = shapes.judged(board, now_ms())
        return answer(shapes.health_document(health), 200 if health.ready else 503)


def _arm(app: Flask, board: Board, answers: Answers, now_ms: Callable[[], int]) -> None:
    @app.get("/arm/status/json")
    @answers.kept
    def status() -> Json:
        _arguments()
        return shapes.status_document(board, now_ms())

    @app.get("/arm/trend/json")
    @answers.kept
    def trend() -> Json:
        arguments = _arguments("after", "span")
        span = arguments.choice("span", "5m", {name: name for name in SPANS})
        after = arguments.integer("after", -1, -1, 2**53)
        return shapes.trend_document(board.trend(after, span), span)

    @app.get("/arm/changes/json")
    @answers.kept
    def changes() -> Json:
        arguments = _arguments("after", "maxChanges")
        after = arguments.integer("after", -1, -1, 2**53)
        most = arguments.integer("maxChanges", 100, 0, 1000)

        def question(engine: Reader) -> Sequence[ChangeRecord]:
            return engine.changes(after)

        records = board.shared(("changes", after), question)
        listed = records[max(len(records) - most, 0) :]
        return {"changes": [shapes.change_document(record, board.wall) for record in listed]}

    @app.get("/arm/route/<path:query>/json")
    def route(query: str) -> Response:
        _arguments()
        if len(query) > TEXT_LIMIT:
            raise ArgumentError(f"the prefix or address is longer than {TEXT_LIMIT} characters")
        try:
            parse_prefix(query)
        except ValueError as error:
            raise ArgumentError(str(error)) from None

        def question(engine: Reader) -> Explanation:
            return engine.explain(query)

        return answer(shapes.explanation_document(board.ask(question), board.wall))


def _rankings(app: Flask, board: Board, answers: Answers, geo: Countries) -> None:
    @app.get("/arm/prefixes/json")
    @answers.kept
    def ranking() -> Json:
        query = prefixes.Query.of(Arguments(request.args, prefixes.ARGUMENTS))
        return prefixes.document(board, query, geo)

    @app.get("/arm/traffic/json")
    @answers.kept
    def traffic() -> Json:
        query = breakdown.Query.of(Arguments(request.args, breakdown.ARGUMENTS))
        return breakdown.document(board, query, geo)

    @app.get("/arm/countries/json")
    @answers.kept
    def by_country() -> Json:
        return countries.document(board, geo, Arguments(request.args, countries.ARGUMENTS))


def _views(app: Flask, board: Board, answers: Answers) -> None:
    @app.get("/arm/cache/json")
    @answers.kept
    def hardware() -> Json:
        return cache.document(board, prefixes.family_argument(_arguments("family")))

    @app.get("/arm/capacity/json")
    @answers.kept
    def slots() -> Json:
        return capacity.document(board, prefixes.family_argument(_arguments("family")))

    @app.get("/arm/diff/json")
    @answers.kept
    def diff() -> Json:
        arguments = _arguments("family", "maxPrefixes")
        most = arguments.integer("maxPrefixes", 20, 0, difference.MOST_PREFIXES)
        return difference.document(board, prefixes.family_argument(arguments), most)

    @app.get("/arm/resources/json")
    @answers.kept
    def resources() -> Json:
        _arguments()
        return machine.document(board)


def _settings(app: Flask, current: Callable[[], Config]) -> None:
    @app.get("/arm/config/json")
    def configuration() -> Response:
        _arguments()
        return answer(settings.document(current()))


def _bgp(app: Flask, board: Board, answers: Answers) -> None:
    def top(router: str, family: Family) -> Json:
        query = topprefixes.Query.of(Arguments(request.args, topprefixes.ARGUMENTS), family)
        session = _session(board, router)
        return topprefixes.document(board, session, query)

    @app.get("/bgp/topprefixes/<router>/json")
    @answers.kept
    def top_ipv4(router: str) -> Json:
        return top(router, Family.IPV4)

    @app.get("/bgp/topprefixes6/<router>/json")
    @answers.kept
    def top_ipv6(router: str) -> Json:
        return top(router, Family.IPV6)


def _session(board: Board, router: str) -> SessionStatus:
    """The BGP session with the peer at `router`; Missing if there is none."""
    sessions = board.status().sessions
    for session in sessions:
        if _same(session.peer, router):
            return session
    peers = ", ".join(dict.fromkeys(session.peer for session in sessions)) or "none"
    raise Missing(f"no BGP session is configured with {router[:TEXT_LIMIT]!r}; there are: {peers}")


def _same(one: str, other: str) -> bool:
    try:
        return parse_address(one) == parse_address(other)
    except ValueError:
        return False
