"""Readers of the hardware's own word on its route tables, each for what one kind of switch offers.

All are plain: a file, a command's answer, or a counter record becomes readings by family. What a switch does not have
reads as nothing. None of them was seen on a switch with an ASIC yet: the formats are those of the vendors' documents.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from arm.model import Family
from arm.observe.switch import SwitchReport
from arm.target.kernel.capacity import Reading

log = logging.getLogger(__name__)

Readings: TypeAlias = Mapping[Family, Reading]
SWITCHD_ROUTES = Path("/cumulus/switchd/run/route_info/route")
COMMAND_SECONDS = 10.0
LINE = re.compile(r"^\s*(IPv[46]) (?:route )?entries:\s*(\d+),\s*\d+% of maximum value\s+(\d+)", re.MULTILINE)
TOTAL = re.compile(r"^\s*Total Routes:\s*(\d+),\s*\d+% of maximum value\s+(\d+)", re.MULTILINE)
LABELS = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}
MOST_NESTED = 8
MOST_ENTRIES = 1 << 32
"""No table is larger: a number above it is no count of entries."""


class Reader(Protocol):
    """One way to ask the hardware."""

    def read(self) -> Readings:
        """What it says now; OSError or ValueError if it cannot be asked or understood."""
        ...


class SwitchdReader:
    """The files of Cumulus Linux's switchd: `mode`, and `count_N` and `max_N` for the tables 0, 1 and total.

    Mode 1: table 0 holds IPv4 and short IPv6 routes together, table 1 long IPv6 ones. Mode 2: 0 is IPv4, 1 is IPv6.
    """

    def __init__(self, directory: Path = SWITCHD_ROUTES) -> None:
        self._directory = directory

    def read(self) -> Readings:
        mode = self._number("mode")
        first = reading(self._number("count_0"), self._number("max_0"), "switchd")
        if mode == 2:
            return {Family.IPV4: first, Family.IPV6: reading(self._number("count_1"), self._number("max_1"), "switchd")}
        if mode == 1:
            return {Family.IPV4: first, Family.IPV6: reading(first.used, first.maximum, "switchd", cost=2)}
        raise ValueError(f"switchd tells of mode {mode}, known are 1 and 2")

    def _number(self, name: str) -> int:
        return int((self._directory / name).read_text("ascii"))


class ResourceQueryReader:
    """The command `cl-resource-query` of Cumulus Linux."""

    def __init__(self, ask: Callable[[Sequence[str]], str] | None = None) -> None:
        self._ask = ask or run

    def read(self) -> Readings:
        return parse_resource_query(self._ask(["cl-resource-query"]))


def parse_resource_query(text: str) -> Readings:
    """Readings of an answer of cl-resource-query; a line without a maximum says nothing about room.

    Where only the total has a maximum, it holds for both families together.
    """
    source = "cl-resource-query"
    found = {LABELS[label]: reading(int(used), int(most), source) for label, used, most in LINE.findall(text)}
    total = TOTAL.search(text)
    if total is None:
        return found
    both = reading(int(total[1]), int(total[2]), source)
    for family in Family:
        own = found.get(family)
        if own is None or both.maximum - both.used < own.maximum - own.used:
            found[family] = both
    return found


class DevlinkReader:
    """Devlink resources: `fib` below `IPv4` and `IPv6`, with their occupancy."""

    def __init__(self, ask: Callable[[Sequence[str]], str] | None = None) -> None:
        self._ask = ask or run

    def read(self) -> Readings:
        found: dict[Family, Reading] = {}
        for device in parse_devices(self._ask(["devlink", "-j", "dev", "show"])):
            found |= parse_devlink(self._ask(["devlink", "-j", "resource", "show", device]))
        return found


def reading(used: int, maximum: int, source: str, cost: int = 1) -> Reading:
    """A reading of numbers that a switch gave; ValueError if they cannot be counts of entries."""
    if not (0 <= used <= MOST_ENTRIES and 0 <= maximum <= MOST_ENTRIES):
        raise ValueError(f"{source} tells of an impossible number of entries")
    return Reading(used, maximum, source, cost)


def parse_devices(text: str) -> list[str]:
    """Handles in an answer of `devlink -j dev show`, none if there is no device. ValueError if it is something else."""
    return list(_object(text, "dev"))


def parse_devlink(text: str) -> Readings:
    """Readings of an answer of `devlink -j resource show DEVICE`. ValueError if it is something else."""
    found: dict[Family, Reading] = {}
    for resources in _object(text, "resources").values():
        for path, resource in _walk(resources, ()):
            family = LABELS.get(path[-2]) if len(path) > 1 and path[-1] == "fib" else None
            size, used = resource.get("size"), resource.get("occ")
            if family is not None and type(size) is int and type(used) is int:  # "unlimited" is no limit
                found[family] = reading(used, size, "devlink")
    return found


def _object(text: str, key: str) -> Mapping[str, Any]:
    """The object below `key` of a JSON answer; an empty one if it is not there."""
    try:
        answer = json.loads(text)
    except RecursionError as error:
        raise ValueError("devlink answers with something nested too deeply") from error
    found = answer.get(key, {}) if isinstance(answer, dict) else answer
    if not isinstance(found, dict):
        raise ValueError(f"devlink answers with {type(found).__name__} where {key!r} should be an object")
    return found


def _walk(resources: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for resource in resources if isinstance(resources, list) and len(above) < MOST_NESTED else ():
        if isinstance(resource, dict):
            path = (*above, str(resource.get("name")))
            yield path, resource
            yield from _walk(resource.get("resources"), path)


class AgentReader:
    """The table counters that the switch's sFlow agent sends (Broadcom ASICs), as the board keeps them.

    With several agents that send such counters, it is the one with an address of this machine; if there is none, one
    has to be named as `[sflow] ip`.
    """

    def __init__(self, reports: Callable[[], Sequence[SwitchReport]], agent: str | None = None) -> None:
        self._reports = reports
        self._agent = agent
        self._latest = 0

    def read(self) -> Readings:
        found = [one for one in self._reports() if one.tables and self._agent in (None, one.agent)]
        found = [one for one in found if one.own] or found
        if len(found) > 1:
            names = ", ".join(sorted(report.agent for report in found))
            raise ValueError(f"several sFlow agents send table counters ({names}), and [sflow] ip names none of them")
        if not found or found[0].time_ms == self._latest:
            return {}  # nothing that was not heard before
        self._latest = found[0].time_ms
        return readings_of_tables(found[0].tables)


def readings_of_tables(tables: Mapping[str, tuple[int, int]]) -> Readings:
    """Readings of the ASIC's tables: name -> (entries, most entries); tables that the ASIC does not have are left out.

    Source: sFlow.org, Broadcom Switch ASIC Table Utilization Structures (enterprise 4413, format 3).
    """
    found: dict[Family, Reading] = {}
    ways = {
        Family.IPV4: ("ipv4_routes", "ipv4_and_ipv6_routes", "all_routes"),
        Family.IPV6: ("ipv6_routes", "long_ipv6_routes", "ipv4_and_ipv6_routes", "all_routes"),
    }
    for family, names in ways.items():
        for name in names:
            if name in tables:
                shared = family is Family.IPV6 and name in ("ipv4_and_ipv6_routes", "all_routes")
                found[family] = Reading(*tables[name], "sflow", cost=2 if shared else 1)
                break
    return found


def run(command: Sequence[str]) -> str:
    """Standard output of a command; OSError if it cannot run, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)  # noqa: S603
    except subprocess.SubprocessError as error:
        raise OSError(f"{' '.join(command)}: {error}") from error
    return done.stdout


def find_reader(agents: Reader | None = None) -> Reader | None:
    """The best reader that this machine offers; `agents` if it offers none itself."""
    if (SWITCHD_ROUTES / "max_0").exists():
        return SwitchdReader()
    if shutil.which("cl-resource-query"):
        return ResourceQueryReader()
    if shutil.which("devlink"):
        reader = DevlinkReader()
        try:
            if reader.read():
                return reader
        except (OSError, ValueError) as error:
            log.debug("devlink tells nothing reason=%r", str(error))
    return agents
