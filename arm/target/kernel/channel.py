"""The two netlink sockets of the kernel target: one that asks, one that listens.

`Channel` sends requests and waits for what the kernel says. Many requests go in one buffer; the kernel carries them
out one after the other, goes on after one that fails, answers each failure with its sequence number, and the last one
of the buffer in any case. So the answers to a buffer are complete when the last one's is there.

An answer counts if the kernel sent it (port id 0), and has to come within ANSWER_SECONDS: the kernel carries requests
out while they are sent, so what has not come by then is lost.

`Monitor` reads what changes. What the channel itself changes is filtered out by the kernel (a socket filter on the
sender's port id, linux/filter.h): a hundred thousand routes of ARM's own make not one notification to read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pyroute2.netns import create_socket

from arm.target.kernel import netlink as nl

SO_RCVTIMEO = 20
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 1, 10, 11, 12

READ_SIZE = 1 << 18
REQUEST_BUFFER = 8 << 20
"""Octets: holds the answers to a buffer of requests that all fail."""
MONITOR_BUFFER = 64 << 20
DUMP_ATTEMPTS = 5
ANSWER_SECONDS = 10.0
KERNEL = 0
"""Port id of the kernel, as the sender of a message."""
FIRST_SEQUENCE, LAST_SEQUENCE = 1, 1 << 31


class Requests(Protocol):
    """What the rest of the kernel target needs of a channel; tests put a refusing kernel in between."""

    def reserve(self, count: int) -> int:
        """First of `count` sequence numbers in a row."""
        ...

    def execute(self, messages: Sequence[bytes], first: int) -> Mapping[int, nl.Refusal]:
        """Carry out requests numbered from `first`; what was refused, by position. OSError if the answer is lost."""
        ...

    def request(self, message: bytes) -> nl.Refusal | None:
        """Carry out one request, whatever its sequence number."""
        ...

    def dump(self, request: bytes) -> list[bytes]:
        """The buffers of a consistent dump."""
        ...


def _open(netns: str | None) -> socket.socket:
    """A bound NETLINK_ROUTE socket; `netns` names another network namespace than the process's own."""
    made: socket.socket = create_socket(netns, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE, flags=0)
    made.bind((0, 0))
    return made


def _receive_buffer(sock: socket.socket, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


class Channel:
    """Requests and their answers. One thread at a time."""

    def __init__(self, netns: str | None = None) -> None:
        self._socket = _open(netns)
        _receive_buffer(self._socket, REQUEST_BUFFER)
        whole, rest = divmod(round(ANSWER_SECONDS * 1e6), 1_000_000)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVTIMEO, struct.pack("@ll", whole, rest))
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._sequence = FIRST_SEQUENCE
        self.interrupted = False
        self.port: int = self._socket.getsockname()[0]
        """What notifications of this channel's changes carry as their sender."""

    def close(self) -> None:
        self._socket.close()

    def reserve(self, count: int) -> int:
        if self._sequence + count > LAST_SEQUENCE:
            self._sequence = FIRST_SEQUENCE
        first = self._sequence
        self._sequence += count
        return first

    def execute(self, messages: Sequence[bytes], first: int) -> Mapping[int, nl.Refusal]:
        if not messages:
            return {}
        self._socket.send(b"".join([*messages[:-1], nl.acknowledged(messages[-1])]))
        refused: dict[int, nl.Refusal] = {}
        final = first + len(messages) - 1
        while True:
            data = self._receive()
            for kind, flags, sequence, _, start, end in nl.frames(data):
                if kind != nl.NLMSG_ERROR or not first <= sequence <= final:
                    continue  # the answer to a request that was given up
                if (what := nl.refusal(data, flags, start, end)) is not None:
                    refused[sequence - first] = what
                if sequence == final:
                    return refused

    def request(self, message: bytes) -> nl.Refusal | None:
        first = self.reserve(1)
        return self.execute([nl.numbered(message, first)], first).get(0)

    def _receive(self) -> bytes:
        """The next buffer of the kernel's; TimeoutError if there is none in time."""
        while True:
            try:
                data, (sender, _) = self._socket.recvfrom(READ_SIZE)
            except BlockingIOError:
                raise TimeoutError(errno.ETIMEDOUT, f"no answer within {ANSWER_SECONDS:.0f} seconds") from None
            if sender == KERNEL:
                return bytes(data)

    def dump(self, request: bytes) -> list[bytes]:
        """Repeats a dump that the kernel marks as inconsistent; the last attempt counts, for it is repaired later."""
        buffers: list[bytes] = []
        for _ in range(DUMP_ATTEMPTS):
            buffers = list(self.stream(request))
            if not self.interrupted:
                break
        return buffers

    def stream(self, request: bytes) -> Iterator[bytes]:
        """The buffers of a dump as they come; nothing else may be asked meanwhile.

        `interrupted` is true afterwards if the table changed while it was read. OSError if the kernel refuses, or if it
        breaks off: what came until then is not the whole.
        """
        sequence = self.reserve(1)
        self._socket.send(nl.numbered(request, sequence))
        self.interrupted = False
        while True:
            data = self._receive()
            done = False
            for kind, flags, of, _, start, end in nl.frames(data):
                if of != sequence:
                    break  # of a dump that was given up
                self.interrupted = self.interrupted or bool(flags & nl.NLM_F_DUMP_INTR)
                done = done or kind == nl.NLMSG_DONE
                if kind == nl.NLMSG_ERROR and (what := nl.refusal(data, flags, start, end)) is not None:
                    raise OSError(what.number, str(what))
                if kind == nl.NLMSG_DONE and (code := nl.done_error(data, start, end)):
                    raise OSError(code, f"the kernel broke off a dump: {os.strerror(code).lower()}")
            else:
                yield data
            if done:
                return


class OverrunError(Exception):
    """Notifications were lost: what is known of the kernel has to be read anew."""


class Monitor:
    """Notifications of what others change."""

    def __init__(self, *, ignore: int, netns: str | None = None) -> None:
        """`ignore` is the port id whose changes are not shown: that of the channel."""
        self._socket = _open(netns)
        self._socket.setblocking(False)
        _receive_buffer(self._socket, MONITOR_BUFFER)
        _drop_sender(self._socket, ignore)
        for group in nl.GROUPS:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self, most: int) -> Iterator[bytes]:
        """Up to `most` buffers that are there; OverrunError if the kernel had to drop some."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(most):
                try:
                    data, (sender, _) = self._socket.recvfrom(READ_SIZE)
                except OSError as error:
                    if error.errno == errno.ENOBUFS:
                        raise OverrunError from None
                    raise
                if sender == KERNEL:
                    yield data


def _drop_sender(sock: socket.socket, port: int) -> None:
    """Attach a classic BPF program that keeps every message but those whose nlmsg_pid is `port`."""
    wanted = int.from_bytes(port.to_bytes(4, "little" if struct.pack("=H", 1)[0] else "big"), "big")
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 12),  # load the word at offset 12 of the header, in network order
            (0x15, 0, 1, wanted),  # equal? go on, else skip one
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # keep it whole
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(buffer)))
