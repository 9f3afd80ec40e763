"""One command shows the switch at work, and Ctrl-C takes it away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from running_lab import free_port

from arm.simulate.lab import network
from arm.simulate.lab.watch import carried

SIZES = ["--ipv4", "4000", "--ipv6", "1000", "--active", "300", "--rate", "4000"]


def command(prefix: str, run: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "arm.simulate.lab", "--prefix", prefix, "--run", run, *words]


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_shows_the_page_when_the_routes_carry_the_traffic_and_a_signal_ends_it(number: signal.Signals) -> None:
    prefix, directory = f"t{os.getpid() % 100_000}r{int(number)}-", tempfile.mkdtemp(prefix="lab-")
    port = free_port()
    words = command(prefix, f"{directory}/run", "run", *SIZES, "--http", str(port))
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                process.send_signal(number)
        assert process.wait(60) == 0, lines
        said = "".join(lines)
        assert f"the page: http://127.0.0.1:{port}" in said
        shares = [
            float(word.rstrip("%")) for line in lines if "goes the right way" in line for word in line.split()[3:4]
        ]
        assert shares
        assert shares[-1] >= 90
        assert "all gone" in lines[-1]
        assert not [name for name in network.existing() if name.startswith(prefix)]
    finally:
        process.kill()
        process.wait()
        subprocess.run(command(prefix, f"{directory}/run", "down"), check=True, capture_output=True)
        shutil.rmtree(directory)


@pytest.mark.root
def test_a_port_in_use_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    prefix = f"t{os.getpid() % 100_000}p-"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = command(prefix, str(tmp_path / "r"), "run", *SIZES, "--http", str(port))
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert not [name for name in network.existing() if name.startswith(prefix)]


def test_the_share_is_that_of_both_families_by_their_bytes() -> None:
    families = {
        "ipv4": {"coverage_10s": 0.5, "bytes_per_second": 300.0},
        "ipv6": {"coverage_10s": 1.0, "bytes_per_second": 100.0},
    }
    assert carried({"families": families}) == 0.625
    families["ipv6"]["coverage_10s"] = None  # type: ignore[assignment]
    assert carried({"families": families}) == 0.5
    families["ipv4"]["coverage_10s"] = None  # type: ignore[assignment]
    assert carried({"families": families}) is None
