"""The HTTP server on sockets that others opened."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest
from fake_arm import FakeEngine, status

from arm.config import Config
from arm.observe.board import Board
from arm.web.app import create_app
from arm.web.server import Server


def listening(family: socket.AddressFamily, address: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((address, 0))
    return sock


def get(sock: socket.socket, path: str) -> tuple[int, bytes]:
    host, port = sock.getsockname()[:2]
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def board() -> Board:
    board = Board(FakeEngine().ask)
    board.publish(status())
    return board


def test_it_answers_on_every_socket_and_stops(board: Board) -> None:
    four, six = listening(socket.AF_INET, "127.0.0.1"), listening(socket.AF_INET6, "::1")
    four_name = four.getsockname()
    server = Server(create_app(board, Config()), [four, six])
    server.start()
    try:
        assert get(four, "/version")[0] == 200
        assert json.loads(get(six, "/arm/status/json")[1])["version"] == "1.2.3"
    finally:
        server.stop()
    assert server.failed is None
    with pytest.raises(ConnectionRefusedError), socket.create_connection(four_name, timeout=5):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "http"]


def test_stop_before_start_closes_the_sockets(board: Board) -> None:
    sock = listening(socket.AF_INET, "127.0.0.1")
    Server(create_app(board, Config()), [sock]).stop()
    assert sock.fileno() == -1


def test_a_request_that_never_ends_does_not_hold_up_others(board: Board) -> None:
    sock = listening(socket.AF_INET, "127.0.0.1")
    server = Server(create_app(board, Config()), [sock])
    server.start()
    slow = [socket.create_connection(sock.getsockname(), timeout=5) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(b"GET /version HTTP/1.1\r\nHost: ")
        assert get(sock, "/version")[0] == 200
    finally:
        for connection in slow:
            connection.close()
        server.stop()


def test_oversized_requests_are_refused(board: Board) -> None:
    sock = listening(socket.AF_INET, "127.0.0.1")
    server = Server(create_app(board, Config()), [sock])
    server.start()
    try:
        host, port = sock.getsockname()
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.request("GET", "/version", headers={"X-Long": "x" * 20_000})
        assert connection.getresponse().status in (400, 431)
        connection.close()
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.putrequest("POST", "/version")
        connection.putheader("Content-Length", str(10**9))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
    finally:
        server.stop()
