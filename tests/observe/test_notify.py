"""The service manager's protocols, against real Unix sockets and descriptors."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from arm.observe.notify import Notifier, inherited_sockets, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_the_manager_hears_every_step(manager: socket.socket) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("learning the table")
    notifier.watchdog()
    notifier.status("two\nlines")
    notifier.reloading(17)
    notifier.stopping()
    heard = [manager.recv(1024).decode() for _ in range(5)]
    assert heard == [
        "READY=1\nSTATUS=learning the table",
        "WATCHDOG=1",
        "STATUS=two lines",
        "RELOADING=1\nMONOTONIC_USEC=17",
        "STOPPING=1\nSTATUS=stopping",
    ]
    notifier.close()
    notifier.watchdog()


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0arm-test-{os.getpid()}")
        sock.settimeout(5)
        Notifier(f"@arm-test-{os.getpid()}").watchdog()
        assert sock.recv(64) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    Notifier.from_environment({}).ready("x")
    Notifier(str(tmp_path / "gone")).ready("x")
    Notifier("/" + "x" * 200).ready("x")


def test_a_manager_that_does_not_read_stops_nobody(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    for _ in range(20_000):
        notifier.watchdog()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "42"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_wants_to_hear_twice_in_its_limit(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment, pid=42) == seconds


def test_handed_sockets_come_with_their_names_and_only_once() -> None:
    """In a process of its own, since descriptors from 3 on are taken."""
    program = """
import os, socket
from arm.observe.notify import inherited_sockets
a, b = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
for sock in (a, b):
    sock.bind(("127.0.0.1", 0))
a.listen()
os.dup2(a.fileno(), 20); os.dup2(b.fileno(), 21); os.dup2(b.fileno(), 22)
os.environ.update(LISTEN_FDS="3", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="http:sflow")
found = inherited_sockets(first=20)
assert [each.name for each in found] == ["http", "sflow", "unknown"], found
assert [each.sock.type for each in found] == [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_DGRAM]
assert found[0].sock.getsockname() == a.getsockname()
assert not any(each.sock.get_inheritable() for each in found)
assert not {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} & set(os.environ)
assert inherited_sockets(first=20) == ()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "43"}, {"LISTEN_FDS": "x", "LISTEN_PID": "42"}],
)
def test_sockets_of_another_process_are_left_alone(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment, pid=42) == ()


def test_a_promised_descriptor_that_is_no_socket_is_an_os_error(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match=r"[Ss]ocket"):
        inherited_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "42"}, pid=42, first=file.fileno())
