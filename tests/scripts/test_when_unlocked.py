"""apt and dpkg are waited for while another program holds their locks.

The locks are real, in directories of the test's own; the machine's are not touched, and nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from polling import until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "when-unlocked"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock as apt and dpkg do: POSIX, for the whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def apt_update(directory: Path) -> list[str]:
    """apt-get update that knows no source, with all that it reads and writes below a directory."""
    for name in ("lists/partial", "cache/archives/partial", "etc"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    config = directory / "apt.conf"
    config.write_text(
        f'Dir::State "{directory}"; Dir::State::lists "{directory}/lists"; Dir::Cache "{directory}/cache";\n'
        f'Dir::Etc "{directory}/etc"; APT::Sandbox::User "";\n'
    )
    return ["env", f"APT_CONFIG={config}", "apt-get", "update"]


def dpkg_configure(directory: Path) -> list[str]:
    """dpkg with a database of its own in which there is nothing to do."""
    for name in ("updates", "info", "triggers"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    return ["dpkg", f"--admindir={directory}", "--configure", "--pending"]


def run(*command: str, seconds: int = 60) -> subprocess.Popen[str]:
    environment = os.environ | {"LOCK_SECONDS": str(seconds)}
    return subprocess.Popen([SCRIPT, *command], env=environment, stderr=subprocess.PIPE, text=True)


CASES = {
    "apt-get": (apt_update, "lists/lock", "Could not get lock"),
    "dpkg": (dpkg_configure, "lock-frontend", "lock was locked by another process"),
}
needs_debian = pytest.mark.skipif(shutil.which("apt-get") is None or os.geteuid() != 0, reason="not root on a Debian")


@needs_debian
@pytest.mark.parametrize("name", CASES)
def test_a_lock_is_waited_for_with_a_word_and_the_command_runs_then(tmp_path: Path, name: str) -> None:
    make, lock, words = CASES[name]
    command = make(tmp_path)
    with locked(tmp_path / lock):
        process = run(*command)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert words in said
        assert "waiting up to 60 seconds for another program" in said
        assert process.poll() is None
    rest = process.communicate(timeout=60)[1]
    assert (process.returncode, rest) == (0, "")


@needs_debian
@pytest.mark.parametrize("name", CASES)
def test_the_wait_has_an_end(tmp_path: Path, name: str) -> None:
    make, lock, words = CASES[name]
    command = make(tmp_path)
    with locked(tmp_path / lock):
        process = run(*command, seconds=3)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 75
    assert words in said
    assert "gave up after" in said


def test_any_other_failure_is_shown_at_once_with_its_code(tmp_path: Path) -> None:
    began = time.monotonic()
    process = run("sh", "-c", "echo no such package; echo E: Unable to locate package >&2; exit 100")
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (100, "no such package\nE: Unable to locate package\n")
    assert time.monotonic() - began < 2.0


def test_a_command_that_succeeds_says_nothing() -> None:
    process = run("sh", "-c", "echo noise; echo more noise >&2")
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


def test_the_lock_may_be_met_again_and_again(tmp_path: Path) -> None:
    """As on a new machine, where one job follows another."""
    count = tmp_path / "count"
    text = (
        f"echo x >>{count}; [ $(wc -l <{count}) -ge 3 ] || {{ echo 'E: Could not get lock /a. It is held'; exit 100; }}"
    )
    process = run("sh", "-c", text)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert said.count("waiting up to") == 1
    until(lambda: count.read_text().count("x") == 3)


def test_no_script_of_the_project_calls_apt_or_dpkg_without_waiting() -> None:
    calls = re.compile(r"(?:^|[;&|]|quietly|sudo)\s*(?:apt-get (?:update|install)|dpkg (?:-i|--install))", re.MULTILINE)
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and path != SCRIPT]
    assert {path.name: calls.findall(path.read_text(errors="replace")) for path in scripts} == {
        path.name: [] for path in scripts
    }
    assert (ROOT / "scripts" / "setup").read_text().count("scripts/when-unlocked apt-get") == 2
