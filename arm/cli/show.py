"""`arm show`: the daemon's answers as plain text for people, or as they are for scripts."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator

from arm.cli import Exit, colour, more
from arm.cli import text as t
from arm.cli.client import Client, Json, Refused, Unreachable
from arm.cli.more import View


def main(arguments: argparse.Namespace) -> int:
    """Ask, print, and tell by the exit code how it went; with `watch` again and again, until Ctrl-C."""
    client = Client(arguments.url, token=os.environ.get("ARM_TOKEN"))
    if arguments.watch is None:
        return _once(client, arguments)
    try:
        while True:
            if sys.stdout.isatty() and not arguments.json:
                # to the upper left corner, and the rest cleared
                print("\x1b[H\x1b[J", end="")
            code = _once(client, arguments)
            if code == Exit.USAGE:
                return code
            sys.stdout.flush()
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        return Exit.OK


def _once(client: Client, arguments: argparse.Namespace) -> int:
    try:
        document, lines, code = VIEWS[arguments.view](client, arguments)
    except Unreachable as error:
        print(f"arm: {arguments.url} gives no answer: {t.plain(error)}", file=sys.stderr)
        return Exit.UNAVAILABLE
    except Refused as error:
        print(f"arm: {t.plain(error)}", file=sys.stderr)
        return Exit.USAGE if error.code == 400 else Exit.PROBLEM
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        colours = colour.wanted(arguments.color, sys.stdout)
        text = "\n".join(lines)
        print("\n".join(map(colour.paint, text.split("\n"))) if colours else text)
    return code


# --- health --------------------------------------------------------------------------------------------------------


def _health(client: Client, _: argparse.Namespace) -> View:
    document = client.get("/healthz", errors=True)
    if "level" not in document:
        raise Unreachable(str(document.get("error", "what answers there is not arm")))
    code = Exit.PROBLEM if document["level"] == "error" else Exit.OK
    return document, list(_problems(document)), code


def _problems(health: Json) -> Iterator[str]:
    yield f"health: {t.plain(health['level'])}{'' if health.get('ready') else ', not ready'}"
    for problem in health.get("problems", ()):
        yield f"  {t.plain(problem['severity'])} ({t.plain(problem['where'])}): {t.plain(problem['text'])}"


# --- status --------------------------------------------------------------------------------------------------------


def _status(client: Client, _: argparse.Namespace) -> View:
    document = client.get("/arm/status/json")
    lines = [f"arm {t.plain(document['version'])}, up {_since(document, document['started_ms'])}"]
    lines += _problems(document["health"])
    for part in (_families, _sessions, _sflow, _rest):
        lines += ["", *part(document)]
    return document, lines, Exit.OK


def _since(document: Json, milliseconds: int | None) -> str:
    return t.UNKNOWN if not milliseconds else t.duration((document["time_ms"] - milliseconds) / 1000)


def _families(document: Json) -> list[str]:
    rows = []
    for name, family in document["families"].items():
        changes = family.get("changes_per_second", {})
        rows.append(
            (
                {"ipv4": "IPv4", "ipv6": "IPv6"}.get(name, t.plain(name)),
                t.count(family["rib_prefixes"]),
                t.count(family["active_prefixes"]),
                f"{t.count(family['slots_used'])} of {t.count(family['capacity'])}",
                t.percent(family["coverage_10s"]),
                t.percent(family["coverage_60s"]),
                t.bits(family["bytes_per_second"]),
                t.bits(family["default_path_bytes_per_second"]),
                _changes(changes.get("installs"), changes.get("removals")),
                t.plain(family["default_next_hop"]),
            )
        )
    head = (
        "", "table", "active", "slots", "coverage 10 s", "60 s", "traffic", "by default", "changes", "default next hop",
    )  # fmt: skip
    return t.table(head, rows, right=" rrrrrrrr ")


def _changes(installs: float | None, removals: float | None) -> str:
    if installs is None or removals is None:
        return t.UNKNOWN
    return f"+{t.per_second(installs)} -{t.per_second(removals)}"


def _sessions(document: Json) -> list[str]:
    if not document["sessions"]:
        return ["no BGP sessions"]
    rows = [
        (
            t.plain(session["name"]),
            t.plain(session["peer"]),
            t.count(session["peer_as"]).replace(",", ""),
            t.plain(session["state"]),
            _since(document, session["since_ms"]),
            t.count(session["updates_in"]),
            t.count(session["updates_out"]),
            t.plain(session["reason"]) if session["reason"] else "",
        )
        for session in document["sessions"]
    ]
    return t.table(("session", "peer", "AS", "state", "for", "updates in", "out", ""), rows, right="  r rrr ")


def _sflow(document: Json) -> list[str]:
    sflow = document["sflow"]
    frozen = "; the choice is frozen" if sflow["frozen"] else ""
    samples, lost = t.per_second(sflow["samples_per_second"]), t.per_second(sflow["lost_samples_per_second"])
    dropped = t.per_second(sflow["dropped_datagrams_per_second"])
    lines = [f"sflow: {samples} samples, {lost} lost on the way, {dropped} datagrams dropped here{frozen}"]
    for agent in sflow["agents"]:
        counted = "" if agent["counted"] else ", not counted"
        lines.append(
            f"  agent {t.plain(agent['agent'])}: 1 in {t.count(agent['sampling_rate'])}, "
            f"last seen {_since(document, agent['last_seen_ms'])} ago{counted}"
        )
    return lines


def _rest(document: Json) -> list[str]:
    target, process = document["target"], document["process"]
    state = "up" if target["up"] else f"down ({t.plain(target['reason'])})"
    made, waiting, failed = (t.count(target[name]) for name in ("applied", "pending", "failed"))
    cpu, memory = t.percent(process["cpu_cores"], digits=0), t.size(process["rss_bytes"])
    return [
        f"target {t.plain(target['kind'])}: {state}, {made} changes made, {waiting} waiting, {failed} failed",
        f"process: {cpu} of a core, {memory}, tick {process['tick_seconds'] * 1000:.0f} ms",
    ]


# --- top -----------------------------------------------------------------------------------------------------------


def _top(client: Client, arguments: argparse.Namespace) -> View:
    document = client.get(
        "/arm/prefixes/json",
        family=more.family(arguments),
        direction="source" if arguments.source else "destination",
        maxPrefixes=min(arguments.count, 1000),
        **({"as": arguments.as_number} if arguments.as_number is not None else {}),
    )
    rows = [
        (
            str(row["rank"]),
            t.plain(row["prefix"]),
            t.bits(row["bytes_per_second"]),
            _error(row["error_percent"]),
            t.plain(row["state"]),
            t.plain(row["nexthop"]),
            t.plain(row["aspath"]),
        )
        for row in document["prefixes"]
    ]
    if not rows:
        return document, ["no prefix has traffic"], Exit.OK
    lines = t.table(("rank", "prefix", "traffic", "error", "state", "next hop", "AS path"), rows, right="r rr")
    listed = sum(row["bytes_per_second"] for row in document["prefixes"])
    total = document["total_bytes_per_second"]
    share = f", {t.percent(listed / total)}" if total else ""
    lines.append(
        f"\n{len(rows)} of {t.count(document['active'])} prefixes with traffic carry {t.bits(listed)} "
        f"of {t.bits(total)}{share}"
    )
    return document, lines, Exit.OK


def _error(percent: float | None) -> str:
    return "" if percent is None else f"±{percent:.0f} %"


# --- why -----------------------------------------------------------------------------------------------------------


def _why(client: Client, arguments: argparse.Namespace) -> View:
    document = client.get(f"/arm/route/{urllib.parse.quote(arguments.query, safe='/:')}/json")
    lines = [f"{t.plain(document['query'])}: {t.plain(document['state'])}", t.plain(document["why"])]
    if document["prefix"] is not None:
        rate = f"traffic of {t.plain(document['prefix'])}: {t.bits(document['bytes_per_second'])}"
        lines.append(f"{rate} {_error(document['error_percent'])}".rstrip())
    entry = document["entry"]
    if entry is not None:
        since = f", since {t.moment(document['since_ms'])}" if document["since_ms"] else ""
        lines.append(
            f"in hardware: {t.plain(entry['prefix'])} ({t.plain(entry['kind'])}) via {t.plain(entry['nexthop'])}{since}"
        )
    if document["covering"]:
        rows = [
            (t.plain(route["prefix"]), t.plain(route["nexthop"]), t.plain(route["aspath"]))
            for route in document["covering"]
        ]
        lines += ["", *t.table(("in the table", "next hop", "AS path"), rows)]
    return document, lines, Exit.OK if document["prefix"] is not None else Exit.PROBLEM


VIEWS: dict[str, Callable[[Client, argparse.Namespace], View]] = {
    "status": _status,
    "sessions": more.sessions,
    "top": _top,
    "why": _why,
    "changes": more.changes,
    "diff": more.diff,
    "capacity": more.capacity,
    "health": _health,
}
