"""What the netlink sockets make of the kernel's answers, and of what only looks like one."""

import errno
import struct
import time

import pytest

from arm.model import parse_prefix
from arm.target.kernel import channel as module
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.channel import Channel, Monitor
from arm.target.kernel.messages import RouteWriter

PORT, STRANGER = 4711, 4712


class FakeSocket:
    """A netlink socket with a script: what comes, and from whom."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.script: list[tuple[bytes, int]] = []

    def bind(self, address) -> None: ...

    def close(self) -> None: ...

    def setblocking(self, flag) -> None: ...

    def setsockopt(self, *_) -> None: ...

    def getsockname(self):
        return PORT, 0

    def send(self, data) -> None:
        self.sent.append(bytes(data))

    def recv(self, size):
        return self.recvfrom(size)[0]

    def recvfrom(self, size):
        if not self.script:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        data, sender = self.script.pop(0)
        return data, (sender, 0)


@pytest.fixture
def fake(monkeypatch):
    made = FakeSocket()
    monkeypatch.setattr(module, "_open", lambda netns: made)
    return made


def reply(kind, sequence, payload=b"", flags=0):
    return nl.HEADER.pack(16 + len(payload), kind, flags, sequence, PORT) + payload + bytes(-len(payload) & 3)


def ack(sequence, code=0):
    return reply(nl.NLMSG_ERROR, sequence, struct.pack("=i", -code) + bytes(16))


def done(sequence, code=0):
    return reply(nl.NLMSG_DONE, sequence, struct.pack("=i", -code))


ROUTE = reply(nl.RTM_NEWROUTE, 1, bytes(12))


@pytest.mark.parametrize("whole", [done(1), reply(nl.NLMSG_DONE, 1)], ids=["with a code", "without"])
def test_a_dump_is_whole_when_the_kernel_says_so(fake, whole):
    fake.script = [(ROUTE, 0), (ROUTE + whole, 0)]
    assert Channel().dump(messages.dump_links()) == [ROUTE, ROUTE + whole]


@pytest.mark.parametrize("code", [errno.EMSGSIZE, errno.ENOMEM])
@pytest.mark.parametrize("before", [b"", ROUTE], ids=["alone", "behind a route"])
def test_a_dump_that_the_kernel_breaks_off_is_no_dump(fake, code, before):
    fake.script = [(ROUTE, 0), (before + done(1, code), 0)]
    with pytest.raises(OSError, match="broke off a dump") as raised:
        Channel().dump(messages.dump_links())
    assert raised.value.errno == code


def test_an_answer_that_never_comes_is_an_error_and_not_a_wait_without_end(fake):
    made = Channel()
    for ask in (lambda: made.request(nl.message(nl.RTM_NEWROUTE, 0, 0, b"")), lambda: made.dump(messages.dump_links())):
        with pytest.raises(TimeoutError, match="no answer within"):
            ask()
    fake.script = [(ack(1), 0)]  # that of a request that was given up
    with pytest.raises(TimeoutError):
        made.request(nl.message(nl.RTM_NEWROUTE, 0, 0, b""))


def test_what_another_process_sends_is_no_answer_and_no_notification(fake):
    fake.script = [(ack(1, errno.ENOSPC), STRANGER), (ack(1), 0)]
    made = Channel()
    assert made.request(nl.message(nl.RTM_NEWROUTE, 0, 0, b"")) is None
    fake.script = [(ROUTE + done(2), STRANGER), (done(2), 0)]
    assert made.dump(messages.dump_links()) == [done(2)]
    fake.script = [(ROUTE, STRANGER), (ROUTE, 0)]
    assert list(Monitor(ignore=PORT).read(10)) == [ROUTE]


def test_an_answer_that_is_cut_off_counts_as_lost(fake):
    fake.script = [(reply(nl.NLMSG_ERROR, 1), 0)]
    with pytest.raises(OSError, match="cut off"):
        Channel().request(nl.message(nl.RTM_NEWROUTE, 0, 0, b""))


@pytest.mark.root
def test_the_real_socket_gives_up_in_time(switch, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    made = Channel(switch.name)
    try:
        writer = RouteWriter(table=254, metric=32, protocol=210)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            # the kernel answers another number than the one that is waited for
            made.execute([writer.remove(parse_prefix("192.0.2.0/24"), 7)], 9)
        assert time.monotonic() - began < 5.0
        (refused,) = made.execute([writer.remove(parse_prefix("192.0.2.0/24"), 10)], 10).values()
        assert refused.number == errno.ESRCH
    finally:
        made.close()


@pytest.mark.root
def test_a_message_of_another_socket_reaches_neither_the_channel_nor_the_monitor(switch):
    made, stranger = Channel(switch.name), module._open(switch.name)
    monitor = Monitor(ignore=made.port, netns=switch.name)
    try:
        listening = monitor._socket.getsockname()[0]
        for port in (made.port, listening):
            stranger.sendto(ack(1, errno.ENOSPC) + ROUTE, (port, 0))
        assert made.request(nl.message(nl.RTM_GETLINK, 0, 0, messages.LINK_BODY.pack(0, 0, 1, 0, 0))) is None
        assert list(monitor.read(10)) == []
    finally:
        for one in (made, monitor, stranger):
            one.close()
