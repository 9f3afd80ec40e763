"""Times of day keep their distances, and are shown by the clock as it goes now."""

from __future__ import annotations

from arm.walltime import WallTime

YEARS = 50 * 365 * 86400.0


class Machine:
    """A clock that can be set, and one that can not."""

    def __init__(self) -> None:
        self.up = 100.0
        self.day = 1_700_000_000.0
        self.time = WallTime(monotonic=lambda: self.up, wall=lambda: self.day)

    def wait(self, seconds: float) -> None:
        self.up += seconds
        self.day += seconds


def test_a_clock_that_is_left_alone_is_shown_as_it_is() -> None:
    machine = Machine()
    machine.wait(12.5)
    assert machine.time.steady_ms() == machine.time.shown_ms(machine.time.steady_ms()) == 1_700_000_012_500


def test_moments_from_before_and_after_the_clock_was_set_keep_their_distance() -> None:
    for by in (YEARS, -3600.0):
        machine = Machine()
        before = machine.time.steady_ms()
        machine.wait(10.0)
        machine.day += by
        machine.wait(5.0)
        assert machine.time.steady_ms() - before == 15_000
        assert machine.time.shown_ms(machine.time.steady_ms()) == round(machine.day * 1000)
        assert machine.time.shown_ms(before) == round((machine.day - 15.0) * 1000)
        assert machine.time.noted_ms(machine.time.shown_ms(before)) == before


def test_a_clock_that_is_slewed_moves_no_moment_for_a_while() -> None:
    machine = Machine()
    moment = machine.time.steady_ms()
    shown = set()
    for _ in range(900):
        machine.wait(1.0)
        machine.day += 0.0005  # the most that the kernel slews
        shown.add(machine.time.shown_ms(moment))
    assert shown == {moment}
    machine.day += 0.25
    assert machine.time.shown_ms(moment) == moment + 700
