"""Writes MMDB files (MaxMind DB file format, version 2): for the demo's made-up countries, and for tests.

A tree of 24-bit records over 128 bits, IPv4 below ::/96 as the format has it, and a record {"country": {"iso_code"}}
for each country. Networks must not overlap.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from arm.model import Prefix

_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR: Final = bytes(16)
_MAP, _TEXT, _UINT16, _UINT32, _UINT64, _ARRAY = 7, 2, 5, 6, 9, 11
_WIDE: Final = {"node_count": _UINT32, "build_epoch": _UINT64}
"""Integers of the metadata that are not of 16 bits."""
Value = str | int | dict[str, "Value"] | list["Value"]


def _control(kind: int, size: int) -> bytes:
    """The control octet of a field, with the type's extension and the size's."""
    first, extended = (kind << 5, b"") if kind < 8 else (0, bytes([kind - 7]))
    if size < 29:
        return bytes([first | size]) + extended
    if size < 285:
        return bytes([first | 29]) + extended + bytes([size - 29])
    return bytes([first | 30]) + extended + struct.pack("!H", size - 285)


def _field(value: Value, integer: int = _UINT16) -> bytes:
    if isinstance(value, dict):
        fields = (_field(name) + _field(one, _WIDE.get(name, _UINT16)) for name, one in value.items())
        return _control(_MAP, len(value)) + b"".join(fields)
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_field, value))
    if isinstance(value, int):
        size = (value.bit_length() + 7) // 8
        return _control(integer, size) + value.to_bytes(size, "big")
    octets = value.encode()
    return _control(_TEXT, len(octets)) + octets


def write(networks: Iterable[tuple[Prefix, str]], *, description: str, kind: str = "Country", built: int = 0) -> bytes:
    """The file with a country for each of `networks`; `built` is seconds since the epoch. ValueError for overlaps."""
    # node -> what its two sides lead to: a node (>= 0), nothing (None), or a country (str)
    nodes: list[list[int | str | None]] = [[None, None]]
    for (packed, length), country in networks:
        path = int.from_bytes(packed, "big")
        depth = length + (96 if len(packed) == 4 else 0)
        node = 0
        for level in range(depth - 1):
            side = path >> 127 - level & 1
            following = nodes[node][side]
            if following is None:
                following = nodes[node][side] = len(nodes)
                nodes.append([None, None])
            if isinstance(following, str):
                raise ValueError("networks overlap")
            node = following
        side = path >> 128 - depth & 1
        if nodes[node][side] is not None:
            raise ValueError("networks overlap")
        nodes[node][side] = country
    return _file(nodes, {"description": {"en": description}, "database_type": kind, "build_epoch": built})


def _file(nodes: list[list[int | str | None]], metadata: dict[str, Value]) -> bytes:
    data = bytearray()
    places: dict[str, int] = {}
    for country in sorted({side for node in nodes for side in node if isinstance(side, str)}):
        places[country] = len(data)
        data += _field({"country": {"iso_code": country}})
    count = len(nodes)

    def record(side: int | str | None) -> bytes:
        if side is None:
            value = count
        elif isinstance(side, str):
            value = count + len(_SEPARATOR) + places[side]
        else:
            value = side
        return value.to_bytes(3, "big")

    tree = b"".join(record(left) + record(right) for left, right in nodes)
    head: dict[str, Value] = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "ip_version": 6,
        "languages": ["en"],
        "node_count": count,
        "record_size": 24,
    }
    return tree + _SEPARATOR + bytes(data) + _MARKER + _field(head | metadata)
