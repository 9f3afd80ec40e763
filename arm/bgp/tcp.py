"""Sockets as BGP wants them: one form of addresses, no Nagle, room in the buffers, TCP MD5 signatures (RFC 2385)."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final

from arm.model import format_address, parse_address

SEND_BUFFER: Final = 4 * 1024 * 1024
"""Octets, some 100,000 routes: a whole plan fits."""
RECEIVE_BUFFER: Final = 64 * 1024
"""Octets. A peer that has to wait puts more prefixes into each UPDATE: a full table came from BIRD in 36 to 43 MB, with
a buffer of four megabytes in 46 to 53 MB, which was a tenth more work for ARM."""
BACKLOG: Final = 64

_TCP_MD5SIG: Final = 14
_MD5_KEY_LIMIT: Final = 80
_MAPPED: Final = bytes(10) + b"\xff\xff"


def canonical(address: str) -> str:
    """One text for one address: no zone, no IPv4-mapped IPv6, IPv6 as RFC 5952 writes it; ValueError if it is none."""
    packed = parse_address(address.partition("%")[0])
    if packed.startswith(_MAPPED):
        packed = packed[12:]
    return format_address(packed)


def prepare(sock: socket.socket) -> None:
    """Options of a session's socket: non-blocking, small messages at once, room for what is to be sent."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # the system's limits may be tighter; then it is slower, not wrong
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def bind_device(sock: socket.socket, device: str | None) -> None:
    """Keep a socket without an address to one device, such as a VRF's; OSError if there is no such device."""
    if device is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")


def listen(address: str, port: int, *, device: str | None = None) -> socket.socket:
    """A listening socket, IPv6 without IPv4 so that the two can stand side by side; OSError as bind has it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bind_device(sock, device)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def sign(sock: socket.socket, address: str, password: str) -> bool:
    """Sign segments to this address, and take only signed ones from it (TCP_MD5SIG).

    False if the socket's family can not reach the address. ValueError for a key of more than 80 octets, OSError if the
    kernel has no signatures.
    """
    key = password.encode()
    if not 0 < len(key) <= _MD5_KEY_LIMIT:
        raise ValueError(f"a TCP MD5 password has 1 to {_MD5_KEY_LIMIT} octets, not {len(key)}")
    packed = parse_address(address)
    if sock.family == socket.AF_INET:
        if len(packed) != 4:
            return False
        sockaddr = struct.pack("=HH4s", socket.AF_INET, 0, packed)
    else:
        if len(packed) == 4:
            if sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                return False
            packed = _MAPPED + packed
        sockaddr = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    # struct tcp_md5sig: sockaddr_storage, flags, prefix length, key length, interface, key
    option = struct.pack("=128sBBHI80s", sockaddr, 0, 0, len(key), 0, key)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, option)
    return True
