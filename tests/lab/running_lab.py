"""A virtual switch for a test: up in namespaces of its own, down afterwards, and asked in the test's words."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from arm.model import FAMILIES, Family, parse_prefix
from arm.simulate import control
from arm.simulate.lab import assembly, processes
from arm.simulate.lab.layout import PEERS, Layout
from arm.simulate.table import Table

BIRD_CONF = Path(__file__).resolve().parents[2] / "conf" / "bird2.conf"
_NUMBERS = itertools.count()


def until(what: str, ready: Callable[[], Any], seconds: float, *, every: float = 0.05) -> float:
    """Poll until it is so; how long that took, in seconds. Fails the test after `seconds`."""
    begin = time.monotonic()
    while not ready():
        assert time.monotonic() - begin < seconds, f"waited {seconds} s for {what}"
        time.sleep(every)
    return time.monotonic() - begin


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class RunningLab:
    """One lab. `with RunningLab(...) as lab` brings it up and takes it down."""

    def __init__(self, *, without: Collection[str] = (), directory: Path | None = None, **sizes: Any) -> None:
        """`directory` is where the lab's own is made; where temporary files are if it is None."""
        self.run = Path(tempfile.mkdtemp(prefix="lab-", dir=directory))
        self.said: list[str] = []
        self.without = without
        self.layout = Layout(
            run=self.run / "run",
            bird_conf=BIRD_CONF,
            prefix=f"t{os.getpid() % 100_000}n{next(_NUMBERS)}-",
            http=free_port(),
            **sizes,
        )

    def __enter__(self) -> RunningLab:
        try:
            self.up()
        except BaseException:
            for log in sorted(self.layout.run.glob("*.log")):  # pytest shows it with the failure
                sys.stderr.write(f"--- {log.name}\n{log.read_text()[-3000:]}\n")
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assembly.down(self.layout, self.said.append)
        shutil.rmtree(self.run, ignore_errors=True)

    def up(self) -> None:
        assembly.up(self.layout, self.said.append, without=self.without)

    def tell(self, part: str, *words: object) -> Any:
        return control.ask(self.layout.control(part), *words)

    def kill(self, part: str) -> None:
        """Kill a part. An upstream's journal learns of it here: the process has no time to write it."""
        for peer in PEERS:
            if part == f"upstream-{peer.letter}":
                with self.layout.journal(peer).open("a") as journal:
                    journal.write(json.dumps({"at": time.monotonic_ns(), "session": "down"}) + "\n")
        pid = processes.running(self.layout, part)
        processes.kill(self.layout, part)
        # a process whose first thread is dead may still hold its sockets: it is gone when it could be reaped
        until(
            f"{part} to be dead",
            lambda: processes.running(self.layout, part) is None and not Path(f"/proc/{pid}").exists(),
            10,
        )

    def start(self, part: str) -> None:
        assembly.start(self.layout, part)

    def restart(self, part: str) -> None:
        self.kill(part)
        self.start(part)

    def complete(self, part: str) -> bool:
        """True if an upstream has a session and has told all of its table."""
        try:
            return bool(self.tell(part, "status")["complete"])
        except OSError:
            return False

    def table(self) -> Table:
        return Table.load(self.layout.table)

    def status(self) -> dict[str, Any]:
        """ARM's /arm/status/json."""
        code, body = assembly.ask_arm(self.layout, "/arm/status/json")
        assert code == 200, body
        answer = json.loads(body)
        assert isinstance(answer, dict)
        return answer

    def settled(self) -> None:
        """Until ARM and BIRD have the whole table of both upstreams."""
        until("BIRD to have the tables", lambda: assembly.settled(self.layout, ("upstream-a", "upstream-b")), 60)
        until("ARM to be ready", lambda: assembly.ready(self.layout), 60)
        until("ARM to have the table", lambda: assembly.learned(self.layout, ("upstream-a", "upstream-b")), 60)

    def inside(self, namespace: str, *command: str) -> str:
        """What a command prints in one of the namespaces."""
        full = ["ip", "netns", "exec", self.layout.namespace(namespace), *command]
        return subprocess.run(full, capture_output=True, text=True, check=True, timeout=60).stdout

    def kernel(self) -> dict[Family, dict[tuple[bytes, int], str]]:
        """BIRD's routes in the switch's kernel: prefix to the letter of the peer; the default route is one of them."""
        letters = {address: peer.letter for peer in PEERS for address in (peer.address, peer.address6)}
        found: dict[Family, dict[tuple[bytes, int], str]] = {}
        for family, flag, zero in zip(FAMILIES, ("-4", "-6"), ("0.0.0.0/0", "::/0"), strict=True):
            routes = found[family] = {}
            for line in self.inside("switch", "ip", flag, "route", "show", "proto", "bird").splitlines():
                words = line.split()
                letter = letters.get(words[words.index("via") + 1]) if "via" in words else None
                routes[parse_prefix(zero if words[0] == "default" else words[0])] = letter or f"? {line}"
        return found

    def chosen(self) -> dict[tuple[bytes, int], str]:
        """The kernel's routes without the default ones: what ARM chose."""
        return {prefix: letter for routes in self.kernel().values() for prefix, letter in routes.items() if prefix[1]}
