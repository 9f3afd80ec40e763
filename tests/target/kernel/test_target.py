"""The target with its thread: plans in, events out, a kernel that refuses, a kernel that does not answer."""

import errno
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fake_kernel import RefusingChannel
from injection import InjectedError, every_line
from namespaces import Events, attributes, plan, put, wait_for

from arm.config import TargetConfig
from arm.model import (
    FAMILIES,
    Capacity,
    Change,
    Drift,
    Entry,
    Family,
    Kind,
    Plan,
    Reason,
    TargetDown,
    TargetUp,
    parse_address,
    parse_prefix,
)
from arm.target.kernel import KernelSettings, KernelTarget, settings_of
from arm.target.kernel.capacity import Reading
from arm.target.kernel.hardware import DevlinkReader

pytestmark = pytest.mark.root

Q4 = "198.51.100.0/24"


class Refuser:
    """Wraps the channels of all sessions of one target."""

    def __init__(self) -> None:
        self.verdict = lambda prefix, install: 0
        self.channels: list[RefusingChannel] = []

    def __call__(self, channel) -> RefusingChannel:
        made = RefusingChannel(channel, lambda prefix, install: self.verdict(prefix, install))
        self.channels.append(made)
        return made


@pytest.fixture
def refuser() -> Refuser:
    return Refuser()


@pytest.fixture
def target(switch, events, refuser) -> Iterator[KernelTarget]:
    made = KernelTarget(KernelSettings(netns=switch.name), find=lambda: None, wrap=refuser)
    made.start(events.append)
    wait_for(lambda: events.of(TargetUp))
    yield made
    made.stop(flush=True)


def capacities(events):
    """Words about a number of slots that is known."""
    return [event for event in events.of(Capacity) if event.slots is not None]


def do(target: KernelTarget, events: Events, wanted: Plan):
    target.apply(wanted)
    wait_for(lambda: events.applied(wanted.number))
    return events.applied(wanted.number)


def many(count: int, start: int = 0) -> Plan:
    entry = Entry(Kind.ROUTE, attributes("10.0.1.2"))
    return plan(
        *(Change((bytes([20, n >> 8 & 255, n & 255, 0]), 24), entry, Reason.NEW) for n in range(start, start + count))
    )


def test_plans_are_applied_in_their_order_and_the_status_tells(switch, target, events):
    assert events.of(TargetUp)[0].found == {}
    assert do(target, events, plan(put(Q4, "10.0.1.2"))).failed == []
    assert do(target, events, plan(put(Q4, "10.0.2.2"))).done == 1
    assert switch.leads_to("198.51.100.7") == "d2"
    wait_for(lambda: target.status().counters.get("routes_written") == 2)
    status = target.status()
    assert (status.up, status.pending, status.applied, status.failed) == (True, 0, 2, 0)
    assert status.counters["routes_installed"] == 1


@pytest.mark.parametrize(("flush", "left"), [(False, {Q4}), (True, set())])
def test_stop_keeps_or_flushes(switch, target, events, flush, left):
    do(target, events, plan(put(Q4, "10.0.1.2")))
    target.stop(flush=flush)
    assert switch.own().keys() == left
    assert not any(thread.name.startswith("target-") for thread in threading.enumerate())


def test_a_next_hop_that_goes_is_followed_without_any_plan(switch, target, events):
    do(target, events, plan(put(Q4, "10.0.1.2")))
    switch.carrier(1, up=False)
    wait_for(lambda: target.status().counters.get("next_hops_down") == 1)
    assert "next hop 10.0.1.2 cannot be reached: d1 has no carrier" in target.status().remarks
    switch.carrier(1, up=True)
    wait_for(lambda: target.status().counters.get("next_hops_down") == 0)


@pytest.mark.parametrize(
    ("family", "prefix", "hop", "other"),
    [("-4", Q4, "10.0.1.2", "10.0.2.2"), ("-6", "2001:db8:1::/48", "fd00:1::2", "fd00:2::2")],
    ids=["IPv4", "IPv6"],
)
@pytest.mark.parametrize("how", ["del {} metric 32", "replace {} via {} metric 32 proto 210"])
def test_a_removed_or_changed_route_is_back_within_a_second_and_told(
    switch, target, events, family, prefix, hop, other, how
):
    do(target, events, plan(put(prefix, hop)))
    own = switch.own()
    switch.ip(family, "route", how.format(prefix, other))
    wait_for(lambda: events.of(Drift) and switch.own() == own, seconds=1.0)
    assert [(event.prefix, event.installed) for event in events.of(Drift)] == [(parse_prefix(prefix), True)]
    wait_for(lambda: target.status().counters["routes_restored"] == 1)


def test_five_thousand_routes_that_something_removed_are_all_put_back(switch, target, events):
    assert do(target, events, many(5000)).failed == []
    own = switch.own()
    gone = "".join(f"route del {prefix} metric 32\n" for prefix in own)
    subprocess.run(["ip", "-n", switch.name, "-batch", "-"], input=gone, text=True, check=True)
    wait_for(lambda: target.status().counters["routes_restored"] == 5000)
    assert switch.own() == own
    assert target.status().counters["routes_lost"] == 0


def test_a_kernel_that_refuses_every_100th_route_gets_the_others_and_is_asked_once(switch, target, events, refuser):
    asked = 0

    def verdict(prefix, install):
        nonlocal asked
        asked += install
        return errno.ENOSPC if install and asked % 100 == 0 else 0

    refuser.verdict = verdict
    applied = do(target, events, many(2000))
    assert (applied.done, len(applied.failed)) == (1980, 20)
    assert all(reason.startswith("ENOSPC") for _, reason in applied.failed)
    assert len(switch.own()) == 1980
    assert asked == 2000
    wait_for(lambda: target.status().counters.get("routes_refused_for_room") == 20)
    assert not capacities(events)  # a hundred others found room after each
    wait_for(lambda: any("20 route changes were refused" in remark for remark in target.status().remarks))


def test_a_kernel_that_is_full_at_7300_settles_there(switch, target, events, refuser):
    installed = set()

    def verdict(prefix, install):
        if install and prefix not in installed and len(installed) >= 7300:
            return errno.ENOSPC
        (installed.add if install else installed.discard)(prefix)
        return 0

    refuser.verdict = verdict
    applied = do(target, events, many(7400))
    assert applied.done == 7300
    wait_for(lambda: capacities(events))
    assert [(event.family, event.slots, event.source) for event in capacities(events)] == [
        (Family.IPV4, 7300, "refused")
    ]
    assert len(switch.own()) == 7300
    wait_for(lambda: any("the hardware is full: IPv4" in remark for remark in target.status().remarks))
    asked = refuser.channels[-1].asked
    wait_for(lambda: target.status().counters.get("routes_installed") == 7300)
    assert refuser.channels[-1].asked == asked  # no retry storm: the engine decides what to try, and when


def test_a_lost_answer_takes_the_target_down_and_up_again_with_what_is_really_there(switch, target, events, refuser):
    do(target, events, plan(put(Q4, "10.0.1.2")))

    def fail(prefix, install):
        raise OSError(errno.ENOBUFS, "no buffer space available")

    refuser.verdict = fail
    target.apply(plan(put("203.0.113.0/24", "10.0.1.2")))
    wait_for(lambda: events.of(TargetDown))
    refuser.verdict = lambda prefix, install: 0
    wait_for(lambda: len(events.of(TargetUp)) == 2)
    assert events.of(TargetUp)[1].found.keys() == {parse_prefix(Q4)}
    assert [event.epoch for event in events.of(TargetUp)] == [1, 2]
    late, made_anew = plan(put("192.0.2.0/24", "10.0.1.2")), plan(put("203.0.113.0/24", "10.0.1.2"))
    target.apply(replace(late, epoch=1))
    assert do(target, events, replace(made_anew, epoch=2)).failed == []
    assert events.applied(late.number) is None
    assert switch.own().keys() == {Q4, "203.0.113.0/24"}


def test_it_tells_what_the_kernel_holds_by_the_next_hop_that_each_route_stands_for(switch, target, events):
    do(target, events, plan(put(Q4, "10.0.1.2"), put("2001:db8::/32", "fd00:2::2")))
    switch.ip("route add 203.0.113.0/24 via 10.0.2.2 proto static")
    holding = target.holding()
    assert holding.source == "read from the kernel"
    assert holding.routes == {
        parse_prefix(Q4): parse_address("10.0.1.2"),
        parse_prefix("2001:db8::/32"): parse_address("fd00:2::2"),
    }
    switch.carrier(1, up=False)
    wait_for(lambda: switch.leads_to("198.51.100.7") == "d0")
    assert target.holding().routes == holding.routes  # they lead elsewhere for now


def test_what_the_hardware_says_of_its_tables_reaches_the_engine(switch, events):
    class Reader:
        def read(self):
            return {Family.IPV4: Reading(10, 1000, "switchd")}

    target = KernelTarget(KernelSettings(netns=switch.name), find=Reader)
    target.start(events.append)
    try:
        wait_for(lambda: capacities(events))
    finally:
        target.stop(flush=True)
    assert [(e.family, e.slots, e.used, e.source) for e in capacities(events)] == [(Family.IPV4, 980, 10, "switchd")]


class SilentReader:
    """A switch that says nothing of its tables."""

    def read(self):
        return {}


def test_an_error_at_any_line_of_the_targets_threads_is_told_and_the_target_is_down(switch, monkeypatch):
    monkeypatch.setattr("arm.target.kernel.target.CAPACITY_SECONDS", 0.005)
    functions = (KernelTarget._session, KernelTarget._work, KernelTarget._apply, KernelTarget._read_capacity)
    reader_fails = []

    def start(on_failure):
        events = Events()

        def failed(error):
            reader_fails.append(threading.current_thread().name == "target-capacity")
            if not reader_fails[-1]:
                assert not target.status().up
                assert target.status().reason.startswith("a mistake in ARM itself: InjectedError")
                assert isinstance(events[-1], TargetDown)
            on_failure(error)

        target = KernelTarget(KernelSettings(netns=switch.name), find=SilentReader, on_failure=failed)
        target.start(events.append)
        return lambda: target.apply(plan(put(Q4, "10.0.1.2"))), lambda: target.stop(flush=False)

    lines, fired = every_line(functions, start)
    assert lines > 35
    assert fired >= 0.8 * lines
    assert set(reader_fails) == {True, False}


def test_a_target_that_failed_says_that_its_routes_stay(switch, events, caplog):
    def wrap(channel):
        raise InjectedError("a bug")

    failures = []
    target = KernelTarget(KernelSettings(netns=switch.name), find=lambda: None, wrap=wrap, on_failure=failures.append)
    target.start(events.append)
    wait_for(lambda: failures)
    target.stop(flush=True)
    assert "routes not flushed" in caplog.text


def test_hardware_that_cannot_be_understood_is_asked_again_and_logged_once(switch, events, caplog, monkeypatch):
    monkeypatch.setattr("arm.target.kernel.target.CAPACITY_SECONDS", 0.005)
    asked = []

    def ask(command):
        asked.append(command)
        return "[]" if len(asked) < 20 else '{"dev": {"a": 1}, "resources": {"a": []}}'

    target = KernelTarget(KernelSettings(netns=switch.name), find=lambda: DevlinkReader(ask))
    target.start(events.append)
    try:
        wait_for(lambda: len(asked) > 25)
    finally:
        target.stop(flush=True)
    assert caplog.text.count("hardware does not tell its capacity") == 1


class Stuck:
    """A kernel that does not answer while it is closed."""

    def __init__(self, channel, gate) -> None:
        self._channel = channel
        self._gate = gate
        self.reserve, self.request, self.dump = channel.reserve, channel.request, channel.dump

    def execute(self, packed, first):
        assert self._gate.wait(60.0)
        return self._channel.execute(packed, first)


@pytest.fixture
def stuck(switch, events, monkeypatch):
    """A target, and the gate in front of its kernel, open."""
    monkeypatch.setattr("arm.target.kernel.target.PENDING_LIMIT", 100)
    gate = threading.Event()
    gate.set()
    made = KernelTarget(KernelSettings(netns=switch.name), find=lambda: None, wrap=lambda channel: Stuck(channel, gate))
    made.start(events.append)
    wait_for(lambda: events.of(TargetUp))
    yield made, gate
    gate.set()
    made.stop(flush=True)


def test_what_waits_for_a_kernel_that_hangs_is_bounded_and_it_is_read_anew_when_it_answers(switch, events, stuck):
    target, gate = stuck
    do(target, events, replace(many(5), epoch=1))
    gate.clear()
    for number in range(2000):
        target.apply(replace(many(10, start=10 * number), epoch=1))
        assert target.status().pending <= 110
    status = target.status()
    assert not status.up
    assert status.reason == "the kernel takes changes slower than they come: it is read anew"
    assert len(events.of(TargetDown)) == 1
    gate.set()
    wait_for(lambda: len(events.of(TargetUp)) == 2)
    up = events.of(TargetUp)[1]
    assert up.epoch == 2
    assert {f"{'.'.join(map(str, address))}/{length}" for address, length in up.found} == switch.own().keys()
    assert target.status().up
    assert target.status().pending == 0
    target.apply(replace(many(10, start=500), epoch=1))  # planned before the kernel was read
    assert do(target, events, replace(plan(put(Q4, "10.0.1.2")), epoch=2)).failed == []
    assert Q4 in switch.own()


def test_a_target_that_is_behind_still_flushes_when_it_stops(switch, events, stuck):
    target, gate = stuck
    do(target, events, replace(many(5), epoch=1))
    gate.clear()
    for number in range(30):
        target.apply(replace(many(10, start=10 * number), epoch=1))
    wait_for(lambda: events.of(TargetDown))
    stopping = threading.Thread(target=target.stop, kwargs={"flush": True})
    stopping.start()
    gate.set()
    stopping.join(10.0)
    assert not stopping.is_alive()
    assert switch.own() == {}


def test_a_kernel_that_hangs_for_ever_does_not_hold_up_the_stop(switch, events, stuck, monkeypatch, caplog):
    monkeypatch.setattr("arm.target.kernel.target.STOP_SECONDS", 0.1)
    target, gate = stuck
    gate.clear()
    target.apply(replace(many(5), epoch=1))
    target.stop(flush=True)
    assert "the kernel holds it" in caplog.text


def test_the_configuration_becomes_the_settings(switch):
    settings = settings_of(
        TargetConfig(kind="kernel", table=1001, metric=7, protocol=211, prefixes=5, prefixes6=6, backup=False)
    )
    assert (settings.table, settings.metric, settings.protocol) == (1001, 7, 211)
    assert not settings.backup
    assert [settings.slots[family] for family in FAMILIES] == [5, 6]
