"""The container image for tests: built by buildah from a base that debootstrap makes, and run without an engine.

There is no container engine where the tests run, so a test does what one would: it takes the image's own user,
environment, entry point and volumes, and gives it a read-only root, a network namespace and a process namespace.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from package_build import ROOT, package
from polling import until

from arm.simulate.lab.machine import alone

CACHE: Final = Path("/var/cache/arm-image")
SUITE: Final = "bookworm"
IMAGE: Final = "localhost/active-route-manager"
_NOT_SLIM: Final = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/lib/apt/lists")
"""What Debian's slim images leave out of a minimal system."""


def run(*words: str | Path, environ: Mapping[str, str] | None = None, timeout: float = 600) -> str:
    """What a command prints; the test fails if it fails."""
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environ or {})},
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def slim() -> Path:
    """A root like that of Debian's slim images; made when it is missing, and kept."""
    root = CACHE / SUITE
    with alone(CACHE):
        if not root.exists():
            making = CACHE / f"{SUITE}.new"
            shutil.rmtree(making, ignore_errors=True)
            run("debootstrap", "--variant=minbase", SUITE, making)
            run("chroot", making, "apt-get", "clean")
            for name in _NOT_SLIM:
                for inside in (making / name).iterdir():
                    shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
            making.rename(root)
    return root


class Storage:
    """Images in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        configuration = directory / "storage.conf"
        places = {"graphroot": directory / "images", "runroot": directory / "run"}
        lines = [f'{name} = "{place}"' for name, place in places.items()]
        configuration.write_text("\n".join(["[storage]", 'driver = "vfs"', *lines, ""]))
        self.environ = {"CONTAINERS_STORAGE_CONF": str(configuration), "BUILDAH_ISOLATION": "chroot"}

    def buildah(self, *words: str | Path) -> str:
        return run("buildah", *words, environ=self.environ).strip()

    def build(self) -> None:
        """The image from the Dockerfile, by scripts/build-image."""
        base = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", base, slim(), "/")
        self.buildah("commit", "--quiet", "--rm", base, "slim")
        script = ROOT / "scripts" / "build-image"
        words = ("--engine", "buildah", "--package", package(), "--build-arg", "BASE=localhost/slim")
        run(script, *words, environ=self.environ)

    def inspect(self) -> Any:
        return json.loads(self.buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]

    def mount(self) -> Path:
        """The image's files."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", IMAGE)))


@dataclass
class Container:
    """A process in the image, as an engine would run it with `--read-only`."""

    root: Path
    config: Any
    namespace: str
    process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, owner: str = "", keep: str = "", **environ: str) -> None:
        """`docker run --read-only -e NAME=VALUE ... IMAGE arguments`

        `owner` is what follows --user, and `keep` a capability that --cap-add gives after --cap-drop ALL.
        """
        words = [*self.config["Entrypoint"], *(arguments or self.config["Cmd"])]
        if keep:
            words = ["setpriv", "--no-new-privs", f"--bounding-set=-all,+{keep}", *words]
        settings = [*self.config["Env"], *(f"{name}={value}" for name, value in environ.items())]
        owner = owner or self.config["User"]
        user, group = self.config["User"].split(":")
        options = f"mode=0770,uid={user},gid={group}"
        volumes = "\n".join(f"mount -t tmpfs -o {options} tmpfs {self.root}{one}" for one in self.config["Volumes"])
        script = f"""
            set -e
            mount --make-rprivate /
            mount --bind {self.root} {self.root}
            mount -o remount,bind,ro {self.root}
            {volumes}
            mount -t proc proc {self.root}/proc
            mount --rbind /dev {self.root}/dev
            cd {self.root}
            exec env -i {" ".join(f"'{one}'" for one in settings)} \
                chroot --userspec={owner} {self.root} {" ".join(words)}
        """
        inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *inside],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def first(self) -> int:
        """Process id, seen from outside, of what is process 1 inside."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(until(lambda: path.read_text().split(), 10)[0])

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`docker exec`"""
        user, group = self.config["User"].split(":")
        entry = ("--mount", "--net", "--pid", "--root", "--wd", f"--setuid={user}", f"--setgid={group}")
        return subprocess.run(
            ["nsenter", f"--target={self.first()}", *entry, "--", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env=dict(one.split("=", 1) for one in self.config["Env"]),
        )

    def get(self, path: str, host: str = "127.0.0.1:8008") -> tuple[int, Any]:
        """Status and document of a path of the page; status 0 while nobody answers."""
        program = (
            "import sys, urllib.request as r, urllib.error as e\n"
            "asked = r.Request('http://127.0.0.1:8008' + sys.argv[1], headers={'Host': sys.argv[2]})\n"
            "try: a = r.urlopen(asked, timeout=9)\n"
            "except e.HTTPError as error: a = error\n"
            "except OSError: print(0); sys.exit()\n"
            "print(a.status); print(a.read().decode())"
        )
        command = ["ip", "netns", "exec", self.namespace, sys.executable, "-I", "-c", program, path, host]
        status, _, body = run(*command).partition("\n")
        with contextlib.suppress(ValueError):
            return int(status), json.loads(body)
        return int(status), body

    def stop(self, timeout: float = 10) -> tuple[int, str]:
        """`docker stop`: SIGTERM to process 1. Its exit status, and what it said; AssertionError if it takes longer."""
        os.kill(self.first(), signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 20) -> tuple[int, str]:
        assert self.process is not None
        _, said = self.process.communicate(timeout=timeout)
        status = self.process.returncode
        self.process = None
        return status, said

    def kill(self) -> None:
        """Whatever it does; nothing if it has ended."""
        if self.process is not None:
            if self.process.poll() is None:
                os.kill(self.first(), signal.SIGKILL)
            self.wait()


@contextlib.contextmanager
def namespace(addresses: Sequence[str] = ()) -> Any:
    """A network namespace with an interface that leads nowhere."""
    name = f"arm-image-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for interface in ("lo", "eth0", "eth1"):
            run("ip", "-n", name, "link", "set", interface, "up")
        for address in addresses:
            run("ip", "-n", name, "address", "add", address, "dev", "eth0")
        yield name
    finally:
        run("ip", "netns", "delete", name)
