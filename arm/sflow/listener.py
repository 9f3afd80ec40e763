"""The sFlow socket and the one thread that reads it.

The thread reads datagrams in bursts and hands each burst to the collector under a lock; `take` swaps the collector's
batch under the same lock, so a sample is in exactly one batch. The thread makes way for who wants the lock, so a `take`
gets through within a millisecond or two even while more datagrams are queued than can be read.

The kernel counts what the socket had no room for; the thread asks for that number once a second. When nobody takes
batches for long, the thread stops reading rather than let a batch grow without bound: what is lost then is counted
by the kernel, like every other loss.

A mistake in a datagram is counted. A mistake in this program, or a socket that can not be read any more, ends the
thread: `failed` tells, and `on_failure` is called, for without samples the choice of routes is blind.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Final

from arm.model import ListenerStatus, TrafficBatch
from arm.sflow.burst import Burst
from arm.sflow.collector import Collector, Subscriber, Tap
from arm.walltime import CLOCK
from arm.worker import OnFailure, Worker

log = logging.getLogger(__name__)

_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
_MEMINFO_DROPS: Final = 8
_REST: Final = 5
"""Milliseconds to leave the socket alone once it is empty, so that a wake-up serves more than one datagram."""
_YIELD: Final = 0.0002
_MAX_PENDING: Final = 250_000
"""Samples in a batch beyond which the socket is left alone until someone takes it."""
_INTERVAL: Final = 1.0
_LOG_INTERVAL: Final = 10.0
_MAX_ERRORS: Final = 50
"""Failed reads in a row (100 ms apart) before the socket is given up."""


def open_socket(listen: str, receive_buffer: int, *, device: str | None = None) -> socket.socket:
    """UDP socket bound to `listen` ("192.0.2.1:6343", "[::1]:6343"; port 0 takes a free one).

    `device` is a VRF's. `receive_buffer` is in octets; the kernel's limit on it is overridden where that is allowed.
    ValueError if `listen` is not of that form, OSError if it can not be bound.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{listen!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, int(port), type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def kernel_drops(sock: socket.socket) -> int:
    """Datagrams the kernel dropped at this socket since it was opened (modulo 2**32)."""
    drops: int = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_MEMINFO_DROPS]
    return drops


class Listener:
    """Receives sFlow on a bound UDP socket from `start` to `stop`. The socket stays the caller's to close."""

    def __init__(
        self,
        *,
        sock: socket.socket,
        agent: bytes | None,
        clock: Callable[[], float] = time.monotonic,
        steady_ms: Callable[[], int] = CLOCK.steady_ms,
        on_failure: OnFailure | None = None,
    ) -> None:
        """`agent` is the packed address of the only agent whose samples count, None for all."""
        self._sock = sock
        self._clock = clock
        self._steady_ms = steady_ms
        self._collector = Collector(agent=agent)
        self._lock = threading.Lock()
        self._taken = threading.Event()
        self._wanted = False
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._worker = Worker(self._receive, name="sflow", on_failure=on_failure)
        self._drops_seen = 0
        self._drops = 0
        self._logged = (0, 0, 0)
        self._log_after = 0.0
        self._malformed_from = ""
        """Who sent the latest malformed datagram."""

    @property
    def failed(self) -> BaseException | None:
        """Why the thread ended, if nobody asked it to."""
        return self._worker.failed

    @property
    def last_sample(self) -> float | None:
        """Clock time of the latest flow sample that counted, None before the first."""
        return self._collector.last_sample

    @property
    def subscriber_errors(self) -> int:
        """Calls of subscribers that raised."""
        return self._collector.subscriber_errors

    def start(self) -> None:
        """Start receiving."""
        self._sock.setblocking(False)
        size = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        log.info("sflow listening address=%s receive_buffer=%d", self._sock.getsockname(), size)
        self._worker.start()

    def stop(self) -> None:
        """Stop receiving and wait for the thread. What has been received can still be taken."""
        if self._wake < 0:
            return
        self._stopping = True
        self._taken.set()
        os.eventfd_write(self._wake, 1)
        self._worker.join()
        os.close(self._wake)
        self._wake = -1

    def take(self) -> TrafficBatch:
        """All samples since the last call, each in exactly one batch."""
        fresh = TrafficBatch()
        self._wanted = True
        with self._lock:
            batch = self._collector.take(fresh)
        self._wanted = False
        self._taken.set()
        return batch

    def subscribe(self, callback: Subscriber) -> None:
        """Have `callback` called with every decoded datagram, of every agent, in the listener's thread.

        It must be quick. If it raises, that is counted and logged, and it is called again with the next one.
        """
        self._collector.subscribe(callback)

    def subscribe_counters(self, callback: Subscriber) -> None:
        """As `subscribe`, but only with datagrams that have counter samples of an agent that counts."""
        self._collector.subscribe_counters(callback)

    def tap(self, callback: Tap | None, *, counters_only: bool = False) -> None:
        """Have `callback` called with the octets of every datagram in the listener's thread; see Collector.tap."""
        self._collector.tap(callback, counters_only=counters_only)

    def status(self) -> ListenerStatus:
        """The counters since the start."""
        return self._collector.status(self._clock(), self._steady_ms(), self._drops)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        poll, rest = select.poll(), select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        rest.register(self._wake, select.POLLIN)
        burst = Burst(self._sock)
        clock = self._clock
        errors = 0
        next_interval = clock() + _INTERVAL
        while not self._stopping:
            poll.poll(_INTERVAL * 1000)
            more = True
            while more and not self._stopping:
                try:
                    sizes = burst.read()
                except OSError as problem:
                    errors += 1
                    if problem.errno in (errno.EBADF, errno.ENOTSOCK) or errors > _MAX_ERRORS:
                        raise
                    self._pause()
                    break
                errors = 0
                more = len(sizes) == burst.count
                now = clock()
                self._collect(burst, sizes, now)
                if now >= next_interval:
                    next_interval = now + _INTERVAL
                    self._interval(now)
                if self._collector.pending >= _MAX_PENDING:
                    self._pause()
            now = clock()
            if now >= next_interval:
                next_interval = now + _INTERVAL
                self._interval(now)
            rest.poll(_REST)

    def _collect(self, burst: Burst, sizes: list[int], now: float) -> None:
        collector = self._collector
        receive, before = collector.receive, collector.datagrams
        with self._lock:
            for buffer, size in zip(burst.buffers, sizes, strict=False):
                receive(buffer, size, now)
        if collector.last_error_at > before:
            self._malformed_from = burst.sender(collector.last_error_at - before - 1)
        if self._wanted:  # let the other thread have the lock before the next burst takes it
            time.sleep(_YIELD)

    def _pause(self) -> None:
        """Wait until a batch is taken, 100 ms at most."""
        self._taken.clear()
        if not self._stopping:
            self._taken.wait(0.1)

    def _interval(self, now: float) -> None:
        """What is done once a second, busy or not."""
        self._collector.interval()
        with contextlib.suppress(OSError):  # the next read tells what is wrong with the socket
            drops = kernel_drops(self._sock)
            self._drops += (drops - self._drops_seen) % (1 << 32)
            self._drops_seen = drops
        counts = self._collector.malformed, self._drops, self._collector.subscriber_errors
        if counts == self._logged or now < self._log_after:
            return
        malformed, dropped, failed = (new - old for new, old in zip(counts, self._logged, strict=True))
        self._logged = counts
        self._log_after = now + _LOG_INTERVAL
        if malformed:
            log.warning(
                "malformed sflow datagrams count=%d latest=%r from=%s",
                malformed, self._collector.last_error, self._malformed_from,
            )  # fmt: skip
        if dropped:
            log.warning("kernel dropped sflow datagrams count=%d", dropped)
        if failed:
            problem = self._collector.last_subscriber_error
            log.error("sflow subscriber failed count=%d latest=%r", failed, problem, exc_info=problem)
