"""One sampled packet or request of any shape as a mapping from flow keys to values.

A key that the sample does not have is None, or not there. `plain` has a short way for the samples of nearly every
agent; what it does not take goes this way.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from arm.analytics import headers, http
from arm.analytics.values import Value
from arm.sflow.datagram import (
    FLOW_COMPACT_SIZE,
    FLOW_EXPANDED_SIZE,
    FLOW_SAMPLE,
    RAW_HEADER,
    SAMPLED_ETHERNET,
    SAMPLED_IPV4,
    SAMPLED_IPV6,
    DatagramError,
    raw_header,
    records,
)
from arm.sflow.datagram import Sample as Walked

_COUNT: Final = struct.Struct(">I").unpack_from
_COMPACT: Final = struct.Struct(">III").unpack_from
_EXPANDED: Final = struct.Struct(">QQI").unpack_from
_SWITCH: Final = struct.Struct(">IIII").unpack_from
_IP_TAIL: Final = struct.Struct(">II").unpack_from
_EXTENDED_SWITCH: Final = 1001
_UNKNOWN_INTERFACE: Final = frozenset((0, 0x3FFFFFFF))

MOST_VALUE: Final = 1 << 40
"""Octets, or anything else, that one sample may stand for: more is an agent's mistake."""

KEYS: Final = ("agent", "inputifindex", "outputifindex", "direction", *headers.KEYS, *http.KEYS)
"""Keys that a sample itself can have."""
VALUES: Final = ("bytes", "frames", "requests", "req_bytes", "resp_bytes", "duration")
AMOUNTS: Final = {name: f"\0{name}" for name in VALUES}
"""Names of what a sample stands for: the value times the sampling rate. No key of a definition can be spelled so."""


def input_interface(word: int) -> int | None:
    """The ifIndex of an input interface, None if the agent did not know it; `word` is format << 32 | value."""
    return None if word >> 32 or word in _UNKNOWN_INTERFACE else word


def output_interface(word: int) -> int | str | None:
    """The same of an output interface, or what became of the packet instead (sFlow version 5, interface format)."""
    kind = word >> 32
    if kind == 0:
        return None if word in _UNKNOWN_INTERFACE else word
    return "discard" if kind == 1 else "multiple" if kind == 2 else None


def take_apart(out: dict[str, Any], data: bytes, walked: Walked, agent: bytes, rate: float) -> bool:
    """Set the keys, values and amounts of a flow sample; False if a record or a value does not make sense.

    `rate` is how many packets or requests it stands for.
    """
    _, kind, offset, end, source, _, told, frame, src, dst = walked
    out["agent"] = agent
    if kind == FLOW_SAMPLE:
        into, to, count = _COMPACT(data, offset + 20)
        at = offset + FLOW_COMPACT_SIZE
        into, to = into >> 30 << 32 | into & 0x3FFFFFFF, to >> 30 << 32 | to & 0x3FFFFFFF
    else:
        into, to, count = _EXPANDED(data, offset + 24)
        at = offset + FLOW_EXPANDED_SIZE
    out["inputifindex"] = into = input_interface(into)
    out["outputifindex"] = to = output_interface(to)
    out["direction"] = "egress" if to == source else "ingress" if into == source else None
    whole = True
    try:
        _records(out, data, at, end, count)
    except (DatagramError, ValueError):
        whole = False
    if frame and out.get("requests") is None:
        out["bytes"] = frame
        out["frames"] = 1
    for name, amount in AMOUNTS.items():
        value = out.get(name)
        if value is not None and value * told <= MOST_VALUE:
            out[amount] = value * rate
        elif value is not None:
            whole = False
    if src is not None and dst is not None and out.get("ipsource") is None:
        # what the switch forwards by, also where the header is under labels or was read by the agent
        six = "" if len(src) == 4 else "6"
        _default(out, f"ip{six}source", src)
        _default(out, f"ip{six}destination", dst)
    return whole


def _default(out: dict[str, Value | None], name: str, value: Value) -> None:
    """Set what nothing has set yet."""
    if out.get(name) is None:
        out[name] = value


def _records(out: dict[str, Value | None], data: bytes, at: int, end: int, count: int) -> None:
    switch: tuple[int, int] | None = None
    for kind, start, stop in records(data, at, end, count):
        if kind == RAW_HEADER:
            protocol, _, first, last = raw_header(data, start, stop)
            headers.read(out, data, first, last, protocol)
        elif kind in http.FORMATS:
            http.read(out, kind, data[start:stop])
        elif kind == SAMPLED_IPV4 and stop - start >= 32:
            _ip(out, data, start, 4)
        elif kind == SAMPLED_IPV6 and stop - start >= 56:
            _ip(out, data, start, 16)
        elif kind == SAMPLED_ETHERNET and stop - start >= 24:
            # MAC addresses stand in eight octets each, as XDR has them
            _default(out, "macsource", data[start + 4 : start + 10])
            _default(out, "macdestination", data[start + 12 : start + 18])
            _default(out, "ethernetprotocol", _COUNT(data, start + 20)[0])
        elif kind == _EXTENDED_SWITCH and stop - start >= 16:
            vlan, priority, _, _ = _SWITCH(data, start)
            switch = vlan, priority
    if switch is not None and 0 < switch[0] < 4096 and out.get("vlan") is None:
        out["vlan"], out["priority"] = switch


def _ip(out: dict[str, Value | None], data: bytes, start: int, size: int) -> None:
    """Records 3 and 4: the addresses, protocol and ports that the agent itself has read."""
    (protocol,) = _COUNT(data, start + 4)
    ports = start + 8 + 2 * size
    six = "6" if size == 16 else ""
    _default(out, f"ip{six}source", data[start + 8 : start + 8 + size])
    _default(out, f"ip{six}destination", data[start + 8 + size : ports])
    _default(out, "ip6nexthdr" if six else "ipprotocol", protocol)
    name = {6: "tcp", 17: "udp"}.get(protocol)
    if name is not None:
        source, destination = _IP_TAIL(data, ports)
        _default(out, f"{name}sourceport", source)
        _default(out, f"{name}destinationport", destination)
