"""Shows a virtual switch at work until its routes carry the traffic, and keeps it up until it is asked to end."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from arm.simulate.lab import assembly, processes
from arm.simulate.lab.layout import Layout

ENOUGH: Final = 0.9
"""Share of the bytes that go the right way, by a route of their own or by the default route."""
_LINE_EVERY: Final = 5.0
_LOOK_EVERY: Final = 0.5


def carried(status: Mapping[str, Any]) -> float | None:
    """That share over the last ten seconds, both families together, as ARM itself measures it; None before traffic."""
    right = total = 0.0
    for family in status["families"].values():
        if (share := family["coverage_10s"]) is not None:
            right += share * family["bytes_per_second"]
            total += family["bytes_per_second"]
    return right / total if total else None


def until_carried(layout: Layout, say: Callable[[str], None], stop: threading.Event, *, limit: float) -> bool:
    """Say every few seconds how far it is; True when the routes carry enough, False at the limit or when stopped."""
    begin = said = time.monotonic()
    while not stop.wait(_LOOK_EVERY):
        now = time.monotonic()
        status = _status(layout)
        share = carried(status) if status else None
        done = share is not None and share >= ENOUGH
        if status and (done or now - said >= _LINE_EVERY):
            said = now
            slots = " and ".join(
                f"{family['slots_used']:,} of {family['capacity']:,} {name} slots"
                for name, family in (("IPv4", status["families"]["ipv4"]), ("IPv6", status["families"]["ipv6"]))
            )
            say(f"{'-' if share is None else f'{share:.1%}'} of the traffic goes the right way, with {slots}")
        if done:
            return True
        if now - begin > limit:
            return False
    return False


def _status(layout: Layout) -> Mapping[str, Any] | None:
    try:
        code, body = assembly.ask_arm(layout, "/arm/status/json")
        return json.loads(body) if code == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def until_stopped(layout: Layout, say: Callable[[str], None], stop: threading.Event) -> None:
    """Wait for the request to end; say when a part dies meanwhile."""
    dead: set[str] = set()
    while not stop.wait(1.0):
        for name in processes.noted(layout):
            if processes.running(layout, name) is None and name not in dead:
                say(f"{name} has died, see {layout.run}/{name}.log; `scripts/lab up` starts it again")
                dead.add(name)
            elif processes.running(layout, name) is not None:
                dead.discard(name)


def on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run(layout: Layout, say: Callable[[str], None], *, detach: bool) -> int:
    """Bring it up, watch it until its routes carry the traffic, keep it until a signal comes, and take it down.

    With `detach` it stays when this ends. Exit status: 0, or 1 if the routes did not carry enough within two minutes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        assembly.up(layout, say)
        stop = on_signals()
        enough = until_carried(layout, say, stop, limit=120)
        if not enough and not stop.is_set():
            say(f"less than {ENOUGH:.0%} after two minutes; see {layout.run}/arm.log")
        say(f"the page: {assembly.address(layout)}")
        if detach:
            say("it stays up; `scripts/lab down` takes it away")
            return 0 if enough else 1
        say("meanwhile: scripts/lab status, scripts/lab tell traffic shift 2, .venv/bin/arm show top")
        say("Ctrl-C takes it down")
        until_stopped(layout, say, stop)
    except BaseException:
        if not detach:
            assembly.down(layout, say)
        raise
    assembly.down(layout, say)
    return 0 if enough or stop.is_set() else 1
