"""What a restart must not lose: the choice, and the traffic it was made from.

All of it is one JSON file in `[state] directory`, written at intervals, whole under another name and renamed, so that a
crash leaves the old one. What is chosen or given up in between goes to a journal, a line for each, before the target
hears of it: a daemon that is killed comes back to the choice that BIRD has, and not to that of half a minute ago. Each
whole file names the journal that goes on from it; the ones before it are then deleted.

The file carries a version; both are bounded. What is damaged is put aside under a name that says so, with a warning
(arm/aside.py), and what can still be read of it counts: without the rest the daemon starts as on its first day, which
costs seconds of learning, never a wrong route. The journal is not forced to the disk: what survives the process but not
the machine serves a BIRD and a kernel that do not survive it either.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import reprlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from arm.aside import put_aside
from arm.model import Family, Prefix, Remembered, family_of, format_prefix, parse_prefix
from arm.worker import OnFailure, Worker

log = logging.getLogger(__name__)

VERSION: Final = 1
SAVE_SECONDS = 30.0
FILE: Final = "choice.json"
JOURNAL: Final = "choice.{}.journal"
_MOST_BYTES: Final = 256 * 1024 * 1024
_MOST_JOURNAL: Final = 64 * 1024 * 1024
"""Octets of all journals: a million changes, where half a minute at the default `churn` has some thousand."""

Memory: TypeAlias = Mapping[Family, list[Remembered]]
"""For each family its rows, the chosen first, by worth."""


def save(directory: Path, memory: Memory, saved_ms: int, journal: int = 0) -> None:
    """Write the file. `journal` goes on from it. OSError if that is not possible; the old one then still stands."""
    document = {
        "version": VERSION,
        "saved_ms": saved_ms,
        "journal": journal,
        "families": {
            family.label: [_line(row) for row in rows]
            for family, rows in memory.items()
        },
    }  # fmt: skip
    path = directory / FILE
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="ascii") as file:
        json.dump(document, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def load(directory: Path) -> Iterator[Remembered]:
    """What was saved, in its order, and what the journals make of it: all that can be read. Never raises.

    What is damaged is put aside, with a warning, and what else can be read of it is used.
    """
    path = directory / FILE
    saved = _Saved()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
        saved.read(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("choice of the last run unreadable file=%s error=%r", path, str(error))
    except (ValueError, RecursionError) as error:
        log.warning("choice of the last run damaged file=%s error=%r", path, str(error))
        put_aside(path)
    else:
        if saved.wrong:
            what = (path, saved.wrong, str(saved.problem), len(saved.rows))
            log.warning("choice of the last run damaged file=%s wrong=%d first=%r read=%d", *what)
            put_aside(path, stays=True)
    if saved.begin is None:  # of a version that kept no journal: what there is belongs to something older
        return iter(saved.rows)
    later: dict[Prefix, Remembered] = {}
    for number, journal in _journals(directory):
        if number >= saved.begin:
            later.update((row[0], row) for row in _lines(journal))
    return iter([*(row for row in saved.rows if row[0] not in later), *later.values()])


class _Saved:
    """What can be read of a whole file."""

    def __init__(self) -> None:
        self.rows: list[Remembered] = []
        self.begin: int | None = 0
        """The journal that goes on from the file; None if none does."""
        self.wrong = 0
        self.problem: ValueError | None = None
        """What was wrong first."""

    def read(self, document: object) -> None:
        """ValueError if nothing of it can be used."""
        if not isinstance(document, dict) or document.get("version") != VERSION:
            self.begin = None
            raise ValueError(f"it is not of version {VERSION}")
        begin = document.get("journal")
        if begin is None or type(begin) is int:
            self.begin = begin
        else:
            self._note(ValueError(f"the number of its journal is none: {reprlib.repr(begin)}"))
        families = document.get("families")
        if not isinstance(families, dict):
            raise ValueError("it has no families")
        for family in Family:
            lines = families.get(family.label, [])
            if not isinstance(lines, list):
                self._note(ValueError(f"{family.label} is no list"))
                continue
            for line in lines:
                try:
                    row = _row(line)
                    if family_of(row[0]) is not family:
                        raise ValueError(f"a line is impossible: {reprlib.repr(line)}")
                except ValueError as error:
                    self._note(error)
                else:
                    self.rows.append(row)

    def _note(self, problem: ValueError) -> None:
        self.wrong += 1
        self.problem = self.problem or problem


def _row(line: object) -> Remembered:
    """A row of the file or of a journal. ValueError for any other JSON value."""
    if not isinstance(line, list) or len(line) != 4:
        raise ValueError(f"a line is none: {reprlib.repr(line)}")
    text, rate, samples, chosen = line
    if not (isinstance(text, str) and _is_number(rate) and _is_number(samples) and chosen in (0, 1)):
        raise ValueError(f"a line is impossible: {reprlib.repr(line)}")
    return parse_prefix(text), float(rate), float(samples), bool(chosen)


def _is_number(value: object) -> bool:
    """Whether it is a rate or a number of samples."""
    return type(value) in (int, float) and 0 <= value < 1e18  # type: ignore[operator]


def _line(row: Remembered) -> list[object]:
    prefix, rate, samples, chosen = row
    return [format_prefix(prefix), round(rate, 1), round(samples, 3), int(chosen)]


def _journals(directory: Path) -> list[tuple[int, Path]]:
    """The journals that are there and their numbers, in their order."""
    found = [(path.name.split(".")[1], path) for path in directory.glob(JOURNAL.format("*"))]
    return sorted((int(number), path) for number, path in found if number.isdecimal())


def _lines(journal: Path) -> Iterator[Remembered]:
    """The rows of a journal, without lines that make no sense: the end may have been cut off, or the disk full."""
    wrong: Exception | None = None
    try:
        if journal.stat().st_size > _MOST_JOURNAL:
            raise ValueError(f"it is larger than {_MOST_JOURNAL} bytes")
        with open(journal, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    row = _row(json.loads(line)) if line != b"\n" else None
                except (ValueError, RecursionError) as error:
                    wrong, row = wrong or error, None
                if row is not None:
                    yield row
    except OSError as error:
        log.warning("journal of the last run unreadable file=%s error=%r", journal, str(error))
    except ValueError as error:
        wrong = error
    if wrong is not None:
        log.warning("journal of the last run damaged file=%s error=%r", journal, str(wrong))
        put_aside(journal, kind="choice.journal", stays=True)


class Journal:
    """What becomes of the choice between two whole files. `note` and `turn` are called on the engine's thread only."""

    def __init__(self, directory: Path) -> None:
        """Goes on behind the journals that are there. OSError if they cannot be looked at."""
        self._directory = directory
        self._lock = threading.Lock()
        found = _journals(directory)
        self._octets = {number: path.stat().st_size for number, path in found}
        self._number = found[-1][0] if found else 0
        self._file: int | None = None
        self._failing = False
        self.turn()

    def note(self, rows: Sequence[Remembered]) -> None:
        """Write down what has been chosen or given up; what goes wrong is logged once, until it works again."""
        text = "".join([json.dumps(_line(row), separators=(",", ":")) + "\n" for row in rows]).encode("ascii")
        try:
            file = self._open()
            with self._lock:
                if sum(self._octets.values()) + len(text) > _MOST_JOURNAL:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                self._octets[self._number] += len(text)
            if self._failing:  # half a line may stand there
                text = b"\n" + text
            while text:
                text = text[os.write(file, text) :]
            self._failing = False
        except OSError as error:
            self._complain(error)

    def turn(self) -> int:
        """Begin another journal, unless there is nothing in this one; the number of what goes on from now."""
        if self._octets.get(self._number) != 0:
            self.close()
            self._number += 1
            with self._lock:
                self._octets[self._number] = 0
        try:
            # even if nothing comes to be noted: the next run goes on behind the last one that is there
            self._open()
        except OSError as error:
            self._complain(error)
        return self._number

    def forget(self, number: int) -> None:
        """Delete the journals before this one; any thread. OSError if one stays."""
        with self._lock:
            old = [one for one in self._octets if one < number]
        for one in old:
            self._path(one).unlink(missing_ok=True)
            with self._lock:
                del self._octets[one]

    def close(self) -> None:
        """Write no more to the journal that was begun."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._path(self._number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        return self._file

    def _complain(self, error: OSError) -> None:
        if not self._failing:
            log.warning("choice not noted file=%s error=%r", self._path(self._number), str(error))
        self._failing = True

    def _path(self, number: int) -> Path:
        return self._directory / JOURNAL.format(number)


class Keeper:
    """Saves at intervals on a thread of its own; only the copy is made on the engine's."""

    def __init__(
        self,
        directory: Path,
        recall: Callable[[Callable[[], int]], tuple[int, Memory]],
        wall_ms: Callable[[], int],
        interval: float | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """`recall` calls on the engine's thread what it is given, and returns the answer and what the engine knows.

        It may raise TimeoutError when the engine is busy. OSError if the directory cannot be read.
        """
        self._directory = directory
        self._recall = recall
        self._wall_ms = wall_ms
        self._interval = SAVE_SECONDS if interval is None else interval
        self._stop = threading.Event()
        self._worker = Worker(self._run, name="memory", on_failure=on_failure)
        self._failing = False
        self._journal = Journal(directory)
        self.note = self._journal.note

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    def stop(self, memory: Memory) -> None:
        """End, with a last save: the caller has the engine to itself by now."""
        self._stop.set()
        self._worker.join()
        self.save(self._journal.turn(), memory)
        self._journal.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                number, memory = self._recall(self._journal.turn)
            except TimeoutError:
                continue
            self.save(number, memory)

    def save(self, journal: int, memory: Memory) -> None:
        """Write what goes before a journal; what goes wrong is logged once, until it works again."""
        if not any(memory.values()):
            # An engine that has not got its table yet knows nothing: what an earlier run knew is better than that.
            return
        try:
            save(self._directory, memory, self._wall_ms(), journal)
            self._journal.forget(journal)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("choice not saved directory=%s error=%r", self._directory, str(error))
            self._failing = True
