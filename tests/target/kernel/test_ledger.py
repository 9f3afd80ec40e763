"""The ledger answers as a plain dictionary would."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from arm.model import Family, contains, join_next_hops, mask, split_next_hops
from arm.target.kernel.ledger import Ledger

addresses = st.integers(0, 63).map(lambda n: bytes([n << 5 & 0xFF, n >> 3 << 6 & 0xFF, 0, 0]))
prefixes = st.tuples(addresses, st.integers(1, 12)).map(lambda pair: (mask(*pair), pair[1]))
steps = st.lists(st.tuples(prefixes, st.integers(0, 3)), max_size=60)


@given(steps, prefixes)
def test_it_agrees_with_a_dictionary(done, asked):
    ledger, plain, peak = Ledger(), {}, 0
    for prefix, number in done:
        if number:
            ledger.put(prefix, number)
            plain[prefix] = number
            peak = max(peak, len(plain))
        else:
            assert ledger.drop(prefix) == (plain.pop(prefix, None) is not None)
    assert ledger.routes == plain
    assert ledger.users == Counter(plain.values())
    assert ledger.count(Family.IPV4) == len(plain)
    assert [ledger.take_peak(Family.IPV4), ledger.take_peak(Family.IPV4)] == [peak, len(plain)]
    above = [prefix for prefix in plain if prefix != asked and contains(prefix, asked)]
    assert list(ledger.ancestors(asked)) == sorted(above, key=lambda prefix: prefix[1])
    for number in range(4):
        assert set(ledger.over(number)) == {prefix for prefix, used in plain.items() if used == number}
        assert ledger.uses(number) == (number in plain.values())


hops = st.one_of(*(st.binary(min_size=size, max_size=size) for size in (4, 16, 32)))


@given(st.lists(hops, min_size=1, max_size=6))
def test_several_next_hops_are_joined_without_ambiguity(found):
    joined = join_next_hops(found)
    assert set(split_next_hops(joined)) == set(found)
    assert joined == join_next_hops(reversed(found))
    assert (len(joined) in (4, 16, 32)) == (len(set(found)) == 1)
