"""The Debian package by itself: what is in it, what it says of itself, and that the same source makes the same bytes.

What it does when it is installed is in tests/lab/test_boot.py.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from package_build import ROOT, VERSION, build, package

from arm.cli import parser

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

UNITS = ("arm.service", "arm@.service")
PROTOCOL = Path("rt_protos.d/arm.conf")
"""Of conf/, the one file that is installed where it belongs at once, besides arm.toml."""
EXPOSURE = 2.0
"""The most that `systemd-analyze security` may say of the service."""


def run(*command: str | Path) -> str:
    """What a command prints; the test fails if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def field(name: str) -> str:
    return run("dpkg-deb", "--field", package(), name).strip()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package's files."""
    where = tmp_path_factory.mktemp("package") / "tree"
    run("dpkg-deb", "--raw-extract", package(), where)
    yield where
    shutil.rmtree(where)


def commands(of: argparse.ArgumentParser) -> list[str]:
    return [name for action in of._actions if isinstance(action, argparse._SubParsersAction) for name in action.choices]


def test_lintian_finds_neither_errors_nor_warnings_and_overrides_say_why() -> None:
    run("lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root", package())
    lines = (ROOT / "debian" / "active-route-manager.lintian-overrides").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        assert line.startswith("#") or before.startswith("#"), f"no reason for: {line}"


def test_the_same_source_makes_the_same_bytes(tmp_path: Path) -> None:
    if os.environ.get("ARM_TEST_PACKAGE"):
        pytest.skip("the package of ARM_TEST_PACKAGE may be of another source")
    assert build(tmp_path).read_bytes() == package().read_bytes()


def test_it_needs_nothing_that_a_switch_has_not() -> None:
    needs = {re.split(r"[\s(]", need.strip())[0] for need in field("Depends").split(",")}
    assert needs == {"iproute2", "libc6", "python3", "systemd"}
    assert "bird2" in field("Recommends")
    assert field("Version") == VERSION


def test_every_package_inside_is_in_the_copyright_file(tree: Path) -> None:
    known = (ROOT / "debian" / "copyright").read_text()
    inside = [path.name.split("-")[0].lower() for path in tree.glob("usr/lib/active-route-manager/lib/*/*/*.dist-info")]
    assert len(inside) > 5
    for name in inside:
        assert f"debian/vendor/{name}*" in known or name == "active_route_manager", name


def test_it_writes_outside_of_its_own_directories_only_what_debian_expects(tree: Path) -> None:
    conffiles = {"/etc/arm/arm.toml", "/etc/iproute2/rt_protos.d/arm.conf"}
    assert set((tree / "DEBIAN" / "conffiles").read_text().split()) == conffiles
    places = (
        "/lib/systemd/system/arm",
        "/usr/bin/arm",
        "/usr/lib/active-route-manager/",
        "/usr/lib/sysusers.d/active-route-manager.conf",
        "/usr/share/bash-completion/completions/arm",
        "/usr/share/doc/active-route-manager/",
        "/usr/share/lintian/overrides/active-route-manager",
        "/usr/share/man/",
    )
    files = {
        f"/{path.relative_to(tree)}"
        for path in tree.rglob("*")
        if not path.is_dir() and "DEBIAN" not in path.relative_to(tree).parts
    }
    assert {file for file in files - conffiles if not file.startswith(places)} == set()


def test_the_examples_are_those_of_the_project(tree: Path) -> None:
    there = tree / "usr/share/doc/active-route-manager/examples"
    ours = {path.relative_to(ROOT / "conf"): path for path in (ROOT / "conf").rglob("*.*") if path.is_file()}
    ours |= {Path(path.name): path for path in (ROOT / "docs" / "examples").glob("*.py")}
    del ours[PROTOCOL]
    # debhelper compresses what is long
    installed = {path.relative_to(there): path for path in there.rglob("*.*") if path.is_file()}
    assert {str(name).removesuffix(".gz") for name in installed} == {str(name) for name in ours}
    for name, path in installed.items():
        if path.suffix != ".gz":
            assert path.read_bytes() == ours[name].read_bytes()
    assert (tree / "etc/arm/arm.toml").read_bytes() == (ROOT / "conf" / "arm.toml").read_bytes()


def test_every_command_has_a_manual_page_without_faults(tree: Path) -> None:
    names = ["arm.1", *(f"arm-{command}.1" for command in commands(parser())), "arm.toml.5"]
    for name in names:
        path = tree / f"usr/share/man/man{name[-1]}/{name}.gz"
        source = run("gzip", "--decompress", "--stdout", path)
        assert source.startswith(".TH "), name
    completion = (tree / "usr/share/bash-completion/completions/arm").read_text()
    assert all(command in completion for command in commands(parser()))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("arm", ""), "check"),
        (("arm", "sh"), "show"),
        (("arm", "show", "wh"), "why"),
        (("arm", "show", "top", "--"), "--json"),
        (("arm", "run", "-c", "/etc/host"), "/etc/hosts"),
    ],
)
def test_bash_completes_commands_views_options_and_files(tree: Path, typed: tuple[str, ...], offered: str) -> None:
    words = " ".join(f"'{word}'" for word in typed)
    script = f"""
        source {tree}/usr/share/bash-completion/completions/arm
        COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _arm
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert offered in run("bash", "-c", script).split()


@pytest.mark.parametrize("unit", UNITS)
def test_the_service_is_exposed_to_little(unit: str) -> None:
    threshold = str(round(10 * EXPOSURE))
    run("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", ROOT / "systemd" / unit)


def test_in_a_vrf_the_service_is_the_same() -> None:
    plain, vrf = ((ROOT / "systemd" / unit).read_text().splitlines() for unit in UNITS)
    other = {line.partition("=")[0] for line in set(plain) ^ set(vrf)}
    assert {name for name in other if not name.startswith("#")} == {"Description", "After", "Conflicts", "ExecStart"}
