"""Answers that are made once and given to all who ask the same, until the engine publishes again.

Fifty open pages ask for the same few things each second. Making an answer means ranking, decoding, formatting, encoding
and compressing: work in Python, for which the engine's thread would have to wait. So it is done once for each path and
query, at most once between two publications, and whoever asks while it is being made waits for that: for the answer, or
for the error that it ends in.

Anyone can make up any number of queries. So an entry without an answer stays only while somebody is asking, and there
are never more of those than threads of the server; entries with an answer are bounded in number and octets.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec

from flask import Response, request

from arm.observe.board import Board
from arm.web.guard import COMPRESS_FROM, COMPRESS_LEVEL, encoded

P = ParamSpec("P")

KEPT_SECONDS: Final = 1.0
"""The longest that an answer is given again, should nothing be published."""
MOST_OCTETS: Final = 8 * 1024 * 1024
"""Of all kept answers together."""
MOST_ANSWERS: Final = 500


@dataclass(frozen=True, slots=True)
class Encoded:
    """The octets of an answer, for those who accept gzip and for those who do not."""

    body: bytes
    compressed: bytes | None
    tag: str

    @classmethod
    def of(cls, document: object) -> Encoded:
        body = encoded(document)
        compressed = gzip.compress(body, COMPRESS_LEVEL, mtime=0) if len(body) >= COMPRESS_FROM else None
        return cls(body, compressed, hashlib.sha1(body, usedforsecurity=False).hexdigest())

    def response(self) -> Response:
        """As the one who asks now can read it."""
        compressed = self.compressed if request.accept_encodings["gzip"] > 0 else None
        response = Response(self.body if compressed is None else compressed, content_type="application/json")
        if compressed is not None:
            response.headers["Content-Encoding"] = "gzip"
        response.set_etag(self.tag, weak=True)
        return response

    @property
    def octets(self) -> int:
        return len(self.body) + len(self.compressed or b"")


class _Kept:
    """One answer; `lock` is held while it is made, that of `Answers` while `askers` and `attempts` change."""

    __slots__ = ("answer", "askers", "attempts", "failure", "lock", "published", "until")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answer: Encoded | None = None
        self.published = -1
        """time_ms of the status that was the latest when it was made."""
        self.until = 0.0
        self.askers = 0
        """Requests that are at it now."""
        self.attempts = 0
        """How often it has been tried to make it."""
        self.failure: Exception | None = None
        """What the latest attempt ended in, while somebody is asking."""


class Answers:
    """The kept answers over a board. Any thread may ask."""

    def __init__(self, board: Board, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        """Entries, with and without an answer."""
        return len(self._kept)

    def askers(self, path: str) -> int:
        """Requests that wait for, or are given, the answer at a path with its query."""
        with self._lock:
            one = self._kept.get(path)
            return one.askers if one is not None else 0

    def kept(self, view: Callable[P, object]) -> Callable[P, Response]:
        """A view function whose documents are kept by path and query. What it raises is told to those who waited for
        it, and not kept."""

        @functools.wraps(view)
        def give(*arguments: P.args, **named: P.kwargs) -> Response:
            published = self._board.status().time_ms
            key = request.full_path
            one, attempts = self._enter(key)
            made = False
            try:
                with one.lock:
                    if one.failure is not None and one.attempts > attempts:
                        raise one.failure
                    answer = one.answer
                    if answer is None or one.published != published or self._clock() > one.until:
                        answer = self._make(one, lambda: view(*arguments, **named))
                        one.published, one.until = published, self._clock() + KEPT_SECONDS
                        made = True
                return answer.response()
            finally:
                self._leave(key, one)
                if made:
                    self._make_room()

        return give

    def _make(self, one: _Kept, view: Callable[[], object]) -> Encoded:
        """Try to make an answer; the lock of `one` is held."""
        one.failure = None
        try:
            one.answer = Encoded.of(view())
        except Exception as failure:
            one.failure = failure
            raise
        finally:
            with self._lock:
                one.attempts += 1
        return one.answer

    def _enter(self, key: str) -> tuple[_Kept, int]:
        """The entry of a key, and the attempts that were over when this request came."""
        with self._lock:
            one = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            one.askers += 1
            return one, one.attempts

    def _leave(self, key: str, one: _Kept) -> None:
        """The last to leave an entry without an answer takes it away."""
        with self._lock:
            one.askers -= 1
            if not one.askers:
                one.failure = None  # its traceback holds whatever the view had in its hands
                if one.answer is None:
                    del self._kept[key]

    def _make_room(self) -> None:
        """Forget those that were asked for least lately, but never one that is being asked for: it would be made
        twice, and of those there are no more than threads."""
        with self._lock:
            idle = [
                (key, len(key) + one.answer.octets) for key, one in self._kept.items() if one.answer and not one.askers
            ]
            number, octets = len(idle), sum(size for _, size in idle)
            for key, size in idle:
                if number <= MOST_ANSWERS and octets <= MOST_OCTETS:
                    break
                del self._kept[key]
                number, octets = number - 1, octets - size
