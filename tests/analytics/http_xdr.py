"""HTTP records as the sFlow HTTP Structures specification has them, by an XDR encoder (RFC 4506) of the tests' own.

Nothing of the program is used: what one of them misreads the other notices.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

METHODS = {
    name: number
    for number, name in enumerate(("OTHER", "OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"))
}


def uint(value: int) -> bytes:
    return struct.pack(">I", value)


def hyper(value: int) -> bytes:
    return struct.pack(">Q", value)


def string(value: bytes | str) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    return uint(len(octets)) + octets + bytes((4 - len(octets) % 4) % 4)


@dataclass(frozen=True)
class Request:
    """A request as the server saw it."""

    method: str = "GET"
    protocol: int = 1001
    url: str = "/"
    host: str = "www.example.com"
    referer: str = ""
    useragent: str = "curl/7.88"
    xff: str = ""
    authuser: str = ""
    mimetype: str = "text/html"
    req_bytes: int = 100
    resp_bytes: int = 1000
    duration: int = 500
    status: int = 200

    def record(self) -> bytes:
        """Flow record 2206, http_request."""
        data = uint(METHODS[self.method]) + uint(self.protocol) + string(self.url) + string(self.host)
        data += string(self.referer) + string(self.useragent) + string(self.xff) + string(self.authuser)
        data += string(self.mimetype) + hyper(self.req_bytes) + hyper(self.resp_bytes)
        return framed(2206, data + uint(self.duration) + struct.pack(">i", self.status))

    def old_record(self) -> bytes:
        """Flow record 2201, its older form: no X-Forwarded-For, and only the octets of the response."""
        data = uint(METHODS[self.method]) + uint(self.protocol) + string(self.url) + string(self.host)
        data += string(self.referer) + string(self.useragent) + string(self.authuser) + string(self.mimetype)
        return framed(2201, data + hyper(self.resp_bytes) + uint(self.duration) + struct.pack(">i", self.status))


def sockets(local: str, local_port: int, remote: str, remote_port: int, *, proxy: bool = False) -> bytes:
    """Flow record 2100 or 2101 (extended_socket), 2102 or 2103 (extended_proxy_socket)."""
    ours, theirs = ipaddress.ip_address(local), ipaddress.ip_address(remote)
    kind = 2100 + 2 * proxy + (ours.version == 6)
    return framed(kind, uint(6) + ours.packed + theirs.packed + uint(local_port) + uint(remote_port))


def framed(kind: int, data: bytes) -> bytes:
    """A record of sFlow's own enterprise, with its format and length."""
    return uint(kind) + uint(len(data)) + data


def flow_sample(records: Sequence[bytes], *, sequence: int, rate: int, source: int = 3 << 24 | 80) -> bytes:
    """A compact flow sample; the data source is the logical port 3.80 unless told otherwise."""
    data = uint(sequence) + uint(source) + uint(rate) + uint(rate * sequence) + uint(0) + uint(0) + uint(0x3FFFFFFF)
    return framed(1, data + uint(len(records)) + b"".join(records))


def counter_sample(records: Sequence[bytes], *, sequence: int, source: int = 3 << 24 | 80) -> bytes:
    """A compact counter sample."""
    return framed(2, uint(sequence) + uint(source) + uint(len(records)) + b"".join(records))


def datagram(samples: Sequence[bytes], *, sequence: int = 1, agent: str = "10.0.0.150") -> bytes:
    """A datagram of version 5."""
    head = uint(5) + uint(1) + ipaddress.IPv4Address(agent).packed + uint(0) + uint(sequence) + uint(sequence * 1000)
    return head + uint(len(samples)) + b"".join(samples)
