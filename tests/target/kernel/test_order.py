"""Batches hold independent changes only."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from arm.model import Change, Reason, contains, mask
from arm.target.kernel.order import independent_runs

addresses4 = st.integers(0, 255).map(lambda top: bytes([10, top & 0xF0, top & 0x0F, 0]))
addresses6 = st.integers(0, 255).map(lambda top: b"\x20\x01\x0d\xb8" + bytes([top & 0xF0, top & 0x0F]) + bytes(10))
prefixes4 = st.tuples(addresses4, st.integers(0, 32)).map(lambda pair: (mask(*pair), pair[1]))
prefixes6 = st.tuples(addresses6, st.integers(0, 128)).map(lambda pair: (mask(*pair), pair[1]))
prefixes = st.one_of(prefixes4, prefixes6)


def nested(one, other):
    return contains(one, other) or contains(other, one)


@given(st.lists(prefixes, max_size=40))
def test_runs_keep_the_order_and_hold_nothing_nested(found):
    changes = [Change(prefix, None, Reason.NEW) for prefix in found]
    runs = list(independent_runs(changes))
    assert [change for run in runs for change in run] == changes
    for run in runs:
        assert not any(nested(one.prefix, other.prefix) for one, other in combinations(run, 2))


def test_changes_that_have_nothing_to_do_with_each_other_stay_in_one_run():
    changes = [Change((bytes([10, number, 0, 0]), 16), None, Reason.NEW) for number in range(200)]
    assert [len(run) for run in independent_runs(changes)] == [200]
