"""The switch as a machine that boots: a Debian root of its own, its own systemd, in the lab's network namespace.

debootstrap makes the root once and keeps it below /var/cache; each machine gets a copy. systemd-nspawn boots it without
registering it anywhere, so it works where the machine's own init is not systemd. There is no way out of it: its network
is the namespace `switch`, and that leads to the peers and the client only.

Commands run inside as an operator's would, in all of its namespaces. A reboot is a stop, a new network namespace (as a
kernel that starts anew has no routes) and a start; the caller makes the namespace.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from arm.simulate.lab import network, processes
from arm.simulate.lab.layout import Layout
from arm.simulate.lab.processes import Program

NAME: Final = "machine"
CACHE: Final = Path("/var/cache/arm-lab")
SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("bash-completion", "bird2", "dbus", "iproute2", "man-db"),
    *("procps", "python3", "systemd", "systemd-sysv"),
)
_SIZE_LESS: Final = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/locale")
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}
_POLL: Final = 0.1


class MachineError(Exception):
    """The machine could not be made or does not run; the text says what to look at."""


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """While it lasts, nobody else makes something in this directory; waits for those who do."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def base(cache: Path = CACHE) -> Path:
    """A Debian root with what a switch has before ARM is installed; made when it is missing, which takes minutes."""
    with alone(cache):
        return _base(cache)


def _base(cache: Path) -> Path:
    root = cache / SUITE
    wanted = "\n".join(PACKAGES)
    stamp = cache / f"{SUITE}.packages"
    if stamp.exists() and stamp.read_text() == wanted:
        return root
    making = cache / f"{SUITE}.new"
    shutil.rmtree(making, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(making)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise MachineError(f"{' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    for unneeded in _SIZE_LESS:
        shutil.rmtree(making / unneeded, ignore_errors=True)
        (making / unneeded).mkdir()
    shutil.rmtree(root, ignore_errors=True)
    making.rename(root)
    stamp.write_text(wanted)
    return root


def root(layout: Layout) -> Path:
    """Where the machine's files are while it is off."""
    return layout.run / "root"


def create(layout: Layout) -> None:
    """A copy of the base for this lab, if there is none yet."""
    where = root(layout)
    if where.exists():
        return
    network.run("cp", "--archive", "--reflink=auto", str(base()), str(where))
    (where / "etc/hostname").write_text("switch\n")
    (where / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 switch\n::1 localhost\n")
    # no name can be resolved in there, and nothing should try for long
    (where / "etc/resolv.conf").unlink(missing_ok=True)
    (where / "etc/resolv.conf").write_text("")


def boot(layout: Layout, timeout: float = 60.0) -> None:
    """Start it, and wait until everything that starts with it has. MachineError after so many seconds."""
    command = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=off"),
        *(f"--directory={root(layout)}", f"--machine={layout.namespace('switch')}", "--hostname=switch"),
        f"--network-namespace-path=/run/netns/{layout.namespace('switch')}",
        *("--capability=CAP_NET_ADMIN", "--console=read-only", "--link-journal=no"),
    ]
    processes.start(layout, Program(NAME, "", command))
    end = time.monotonic() + timeout
    while True:
        if processes.running(layout, NAME) is None:
            raise MachineError(f"the machine has died, see {layout.run / NAME}.log")
        if ask(layout, "systemctl", "is-system-running") in ("running", "degraded"):
            return
        if time.monotonic() > end:
            raise MachineError(f"the machine has not booted in {timeout:.0f} s, see {layout.run / NAME}.log")
        time.sleep(_POLL)


def shut_down(layout: Layout, timeout: float = 60.0) -> None:
    """Power it off in order, and wait for that."""
    processes.stop(layout, NAME, timeout=timeout)


def init(layout: Layout) -> int | None:
    """Process id of the machine's init; None while there is none."""
    outside = processes.running(layout, NAME)
    if outside is None:
        return None
    try:
        children = Path(f"/proc/{outside}/task/{outside}/children").read_text().split()
    except OSError:
        return None
    for child in children:
        try:
            words = Path(f"/proc/{child}/status").read_text().split("NSpid:")[1].split("\n")[0].split()
        except (OSError, IndexError):
            continue
        if words[-1] == "1":
            return int(child)
    return None


def command(layout: Layout, *words: str) -> list[str]:
    """The command that runs `words` inside. MachineError if it is off."""
    pid = init(layout)
    if pid is None:
        raise MachineError("the machine does not run")
    inside = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
    return ["nsenter", f"--target={pid}", *inside, "--", *words]


def run(layout: Layout, *words: str, timeout: float = 120.0, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command inside to its end. MachineError if it fails, with what it printed, unless `check` is false."""
    done = subprocess.run(
        command(layout, *words),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    if check and done.returncode:
        raise MachineError(f"{' '.join(words)}: exit status {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done


def ask(layout: Layout, *words: str) -> str:
    """The first line that a command prints inside; empty if it can not be run yet."""
    try:
        lines = run(layout, *words, check=False, timeout=20).stdout.splitlines()
    except (MachineError, OSError, subprocess.TimeoutExpired):
        return ""
    return lines[0] if lines else ""


def write(layout: Layout, path: str, text: str) -> None:
    """Put a text into a file of the machine, whether it runs or not. Owner and mode of a file that is there stay."""
    # not below /run and /tmp, which are file systems of their own while it runs
    with open(root(layout) / path.lstrip("/"), "w") as file:
        file.write(text)


def install(layout: Layout, package: Path) -> str:
    """dpkg --install, as an operator would; what it says."""
    copy = root(layout) / "root" / package.name
    shutil.copyfile(package, copy)
    try:
        done = run(layout, "dpkg", "--install", "--force-confold", f"/root/{package.name}", timeout=300)
    finally:
        os.unlink(copy)
    return done.stdout + done.stderr
