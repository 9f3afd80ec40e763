"""Health: every trouble has its sentence, and nothing else does."""

from __future__ import annotations

import pytest
from fake_arm import NOW_MS, agent, family_status, session, status

from arm.model import Family, Hits, ListenerStatus, Problem, SessionState, Severity, Status, TargetStatus
from arm.observe.health import Health, assess, taught

UP = (session(), session("target", "10.0.0.136"))


def judge(now: Status, before: Status | None = None, *, late_ms: int = 200) -> Health:
    return assess(now, now_ms=now.time_ms + late_ms, before=before)


def listener(**more: object) -> ListenerStatus:
    values: dict[str, object] = {"datagrams": 500, "flow_samples": 3000, "agents": (agent(),)}
    return ListenerStatus(**(values | more))  # type: ignore[arg-type]


def test_a_well_system_has_nothing_to_say() -> None:
    health = judge(status(NOW_MS + 60_000), status())
    assert health == Health(None, True, True, ())


CASES = {
    "reflector down": (
        {"sessions": (session(state=SessionState.ACTIVE, reason="connection refused"), UP[1])},
        {},
        "error",
        "BGP session reflector with 127.0.0.1, which teaches the table, is active (connection refused). Check",
    ),
    "target session down": (
        {"sessions": (UP[0], session("target", "10.0.0.136", SessionState.IDLE))},
        {},
        "error",
        "BGP session target with 10.0.0.136, which takes the routes, is idle. Check",
    ),
    "session flapped": (
        {"sessions": (session(flaps=3), UP[1])},
        {"sessions": (session(flaps=1), UP[1])},
        "warning",
        "went down 2 times within the last minute",
    ),
    "no end of rib": (
        {"sessions": (session(reason="no End-of-RIB for IPv4: still sending after 600 s"), UP[1])},
        {},
        "warning",
        "BGP session reflector with 127.0.0.1: no End-of-RIB for IPv4: still sending after 600 s. Let the peer send it",
    ),
    "session flapped once": (
        {"sessions": (session(flaps=1), UP[1])},
        {"sessions": UP},
        "warning",
        "went down once within the last minute",
    ),
    "target and its session down": (
        {
            "sessions": (UP[0], session("target", "10.0.0.136", SessionState.IDLE)),
            "target": TargetStatus("bird", False, "session idle", 3, 40, 0, 0.1),
        },
        {},
        "error",
        "BGP session target with 10.0.0.136",
    ),
    "malformed updates": (
        {"sessions": (session(malformed=5), UP[1])},
        {"sessions": (session(malformed=1), UP[1])},
        "warning",
        "127.0.0.1 sent 4 malformed updates",
    ),
    "no sflow at all": ({"listener": ListenerStatus()}, {}, "error", "No sFlow datagram has arrived"),
    "only counters": (
        {"listener": listener(flow_samples=0, counter_samples=9)},
        {},
        "error",
        "sends counters but no packet samples",
    ),
    "only foreign agents": (
        {"listener": listener(agents=(agent("10.9.9.9", counted=False),), other_agents=500)},
        {},
        "error",
        "sFlow comes only from 10.9.9.9, which [sflow] ip leaves out",
    ),
    "sflow stale": (
        {"sampling_frozen": True, "listener": listener(agents=(agent(last_seen_ms=NOW_MS + 20_000),))},
        {},
        "error",
        "No packet sample has arrived for 40 s: the choice of routes is frozen",
    ),
    "kernel drops": (
        {"listener": listener(kernel_drops=70)},
        {"listener": listener(kernel_drops=20)},
        "warning",
        "dropped 50 sFlow datagrams",
    ),
    "samples lost": (
        {"listener": listener(flow_samples=3900, agents=(agent(lost_samples=100),))},
        {"listener": listener()},
        "warning",
        "100 of 1,000 packet samples were lost",
    ),
    "malformed datagrams": (
        {"listener": listener(malformed=2)},
        {"listener": listener()},
        "warning",
        "2 sFlow datagrams could not be read",
    ),
    "tables empty": (
        {"families": {Family.IPV4: family_status(rib_prefixes=0)}},
        {},
        "error",
        "The IPv4 table is empty although the session is up",
    ),
    "one table empty": (
        {"families": {Family.IPV4: family_status(), Family.IPV6: family_status(rib_prefixes=0)}},
        {},
        "warning",
        "The IPv6 table is empty although the session is up",
    ),
    "still learning": (
        {"families": {Family.IPV4: family_status(rib_prefixes=123_456, complete=False)}},
        {},
        "warning",
        "still being learned: 123,456 prefixes so far",
    ),
    "no default": (
        {"families": {Family.IPV4: family_status(default_next_hop=None)}},
        {},
        "warning",
        "The IPv4 table has no default route",
    ),
    "target down": (
        {"target": TargetStatus("bird", False, "session idle", 3, 40, 0, 0.1)},
        {},
        "error",
        "The target (bird) takes no changes (session idle)",
    ),
    "changes failed": (
        {"target": TargetStatus("kernel", True, "", 0, 40, 12, 0.1)},
        {"target": TargetStatus("kernel", True, "", 0, 40, 2, 0.1)},
        "error",
        "10 route changes failed",
    ),
    "target stuck": (
        {"target": TargetStatus("bird", True, "", 900, 40, 0, 0.1)},
        {"target": TargetStatus("bird", True, "", 100, 40, 0, 0.1)},
        "error",
        "900 route changes wait",
    ),
    "a remark of the target": (
        {
            "target": TargetStatus(
                "kernel", True, "", 0, 40, 0, 0.1, remarks=("A foreign route is in the way. Remove it.",)
            )
        },
        {},
        "warning",
        "A foreign route is in the way",
    ),
    "slots full": (
        {"families": {Family.IPV4: family_status(installed_routes=95, hits=Hits(installed=800.0, no_slot=200.0))}},
        {},
        "warning",
        "20% of IPv4 traffic misses because all 100 slots are taken. Raise [target] prefixes",
    ),
    "what the engine knows": (
        {"problems": (Problem(Severity.ERROR, "selection", "The table shrank by half; the choice is held."),)},
        {},
        "error",
        "The table shrank by half",
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_each_trouble_has_one_sentence_of_its_own(case: str) -> None:
    now, before, severity, text = CASES[case]
    health = judge(status(NOW_MS + 60_000, **now), status(NOW_MS, **before))
    assert [problem.severity.value for problem in health.problems] == [severity]
    assert text in health.problems[0].text
    assert health.level == severity


@pytest.mark.parametrize(
    "case", ["reflector down", "target session down", "no sflow at all", "only counters", "target down"]
)
def test_what_is_not_up_yet_is_only_a_warning_just_after_the_start(case: str) -> None:
    now, _, _, _ = CASES[case]
    health = judge(status(NOW_MS, started_ms=NOW_MS - 5000, **now), None)
    assert {problem.severity for problem in health.problems} == {Severity.WARNING}


def test_a_sentence_says_what_to_do() -> None:
    for now, before, _, _ in list(CASES.values())[:-1]:
        for problem in judge(status(NOW_MS + 60_000, **now), status(NOW_MS, **before)).problems:
            assert problem.text.endswith((".", "?"))
            assert len(problem.text.split(". ")) >= 2, problem.text


def test_errors_come_first() -> None:
    now = status(problems=(Problem(Severity.WARNING, "a", "w"), Problem(Severity.ERROR, "b", "e")))
    assert [problem.severity for problem in judge(now).problems] == [Severity.ERROR, Severity.WARNING]


def test_the_same_problem_is_told_once() -> None:
    one = Problem(Severity.WARNING, "table", "held")
    assert judge(status(problems=(one, one))).problems == (one,)


def test_a_full_hardware_that_misses_little_is_no_problem() -> None:
    full = family_status(installed_routes=99, hits=Hits(installed=950.0, no_slot=50.0))
    assert judge(status(families={Family.IPV4: full})).level == "ok"


def test_old_failures_are_forgotten() -> None:
    old = TargetStatus("kernel", True, "", 0, 40, 12, 0.1)
    assert judge(status(NOW_MS + 60_000, target=old), status(target=old)).level == "ok"


def test_a_silent_engine_is_neither_alive_nor_ready() -> None:
    health = judge(status(), late_ms=6000)
    assert (health.alive, health.ready, health.level) == (False, False, "error")


@pytest.mark.parametrize(
    ("now", "ready"),
    [
        ({}, True),
        ({"sessions": ()}, False),
        ({"sessions": (session(), session("reflector6", "::1", SessionState.CONNECT))}, False),
        ({"sessions": (session(), session("target", "10.0.0.136", SessionState.IDLE))}, True),
        ({"families": {Family.IPV4: family_status(complete=False)}}, False),
    ],
)
def test_ready_means_every_reflector_is_up_and_all_is_learned(now: dict[str, object], ready: bool) -> None:
    assert judge(status(**now)).ready is ready


def test_a_family_that_no_session_carries_is_not_waited_for() -> None:
    now = status(
        sessions=(session(families=(Family.IPV4,)),),
        families={Family.IPV4: family_status(), Family.IPV6: family_status(rib_prefixes=0, complete=False)},
    )
    assert taught(now) == (Family.IPV4,)
    assert judge(now) == Health(None, True, True, ())
