"""The metrics page, read by a strict parser of the text exposition format."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fake_arm import NOW_MS, agent, family_status, session, status

from arm.model import Distribution, Family, Hits, ListenerStatus, SessionState, Status
from arm.observe.health import assess
from arm.observe.metrics import render
from arm.observe.switch import SwitchReport

CONF = Path(__file__).parents[2] / "conf"
RULES = CONF / "prometheus" / "arm.rules.yml"
DASHBOARD = CONF / "grafana" / "active-route-manager.json"
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"[a-z][a-z0-9_]*")
SAMPLE = re.compile(r'([a-z][a-z0-9_]*)(?:\{((?:[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')


@dataclass
class Metric:
    kind: str
    help: str
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)


def parse(text: str) -> dict[str, Metric]:
    """Refuses all that Prometheus would, and order and repetition that it would not like."""
    metrics: dict[str, Metric] = {}
    helped = current = None
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line == line.strip()
        if line.startswith("# HELP "):
            name, _, help_ = line[7:].partition(" ")
            assert NAME.fullmatch(name)
            assert help_
            helped = (name, help_)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert helped is not None
            assert name == helped[0]
            assert kind in ("counter", "gauge", "histogram")
            assert name not in metrics, f"{name} stands in two places"
            metrics[name] = Metric(kind, helped[1])
            current = name
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            histogram = current is not None and metrics[current].kind == "histogram"
            part = match[1].removeprefix(f"{current}_") if histogram else ""
            assert part in ("bucket", "sum", "count") if histogram else match[1] == current, "must stand together"
            found = [(label[1], label[2]) for label in LABEL.finditer(match[2] or "")]
            labels = tuple(sorted([*found, ("part", part)] if histogram else found))
            assert len({name for name, _ in labels}) == len(labels)
            assert current is not None
            samples = metrics[current].samples
            assert labels not in samples, f"{line} is there twice"
            samples[labels] = float(match[3])
    return metrics


def scrape(now: Status) -> dict[str, Metric]:
    return parse(render(now, assess(now, now_ms=now.time_ms)))


def everything() -> str:
    """A page with all metrics that there are."""
    times = Distribution((0.01, 0.1), (3, 4, 5), 1.25)
    now = status(ticks=times, reactions=times, target=replace(status().target, counters={"routes_written": 1}))
    report = SwitchReport(
        "10.0.0.136", NOW_MS, (1.0, 2.0, 3.0), 4, 5, 0.5, 1000, 600, 2000, 900, 0.5, {"ipv4_routes": (7, 10)}
    )
    top = [("ipv4", "192.0.2.0/24", 1000.0), ("ipv6", "2001:db8::/32", 10.0)]
    return render(now, assess(now, now_ms=NOW_MS), top=top, switch=[report])


def value(metrics: dict[str, Metric], name: str, **labels: str) -> float:
    return metrics[name].samples[tuple(sorted(labels.items()))]


def test_values_are_those_of_the_status() -> None:
    metrics = scrape(status())
    assert value(metrics, "arm_build_info", version="1.2.3") == 1
    assert value(metrics, "arm_table_prefixes", family="ipv4") == 8
    assert value(metrics, "arm_table_prefixes", family="ipv6") == 2
    assert value(metrics, "arm_hardware_entries", family="ipv4", kind="cover") == 1
    assert value(metrics, "arm_hardware_changes_total", family="ipv4", operation="install") == 5
    assert value(metrics, "arm_traffic_bytes_per_second", family="ipv4", outcome="no_slot") == 50
    assert value(metrics, "arm_traffic_coverage_ratio", family="ipv4") == pytest.approx(0.9)
    assert 0 < value(metrics, "arm_traffic_coverage_error_ratio", family="ipv4") < 0.5
    assert value(metrics, "arm_bgp_session_up", session="reflector6", peer="::1") == 1
    assert value(metrics, "arm_sflow_agent_sampling_rate", agent="10.0.0.136", sub_agent="0") == 1000
    assert value(metrics, "arm_target_applied_changes_total", kind="bird") == 40
    assert value(metrics, "arm_start_time_seconds") == (NOW_MS - 600_000) / 1000
    assert value(metrics, "arm_ready") == 1
    assert value(metrics, "arm_problems", severity="error") == 0


def test_what_a_target_counts_is_a_sample_each() -> None:
    target = replace(status().target, kind="kernel", counters={"drift_restored": 3, "next_hops_down": 1})
    metrics = scrape(status(target=target))
    assert value(metrics, "arm_target_detail", kind="kernel", what="drift_restored") == 3


def test_names_follow_the_conventions() -> None:
    for name, metric in parse(everything()).items():
        assert (metric.kind == "counter") == name.endswith("_total"), name
        assert name.startswith(("arm_", "process_"))
        assert "milli" not in name
        assert metric.help.endswith(".")
        if re.search(r"_(time|since|last_seen|tick|plan|reaction)(_|$)", name):
            assert name.endswith("_seconds"), name


def test_all_traffic_outcomes_add_up() -> None:
    hits = Hits(installed=1.0, free=2.0, new=3.0, removed=4.0, no_slot=5.0, excluded=6.0, no_route=7.0)
    metrics = scrape(status(families={Family.IPV4: family_status(hits=hits)}))
    assert sum(metrics["arm_traffic_bytes_per_second"].samples.values()) == hits.total


def test_coverage_is_left_out_without_traffic() -> None:
    assert "arm_traffic_coverage_ratio" not in scrape(status(families={Family.IPV4: family_status(hits=Hits())}))


def test_labels_are_escaped() -> None:
    metrics = scrape(status(version='a"b\\c\nd'))
    assert value(metrics, "arm_build_info", version='a\\"b\\\\c\\nd') == 1


def test_a_lost_session_and_many_agents_are_each_a_sample() -> None:
    agents = tuple(agent(f"10.0.0.{host}", sub_agent=host % 2) for host in range(20))
    metrics = scrape(
        status(sessions=(session(state=SessionState.ACTIVE),), listener=ListenerStatus(datagrams=1, agents=agents))
    )
    assert value(metrics, "arm_bgp_session_up", session="reflector", peer="127.0.0.1") == 0
    assert len(metrics["arm_sflow_agent_datagrams_total"].samples) == 20
    assert value(metrics, "arm_ready") == 0


def test_a_status_without_anything_still_parses() -> None:
    scrape(status(families={}, sessions=(), listener=ListenerStatus()))


def test_histograms_are_cumulated_up_to_everything() -> None:
    samples = parse(everything())["arm_reaction_seconds"].samples
    buckets = {dict(labels)["le"]: count for labels, count in samples.items() if dict(labels)["part"] == "bucket"}
    assert buckets == {"0.01": 3, "0.1": 7, "+Inf": 12}
    assert samples[(("part", "count"),)] == 12
    assert samples[(("part", "sum"),)] == 1.25


def test_the_busiest_prefixes_and_the_switch_have_series() -> None:
    metrics = parse(everything())
    assert value(metrics, "arm_prefix_bytes_per_second", family="ipv4", prefix="192.0.2.0/24") == 1000
    assert value(metrics, "arm_switch_load", agent="10.0.0.136", sub_agent="0", minutes="15") == 3
    assert (
        value(metrics, "arm_switch_table_entries_limit", agent="10.0.0.136", sub_agent="0", table="ipv4_routes") == 10
    )


def _named(text: str) -> set[str]:
    """Names of metrics in expressions of PromQL."""
    return set(re.findall(r"\b(?:arm|process)_[a-z0-9_]+(?=[{\[\s)*/]|$)", text))


def _exported() -> set[str]:
    metrics = parse(everything())
    parts = {f"{name}_{part}" for name, one in metrics.items() if one.kind == "histogram" for part in ("bucket", "sum")}
    return {*metrics, *parts}


def test_alert_rules_use_metrics_that_there_are() -> None:
    text = RULES.read_text()
    expressions = re.findall(r"expr: (?:>-\n((?:          .*\n)+)|(.*))", text)
    named = {name for pair in expressions for name in _named(" ".join(pair))}
    assert len(named) >= 12
    assert named <= _exported()


def test_the_dashboard_uses_metrics_that_there_are() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    named = {name for panel in panels for target in panel["targets"] for name in _named(target["expr"])}
    assert len(named) >= 20
    assert named <= _exported()
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_nothing_wrong() -> None:
    for arguments, text in (
        (["test", "rules", str(RULES.with_name("arm.rules.test.yml"))], None),
        (["check", "rules", str(RULES)], None),
        (["check", "metrics"], everything()),
    ):
        done = subprocess.run([str(PROMTOOL), *arguments], input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
