"""`arm show sessions|changes|diff|capacity` as text."""

from __future__ import annotations

import argparse

from arm.cli import Exit
from arm.cli import text as t
from arm.cli.client import Client, Json

View = tuple[Json, list[str], int]


def family(arguments: argparse.Namespace) -> str:
    """The address family that was asked for, as the daemon names it."""
    return "ipv6" if arguments.ipv6 else "ipv4"


def sessions(client: Client, _: argparse.Namespace) -> View:
    """The BGP sessions in full; the answer is a problem if one is not established."""
    document = client.get("/arm/status/json")
    listed = document["sessions"]
    down = [session for session in listed if session["state"] != "established"]
    if not listed:
        return {"sessions": listed}, ["no BGP sessions"], Exit.PROBLEM
    rows = [
        (
            t.plain(one["name"]),
            t.plain(one["peer"]),
            str(one["peer_as"]),
            t.plain(one["state"]),
            t.duration((document["time_ms"] - one["since_ms"]) / 1000) if one["since_ms"] else t.UNKNOWN,
            t.plain(", ".join(one["families"])),
            t.count(one["prefixes_announced_in"]),
            t.count(one["prefixes_withdrawn_in"]),
            t.count(one["updates_out"]),
            t.count(one["flaps"]),
            t.plain(one["reason"]),
        )
        for one in listed
    ]
    head = (
        "session",
        "peer",
        "AS",
        "state",
        "for",
        "families",
        "announced",
        "withdrawn",
        "sent",
        "flaps",
        "last reason",
    )
    code = Exit.PROBLEM if down else Exit.OK
    return {"sessions": listed}, t.table(head, rows, right="  r   rrrr "), code


def changes(client: Client, arguments: argparse.Namespace) -> View:
    """The latest lines of the change log, the newest last."""
    document = client.get("/arm/changes/json", maxChanges=arguments.count)
    rows = [
        (t.moment(one["time_ms"]), t.plain(one["what"]), t.plain(one["prefix"]), t.plain(one["reason"]))
        for one in document["changes"]
    ]
    return document, t.table(("time", "what", "prefix", "why"), rows) if rows else ["nothing has changed yet"], Exit.OK


def diff(client: Client, arguments: argparse.Namespace) -> View:
    """What the traffic of the moment would have otherwise."""
    document = client.get("/arm/diff/json", family=family(arguments), maxPrefixes=min(arguments.count, 200))
    outside = [
        (t.plain(one["prefix"]), t.bits(one["bytes_per_second"]), t.plain(one["state"]), t.plain(one["why"]))
        for one in document["outside"]
    ]
    inside = [
        (t.plain(one["prefix"]), t.bits(one["bytes_per_second"]), t.plain(one["nexthop"]), t.moment(one["since_ms"]))
        for one in document["inside"]
    ]
    number, rate = t.count(document["outside_number"]), t.bits(document["outside_bytes_per_second"])
    lines = [f"outside of hardware: {number} prefixes with traffic that need a slot, {rate}"]
    if outside:
        lines += t.table(("busiest outside", "traffic", "state", "why"), outside, right=" r")
    lines += ["", f"in hardware: {t.count(document['inside_number'])} routes"]
    if inside:
        lines += t.table(("idlest inside", "traffic", "next hop", "since"), inside, right=" r")
    return document, [*lines, "", *held(document["target"])], Exit.OK


def held(target: Json) -> list[str]:
    """What the target holds, against what was wanted and the full table."""
    waiting = f"{t.count(target['pending'])} changes wait for the target, {t.count(target['failed'])} have failed"
    if target["source"] is None:
        return [waiting, t.plain(target["error"] or "the target does not tell what it holds")]
    number = t.count(target["differences_number"])
    lines = [waiting, f"the target holds {t.count(target['routes'])} routes ({t.plain(target['source'])})"]
    if not target["differences"]:
        return [*lines, "all of them as wanted and as in the full table"]
    rows = [
        tuple(t.plain(one[key] or "-") for key in ("prefix", "what", "wanted", "held", "table"))
        for one in target["differences"]
    ]
    return [*lines, f"{number} differences:", *t.table(("prefix", "what", "wanted", "held", "full table"), rows)]


def capacity(client: Client, arguments: argparse.Namespace) -> View:
    """What other numbers of slots would carry, beside what was measured."""
    document = client.get("/arm/capacity/json", family=family(arguments))
    now = document["now"]
    rows = [
        (t.count(one["slots"]), t.percent(one["coverage"]), "now" if one["slots"] == now["capacity"] else "")
        for one in document["estimate"]
    ]
    used, measured = f"{t.count(now['slots_used'])} of {t.count(now['capacity'])}", t.percent(now["coverage_60s"])
    lines = [f"slots: {used} in use, coverage measured over a minute: {measured}"]
    if not rows:
        return document, [*lines, "there is no traffic to reckon with"], Exit.OK
    lines += ["", *t.table(("slots", "estimate", ""), rows, right="rr ")]
    lines.append(
        f"\nall traffic that can be covered needs {t.count(document['slots_for_all'])} slots; "
        f"{t.percent(document['excluded'])} can not be"
    )
    lines.append("an estimate from the rates of the moment, each prefix with its own exceptions")
    return document, lines, Exit.OK
