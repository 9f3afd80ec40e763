"""The Debian root that virtual switches are copies of: made once, whoever asks for it at the same time."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from arm.simulate.lab import machine


def filled(command: list[str]) -> Path:
    """What debootstrap makes, as far as it is looked at."""
    root = Path(command[-1])
    for directory in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/locale"):
        (root / directory).mkdir(parents=True)
    return root


def test_who_asks_while_the_root_is_made_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    asked, go = threading.Event(), threading.Event()

    def debootstrap(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        root = filled(command)
        made.append(root)
        asked.set()
        assert go.wait(10)
        (root / "made").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", debootstrap)
    found: list[bool] = []

    def ask() -> None:
        found.append((machine.base(tmp_path) / "made").exists())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert asked.wait(10)
    assert found == []
    go.set()
    for thread in threads:
        thread.join(10)
    assert found == [True, True]
    assert len(made) == 1


def test_a_root_that_could_not_be_made_is_said_and_made_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [1, 0]

    def debootstrap(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        filled(command)
        return subprocess.CompletedProcess(command, codes.pop(0), "", "E: no mirror")

    monkeypatch.setattr(subprocess, "run", debootstrap)
    with pytest.raises(machine.MachineError, match="no mirror"):
        machine.base(tmp_path)
    assert machine.base(tmp_path).is_dir()
    assert codes == []
