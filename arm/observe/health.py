"""Is it well, and if not, what is wrong and what to do: a pure function of what was published.

`assess` looks at the latest status, at one from a minute before (counters only mean something as "in the last minute")
and at the time. Each finding is one sentence of fact and one of advice, for someone who was woken up. What the engine
and the target know themselves they put into `Status.problems`; those are taken over as they are.

An error means that ARM does not do its job now; a warning that it does, with less margin than it should have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arm.model import Family, FamilyStatus, Problem, Role, SessionStatus, Severity, Status
from arm.observe.trend import lost_samples

ENGINE_SILENT_SECONDS = 5.0
START_SECONDS = 30.0
"""So long after the start, what has not come up yet is a warning, not an error."""
LOSS_WARNING = 0.05
MISS_WARNING = 0.10
TARGET_STUCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict."""

    worst: Severity | None
    """That of the worst problem; None if there is none."""
    ready: bool
    """Every reflector session is established and the whole table has been learned."""
    alive: bool
    """The engine reports."""
    problems: tuple[Problem, ...]
    """Errors first."""

    @property
    def level(self) -> str:
        """The word for people and scripts: ok, warning or error."""
        return "ok" if self.worst is None else self.worst.value


def assess(status: Status, *, now_ms: int, before: Status | None = None) -> Health:
    """Judge `status` at `now_ms`; `before` is a status of about a minute earlier."""
    silent = (now_ms - status.time_ms) / 1000
    alive = silent <= ENGINE_SILENT_SECONDS
    problems = list(status.problems)
    if not alive:
        text = f"The engine has not reported for {silent:.0f} s. Restart arm if this lasts, and send its log."
        problems.append(Problem(Severity.ERROR, "engine", text))
    starting = (status.time_ms - status.started_ms) / 1000 < START_SECONDS
    problems += _sessions(status, before, starting)
    problems += _tables(status, starting)
    problems += _sflow(status, before, starting)
    problems += _target(status, before, starting)
    problems += _slots(status)
    unique = dict.fromkeys(problems)
    ordered = tuple(sorted(unique, key=lambda problem: problem.severity is not Severity.ERROR))
    worst = ordered[0].severity if ordered else None
    reflectors = [session for session in status.sessions if session.role is Role.LEARN]
    ready = (
        alive
        and bool(reflectors)
        and all(session.up for session in reflectors)
        and all(status.families[family].complete for family in taught(status))
    )
    return Health(worst, ready, alive, ordered)


def taught(status: Status) -> tuple[Family, ...]:
    """Families that an established reflector session carries; all if none says which."""
    carried = {
        family
        for session in status.sessions
        if session.role is Role.LEARN and session.up
        for family in session.families
    }
    return tuple(family for family in status.families if not carried or family in carried)


def _warning(where: str, text: str) -> Problem:
    return Problem(Severity.WARNING, where, text)


def _late(starting: bool) -> Severity:
    return Severity.WARNING if starting else Severity.ERROR


def _sessions(status: Status, before: Status | None, starting: bool) -> Iterator[Problem]:
    flaps = {session.name: session.flaps for session in before.sessions} if before is not None else {}
    malformed = {session.name: session.malformed for session in before.sessions} if before is not None else {}
    for session in status.sessions:
        if not session.up:
            kept = status.kept_routes.get(session.name)
            yield Problem(Severity.ERROR if kept is not None else _late(starting), "bgp", _down(session, kept))
        elif session.flaps > flaps.get(session.name, session.flaps):
            count = session.flaps - flaps[session.name]
            often = "once" if count == 1 else f"{count} times"
            text = f"BGP session {session.name} with {session.peer} went down {often} within the last minute"
            yield _warning("bgp", f"{text}. Look at BIRD's log for the reason.")
        if session.up and session.reason:
            text = f"BGP session {session.name} with {session.peer}: {session.reason}"
            yield _warning("bgp", f"{text}. Let the peer send it: graceful restart on in BIRD.")
        more = session.malformed - malformed.get(session.name, session.malformed)
        if more > 0:
            text = (
                f"{session.peer} sent {more} malformed updates within the last minute; their routes count as withdrawn"
            )
            yield _warning("bgp", f"{text}. The log names the attribute; look for the router that sends it.")


def _down(session: SessionStatus, kept: float | None) -> str:
    role = "teaches the table" if session.role is Role.LEARN else "takes the routes"
    reason = f" ({session.reason})" if session.reason else ""
    stay = f"; its routes are kept for {kept:.0f} s more" if kept is not None else ""
    return (
        f"BGP session {session.name} with {session.peer}, which {role}, is {session.state.value}{reason}{stay}. "
        f"Check that BIRD runs and names ARM as its neighbor: birdc show protocols all."
    )


def _tables(status: Status, starting: bool) -> Iterator[Problem]:
    up = any(s.up for s in status.sessions if s.role is Role.LEARN)
    if not up:
        return
    families = taught(status)
    empty = [family for family in families if not status.families[family].rib_prefixes]
    for family in families:
        now = status.families[family]
        if family in empty:
            severity = _late(starting) if len(empty) == len(families) else Severity.WARNING
            text = f"The {family.label} table is empty although the session is up"
            yield Problem(severity, "table", f"{text}. Check the export filter of BIRD's session towards ARM.")
        elif not now.complete:
            text = f"The {family.label} table is still being learned: {now.rib_prefixes:,} prefixes so far"
            yield _warning("table", f"{text}. Nothing to do, unless the number stands still.")
        elif now.default_next_hop is None:
            text = f"The {family.label} table has no default route, so what is not in hardware has nowhere to go"
            yield _warning("table", f"{text}. Have an upstream announce one, or set a static one in BIRD.")


def _sflow(status: Status, before: Status | None, starting: bool) -> Iterator[Problem]:
    now = status.listener
    counted = [agent for agent in now.agents if agent.counted]
    if not now.datagrams:
        text = "No sFlow datagram has arrived. Check that hsflowd runs and that its collector is this address and port."
        yield Problem(_late(starting), "sflow", text)
        return
    if not counted and now.other_agents:
        others = ", ".join(sorted(agent.agent for agent in now.agents)[:3]) or "other agents"
        text = f"sFlow comes only from {others}, which [sflow] ip leaves out. Set it to the agent's address."
        yield Problem(_late(starting), "sflow", text)
    elif not now.flow_samples:
        text = (
            "The sFlow agent sends counters but no packet samples. Set a sampling rate in hsflowd.conf; "
            "on a virtual switch, samples need the NFLOG rule in iptables."
        )
        yield Problem(_late(starting), "sflow", text)
    elif status.sampling_frozen:
        last = max((agent.last_seen_ms for agent in counted), default=0)
        age = f" for {(status.time_ms - last) / 1000:.0f} s" if last else ""
        text = f"No packet sample has arrived{age}: the choice of routes is frozen, BGP is still followed"
        yield Problem(Severity.ERROR, "sflow", f"{text}. Check that hsflowd runs on the switch.")
    if before is None:
        return
    then = before.listener
    dropped = now.kernel_drops - then.kernel_drops
    if dropped > 0:
        text = f"The kernel dropped {dropped:,} sFlow datagrams within the last minute for want of buffer"
        yield _warning("sflow", f"{text}. Raise net.core.rmem_max, or sample fewer packets.")
    got = now.flow_samples - then.flow_samples
    lost = lost_samples(now) - lost_samples(then)
    if lost > 0 and lost > LOSS_WARNING * (got + lost):
        text = f"{lost:,} of {got + lost:,} packet samples were lost on the way within the last minute"
        yield _warning("sflow", f"{text}. Rates are scaled up for it; look for drops at the agent.")
    malformed = now.malformed - then.malformed
    if malformed > 0:
        text = f"{malformed:,} sFlow datagrams could not be read within the last minute"
        yield _warning("sflow", f"{text}. The log says from whom; is something else sending to this port?")


def _target(status: Status, before: Status | None, starting: bool) -> Iterator[Problem]:
    target = status.target
    # A lost session towards the target is told already, with more to go by.
    told = any(not s.up for s in status.sessions if s.role is not Role.LEARN)
    if not target.up and not told:
        reason = f" ({target.reason})" if target.reason else ""
        text = f"The target ({target.kind}) takes no changes{reason}: hardware keeps what it has"
        yield Problem(_late(starting), "target", f"{text}. Check BIRD and its session that takes routes from ARM.")
    for remark in target.remarks:
        yield _warning("target", remark)
    if before is None:
        return
    failed = target.failed - before.target.failed
    if failed > 0:
        text = f"{failed:,} route changes failed within the last minute"
        advice = "The log names each with its reason; if the hardware is full, lower [target] prefixes."
        yield Problem(Severity.ERROR, "target", f"{text}. {advice}")
    stuck = status.time_ms - before.time_ms >= TARGET_STUCK_SECONDS * 1000 and target.applied == before.target.applied
    if target.up and target.pending and before.target.pending and stuck:
        text = f"{target.pending:,} route changes wait and none has been made for a while"
        yield Problem(Severity.ERROR, "target", f"{text}. Check that BIRD answers: birdc show status.")


def _slots(status: Status) -> Iterator[Problem]:
    for family, now in status.families.items():
        if _full(now) and now.hits.total > 0 and now.hits.no_slot > MISS_WARNING * now.hits.total:
            share = 100 * now.hits.no_slot / now.hits.total
            key = "prefixes" if family is Family.IPV4 else "prefixes6"
            text = f"{share:.0f}% of {family.label} traffic misses because all {now.capacity:,} slots are taken"
            yield _warning("selection", f"{text}. Raise [target] {key} if the hardware has room.")


def _full(family: FamilyStatus) -> bool:
    # The reserve is never filled by choice: nine tenths of the slots are "all" to the one who waits for one.
    return family.capacity > 0 and family.installed_routes + family.installed_covers >= 0.9 * family.capacity
