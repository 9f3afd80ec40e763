"""Answers that are made once and given to all who ask the same, until the engine publishes again.

Fifty open pages ask for the same few things each second. Making an answer means ranking, decoding, formatting, encoding
and compressing: work in Python, for which the engine's thread would have to wait. So it is done once for each path and
query, at most once between two publications, and whoever asks while it is being made waits for that.
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
    """One answer; `lock` is held while it is made."""

    __slots__ = ("answer", "lock", "published", "until")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answer: Encoded | None = None
        self.published = -1
        """time_ms of the status that was the latest when it was made."""
        self.until = 0.0


class Answers:
    """The kept answers over a board. Any thread may ask."""

    def __init__(self, board: Board, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def kept(self, view: Callable[P, object]) -> Callable[P, Response]:
        """A view function whose documents are kept by path and query; what it raises is not."""

        @functools.wraps(view)
        def give(*arguments: P.args, **named: P.kwargs) -> Response:
            published = self._board.status().time_ms
            one = self._entry(request.full_path)
            with one.lock:
                answer = one.answer
                if answer is None or one.published != published or self._clock() > one.until:
                    answer = Encoded.of(view(*arguments, **named))
                    one.answer, one.published = answer, published
                    one.until = self._clock() + KEPT_SECONDS
                    self._make_room()
            return answer.response()

        return give

    def _entry(self, key: str) -> _Kept:
        with self._lock:
            one = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            return one

    def _make_room(self) -> None:
        """Forget those that were asked for least lately. Who waits for one of them still gets it."""
        with self._lock:
            octets = sum(one.answer.octets for one in self._kept.values() if one.answer is not None)
            while self._kept and (octets > MOST_OCTETS or len(self._kept) > MOST_ANSWERS):
                _, one = self._kept.popitem(last=False)
                octets -= one.answer.octets if one.answer is not None else 0
