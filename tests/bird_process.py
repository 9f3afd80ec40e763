"""A real BIRD for tests: its own configuration, control socket and high port; it touches no kernel table."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from polling import until

BIRD = shutil.which("bird", path="/usr/sbin:/usr/bin:/usr/local/sbin")

HEAD = """
router id {router_id};
log stderr all;
protocol device {{ }}
"""


class Bird:
    """One BIRD process in a directory of its own; `start` and `kill` as often as the test wants."""

    def __init__(self, directory: Path, configuration: str, router_id: str = "10.9.9.9") -> None:
        if BIRD is None:
            pytest.skip("needs BIRD (Debian package bird2)")
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.configure(configuration, router_id)
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, configuration: str, router_id: str = "10.9.9.9") -> None:
        """Write the configuration; a running BIRD reads it on `ask("configure")`."""
        (self.directory / "bird.conf").write_text(HEAD.format(router_id=router_id) + configuration)

    def start(self, *options: str) -> None:
        assert self._process is None
        with (self.directory / "bird.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(BIRD), "-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid", *options],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "bird.log").read_text()
        return bool(self.ask("show status"))

    def kill(self) -> None:
        """Gone at once, as by a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, command: str) -> str:
        """What birdc answers; empty if BIRD does not."""
        done = subprocess.run(
            ["birdc", "-s", "bird.ctl", *command.split()],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return done.stdout if done.returncode == 0 and "ready" in done.stdout else ""

    def routes(self, protocol: str, table: str) -> str:
        """The routes of a protocol in a table, with all attributes."""
        return self.ask(f"show route table {table} protocol {protocol} all")
