"""A second sFlow decoder, written for obviousness: it cuts octets off the front, and shares no code with arm.sflow.

`decode` says what the first one must say of any input at all: the same samples, and whether there is an error.
"""

from __future__ import annotations

from dataclasses import dataclass


class MisfitError(Exception):
    """The input does not fit its own lengths."""


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise MisfitError
        head, self.data = self.data[:size], self.data[size:]
        return head

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")

    def padded(self, size: int) -> bytes:
        data = self.take(size)
        self.take(-size % 4)
        return data


@dataclass(frozen=True)
class Seen:
    kind: str
    source: tuple[int, int] = (0, 0)
    sequence: int = 0
    rate: int = 0
    frame_length: int = 0
    addresses: tuple[bytes, bytes] | None = None
    records: tuple[int, ...] = ()


def decode(data: bytes) -> tuple[list[Seen], bool]:
    """The samples up to the first that does not fit, and whether one does not."""
    cursor = Cursor(data)
    seen: list[Seen] = []
    try:
        if cursor.number() != 5:
            raise MisfitError
        cursor.take({1: 4, 2: 16}.get(cursor.number(), 1 << 20))
        cursor.take(12)
        for _ in range(cursor.number()):
            kind = cursor.number()
            seen.append(sample(kind, Cursor(cursor.take(cursor.number()))))
        if len(cursor):
            raise MisfitError
    except MisfitError:
        return seen, True
    return seen, False


def sample(kind: int, body: Cursor) -> Seen:
    if kind not in (1, 2, 3, 4, 5):
        return Seen("unknown")
    sequence = body.number()
    source = (body.number(), body.number()) if kind >= 3 else (body.number(1), body.number(3))
    if kind in (2, 4):
        return Seen("counters", source, sequence, records=tuple(found[0] for found in records(body)))
    rate = 0 if kind == 5 else body.number()
    body.take({1: 16, 3: 24, 5: 16}[kind])
    found = records(body)
    length, addresses = packet(found)
    return Seen(
        "discarded" if kind == 5 else "flow", source, sequence, rate, length, addresses, tuple(one[0] for one in found)
    )


def records(body: Cursor) -> list[tuple[int, bytes]]:
    found = []
    for _ in range(body.number()):
        kind = body.number()
        found.append((kind, body.padded(body.number())))
    if len(body):
        raise MisfitError
    return found


def packet(found: list[tuple[int, bytes]]) -> tuple[int, tuple[bytes, bytes] | None]:
    raw: list[tuple[int, tuple[bytes, bytes] | None]] = []
    read: list[tuple[int, tuple[bytes, bytes]]] = []
    frames: list[int] = []
    for kind, data in found:
        record = Cursor(data)
        if kind == 1:
            protocol, length, _, size = (record.number() for _ in range(4))
            header = record.take(size)
            if len(record) > 3:
                raise MisfitError
            raw.append((length, ip_addresses(protocol, header, length)))
        elif kind == 2:
            frames.append(record.number())
            if len(record) < 4:
                frames[-1] = 0
        elif kind in (3, 4):
            size = 4 if kind == 3 else 16
            length = record.number()
            record.take(4)
            addresses = record.take(size), record.take(size)
            record.take(16)
            read.append((length, addresses))
    lengths = [length for length, _ in raw] + frames[-1:] + [length for length, _ in read[-1:]]
    found_addresses = [one for _, one in raw if one] + [one for _, one in read[-1:]]
    return next(filter(None, lengths), 0), found_addresses[0] if found_addresses else None


def ip_addresses(protocol: int, header: bytes, length: int) -> tuple[bytes, bytes] | None:
    cursor = Cursor(header)
    try:
        if protocol == 1:
            return ethernet(cursor, length)
        if protocol == 13:
            return labelled(cursor, length)
        return ip(cursor.data, {11: 4, 12: 6}.get(protocol, 0))
    except MisfitError:
        return None


def ethernet(cursor: Cursor, length: int) -> tuple[bytes, bytes] | None:
    before = len(cursor)
    cursor.take(12)
    kind = cursor.number(2)
    tags = 0
    while kind in (0x8100, 0x88A8, 0x9100, 0x9200):
        tags += 1
        cursor.take(2)
        kind = cursor.number(2)
        if tags == 8:
            return None
    if kind < 0x600:
        if cursor.take(6) != bytes.fromhex("aaaa03000000"):
            return None
        kind = cursor.number(2)
    if kind in (0x8847, 0x8848):
        return labelled(cursor, length - (before - len(cursor)))
    if kind == 0x8864:
        if cursor.take(2) != b"\x11\x00":
            return None
        cursor.take(4)
        version = {0x21: 4, 0x57: 6}.get(cursor.number(2), 0)
        return ip(cursor.data, version)
    return ip(cursor.data, {0x0800: 4, 0x86DD: 6}.get(kind, 0))


def ip(data: bytes, version: int) -> tuple[bytes, bytes] | None:
    if not data or version not in (4, 6) or data[0] >> 4 != version:
        return None
    if version == 4:
        return (data[12:16], data[16:20]) if len(data) >= 20 and data[0] & 15 >= 5 else None
    return (data[8:24], data[24:40]) if len(data) >= 40 else None


def labelled(cursor: Cursor, length: int) -> tuple[bytes, bytes] | None:
    for _ in range(16):
        entry = cursor.number()
        length -= 4
        if entry >> 8 & 1:
            break
    else:
        return None
    data = cursor.data
    label = entry >> 12
    if not data or (data[0] >> 4, label) in ((4, 2), (6, 0)):
        return None
    found = ip(data, data[0] >> 4)
    if found is None:
        return None
    if data[0] >> 4 == 4:
        head = data[: (data[0] & 15) * 4]
        total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, len(head), 2))
        return found if len(head) == (data[0] & 15) * 4 and total % 0xFFFF == 0 else None
    return found if 0 <= length - 40 - int.from_bytes(data[4:6], "big") <= 8 else None
