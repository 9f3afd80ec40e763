"""Prometheus metrics of the latest status, in the text exposition format (version 0.0.4).

Names are written out here, once, so that they can be searched for: `arm_` first, base units (seconds, bytes, ratios
from 0 to 1), `_total` on counters. Nothing is counted in this module: it shows what the status holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from arm.model import Distribution, Severity, Status
from arm.observe.health import Health
from arm.observe.switch import SwitchReport
from arm.observe.trend import OUTCOMES, family_key
from arm.walltime import CLOCK, WallTime

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, object]


class _Page:
    """Samples gathered by metric, since all those of one name have to stand together."""

    def __init__(self) -> None:
        self._metrics: dict[str, tuple[str, str, list[str]]] = {}

    def add(self, kind: str, name: str, text: str, value: float, labels: Labels | None = None) -> None:
        _, _, lines = self._metrics.setdefault(name, (kind, text, []))
        inside = ",".join(f'{key}="{_escape(str(label))}"' for key, label in (labels or {}).items())
        lines.append(f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}")

    def gauge(self, name: str, text: str, value: float, labels: Labels | None = None) -> None:
        self.add("gauge", name, text, value, labels)

    def counter(self, name: str, text: str, value: float, labels: Labels | None = None) -> None:
        self.add("counter", name, text, value, labels)

    def histogram(self, name: str, text: str, measured: Distribution) -> None:
        lines = self._metrics.setdefault(name, ("histogram", text, []))[2]
        seen = 0
        for bound, count in zip((*measured.bounds, math.inf), measured.counts, strict=True):
            seen += count
            label = "+Inf" if bound == math.inf else _number(bound)
            lines.append(f'{name}_bucket{{le="{label}"}} {seen}')
        lines.append(f"{name}_sum {_number(measured.total)}")
        lines.append(f"{name}_count {seen}")

    def text(self) -> str:
        parts = [
            f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"
            for name, (kind, text, lines) in self._metrics.items()
        ]
        return "".join(parts)


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def render(
    status: Status,
    health: Health,
    *,
    top: Sequence[tuple[str, str, float]] = (),
    switch: Sequence[SwitchReport] = (),
    wall: WallTime = CLOCK,
) -> str:
    """The page that Prometheus scrapes; `top` are (family, prefix, bytes per second) of the busiest prefixes."""
    page = _Page()
    page.gauge("arm_build_info", "Version of the running ARM.", 1, {"version": status.version})
    page.gauge("arm_start_time_seconds", "When ARM started, since the epoch.", wall.shown_ms(status.started_ms) / 1000)
    page.gauge(
        "arm_status_time_seconds",
        "When the engine last reported, since the epoch.",
        wall.shown_ms(status.time_ms) / 1000,
    )
    page.gauge("arm_ready", "1 if all reflector sessions are up and the whole table is learned.", health.ready)
    for severity in Severity:
        count = sum(problem.severity is severity for problem in health.problems)
        page.gauge("arm_problems", "Problems that the status page shows now.", count, {"severity": severity.value})
    page.gauge("arm_choice_frozen", "1 while sFlow is stale and the choice is frozen.", status.sampling_frozen)
    page.gauge("arm_engine_latest_tick_seconds", "Time that the engine's latest tick took.", status.tick_seconds)
    if status.ticks is not None:
        page.histogram("arm_engine_tick_seconds", "Time that the engine's ticks took.", status.ticks)
    if status.reactions is not None:
        text = "Time from the oldest sample that a plan may go back to until the target had applied the plan."
        page.histogram("arm_reaction_seconds", text, status.reactions)
    page.counter("process_cpu_seconds_total", "CPU time spent by ARM.", status.cpu_seconds)
    page.gauge("process_resident_memory_bytes", "Memory held by ARM.", status.rss_bytes)
    _families(page, status)
    _sessions(page, status, wall)
    _sflow(page, status, wall)
    _target(page, status)
    _switch(page, switch)
    for family, prefix, rate in top:
        text = "Traffic of the busiest prefixes; how many is set by [http] metrics_prefixes."
        labels = {"family": family, "prefix": prefix}
        page.gauge("arm_prefix_bytes_per_second", text, rate, labels)
    return page.text()


def _families(page: _Page, status: Status) -> None:
    for family, now in status.families.items():
        labels = {"family": family_key(family)}
        page.gauge("arm_table_prefixes", "Prefixes in the full table.", now.rib_prefixes, labels)
        page.gauge("arm_table_complete", "1 once the whole table has been learned.", now.complete, labels)
        text = "Prefixes learned since the start."
        page.counter("arm_table_learned_prefixes_total", text, now.learned_added, labels)
        text = "Prefixes withdrawn since the start."
        page.counter("arm_table_withdrawn_prefixes_total", text, now.learned_removed, labels)
        page.gauge("arm_active_prefixes", "Prefixes with traffic.", now.active_prefixes, labels)
        page.gauge("arm_hardware_slots", "Routes that hardware has room for.", now.capacity, labels)
        for kind, count in (("route", now.installed_routes), ("cover", now.installed_covers)):
            page.gauge("arm_hardware_entries", "Slots in use.", count, labels | {"kind": kind})
        operations = (("install", now.added), ("remove", now.removed), ("replace", now.replaced))
        for operation, count in operations:
            text = "Changes decided for hardware since the start."
            page.counter("arm_hardware_changes_total", text, count, labels | {"operation": operation})
        for outcome in OUTCOMES:
            text = "Traffic of the latest interval by what the standing choice did with it."
            value = getattr(now.hits, outcome)
            page.gauge("arm_traffic_bytes_per_second", text, value, labels | {"outcome": outcome})
        text = "Flow samples behind the traffic of the latest interval."
        page.gauge("arm_traffic_interval_samples", text, now.hits.samples, labels)
        if now.hits.coverage is not None:
            text = "Share of the latest interval's traffic in hardware or right by default."
            page.gauge("arm_traffic_coverage_ratio", text, now.hits.coverage, labels)
            if now.hits.coverage_error is not None:
                text = "95% sampling error of the coverage, as a share."
                page.gauge("arm_traffic_coverage_error_ratio", text, now.hits.coverage_error, labels)


def _sessions(page: _Page, status: Status, wall: WallTime) -> None:
    for session in status.sessions:
        labels = {"session": session.name, "peer": session.peer}
        page.gauge("arm_bgp_session_up", "1 if established.", session.up, labels)
        text = "When the session came into its state, since the epoch."
        page.gauge("arm_bgp_session_since_seconds", text, wall.shown_ms(session.since_ms) / 1000, labels)
        page.counter("arm_bgp_session_flaps_total", "Times the session went down.", session.flaps, labels)
        for direction, count in (("in", session.updates_in), ("out", session.updates_out)):
            page.counter("arm_bgp_updates_total", "UPDATE messages.", count, labels | {"direction": direction})
        text = "Prefixes that the peer announced."
        page.counter("arm_bgp_announced_prefixes_total", text, session.prefixes_announced_in, labels)
        text = "Prefixes that the peer withdrew."
        page.counter("arm_bgp_withdrawn_prefixes_total", text, session.prefixes_withdrawn_in, labels)
        text = "UPDATE messages treated as withdraw (RFC 7606)."
        page.counter("arm_bgp_malformed_updates_total", text, session.malformed, labels)


def _sflow(page: _Page, status: Status, wall: WallTime) -> None:
    listener = status.listener
    page.counter("arm_sflow_datagrams_total", "Datagrams received.", listener.datagrams)
    page.counter("arm_sflow_flow_samples_total", "Flow samples taken in.", listener.flow_samples)
    page.counter("arm_sflow_polled_samples_total", "Counter samples taken in.", listener.counter_samples)
    text = "Samples of packets that the switch discarded."
    page.counter("arm_sflow_discarded_packet_samples_total", text, listener.discarded_packet_samples)
    page.counter(
        "arm_sflow_skipped_samples_total", "Flow samples without a readable IP header.", listener.skipped_samples
    )
    page.counter("arm_sflow_malformed_datagrams_total", "Datagrams that did not decode.", listener.malformed)
    page.counter("arm_sflow_dropped_datagrams_total", "Datagrams the kernel had no buffer for.", listener.kernel_drops)
    page.counter("arm_sflow_foreign_datagrams_total", "Datagrams of agents left out.", listener.other_agents)
    for agent in listener.agents:
        labels = {"agent": agent.agent, "sub_agent": agent.sub_agent}
        page.counter("arm_sflow_agent_datagrams_total", "Datagrams of an agent.", agent.datagrams, labels)
        page.counter("arm_sflow_agent_flow_samples_total", "Flow samples of an agent.", agent.flow_samples, labels)
        text = "Datagrams missing in an agent's sequence."
        page.counter("arm_sflow_agent_lost_datagrams_total", text, agent.lost_datagrams, labels)
        text = "Flow samples missing in an agent's sequence."
        page.counter("arm_sflow_agent_lost_samples_total", text, agent.lost_samples, labels)
        text = "Packets that one sample of an agent stands for."
        page.gauge("arm_sflow_agent_sampling_rate", text, agent.sampling_rate, labels)
        text = "When an agent was last heard, since the epoch."
        page.gauge("arm_sflow_agent_last_seen_seconds", text, wall.shown_ms(agent.last_seen_ms) / 1000, labels)


def _target(page: _Page, status: Status) -> None:
    target = status.target
    labels = {"kind": target.kind}
    page.gauge("arm_target_up", "1 if the target takes changes.", target.up, labels)
    page.gauge("arm_target_pending_changes", "Changes decided and not yet handed over.", target.pending, labels)
    page.counter("arm_target_applied_changes_total", "Changes made.", target.applied, labels)
    page.counter("arm_target_failed_changes_total", "Changes that failed.", target.failed, labels)
    for name, count in target.counters.items():
        page.gauge(
            "arm_target_detail", "What else this kind of target counts, by name.", count, labels | {"what": name}
        )
    page.gauge("arm_target_last_plan_seconds", "Time the latest plan took to apply.", target.last_seconds, labels)


def _switch(page: _Page, reports: Sequence[SwitchReport]) -> None:
    for report in reports:
        labels = {"agent": report.agent, "sub_agent": report.sub_agent}
        for minutes, load in zip((1, 5, 15), report.load or (), strict=False):
            page.gauge("arm_switch_load", "Load average of the switch.", load, labels | {"minutes": minutes})
        known = (
            ("arm_switch_cpu_ratio", "Share of the switch's processors that is busy.", report.cpu_share),
            ("arm_switch_memory_bytes", "Memory of the switch.", report.memory_total),
            ("arm_switch_memory_available_bytes", "Memory free, or used for buffers.", report.memory_available),
            ("arm_switch_disk_bytes", "Room on the switch's disks.", report.disk_total),
            ("arm_switch_disk_free_bytes", "Free room on the switch's disks.", report.disk_free),
        )
        for name, text, value in known:
            if value is not None:
                page.gauge(name, text, value, labels)
        for table, (used, most) in report.tables.items():
            text = "Entries in a table of the switch's ASIC."
            page.gauge("arm_switch_table_entries", text, used, labels | {"table": table})
            text = "Entries that a table of the switch's ASIC has room for."
            page.gauge("arm_switch_table_entries_limit", text, most, labels | {"table": table})
