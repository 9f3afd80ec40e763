"""The whole main job from the package alone: a switch that boots, and what an operator does with it.

The tests of the class follow each other on one switch, for each of the targets that write routes, from its first start
to the purge. A test leaves the switch as it found it: running, with the routes that carry the traffic.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from booted_lab import CONFIG, BootedLab, Watch
from package_build import NEWER, VERSION, newer, package
from running_lab import until

from arm.simulate.lab import assembly, boot, machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
log = logging.getLogger(__name__)

NET_ADMIN = 1 << 12
INSTALLED = 40e6
"""Bytes that it may take."""
READY = 2.0
"""Seconds until the service is ready."""
SLOW = 3
"""How much slower than on a machine of its own things may be in tests."""


@pytest.fixture(scope="class", params=["bird", "kernel"])
def lab(request: pytest.FixtureRequest) -> Iterator[BootedLab]:
    with BootedLab(
        ipv4=6000,
        ipv6=1500,
        seed=5,
        slots=0.1,
        sampling=2,
        rate=1500,
        active=400,
        packet_log=True,
        target=request.param,
    ) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _one_after_the_other(request: pytest.FixtureRequest, lab: BootedLab) -> Iterator[None]:
    """What a failed test leaves behind would only make the next ones wait."""
    if lab.broken:
        pytest.skip("an earlier test on this switch has failed")
    failed = request.session.testsfailed
    yield
    lab.broken = request.session.testsfailed > failed


class TestSwitchFromThePackage:
    def test_it_learns_programs_and_shows_its_page_outside(self, lab: BootedLab) -> None:
        assert lab.run_inside("systemctl", "is-enabled", "arm") == "enabled"
        assert lab.unit("ActiveState") == "active"
        lab.loaded()
        code, body = assembly.ask_arm(lab.layout, "/")
        assert code == 200
        assert b"<html" in body
        assert lab.status()["version"] == VERSION
        until("the status line", lambda: " slots, coverage " in lab.unit("StatusText"), 20)
        said = lab.run_inside("arm", "show", "status", "--url", f"http://127.0.0.1:{lab.layout.http}")
        assert f"target {lab.layout.target}: up" in said
        with Watch(lab) as watch:
            watch.some()

    def test_it_is_ready_and_answers_soon(self, lab: BootedLab) -> None:
        names = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        started, active = (int(lab.unit(name)) / 1e6 for name in names)
        begin = time.monotonic()
        assert lab.run_inside("arm", "--version") == f"arm {VERSION}"
        took = time.monotonic() - begin
        log.info("ready=%.2f s version=%.2f s", active - started, took)
        assert active - started < READY * SLOW
        assert took < 0.3 * SLOW

    def test_it_takes_little_room(self, lab: BootedLab) -> None:
        """What is installed beside its Debian dependencies, byte code and state included."""
        listed = lab.run_inside("dpkg", "--listfiles", "active-route-manager").splitlines()
        found = {path for name in listed if (path := lab.file(name)).is_file()}
        for directory in ("/usr/lib/active-route-manager", "/var/lib/arm"):
            found |= {path for path in lab.file(directory).rglob("*") if path.is_file()}
        taken = sum(path.stat().st_size for path in found)
        log.info("installed=%.1f MB", taken / 1e6)
        assert 5e6 < taken < INSTALLED

    def test_it_has_no_rights_but_those_that_its_target_needs(self, lab: BootedLab) -> None:
        allowed = NET_ADMIN if lab.layout.target == "kernel" else 0
        status = lab.process()
        assert set(status["Uid"].split()) == {lab.run_inside("id", "--user", "arm")} != {"0"}
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {allowed}
        assert int(status["CapBnd"], 16) == NET_ADMIN
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

        def attempt(*words: str) -> bool:
            """True if somebody with the daemon's user, rights and view of the files can do it."""
            rights = "-all,+net_admin" if allowed else "-all"
            become = [
                *("setpriv", "--reuid=arm", "--regid=arm", "--clear-groups", "--no-new-privs"),
                *("--bounding-set=-all,+net_admin", f"--inh-caps={rights}", f"--ambient-caps={rights}"),
            ]
            inside = ["nsenter", f"--target={lab.pid()}", "--mount", *become, *words]
            return machine.run(lab.layout, *inside, check=False).returncode == 0

        assert attempt("cat", CONFIG)
        assert attempt("touch", "/var/lib/arm/probe")
        lab.file("/var/lib/arm/probe").unlink()
        for path in (CONFIG, "/etc/probe", "/usr/lib/active-route-manager/probe", "/root/probe", "/home/probe"):
            assert not attempt("touch", path), path
        for words in (("cat", "/etc/shadow"), ("mount", "-t", "tmpfs", "none", "/var/lib/arm"), ("kill", "-0", "1")):
            assert not attempt(*words), words
        assert attempt("ip", "route", "add", "198.51.100.0/24", "via", "10.0.0.134", "metric", "7") == bool(allowed)
        if allowed:
            lab.inside("switch", "ip", "route", "del", "198.51.100.0/24", "metric", "7")

    def test_a_reload_takes_over_what_it_can_and_says_what_needs_a_restart(self, lab: BootedLab) -> None:
        pid, before, cursor = lab.pid(), len(lab.loaded()), lab.cursor()
        with Watch(lab):
            lab.configure(
                lambda text: re.sub(r"(?m)^prefixes = .*$", "prefixes = 40", text).replace(
                    "[bgp]\n", "[bgp]\nhold_time = 60\n"
                )
            )
            lab.run_inside("systemctl", "reload", "arm")
            until("fewer routes", lambda: len(lab.routes()) < before / 2, 20)
            assert "restart is needed for bgp.hold_time" in lab.unit("StatusText")
            lab.configure()
            lab.run_inside("systemctl", "reload", "arm")
            lab.loaded()
        said = lab.said_since(cursor)
        assert "applied=target.prefixes" in said
        assert "configuration change needs a restart key=bgp.hold_time" in said
        assert lab.pid() == pid

    def test_as_an_instance_for_a_vrf_it_is_bound_to_that_and_takes_the_other_s_place(self, lab: BootedLab) -> None:
        lab.loaded()
        # no device is a VRF in every kernel; a socket is bound to the loopback device in the same way
        with Watch(lab, steady=True):
            lab.run_inside("systemctl", "start", "arm@lo")
            assert lab.run_inside("systemctl", "is-active", "arm@lo") == "active"
            assert lab.fails_inside("systemctl", "is-active", "arm") == "inactive"
            listening = lab.run_inside("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric")
            for port in (1179, 6343, lab.layout.http):
                assert re.search(rf"%lo:{port}\b", listening), listening
            until("ARM to be ready", lambda: boot.ready(lab.layout), 60)
            lab.loaded()
            lab.run_inside("systemctl", "start", "arm")
            assert lab.fails_inside("systemctl", "is-active", "arm@lo") == "inactive"
            until("ARM to be ready", lambda: boot.ready(lab.layout), 60)
            lab.loaded()

    def test_a_wrong_configuration_does_not_end_the_running_daemon(self, lab: BootedLab) -> None:
        pid, routes = lab.pid(), lab.loaded()
        lab.configure(lambda text: text + "\nprefixes = 3\n")
        lab.fails_inside("systemctl", "reload", "arm")
        assert (lab.pid(), lab.unit("ActiveState")) == (pid, "active")
        assert "state.prefixes" in lab.run_inside("systemctl", "status", "arm")
        # the daemon itself refuses it, too
        lab.run_inside("kill", "-HUP", str(pid))
        until("the refusal", lambda: "refused" in lab.unit("StatusText"), 10)
        assert (lab.pid(), lab.unit("ActiveState")) == (pid, "active")
        if lab.layout.target == "bird":
            # neither does the restart at the end of an upgrade
            assert "still runs the old version" in machine.install(lab.layout, package())
            assert (lab.pid(), lab.unit("ActiveState")) == (pid, "active")
        assert len(routes & lab.routes()) > 0.8 * len(routes)
        lab.configure()
        lab.run_inside("systemctl", "reload", "arm")
        until("the status line", lambda: "refused" not in lab.unit("StatusText"), 10)

    def test_a_wrong_configuration_fails_a_start_once_and_does_not_hold_up_the_boot(self, lab: BootedLab) -> None:
        lab.configure(lambda text: text + "\nprefixes = 3\n")
        lab.reboot()
        assert lab.run_inside("systemctl", "is-active", "bird") == "active"
        assert (lab.unit("ActiveState"), lab.unit("ExecMainStatus"), lab.unit("NRestarts")) == ("failed", "78", "0")
        names = ("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
        started, ended = (int(lab.unit(name)) / 1e6 for name in names)
        assert ended - started < READY * SLOW
        assert "state.prefixes" in lab.fails_inside("systemctl", "status", "arm")
        lab.configure()
        lab.run_inside("systemctl", "start", "arm")
        lab.loaded()

    def test_a_kill_moves_no_packet(self, lab: BootedLab) -> None:
        pid, routes = lab.pid(), lab.loaded()
        with Watch(lab, steady=True):
            lab.run_inside("systemctl", "kill", "--signal=KILL", "arm")
            until("another process", lambda: lab.pid() not in (0, pid) and lab.unit("ActiveState") == "active", 20)
            until("ARM to be ready", lambda: boot.ready(lab.layout), 60)
            after = lab.loaded()
        assert len(routes & after) > 0.8 * len(routes)

    def test_an_upgrade_moves_no_packet(self, lab: BootedLab, tmp_path: Path) -> None:
        routes = lab.loaded()
        made = newer(package(), tmp_path)
        with Watch(lab, steady=True):
            machine.install(lab.layout, made)
            until("the new version", lambda: boot.ready(lab.layout) and lab.status()["version"] == NEWER, 60)
            after = lab.loaded()
        assert len(routes & after) > 0.8 * len(routes)
        assert lab.file(CONFIG).read_text() == boot.configuration(lab.layout)

    def test_it_comes_back_after_a_reboot(self, lab: BootedLab) -> None:
        lab.reboot()
        assert lab.unit("ActiveState") == "active"
        until("ARM to be ready", lambda: boot.ready(lab.layout), 90)
        lab.loaded()
        with Watch(lab) as watch:
            watch.some()

    def test_disabled_removed_and_purged_it_leaves_nothing_but_its_user(self, lab: BootedLab) -> None:
        lab.loaded()
        lab.run_inside("systemctl", "disable", "--now", "--quiet", "arm")
        assert (lab.unit("ActiveState"), lab.pid()) == ("inactive", 0)
        assert lab.routes(), "routes stay while the daemon may come back"
        lab.run_inside("dpkg", "--remove", "active-route-manager")
        if lab.layout.target == "kernel":
            assert lab.routes() == set()
        assert lab.file(CONFIG).exists()
        assert lab.file("/var/lib/arm").exists()
        lab.run_inside("dpkg", "--purge", "active-route-manager")
        assert lab.added() == set()
        assert lab.run_inside("find", "/run", "-path", "*arm*", "-not", "-path", "/run/systemd/propagate/*") == ""
        lab.run_inside("systemctl", "daemon-reload")
        assert lab.fails_inside("systemctl", "list-unit-files", "--no-legend", "arm*") == ""
        assert lab.run_inside("id", "--user", "--name", "arm") == "arm"

    def test_installed_it_starts_nothing_before_somebody_enables_it(self, lab: BootedLab) -> None:
        machine.install(lab.layout, package())
        assert lab.fails_inside("systemctl", "is-enabled", "arm") == "disabled"
        assert (lab.unit("ActiveState"), lab.pid()) == ("inactive", 0)
