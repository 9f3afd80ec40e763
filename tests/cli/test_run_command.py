"""`arm run` turns what ends the daemon into an exit code and one clear line."""

import errno
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from arm.cli import Exit, main
from arm.config import Config


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "arm.toml"
    path.write_text("[reflector]\nas = 65136\n[target]\nmetric = 5\n")
    return str(path)


def _daemon(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException) -> list[Config]:
    """Puts a daemon in place that ends at once, with a code or with an exception; gives what it was started with."""
    started: list[Config] = []

    def run(config: Config, *, source: str, vrf: str | None) -> int:
        started.append(config)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr("arm.daemon.run", run)
    return started


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (0, Exit.OK),
        (70, Exit.SOFTWARE),
        (PermissionError(errno.EPERM, "not permitted"), Exit.NOPERM),
        (OSError(errno.EADDRINUSE, "address already in use"), Exit.OSERR),
        (RuntimeError("lost my way"), Exit.SOFTWARE),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_end_of_the_daemon_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, file: str, outcome: int | BaseException, code: int
) -> None:
    started = _daemon(monkeypatch, outcome)
    assert main(["run", "-c", file]) == code
    assert [config.reflector.as_ for config in started] == [65136]


def test_a_port_in_use_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _daemon(monkeypatch, OSError(errno.EADDRINUSE, "address already in use", "127.0.0.1:8008"))
    main(["run", "-c", file])
    *_, last = capsys.readouterr().err.splitlines()
    assert last.endswith("ERROR arm.cli: stopped error=\"[Errno 98] address already in use: '127.0.0.1:8008'\"")


def test_advice_is_logged_at_the_start(
    monkeypatch: pytest.MonkeyPatch, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _daemon(monkeypatch, 0)
    main(["run", "-c", file])
    (line,) = capsys.readouterr().err.splitlines()
    assert "WARNING arm.cli: configuration file=" in line
    assert "target.metric: has no effect" in line
