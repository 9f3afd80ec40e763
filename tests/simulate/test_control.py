"""Commands reach a running part, and a refused one says why."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from arm.simulate.control import CommandError, ControlServer, ask


def handle(words: Sequence[str]) -> Any:
    match list(words):
        case ["echo", *rest]:
            return {"said": rest}
        case ["refuse"]:
            raise ValueError("not that")
        case ["break"]:
            raise KeyError("inside")
    raise ValueError("no such command")


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a socket's path must be short
        server = ControlServer(Path(directory, "s"), handle)
        server.start()
        yield Path(directory, "s")
        server.stop()


def test_words_with_spaces_arrive_as_they_were(path: Path) -> None:
    assert ask(path, "echo", "a b", 7, "c'd") == {"said": ["a b", "7", "c'd"]}


def test_one_caller_after_the_other_is_served(path: Path) -> None:
    assert [ask(path, "echo", n)["said"] for n in range(20)] == [[str(n)] for n in range(20)]


def test_a_refused_command_says_why(path: Path) -> None:
    with pytest.raises(CommandError, match="not that"):
        ask(path, "refuse")


def test_a_fault_in_a_command_leaves_the_server_alive(path: Path) -> None:
    with pytest.raises(CommandError, match="KeyError"):
        ask(path, "break")
    assert ask(path, "echo") == {"said": []}


def test_only_the_owner_may_command(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_goes_with_the_server(path: Path) -> None:
    server = ControlServer(path, handle)  # takes over what a dead server left
    server.start()
    server.stop()
    assert not path.exists()
