"""The listener on real sockets: nothing is lost between two takes, and what the kernel loses is counted."""

from __future__ import annotations

import logging
import socket
import threading
import time

import pytest
from sflow_listening import PACKETS, TIMEOUT, agent_for, run, send_paced, until

from arm.model import COUNT_BITS, COUNT_MASK
from arm.sflow import listener as module
from arm.sflow.burst import BURST
from arm.sflow.listener import Listener, kernel_drops, open_socket
from arm.simulate.host import look


def test_no_sample_is_lost_or_counted_twice_over_takes_under_load(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock)
    agent = agent_for(sock, rate=100)
    built = agent.prebuild(PACKETS) * 300
    sender = threading.Thread(target=send_paced, args=(agent, built, listener))
    sender.start()
    total = 0
    takes = 0
    sums = [dict.fromkeys((dst for _, dst, _ in PACKETS), 0), dict.fromkeys((src for src, _, _ in PACKETS), 0)]
    deadline = time.monotonic() + TIMEOUT
    while total < len(PACKETS) * 300 and time.monotonic() < deadline:
        batch = listener.take()
        takes += batch.samples > 0
        total += batch.samples
        for summed, new in zip(sums, (batch.destinations4, batch.sources4), strict=True):
            assert sum(value & COUNT_MASK for value in new.values()) == batch.samples
            for address, value in new.items():
                summed[address] += value
    sender.join()
    agent.close()
    assert total == len(PACKETS) * 300
    assert takes > 20
    assert sums[0] == {dst: (300 * 100 * length) << COUNT_BITS | 300 for _, dst, length in PACKETS}
    assert sums[1] == {src: (300 * 100 * length) << COUNT_BITS | 300 for src, _, length in PACKETS}
    (status,) = listener.status().agents
    assert (status.lost_datagrams, status.lost_samples) == (0, 0)


def test_a_batch_is_not_taken_in_the_middle_of_a_datagram(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock)
    taker = threading.Thread(target=listener.take)
    waited: list[bool] = []

    def take_now(datagram: object) -> None:
        taker.start()
        taker.join(0.2)
        waited.append(taker.is_alive())

    listener.subscribe(take_now)
    agent = agent_for(sock)
    agent.send(agent.prebuild(PACKETS[:7])[0])
    agent.close()
    until(lambda: bool(waited))
    taker.join(TIMEOUT)
    assert waited == [True]
    assert not taker.is_alive()


def test_a_take_gets_through_while_datagrams_are_always_queued(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock)
    agent = agent_for(sock)
    built = agent.prebuild(PACKETS)
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            for one in built:
                agent.send(one)

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        for _ in range(30):
            until(lambda: listener.take().samples > 0)
    finally:
        stop.set()
        sender.join()
        agent.close()


def test_a_gap_is_counted(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock)
    agent = agent_for(sock)
    first, second, *_, last = agent.prebuild(PACKETS)
    agent.send(first)
    agent.lose(second)
    agent.send(last)
    until(lambda: listener.status().datagrams == 2)
    agent.close()
    (status,) = listener.status().agents
    assert (status.lost_datagrams, status.lost_samples) == (1, 7)


def test_only_the_configured_agent_counts(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock, agent=b"\x0a\0\0\2")
    for address in (b"\x0a\0\0\1", b"\x0a\0\0\2"):
        agent = agent_for(sock, address=address)
        for one in agent.prebuild(PACKETS):
            agent.send(one)
        agent.close()
    until(lambda: listener.status().datagrams == 20)
    assert listener.status().other_agents == 10
    assert listener.take().samples == len(PACKETS)


def test_what_the_kernel_drops_is_counted(started: list[Listener], caplog: pytest.LogCaptureFixture) -> None:
    with open_socket("127.0.0.1:0", 4096) as sock:
        agent = agent_for(sock)
        sent = 0
        for one in agent.prebuild(PACKETS) * 5:  # nobody reads yet
            agent.send(one)
            sent += 1
        dropped = kernel_drops(sock)
        assert 0 < dropped < sent
        with caplog.at_level(logging.WARNING, module.__name__):
            listener = run(started, sock)
            until(lambda: listener.status().datagrams == sent - dropped)
            for one in agent.prebuild(PACKETS[:7]):
                agent.send(one)
            until(lambda: listener.status().kernel_drops == dropped)
        agent.close()
        listener.stop()
        status = listener.status()
        assert status.datagrams == sent - dropped + 1
        assert status.agents[0].lost_datagrams == dropped
        assert f"count={dropped}" in caplog.text


def test_the_time_of_the_latest_sample_is_known(sock: socket.socket, started: list[Listener]) -> None:
    listener = run(started, sock, clock=lambda: 1234.5, steady_ms=lambda: 99_000)
    assert listener.last_sample is None
    agent = agent_for(sock)
    agent.send_host_counters(look())
    agent.send_interface_counters(1, speed=10**10, octets_in=1, packets_in=1, octets_out=1, packets_out=1)
    until(lambda: listener.status().counter_samples == 2)
    assert listener.last_sample is None
    for one in agent.prebuild(PACKETS[:1]):
        agent.send(one)
    until(lambda: listener.status().flow_samples == 1)
    agent.close()
    assert listener.last_sample == 1234.5
    assert listener.status().agents[0].last_seen_ms == 99_000


def test_garbage_is_counted_and_survived(
    sock: socket.socket, started: list[Listener], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, module.__name__), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        listener = run(started, sock)
        for payload in (b"", b"x", bytes(5000), b"\0\0\0\5" * 400):
            out.sendto(payload, sock.getsockname())
        until(lambda: listener.status().malformed == 4)
        until(lambda: "malformed sflow datagrams" in caplog.text)
        assert f"from=127.0.0.1:{out.getsockname()[1]}" in caplog.text
    assert listener.failed is None
    assert len(caplog.records) == 1


def test_a_subscriber_that_raises_does_not_end_the_thread(
    sock: socket.socket, started: list[Listener], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(datagram: object) -> None:
        raise RuntimeError("the subscriber's mistake")

    with caplog.at_level(logging.ERROR, module.__name__):
        listener = run(started, sock)
        listener.subscribe(broken)
        agent = agent_for(sock)
        for one in agent.prebuild(PACKETS):
            agent.send(one)
        until(lambda: listener.status().flow_samples == len(PACKETS))
        until(lambda: "sflow subscriber failed" in caplog.text)
    agent.close()
    assert listener.subscriber_errors == 10
    assert listener.failed is None
    assert listener.take().samples == len(PACKETS)


def test_a_batch_that_nobody_takes_does_not_grow_without_bound(
    sock: socket.socket, started: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", 70)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
    listener = run(started, sock)
    agent = agent_for(sock)
    for one in agent.prebuild(PACKETS) * 12:
        agent.send(one)
    agent.close()
    taken = []
    until(lambda: taken.append(listener.take().samples) or sum(taken) == 12 * len(PACKETS))  # type: ignore[func-returns-value]
    assert max(taken) <= 70 + BURST * 7


def test_stop_ends_the_thread_and_keeps_what_was_received(sock: socket.socket) -> None:
    before = threading.active_count()
    listener = Listener(sock=sock, agent=None)
    listener.start()
    agent = agent_for(sock)
    for one in agent.prebuild(PACKETS):
        agent.send(one)
    until(lambda: listener.status().flow_samples == len(PACKETS))
    agent.close()
    listener.stop()
    listener.stop()
    assert threading.active_count() == before
    assert listener.take().samples == len(PACKETS)
    assert listener.failed is None


def test_stop_before_start_is_no_error(sock: socket.socket) -> None:
    Listener(sock=sock, agent=None).stop()
