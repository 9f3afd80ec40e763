"""AS_PATH on the wire: what makes it malformed, and its two-octet and four-octet forms (RFC 4271, 5065, 6793, 7607).

Pure. `Attributes.raw` always holds the four-octet form; only sessions with a peer that knows none need the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
CONFED_SEQUENCE: Final = 3
CONFED_SET: Final = 4

AS_TRANS: Final = 23456
"""Stands in two-octet paths for every AS number that does not fit (RFC 6793)."""

_AS_TRANS_OCTETS: Final = AS_TRANS.to_bytes(2, "big")


def segments(path: bytes, width: int = 4) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(segment type, AS numbers) of a valid AS_PATH with AS numbers of `width` octets."""
    position = 0
    while position < len(path):
        kind, count = path[position], path[position + 1]
        start = position + 2
        position = start + count * width
        yield kind, tuple(int.from_bytes(path[i : i + width], "big") for i in range(start, position, width))


def path_error(path: bytes, *, width: int, internal: bool) -> str | None:
    """Why an AS_PATH is malformed (RFC 7606 section 7.2), or None.

    Confederation segments are accepted from internal peers only (RFC 5065 section 5); AS 0 never (RFC 7607).
    """
    position, size = 0, len(path)
    zero = bytes(width)
    while position < size:
        if position + 2 > size:
            return "AS_PATH ends inside a segment header"
        kind, count = path[position], path[position + 1]
        if not 1 <= kind <= 4:
            return f"AS_PATH has a segment of type {kind}"
        if count == 0:
            return "AS_PATH has an empty segment"
        if kind >= CONFED_SEQUENCE and not internal:
            return "AS_PATH of an external peer has a confederation segment"
        start = position + 2
        position = start + count * width
        if position > size:
            return "AS_PATH ends inside a segment"
        if zero in path[start:position]:  # a quick look first: zeros may also stand across two numbers
            for i in range(start, position, width):
                if path[i : i + width] == zero:
                    return "AS_PATH holds AS 0"
    return None


def widen_path(path: bytes) -> bytes:
    """A valid two-octet AS_PATH in the four-octet form."""
    parts: list[bytes] = []
    for kind, numbers in segments(path, 2):
        parts.append(bytes((kind, len(numbers))))
        parts.extend(number.to_bytes(4, "big") for number in numbers)
    return b"".join(parts)


def widen_aggregator(aggregator: bytes, as4_aggregator: bytes | None) -> tuple[bytes, bool]:
    """(four-octet AGGREGATOR, whether AS4_PATH may be used) as RFC 6793 section 4.2.3 decides it."""
    wide = b"\0\0" + aggregator
    if as4_aggregator is None:
        return wide, True
    if aggregator[:2] != _AS_TRANS_OCTETS:
        return wide, False
    return as4_aggregator, True


def _hops(path: bytes) -> int:
    """Path length as route selection counts it: a set is one hop, confederation segments none (RFC 6793, 5065)."""
    return sum(len(numbers) if kind == AS_SEQUENCE else 1 for kind, numbers in segments(path) if kind <= AS_SEQUENCE)


def merge_as4(path: bytes, as4_path: bytes) -> bytes:
    """The true path from AS_PATH (already widened) and AS4_PATH (RFC 6793 section 4.2.3).

    AS_PATH holds at least the hops of AS4_PATH; those it has more were prepended by speakers that knew no AS4_PATH.
    """
    tail = [(kind, numbers) for kind, numbers in segments(as4_path) if kind <= AS_SEQUENCE]
    lead = _hops(path) - sum(len(numbers) if kind == AS_SEQUENCE else 1 for kind, numbers in tail)
    if lead < 0:
        return path
    head: list[tuple[int, tuple[int, ...]]] = []
    for kind, numbers in segments(path):
        if kind > AS_SEQUENCE:
            head.append((kind, numbers))
            continue
        if lead <= 0:
            break
        taken = numbers[:lead] if kind == AS_SEQUENCE else numbers
        lead -= len(taken) if kind == AS_SEQUENCE else 1
        head.append((kind, taken))
    if head and tail and head[-1][0] == tail[0][0] == AS_SEQUENCE and len(head[-1][1]) + len(tail[0][1]) <= 255:
        tail[0] = (AS_SEQUENCE, head.pop()[1] + tail[0][1])
    return encode_path((*head, *tail))


def encode_path(path: Iterator[tuple[int, tuple[int, ...]]] | tuple[tuple[int, tuple[int, ...]], ...]) -> bytes:
    """AS_PATH value in the four-octet form from (segment type, AS numbers)."""
    parts: list[bytes] = []
    for kind, numbers in path:
        parts.append(bytes((kind, len(numbers))))
        parts.extend(number.to_bytes(4, "big") for number in numbers)
    return b"".join(parts)
