"""HTTP requests in flow samples, as keys and values.

A server (mod-sflow and others) samples whole requests: one record tells the request (2206, or 2201, its older form),
others tell the sockets of the connection (2100, 2101) and of the one behind a proxy (2102, 2103). Layouts are those of
sFlow HTTP Structures and sFlow Host Structures; strings are XDR's (RFC 4506, 4.11) and never longer than the
specification lets them be: what lies, or ends too early, raises ValueError and gives no key at all.
"""

from __future__ import annotations

import struct
from typing import Final

from arm.analytics.values import Value

REQUEST: Final = 2206
REQUEST_OLD: Final = 2201
_SOCKETS: Final = {2100: (4, ""), 2101: (16, ""), 2102: (4, "proxy"), 2103: (16, "proxy")}
FORMATS: Final = frozenset((REQUEST, REQUEST_OLD, *_SOCKETS))

METHODS: Final = ("OTHER", "OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT")

_TEXTS: Final = (
    ("httpurl", 255),
    ("httphost", 64),
    ("httpreferer", 255),
    ("httpuseragent", 128),
    ("httpxff", 64),
    ("httpauthuser", 32),
    ("httpmimetype", 64),
)
_TEXTS_OLD: Final = (
    ("httpurl", 255),
    ("httphost", 32),
    ("httpreferer", 255),
    ("httpuseragent", 64),
    ("httpauthuser", 32),
    ("httpmimetype", 32),
)
KEYS: Final = (
    *("protocol", "serveraddress", "serveraddress6", "serverport", "clientaddress", "clientaddress6", "clientport"),
    *("proxyprotocol", "proxyserveraddress", "proxyserveraddress6", "proxyserverport"),
    *("proxyclientaddress", "proxyclientaddress6", "proxyclientport"),
    *("httpmethod", "httpprotocol", *(name for name, _ in _TEXTS), "httpstatus"),
)
"""Every key that `read` may set."""
VALUES: Final = ("requests", "req_bytes", "resp_bytes", "duration", "bytes")


class Reader:
    """XDR items of a record, one after the other; ValueError where the record ends."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unsigned(self) -> int:
        """An unsigned integer of 32 bits."""
        return int.from_bytes(self.octets(4), "big")

    def hyper(self) -> int:
        """An unsigned integer of 64 bits."""
        return int.from_bytes(self.octets(8), "big")

    def octets(self, count: int) -> bytes:
        """Opaque data of a fixed length that is a multiple of four."""
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise ValueError("the record ends too early")
        self._at += count
        return found

    def text(self, most: int) -> str:
        """A string of at most `most` octets, with what is not UTF-8 in it made visible."""
        size = self.unsigned()
        if size > most:
            raise ValueError(f"a string of {size} octets where {most} are allowed")
        return self.octets(size + 3 & ~3)[:size].decode("utf-8", "backslashreplace")

    def floating(self) -> float:
        """A number of 32 bits (IEEE 754)."""
        found: float = struct.unpack(">f", self.octets(4))[0]
        return found


def read(out: dict[str, Value | None], kind: int, data: bytes) -> None:
    """Set the keys and values of one record of FORMATS; ValueError, and nothing set, if it is not whole."""
    found = _request(kind, data) if kind in (REQUEST, REQUEST_OLD) else _sockets(kind, data)
    out.update(found)


def _request(kind: int, data: bytes) -> dict[str, Value | None]:
    item = Reader(data)
    method, protocol = item.unsigned(), item.unsigned()
    found: dict[str, Value | None] = {
        "httpmethod": METHODS[method] if method < len(METHODS) else METHODS[0],
        "httpprotocol": protocol,
    }
    for name, most in _TEXTS if kind == REQUEST else _TEXTS_OLD:
        text = item.text(most)
        if text:  # an empty string stands for what the request did not have
            found[name] = text
    if kind == REQUEST:
        sent, received = item.hyper(), item.hyper()
        found["req_bytes"] = sent
        found["resp_bytes"] = received
        found["bytes"] = sent + received
    else:
        found["resp_bytes"] = found["bytes"] = item.hyper()
    found["duration"] = item.unsigned()
    found["httpstatus"] = item.unsigned()
    found["requests"] = 1
    return found


def _sockets(kind: int, data: bytes) -> dict[str, Value | None]:
    size, proxy = _SOCKETS[kind]
    item = Reader(data)
    protocol, local, remote = item.unsigned(), item.octets(size), item.octets(size)
    local_port, remote_port = item.unsigned(), item.unsigned()
    six = "6" if size == 16 else ""
    # the sampled server is the local end, and the client of the server behind it
    ours, theirs = ("client", "server") if proxy else ("server", "client")
    return {
        f"{proxy}protocol": protocol,
        f"{proxy}{ours}address{six}": local,
        f"{proxy}{theirs}address{six}": remote,
        f"{proxy}{ours}port": local_port,
        f"{proxy}{theirs}port": remote_port,
    }
