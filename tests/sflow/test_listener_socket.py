"""The listener binds where it is told, survives what passes, and says so when its socket is gone."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sflow_listening import PACKETS, agent_for, run, until

from arm.sflow.listener import Listener, open_socket
from arm.simulate.agent import Agent


class FaultySocket(socket.socket):
    """A socket whose reads fail as often as it is told."""

    faults: list[OSError]

    def recv_into(self, *args: Any) -> int:
        if self.faults:
            raise self.faults.pop(0)
        return super().recv_into(*args)


@pytest.fixture
def faulty() -> Iterator[FaultySocket]:
    with FaultySocket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.faults = []
        made.bind(("127.0.0.1", 0))
        yield made


def test_a_passing_fault_of_the_socket_is_survived(faulty: FaultySocket, started: list[Listener]) -> None:
    faulty.faults = [OSError(errno.ENOBUFS, "no room"), OSError(errno.ENOMEM, "no memory")]
    listener = run(started, faulty)
    agent = agent_for(faulty)
    for one in agent.prebuild(PACKETS):
        agent.send(one)
    until(lambda: listener.status().flow_samples == len(PACKETS))
    agent.close()
    assert listener.failed is None


@pytest.mark.parametrize("fault", [OSError(errno.EBADF, "closed"), RuntimeError("a mistake of ours")])
def test_a_lasting_fault_ends_the_thread_and_is_told(
    faulty: FaultySocket, started: list[Listener], fault: Exception
) -> None:
    faulty.faults = [fault]  # type: ignore[list-item]
    told: list[Exception] = []
    listener = run(started, faulty, on_failure=told.append)
    agent = agent_for(faulty)
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
