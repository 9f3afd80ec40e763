"""What a simulated upstream tells at the moment: its table, but for the prefixes it tells otherwise.

The table itself never changes. A change is an entry in an overlay (`told`), and the messages for the whole table are
made with the overlay as it stands when each of them is made: whenever a session starts, or a change falls into the
middle of the initial routes, the peer ends with what `told` says.

Pure: state and bytes, no sockets and no clock. Changes are handed to `record` as they are made, so that a test can know
afterwards what each upstream had told at any moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from arm.bgp.encode import encode_update, encode_withdrawal, path_attributes
from arm.bgp.wire import end_of_rib
from arm.model import DEFAULT_PREFIX, FAMILIES, Family, Prefix, family_of, mask
from arm.simulate.paths import Upstream, Variant
from arm.simulate.table import Table

Rank: TypeAlias = tuple[int, int]
"""(AS path length, ORIGIN): less is better."""

CHUNK: Final = 64 * 1024
"""Octets of messages that are made at a time."""
_DEFAULT_PATHS: Final = {Variant.BETTER: 1, Variant.NORMAL: 3, Variant.WORSE: 12}
"""AS path lengths of the default route."""
_OUTSTANDING: Final = 400
"""Prefixes that churn keeps away from what the table says, at most."""


class Told(NamedTuple):
    """How a prefix is told: by a path of the table, in a variant."""

    path: int
    variant: Variant


class Announcer:
    """The messages of one upstream."""

    def __init__(
        self,
        table: Table,
        upstream: Upstream,
        *,
        default: Variant | None = None,
        local_pref: int | None = None,
        record: Callable[[Prefix, Rank | None], None] = lambda prefix, rank: None,
    ) -> None:
        """`default`: how the default routes are told, None not at all. `local_pref` for an internal session."""
        self.table = table
        self.upstream = upstream
        self.default = default
        self.told: dict[Prefix, Told | None] = {}
        """Prefixes that are told otherwise than in the table; None: not at all."""
        self._local_pref = local_pref
        self._record = record
        self._prepared: dict[Family, list[bytes]] = {}

    # --- the whole table ---------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Encode the table's routes beforehand, so that a session starts at its peer's speed (20 octets a prefix)."""
        told, self.told = self.told, {}
        self._prepared = {family: list(self._table_routes(family)) for family in FAMILIES}
        self.told = told

    def everything(self, families: Collection[Family]) -> Iterator[bytes]:
        """All routes as UPDATE messages in chunks, each family closed with End-of-RIB (RFC 4724)."""
        for family in FAMILIES:
            if family in families:
                yield from self._table_routes(family) if self.told or not self._prepared else self._prepared[family]
                yield b"".join(
                    message
                    for prefix, told in list(self.told.items())
                    if told is not None and family_of(prefix) is family
                    for message in self._update(told, [prefix])
                )
                if self.default is not None:
                    yield b"".join(self._default_update(family, self.default))
                yield end_of_rib(family)

    def _table_routes(self, family: Family) -> Iterator[bytes]:
        table = self.table.families[family]
        packed, addresses, lengths = table.packed, table.addresses, table.lengths
        messages: list[bytes] = []
        size = 0
        for path, start, end in table.runs():
            prefixes = list(zip(map(packed, addresses[start:end]), lengths[start:end], strict=True))
            if self.told:
                prefixes = [prefix for prefix in prefixes if prefix not in self.told]
            update = self._update(Told(path, Variant.NORMAL), prefixes)
            messages += update
            size += sum(map(len, update))
            if size > CHUNK:
                yield b"".join(messages)
                messages, size = [], 0
        yield b"".join(messages)

    def _update(self, told: Told, prefixes: Sequence[Prefix]) -> list[bytes]:
        if not prefixes:
            return []
        ipv4 = len(prefixes[0][0]) == 4
        upstream = self._upstream_of(told.path)
        raw = self.table.paths.attributes(told.path, upstream, told.variant, next_hop=ipv4, local_pref=self._local_pref)
        return encode_update(raw, upstream.next_hop6, prefixes)

    def _upstream_of(self, path: int) -> Upstream:
        """Who a path is told from."""
        return self.upstream

    def _default_update(self, family: Family, variant: Variant) -> list[bytes]:
        raw = path_attributes(
            as_path=(self.upstream.as_number,) * _DEFAULT_PATHS[variant],
            next_hop=self.upstream.next_hop if family is Family.IPV4 else None,
            local_pref=self._local_pref,
        )
        return encode_update(raw, self.upstream.next_hop6, [DEFAULT_PREFIX[family]])

    # --- what it says of a prefix ------------------------------------------------------------------------------

    def telling(self, prefix: Prefix) -> Told | None:
        """How a prefix is told now; None if it is not."""
        if prefix in self.told:
            return self.told[prefix]
        return self._in_table(prefix)

    def rank(self, told: Told | None) -> Rank | None:
        """What the decision of the peer compares."""
        return None if told is None else self.table.paths.rank(told.path, self.upstream.slot, told.variant)

    def _in_table(self, prefix: Prefix) -> Told | None:
        table = self.table.families[family_of(prefix)]
        index = table.find(prefix)
        return None if index is None else Told(table.paths[index], Variant.NORMAL)

    # --- changes -----------------------------------------------------------------------------------------------

    def announce(self, prefix: Prefix, variant: Variant = Variant.NORMAL, *, path: int | None = None) -> bytes:
        """Tell a prefix in a variant, by a path of the table: its own, or path 0 where the table lacks it."""
        base = self._in_table(prefix)
        if path is None:
            path = base.path if base is not None else 0
        told = Told(path, variant)
        if told == base:
            self.told.pop(prefix, None)
        else:
            self.told[prefix] = told
        self._record(prefix, self.rank(told))
        return b"".join(self._update(told, [prefix]))

    def withdraw(self, prefix: Prefix) -> bytes:
        """Tell a prefix no more."""
        if prefix in self.told and self._in_table(prefix) is None:
            del self.told[prefix]
        else:
            self.told[prefix] = None
        self._record(prefix, None)
        return b"".join(encode_withdrawal([prefix]))

    def restore(self, prefix: Prefix) -> bytes:
        """Tell a prefix as the table has it, which may be not at all."""
        return self.withdraw(prefix) if self._in_table(prefix) is None else self.announce(prefix)

    def restore_all(self) -> bytes:
        """Back to the table."""
        return b"".join(map(self.restore, list(self.told)))

    def deaggregate(self, prefix: Prefix, length: int, variant: Variant = Variant.NORMAL) -> bytes:
        """Tell all more-specifics of this length, at most 65,536, beside the prefix; ValueError if they are none."""
        bits = family_of(prefix).bits
        if not prefix[1] < length <= min(bits, prefix[1] + 16):
            raise ValueError(f"can not cut a /{prefix[1]} into /{length}")
        first = int.from_bytes(prefix[0], "big")
        told = self.telling(prefix)
        path = told.path if told is not None else 0
        return b"".join(
            self.announce(((first | n << (bits - length)).to_bytes(bits // 8, "big"), length), variant, path=path)
            for n in range(1 << (length - prefix[1]))
        )

    def set_default(self, variant: Variant | None) -> bytes:
        """Tell the default routes otherwise, or not at all (None)."""
        self.default = variant
        messages = []
        for family in FAMILIES:
            prefix = DEFAULT_PREFIX[family]
            if variant is None:
                messages += encode_withdrawal([prefix])
                self._record(prefix, None)
            else:
                messages += self._default_update(family, variant)
                self._record(prefix, (_DEFAULT_PATHS[variant], 0))
        return b"".join(messages)

    def churn(self, chance: random.Random, among: Sequence[tuple[Family, int]]) -> bytes:
        """One update of the kind the Internet brings, on a prefix of `among` (family, place in the table).

        A third are withdrawals and a fifth new more-specifics, the others better and worse paths. When enough prefixes
        are away from the table, the one that is so for longest comes back.
        """
        if len(self.told) >= _OUTSTANDING:
            return self.restore(next(iter(self.told)))
        family, index = among[int(chance.random() * len(among))]
        table = self.table.families[family]
        prefix = table.prefix(index)
        if prefix in self.told:
            return self.restore(prefix)
        draw = chance.random()
        if draw < 0.33:
            return self.withdraw(prefix)
        if draw < 0.8:
            return self.announce(prefix, Variant.BETTER if draw < 0.56 else Variant.WORSE, path=table.paths[index])
        length = min(prefix[1] + chance.randint(1, 6), 32 if family is Family.IPV4 else 64)
        bits = family.bits
        host = chance.getrandbits(bits - prefix[1]) if prefix[1] < bits else 0
        packed = (int.from_bytes(prefix[0], "big") | host).to_bytes(bits // 8, "big")
        return self.announce((mask(packed, length), length), Variant.NORMAL, path=table.paths[index])
