"""Programs of the virtual switch: each is started in its namespace, written down, and found again to be ended.

A process is written down with the time it started, and signalled through a descriptor that means this process and no
other (pidfd), so that a number the kernel has given to somebody else is never hit. A program leads a process group of
its own; what it leaves behind when it dies goes with the group.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from arm.simulate.lab.layout import Layout

_POLL: Final = 0.02
_LISTEN_AT: Final = 3


@dataclass(frozen=True, slots=True)
class Program:
    """How to start one part."""

    name: str
    namespace: str
    """Full name; empty for a program that goes into its namespaces by itself."""
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """More variables."""
    http: tuple[str, int] | None = None
    """Listen there in the namespace of the caller, and hand the socket over (sd_listen_fds(3))."""


def started_at(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if there is none, or it is dead and not yet reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def start(layout: Layout, program: Program) -> int:
    """Start a program that is not running; its process id. OSError if it can not be."""
    current = running(layout, program.name)
    if current is not None:
        return current
    stop(layout, program.name)  # what a crash of it left behind
    into = ["ip", "netns", "exec", program.namespace] if program.namespace else []
    command = [*into, *program.command]
    environment = {**os.environ, **(program.environment or {})}
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (
            os.POSIX_SPAWN_OPEN,
            1,
            str(layout.run / f"{program.name}.log"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o644,
        ),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    with contextlib.ExitStack() as stack:
        if program.http is not None:
            sock = stack.enter_context(socket.create_server(program.http, backlog=128))
            # dup2 clears close-on-exec only if the numbers differ
            spare = os.dup(sock.fileno())
            stack.callback(os.close, spare)
            actions.append((os.POSIX_SPAWN_DUP2, spare if spare != _LISTEN_AT else sock.fileno(), _LISTEN_AT))
            environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
            # the variable has to name the process itself, which only the process knows
            command = ["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *command]
        pid = os.posix_spawnp(command[0], command, environment, file_actions=actions, setsid=True)
    # between fork and exec the process is already the one that will be found later
    _note(layout, program.name).write_text(json.dumps({"pid": pid, "started": started_at(pid)}))
    return pid


def running(layout: Layout, name: str) -> int | None:
    """Process id of a part that runs."""
    pid, started = _read(layout, name)
    if pid is None:
        return None
    _reap(pid)
    return pid if started is not None and started_at(pid) == started else None


def wait_gone(pid: int, timeout: float) -> bool:
    """True when the process has ended within so many seconds."""
    end = time.monotonic() + timeout
    while started_at(pid) is not None:
        if time.monotonic() > end:
            return False
        _reap(pid)
        time.sleep(_POLL)
    return True


def kill(layout: Layout, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a part, and only to its own process, as a crash would. ProcessLookupError if it does not run."""
    pid, started = _read(layout, name)
    if pid is None or not _signal(pid, started, number):
        raise ProcessLookupError(f"{name} does not run")


def stop(layout: Layout, name: str, *, timeout: float = 10.0) -> bool:
    """End a part and all of its process group: asked first, then forced. False if it had not been running."""
    pid, started = _read(layout, name)
    if pid is None:
        return False
    was_running = _signal(pid, started, signal.SIGTERM)
    if was_running and not wait_gone(pid, timeout):
        _signal(pid, started, signal.SIGKILL)
        wait_gone(pid, timeout)
    for member in _orphans(pid, started):
        _signal(member, started_at(member), signal.SIGKILL)
        wait_gone(member, timeout)
    _note(layout, name).unlink(missing_ok=True)
    return was_running


def noted(layout: Layout) -> list[str]:
    """Names of the parts that were started and not stopped, running or not."""
    return sorted(path.stem for path in layout.run.glob("*.pid"))


def _note(layout: Layout, name: str) -> Path:
    return layout.run / f"{name}.pid"


def _read(layout: Layout, name: str) -> tuple[int | None, int | None]:
    try:
        note = json.loads(_note(layout, name).read_text())
        return note["pid"], note["started"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None, None


def _signal(pid: int, started: int | None, number: signal.Signals) -> bool:
    """Signal the process if it is still the one that was started then."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if started is None or started_at(pid) != started:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def _orphans(group: int, started: int | None) -> list[int]:
    """Processes of a session whose leader has died. A number in use as a session is given to no new process."""
    members: list[int] = []
    if started_at(group) is not None:  # somebody else's by now
        return members
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == group and started is not None and int(fields[19]) >= started and fields[0] not in "ZX":
                members.append(int(entry.name))
    return members


def _reap(pid: int) -> None:
    """Collect the process if it is a child of this one that has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def output(*command: str, timeout: float = 10.0) -> str | None:
    """What a command prints; None if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
