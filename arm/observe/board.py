"""The board: where the engine hangs out what is true, and everyone else reads it.

The engine publishes one immutable `Status` a second; readers take the latest without waiting for anyone. What a Status
does not hold (the traffic of each prefix, why a prefix is in hardware) is asked of the engine through `ask`. Answers
that many readers want at once are shared for a moment (`shared`): fifty open pages cost the engine what one costs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from arm.model import Holding, Status
from arm.observe.logs import RateLimiter
from arm.observe.reader import Ask, Reader
from arm.observe.switch import SwitchCounters
from arm.observe.trend import Points, Trend, point
from arm.walltime import CLOCK, WallTime

T = TypeVar("T")

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 60
"""How far back `earlier` can see."""
SHARED_SECONDS = 0.5
"""How long an answer is given to others: half of what the page takes between two questions."""
RENEWALS = 4
"""Answers that are made anew behind the backs of those who ask, at a time; each is a thread."""
_SHARED_ANSWERS = 64
_FORGOTTEN_SECONDS = 30.0


class Unavailable(Exception):  # noqa: N818 - a state that passes, not a mistake of the caller
    """The answer can not be given now; the text says why."""


class Starting(Unavailable):
    """Nothing has been published yet."""


class Busy(Unavailable):
    """The engine did not get to the question in time."""


@dataclass(slots=True)
class _Shared:
    """One answer that several readers wait for or have got."""

    lock: threading.Lock
    at: float = -1e9
    answer: Any = None


class Board:
    """Latest status, trend, and the way to the engine. Any thread may call any method; only one publishes."""

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic, wall: WallTime = CLOCK) -> None:
        self._ask = ask
        self._clock = clock
        self.wall = wall
        """How the steady milliseconds of statuses and records are shown."""
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._recent: deque[Status] = deque(maxlen=REMEMBERED_SECONDS + 1)
        self._trend = Trend()
        self._shared: dict[Hashable, _Shared] = {}
        self._unmade = RateLimiter(burst=1)
        self._renewals = threading.BoundedSemaphore(RENEWALS)
        self.switch = SwitchCounters()
        """What the switch's own counters say."""
        self.holding: Callable[[], Holding | None] = lambda: None
        """Asks the target what it holds; may take a second. OSError if it cannot be asked."""

    def publish(self, status: Status) -> None:
        """Make `status` the latest; called by the engine's thread once a second."""
        with self._lock:
            self._trend.add(status.time_ms, point(status, self._status))
            self._status = status
            self._recent.append(status)

    def status(self) -> Status:
        """The latest status; Starting before the first."""
        status = self._status
        if status is None:
            raise Starting("arm is starting: nothing has been published yet, ask again in a second")
        return status

    def earlier(self, seconds: float) -> Status | None:
        """The newest status at least `seconds` (up to 60) older than the latest, else the oldest; None without any."""
        with self._lock:
            if not self._recent:
                return None
            limit = self._recent[-1].time_ms - seconds * 1000
            for status in reversed(self._recent):
                if status.time_ms <= limit:
                    return status
            return self._recent[0]

    def recent(self, seconds: float) -> list[Status]:
        """What was published within the last `seconds` (up to 60), oldest first."""
        with self._lock:
            if not self._recent:
                return []
            limit = self._recent[-1].time_ms - seconds * 1000
            return [status for status in self._recent if status.time_ms > limit]

    def trend(self, after_ms: int = -1, span: str = "5m") -> Points:
        """Points of a span (5m, 1h, 24h) later than `after_ms`, as shown; all, if that is still to come.

        So whoever follows the trend gets all points anew when the clock has been set.
        """
        with self._lock:
            copy = self._trend.copy(span)
            latest = self._status.time_ms if self._status is not None else 0
        after = self.wall.noted_ms(after_ms)
        points = copy.after(after if after <= latest else -1)
        return replace(points, times_ms=[self.wall.shown_ms(at) for at in points.times_ms])

    def ask(self, question: Callable[[Reader], T]) -> T:
        """Run `question` on the engine's thread between two events; Busy if it does not get to it in time."""
        try:
            return self._ask(question)
        except TimeoutError:
            raise Busy("the engine is busy: ask again in a few seconds") from None

    def shared(self, key: Hashable, question: Callable[[Reader], T]) -> T:
        """Like `ask`, but an answer to the same `key` that is less than half a second old is given again."""
        return self.once(key, SHARED_SECONDS, lambda: self.ask(question))

    def once(self, key: Hashable, seconds: float, make: Callable[[], T], *, stale: float = 0.0) -> T:
        """What `make` gives, or what it gave for the same `key` less than `seconds` ago.

        Those who ask while it is being made wait for that; but for `stale` seconds more they are given the old answer,
        while a new one is made behind their backs. The answer must not be changed by anyone.
        """
        with self._lock:
            shared = self._shared.get(key)
            if shared is None:
                if len(self._shared) >= _SHARED_ANSWERS:
                    self._forget()
                shared = self._shared[key] = _Shared(threading.Lock())
        if seconds < self._clock() - shared.at <= seconds + stale:
            if shared.lock.acquire(blocking=False):
                self._begin_to_renew(shared, make)
            old: T = shared.answer
            return old
        with shared.lock:
            if self._clock() - shared.at > seconds:
                shared.answer = make()
                shared.at = self._clock()
            answer: T = shared.answer
            return answer

    def _forget(self) -> None:
        """Make room: what nobody has asked for lately goes, or else all. With the lock held."""
        limit = self._clock() - _FORGOTTEN_SECONDS
        self._shared = {key: one for key, one in self._shared.items() if one.at > limit or one.lock.locked()}
        if len(self._shared) >= _SHARED_ANSWERS:
            self._shared.clear()

    def _begin_to_renew(self, shared: _Shared, make: Callable[[], object]) -> None:
        """Have an answer made anew, whose lock is held; later if many are, or if there is no room for a thread."""
        if not self._renewals.acquire(blocking=False):
            shared.lock.release()
            return
        try:
            threading.Thread(target=self._renew, args=(shared, make), name="renew", daemon=True).start()
        except RuntimeError as error:
            log.debug("answer not renewed: %s", error)
            shared.lock.release()
            self._renewals.release()

    def _renew(self, shared: _Shared, make: Callable[[], object]) -> None:
        """Make an answer anew; its lock is held. Where that fails the old one only grows older."""
        try:
            shared.answer = make()
            shared.at = self._clock()
        except Unavailable:
            log.debug("answer not renewed: the engine is busy")
        except Exception:
            # Whoever asks once the old answer is too old is told the error, as without this thread.
            with self._lock:
                allowed, missed = self._unmade.allow("renew", self._clock())
            if allowed:
                log.exception("answer not renewed: this is a bug in arm not_logged=%d", missed)
        finally:
            shared.lock.release()
            self._renewals.release()
