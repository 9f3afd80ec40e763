"""The metrics page, read by a strict parser of the text exposition format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import pytest
from fake_arm import NOW_MS, agent, family_status, session, status

from arm.model import Family, Hits, ListenerStatus, Status
from arm.observe.health import assess
from arm.observe.metrics import render

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
            assert kind in ("counter", "gauge")
            assert name not in metrics, f"{name} stands in two places"
            metrics[name] = Metric(kind, helped[1])
            current = name
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == current, "samples of a metric have to stand together"
            labels = tuple(sorted((label[1], label[2]) for label in LABEL.finditer(match[2] or "")))
            assert len({name for name, _ in labels}) == len(labels)
            samples = metrics[match[1]].samples
            assert labels not in samples, f"{line} is there twice"
            samples[labels] = float(match[3])
    return metrics


def scrape(now: Status) -> dict[str, Metric]:
    return parse(render(now, assess(now, now_ms=now.time_ms)))


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
    assert value(metrics, "arm_bgp_session_up", session="reflector6", peer="::1") == 1
    assert value(metrics, "arm_sflow_agent_sampling_rate", agent="10.0.0.136", sub_agent="0") == 1000
    assert value(metrics, "arm_target_applied_changes_total", kind="bird") == 40
    assert value(metrics, "arm_start_time_seconds") == (NOW_MS - 600_000) / 1000
    assert value(metrics, "arm_ready") == 1
    assert value(metrics, "arm_problems", severity="error") == 0


def test_what_a_target_counts_is_a_sample_each() -> None:
    target = replace(status().target, kind="kernel", counters={"drift_restored": 3, "next_hops_down": 1})
    metrics = scrape(status(target=target))
    assert value(metrics, "arm_target_count", kind="kernel", what="drift_restored") == 3


def test_names_follow_the_conventions() -> None:
    for name, metric in scrape(status()).items():
        assert (metric.kind == "counter") == name.endswith("_total"), name
        assert name.startswith(("arm_", "process_"))
        assert "milli" not in name
        assert metric.help.endswith(".")
        if re.search(r"_(time|since|last_seen|tick|plan)(_|$)", name):
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
    metrics = scrape(status(sessions=(session(state="active"),), listener=ListenerStatus(datagrams=1, agents=agents)))
    assert value(metrics, "arm_bgp_session_up", session="reflector", peer="127.0.0.1") == 0
    assert len(metrics["arm_sflow_agent_datagrams_total"].samples) == 20
    assert value(metrics, "arm_ready") == 0


def test_a_status_without_anything_still_parses() -> None:
    scrape(status(families={}, sessions=(), listener=ListenerStatus()))
