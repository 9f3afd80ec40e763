"""Answers that many ask for are made once between two publications, and are the same octets for all."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from flask import Flask
from flask.testing import FlaskClient
from polling import until

from arm.observe.board import Board, Busy
from arm.web import answers as module
from arm.web.answers import KEPT_SECONDS, Answers
from arm.web.arguments import ArgumentError
from arm.web.guard import protect


def busy() -> Exception:
    return Busy("the engine is busy")


@dataclass
class Counting:
    """A view that counts how often it was made, on a clock that a test sets."""

    made: int = 0
    now: float = 0.0
    failing: Callable[[], Exception] | None = None
    wait: threading.Event = field(default_factory=threading.Event)
    board: Board = field(default_factory=lambda: Board(FakeEngine().ask))

    def __post_init__(self) -> None:
        self.board.publish(status())
        self.app = Flask("test")
        protect(self.app, ())
        self.answers = Answers(self.board, clock=lambda: self.now)
        self.wait.set()

        @self.app.get("/<name>")
        @self.answers.kept
        def view(name: str) -> object:
            self.made += 1
            assert self.wait.wait(10)
            if self.failing is not None:
                raise self.failing()
            if name == "bad":
                raise ArgumentError("bad is not good")
            return {"name": name, "made": self.made, "long": "x" * 3000}


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def client(counting: Counting) -> FlaskClient:
    return counting.app.test_client()


def test_an_answer_is_made_once_until_something_is_published(counting: Counting, client: FlaskClient) -> None:
    first = client.get("/one")
    assert client.get("/one").data == first.data
    assert counting.made == 1
    counting.board.publish(status(NOW_MS + 1000))
    assert client.get("/one").json["made"] == 2


def test_an_answer_is_not_kept_for_longer_than_a_tick_if_nothing_is_published(
    counting: Counting, client: FlaskClient
) -> None:
    client.get("/one")
    counting.now = KEPT_SECONDS
    client.get("/one")
    assert counting.made == 1
    counting.now = KEPT_SECONDS + 0.01
    client.get("/one")
    assert counting.made == 2


def test_another_path_or_query_is_another_answer(counting: Counting, client: FlaskClient) -> None:
    paths = ["/one", "/two", "/one?a=1", "/one?a=2"]
    assert [client.get(path).json["made"] for path in paths] == [1, 2, 3, 4]
    assert [client.get(path).json["made"] for path in paths] == [1, 2, 3, 4]


def test_an_error_is_not_kept(counting: Counting, client: FlaskClient) -> None:
    for number in (1, 2):
        answer = client.get("/bad")
        assert (answer.status_code, counting.made) == (400, number)


def test_a_kept_answer_is_compressed_only_for_those_who_read_that(client: FlaskClient) -> None:
    packed = client.get("/one", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/one", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert json.loads(gzip.decompress(packed.data)) == plain.json
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


def test_who_has_a_kept_answer_already_is_told_so(counting: Counting, client: FlaskClient) -> None:
    tag = client.get("/one").headers["ETag"]
    again = client.get("/one", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    counting.board.publish(status(NOW_MS + 1000))
    assert client.get("/one", headers={"If-None-Match": tag}).status_code == 200


def test_those_who_ask_at_the_same_moment_get_one_answer(counting: Counting) -> None:
    counting.wait.clear()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(counting.app.test_client().get("/one").json["made"]))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    until(lambda: counting.made == 1)
    counting.wait.set()
    for thread in threads:
        thread.join()
    assert found == [1] * 5


def test_what_is_kept_is_bounded(counting: Counting, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 20_000)
    for number in range(50):
        client.get(f"/{number}")
    kept = [path for path in range(50) if client.get(f"/{path}").json["made"] <= 50]
    assert kept == []
    assert counting.made == 100
    assert client.get("/49").json["made"] == 100
    monkeypatch.setattr(module, "MOST_ANSWERS", 2)
    for path in ("/49", "/a", "/b", "/49"):
        client.get(path)
    assert counting.made == 103


def test_what_is_refused_leaves_nothing_behind(counting: Counting, client: FlaskClient) -> None:
    good = client.get("/one").data
    for number in range(3000):
        assert client.get(f"/bad?{'y' * 1000}{number}=1").status_code == 400
    assert len(counting.answers) == 1
    counting.failing = busy
    for number in range(500):
        assert client.get(f"/busy?{number}").status_code == 503
    counting.failing = RuntimeError
    counting.app.config["PROPAGATE_EXCEPTIONS"] = False
    for number in range(500):
        assert client.get(f"/bug?{number}").status_code == 500
    assert len(counting.answers) == 1
    counting.failing = None
    assert client.get("/one").data == good, "and what was kept is kept still"


def test_a_failing_view_leaves_what_was_kept_within_its_bounds(
    counting: Counting, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ANSWERS", 10)
    for number in range(200):
        counting.failing = busy if number % 3 else None
        client.get(f"/{number}")
        assert len(counting.answers) <= 10


def test_those_who_waited_for_an_answer_get_the_error_it_ended_in(counting: Counting) -> None:
    counting.wait.clear()
    counting.failing = busy
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(counting.app.test_client().get("/one").status_code))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    until(lambda: counting.made == 1 and counting.answers.askers("/one?") == 5)
    counting.wait.set()
    for thread in threads:
        thread.join()
    assert codes == [503] * 5
    assert counting.made == 1, "each for itself would have waited one after the other"
    assert len(counting.answers) == 0
    counting.failing = None
    assert counting.app.test_client().get("/one").json["made"] == 2, "who comes later has it tried again"


def test_askers_of_many_answers_good_and_bad_at_once_each_get_their_own(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ANSWERS", 3)
    wrong: list[str] = []

    def ask(first: int) -> None:
        client = counting.app.test_client()
        for number in range(150):
            name = ("bad", "a", "b", "c", "d", "e", "f")[(first + number) % 7]
            answer = client.get(f"/{name}?{number % 2}")
            if (answer.status_code != 400) if name == "bad" else (answer.json["name"] != name):
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(counting.answers) <= 3 + len(threads)
