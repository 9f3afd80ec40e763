"""What a reload takes over at once, and what it says needs a restart."""

from __future__ import annotations

from arm.config import parse
from arm.daemon.reload import LIVE, compare

RUNNING = b"""
[reflector]
as = 65136
[target]
prefixes = 100
[selection]
always = ["192.0.2.0/24"]
"""


def test_slots_lists_and_levels_are_taken_over_and_the_rest_waits() -> None:
    running = parse(RUNNING, source="running")
    wanted = parse(
        RUNNING.replace(b"prefixes = 100", b'prefixes = 200\nkind = "bird"\nip = "192.0.2.1"\nminvalue = 5')
        .replace(b"192.0.2.0/24", b"198.51.100.0/24")
        .replace(b"65136", b"65137")
        + b'[log]\nlevel = "debug"\n[http]\nlisten = "127.0.0.1:9999"\n',
        source="wanted",
    )
    difference = compare(running, wanted)
    assert difference.applied == ("target.prefixes", "target.minvalue", "selection.always", "log.level")
    assert set(difference.waiting) == {"reflector.as", "target.kind", "target.ip", "target.as", "http.listen"}
    assert difference.config.target.prefixes == 200
    assert difference.config.selection == wanted.selection
    assert difference.config.log == wanted.log
    assert difference.config.target.kind == "passive"
    assert difference.config.http == running.http


def test_what_waits_is_told_again_until_the_restart() -> None:
    running = parse(RUNNING, source="running")
    wanted = parse(RUNNING + b'[http]\nlisten = "127.0.0.1:9999"\n', source="wanted")
    once = compare(running, wanted)
    again = compare(once.config, wanted)
    assert again.waiting == once.waiting == ("http.listen",)
    assert not again.applied


def test_the_same_configuration_changes_nothing() -> None:
    running = parse(RUNNING, source="running")
    difference = compare(running, parse(RUNNING, source="again"))
    assert (difference.applied, difference.waiting) == ((), ())
    assert difference.config == running


def test_what_is_called_live_is_a_key() -> None:
    running = parse(RUNNING, source="running")
    for section, names in LIVE.items():
        for name in names:
            assert hasattr(getattr(running, section), name)
