"""Hypothesis strategies for what goes over BGP."""

from hypothesis import strategies as st

from arm.bgp.wire import OPTIONAL, TRANSITIVE, attribute
from arm.model import Family, Feed, Prefix, mask

FEED = Feed("reflector", "192.0.2.1", 1, 64500, "192.0.2.1")
OTHER_FEED = Feed("reflector6", "192.0.2.2", 1, 64500, "192.0.2.2")

asn = st.integers(1, 2**32 - 1)


@st.composite
def prefixes(draw: st.DrawFn, family: Family) -> Prefix:
    size = family.bits // 8
    length = draw(st.one_of(st.sampled_from((0, 8, 24, family.bits)), st.integers(0, family.bits)))
    return mask(draw(st.binary(min_size=size, max_size=size)), length), length


@st.composite
def segment(draw: st.DrawFn, width: int = 4) -> bytes:
    kind = draw(st.sampled_from((2, 2, 2, 1, 3, 4)))
    numbers = draw(st.lists(st.integers(1, 2 ** (8 * width) - 1), min_size=1, max_size=8))
    return bytes((kind, len(numbers))) + b"".join(number.to_bytes(width, "big") for number in numbers)


def as_paths(width: int = 4) -> st.SearchStrategy[bytes]:
    return st.lists(segment(width), max_size=3).map(b"".join)


def host_addresses(size: int) -> st.SearchStrategy[bytes]:
    """Addresses that a next hop may have."""
    return st.builds(
        lambda first, rest: bytes((first,)) + rest, st.integers(1, 223), st.binary(min_size=size - 1, max_size=size - 1)
    )


def _fixed(flags: int, kind: int, size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).map(lambda value: attribute(flags, kind, value))


def _several(flags: int, kind: int, size: int) -> st.SearchStrategy[bytes]:
    pieces = st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=70)
    return pieces.map(lambda value: attribute(flags, kind, b"".join(value)))


@st.composite
def raw_attributes(draw: st.DrawFn, *, next_hop: bytes | None) -> bytes:
    """Valid attribute bytes as an internal peer of four-octet AS numbers sends them."""
    parts = [
        attribute(TRANSITIVE, 1, bytes((draw(st.integers(0, 2)),))),
        attribute(TRANSITIVE, 2, draw(as_paths())),
    ]
    if next_hop is not None:
        parts.append(attribute(TRANSITIVE, 3, next_hop))
    optional = (
        _fixed(OPTIONAL, 4, 4),
        _fixed(TRANSITIVE, 5, 4),
        st.just(attribute(TRANSITIVE, 6, b"")),
        _fixed(OPTIONAL | TRANSITIVE, 7, 8),
        _several(OPTIONAL | TRANSITIVE, 8, 4),
        _fixed(OPTIONAL, 9, 4),
        _several(OPTIONAL, 10, 4),
        _several(OPTIONAL | TRANSITIVE, 16, 8),
        _several(OPTIONAL | TRANSITIVE, 32, 12),
        st.binary(max_size=40).map(lambda value: attribute(OPTIONAL | TRANSITIVE, 200, value)),
    )
    parts += [draw(strategy) for strategy in optional if draw(st.booleans())]
    return b"".join(parts)


@st.composite
def updates(draw: st.DrawFn, family: Family) -> tuple[bytes, bytes, list[Prefix]]:
    """(attribute bytes, next hop, prefixes) of one announcement."""
    if family is Family.IPV4:
        next_hop = draw(host_addresses(4))
        raw = draw(raw_attributes(next_hop=next_hop))
    else:
        next_hop = draw(st.one_of(host_addresses(16), host_addresses(32)))
        raw = draw(raw_attributes(next_hop=None))
    return raw, next_hop, draw(st.lists(prefixes(family), min_size=1, max_size=40))
