"""The units allow as many tasks as the configuration can ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from arm.config.load import keys, sections
from arm.daemon.tasks import most_tasks

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))


def most_clients() -> int:
    """The largest value of the key that the schema accepts."""
    _, key = keys(sections()["analytics"])["clients"]

    def accepted(value: int) -> bool:
        try:
            key.rule.read(value)
        except ValueError:
            return False
        return True

    assert not accepted(9999)
    return max(filter(accepted, range(9999)))


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "arm run" in unit.read_text()], ids=lambda unit: unit.name)
def test_a_unit_allows_the_tasks_of_the_largest_configuration(unit: Path) -> None:
    allowed = re.search(r"^TasksMax=(\d+)$", unit.read_text(), re.MULTILINE)
    assert allowed
    assert int(allowed[1]) >= most_tasks(most_clients())
    assert int(allowed[1]) < 2 * most_tasks(most_clients()), "a bound that bounds nothing"


def test_the_keys_that_ask_for_threads_are_counted() -> None:
    """A new key of that kind belongs into arm/daemon/tasks.py."""
    asking = {
        f"{name}.{word}"
        for name, section in sections().items()
        for word, (_, key) in keys(section).items()
        if "thread" in key.about
    }
    assert asking == {"analytics.clients"}
