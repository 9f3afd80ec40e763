"""Log lines are one line each, and an error that repeats does not fill the disk."""

import io
import logging
import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.observe.logs import Format, RateLimiter, quote, setup, under_journal


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _line(level: int, message: str, *, journal: bool) -> str:
    return Format(journal=journal).format(logging.LogRecord("arm.x", level, "f", 1, message, (), None))


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        (logging.DEBUG, "<7>"),
        (logging.INFO, "<6>"),
        (logging.WARNING, "<4>"),
        (logging.ERROR, "<3>"),
        (logging.CRITICAL, "<2>"),
    ],
)
def test_the_journal_gets_the_priority_of_each_line(level: int, prefix: str) -> None:
    assert _line(level, "up peer=1", journal=True) == f"{prefix}arm.x: up peer=1"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("arm.x", logging.ERROR, "f", 1, "crashed", (), info)
    lines = Format(journal=True).format(record).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


@given(st.text())
def test_what_a_peer_says_can_not_begin_a_line_of_its_own(text: str) -> None:
    assert len(_line(logging.INFO, f"closed reason={quote(text)}", journal=True).splitlines()) == 1
    assert len(_line(logging.INFO, text, journal=False).splitlines()) == 1


def test_a_value_is_quoted_when_it_would_be_split() -> None:
    assert quote("10.0.0.1") == "10.0.0.1"
    assert quote("no route") == '"no route"'
    assert quote('say "a=b"') == '"say \\"a=b\\""'
    assert quote("") == '""'


def test_the_level_holds_and_libraries_are_heard_from_warning_on() -> None:
    out = io.StringIO()
    setup("debug", stream=out, environment={})
    logging.getLogger("arm.x").debug("seen a=1")
    logging.getLogger("waitress").info("unseen")
    setup("error", stream=out, environment={})
    logging.getLogger("arm.x").warning("unseen")
    assert "DEBUG arm.x: seen a=1" in out.getvalue()
    assert "unseen" not in out.getvalue()


def test_only_the_stream_that_the_journal_reads_gets_priorities() -> None:
    with tempfile.TemporaryFile("w") as file:
        status = os.fstat(file.fileno())
        assert under_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, file)
        assert not under_journal({"JOURNAL_STREAM": "1:1"}, file)
        assert not under_journal({}, file)
    assert not under_journal({"JOURNAL_STREAM": "1:1"}, io.StringIO())


def test_a_burst_is_logged_and_the_rest_counted() -> None:
    limiter = RateLimiter(burst=2, interval=10)
    assert [limiter.allow("bad", float(second)) for second in range(10)] == [(True, 0)] * 2 + [(False, 0)] * 8
    assert limiter.allow("bad", 10.0) == (True, 8)
    assert limiter.allow("bad", 20.0) == (True, 0)


def test_kinds_do_not_share_an_allowance() -> None:
    limiter = RateLimiter(burst=1, interval=10)
    assert limiter.allow("a", 0.0) == (True, 0)
    assert limiter.allow("b", 0.0) == (True, 0)
    assert limiter.allow("a", 1.0) == (False, 0)


def test_invented_kinds_neither_fill_the_memory_nor_the_log() -> None:
    limiter = RateLimiter(burst=1, interval=10, kinds=8)
    passed = sum(limiter.allow(f"kind {number}", 0.0)[0] for number in range(1000))
    assert passed == 9
    assert len(limiter._windows) == 9
    assert limiter.allow("later", 10.0) == (True, 0)
    assert len(limiter._windows) == 1
