"""`arm migrate`: the settings of sFlow-RT's Active Route Manager as an arm.toml.

Pure but for `main`. It takes what sFlow-RT takes: files of Java properties (conf.d/*.conf) and command lines with
`-Dname=value`. What sFlow-RT assumed where nothing was set (20,000 prefixes, AS 65000, ...) is written out, since ARM's
own defaults differ. What has no counterpart is told, never dropped in silence, and the result is checked as every
configuration is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from arm.cli import Exit
from arm.config import ConfigError, parse

_SYSTEM_PROPERTY: Final = re.compile(r"-D([A-Za-z0-9._-]+)=(\"[^\"]*\"|'[^']*'|\S*)")
_LINE: Final = re.compile(r"\s*([A-Za-z0-9._-]+)\s*[=:]\s*(.*?)\s*$")

ASSUMED: Final = {
    "arm.reflector.ip": "127.0.0.1",
    "arm.reflector.as": "65000",
    "arm.target.prefixes": "20000",
    "arm.target.prefixes6": "20000",
    "arm.sflow.t": "10",
}
"""What sFlow-RT's script takes where nothing is set, and ARM would not."""
WITHOUT_EFFECT: Final = {
    "bgp.start": "ARM always listens for BGP",
    "arm.target.period": "ARM ranks by sflow.t and keeps what is idle for selection.idle_timeout",
    "arm.target.mailNotification": "ARM sends no mail; it logs changes at log.level debug and has Prometheus metrics",
}


@dataclass(frozen=True, slots=True)
class Migrated:
    """An arm.toml and what is to be said of it."""

    text: str
    remarks: tuple[str, ...]


def read_properties(text: str) -> dict[str, str]:
    """Names and values; a later one replaces an earlier one."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.lstrip().startswith(("#", "!")):
            continue
        options = _SYSTEM_PROPERTY.findall(line)
        if options:
            found.update((name, value.strip("\"'")) for name, value in options)
        elif match := _LINE.fullmatch(line):
            found[match[1]] = match[2]
    return found


def migrate(properties: Mapping[str, str]) -> Migrated:
    """The configuration that does what these settings did."""
    left = {name: value for name, value in properties.items() if value}
    remarks: list[str] = []

    def take(name: str) -> str | None:
        return left.pop(name, None) or ASSUMED.get(name)

    reflector, reflector6 = take("arm.reflector.ip"), take("arm.reflector.ip6")
    targets = {"ip": take("arm.target.ip"), "ip6": take("arm.target.ip6")}
    bgp_port, sflow_port = take("bgp.port"), take("sflow.port")
    host, port = take("http.hostname"), take("http.port")
    agent = take("arm.sflow.ip") or reflector
    # ARM needs an address for each session; BIRD dials the loopback, and the switch's own address for the target
    listen = [*dict.fromkeys(a for a in ("127.0.0.1", "::1" if reflector6 else None, *targets.values()) if a)]
    if agent == "127.0.0.1":
        agent = None
        remarks.append("sflow.ip is left open: the agent's address is that of agent.cidr in hsflowd.conf")
    sections: dict[str, list[tuple[str, object]]] = {
        "sflow": [
            ("listen", f"127.0.0.1:{sflow_port}" if sflow_port else None),
            ("ip", agent),
            ("t", _number(take("arm.sflow.t"))),
        ],
        "bgp": [("port", _number(bgp_port)), ("listen", listen)],
        "reflector": [
            ("ip", reflector),
            ("ip6", reflector6),
            ("as", _number(take("arm.reflector.as"))),
            ("id", take("arm.reflector.id")),
        ],
        "target": [
            ("kind", "bird" if any(targets.values()) else "passive"),
            *targets.items(),
            ("as", _number(take("arm.target.as"))),
            ("id", take("arm.target.id")),
            ("prefixes", _number(take("arm.target.prefixes"))),
            ("prefixes6", _number(take("arm.target.prefixes6"))),
            ("minvalue", _number(take("arm.target.minvalue"))),
        ],
        "selection": [
            ("min_prefix_length", _number(take("arm.target.minPrefix"))),
            ("min_prefix_length6", _number(take("arm.target.minPrefix6"))),
        ],
        "http": [("listen", f"{host or '127.0.0.1'}:{port or 8008}" if host or port else None)],
    }
    if not any(targets.values()):
        remarks.append("no arm.target.ip: the target is passive, as it was")
        sections["target"] = [entry for entry in sections["target"] if entry[0] not in ("as", "id")]
    for name, why in WITHOUT_EFFECT.items():
        if left.pop(name, None) is not None:
            remarks.append(f"{name} has no counterpart: {why}")
    ours = ("arm.", "bgp.", "http.", "sflow.")
    remarks += [f"{name} is not known and has no counterpart" for name in sorted(left) if name.startswith(ours)]
    return Migrated("\n".join(_toml(sections)), tuple(remarks))


def _number(text: str | None) -> object:
    """A number where it is one; else the text, for the check to refuse."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _toml(sections: Mapping[str, list[tuple[str, object]]]) -> Iterator[str]:
    yield "# Made by `arm migrate` from the settings of sFlow-RT. Every key is explained in arm.toml(5)."
    for name, entries in sections.items():
        given = [(key, value) for key, value in entries if value is not None]
        if given:
            yield f"\n[{name}]"
            # a list, a string and a number look the same in JSON and in TOML
            yield from (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in given)
    yield ""


def main(arguments: argparse.Namespace) -> int:
    """Exit codes: OK, CONFIG if the settings make no configuration, OSERR if a file can not be read."""
    try:
        texts = [sys.stdin.read() if file == "-" else Path(file).read_text() for file in arguments.files or ["-"]]
    except (OSError, UnicodeDecodeError) as error:
        print(f"arm: can not be read: {error}", file=sys.stderr)
        return Exit.OSERR
    migrated = migrate(read_properties("\n".join(texts)))
    for remark in migrated.remarks:
        print(f"arm: {remark}", file=sys.stderr)
    try:
        parse(migrated.text.encode(), source="migrated")
    except ConfigError as error:
        print(f"{error}", file=sys.stderr)
        return Exit.CONFIG
    sys.stdout.write(migrated.text)
    return Exit.OK
