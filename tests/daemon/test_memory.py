"""The files that a restart must not lose: one written whole, and the journals that go on from it."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm.daemon import memory
from arm.daemon.memory import FILE, JOURNAL, Journal, Keeper, Memory, load, save
from arm.model import Family, Prefix, Remembered, family_of, mask, parse_prefix

ROWS = {
    Family.IPV4: [(parse_prefix("192.0.2.0/24"), 1234.5, 6.25, True), (parse_prefix("10.0.0.0/8"), 1.0, 1.0, False)],
    Family.IPV6: [(parse_prefix("2001:db8::/32"), 99.0, 3.0, True)],
}


def test_what_is_saved_is_loaded_in_its_order(tmp_path: Path) -> None:
    save(tmp_path, ROWS, 1_700_000_000_000)
    assert list(load(tmp_path)) == [*ROWS[Family.IPV4], *ROWS[Family.IPV6]]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


PREFIXES = st.one_of(
    st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 32)),
    st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 128)),
).map(lambda prefix: (mask(*prefix), prefix[1]))
OF_EACH_PREFIX = st.tuples(PREFIXES, st.integers(0, 10**12).map(float), st.integers(0, 10**6).map(float), st.booleans())


def by_family(rows: Iterable[Remembered]) -> Memory:
    """As the engine tells it."""
    found: dict[Family, list[Remembered]] = {family: [] for family in Family}
    for row in rows:
        found[family_of(row[0])].append(row)
    return found


@given(st.lists(OF_EACH_PREFIX, unique_by=lambda row: row[0]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_choice_survives_the_file(tmp_path: Path, rows: list[Remembered]) -> None:
    memory = by_family(rows)
    save(tmp_path, memory, 0)
    assert list(load(tmp_path)) == [*memory[Family.IPV4], *memory[Family.IPV6]]


STEPS = st.lists(
    st.one_of(
        st.lists(OF_EACH_PREFIX, max_size=4).map(lambda rows: ("note", rows)),
        st.just(("save", [])),
        st.just(("killed while it saves", [])),
        st.just(("killed", [])),
    ),
    max_size=12,
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_killed_at_any_moment_it_has_lost_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[Remembered]]]
) -> None:
    directory = tmp_path_factory.mktemp("state")
    journal = Journal(directory)
    known: dict[Prefix, Remembered] = {}
    for step, rows in steps:
        if step == "note":
            journal.note(rows)
            known |= {row[0]: row for row in rows}
        elif step == "killed":
            journal.close()
            journal = Journal(directory)
        else:
            number = journal.turn()
            if step == "save":
                save(directory, by_family(known.values()), 0, number)
                journal.forget(number)
        found = list(load(directory))
        assert {row[0]: row for row in found} == known
        assert len(found) == len(known)
    journal.close()
    assert not (set(directory.glob("choice.*")) - set(directory.glob("choice.*.journal")) - {directory / FILE})


def test_what_is_saved_makes_the_journals_before_it_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(3):
        journal.note(ROWS[Family.IPV4])
        number = journal.turn()
    assert len(list(tmp_path.iterdir())) == 4
    save(tmp_path, ROWS, 0, number)
    journal.forget(number)
    assert {path.name for path in tmp_path.iterdir()} == {FILE, JOURNAL.format(number)}
    journal.close()


def test_nothing_to_note_makes_no_files(tmp_path: Path) -> None:
    for _ in range(5):
        journal = Journal(tmp_path)
        assert journal.turn() == journal.turn() == 1
        journal.close()
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL.format(1)]


@pytest.mark.parametrize(
    ("more", "warns"),
    [
        (b'["10.9.0.0/16",1,1', False),  # cut off
        (b'["10.9.0.0/16",1,1,1]', False),
        (b"\0\0\0\0\n", True),
        (b'["10.9.0.0/33",1,1,1]\n', True),
        (b'["10.9.0.0/16",1,1]\n', True),
        (b'{"10.9.0.0/16": 1}\n', True),
        (b'["10.9.0.0/16",-1,1,1]\n', True),
        (b'["10.9.0.0/16",1,Infinity,1]\n', True),
        (b"[5,1,1,1]\n", True),
        (b'["10.9.0.0/16",true,1,1]\n', True),
        (b"true\n", True),
        (b"[" * 100_000 + b"\n", True),
    ],
)
def test_of_a_journal_counts_what_makes_sense(
    tmp_path: Path, more: bytes, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path)
    journal.note(ROWS[Family.IPV4])
    journal.close()
    with open(next(tmp_path.iterdir()), "ab") as file:
        file.write(more)
        file.write(b'["10.8.0.0/16",1,1,1]\n' if warns else b"")
    behind = [(parse_prefix("10.8.0.0/16"), 1.0, 1.0, True)] if warns else []
    assert list(load(tmp_path)) == [*ROWS[Family.IPV4], *behind]
    assert caplog.text.count("journal of the last run damaged") == warns


def test_journals_that_do_not_go_on_from_the_file_are_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(ROWS[Family.IPV6])
    journal.close()
    # a version that kept none has been at work since
    document = {"version": 1, "families": {"IPv4": [["10.0.0.0/8", 1, 1, 0]]}}
    (tmp_path / FILE).write_text(json.dumps(document))
    assert list(load(tmp_path)) == [(parse_prefix("10.0.0.0/8"), 1.0, 1.0, False)]


def test_a_journal_that_can_not_be_written_is_logged_once_and_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = [7]

    def write(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space")
        written = real(file, data[: min(room[0], 7)])
        room[0] -= written
        return written

    real = os.write
    journal = Journal(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        journal.note(ROWS[Family.IPV6])
        journal.note(ROWS[Family.IPV6])
        room[0] = 1_000
        journal.note(ROWS[Family.IPV4])
    journal.close()
    assert caplog.text.count("choice not noted") == 1
    # half a line stands before it
    assert list(load(tmp_path)) == ROWS[Family.IPV4]


def test_journals_do_not_grow_without_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "_MOST_JOURNAL", 1_000)
    journal = Journal(tmp_path)
    for _ in range(100):
        journal.note(ROWS[Family.IPV4])
        number = journal.turn()
    journal.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1_000
    assert caplog.text.count("choice not noted") == 1
    # the next run counts what it finds, until all of it is saved
    caplog.clear()
    journal = Journal(tmp_path)
    journal.note(ROWS[Family.IPV4])
    assert "choice not noted" in caplog.text
    number = journal.turn()
    save(tmp_path, ROWS, 0, number)
    journal.forget(number)
    journal.note([(parse_prefix("10.9.0.0/16"), 1.0, 1.0, True)])
    journal.close()
    assert parse_prefix("10.9.0.0/16") in {row[0] for row in load(tmp_path)}


def test_without_a_file_nothing_is_remembered(tmp_path: Path) -> None:
    assert list(load(tmp_path)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "families": {}}',
        b'{"version": 1}',
        b'{"version": 1, "families": []}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"version": 1, "families": {"IPv4": [["10.0.0.0/8", ' + b"9" * 5000 + b", 1, 1]]}}",
    ],
)
def test_a_damaged_file_is_put_aside_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert list(load(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["choice.json.damaged-1"]
    assert (tmp_path / "choice.json.damaged-1").read_bytes() == content
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    "rows",
    [
        b'[["10.0.0.0/33", 1, 1, 1]]',
        b'[["2001:db8::/32", 1, 1, 1]]',
        b'[["10.0.0.0/8", "many", 1, 1]]',
        b'[["10.0.0.0/8", NaN, 1, 1]]',
        b'[["10.0.0.0/8", true, 1, 1]]',
        b'[["10.0.0.0/8", 1e400, 1, 1]]',
        b'[["10.0.0.0/8", 1, 1, [1]]]',
        b'[["10.0.0.0/8", 1]]',
        b"[[5, 1, 1, 1]]",
        b"7",
    ],
)
def test_what_can_still_be_read_of_a_damaged_file_is_used(
    tmp_path: Path, rows: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good = b'[["2001:db8::/32", 1, 1, 1]]'
    content = b'{"version": 1, "journal": 1, "families": {"IPv4": ' + rows + b', "IPv6": ' + good + b"}}"
    (tmp_path / FILE).write_bytes(content)
    journal = Journal(tmp_path)
    journal.note([(parse_prefix("10.9.0.0/16"), 1.0, 1.0, True)])
    journal.close()
    for _ in range(3):  # a daemon that is killed before it saves
        assert {row[0] for row in load(tmp_path)} == {parse_prefix("2001:db8::/32"), parse_prefix("10.9.0.0/16")}
    assert "wrong=1" in caplog.text
    assert {path.name for path in tmp_path.glob("choice.json*")} == {FILE, "choice.json.damaged-1"}
    save(tmp_path, ROWS, 0)
    assert (tmp_path / "choice.json.damaged-1").read_bytes() == content


def test_of_a_file_that_says_nothing_the_journals_still_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(ROWS[Family.IPV6])
    journal.close()
    (tmp_path / FILE).write_bytes(b"{")
    assert list(load(tmp_path)) == ROWS[Family.IPV6]


def test_of_files_that_are_damaged_again_and_again_the_latest_are_kept(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / FILE).write_text(f"[{number}]")
        list(load(tmp_path))
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == [f"choice.json.damaged-{number}" for number in (1, 2, 3)]
    assert [path.read_text() for path in kept] == ["[9]", "[8]", "[7]"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.0.0.0/8", "10.0.0.0", "2001:db8::/32", "\ud800", "\0", 10**30, -1, 1e300]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def with_value(document: object, place: tuple[str | int, ...], value: object) -> object:
    """The document with another value at one place."""
    if not place:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)  # type: ignore[call-overload]
    copy[place[0]] = with_value(copy[place[0]], place[1:], value)
    return copy


DOCUMENT = {
    "version": 1,
    "saved_ms": 5,
    "journal": 1,
    "families": {"IPv4": [["10.0.0.0/8", 1, 1, 1], ["192.0.2.0/24", 1, 1, 0]], "IPv6": [["2001:db8::/32", 1, 1, 1]]},
}
LINES = [["10.9.0.0/16", 1, 1, 1], ["2001:db8:9::/48", 1, 1, 0]]


def is_right(rows: Iterable[Remembered]) -> bool:
    """Whether an engine can take the rows."""
    return all(
        len(prefix[0]) in (4, 16) and mask(*prefix) == prefix[0] and 0 <= rate < 1e18 and 0 <= samples < 1e18
        and type(chosen) is bool
        for prefix, rate, samples, chosen in rows
    )  # fmt: skip


@given(st.sampled_from(places(DOCUMENT)), JSON, st.sampled_from(places(LINES)), JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_json_at_any_place_of_the_file_and_the_journal_is_put_aside_or_used(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str | int, ...], value: object,
    line: tuple[str | int, ...], other: object,
) -> None:  # fmt: skip
    directory = tmp_path_factory.mktemp("state")
    (directory / FILE).write_text(json.dumps(with_value(DOCUMENT, place, value)))
    lines = with_value(LINES, line, other)
    journal = "".join(json.dumps(each) + "\n" for each in (lines if isinstance(lines, list) else [lines]))
    (directory / JOURNAL.format(1)).write_text(journal)
    found = list(load(directory))
    assert is_right(found)
    if place[:1] == ("families",) and len(place) > 2:
        # one line is touched, the others stand
        family, index = place[1], place[2]
        untouched = [row for name, rows in DOCUMENT["families"].items() for at, row in enumerate(rows)
                     if (name, at) != (family, index)]  # type: ignore[attr-defined]  # fmt: skip
        assert {parse_prefix(row[0]) for row in untouched} <= {row[0] for row in found}
    wrong = json.loads((directory / FILE).read_text()) if (directory / FILE).exists() else None
    assert wrong is not None or (directory / "choice.json.damaged-1").exists()
    assert (directory / JOURNAL.format(1)).read_text() == journal
    assert len(list(directory.iterdir())) <= 4
    keeper = Keeper(directory, lambda turn: (turn(), ROWS), lambda: 0)
    keeper.start()
    keeper.stop(ROWS)
    assert {row[0] for row in load(directory)} == {row[0] for rows in ROWS.values() for row in rows}


def test_a_damaged_journal_can_be_looked_at_when_the_next_save_has_deleted_it(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL.format(4)
    path.write_text('[5,1,1,1]\n["10.9.0.0/16",1,1,1]\n')
    assert [row[0] for row in load(tmp_path)] == [parse_prefix("10.9.0.0/16")]
    keeper = Keeper(tmp_path, lambda turn: (turn(), ROWS), lambda: 0)
    keeper.start()
    keeper.stop(ROWS)
    assert not path.exists()
    assert (tmp_path / "choice.journal.damaged-1").read_text().startswith("[5,1,1,1]")


def test_a_save_that_fails_leaves_the_old_file_and_its_journal_and_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, ROWS, 0)
    before = (tmp_path / FILE).read_bytes()
    keeper = Keeper(tmp_path, lambda turn: (turn(), ROWS), lambda: 0)
    keeper.note([(parse_prefix("10.9.0.0/16"), 1.0, 1.0, True)])

    def replace(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        keeper.save(2, ROWS)
        keeper.save(3, ROWS)
    assert caplog.text.count("choice not saved") == 1
    assert (tmp_path / FILE).read_bytes() == before
    assert len(list(load(tmp_path))) == 4


def test_an_engine_that_knows_nothing_yet_does_not_overwrite_what_is_known(tmp_path: Path) -> None:
    save(tmp_path, ROWS, 0)
    Keeper(tmp_path, lambda turn: (turn(), {}), lambda: 0).save(1, {Family.IPV4: [], Family.IPV6: []})
    assert len(list(load(tmp_path))) == 3


def test_the_keeper_saves_at_its_interval_and_rides_out_a_busy_engine(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)
    calls = 0

    def recall(turn: Callable[[], int]) -> tuple[int, Memory]:
        nonlocal calls
        calls += 1
        number = turn()
        asked.release()
        if calls == 1:
            raise TimeoutError("busy")
        return number, ROWS

    keeper = Keeper(tmp_path, recall, lambda: 5, interval=0.01)
    keeper.start()
    for _ in range(3):
        assert asked.acquire(timeout=10)
    keeper.note([(parse_prefix("10.9.0.0/16"), 1.0, 1.0, True)])
    keeper.stop(ROWS)
    assert json.loads((tmp_path / FILE).read_text())["saved_ms"] == 5
    # the last save has it all
    assert [path.stat().st_size for path in tmp_path.glob("*.journal")] == [0]
    assert len(list(load(tmp_path))) == 3
