"""compose.yaml and what it mounts: files that exist, settings that ARM knows, and programs that accept their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from arm.config import parse, split_endpoint

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = ROOT / "container" / "arm.toml"


def arm_environment() -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES["arm"]["environment"].items()}


def test_every_file_that_is_mounted_or_built_from_is_there() -> None:
    paths = [volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())]
    paths += [f"./{one['build']}/Dockerfile" for one in SERVICES.values() if "build" in one]
    inside = [path for path in paths if path.startswith("./")]
    assert len(inside) >= 7
    assert [path for path in inside if not (ROOT / path).exists()] == []
    assert {path for path in paths if not path.startswith("./")} == set(COMPOSE["volumes"])


def test_arm_takes_the_settings_and_knows_bird_by_its_address() -> None:
    config = parse(OWN.read_bytes(), source="arm.toml", environ=arm_environment())
    assert config.reflector.ip == SERVICES["bird"]["networks"]["switch"]["ipv4_address"]
    assert config.target.kind == "passive"
    bird = (ROOT / "container" / "bird" / "bird.conf").read_text()
    own = SERVICES["arm"]["networks"]["switch"]["ipv4_address"]
    assert re.search(rf"neighbor {re.escape(own)} port {config.bgp.port} as {config.reflector.as_};", bird)
    assert f"local {config.reflector.ip} as {config.reflector.as_};" in bird


def test_ports_are_those_of_the_image_and_its_configuration() -> None:
    config = parse(OWN.read_bytes(), source="arm.toml")
    _, http = split_endpoint(config.http.listen)
    _, sflow = split_endpoint(config.sflow.listen)
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"EXPOSE {http}/tcp {config.bgp.port}/tcp {sflow}/udp" in dockerfile
    published = {port.split(":")[-1] for port in SERVICES["arm"]["ports"]}
    assert published == {str(http), f"{sflow}/udp"}


def test_the_page_answers_under_the_name_that_prometheus_uses() -> None:
    prometheus = yaml.safe_load((ROOT / "container" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    ((target,),) = [one["targets"] for one in job["static_configs"]]
    config = parse(OWN.read_bytes(), source="arm.toml", environ=arm_environment())
    assert target.split(":")[0] in config.http.hosts
    assert job["job_name"] == "arm", "the alert rules name the job"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_accepts_its_file(tmp_path: Path) -> None:
    text = (ROOT / "container" / "prometheus.yml").read_text()
    rules = ROOT / "conf" / "prometheus" / "arm.rules.yml"
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/arm.rules.yml", str(rules)))
    checked = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("bird") is None, reason="bird is not installed")
def test_bird_accepts_its_file() -> None:
    checked = subprocess.run(
        ["bird", "-p", "-c", ROOT / "container" / "bird" / "bird.conf"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    (source,) = yaml.safe_load((ROOT / "container" / "grafana" / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((ROOT / "container" / "grafana" / "dashboards.yml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounted["./conf/grafana"] == provider["options"]["path"]
    dashboard = json.loads((ROOT / "conf" / "grafana" / "active-route-manager.json").read_text())
    asked = [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert asked == [source["type"]]
