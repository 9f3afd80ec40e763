"""What all tests share: they test the sources that are here, and those that need root rights are skipped, by name,
where there are none."""

import os
from pathlib import Path

import pytest
from freshness import outdated

ROOT = Path(__file__).parents[1]


def pytest_sessionstart() -> None:
    if names := [str(source.relative_to(ROOT)) for source in outdated(ROOT / "arm")]:
        pytest.exit(f"changed since they were compiled: {', '.join(names)}; run scripts/setup", returncode=3)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root rights (network namespaces, BIRD)"))
