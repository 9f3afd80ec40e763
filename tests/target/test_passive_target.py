"""The passive target takes everything at once."""

from __future__ import annotations

from arm.model import Applied, Change, Event, Plan, Reason, TargetUp, parse_prefix
from arm.target.passive import PassiveTarget


def test_everything_is_applied_at_once_and_counted() -> None:
    target = PassiveTarget()
    assert not target.status().up
    events: list[Event] = []
    target.start(events.append)
    [up] = events
    assert isinstance(up, TargetUp)
    assert up.found == {}, "it holds nothing, and knows that"
    target.apply(Plan(3, (Change(parse_prefix("10.0.0.0/8"), None, Reason.NEW),) * 2))
    applied = events[-1]
    assert isinstance(applied, Applied)
    assert (applied.plan, applied.done, applied.failed) == (3, 2, ())
    assert (target.status().up, target.status().applied) == (True, 2)
    target.stop(flush=True)
    target.apply(Plan(4, ()))
    assert events[-1] is applied
