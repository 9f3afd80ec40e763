"""SIGHUP at any moment of a start, with a real process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from polling import until

from arm.signals import handle, held_reload

CONFIG = """
[reflector]
as = 65001
[target]
kind = "passive"
prefixes = {prefixes}
[sflow]
listen = "127.0.0.1:{sflow}"
[http]
listen = "127.0.0.1:{http}"
[bgp]
listen = ["127.0.0.1"]
port = {bgp}
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Started:
    def __init__(self, directory: Path) -> None:
        self.file = directory / "arm.toml"
        self.ports = {"sflow": free_port(socket.SOCK_DGRAM), "http": free_port(socket.SOCK_STREAM)}
        self.ports["bgp"] = free_port(socket.SOCK_STREAM)
        self.configure(prefixes=10)
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "arm", "run", "-c", str(self.file)], stdout=log, stderr=log
            )

    def configure(self, prefixes: int) -> None:
        self.file.write_text(CONFIG.format(prefixes=prefixes, **self.ports))

    def holds(self, field: str) -> bool:
        """Whether SIGHUP is in a mask of /proc/PID/status: SigBlk, held back; SigCgt, handled."""
        assert self.process.poll() is None, f"it ended: {self.process.returncode} {self.log.read_text()}"
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return found is not None and bool(int(found[1], 16) & 1 << signal.SIGHUP - 1)

    def said(self, text: str) -> bool:
        assert self.process.poll() is None, f"it ended: {self.process.returncode} {self.log.read_text()}"
        return text in self.log.read_text()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.terminate()
    try:
        made.process.wait(20)
    except subprocess.TimeoutExpired:
        made.process.kill()
        made.process.wait()


def test_a_reload_that_is_asked_for_while_it_starts_is_acted_on_once_it_is_up(started: Started) -> None:
    until(lambda: started.holds("SigBlk") or started.holds("SigCgt"), 30)
    assert started.holds("SigBlk"), "nothing holds the signal back before there is a daemon"
    started.process.send_signal(signal.SIGHUP)
    until(lambda: started.said("configuration reloaded"), 30)
    assert started.log.read_text().count("configuration reloaded") == 1
    started.configure(prefixes=20)
    started.process.send_signal(signal.SIGHUP)
    until(lambda: started.said("applied=target.prefixes"), 30)
    started.process.terminate()
    assert started.process.wait(20) == 0


def test_any_number_of_reloads_from_then_on_end_nothing(started: Started) -> None:
    until(lambda: started.holds("SigBlk") or started.holds("SigCgt"), 30)
    while not started.said("started version="):
        started.process.send_signal(signal.SIGHUP)
    until(lambda: started.said("configuration reloaded"), 30)


def test_what_is_held_back_and_never_handled_is_dropped() -> None:
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    with held_reload():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL  # and this process lives
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_is_held_back_is_handled_once() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    reloads: list[int] = []
    try:
        with held_reload():
            for _ in range(3):
                signal.raise_signal(signal.SIGHUP)
            handle(stop=lambda: None, reload=lambda: reloads.append(1))
            assert reloads == [1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_on_another_thread_nothing_is_done() -> None:
    masks = []

    def run() -> None:
        with held_reload():
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert signal.SIGHUP not in masks[0]
