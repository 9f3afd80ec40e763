"""The Debian package for tests: built once in a run of the tests, and a newer one made from it."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path

from arm import __version__

ROOT = Path(__file__).resolve().parents[1]
VERSION = __version__
NEWER = f"{__version__}+newer"


@functools.cache
def package() -> Path:
    """The package of this checkout. ARM_TEST_PACKAGE names one that is there already."""
    given = os.environ.get("ARM_TEST_PACKAGE")
    return Path(given) if given else build(ROOT / "build" / "deb")


def build(output: Path) -> Path:
    """What scripts/build-deb makes now."""
    done = subprocess.run(
        [ROOT / "scripts" / "build-deb", "--output", output],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.splitlines()[-1])


def newer(old: Path, where: Path) -> Path:
    """The same package with a higher version, which the program says too: what an upgrade installs."""
    tree = where / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", old, tree], check=True, timeout=60)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {NEWER}", control.read_text()))
    (module,) = tree.glob("usr/lib/active-route-manager/lib/python3*/site-packages/arm/__init__.py")
    text = re.sub(r"(?m)^__version__ = .*$", f'__version__ = "{NEWER}"', module.read_text())
    assert NEWER in text
    module.write_text(text)
    made = where / "newer.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made], check=True, timeout=60, capture_output=True
    )
    return made
