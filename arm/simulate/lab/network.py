"""Namespaces, links and addresses of the virtual switch.

The links are numbered as one segment 10.0.0.128/25 would be, so that conf/bird2.conf is used as it is shipped, but each
is a point-to-point link: the switch has the same address on all of them. The peers own every address (`local default`),
hence the kernel must accept packets whose source it believes to be its own (accept_local).

Invariant: every command names a namespace of the lab; the machine's own network is never touched.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from arm.simulate.lab.layout import CLIENT, CLIENT6, PEERS, SWITCH, SWITCH6, Layout

_FORWARD: Final = ("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1")
_QUIET: Final = (
    "net/ipv4/conf/all/rp_filter=0",
    "net/ipv4/conf/default/rp_filter=0",
    "net/ipv6/conf/default/accept_ra=0",
    "net/ipv6/conf/default/accept_dad=0",
)


class NetworkError(Exception):
    """A command that sets up the network failed; the text says which, and what it said."""


def run(*command: str) -> str:
    """Run a command to its end; what it printed. NetworkError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


def existing() -> set[str]:
    """Names of all namespaces of the machine."""
    return {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line}


def inode(namespace: str) -> int:
    """What tells one incarnation of a namespace from the next; OSError if there is none."""
    return Path("/run/netns", namespace).stat().st_ino


def create(layout: Layout) -> None:
    """Make everything; what is there already is left alone."""
    there = existing()
    for namespace in layout.namespaces:
        if namespace not in there:
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
            _sysctl(namespace, _QUIET)
    switch, client = layout.namespace("switch"), layout.namespace("client")
    _sysctl(switch, _FORWARD)
    for peer in PEERS:
        namespace = layout.namespace(peer.name)
        _sysctl(namespace, ("net/ipv4/conf/all/accept_local=1",))
        _link(switch, peer.name, namespace, (SWITCH, SWITCH6), (peer.address, peer.address6))
        run("ip", "-n", namespace, "route", "replace", "local", "default", "dev", "lo")
        run("ip", "-n", namespace, "-6", "route", "replace", "local", "default", "dev", "lo")
    _link(switch, "client", client, (SWITCH, SWITCH6), (CLIENT, CLIENT6))
    run("ip", "-n", client, "route", "replace", "default", "via", SWITCH)
    run("ip", "-n", client, "-6", "route", "replace", "default", "via", SWITCH6)


def sample(layout: Layout) -> None:
    """Let the kernel copy one forwarded packet in so many to the sFlow agent (NFLOG group 1)."""
    rule = ["FORWARD"]
    if layout.sampling > 1:
        rule += ["-m", "statistic", "--mode", "random", "--probability", f"{1 / layout.sampling:.10f}"]
    rule += ["-j", "NFLOG", "--nflog-group", "1"]
    inside = ("ip", "netns", "exec", layout.namespace("switch"))
    for tables in ("iptables", "ip6tables"):
        run(*inside, tables, "-F", "FORWARD")
        run(*inside, tables, "-I", *rule)


def delete(layout: Layout) -> None:
    """Take the namespaces away, and with them their links, addresses and routes."""
    there = existing()
    for namespace in layout.namespaces:
        if namespace in there:
            run("ip", "netns", "del", namespace)


def processes(namespace: str) -> list[int]:
    """Processes that live in a namespace."""
    return [int(word) for word in run("ip", "netns", "pids", namespace).split()]


def _sysctl(namespace: str, settings: Sequence[str]) -> None:
    script = "; ".join(f"echo {value} > /proc/sys/{key}" for key, _, value in (s.partition("=") for s in settings))
    run("ip", "netns", "exec", namespace, "sh", "-ec", script)


def _link(switch: str, name: str, other: str, ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    """A link from the switch's interface `name` to the interface `switch` of another namespace."""
    if f" {name}@" not in run("ip", "-n", switch, "-o", "link"):
        run("ip", "link", "add", name, "netns", switch, "type", "veth", "peer", "name", "switch", "netns", other)
    ends = ((switch, name, ours, theirs), (other, "switch", theirs, ours))
    for namespace, interface, _, _ in ends:  # first, or the kernel forgets the route to an IPv6 peer address
        run("ip", "-n", namespace, "link", "set", interface, "up")
    for namespace, interface, own, far in ends:
        run("ip", "-n", namespace, "addr", "replace", own[0], "peer", f"{far[0]}/32", "dev", interface)
        run("ip", "-n", namespace, "addr", "replace", own[1], "peer", f"{far[1]}/128", "dev", interface, "nodad")
