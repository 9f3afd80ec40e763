"""The listener binds where it is told, survives what passes, and says so when its socket is gone."""

from __future__ import annotations

import errno
import socket

import pytest
from sflow_listening import PACKETS, agent_for, run, until

from arm.sflow.burst import BURST, Burst
from arm.sflow.listener import Listener, open_socket
from arm.simulate.agent import Agent


class Faults:
    """Makes reads of every listener's socket fail as often as it is told."""

    def __init__(self) -> None:
        self.due: list[Exception] = []

    def read(self, burst: Burst) -> list[int]:
        if self.due:
            raise self.due.pop(0)
        return SOUND_READ(burst)


SOUND_READ = Burst.read


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    made = Faults()
    monkeypatch.setattr(Burst, "read", lambda burst: made.read(burst))
    return made


def test_a_passing_fault_of_the_socket_is_survived(
    faults: Faults, sock: socket.socket, started: list[Listener]
) -> None:
    faults.due = [OSError(errno.ENOBUFS, "no room"), OSError(errno.ENOMEM, "no memory")]
    listener = run(started, sock)
    agent = agent_for(sock)
    for one in agent.prebuild(PACKETS):
        agent.send(one)
    until(lambda: listener.status().flow_samples == len(PACKETS))
    agent.close()
    assert listener.failed is None


@pytest.mark.parametrize("fault", [OSError(errno.EBADF, "closed"), RuntimeError("a mistake of ours")])
def test_a_lasting_fault_ends_the_thread_and_is_told(
    faults: Faults, sock: socket.socket, started: list[Listener], fault: Exception
) -> None:
    faults.due = [fault]
    told: list[Exception] = []
    listener = run(started, sock, on_failure=told.append)
    agent = agent_for(sock)
    for one in agent.prebuild(PACKETS[:7]):
        agent.send(one)
    until(lambda: bool(told))
    agent.close()
    assert listener.failed is fault
    assert told == [fault]


@pytest.mark.parametrize(
    ("listen", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), (":0", None), ("[::]:0", "::")]
)
def test_a_socket_is_bound_where_it_is_told(listen: str, host: str | None) -> None:
    with open_socket(listen, 1 << 20) as sock:
        assert host in (None, sock.getsockname()[0])
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 212_992


def test_an_agent_is_heard_on_ipv6_and_ipv4_at_once(started: list[Listener]) -> None:
    with open_socket("[::]:0", 1 << 20) as sock:
        listener = run(started, sock)
        for host in ("::1", "127.0.0.1"):
            agent = Agent((host, sock.getsockname()[1]))
            for one in agent.prebuild(PACKETS[:7]):
                agent.send(one)
            agent.close()
        until(lambda: listener.status().flow_samples == 14)


@pytest.mark.parametrize("listen", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        open_socket(listen, 1 << 20)


def test_a_burst_brings_the_datagrams_that_wait_in_their_order(sock: socket.socket) -> None:
    sent = [bytes([number % 256]) * (number * 37 % 1400) for number in range(BURST + 5)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in sent:
            sender.sendto(data, sock.getsockname())
    burst = Burst(sock)
    read: list[bytes] = []
    for expected in (BURST, 5, 0):
        sizes = burst.read()
        assert len(sizes) == expected
        read += [bytes(buffer[:size]) for buffer, size in zip(burst.buffers, sizes, strict=False)]
    assert read == sent


def test_a_burst_of_a_closed_socket_is_an_error(sock: socket.socket) -> None:
    burst = Burst(sock)
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        burst.read()


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]")])
def test_the_sender_of_each_datagram_of_a_burst_is_known(host: str, shown: str) -> None:
    with open_socket(f"{host}:0", 1 << 20) as into:
        into.setblocking(False)
        burst = Burst(into)
        senders = [socket.socket(into.family, socket.SOCK_DGRAM) for _ in range(3)]
        for _ in range(2):  # the kernel writes into the same room each time
            for sender in senders:
                sender.sendto(b"x", into.getsockname()[:2])
            assert burst.read() == [1, 1, 1]
            assert [burst.sender(index) for index in range(3)] == [
                f"{shown}:{sender.getsockname()[1]}" for sender in senders
            ]
        for sender in senders:
            sender.close()
