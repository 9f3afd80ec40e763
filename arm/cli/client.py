"""Questions to the running daemon over its REST API."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

Json = dict[str, Any]

TIMEOUT_SECONDS = 10.0
_LARGEST_ANSWER = 64 << 20


class Unreachable(Exception):  # noqa: N818 - the state of the daemon, not a mistake here
    """The daemon gives no answer now; the text says what to look at."""


class Refused(Exception):  # noqa: N818 - the daemon's word, not a mistake here
    """The daemon answered that the question is wrong; `code` is the HTTP status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixHandler(urllib.request.HTTPHandler):
    """Opens every http address on one Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(_: str, /, *, timeout: float = TIMEOUT_SECONDS, **__: object) -> _UnixConnection:
            return _UnixConnection(self._path, timeout)

        return self.do_open(connection, req)


class Client:
    """Asks one daemon. `url` is where it listens: http://127.0.0.1:8008, or unix:/run/arm/http.sock."""

    def __init__(self, url: str, *, token: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # never by way of a proxy that the environment names: the daemon is on this switch, or next to it
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if url.startswith("unix:"):
            handlers.append(_UnixHandler(url.removeprefix("unix:")))
            url = "http://localhost"
        self._url = (url if "://" in url else f"http://{url}").rstrip("/")
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, *, errors: bool = False, **arguments: object) -> Json:
        """The JSON answer of a path below the url.

        With `errors` an answer of 500 and above counts as well, if it is JSON: /healthz says what is wrong with one.
        Unreachable without an answer, Refused for a question that the daemon does not take.
        """
        query = f"?{urllib.parse.urlencode(arguments)}" if arguments else ""
        try:
            asked = urllib.request.Request(f"{self._url}{path}{query}", headers=self._headers)  # noqa: S310 - his own url
            with self._opener.open(asked, timeout=self._timeout) as answer:
                return self._json(answer.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                body = error.read(_LARGEST_ANSWER)
            if error.code >= 500 and not errors:
                raise Unreachable(self._error(body, error.code)) from None
            if error.code >= 500:
                return self._json(body)
            raise Refused(error.code, self._error(body, error.code)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            # URLError is an OSError; an address that is none, or an answer that is not HTTP, raises the other two
            reason = getattr(error, "reason", error)
            text = getattr(reason, "strerror", None) or str(reason)
            raise Unreachable(f"{text[:1].lower()}{text[1:]}; is the daemon running (systemctl status arm)?") from None

    def _json(self, body: bytes) -> Json:
        try:
            document = json.loads(body)
        except ValueError:
            raise Unreachable("what answers there is not arm") from None
        if not isinstance(document, dict):
            raise Unreachable("what answers there is not arm")
        return document

    def _error(self, body: bytes, code: int) -> str:
        try:
            return str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            return f"it answered with HTTP status {code}"
