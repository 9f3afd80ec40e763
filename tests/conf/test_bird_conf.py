"""BIRD takes the configurations that are shipped for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CONF = Path(__file__).resolve().parents[2] / "conf"
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"


def accepts(bird: str | Path, conf: Path) -> None:
    done = subprocess.run([str(bird), "-p", "-c", str(conf)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_bird_2_takes_its_configuration() -> None:
    bird = shutil.which("bird", path=SEARCH)
    if bird is None:
        pytest.skip("BIRD is not installed (Debian: bird2)")
    accepts(bird, CONF / "bird2.conf")


@pytest.fixture(scope="module")
def bird_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's BIRD 1.6, unpacked aside: installed, it would take BIRD 2's place."""
    directory = tmp_path_factory.mktemp("bird1")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("BIRD 1.6 is unpacked from a Debian package, and this is no Debian")
    fetch = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "bird"]
    try:
        got = subprocess.run(fetch, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the Debian package of BIRD 1.6 did not arrive in time")
    packages = list(directory.glob("bird_1.6*.deb"))
    if got.returncode or not packages:
        pytest.skip(f"no Debian package of BIRD 1.6: {got.stderr.strip().splitlines()[-1:]}")
    subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(directory)], check=True)
    return directory / "usr/sbin"


@pytest.mark.parametrize(("daemon", "conf"), [("bird", "bird1.conf"), ("bird6", "bird1-ipv6.conf")])
def test_bird_1_takes_its_configurations(bird_1: Path, daemon: str, conf: str) -> None:
    accepts(bird_1 / daemon, CONF / conf)


def test_all_configurations_name_the_same_addresses() -> None:
    """conf/ is one set-up: what one file calls a thing, the others do too."""
    texts = {name: (CONF / name).read_text() for name in ("arm.toml", "bird2.conf", "bird1.conf", "hsflowd.conf")}
    assert [name for name, text in texts.items() if "10.0.0.136" not in text] == []
    for name in ("bird2.conf", "bird1.conf"):
        for value in ("10.0.0.134", "10.0.0.135", "65134", "65135", "65136", "1179"):
            assert value in texts[name], (name, value)
