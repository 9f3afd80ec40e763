"""What `arm show` makes of answers that are none, or bad ones, from a server that answers by script."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from arm.cli import Exit, main
from arm.cli.client import Client, Refused, Unreachable

Script = dict[str, tuple[int, bytes]]
Serve = Callable[[Script], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives the scripted answer for each path; gives its url."""
    servers: list[HTTPServer] = []

    def start(script: Script) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = script[self.path]
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound but does not listen, so nobody else answers there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_nobody_there_is_ex_unavailable_and_says_what_to_look_at(
    closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    assert main(["show", "status", "--url", url]) == Exit.UNAVAILABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (f"arm: {url} gives no answer: connection refused; is the daemon running (systemctl status arm)?\n")


@pytest.mark.parametrize("url", ["http://", "127.0.0.1:99999", "http://[::1", "nonsense://x", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_no_traceback(url: str) -> None:
    with pytest.raises(Unreachable):
        Client(url).get("/healthz")


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[1]", b"\xff", b"3"])
def test_something_else_on_the_port_is_recognised(serve: Serve, body: bytes) -> None:
    client = Client(serve({"/x": (200, body)}))
    with pytest.raises(Unreachable, match="is not arm"):
        client.get("/x")


def test_a_silent_server_is_given_up(closed_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unreachable, match="timed out"):
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2).get("/x")


def test_a_bad_question_is_refused_in_the_daemons_words(serve: Serve) -> None:
    client = Client(serve({"/x?n=1": (400, json.dumps({"status": 400, "error": "n is odd"}).encode())}))
    with pytest.raises(Refused, match=r"^n is odd$") as raised:
        client.get("/x", n=1)
    assert raised.value.code == 400


def test_a_daemon_that_starts_is_unavailable_with_its_reason(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    answer = (503, json.dumps({"status": 503, "error": "arm is starting"}).encode())
    url = serve({"/arm/status/json": answer, "/healthz": answer})
    for view in ("status", "health"):
        assert main(["show", view, "--url", url]) == Exit.UNAVAILABLE
        assert capsys.readouterr().err == f"arm: {url} gives no answer: arm is starting\n"


def test_a_proxy_of_the_environment_is_not_asked(
    serve: Serve, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    assert Client(serve({"/x": (200, b"{}")})).get("/x") == {}
