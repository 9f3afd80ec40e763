"""Who may ask: the token, the Unix socket, pages from elsewhere; and answers that have not changed."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from flask.testing import FlaskClient

from arm.config import Config, HttpConfig
from arm.observe.board import Board
from arm.web.app import create_app
from arm.web.server import Server

TOKEN = "0123456789abcdef"


def board() -> Board:
    made = Board(FakeEngine().ask)
    made.publish(status())
    return made


def client(config: HttpConfig) -> FlaskClient:
    app = create_app(board(), Config(http=config), now_ms=lambda: NOW_MS)

    @app.post("/change")
    def change() -> str:
        return "changed"

    return app.test_client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_reads_need_no_token_unless_they_are_protected() -> None:
    open_ = client(HttpConfig(token=TOKEN))
    assert open_.get("/arm/status/json").status_code == 200
    closed = client(HttpConfig(token=TOKEN, protect_reads=True))
    answer = closed.get("/arm/status/json")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "token" in answer.json["error"]
    assert closed.get("/arm/status/json", headers=bearer(TOKEN)).status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_a_wrong_token_is_none(given: str) -> None:
    closed = client(HttpConfig(token=TOKEN, protect_reads=True))
    for path in ("/arm/status/json", "/metrics", "/arm/config/json", "/nothing"):
        assert closed.get(path, headers={"Authorization": given}).status_code == 401


def test_the_empty_page_and_the_questions_of_health_stay_open() -> None:
    closed = client(HttpConfig(token=TOKEN, protect_reads=True))
    for path in ("/", "/static/app.js", "/healthz", "/readyz", "/version", "/openapi.json"):
        assert closed.get(path).status_code == 200, path


def test_writes_need_the_token_when_one_is_set() -> None:
    assert client(HttpConfig()).post("/change").status_code == 200
    guarded = client(HttpConfig(token=TOKEN))
    assert guarded.post("/change").status_code == 401
    assert guarded.post("/change", headers=bearer(TOKEN)).status_code == 200


def test_without_a_token_only_the_machine_itself_can_write() -> None:
    free = client(HttpConfig(listen="0.0.0.0:8008"))
    for here in ("127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"):
        assert free.post("/change", environ_base={"REMOTE_ADDR": here}).status_code == 200, here
    for elsewhere in ("192.0.2.1", "172.17.0.1", "2001:db8::1", "::ffff:192.0.2.1", ""):
        answer = free.post("/change", environ_base={"REMOTE_ADDR": elsewhere})
        assert answer.status_code == 403, elsewhere
        assert "token" in answer.json["error"]
        assert free.get("/arm/status/json", environ_base={"REMOTE_ADDR": elsewhere}).status_code == 200
    guarded = client(HttpConfig(token=TOKEN))
    assert guarded.post("/change", headers=bearer(TOKEN), environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_from_elsewhere_can_not_write(headers: dict[str, str]) -> None:
    free = client(HttpConfig())
    assert free.post("/change", headers=headers).status_code == 403
    assert free.post("/change", headers={"Origin": "http://localhost"}).status_code == 200


def test_an_answer_that_has_not_changed_is_not_sent_again() -> None:
    free = client(HttpConfig())
    first = free.get("/arm/prefixes/json")
    tag = first.headers["ETag"]
    again = free.get("/arm/prefixes/json", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert free.get("/arm/prefixes/json?maxPrefixes=1", headers={"If-None-Match": tag}).status_code == 200


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "http.sock"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(place))
    tcp = socket.create_server(("127.0.0.1", 0))
    config = Config(http=HttpConfig(token=TOKEN, protect_reads=True))
    server = Server(create_app(board(), config, now_ms=lambda: NOW_MS), [tcp, sock])
    server.start()
    place.with_suffix(".port").write_text(str(tcp.getsockname()[1]))
    yield place
    server.stop()


def test_who_comes_over_the_unix_socket_needs_no_token(path: Path) -> None:
    over = http.client.HTTPConnection("localhost")
    over.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    over.sock.connect(str(path))
    over.request("GET", "/arm/status/json")
    assert over.getresponse().status == 200
    over.close()
    over = http.client.HTTPConnection("127.0.0.1", int(path.with_suffix(".port").read_text()))
    over.request("GET", "/arm/status/json", headers={"X-Forwarded-For": "localhost"})
    assert over.getresponse().status == 401
    over.close()
