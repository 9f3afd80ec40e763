"""One sampled packet or request as a mapping from flow keys to values, filled only as far as definitions look.

What the walk over a datagram gives for nothing (agent, sampling rate, frame length) is there at once; the first key
beyond it has the records taken apart, and what is derived (functions, attributes of the table) is worked out when it is
first asked for and kept for the other definitions. A key that the sample does not have is None.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from arm.analytics import headers, http
from arm.analytics.values import Source, Value
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
_EXPANDED: Final = struct.Struct(">IIIII").unpack_from
_SWITCH: Final = struct.Struct(">IIII").unpack_from
_IP_TAIL: Final = struct.Struct(">II").unpack_from
_RAW: Final = struct.Struct(">IIIIII").unpack_from
_RAW_SIZE: Final = 24
_NOT_RAW: Final = (0,) * 6
_EXTENDED_SWITCH: Final = 1001
_UNKNOWN_INTERFACE: Final = frozenset((0, 0x3FFFFFFF))

MOST_VALUE: Final = 1 << 40
"""Octets, or anything else, that one sample may stand for: more is an agent's mistake."""
SOURCE: Final = "\0source"
"""Where the sample's Source stands; no key of a definition can be spelled so."""

KEYS: Final = ("agent", "inputifindex", "outputifindex", "direction", *headers.KEYS, *http.KEYS)
"""Keys that a sample itself can have."""
VALUES: Final = ("bytes", "frames", "requests", "req_bytes", "resp_bytes", "duration")
AMOUNTS: Final = {name: f"\0{name}" for name in VALUES}
"""Where the sample has what it stands for: the value times the sampling rate."""
_BYTES, _FRAMES = AMOUNTS["bytes"], AMOUNTS["frames"]

Compute: TypeAlias = "Callable[[Sample], Value | None]"


def _amount(name: str) -> Compute:
    def compute(sample: Sample) -> Value | None:
        value = sample[name]
        if not isinstance(value, int):
            return None
        amount = value * sample.rate
        if amount > MOST_VALUE:
            sample.malformed = True
            return None
        return amount  # type: ignore[return-value]  # a float if samples were lost; only the flow cache reads it

    return compute


PLAN: Final[Mapping[str, Compute]] = {place: _amount(name) for name, place in AMOUNTS.items()}
"""How the amounts are worked out that `_load` does not set."""


class Sample(dict[str, Value | None]):
    """The keys of one flow sample. Give it up after the datagram has been handled: it holds on to all of it."""

    __slots__ = ("_agent", "_blank", "_data", "_plan", "_source", "_walked", "malformed", "rate")

    def __init__(
        self,
        plan: Mapping[str, Compute],
        blank: Mapping[str, None],
        data: bytes,
        walked: Walked,
        source: Source,
        agent: bytes,
        rate: float,
    ) -> None:
        """`plan` computes what is derived; `blank` has what will be looked at, which stays None unless the sample has
        it; `rate` is how many packets or requests the sample stands for."""
        self._source = source
        self._agent = agent
        self._plan = plan
        self._blank = blank
        self._data = data
        self._walked: Walked | None = walked  # None once the records have been taken apart
        self.rate = rate
        self.malformed = False

    def load(self) -> None:
        """Take the records apart, if that has not been done yet."""
        walked, self._walked = self._walked, None
        if walked is not None:
            self._load(walked)

    def __missing__(self, name: str) -> Value | None:
        if self._walked is not None:
            self.load()
            if name in self:
                return self[name]
        compute = self._plan.get(name)
        value = compute(self) if compute is not None else None
        self[name] = value
        return value

    def _load(self, walked: Walked) -> None:
        data = self._data
        # First of all, so that it is copied as it stands, and not name by name.
        self.update(self._blank)
        self[SOURCE] = self._source  # type: ignore[assignment]  # only the flow cache reads it
        self["agent"] = self._agent
        _, kind, offset, end, source, _, _, frame, src, dst = walked
        if kind == FLOW_SAMPLE:
            into, out, count = _COMPACT(data, offset + 20)
            at = offset + FLOW_COMPACT_SIZE
            in_format, into, out_format, out = into >> 30, into & 0x3FFFFFFF, out >> 30, out & 0x3FFFFFFF
        else:
            in_format, into, out_format, out, count = _EXPANDED(data, offset + 24)
            at = offset + FLOW_EXPANDED_SIZE
        if in_format == 0 and into not in _UNKNOWN_INTERFACE:
            self["inputifindex"] = into
            if source == into:
                self["direction"] = "ingress"
        if out_format == 0:
            if out not in _UNKNOWN_INTERFACE:
                self["outputifindex"] = out
                if source == out:
                    self["direction"] = "egress"
        elif out_format < 3:
            self["outputifindex"] = "discard" if out_format == 1 else "multiple"
        shape, length, protocol, _, _, size = _RAW(data, at) if at + _RAW_SIZE <= end else _NOT_RAW
        if count == 1 and shape == RAW_HEADER and size + 16 <= length <= end - at - 8:
            # the one record of nearly every sample; the walk has found it to be whole
            headers.read(self, data, at + _RAW_SIZE, at + _RAW_SIZE + size, protocol)
        else:
            try:
                self._records(data, at, end, count)
            except (DatagramError, ValueError):
                self.malformed = True
        if frame and self.get("requests") is None:
            self["bytes"] = frame
            self["frames"] = 1
            self[_BYTES] = frame * self.rate  # type: ignore[assignment]  # only the flow cache reads it
            self[_FRAMES] = self.rate  # type: ignore[assignment]
        if src is not None and dst is not None and self.get("ipsource") is None:
            # what the switch forwards by, also where the header is under labels or was read by the agent
            four = len(src) == 4
            self._default("ipsource" if four else "ip6source", src)
            self._default("ipdestination" if four else "ip6destination", dst)

    def _default(self, name: str, value: Value) -> None:
        """Set what nothing has set yet."""
        if self.get(name) is None:
            self[name] = value

    def _records(self, data: bytes, at: int, end: int, count: int) -> None:
        switch: tuple[int, int] | None = None
        for kind, start, stop in records(data, at, end, count):
            if kind == RAW_HEADER:
                protocol, _, first, last = raw_header(data, start, stop)
                headers.read(self, data, first, last, protocol)
            elif kind in http.FORMATS:
                http.read(self, kind, data[start:stop])
            elif kind == SAMPLED_IPV4 and stop - start >= 32:
                self._ip(data, start, 4)
            elif kind == SAMPLED_IPV6 and stop - start >= 56:
                self._ip(data, start, 16)
            elif kind == SAMPLED_ETHERNET and stop - start >= 24:
                # MAC addresses stand in eight octets each, as XDR has them
                self._default("macsource", data[start + 4 : start + 10])
                self._default("macdestination", data[start + 12 : start + 18])
                self._default("ethernetprotocol", _COUNT(data, start + 20)[0])
            elif kind == _EXTENDED_SWITCH and stop - start >= 16:
                vlan, priority, _, _ = _SWITCH(data, start)
                switch = vlan, priority
        if switch is not None and 0 < switch[0] < 4096 and self.get("vlan") is None:
            self["vlan"], self["priority"] = switch

    def _ip(self, data: bytes, start: int, size: int) -> None:
        """Records 3 and 4: the addresses, protocol and ports that the agent itself has read."""
        (protocol,) = _COUNT(data, start + 4)
        ports = start + 8 + 2 * size
        six = "6" if size == 16 else ""
        self._default(f"ip{six}source", data[start + 8 : start + 8 + size])
        self._default(f"ip{six}destination", data[start + 8 + size : ports])
        self._default("ip6nexthdr" if six else "ipprotocol", protocol)
        name = {6: "tcp", 17: "udp"}.get(protocol)
        if name is not None:
            source, destination = _IP_TAIL(data, ports)
            self._default(f"{name}sourceport", source)
            self._default(f"{name}destinationport", destination)
