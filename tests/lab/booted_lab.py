"""A virtual switch that has booted the Debian package, for tests: asked as by an operator, its packets watched."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from package_build import package
from packet_judge import Judge, Told, default_ranks, packets
from running_lab import RunningLab, until

from arm.simulate.lab import assembly, boot, machine, watch
from arm.simulate.lab.layout import PEERS

CONFIG = "/etc/arm/arm.toml"
log = logging.getLogger(__name__)
PROTOCOL = {"kernel": "210", "bird": "bird"}
"""Whose routes they are in the switch's kernel."""
_OF_A_BOOT = (
    "/etc/hosts",
    "/var/cache/man/",
    "/var/lib/systemd/linger",
    "/var/lib/systemd/timers",
    "/var/log/",
    "/var/tmp/systemd-private-",
)
"""Where files appear on a machine that has run, whatever is installed."""
_SHARED_MEMORY = Path("/dev/shm")
ENOUGH = 0.98
"""Share of the traffic that routes carry when they are all there; the rest are destinations hardly ever sampled."""


class BootedLab(RunningLab):
    """A lab whose switch has booted. Its files are in memory where there is room: some ten thousand are copied."""

    def __init__(self, **sizes: Any) -> None:
        self.broken = False
        super().__init__(directory=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None, **sizes)

    def up(self) -> None:
        boot.up(self.layout, package(), self.said.append, without=self.without)

    def run_inside(self, *words: str) -> str:
        done = machine.run(self.layout, *words)
        return (done.stdout + done.stderr).strip()

    def fails_inside(self, *words: str) -> str:
        """What a command says that must fail."""
        done = machine.run(self.layout, *words, check=False)
        assert done.returncode != 0, words
        return (done.stdout + done.stderr).strip()

    def file(self, path: str) -> Path:
        """Where a file of the switch is outside."""
        return machine.root(self.layout) / path.lstrip("/")

    def configure(self, change: Callable[[str], str] | None = None) -> None:
        """Edit arm.toml; without a change it is again as at the start."""
        text = boot.configuration(self.layout)
        machine.write(self.layout, CONFIG, change(text) if change else text)

    def added(self) -> set[str]:
        """Files that the root from which the switch was made did not have, and no boot makes."""
        before, now = machine.base(), machine.root(self.layout)
        found: set[str] = set()
        for directory in ("etc", "home", "opt", "root", "srv", "usr", "var"):
            for here in (now / directory).rglob("*"):
                path = here.relative_to(now)
                if not os.path.lexists(before / path):
                    found.add(f"/{path}")
        return {path for path in found if not path.startswith(_OF_A_BOOT)}

    # --- the service -------------------------------------------------------------------------------------------------

    def unit(self, name: str) -> str:
        """A property of the service."""
        return self.run_inside("systemctl", "show", "arm", f"--property={name}", "--value")

    def pid(self) -> int:
        """The daemon's process id inside; 0 if there is none."""
        return int(self.unit("MainPID"))

    def process(self) -> dict[str, str]:
        """/proc/PID/status of the daemon."""
        text = self.run_inside("cat", f"/proc/{self.pid()}/status")
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}

    def cursor(self) -> str:
        """The end of the journal now."""
        text = self.run_inside("journalctl", "--lines=0", "--show-cursor", "--no-pager")
        return text.rpartition("-- cursor: ")[2]

    def said_since(self, cursor: str) -> str:
        """The service's journal after a cursor."""
        return self.run_inside("journalctl", "--unit=arm", "--output=cat", "--no-pager", f"--after-cursor={cursor}")

    # --- its routes --------------------------------------------------------------------------------------------------

    def routes(self) -> set[str]:
        """What ARM has in the switch's kernel, of both families, by itself or through BIRD: prefixes."""
        protocol = PROTOCOL[self.layout.target]
        text = "".join(self.inside("switch", "ip", flag, "route", "show", "proto", protocol) for flag in ("-4", "-6"))
        return {line.split()[0] for line in text.splitlines() if not line.startswith(("default", " ", "\t"))}

    def loaded(self) -> set[str]:
        """The routes, once they carry the traffic."""
        until("the routes to carry the traffic", self._carries, 90, every=0.3)
        return self.routes()

    def _carries(self) -> bool:
        try:
            share = watch.carried(self.status())
        except (OSError, AssertionError):
            return False
        return share is not None and share >= ENOUGH and len(self.routes()) > 100

    def reboot(self) -> None:
        """Off and on, until BIRD has the tables again."""
        boot.reboot(self.layout)
        until("the tables", lambda: assembly.settled(self.layout, ("upstream-a", "upstream-b")), 60)


class Watch:
    """Looks at every packet sent while something happens: each has to reach the right peer.

    With `steady`, a destination that a route of ARM's leads away from the default's peer stays there: the default route
    would be no error, but it would be a packet that moved.
    """

    def __init__(self, lab: BootedLab, *, steady: bool = False) -> None:
        self.lab = lab
        self.steady = steady

    def __enter__(self) -> Watch:
        self.begin = {peer.letter: self._log_size(peer.letter) for peer in PEERS}
        # what is counted as sent runs behind by a few packets, which have arrived before
        begun = self._sent()
        until("traffic", lambda: self._sent() > begun + 100, 10)
        self.first = self._sent() + 1
        return self

    def _sent(self) -> int:
        return int(self.lab.tell("traffic", "status")["sent"])

    def some(self) -> None:
        """Until there are packets enough to tell something."""
        until("packets", lambda: self._sent() > self.first + 2000, 20)

    def _log_size(self, letter: str) -> int:
        """Octets of whole records that the receiver has written."""
        assert self.lab.tell(f"receiver-{letter}", "flush")["dropped"] == 0
        peer = next(peer for peer in PEERS if peer.letter == letter)
        return self.lab.layout.packets(peer).stat().st_size

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            return
        wanted = range(self.first, self._sent() + 1)
        got: dict[int, tuple[bytes, str, int, int]] = {}
        end = time.monotonic() + 5
        while len(got) < len(wanted) and time.monotonic() < end:
            got = {number: packet for number, packet in self._arrived() if number in wanted}
        layout = self.lab.layout
        told = {peer.letter: Told.read(layout.journal(peer)) for peer in PEERS}
        judge = Judge(self.lab.table(), told, default_ranks(layout.default))
        astray = [packet for packet in got.values() if judge.lag(*packet) > 0]
        moved = _moved((got[number] for number in sorted(got)), layout.default)
        log.info("packets=%d lost=%d astray=%d moved=%d", len(wanted), len(wanted) - len(got), len(astray), len(moved))
        assert len(wanted) > 1000, "too little traffic to tell anything"
        assert not astray, f"{len(astray)} of {len(wanted)} packets reached the wrong peer"
        assert len(got) == len(wanted), f"{len(wanted) - len(got)} of {len(wanted)} packets were lost"
        if self.steady and moved:
            names = sorted({str(ip_address(destination)) for destination in moved})
            url = f"http://127.0.0.1:{layout.http}"
            said = [self.lab.run_inside("arm", "show", "why", name, "--url", url) for name in names[:5]]
            pytest.fail("\n\n".join([f"{len(moved)} of {len(wanted)} packets followed the default again", *said]))

    def _arrived(self) -> Iterator[tuple[int, tuple[bytes, str, int, int]]]:
        """Number, and destination, peer, times of sending and of arrival of what the receivers have written."""
        for peer in PEERS:
            self._log_size(peer.letter)
            log_file = self.lab.layout.packets(peer)
            for destination, number, sent, received, _octets in packets(log_file, self.begin[peer.letter]):
                yield number, (destination, peer.letter, sent, received)


def _moved(arrived: Iterable[tuple[bytes, str, int, int]], default: str) -> list[bytes]:
    """Destinations of packets, in the order of sending, that reached another peer than the default's before."""
    routed: set[bytes] = set()
    moved = []
    for destination, letter, _sent, _received in arrived:
        if letter != default:
            routed.add(destination)
        elif destination in routed:
            moved.append(destination)
    return moved
