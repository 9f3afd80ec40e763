"""The virtual switch without ARM: BIRD, upstreams, agent and packets do what they are there for, and leave nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from packet_judge import Judge, Told, default_ranks
from running_lab import RunningLab, until

from arm.model import FAMILIES, Family, format_address, format_prefix
from arm.sflow.records import FlowSample, decode
from arm.simulate.lab import assembly, bird, network, processes
from arm.simulate.lab.layout import PEERS, SWITCH, Layout
from arm.simulate.popularity import draw_destinations

pytestmark = pytest.mark.root
SAMPLING = 5


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab(
        ipv4=3000, ipv6=800, seed=3, sampling=SAMPLING, rate=2000, active=500, without=("arm", "traffic")
    ) as lab:
        yield lab


def test_bird_has_both_tables_and_only_the_default_routes_in_the_kernel(lab: RunningLab) -> None:
    counts = bird.tables(lab.layout)
    assert (counts["peers4"].networks, counts["peers4"].routes) == (3001, 6002)
    assert (counts["peers6"].networks, counts["peers6"].routes) == (801, 1602)
    assert lab.kernel() == {Family.IPV4: {(bytes(4), 0): "a"}, Family.IPV6: {(bytes(16), 0): "a"}}


def test_bird_chooses_the_upstream_that_the_table_says(lab: RunningLab) -> None:
    table = lab.table()
    letters = {peer.address: peer.letter for peer in PEERS} | {peer.address6: peer.letter for peer in PEERS}
    for family, name in zip(FAMILIES, ("peers4", "peers6"), strict=True):
        said = bird.ask(lab.layout, f"show route table {name} primary") or ""
        chosen: dict[str, str] = {}
        prefix = ""
        for line in said.splitlines():
            words = line.split()
            if "/" in line.partition(" ")[0]:
                prefix = words[0]
            elif words[:1] == ["via"]:
                chosen[prefix] = letters[words[1]]
        entries = table.families[family]
        assert len(chosen) == len(entries) + 1
        wrong = [
            format_prefix(entries.prefix(index))
            for index in range(len(entries))
            if chosen[format_prefix(entries.prefix(index))] != "ab"[table.paths.best(entries.paths[index])]
        ]
        assert wrong == []


def test_packets_follow_the_default_route_and_a_route_of_the_kernel(lab: RunningLab) -> None:
    lab.tell("receiver-a", "reset")
    lab.tell("receiver-b", "reset")
    drawn = draw_destinations(lab.table(), 500, lab.layout.seed)
    popular = next(destination for destination in drawn if destination.family is Family.IPV4)
    target = format_address(popular.address)
    lab.inside("switch", "ip", "route", "add", f"{target}/32", "via", "10.0.0.135")
    lab.start("traffic")
    try:
        until("packets at both peers", lambda: lab.tell("receiver-b", "status")["packets"] > 5, 20)
        assert set(lab.tell("receiver-b", "counts")) == {target}
        until("many at the other", lambda: lab.tell("receiver-a", "status")["destinations"] > 200, 20)
        assert target not in lab.tell("receiver-a", "counts")
        assert {":" in address for address in lab.tell("receiver-a", "counts")} == {True, False}
    finally:
        processes.stop(lab.layout, "traffic")
        lab.inside("switch", "ip", "route", "del", f"{target}/32", "via", "10.0.0.135")


def test_the_agent_tells_the_sampling_rate_and_the_length_of_real_packets(lab: RunningLab, tmp_path: Path) -> None:
    capture = tmp_path / "datagrams"
    program = (
        "import socket,sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "sock.bind(('127.0.0.1', 6343))\n"
        "sock.settimeout(20)\n"
        "with open(sys.argv[1], 'wb') as file:\n"
        "    for _ in range(60):\n"
        "        data = sock.recv(65535)\n"
        "        file.write(len(data).to_bytes(4, 'big') + data)\n"
    )
    namespace = lab.layout.namespace("switch")
    listener = subprocess.Popen(["ip", "netns", "exec", namespace, "python3", "-c", program, str(capture)])
    lab.start("traffic")
    try:
        assert listener.wait(30) == 0
    finally:
        listener.kill()
        listener.wait()
        processes.stop(lab.layout, "traffic")
    lengths, destinations = set(), set()
    data = capture.read_bytes()
    while data:
        size = int.from_bytes(data[:4], "big")
        datagram = decode(data[4 : 4 + size])
        data = data[4 + size :]
        assert format_address(datagram.agent) == SWITCH
        assert datagram.error is None
        for sample in datagram.samples:
            assert isinstance(sample, FlowSample)
            assert sample.rate == SAMPLING
            lengths.add(sample.frame_length)
            destinations.add(sample.destination)
    # UDP payloads of 100, 576 and 1400 octets, in IPv4 and IPv6, with Ethernet header and FCS
    assert lengths == {payload + 8 + ip + 18 for payload in (100, 576, 1400) for ip in (20, 40)}
    drawn = {destination.address for destination in draw_destinations(lab.table(), 500, lab.layout.seed)}
    assert destinations <= drawn
    assert len(destinations) > 50


def test_changes_of_an_upstream_reach_bird_and_the_judge(lab: RunningLab) -> None:
    table = lab.table()
    entries = table.families[Family.IPV4]
    index = next(n for n in range(len(entries)) if table.paths.best(entries.paths[n]) == 0 and entries.lengths[n] == 24)
    prefix = format_prefix(entries.prefix(index))
    lab.tell("upstream-b", "announce", prefix, "better")
    until(
        "BIRD to change its choice",
        lambda: "10.0.0.135" in (bird.ask(lab.layout, f"show route {prefix} table peers4 primary") or ""),
        10,
    )
    judge = Judge(
        table, {peer.letter: Told.read(lab.layout.journal(peer)) for peer in PEERS}, default_ranks(lab.layout.default)
    )
    inside = entries.addresses[index] + 1
    assert judge.wants(inside.to_bytes(4, "big"), time.monotonic_ns()) == {"b"}
    lab.tell("upstream-b", "restore")
    until(
        "BIRD to change it back",
        lambda: "10.0.0.134" in (bird.ask(lab.layout, f"show route {prefix} table peers4 primary") or ""),
        10,
    )


def test_up_is_safe_to_repeat_and_starts_what_has_died(lab: RunningLab) -> None:
    before = {name: processes.running(lab.layout, name) for name in processes.noted(lab.layout)}
    lab.kill("receiver-b")
    lab.up()
    after = {name: processes.running(lab.layout, name) for name in processes.noted(lab.layout)}
    assert None not in after.values()
    assert {name for name in before if before[name] != after[name]} <= {"receiver-b", "traffic"}


def test_down_leaves_nothing_even_after_crashes_and_may_be_repeated() -> None:
    lab = RunningLab(ipv4=300, ipv6=100, without=("arm",))
    with lab:
        pids = [processes.running(lab.layout, name) for name in processes.noted(lab.layout)]
        inside = [pid for namespace in lab.layout.namespaces for pid in network.processes(namespace)]
        assert len(pids) == 7
        lab.kill("bird")
        lab.kill("agent")  # leaves its plugin process behind
        lab.kill("upstream-a")
    assert not lab.layout.run.exists()
    assert not set(lab.layout.namespaces) & network.existing()
    assert [pid for pid in {*pids, *inside} if pid and processes.started_at(pid) is not None] == []
    assembly.down(lab.layout, lab.said.append)


def test_two_labs_do_not_meet(lab: RunningLab) -> None:
    with RunningLab(ipv4=200, ipv6=60, seed=4, without=("arm", "agent", "traffic")) as other:
        assert not set(lab.layout.namespaces) & set(other.layout.namespaces)
        assert bird.tables(other.layout)["peers4"].networks == 201
        assert bird.tables(lab.layout)["peers4"].networks == 3001


def test_the_namespaces_have_no_way_out(lab: RunningLab) -> None:
    interfaces = {
        name: set(lab.inside(name, "ls", "/sys/class/net").split()) for name in ("peer-a", "peer-b", "switch", "client")
    }
    assert interfaces == {
        "peer-a": {"lo", "switch"},
        "peer-b": {"lo", "switch"},
        "client": {"lo", "switch"},
        "switch": {"lo", "client", "peer-a", "peer-b"},
    }


def test_a_prefix_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Layout(run=tmp_path, bird_conf=tmp_path, prefix="../x")
