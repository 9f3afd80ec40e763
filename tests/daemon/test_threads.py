"""No thread dies unheard: what is raised in the loop of a thread is told, and everything can be stopped after it."""

from __future__ import annotations

import ast
import ctypes
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_arm import FakeEngine, status
from injection import InjectedError, Injector, every_line
from polling import until

from arm.analytics import Analytics
from arm.bgp.speaker import Speaker
from arm.config import AnalyticsConfig, Config, load
from arm.daemon import Daemon
from arm.daemon.memory import Keeper
from arm.daemon.sockets import Sockets
from arm.daemon.tasks import COMMANDS, PARTS, most_tasks, web_threads
from arm.model import Family, parse_prefix
from arm.observe.board import RENEWALS, Board
from arm.sflow.listener import Listener, open_socket
from arm.target.kernel import KernelTarget
from arm.web.app import create_app
from arm.web.server import Server
from arm.worker import Worker

LISTENER = (Listener._receive, Listener._collect, Listener._interval)
SPEAKER = (Speaker._round, Speaker._timeout, Speaker._pause_or_resume, Speaker._admit, Speaker._on_wake)
ANALYTICS = (Analytics._run, Analytics.step, Analytics._judge, Analytics._sweep)
SERVER = (Server._run,)
KEEPER = (Keeper._run, Keeper.save)
KERNEL = (KernelTarget._session, KernelTarget._work, KernelTarget._read_capacity)

Started = tuple[Callable[[], None], Callable[[], None]]


def tcp() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def knock(address: tuple[str, int]) -> None:
    with socket.socket() as caller:
        caller.settimeout(1.0)
        caller.connect_ex(address)


def test_an_error_at_any_line_of_the_listener_is_told() -> None:
    with open_socket("127.0.0.1:0", 1 << 16) as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def start(on_failure: Callable[[BaseException], None]) -> Started:
            seconds = itertools.count(0.0, 0.3)
            listener = Listener(sock=sock, agent=None, clock=lambda: next(seconds), on_failure=on_failure)
            listener.start()
            return lambda: sender.sendto(b"garbage", sock.getsockname()) and None, listener.stop

        lines, fired = every_line(LISTENER, start)
    assert lines > 30
    assert fired >= 0.8 * lines


def test_an_error_at_any_line_of_the_speaker_is_told() -> None:
    def start(on_failure: Callable[[BaseException], None]) -> Started:
        sock = tcp()
        address = sock.getsockname()
        speaker = Speaker(listeners=[sock], peers=[], emit=lambda event: None, on_failure=on_failure)
        speaker.start()
        return lambda: knock(address), speaker.stop

    lines, fired = every_line(SPEAKER, start)
    assert lines > 20
    assert fired >= 0.8 * lines


class Tap:
    def tap(self, callback: object, *, counters_only: bool = False) -> None: ...


def test_an_error_at_any_line_of_the_analytics_is_told() -> None:
    def start(on_failure: Callable[[BaseException], None]) -> Started:
        seconds = itertools.count(0.0, 0.3)
        analytics = Analytics(
            AnalyticsConfig(),
            Tap(),
            lambda addresses: [],
            local_as=1,
            clock=lambda: next(seconds),
            on_failure=on_failure,
        )
        analytics.put_flow("f", {"keys": "ipsource"})
        analytics.put_threshold("t", {"metric": "f", "value": 1})
        analytics.start()
        return analytics._wake.set, analytics.stop

    lines, fired = every_line(ANALYTICS, start)
    assert lines > 25
    assert fired >= 0.8 * lines


def test_an_error_at_any_line_of_the_web_server_is_told() -> None:
    board = Board(FakeEngine().ask)
    board.publish(status())

    def start(on_failure: Callable[[BaseException], None]) -> Started:
        sock = tcp()
        server = Server(create_app(board, Config()), [sock], threads=1, on_failure=on_failure)
        server.start()
        return lambda: None, server.stop

    assert every_line(SERVER, start) == (2, 2)


@pytest.mark.parametrize("failing", [False, True])
def test_an_error_at_any_line_of_the_keeper_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    memory = {Family.IPV4: [(parse_prefix("192.0.2.0/24"), 1.0, 1.0, True)], Family.IPV6: []}

    def replace(*_: object) -> None:
        raise OSError("no room")

    if failing:
        monkeypatch.setattr(os, "replace", replace)

    def start(on_failure: Callable[[BaseException], None]) -> Started:
        keeper = Keeper(tmp_path, lambda turn: (turn(), memory), lambda: 0, interval=0.002, on_failure=on_failure)
        keeper.start()
        return lambda: None, lambda: keeper.stop(memory)

    lines, fired = every_line(KEEPER, start)
    assert lines >= 8
    assert fired == lines


def test_every_thread_of_the_daemon_is_a_worker() -> None:
    """But for a renewal of one answer, whose failure is the failure of one request."""
    root = Path(__file__).parents[2] / "arm"
    made = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if not path.is_relative_to(root / "simulate")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread")
    ]
    assert made == ["observe/board.py", "worker.py"]


def test_a_worker_that_nobody_listens_to_still_logs_what_ended_it(caplog: pytest.LogCaptureFixture) -> None:
    def run() -> None:
        raise InjectedError("lost")

    worker = Worker(run, name="one")
    assert worker.join()  # never started
    worker.start()
    assert worker.join(10.0)
    assert isinstance(worker.failed, InjectedError)
    assert "thread failed thread=one" in caplog.text


# --- the whole daemon ------------------------------------------------------------------------------------------------

CONFIG = """
[reflector]
ip = "192.0.2.1"
as = 65001
[target]
kind = "{kind}"
prefixes = 10
[state]
directory = "{state}"
"""


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], Config]:
    def make(kind: str) -> Config:
        path = tmp_path / "arm.toml"
        path.write_text(CONFIG.format(kind=kind, state=tmp_path / "state"))
        return load(str(path))

    return make


@pytest.fixture(autouse=True)
def _hook() -> Iterator[None]:
    hook = threading.excepthook
    yield
    threading.excepthook = hook


class Running:
    """A daemon on a thread of the test."""

    def __init__(self, config: Config, *, apart: bool = False) -> None:
        """`apart`: its kernel is that of a network namespace of its own; its sockets are here all the same."""
        self._config = config
        self._apart = apart
        self._sockets = Sockets(http=(tcp(),), sflow=open_socket("127.0.0.1:0", 1 << 16), bgp=(tcp(),))
        self.daemon: Daemon | None = None
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, name="engine of the test")
        self.thread.start()

    def _run(self) -> None:
        if self._apart:
            assert ctypes.CDLL(None).unshare(0x40000000) == 0
        self.daemon = Daemon(self._config, self._sockets)
        self.code = self.daemon.run()

    @property
    def published(self) -> bool:
        return self.daemon is not None and self.daemon.board._status is not None

    def end(self) -> int | None:
        if self.daemon is not None:
            self.daemon.stop()
        self.thread.join(30.0)
        assert not self.thread.is_alive(), "the daemon does not stop"
        return self.code


THREADS = {
    "sflow": LISTENER,
    "bgp": SPEAKER,
    "analytics": ANALYTICS,
    "http": SERVER,
    "memory": KEEPER,
    "target-kernel": KERNEL,
    "target-capacity": KERNEL,
}


@pytest.mark.parametrize("name", THREADS)
def test_a_thread_that_fails_ends_the_daemon_with_70(
    configured: Callable[[str], Config], name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = name.startswith("target-")
    if kernel and os.geteuid():
        pytest.skip("not root")
    monkeypatch.setattr("arm.daemon.memory.SAVE_SECONDS", 0.01)
    monkeypatch.setattr("arm.target.kernel.target.CAPACITY_SECONDS", 0.01)
    monkeypatch.setattr("arm.target.kernel.hardware.find_reader", lambda agents: agents)
    injector = Injector(*THREADS[name], thread=name)
    with caplog.at_level(logging.INFO), injector.active():
        running = Running(configured("kernel" if kernel else "passive"), apart=kernel)
        try:
            until(lambda: running.published)
            injector.armed = True
            if name == "bgp":  # nothing else wakes it here
                assert running.daemon is not None
                running.daemon.speaker._command(lambda: None)
            running.thread.join(30.0)
        finally:
            running.end()
    assert running.code == 70
    assert f"thread failed thread={name}" in caplog.text
    assert "stopped after a failure" in caplog.text
    alive = {thread.name for thread in threading.enumerate()}
    assert not alive & {*THREADS}


@pytest.mark.root
def test_a_daemon_has_as_many_threads_as_the_unit_counts_for_it(configured: Callable[[str], Config]) -> None:
    config = configured("kernel")
    before = set(threading.enumerate())
    running = Running(config, apart=True)
    try:
        until(lambda: running.published)
        made = {thread.name for thread in set(threading.enumerate()) - before}
        assert {name for name in PARTS if name not in ("engine", "target-capacity")} <= made
        assert len(made) <= most_tasks(config.analytics.clients) - RENEWALS - COMMANDS
        assert sum(name.startswith("waitress") for name in made) == web_threads(config.analytics.clients)
    finally:
        assert running.end() == 0


def test_a_part_that_does_not_stop_as_it_should_keeps_no_other_from_it(
    configured: Callable[[str], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(configured("passive"))
    until(lambda: running.published)
    assert running.daemon is not None

    def stop(**_: object) -> None:
        raise RuntimeError("lost my way")

    monkeypatch.setattr(running.daemon.target, "stop", stop)
    assert running.end() == 70
    assert not {thread.name for thread in threading.enumerate()} & {*THREADS}


def test_a_bug_in_the_engine_ends_the_daemon_with_70_even_one_that_looks_like_the_systems(
    configured: Callable[[str], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(configured("passive"))
    until(lambda: running.published)
    assert running.daemon is not None

    def tick(now: float) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(running.daemon.engine, "tick", tick)
    running.thread.join(30.0)
    assert running.end() == 70


def test_a_thread_of_a_library_that_fails_ends_the_daemon_too(configured: Callable[[str], Config]) -> None:
    running = Running(configured("passive"))
    until(lambda: running.published)
    assert running.daemon is not None

    def lost() -> None:
        raise InjectedError("lost")

    threading.excepthook = running.daemon.unheard
    threading.Thread(target=lost, name="waitress-0").start()
    running.thread.join(30.0)
    assert running.end() == 70
