"""The container image, built from the Dockerfile and run as an engine would: read-only, not root, told by variables."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from image_build import IMAGE, Container, Storage, namespace
from package_build import ROOT, VERSION
from polling import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

MOST_OCTETS = 150_000_000
BIRD, ARM = "172.30.64.2", "172.30.64.3"
"""Their addresses in compose.yaml."""
BUILD_TOOLS = ("gcc", "cc", "make", "g++", "ld", "pip", "pip3", "npm", "node", "git", "dpkg-buildpackage")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    made = Storage(tmp_path_factory.mktemp("storage"))
    made.build()
    yield made
    shutil.rmtree(made.directory)


@pytest.fixture(scope="module")
def image(storage: Storage) -> tuple[Path, Any]:
    """Its files and its configuration."""
    return storage.mount(), storage.inspect()


@pytest.fixture
def container(image: tuple[Path, Any]) -> Iterator[Container]:
    with namespace([f"{BIRD}/24", f"{ARM}/24"]) as name:
        made = Container(*image, name)
        yield made
        made.kill()


def alive(container: Container) -> bool:
    assert container.process is not None
    assert container.process.poll() is None, container.process.communicate()
    return container.get("/healthz")[0] == 200


def test_it_is_small_and_says_what_it_is(storage: Storage, image: tuple[Path, Any]) -> None:
    root, config = image
    (listed,) = json.loads(storage.buildah("images", "--json", IMAGE))
    details = json.loads(storage.buildah("inspect", "--type", "image", IMAGE))
    assert listed["names"] == [f"{IMAGE}:latest"]
    du = subprocess.run(["du", "-sx", "--block-size=1", root], capture_output=True, text=True, check=True).stdout
    assert int(du.split()[0]) < MOST_OCTETS
    assert len(details["OCIv1"]["rootfs"]["diff_ids"]) == 1, "nothing that was only needed on the way is in a layer"
    assert config["User"] == "931:931"
    assert set(config["ExposedPorts"]) == {"8008/tcp", "1179/tcp", "6343/udp"}
    assert config["Healthcheck"]["Test"][0] == "CMD"
    found = [
        name for name in BUILD_TOOLS for place in ("usr/bin", "usr/local/bin", "bin") if (root / place / name).exists()
    ]
    assert found == []
    assert [path.name for path in (root / "tmp").iterdir()] == []


def test_its_contents_are_listed(image: tuple[Path, Any]) -> None:
    root, _ = image
    document = json.loads((root / "usr/share/sbom/active-route-manager.cdx.json").read_text())
    assert (document["bomFormat"], document["metadata"]["component"]["version"]) == ("CycloneDX", VERSION)
    listed = {component["purl"].split("?")[0] for component in document["components"]}
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Package}\n"]
    installed = set(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split())
    debian = {purl.removeprefix("pkg:deb/debian/").split("@")[0] for purl in listed if purl.startswith("pkg:deb/")}
    assert debian == installed
    assert {"active-route-manager", "python3", "iproute2"} <= debian
    pinned = {
        f"pkg:pypi/{line.split('==')[0]}@{line.split('==')[1].split()[0]}"
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    assert pinned <= listed
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    page = {f"pkg:npm/{name}@{packages[f'node_modules/{name}']['version']}" for name in ("uplot", "world-atlas")}
    assert page <= listed


def test_it_is_an_analyzer_that_needs_nothing_and_ends_when_it_is_told(container: Container) -> None:
    container.start(ARM_TARGET__PREFIXES="12345")
    until(lambda: alive(container), 30)
    _, *check = container.config["Healthcheck"]["Test"]
    assert container.inside(*check).returncode == 0
    assert container.inside("env", "ARM_HTTP__LISTEN=127.0.0.1:8007", *check).returncode != 0
    code, page = container.get("/")
    assert (code, "Active Route Manager" in page) == (200, True)
    sections = {one["section"]: one["keys"] for one in container.get("/arm/config/json")[1]["sections"]}
    values = {key["key"]: key["value"] for key in sections["target"]}
    assert (values["kind"], values["prefixes"]) == ("passive", 12345)
    assert container.inside("sh", "-c", "echo > /usr/x").returncode != 0
    assert container.inside("id", "-u").stdout.strip() == "931"
    assert container.inside("/usr/bin/arm", "--version").stdout.split()[-1] == VERSION
    status, said = container.stop()
    assert status == 0, said
    assert "Traceback" not in said


def test_as_root_with_one_capability_it_is_a_manager_of_the_kernel_s_routes(container: Container) -> None:
    """docs/container.md: --network host --user 0:931 --cap-drop ALL --cap-add NET_ADMIN"""
    settings = {"ARM_TARGET__KIND": "kernel", "ARM_REFLECTOR__IP": BIRD, "ARM_REFLECTOR__AS": "65136"}
    container.start(owner="0:931", keep="net_admin", **settings)
    until(lambda: alive(container), 30)
    until(lambda: container.get("/arm/status/json")[1]["target"]["up"], 10)
    text = Path(f"/proc/{container.first()}/status").read_text()
    assert int(text.split("CapEff:")[1].split()[0], 16) == 1 << 12
    status, said = container.stop()
    assert status == 0, said
    assert "Traceback" not in said


def test_a_wrong_variable_is_named_and_nothing_starts(container: Container) -> None:
    container.start(ARM_TARGET__PREFIXES="lots", ARM_TARGET__SLOTS="5")
    status, said = container.wait()
    assert status == 78
    assert "ARM_TARGET__PREFIXES" in said
    assert "ARM_TARGET__SLOTS" in said


def test_the_demo_shows_a_table_with_traffic_and_a_map(container: Container) -> None:
    container.start("demo", "--ipv4", "5000", "--ipv6", "1000", "--active", "500")

    def lively() -> bool:
        if not alive(container):
            return False
        families = container.get("/arm/status/json")[1]["families"]
        return all(one["complete"] and one["installed_routes"] for one in families.values())

    until(lambda: container.get("/healthz")[0] == 200, 60)
    until(lively, 60)
    assert len([one for one in container.get("/arm/countries/json")[1]["countries"] if one["country"]]) > 10
    status, said = container.stop()
    assert status == 0, said


def test_bird_of_the_compose_file_teaches_it_and_prometheus_may_ask(container: Container, tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    container.start(**{name: str(value) for name, value in services["arm"]["environment"].items()})
    configuration = ROOT / "container" / "bird" / "bird.conf"
    options = ("-f", "-c", configuration, "-s", tmp_path / "bird.ctl", "-P", tmp_path / "bird.pid")
    bird = subprocess.Popen(["ip", "netns", "exec", container.namespace, "bird", *options], stderr=subprocess.DEVNULL)
    try:
        until(lambda: container.get("/readyz")[0] == 200, 60)
        assert container.get("/arm/status/json")[1]["families"]["ipv4"]["rib_prefixes"] == 3
        code, metrics = container.get("/metrics", host="arm:8008")
        assert (code, "arm_build_info" in metrics) == (200, True)
        assert container.get("/metrics", host="elsewhere:8008")[0] == 421
    finally:
        bird.terminate()
        bird.wait(10)
