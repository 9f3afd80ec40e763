"""The virtual switch from its package: the switch boots (machine.py), the rest of the lab runs beside it as ever.

BIRD and ARM are services of the machine, installed and configured as an operator does it; upstreams, receivers, sFlow
agent and traffic are the lab's own parts. The page is reached from the engineer's browser through a proxy that listens
on this machine's loopback and dials inside.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from arm.simulate.lab import assembly, machine, network, processes
from arm.simulate.lab.assembly import Say, wait_for
from arm.simulate.lab.layout import Layout
from arm.simulate.lab.parts import arm_toml
from arm.simulate.lab.processes import Program

INSTEAD: Final = ("bird", "arm")
"""Parts of the lab that are services of the machine here."""
PAGE: Final = "page"
_BIRD_SOCKET: Final = "run/bird/bird.ctl"


def configuration(layout: Layout) -> str:
    """/etc/arm/arm.toml: that of the lab, with the state where the package has it."""
    return re.sub(r"(?m)^directory = .*$", 'directory = "/var/lib/arm"', arm_toml(layout))


def up(layout: Layout, package: Path, say: Say, *, without: Collection[str] = ()) -> None:
    """Make, boot and configure the switch, install the package, and start everything around it.

    MachineError, LabError or NetworkError if something fails; what was made stays, for `assembly.down` to take away.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    layout.save()
    network.create(layout)
    if not machine.root(layout).exists():
        say("a Debian root for the switch (the first time: debootstrap, some minutes) ...")
        machine.create(layout)
    machine.write(layout, "/etc/bird/bird.conf", layout.bird_conf.read_text())
    say("the switch boots ...")
    start(layout)
    say(f"dpkg --install {package.name}, systemctl enable --now arm ...")
    machine.install(layout, package)
    machine.write(layout, "/etc/arm/arm.toml", configuration(layout))
    machine.run(layout, "systemctl", "enable", "--now", "--quiet", "arm")
    assembly.up(layout, say, without={*without, *INSTEAD})
    say("ARM learns the table from BIRD ...")
    wait_for("ARM to be ready (scripts/lab inside journalctl -u arm)", lambda: ready(layout), 120)


def start(layout: Layout) -> None:
    """Boot a machine that is off, and give its services the outside they need."""
    machine.boot(layout)
    pid = machine.init(layout)
    # where the lab looks for BIRD's control socket, seen through the machine's init
    with contextlib.suppress(FileNotFoundError):
        layout.bird_control.unlink()
    layout.bird_control.symlink_to(f"/proc/{pid}/root/{_BIRD_SOCKET}")
    proxy = ["/lib/systemd/systemd-socket-proxyd", f"127.0.0.1:{layout.http or 8008}"]
    processes.stop(layout, PAGE)
    processes.start(layout, Program(PAGE, layout.namespace("switch"), proxy, http=("127.0.0.1", layout.http)))


def reboot(layout: Layout) -> None:
    """Off and on again, with a network that has forgotten all routes, as after a real one."""
    processes.stop(layout, PAGE)
    agent = processes.stop(layout, "agent")
    machine.shut_down(layout)
    network.run("ip", "netns", "del", layout.namespace("switch"))
    network.create(layout)
    start(layout)
    if agent:
        network.sample(layout)
        assembly.start(layout, "agent")


def ready(layout: Layout) -> bool:
    """True if ARM says so itself."""
    try:
        return assembly.ask_arm(layout, "/readyz")[0] == 200
    except OSError:
        return False
