"""`arm flush` on a real kernel: everything of ARM's goes, nothing else does, and what is said is what happened."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from namespaces import Switch, plan, put

from arm.cli import Exit
from arm.cli.flush import daemon_runs
from arm.config import Config, HttpConfig
from arm.target.kernel import KernelSession, KernelSettings

pytestmark = pytest.mark.root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arm.toml"
    path.write_text('[reflector]\nas = 65136\n[target]\nkind = "kernel"\n')
    return path


def flush(switch: Switch, file: Path, *user: str) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", switch.name, *user, sys.executable, "-m", "arm", "flush", "-c", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def fill(switch: Switch) -> None:
    session = KernelSession(KernelSettings(netns=switch.name), lambda event: None)
    try:
        session.open(time.monotonic())
        applied = session.apply(
            plan(
                put("198.51.100.0/24", "10.0.2.2"), put("198.51.0.0/16", "10.0.1.2"), put("2001:db8::/32", "fd00:1::2")
            )
        )
        assert not applied.failed
    finally:
        session.close()


def test_the_routes_of_arm_go_and_those_of_others_stay(switch, file):
    fill(switch)
    switch.ip("route add 203.0.113.0/24 via 10.0.1.2 proto static")
    assert len(switch.own()) == 3
    done = flush(switch, file)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.OK, "3 routes removed from table 254\n", "")
    assert switch.own() == {}
    assert "203.0.113.0/24" in switch.ip("route show")
    assert "default" in switch.ip("route show")
    assert flush(switch, file).stdout == "0 routes removed from table 254\n"


def test_without_the_right_nothing_is_claimed(switch, file):
    fill(switch)
    done = flush(switch, file, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    assert done.returncode == Exit.NOPERM
    assert "0 routes removed" in done.stdout
    assert len(switch.own()) == 3


def test_another_target_has_nothing_to_flush(switch, file):
    file.write_text('[reflector]\nas = 65136\n[target]\nkind = "passive"\n')
    done = flush(switch, file)
    assert done.returncode == Exit.OK
    assert "passive" in done.stdout


class Answer(BaseHTTPRequestHandler):
    """Says what a daemon that is not well says."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"level": "error"}')

    def log_message(self, *_: object) -> None:
        pass


def test_a_daemon_that_answers_runs_however_unwell_it_is():
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        listen = f"127.0.0.1:{server.server_port}"
        assert daemon_runs(Config(http=HttpConfig(listen=listen)))
        server.shutdown()
        thread.join()
    assert not daemon_runs(Config(http=HttpConfig(listen=listen)))
