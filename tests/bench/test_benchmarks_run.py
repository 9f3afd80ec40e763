"""Every benchmark runs to its end on a small table. Its figures are not judged: that is for a machine at rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.root
@pytest.mark.parametrize("name", ["learn", "sflow", "reaction", "cold", "steady", "memory", "web", "analytics", "tick"])
def test_a_benchmark_runs_to_its_end(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench.d", name, "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:] + ran.stdout[-2000:]
    assert "ARM" in ran.stdout
    assert "MISSED" not in ran.stdout
