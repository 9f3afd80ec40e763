"""What holds for every request and every answer, whatever the path.

- The Host header must name this machine: an address, `localhost`, the machine's own name, or one of `[http] hosts`.
  Else a page of someone else, its name made to point here (DNS rebinding), could read ARM through an engineer's
  browser.
- Nothing is loaded from elsewhere, nothing is framed, no script or style stands inside the page.
- An error is JSON with the status code and a sentence, never a stack trace.
- Answers of some length are compressed for those who can read that.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import logging
import socket
from collections.abc import Iterable
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from arm.observe.board import Unavailable
from arm.web.arguments import ArgumentError


class Missing(NotFound):
    """A 404 that says in its own words what is missing."""


log = logging.getLogger(__name__)

MOST_BODY = 64 * 1024
MOST_QUERY = 2_048
COMPRESS_FROM = 1_024
"""Octets from which on an answer is compressed."""
COMPRESS_LEVEL = 3
_COMPRESSED_TYPES = frozenset({"application/json", "text/html", "text/css", "text/javascript", "text/plain"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def encoded(document: object) -> bytes:
    """A document as JSON; NaN and infinity are bugs, not JSON."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def answer(document: object, code: int = 200) -> Response:
    """A JSON answer."""
    return Response(encoded(document), code, content_type="application/json")


def problem(code: int, text: str) -> Response:
    """A JSON error."""
    return answer({"status": code, "error": text}, code)


def protect(app: Flask, hosts: Iterable[str]) -> None:
    """Put the rules above around every path of `app`."""
    names = {name.lower().rstrip(".") for name in (*hosts, "localhost", socket.gethostname(), socket.getfqdn())}
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY

    @app.before_request
    def check() -> Response | None:
        host = request.environ.get("HTTP_HOST")
        if host is not None and not _is_ours(host, names):
            text = f"this is not {host[:100]!r}: use an address, or add the name to [http] hosts"
            return problem(HTTPStatus.MISDIRECTED_REQUEST, text)
        if len(request.environ.get("QUERY_STRING", "")) > MOST_QUERY:
            return problem(HTTPStatus.REQUEST_URI_TOO_LONG, f"the query is longer than {MOST_QUERY} characters")
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        # Kept by nobody but the one who asked, and never used without asking again.
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return _compressed(_tagged(response))

    @app.errorhandler(ArgumentError)
    def bad_argument(error: ArgumentError) -> Response:
        return problem(HTTPStatus.BAD_REQUEST, str(error))

    @app.errorhandler(Unavailable)
    def unavailable(error: Unavailable) -> Response:
        response = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        response.headers["Retry-After"] = "1"
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if error.response is not None and code < HTTPStatus.BAD_REQUEST:
            return Response(status=code, headers=list(error.response.headers))
        own = isinstance(error, Missing) or code not in _SENTENCES
        response = problem(code, error.description or error.name if own else _SENTENCES[code])
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def failure(error: Exception) -> Response:
        log.error("request failed path=%s", request.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a bug in arm: the log has the details")


_SENTENCES = {
    404: "there is nothing at this path",
    405: "this path can not be used with this method",
    413: f"the body is longer than {MOST_BODY} octets",
}


def _is_ours(host: str, names: set[str]) -> bool:
    name = host.lower()
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or not (port == "" or port.startswith(":")):
            return False
        port = port[1:]
    else:
        name, _, port = name.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.rstrip(".") in names:
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _tagged(response: Response) -> Response:
    """Tell who has the answer already that it is the same, instead of the answer."""
    if response.status_code != HTTPStatus.OK or request.method not in ("GET", "HEAD") or response.is_streamed:
        return response
    if response.get_etag()[0] is None:
        response.add_etag(weak=True)
    response.make_conditional(request)
    return response


def _compressed(response: Response) -> Response:
    response.vary.add("Accept-Encoding")
    if (
        response.status_code != HTTPStatus.OK
        or response.mimetype not in _COMPRESSED_TYPES
        or "Content-Encoding" in response.headers
        or request.accept_encodings["gzip"] <= 0
        or request.method == "HEAD"
    ):
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) >= COMPRESS_FROM:
        response.set_data(gzip.compress(body, compresslevel=COMPRESS_LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        # A strong tag promises the same octets: the compressed ones are others.
        tag, _ = response.get_etag()
        if tag is not None:
            response.set_etag(tag, weak=True)
    return response
