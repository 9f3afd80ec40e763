"""What a reload may change while the daemon runs, and what waits for a restart. Pure.

Live is what only the engine, the log and the stop look at. Sockets, sessions and the kernel's table are made once, at
the start: a restart costs no packet, so nothing is gained by changing them under way.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

from arm.config import Config
from arm.config.load import keys, sections

LIVE: Final = {
    "sflow": frozenset({"stale"}),
    "target": frozenset({"prefixes", "prefixes6", "minvalue", "on_stop"}),
    "selection": frozenset(item.name for item in fields(sections()["selection"])),
    "log": frozenset({"level"}),
}
"""Section -> fields that take effect at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new configuration changes."""

    config: Config
    """The running one with those new values that can be taken over now."""
    applied: tuple[str, ...]
    """Key paths, in the order of the schema."""
    waiting: tuple[str, ...]
    """Key paths of changes that need a restart."""


def compare(running: Config, wanted: Config) -> Difference:
    """What becomes of the running configuration when another one is asked for."""
    applied: list[str] = []
    waiting: list[str] = []
    merged = running
    for name, section in sections().items():
        old, new = getattr(running, name), getattr(wanted, name)
        live = LIVE.get(name, frozenset())
        taken = {}
        for word, (field, _) in keys(section).items():
            value = getattr(new, field)
            if value == getattr(old, field):
                continue
            if field in live:
                applied.append(f"{name}.{word}")
                taken[field] = value
            else:
                waiting.append(f"{name}.{word}")
        merged = replace(merged, **{name: replace(old, **taken)})
    return Difference(merged, tuple(applied), tuple(waiting))
