"""What a failure makes wait until the engine knows: routes around it, and removals around and inside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arm.model import Attributes, Change, Entry, Feed, Kind, Prefix, Reason, contains, mask
from arm.target.failures import Failures

FOUND = Attributes(Feed("reflector", "", 1, 65000, "192.0.2.1"), bytes([192, 0, 2, 1]), b"")
WHAT = st.sampled_from([None, Entry(Kind.ROUTE, FOUND), Entry(Kind.COVER, FOUND)])

addresses4 = st.integers(0, 255).map(lambda top: bytes([10, top & 0xF0, top & 0x0F, 0]))
addresses6 = st.integers(0, 255).map(lambda top: b"\x20\x01\x0d\xb8" + bytes([top & 0xF0, top & 0x0F]) + bytes(10))
prefixes4 = st.tuples(addresses4, st.integers(0, 32)).map(lambda pair: (mask(*pair), pair[1]))
prefixes6 = st.tuples(addresses6, st.integers(0, 128)).map(lambda pair: (mask(*pair), pair[1]))
PREFIXES = st.one_of(prefixes4, prefixes6)


def inside(inner: Prefix, outer: Prefix) -> bool:
    return inner != outer and contains(outer, inner)


@given(
    failed=st.lists(st.tuples(st.integers(1, 5), PREFIXES), max_size=20).map(sorted),
    known=st.integers(0, 6),
    asked=st.lists(st.tuples(PREFIXES, WHAT), max_size=20),
)
def test_routes_wait_for_what_failed_inside_and_removals_also_for_what_failed_above(
    failed: list[tuple[int, Prefix]], known: int, asked: list[tuple[Prefix, Entry | None]]
) -> None:
    failures = Failures()
    for plan, prefix in failed:
        failures.add(plan, prefix)
    failures.known(known)
    left = [prefix for plan, prefix in failed if plan > known]
    assert bool(failures) == bool(left)
    for prefix, entry in asked:
        if entry is None:
            expected = any(inside(prefix, other) or inside(other, prefix) for other in left)
        else:
            expected = entry.kind is Kind.ROUTE and any(inside(other, prefix) for other in left)
        assert failures.blocks(Change(prefix, entry, Reason.NEW)) == expected


@given(st.lists(st.tuples(st.integers(1, 5), PREFIXES), max_size=20).map(sorted), st.lists(PREFIXES, max_size=20))
def test_nothing_waits_when_all_is_void(failed: list[tuple[int, Prefix]], asked: list[Prefix]) -> None:
    failures = Failures()
    for plan, prefix in failed:
        failures.add(plan, prefix)
    failures.clear()
    assert not any(failures.blocks(Change(prefix, None, Reason.NEW)) for prefix in asked)
