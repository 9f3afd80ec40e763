"""Who may ask for what: writes, and reads if so configured, need the token or come over the Unix socket.

Where no token is set, only this machine may write: whoever may define flows can make ARM busy.

The page itself, which is empty without its data, and what a load balancer or a package's test asks are open to all who
can reach the port. A browser that is at someone else's page may not write, token or not.
"""

from __future__ import annotations

import hmac
import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, Response, request

from arm.config import HttpConfig
from arm.web.guard import problem

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/", "/version", "/healthz", "/readyz", "/openapi.json"})
_UNIX_PEER = "localhost"
"""What waitress gives as the address of who comes over a Unix socket; over TCP it is always an address in digits."""


def restrict(app: Flask, config: HttpConfig) -> None:
    """Put the rules above before every path of `app`."""
    token = config.token.encode() if config.token is not None else None

    @app.before_request
    def check() -> Response | None:
        reading = request.method in _READING
        if not reading and _foreign(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")):
            return problem(HTTPStatus.FORBIDDEN, "a page from elsewhere can not change anything here")
        if request.remote_addr == _UNIX_PEER:
            return None
        if reading and (not config.protect_reads or request.path in _OPEN or request.path.startswith("/static/")):
            return None
        if token is None:
            if _is_here(request.remote_addr):
                return None
            return problem(
                HTTPStatus.FORBIDDEN, "without [http] token only this machine itself can change anything; set a token"
            )
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token):
            return None
        response = problem(
            HTTPStatus.UNAUTHORIZED, "this needs the token that [http] token sets: Authorization: Bearer"
        )
        response.headers["WWW-Authenticate"] = 'Bearer realm="arm"'
        return response


def _is_here(address: str | None) -> bool:
    """True for a loopback address."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _foreign(origin: str | None, site: str | None) -> bool:
    if site is not None and site not in ("same-origin", "none"):
        return True
    return origin is not None and urlsplit(origin).netloc != request.host
