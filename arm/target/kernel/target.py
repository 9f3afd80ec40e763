"""The kernel target: a thread that owns a KernelSession, and opens a new one when an answer of the kernel was lost.

The engine's side (`apply`, `status`) only touches a queue and an immutable status. A second, idle thread asks the
hardware about its tables, since a command may take seconds to answer.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from arm.config import TargetConfig
from arm.model import Event, Family, Holding, Plan, TargetDown, TargetStatus
from arm.observe.logs import RateLimiter
from arm.target.base import Emit
from arm.target.kernel.channel import Channel, Requests
from arm.target.kernel.hardware import Reader, Readings, find_reader
from arm.target.kernel.nexthops import Group
from arm.target.kernel.objects import NumbersTakenError
from arm.target.kernel.session import KernelSession, KernelSettings
from arm.target.kernel.view import flush_kernel, next_hop_of, read_installed
from arm.target.kernel.work import Work
from arm.worker import OnFailure, Worker

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 0.2
CAPACITY_SECONDS = 10.0
FIRST_RETRY, LAST_RETRY = 0.5, 30.0
STOP_SECONDS, READER_SECONDS = 20.0, 1.0
"""The longest waits for the two threads at the end; the unit's TimeoutStopSec is 30 s."""
PENDING_LIMIT = 250_000
"""Changes that may wait for the thread: as many routes as the largest tables hold."""
TOO_SLOW = "the kernel takes changes slower than they come: it is read anew"
UNREADABLE_SECONDS = 600.0
"""Between two log lines about the same fault of the hardware's answers."""


def settings_of(config: TargetConfig, *, netns: str | None = None) -> KernelSettings:
    """The settings that the configuration stands for."""
    return KernelSettings(
        table=config.table,
        metric=config.metric,
        protocol=config.protocol,
        interfaces=config.interfaces,
        slots=config.slots,
        backup=config.backup,
        netns=netns,
    )


class _BehindError(Exception):
    """More changes wait than PENDING_LIMIT: they are given up, and the kernel is read anew."""


class KernelTarget:
    """Programs one table of the kernel. See arm/target/base.py for what the engine may expect."""

    def __init__(
        self,
        settings: KernelSettings,
        *,
        find: Callable[[], Reader | None] = find_reader,
        wrap: Callable[[Channel], Requests] = lambda channel: channel,
        on_failure: OnFailure | None = None,
    ) -> None:
        """`find` chooses the reader of the hardware; `wrap` puts something between ARM and the kernel, for tests."""
        self._settings = settings
        self._find = find
        self._wrap = wrap
        self._emit: Emit = _nowhere
        self._plans: deque[Plan] = deque()
        self._queued = 0
        """Changes that were ever queued; the engine's thread counts."""
        self._taken = 0
        """Those of them that wait no more; the target's thread counts."""
        self._behind = threading.Event()
        self._readings: deque[Readings] = deque(maxlen=1)
        self._last_readings: Readings = {}
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._stopping = threading.Event()
        self._flush = False
        self._numbers: Mapping[int, Group] = {}
        self._epoch = 0
        self._status = TargetStatus("kernel", False, "not started", 0, 0, 0, 0.0)
        self._worker = Worker(self._main, name="target-kernel", on_failure=on_failure)
        self._reader = Worker(self._read_capacity, name="target-capacity", on_failure=on_failure)

    def start(self, emit: Emit) -> None:
        """Begin; TargetUp follows when changes can be taken."""
        self._emit = emit
        self._worker.start()
        self._reader.start()

    def apply(self, plan: Plan) -> None:
        """Queue a plan. If too many changes wait already, the target is down until the kernel has been read anew."""
        if self._behind.is_set():
            return  # TargetDown is told, and what starts from before it counts no more
        if self._queued - self._taken > PENDING_LIMIT:
            self._behind.set()
            log.error("target down reason=%r waiting=%d", TOO_SLOW, self._queued - self._taken)
            self._emit(TargetDown(TOO_SLOW))
        else:
            self._queued += len(plan.changes)
            self._plans.append(plan)
        self._awake()

    def resize(self, slots: Mapping[Family, int]) -> None:
        """What is learned of the hardware's room from refusals ends at the new numbers."""
        self._settings = replace(self._settings, slots=dict(slots))
        self._awake()

    def status(self) -> TargetStatus:
        """A consistent picture for the status page."""
        status = self._status
        if self._behind.is_set():
            status = replace(status, up=False, reason=TOO_SLOW)
        return replace(status, pending=self._queued - self._taken)

    def holding(self) -> Holding | None:
        """ARM's routes as the kernel has them now."""
        if not self._status.up:
            return None
        numbers = dict(self._numbers)
        routes = read_installed(self._settings)
        return Holding(
            "read from the kernel", {prefix: next_hop_of(route, numbers) for prefix, route in routes.items()}
        )

    def stop(self, *, flush: bool) -> None:
        """End, after the plans that are queued; waits for it. `flush` takes ARM's routes out."""
        self._flush = flush
        self._stopping.set()
        self._awake()
        if self._worker.failed is not None and flush:
            log.error("routes not flushed, they stay for the next start reason=%r", self._status.reason)
        if not self._worker.join(STOP_SECONDS):
            log.error("target does not end, the kernel holds it seconds=%.0f", STOP_SECONDS)
            return  # its sockets are still in use
        self._reader.join(READER_SECONDS)
        self._wake.close()
        self._woken.close()

    def _awake(self) -> None:
        # A full buffer wakes it too; a reader that the hardware held may come back after `stop` has closed the sockets.
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    # --- the target's thread ---

    def _main(self) -> None:
        retry = FIRST_RETRY
        while True:
            started = time.monotonic()
            try:
                self._session()
                return
            except _BehindError:
                self._drop_plans()
            except NumbersTakenError as error:
                self._down(str(error.strerror))
            except OSError as error:
                self._down(f"the kernel does not answer: {error.strerror or error}")
            except BaseException as error:
                self._down(f"a mistake in ARM itself: {error!r}")
                raise
            retry = FIRST_RETRY if time.monotonic() - started > LAST_RETRY else min(2 * retry, LAST_RETRY)
            if self._stopping.wait(retry):
                self._end_while_down()
                return

    def _end_while_down(self) -> None:
        """Without a session, a flush opens one for itself."""
        if not self._flush:
            return
        try:
            flush_kernel(self._settings)
        except OSError as error:
            log.error("routes not flushed, they stay for the next start reason=%r", str(error))

    def _down(self, reason: str) -> None:
        log.error("target down reason=%r", reason)
        self._drop_plans()
        self._status = replace(self._status, up=False, reason=reason)
        self._emit(TargetDown(reason))

    def _drop_plans(self) -> None:
        while self._plans:
            self._taken += len(self._plans.popleft().changes)

    def _session(self) -> None:
        """Work until told to stop; OSError if the kernel's state has to be read anew."""
        session = KernelSession(self._settings, self._emit, wrap=self._wrap)
        try:
            up = session.open(time.monotonic())
            self._epoch += 1
            self._behind.clear()
            self._numbers = session.nexthops.by_number
            self._status = replace(self._status, up=True, reason="")
            work = Work(session, self._settings, self._emit, time.monotonic())
            work.begin(self._last_readings)
            self._emit(replace(up, epoch=self._epoch))
            self._work(work)
            if self._flush:
                session.flush()
        finally:
            session.close()

    def _work(self, work: Work) -> None:
        session = work.session
        next_publish = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(session.monitor, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ, data="plans")
            while True:
                ready = selector.select(0.0 if session.auditing else max(0.0, work.next_tick - time.monotonic()))
                for key, _ in ready:
                    if key.data == "plans":
                        self._woken.recv(4096)
                session.listen()
                while self._plans and not self._behind.is_set():
                    self._apply(work)
                if self._stopping.is_set():
                    return
                if self._behind.is_set():
                    raise _BehindError
                now = time.monotonic()
                readings = self._readings.popleft() if self._readings else {}
                self._last_readings = readings or self._last_readings
                work.resize(self._settings.slots)
                work.step(now, readings)
                if now >= next_publish:
                    next_publish = now + PUBLISH_SECONDS
                    self._status = replace(self._status, counters=work.counters(), remarks=work.remarks(now))

    def _apply(self, work: Work) -> None:
        plan = self._plans[0]
        if plan.epoch not in (0, self._epoch):
            self._plans.popleft()  # it starts from what was there before the kernel was read anew
            self._taken += len(plan.changes)
            return
        applied = work.apply(plan, time.monotonic())
        self._plans.popleft()
        self._taken += len(plan.changes)
        status = self._status
        self._status = replace(
            status,
            applied=status.applied + applied.done,
            failed=status.failed + len(applied.failed),
            last_seconds=applied.seconds,
        )
        self._emit(applied)

    # --- the reader's thread ---

    def _read_capacity(self) -> None:
        reader = self._find()
        limiter = RateLimiter(burst=1, interval=UNREADABLE_SECONDS)
        while reader is not None:
            try:
                self._readings.append(reader.read())
            except (OSError, ValueError) as error:
                allowed, missed = limiter.allow(str(error), time.monotonic())
                if allowed:
                    log.warning("hardware does not tell its capacity reason=%r not_logged=%d", str(error), missed)
            self._awake()
            if self._stopping.wait(CAPACITY_SECONDS):
                return


def _nowhere(event: Event) -> None:
    """Takes events before start."""
