"""The octets of an MMDB (MaxMind DB file format, version 2) -> countries of addresses and prefixes. Pure.

The pure Python reader of the maxminddb package takes some 8 us for a lookup where its C reader takes 1 us, and is what
is used all the same: whatever a damaged or half-written file holds, the worst that it can do is to raise an exception.
It reads from memory, so that nobody who writes to the file can pull it from under a lookup. What has been found is
remembered, since traffic is to the same prefixes from one second to the next.

`country` and `country_of_prefix` never raise: damage inside counts as no country, and is counted.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Final

from arm.model import Prefix

_REMEMBERED: Final = 200_000
"""Addresses, and as many prefixes, that are remembered at most: about 30 MB each."""
_STEPS: Final = 256
"""Networks of the database that are looked at inside one prefix at most."""
_PROBES: Final = 64
_RECORDS: Final = 2_000


class DatabaseError(Exception):
    """The octets are no MMDB that tells countries; the text says why."""


class Database:
    """What one file held. Any thread may ask."""

    def __init__(self, raw: bytes) -> None:
        """DatabaseError if it can not be used."""
        import maxminddb

        try:
            # the mode for file objects is always that of the Python reader
            self._reader = maxminddb.open_database(io.BytesIO(raw), maxminddb.MODE_FD)
            metadata = self._reader.metadata()
            self._both = metadata.ip_version == 6
            self.kind = str(metadata.database_type)[:100]
            self.built_ms = int(metadata.build_epoch) * 1000
            self.description = str(dict(metadata.description).get("en", ""))[:300]
        except Exception as error:  # the package raises many kinds for damaged files, RecursionError among them
            raise DatabaseError(f"is not a readable MMDB: {error}") from None
        if not 0 <= self.built_ms < 1 << 53:
            raise DatabaseError("is not a readable MMDB: it has an impossible date")
        self.damaged = 0
        """Lookups that failed since the file was read."""
        self._addresses: dict[bytes, str | None] = {}
        self._prefixes: dict[Prefix, str | None] = {}
        found = [self._look(address) for address in _probes(both=self._both)]
        if self.damaged:
            raise DatabaseError("is damaged: lookups fail")
        if all(country is None for country, _ in found) and not self._any():
            raise DatabaseError(f"is an MMDB of type {self.kind!r}, which has no countries")

    def _any(self) -> bool:
        """True if there is a country among the first records: a file need not know all of the Internet."""
        try:
            return any(_code(record) is not None for _, record in islice(self._reader, _RECORDS))
        except Exception:  # as above
            return False

    def country(self, address: bytes) -> str | None:
        """ISO 3166-1 code of a packed address; None if it has none."""
        try:
            return self._addresses[address]
        except KeyError:
            pass
        if len(self._addresses) >= _REMEMBERED:
            self._addresses.clear()
        country, _ = self._look(address)
        self._addresses[address] = country
        return country

    def country_of_prefix(self, prefix: Prefix) -> str | None:
        """The country of more than half of a prefix; None if no country has that much, or that can not be told.

        Nearly every prefix is of one country. Of those that are not, the first 256 networks are looked at.
        """
        try:
            return self._prefixes[prefix]
        except KeyError:
            pass
        if len(self._prefixes) >= _REMEMBERED:
            self._prefixes.clear()
        country = self._prefixes[prefix] = self._majority(prefix)
        return country

    def _majority(self, prefix: Prefix) -> str | None:
        packed, length = prefix
        bits = len(packed) * 8
        country, inside = self._look(packed)
        if inside <= length:
            return country
        sizes: Counter[str | None] = Counter()
        start = int.from_bytes(packed, "big")
        end = start + (1 << bits - length)
        for _ in range(_STEPS):
            sizes[country] += 1 << bits - inside
            start += 1 << bits - inside
            if start >= end:
                break
            country, inside = self._look(start.to_bytes(bits // 8, "big"))
        most, size = sizes.most_common(1)[0]
        return most if size * 2 > 1 << bits - length else None

    def _look(self, address: bytes) -> tuple[str | None, int]:
        """Country of a packed address, and the length of the network of the database that it is in."""
        bits = len(address) * 8
        if bits == 128 and not self._both:
            return None, 0
        try:
            record, length = self._reader.get_with_prefix_len(
                IPv4Address(address) if bits == 32 else IPv6Address(address)
            )
            return _code(record), min(max(length, 0), bits)
        except Exception:  # as above
            self.damaged += 1
            return None, bits


def _code(record: object) -> str | None:
    """The country of a record, in the layouts that are in use; None without one."""
    if not isinstance(record, dict):
        return None
    for name in ("country", "country_code", "registered_country"):
        value = record.get(name)
        if isinstance(value, dict):
            value = value.get("iso_code")
        if isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha():
            return value.upper()
    return None


def _probes(*, both: bool) -> Iterator[bytes]:
    """Addresses all over what is routed."""
    for step in range(_PROBES):
        yield bytes([1 + step * 222 // _PROBES, step * 37 % 256, step * 91 % 256, 1])
    if both:
        for step in range(_PROBES):
            yield bytes([0x20 + step % 16, step * 37 % 256, step, 0]) + bytes(12)
