"""What the benchmarks stand on: BIRD 2 with a full table from simulated upstreams, `arm run`, and pmacct's sfacctd.

    upstream 0, 1 --BGP--> BIRD --to_arm--> ARM --from_arm--> BIRD --> kernel
                            `---to_pmacct--> sfacctd

All of it is in one private network namespace. Next hops are on a link without neighbours, so BIRD finds them, and no
packet goes anywhere. Upstream 0 has the default route; what upstream 1 is better for is what needs slots.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from _processes import Process, enter_private_network, until

from arm.simulate.control import ask
from arm.simulate.shape import synthetic_table
from arm.simulate.table import Table

AS = 65136
HOPS = ("10.0.0.134", "10.0.0.135")
HOPS6 = ("fd00::134", "fd00::135")
SFLOW = ("127.0.0.1", 6343)
SFLOW_PMACCT = ("127.0.0.1", 6344)
HTTP = ("127.0.0.1", 8008)

_QUIET = 4.0
"""Seconds without an octet after which all has come: BIRD 2.0 may pause for three."""

_BIRD = """\
log "{directory}/bird.txt" all;
timeformat log "%Y-%m-%d %H:%M:%S.%3f";
timeformat protocol "%Y-%m-%d %H:%M:%S.%3f";
router id 10.0.0.136;
ipv4 table peers4;
ipv6 table peers6;
protocol device {{ scan time 10; }}
protocol direct {{ ipv4; ipv6; interface "sw0"; }}
protocol kernel kernel4 {{
  persist; scan time 600; netlink rx buffer 16777216;
  ipv4 {{ export where source != RTS_DEVICE; }};
}}
protocol kernel kernel6 {{
  persist; scan time 600; netlink rx buffer 16777216;
  ipv6 {{ export where source != RTS_DEVICE; }};
}}
protocol pipe default4 {{ table peers4; peer table master4; import none; export where net = 0.0.0.0/0; }}
protocol pipe default6 {{ table peers6; peer table master6; import none; export where net = ::/0; }}
template bgp upstream {{
  local 127.0.0.1 as {as_};
  multihop; passive;
  ipv4 {{ table peers4; igp table master4; import all; export none; }};
  ipv6 {{ table peers6; igp table master6; import all; export none; }};
}}
protocol bgp up0 from upstream {{ neighbor 127.0.1.1 as 65134; }}
protocol bgp up1 from upstream {{ neighbor 127.0.1.2 as 65135; }}
template bgp reflect {{
  disabled;
  debug {{ states, events }};
  local as {as_};
  multihop;
  rr client;
  connect delay time 1; connect retry time 2; error wait time 1, 5; error forget time 10;
  graceful restart on;
  ipv4 {{ table peers4; igp table master4; import none; export all; next hop keep; }};
  ipv6 {{ table peers6; igp table master6; import none; export all; next hop keep; }};
}}
protocol bgp to_arm from reflect {{ neighbor 127.0.0.1 port 1179 as {as_}; }}
protocol bgp to_pmacct from reflect {{ neighbor 127.0.0.3 port 1179 as {as_}; }}
protocol bgp from_arm {{
  disabled;
  debug {{ states, events }};
  local as {as_};
  multihop;
  connect delay time 1; connect retry time 2; error wait time 1, 5; error forget time 10;
  graceful restart on;
  neighbor 10.0.0.136 port 1179 as {as_};
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""

_ARM = """\
[sflow]
listen = "127.0.0.1:6343"
[bgp]
listen = ["127.0.0.1", "10.0.0.136"]
[reflector]
ip = "127.0.0.1"
as = {as_}
[target]
kind = "{target}"
ip = "10.0.0.136"
as = {as_}
prefixes = {prefixes}
prefixes6 = {prefixes}
[selection]
reserve = 0.02
[http]
listen = "127.0.0.1:8008"
[state]
directory = "{directory}/state"
[log]
level = "info"
"""

_SFACCTD = """\
daemonize: false
debug: false
sfacctd_ip: 127.0.0.1
sfacctd_port: 6344
sfacctd_pipe_size: 33554432
sfacctd_net: bgp
sfacctd_as: bgp
bgp_daemon: true
bgp_daemon_ip: 127.0.0.3
bgp_daemon_port: 1179
bgp_daemon_max_peers: 4
bgp_agent_map: {directory}/agents.map
plugins: memory[rates]
aggregate[rates]: dst_net, dst_mask
imt_path[rates]: {directory}/pmacct.pipe
imt_mem_pools_number[rates]: 0
imt_buckets[rates]: 262147
plugin_pipe_size: 134217728
plugin_buffer_size: 65536
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the table of a benchmark is."""

    ipv4: int
    ipv6: int

    @property
    def prefixes(self) -> int:
        return self.ipv4 + self.ipv6


FULL = Size(1_050_000, 240_000)
QUICK = Size(20_000, 5_000)


class Rig:
    """The running parts and the questions that can be put to them."""

    def __init__(self, directory: Path, size: Size, table: Table) -> None:
        self.directory = directory
        self.size = size
        self.table = table
        self.table_file = directory / "table"
        self.processes: list[Process] = []
        self.senders = 0
        self.exported = 0
        """Prefixes that BIRD reflects, with the default routes."""

    def start(self, name: str, command: Sequence[str | Path]) -> Process:
        """Start a process that ends with the rig."""
        process = Process(name, command, self.directory)
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        """Stop a process before the rig ends."""
        self.processes.remove(process)
        process.stop()

    def close(self) -> None:
        """Stop everything, the last part first."""
        while self.processes:
            self.processes.pop().stop()

    # --- BIRD and its upstreams --------------------------------------------------------------------------------------

    def birdc(self, *words: str) -> str:
        """What BIRD answers to a command."""
        command = ["birdc", "-s", str(self.directory / "bird.ctl"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def start_bird(self, upstreams: int) -> Process:
        """Start BIRD and fill it from its upstreams."""
        for words in (
            "link add sw0 type veth peer name sw1", "link set sw0 up", "link set sw1 up",
            "addr add 10.0.0.136/24 dev sw0",
            "addr add fd00::136/64 dev sw0 nodad",
        ):  # fmt: skip
            subprocess.run(["ip", *words.split()], check=True)
        self.table.save(self.table_file)
        conf = self.directory / "bird.conf"
        conf.write_text(_BIRD.format(directory=self.directory, as_=AS))
        bird = self.start("bird", ["bird", "-f", "-c", conf, "-s", self.directory / "bird.ctl"])
        until(lambda: "up0" in self.birdc("show", "protocols"), 10, "BIRD answers")
        taught = [
            self.start(
                f"upstream{slot}",
                [
                    sys.executable, "-m", "arm.simulate.upstream", "--table", self.table_file, "--slot", str(slot),
                    "--as", str(65134 + slot), "--next-hop", HOPS[slot], "--next-hop6", HOPS6[slot],
                    "--local-address", f"127.0.1.{slot + 1}", "--peer", "127.0.0.1",
                    "--default", "better" if slot == 0 else "none", "--control", self.directory / f"upstream{slot}.ctl",
                ],
            )
            for slot in range(upstreams)
        ]  # fmt: skip

        def full() -> bool:
            for upstream in taught:
                upstream.check()
            return all(self.routes(f"up{slot}") >= self.size.prefixes for slot in range(upstreams))

        until(full, 120, "BIRD has the table", 0.2)
        self.exported = sum(
            map(
                int,
                re.findall(
                    r"for (\d+) networks in table peers",
                    self.birdc("show", "route", "count")
                    + self.birdc("show route count table peers4")
                    + self.birdc("show route count table peers6"),
                ),
            )
        )
        return bird

    def routes(self, protocol: str) -> int:
        """Routes that BIRD has imported from a protocol."""
        shown = self.birdc("show", "protocols", "all", protocol)
        return sum(int(number) for number in re.findall(r"Routes:\s+(\d+) imported", shown))

    def upstream(self, slot: int, *words: object) -> dict[str, object]:
        """Command an upstream."""
        answer: dict[str, object] = ask(self.directory / f"upstream{slot}.ctl", *words)
        return answer

    def established(self, protocol: str) -> float:
        """Enable a session of BIRD's; the wall clock's time at which it was established, by BIRD's log."""
        pattern = re.compile(rf"^(\S+ \S+) <TRACE> {protocol}: BGP session established", re.MULTILINE)
        log = self.directory / "bird.txt"
        before = len(pattern.findall(log.read_text()))
        self.birdc("enable", protocol)
        until(lambda: len(pattern.findall(log.read_text())) > before, 30, f"{protocol} is established")
        return datetime.fromisoformat(pattern.findall(log.read_text())[-1]).timestamp()

    # --- ARM ---------------------------------------------------------------------------------------------------------

    def start_arm(self, target: str = "passive", prefixes: int = 10_000) -> Process:
        """Start `arm run`; it listens when this returns."""
        conf = self.directory / "arm.toml"
        conf.write_text(_ARM.format(directory=self.directory, as_=AS, target=target, prefixes=prefixes))
        arm = self.start("arm", [Path(sys.executable).with_name("arm"), "run", "-c", conf])
        until(lambda: arm.check() or "started version=" in arm.text(), 20, "ARM has started")
        return arm

    def status(self) -> dict[str, Any]:
        """GET /arm/status/json."""
        with urllib.request.urlopen(f"http://{HTTP[0]}:{HTTP[1]}/arm/status/json", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def learned(self) -> int:
        """Prefixes in ARM's tables, by its status."""
        return sum(int(family["rib_prefixes"]) for family in self.status()["families"].values())

    def load_arm(self, target: str = "passive", prefixes: int = 10_000) -> Process:
        """Start ARM and let it learn the table."""
        arm = self.start_arm(target, prefixes)
        self.established("to_arm")
        until(lambda: arm.check() or arm.text().count("table complete") >= 2, 60, "ARM has learned the table", 0.1)
        if target == "bird":
            self.established("from_arm")
        return arm

    def sflow(self) -> dict[str, Any]:
        """The sFlow counters of ARM's status."""
        found: dict[str, Any] = self.status()["sflow"]
        return found

    def sender(self, collector: tuple[str, int], rate: float, seconds: float, *options: str) -> Process:
        """Start sending samples; it says `ready` when it begins."""
        self.senders += 1
        return self.start(
            f"sender{self.senders}",
            [
                sys.executable, Path(__file__).with_name("_sender.py"), self.table_file,
                f"{collector[0]}:{collector[1]}", str(rate), str(seconds), *options,
            ],
        )  # fmt: skip

    # --- pmacct ------------------------------------------------------------------------------------------------------

    def start_sfacctd(self) -> Process:
        """Start sfacctd with its BGP thread; it listens when this returns."""
        (self.directory / "agents.map").write_text("bgp_ip=127.0.0.1 ip=0.0.0.0/0\n")
        conf = self.directory / "sfacctd.conf"
        conf.write_text(_SFACCTD.format(directory=self.directory))
        sfacctd = self.start("sfacctd", ["sfacctd", "-f", conf])
        until(lambda: sfacctd.check() or "aiting for BGP" in sfacctd.text(), 20, "sfacctd has started")
        return sfacctd

    def load_sfacctd(self) -> Process:
        """Start sfacctd and let it learn the table."""
        sfacctd = self.start_sfacctd()
        began = self.established("to_pmacct")
        last_octet(began)
        return sfacctd


@contextmanager
def rig(size: Size, *, upstreams: int = 2) -> Iterator[Rig]:
    """A namespace with BIRD full of routes."""
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="arm-bench-") as name:
        made = Rig(Path(name), size, synthetic_table(ipv4=size.ipv4, ipv6=size.ipv6))
        try:
            made.start_bird(upstreams)
            yield made
        finally:
            made.close()


def wall(line: str) -> float:
    """Wall clock's time of a line of ARM's log."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007 - local, as the log is


def queued(port: int) -> int:
    """Octets on established connections to or from a port that their readers have not taken, or their writers sent."""
    total = 0
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(file).read_text().splitlines()[1:]:
            fields = line.split()
            ports = {int(fields[at].rpartition(":")[2], 16) for at in (1, 2)}
            if port in ports and fields[3] == "01":
                sending, receiving = fields[4].split(":")
                total += int(sending, 16) + int(receiving, 16)
    return total


def last_octet(began: float) -> float:
    """The wall clock's time at which the reader took the last octet, watched until it has been quiet."""
    busy = time.time()
    while time.time() - busy < _QUIET:
        if queued(1179) > 100:  # less is a keepalive
            busy = time.time()
        elif time.time() - began > 120:
            raise SystemExit("bench: the session never becomes quiet")
        time.sleep(0.01)
    return busy
