"""`arm show sessions|changes|diff|capacity`, watching, colours, the token and the Unix socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import polling
import pytest
from fake_arm import NOW_MS, FakeEngine, session, status

from arm.cli import Exit, colour, main
from arm.cli.client import Client, Refused
from arm.config import Config, HttpConfig
from arm.model import ChangeRecord, Holding, Reason, SessionState, What, parse_prefix
from arm.observe.board import Board
from arm.web import readback
from arm.web.app import create_app
from arm.web.server import Server

TOKEN = "0123456789abcdef"


class Arm:
    """A daemon's web half with a fake engine."""

    def __init__(self, http: HttpConfig, extra: list[socket.socket]) -> None:
        self.engine = FakeEngine()
        self.board = Board(self.engine.ask)
        self.board.publish(status())
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self.server = Server(create_app(self.board, Config(http=http), now_ms=lambda: NOW_MS), [sock, *extra])
        self.server.start()


@pytest.fixture
def arm() -> Iterator[Arm]:
    made = Arm(HttpConfig(), [])
    yield made
    made.server.stop()


def show(capsys: pytest.CaptureFixture[str], arm: Arm, *arguments: str) -> tuple[int, str]:
    code = main(["show", *arguments, "--url", arm.url])
    out, err = capsys.readouterr()
    return code, out or err


def test_sessions_are_shown_in_full_and_a_lost_one_is_a_problem(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    code, text = show(capsys, arm, "sessions")
    assert code == Exit.OK
    assert [line.split()[:4] for line in text.splitlines()[1:]] == [
        ["reflector", "127.0.0.1", "65136", "established"],
        ["reflector6", "::1", "65136", "established"],
        ["target", "10.0.0.136", "65136", "established"],
    ]
    arm.board.publish(
        status(NOW_MS + 1000, sessions=(session(state=SessionState.ACTIVE, reason="hold timer expired"),))
    )
    code, text = show(capsys, arm, "sessions")
    assert code == Exit.PROBLEM
    assert "hold timer expired" in text


def test_changes_are_the_latest_with_the_newest_last(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    assert show(capsys, arm, "changes") == (Exit.OK, "nothing has changed yet\n")
    for number in range(1, 6):
        what = What.REMOVED if number == 5 else What.INSTALLED
        arm.engine.log.append(ChangeRecord(number, NOW_MS, parse_prefix(f"10.{number}.0.0/16"), what, Reason.IDLE))
    # what was asked before is given to others for half a second
    deadline = time.monotonic() + 10
    while len(show(capsys, arm, "changes")[1].splitlines()) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    _, text = show(capsys, arm, "changes", "-n", "2")
    assert [line.split()[3:] for line in text.splitlines()[1:]] == [
        ["installed", "10.4.0.0/16", "idle"],
        ["removed", "10.5.0.0/16", "idle"],
    ]


def test_diff_says_what_is_busy_outside_and_idle_inside(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    code, text = show(capsys, arm, "diff")
    assert code == Exit.OK
    assert "outside of hardware: 1 prefixes with traffic that need a slot, 1.6 kbit/s" in text
    assert "10.1.2.0/24" in text
    inside = text[text.index("idlest inside") :].splitlines()[1:3]
    assert [line.split()[0] for line in inside] == ["192.0.2.0/24", "10.1.0.0/16"]


def test_diff_compares_wanted_with_held_and_with_the_full_table(
    capsys: pytest.CaptureFixture[str], arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readback, "KEPT_SECONDS", 0.0)
    assert "the target does not tell what it holds" in show(capsys, arm, "diff")[1]
    routes = {prefix: entry.next_hop for prefix, entry in arm.engine.entries.items()}
    arm.board.holding = lambda: Holding("read from the kernel", routes)
    agrees = "the target holds 3 routes (read from the kernel)\nall of them as wanted and as in the full table"
    polling.until(lambda: agrees in show(capsys, arm, "diff")[1])  # an answer is given to others for half a second
    del routes[parse_prefix("192.0.2.0/24")]
    lines = polling.until(lambda: "1 differences:" in (text := show(capsys, arm, "diff")[1]) and text.splitlines())
    assert lines[-1].split()[:2] == ["192.0.2.0/24", "missing"]


def test_capacity_has_the_estimate_and_what_was_measured(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    code, text = show(capsys, arm, "capacity")
    assert code == Exit.OK
    assert "slots: 3 of 100 in use, coverage measured over a minute: 90.0 %" in text
    assert [line.split() for line in text.splitlines() if line.split()[:1] == ["2"]] == [["2", "86.0", "%"]]
    assert [line.split()[-1] for line in text.splitlines() if line.split()[:1] == ["100"]] == ["now"]
    assert "needs 4 slots; 2.1 % can not be" in text


def test_top_can_be_kept_to_an_as(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    _, text = show(capsys, arm, "top", "--as", "64510")
    assert [line.split()[1] for line in text.splitlines()[1:4]] == ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24"]


@pytest.mark.parametrize("view", ["sessions", "changes", "diff", "capacity"])
def test_every_view_gives_the_answer_as_json(capsys: pytest.CaptureFixture[str], arm: Arm, view: str) -> None:
    assert isinstance(json.loads(show(capsys, arm, view, "--json")[1]), dict)


def test_watching_asks_again_until_it_is_ended(
    capsys: pytest.CaptureFixture[str], arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("arm.cli.show.time.sleep", sleep)
    code, text = show(capsys, arm, "health", "--watch", "0.5")
    assert (code, waited) == (Exit.OK, [0.5, 0.5, 0.5])
    assert text.count("health: ok") == 3
    assert "\x1b" not in text


@pytest.mark.parametrize("given", ["0", "x", "99999"])
def test_a_watch_that_can_not_be_is_refused(arm: Arm, given: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["show", "status", "--watch", given, "--url", arm.url])
    assert end.value.code == Exit.USAGE


def test_colours_are_for_terminals_and_move_nothing(capsys: pytest.CaptureFixture[str], arm: Arm) -> None:
    _, plain = show(capsys, arm, "status")
    assert "\x1b" not in plain
    _, painted = show(capsys, arm, "status", "--color", "always")
    assert "\x1b[32mestablished\x1b[0m" in painted
    stripped = painted
    for code in ("\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[0m"):
        stripped = stripped.replace(code, "")
    assert stripped == plain


def test_colours_follow_the_terminal_and_no_color() -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    assert colour.wanted("auto", screen, {"TERM": "xterm"})  # type: ignore[arg-type]
    assert not colour.wanted("auto", screen, {"NO_COLOR": "1"})  # type: ignore[arg-type]
    assert not colour.wanted("never", screen, {})  # type: ignore[arg-type]


def test_the_token_comes_from_the_environment_and_the_unix_socket_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "http.sock"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    arm = Arm(HttpConfig(token=TOKEN, protect_reads=True), [sock])
    try:
        with pytest.raises(Refused):
            Client(arm.url).get("/arm/status/json")
        assert Client(arm.url, token=TOKEN).get("/arm/status/json")["version"] == "1.2.3"
        assert Client(f"unix:{path}").get("/arm/status/json")["version"] == "1.2.3"
        assert main(["show", "health", "--url", arm.url]) == Exit.OK
        assert main(["show", "top", "--url", arm.url]) == Exit.PROBLEM
        monkeypatch.setenv("ARM_TOKEN", TOKEN)
        assert main(["show", "top", "--url", arm.url]) == Exit.OK
        assert main(["show", "top", "--url", f"unix:{path}x"]) == Exit.UNAVAILABLE
    finally:
        arm.server.stop()
