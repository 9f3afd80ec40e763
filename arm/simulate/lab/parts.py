"""The programs of the virtual switch: how each is started, and what it is configured with.

upstream-a, upstream-b    BGP feeds in the peers' namespaces
receiver-a, receiver-b    count the packets that reach the peers
bird                      the switch's routing daemon, with conf/bird2.conf as it is shipped
agent                     pmacct's uacctd: packets that NFLOG copies, as sFlow to 127.0.0.1:6343
arm                       the daemon, its page on the machine's loopback
traffic                   packets from the client
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from arm.simulate.lab.layout import LOCAL_AS, PEER_A, PEER_B, SWITCH, Layout, Upstream
from arm.simulate.lab.processes import Program
from arm.simulate.traffic import PORT


def _upstream(layout: Layout, peer: Upstream) -> Program:
    command = [
        *(sys.executable, "-m", "arm.simulate.upstream"),
        *("--table", str(layout.table), "--seed", str(layout.seed + peer.slot), "--slot", str(peer.slot)),
        *("--as", str(peer.as_number), "--next-hop", peer.address, "--next-hop6", peer.address6),
        *("--peer", SWITCH, "--peer-as", str(LOCAL_AS), "--listen", "179"),
        *("--default", "better" if layout.default == peer.letter else "normal"),
        *("--control", str(layout.control(f"upstream-{peer.letter}")), "--journal", str(layout.journal(peer))),
    ]
    return Program(f"upstream-{peer.letter}", layout.namespace(peer.name), command)


def _receiver(layout: Layout, peer: Upstream) -> Program:
    name = f"receiver-{peer.letter}"
    command = [sys.executable, "-m", "arm.simulate.receiver", "--control", str(layout.control(name))]
    if layout.packet_log:
        command += ["--log", str(layout.packets(peer))]
    return Program(name, layout.namespace(peer.name), command)


def _bird(layout: Layout) -> Program:
    control = layout.bird_control
    command = ["bird", "-f", "-c", str(layout.bird_conf), "-s", str(control), "-P", str(layout.run / "bird.process")]
    if (layout.run / "bird.started").exists():
        # a switch whose BIRD comes back keeps what its kernel forwards until the sessions have told what is true now
        command.append("-R")
    return Program("bird", layout.namespace("switch"), command)


def _agent(layout: Layout) -> Program:
    layout.agent_conf.write_text(
        f"""\
daemonize: false
uacctd_group: 1
! whole packets: the frame length that sfprobe tells is the length of what it got
snaplen: 65535
uacctd_nl_size: 8388608
! the kernel samples; this is what each sample stands for
uacctd_ext_sampling_rate: {layout.sampling}
plugins: sfprobe[sflow]
sfprobe_receiver: 127.0.0.1:6343
sfprobe_agentip: {SWITCH}
! small, because a sample waits until this buffer is full
plugin_buffer_size: 1024
plugin_pipe_size: 4194304
"""
    )
    return Program("agent", layout.namespace("switch"), ["uacctd", "-f", str(layout.agent_conf)])


def arm_toml(layout: Layout) -> str:
    """Configuration of the daemon: that of conf/arm.toml, with the sizes and the target of this lab."""
    target = f'kind = "{layout.target}"\n'
    listen = ["127.0.0.1", "::1"]
    if layout.target == "bird":
        listen.append(SWITCH)  # the other session of bird2.conf; it finds nobody here with another target
        target += f'ip = "{SWITCH}"\nas = {LOCAL_AS}\nid = "0.0.0.2"\n'
    return f"""\
[sflow]
ip = "{SWITCH}"

[bgp]
listen = {json.dumps(listen)}

[reflector]
ip = "127.0.0.1"
ip6 = "::1"
as = {LOCAL_AS}
id = "0.0.0.1"

[target]
{target}prefixes = {layout.slots_of(layout.ipv4)}
prefixes6 = {layout.slots_of(layout.ipv6)}

[http]
listen = "127.0.0.1:{layout.http or 8008}"

[state]
directory = {json.dumps(str(layout.run / "state"))}
"""


def _arm(layout: Layout) -> Program:
    (layout.run / "state").mkdir(exist_ok=True)
    layout.arm_conf.write_text(arm_toml(layout))
    command = [str(Path(sys.executable).with_name("arm")), "run", "-c", str(layout.arm_conf)]
    return Program("arm", layout.namespace("switch"), command, http=("127.0.0.1", layout.http))


def _traffic(layout: Layout) -> Program:
    command = [
        *(sys.executable, "-m", "arm.simulate.traffic", "--table", str(layout.table), "--port", str(PORT)),
        *("--control", str(layout.control("traffic")), "--active", str(layout.destinations)),
        *("--rate", str(layout.rate), "--seed", str(layout.seed)),
    ]
    return Program("traffic", layout.namespace("client"), command)


PARTS: Final[Mapping[str, Callable[[Layout], Program]]] = {
    "receiver-a": lambda layout: _receiver(layout, PEER_A),
    "receiver-b": lambda layout: _receiver(layout, PEER_B),
    "bird": _bird,
    "upstream-a": lambda layout: _upstream(layout, PEER_A),
    "upstream-b": lambda layout: _upstream(layout, PEER_B),
    "arm": _arm,
    "agent": _agent,
    "traffic": _traffic,
}
"""In the order in which they are started."""
