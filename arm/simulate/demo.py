"""`arm demo`: the whole of ARM on a laptop, without root rights and without a router.

The daemon runs as an operator runs it (`arm run`, passive target). Beside it, in processes of their own, a reflector
teaches it a table of the Internet's shape over BGP, and an agent sends it sampled traffic over sFlow. Everything is on
loopback, in a directory that goes when the demo ends.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from arm.simulate.countries import made_up
from arm.simulate.shape import synthetic_table

_CONFIG: Final = """\
[sflow]
listen = "127.0.0.1:{sflow}"
[bgp]
port = {bgp}
listen = ["127.0.0.1"]
[reflector]
ip = "127.0.0.1"
as = 65136
[target]
kind = "passive"
prefixes = {prefixes}
prefixes6 = {prefixes6}
[http]
listen = "{http}"
[state]
directory = "{state}"
[geo]
country = "{countries}"
[log]
level = "{level}"
"""
_PATIENCE: Final = 60.0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="arm demo", description="A simulated switch, table and traffic.")
    parser.add_argument(
        "--http", default="127.0.0.1:8008", metavar="HOST:PORT", help="address of the page; port 0: any"
    )
    parser.add_argument("--ipv4", type=int, default=200_000, help="IPv4 prefixes in the table (%(default)s)")
    parser.add_argument("--ipv6", type=int, default=50_000, help="IPv6 prefixes in the table (%(default)s)")
    parser.add_argument("--slots", type=int, default=10_000, help="IPv4 routes that the hardware holds (%(default)s)")
    parser.add_argument("--slots6", type=int, default=2_500, help="IPv6 routes that the hardware holds (%(default)s)")
    parser.add_argument("--active", type=int, default=15_000, help="destinations with traffic (%(default)s)")
    parser.add_argument("--samples", type=float, default=2_000, help="sampled packets a second (%(default)s)")
    parser.add_argument("--sampling", type=int, default=10_000, help="one packet in so many is sampled (%(default)s)")
    parser.add_argument("--churn", type=float, default=20, help="BGP updates a second (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another Internet (%(default)s)")
    parser.add_argument("--seconds", type=float, help="end after so long; default: with Ctrl-C")
    parser.add_argument("--verbose", action="store_true", help="show the daemon's log")
    return parser.parse_args(argv)


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


class Demo:
    """The processes of one demo; leave the context to end them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._stack = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []
        host, _, port = options.http.rpartition(":")
        self.page = f"http://{host}:{int(port) or _free_port(socket.SOCK_STREAM)}"

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()

    def start(self) -> None:
        """Make the table and start all parts; RuntimeError if one of them ends at once."""
        options = self._options
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="arm-demo-")))
        table = directory / "table"
        made = synthetic_table(ipv4=options.ipv4, ipv6=options.ipv6, seed=options.seed)
        made.save(table)
        countries = directory / "countries.mmdb"
        countries.write_bytes(made_up(made, options.seed))
        sflow, bgp = _free_port(socket.SOCK_DGRAM), _free_port(socket.SOCK_STREAM)
        config = directory / "arm.toml"
        config.write_text(
            _CONFIG.format(
                sflow=sflow,
                bgp=bgp,
                prefixes=options.slots,
                prefixes6=options.slots6,
                http=self.page.removeprefix("http://"),
                state=directory / "state",
                countries=countries,
                level="info" if options.verbose else "warning",
            ),
            encoding="utf-8",
        )
        self._run("-m", "arm", "run", "-c", str(config))
        self._run(
            "-m", "arm.simulate.reflection", "--table", str(table), "--port", str(bgp),
            "--churn", str(options.churn), "--control", str(directory / "reflection.sock"),
        )  # fmt: skip
        self._run(
            "-m", "arm.simulate.sampler", "--table", str(table), "--collector", f"127.0.0.1:{sflow}",
            "--active", str(options.active), "--samples", str(options.samples),
            "--sampling", str(options.sampling), "--seed", str(options.seed),
        )  # fmt: skip

    def _run(self, *arguments: str) -> None:
        self._processes.append(subprocess.Popen([sys.executable, *arguments]))  # noqa: S603 - ourselves

    def check(self) -> None:
        """RuntimeError if a part has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(f"a part of the demo ended with status {process.returncode}: {process.args!r}")

    def wait_until_learned(self, patience: float = _PATIENCE) -> None:
        """Until the page shows the whole table; RuntimeError if that takes longer than `patience` seconds."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self.check()
            try:
                with urllib.request.urlopen(f"{self.page}/arm/status/json", timeout=5) as answer:  # noqa: S310
                    families = json.load(answer)["families"].values()
                if all(family["complete"] for family in families):
                    return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.1)
        raise RuntimeError(f"the table was not learned within {patience:.0f} seconds")


def main(argv: Sequence[str]) -> int:
    """Run the demo; exit status."""
    options = _options(argv)
    say = sys.stderr.write
    # However it is ended, all parts are taken down: as a service or the first process of a container is, and in the
    # background of a script, which has its children ignore SIGINT.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with Demo(options) as demo:
        say(f"making a table of {options.ipv4:,} IPv4 and {options.ipv6:,} IPv6 prefixes ...\n")
        try:
            demo.start()
            say("learning it over BGP ...\n")
            demo.wait_until_learned()
            say(f"the page: {demo.page}/  (Ctrl-C ends the demo)\n")
            ends = time.monotonic() + options.seconds if options.seconds is not None else None
            while ends is None or time.monotonic() < ends:
                demo.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("\n")
        except RuntimeError as error:
            say(f"arm demo: {error}\n")
            return 70
    return 0
