"""Processes of a benchmark: started in a private network namespace, measured from outside, ended with it.

The namespace has no name and no link to anywhere: it is gone with its last process, however that ends. Everything in it
may use the ports it has in production.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000
_TICKS = os.sysconf("SC_CLK_TCK")


def enter_private_network() -> None:
    """Move this process, and all it will start, into a network namespace of its own, with a loopback that is up."""
    if os.geteuid() != 0:
        raise SystemExit("bench: this benchmark needs root rights, for a network namespace of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def until(true: Callable[[], bool], seconds: float, what: str, every: float = 0.02) -> float:
    """Poll until something is true; the clock's time then. SystemExit with a sentence if it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic()


class Process:
    """A command with its output in a file. It is told to stop when the benchmark dies, or leaves the `with` block."""

    def __init__(self, name: str, command: Sequence[str | Path], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end; insist after ten seconds."""
        children = self.family()[1:]
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in children:  # of a program that leaves its children behind
            try:
                os.kill(child, 15)
            except ProcessLookupError:
                continue

    def check(self) -> bool:
        """False; or SystemExit with the last lines of its output if it has ended."""
        if self._process.poll() is not None:
            tail = "\n".join(self.text().splitlines()[-15:])
            raise SystemExit(f"bench: {self.name} ended with {self._process.returncode}\n{tail}")
        return False

    def text(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def family(self) -> list[int]:
        """Its process id and those of its children."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found.extend(map(int, task.read_text().split()))
                except OSError:
                    continue
        return found

    def cpu_seconds(self) -> float:
        """Processor time that it and its children have taken, in user and in kernel mode."""
        total = 0
        for pid in self.family():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def memory(self) -> float:
        """Resident memory in MB; what it shares with its children counts once (proportional set size)."""
        total = 0
        for pid in self.family():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def peak_memory(self) -> float:
        """The most resident memory that the process itself, without children, has had so far, in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise ValueError("no VmHWM")
