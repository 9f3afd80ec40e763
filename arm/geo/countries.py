"""The file of countries: read when it is first asked for, and again when another one is in its place.

There is no thread: whoever asks looks at the file, at most once a second, and one of those who ask reads it. Meanwhile
the others go on with what was read before; so they do when the new file is damaged or gone, and `state` says so. A file
that changes while it is read is read again. What was read before is dropped with the last lookup that uses it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from arm.geo.database import Database, DatabaseError
from arm.model import Prefix

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the file."""
LARGEST: Final = 256 << 20
"""Octets; no database of countries or cities is as large."""

_Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class State:
    """Whether there are countries, and what to do if there are not."""

    ready: bool
    """True if lookups are answered from a file that was read."""
    problem: str | None
    """A sentence about what is missing or wrong, and what to do."""
    path: str | None
    kind: str | None = None
    """The database's own name for its type."""
    description: str | None = None
    built_ms: int | None = None
    """When its data were put together."""


class Countries:
    """Countries by the file at `path`; without a path there are none. Any thread may call anything."""

    def __init__(self, path: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._signature: _Signature | None = None
        self._database: Database | None = None
        self._problem: str | None = None

    @property
    def configured(self) -> bool:
        """True if there is a file to look at."""
        return self._path is not None

    def country(self, address: bytes) -> str | None:
        """ISO 3166-1 code of the country of a packed address; None if it is not known."""
        database = self._current()
        return database.country(address) if database is not None else None

    def of_prefixes(self) -> Callable[[Prefix], str | None]:
        """A function from a prefix to its country, all from the same file; None for what is not known.

        The country is that of more than half of the prefix.
        """
        database = self._current()
        return database.country_of_prefix if database is not None else lambda _: None

    def state(self) -> State:
        """What there is now."""
        if self._path is None:
            text = "no file of countries is configured; set [geo] country to the path of an MMDB file and restart arm"
            return State(False, text, None)
        database = self._current()
        problem = self._problem
        if database is None:
            return State(False, problem, self._path)
        if problem is None and database.damaged:
            problem = f"{self._path} is damaged in places: {database.damaged} lookups failed; put a whole file there"
        return State(True, problem, self._path, database.kind, database.description, database.built_ms)

    def _current(self) -> Database | None:
        if (
            self._path is not None
            and self._clock() >= self._next
            and self._lock.acquire(blocking=self._database is None)
        ):
            try:
                # those who waited for the first reading need not read again
                if self._clock() >= self._next:
                    self._look(self._path)
                    self._next = self._clock() + LOOK_EVERY
            finally:
                self._lock.release()
        return self._database

    def _look(self, path: str) -> None:
        try:
            signature = _signature(os.stat(path))
            if signature == self._signature:
                return
            raw, signature = _read(path)
        except OSError as error:
            self._signature = None
            reason = (error.strerror or str(error)).lower()
            self._complain(f"{path} can not be read ({reason}); put an MMDB file there that arm may read")
            return
        except DatabaseError as error:
            self._complain(f"{path} {error}")
            return
        self._signature = signature
        try:
            database = Database(raw)
        except DatabaseError as error:
            self._complain(f"{path} {error}; put a whole MMDB file of countries there")
            return
        self._database, self._problem = database, None
        log.info("countries read file=%s type=%r octets=%d", path, database.kind, len(raw))

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.warning(
                "countries can not be read, %s: %s",
                "the old ones stay" if self._database else "there are none",
                problem,
            )


def _signature(found: os.stat_result) -> _Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: str) -> tuple[bytes, _Signature]:
    """What the file holds, and which it was. DatabaseError if it can not be taken as it is now."""
    with open(path, "rb") as file:
        before = _signature(os.fstat(file.fileno()))
        raw = file.read(LARGEST + 1)
        after = _signature(os.fstat(file.fileno()))
    if len(raw) > LARGEST:
        raise DatabaseError(f"is larger than {LARGEST >> 20} MiB, which no database of countries is")
    if before != after:
        raise DatabaseError("is being written; it is read again in a second")
    return raw, after
