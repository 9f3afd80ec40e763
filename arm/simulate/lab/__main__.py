"""The command line of the virtual switch, behind scripts/lab."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from arm.simulate import control
from arm.simulate.lab import assembly, bird, boot, machine, processes, watch
from arm.simulate.lab.layout import PEERS, Layout
from arm.simulate.lab.network import NetworkError, existing
from arm.simulate.lab.parts import PARTS

_BIRD_CONF = Path(__file__).resolve().parents[3] / "conf" / "bird2.conf"


def _sizes(*, ipv4: int, ipv6: int, active: int) -> argparse.ArgumentParser:
    """The options of everything that brings a lab up, with these defaults."""
    up = argparse.ArgumentParser(add_help=False)
    up.add_argument("--ipv4", type=int, default=ipv4, help="IPv4 prefixes of each upstream (%(default)s)")
    up.add_argument("--ipv6", type=int, default=ipv6, help="IPv6 prefixes of each upstream (%(default)s)")
    up.add_argument(
        "--table", type=Path, metavar="FILE", help="list of real prefixes ('prefix [AS]' lines, may be .gz)"
    )
    up.add_argument("--seed", type=int, default=1)
    up.add_argument("--share", type=float, default=0.5, help="share of the paths that peer-b wins (%(default)s)")
    up.add_argument("--slots", type=float, default=0.05, help="slots as a share of the prefixes (%(default)s)")
    up.add_argument("--sampling", type=int, default=5, metavar="N", help="sample one packet in N (%(default)s)")
    up.add_argument("--default", choices=("a", "b"), default="a", help="whose default route wins (%(default)s)")
    up.add_argument("--target", choices=("bird", "kernel", "passive"), default="bird")
    up.add_argument("--http", type=int, default=8008, metavar="PORT", help="the page's port on 127.0.0.1 (%(default)s)")
    up.add_argument("--rate", type=float, default=10_000, help="packets a second (%(default)s)")
    up.add_argument("--active", type=int, default=active, help="destinations (%(default)s; 0: twice the slots)")
    up.add_argument("--packet-log", action="store_true", help="write a record of each packet that arrives")
    up.add_argument("--bird-conf", type=Path, default=_BIRD_CONF)
    return up


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/lab", description="A virtual switch made of real parts.")
    parser.add_argument("--prefix", default="", help="stands before the names of the namespaces")
    parser.add_argument("--run", type=Path, help="directory for its files (default: /run/arm-lab, with the prefix)")
    commands = parser.add_subparsers(dest="command", required=True)
    up = _sizes(ipv4=150_000, ipv6=30_000, active=0)
    up.add_argument("--without", action="append", default=[], choices=tuple(PARTS), help="a part to leave out")
    commands.add_parser("up", parents=[up], help="bring it up, or what is missing of it")
    run = commands.add_parser(
        "run",
        parents=[_sizes(ipv4=1_050_000, ipv6=240_000, active=20_000)],
        help="bring a full table up, watch until the routes carry the traffic, and take it down on Ctrl-C",
    )
    run.add_argument("--detach", action="store_true", help="leave it up instead of waiting for Ctrl-C")
    boot_up = commands.add_parser("boot", parents=[up], help="the same, with a switch that boots the Debian package")
    boot_up.add_argument("--package", type=Path, required=True, metavar="DEB", help="what scripts/build-deb has built")
    inside = commands.add_parser("inside", help="run a command on the switch that has booted")
    inside.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("reboot", help="reboot that switch")
    status = commands.add_parser("status", help="say how it is")
    status.add_argument("--json", action="store_true")
    commands.add_parser("down", help="take it all away")
    for verb, text in (("start", "start a part"), ("stop", "end a part"), ("kill", "kill a part, as a crash would")):
        commands.add_parser(verb, help=text).add_argument("part", choices=tuple(PARTS))
    tell = commands.add_parser("tell", help="send a command to an upstream, a receiver or the traffic generator")
    tell.add_argument("part", choices=tuple(name for name in PARTS if name not in ("bird", "agent", "arm")))
    tell.add_argument("words", nargs="+")
    return parser


def _layout(options: argparse.Namespace) -> Layout:
    """What `up` shall make."""
    return Layout(
        run=options.run,
        bird_conf=options.bird_conf.resolve(),
        prefix=options.prefix,
        ipv4=options.ipv4,
        ipv6=options.ipv6,
        seed=options.seed,
        share=options.share,
        table_file=options.table.resolve() if options.table else None,
        slots=options.slots,
        sampling=options.sampling,
        default=options.default,
        target=options.target,
        http=options.http,
        rate=options.rate,
        active=options.active,
        packet_log=options.packet_log,
    )


def _status(layout: Layout, as_json: bool) -> int:
    counts, sessions = bird.tables(layout), bird.sessions(layout)
    answers = {}
    for name in PARTS:
        if layout.control(name).exists():
            try:
                answers[name] = control.ask(layout.control(name), "status", timeout=5)
            except (OSError, control.CommandError) as error:
                answers[name] = {"error": str(error)}
    pids = {name: processes.running(layout, name) for name in dict.fromkeys((*PARTS, *processes.noted(layout)))}
    there = existing()
    whole = all(pids[name] for name in processes.noted(layout)) and set(layout.namespaces) <= there
    if as_json:
        tables = {name: {"routes": count.routes, "networks": count.networks} for name, count in counts.items()}
        print(json.dumps({"whole": whole, "pids": pids, "tables": tables, "sessions": sessions, "parts": answers}))
        return 0 if whole else 1
    print("namespaces  " + ", ".join(f"{n}{'' if n in there else ' (missing)'}" for n in layout.namespaces))
    for name, pid in pids.items():
        print(f"{name:<11} {f'process {pid}' if pid else 'not running'}")
    for name, state in sessions.items():
        print(f"bird        {name}: {state}")
    for name, count in counts.items():
        print(f"bird        {name}: {count.networks:,} prefixes, {count.routes:,} routes")
    for peer in PEERS:
        if (got := answers.get(f"receiver-{peer.letter}")) and "packets" in got:
            print(f"{peer.name:<11} {got['packets']:,} packets to {got['destinations']:,} destinations")
    if pids["arm"] or pids.get(machine.NAME):
        print(f"page        {assembly.address(layout)}")
    return 0 if whole else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 it is not as it should be, 2 usage, 77 not root, 130 interrupted."""
    options = _arguments().parse_args(argv)
    options.run = options.run or Path(f"/run/arm-lab{'-' if options.prefix else ''}{options.prefix.strip('-')}")
    if os.geteuid() != 0:
        print("lab: network namespaces need root", file=sys.stderr)
        return 77
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"lab {time.monotonic() - begin:5.1f} s  {text}", flush=True)

    try:
        layout = Layout.load(options.run)
        if options.command in ("up", "boot", "run"):
            if layout is None:
                layout = _layout(options)
            elif layout != _layout(options):
                say("a lab with other sizes is there already: it stays as it is; take it down to change it")
            if options.command == "run":
                return watch.run(layout, say, detach=options.detach)
            if options.command == "boot":
                boot.up(layout, options.package.resolve(), say, without=options.without)
            else:
                assembly.up(layout, say, without=options.without)
            say(f"up: {assembly.address(layout)}")
            return 0
        if options.command == "down":
            assembly.down(layout or Layout(run=options.run, bird_conf=_BIRD_CONF, prefix=options.prefix), say)
            return 0
        if layout is None:
            print(f"lab: nothing is up in {options.run}", file=sys.stderr)
            return 1
        return _on_part(layout, options)
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    except (assembly.LabError, machine.MachineError, NetworkError, ValueError, OSError, control.CommandError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _on_part(layout: Layout, options: argparse.Namespace) -> int:
    match options.command:
        case "status":
            return _status(layout, options.json)
        case "start":
            assembly.start(layout, options.part)
        case "stop":
            processes.stop(layout, options.part)
        case "kill":
            processes.kill(layout, options.part, signal.SIGKILL)
        case "inside":
            return subprocess.run(machine.command(layout, *options.words), check=False).returncode
        case "reboot":
            boot.reboot(layout)
        case "tell":
            print(json.dumps(control.ask(layout.control(options.part), *options.words)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
