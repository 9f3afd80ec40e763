"""What the quick look at attributes lets through, the full checks accept with the same outcome."""

from bgp_strategies import FEED, raw_attributes
from hypothesis import given
from hypothesis import strategies as st

from arm.bgp.interner import Interner
from arm.bgp.wire import attribute
from arm.model import Attributes

HOP4 = b"\xc0\x00\x02\x01"
HOP6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"
OWN_ID = b"\x00\x00\x00\x01"


def interner(*, internal: bool = True) -> Interner:
    return Interner(FEED, internal=internal, own_ids=(OWN_ID,))


def taught(raw: bytes, next_hop: bytes | None, *, internal: bool = True) -> Interner:
    """An interner that has seen these attributes, so that their next hop and cluster are known."""
    made = interner(internal=internal)
    made.find(raw, next_hop)
    return made


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """The same octets with some changed, left out, repeated or put in."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(("change", "drop", "repeat", "insert", "own", "zero"))):
            case "change":
                data[at] = draw(st.integers(0, 255))
            case "drop":
                del data[at : at + draw(st.integers(1, 8))]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 12))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "own":
                data[at : at + 4] = OWN_ID
            case "zero":
                data[at : at + 4] = bytes(4)
        if not data:
            break
    return bytes(data)


@given(st.data(), st.booleans(), st.booleans())
def test_what_passes_the_quick_look_is_accepted_by_the_full_checks_unchanged(
    data: st.DataObject, multiprotocol: bool, internal: bool
) -> None:
    hop = HOP6 if multiprotocol else None
    raw = data.draw(raw_attributes(next_hop=None if multiprotocol else HOP4))
    known = taught(raw, hop, internal=internal)
    other = data.draw(damaged(raw))
    quick = known.quick(other, hop)
    if quick is None:
        return
    full = interner(internal=internal).find(other, hop)
    assert isinstance(full, Attributes)
    assert (quick.raw, quick.next_hop, quick.feed) == (full.raw, full.next_hop, full.feed)


def usual(path: bytes) -> bytes:
    reflected = attribute(0x80, 9, HOP4) + attribute(0x80, 10, HOP4)
    middle = attribute(0x40, 3, HOP4) + attribute(0x40, 5, bytes(4)) + attribute(0xC0, 8, bytes(8))
    return attribute(0x40, 1, b"\0") + attribute(0x40, 2, path) + middle + reflected


def test_the_usual_form_passes_with_a_new_path() -> None:
    known = taught(usual(b""), None)
    quick = known.quick(usual(b"\x02\x01\x00\x00\xfd\xe8"), None)
    assert quick is not None
    assert quick.next_hop == HOP4
    assert known.plain[quick.raw] is quick


def test_a_next_hop_never_seen_needs_the_full_checks() -> None:
    assert interner().quick(usual(b""), None) is None


def test_a_path_with_as_0_does_not_pass() -> None:
    assert taught(usual(b""), None).quick(usual(b"\x02\x01\x00\x00\x00\x00"), None) is None


def test_two_octet_paths_do_not_pass() -> None:
    known = Interner(FEED, four_octet=False)
    known.find(usual(b""), None)
    assert known.quick(usual(b"\x02\x01\xfd\xe8"), None) is None
