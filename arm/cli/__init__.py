"""The command `arm`: arguments in, an exit code out.

Everything that a subcommand needs is imported when it runs, so that `arm --version` and a typing error answer at once.
Exit codes are those of sysexits.h, for scripts and for systemd (which does not restart the daemon after CONFIG).
"""

from __future__ import annotations

import argparse
import enum
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from arm import __version__
from arm.cli.options import add_show

DEFAULT_CONFIG = "/etc/arm/arm.toml"


class Exit(enum.IntEnum):
    """Exit codes, as sysexits.h names them."""

    OK = 0
    PROBLEM = 1
    """The daemon answered, and the answer is that something is wrong, or not there."""
    USAGE = 64
    UNAVAILABLE = 69
    """The daemon can not be reached."""
    SOFTWARE = 70
    """A mistake in ARM itself; the log has the traceback."""
    OSERR = 71
    """The operating system refused something: a port in use, no memory."""
    NOPERM = 77
    CONFIG = 78


EPILOG = """\
exit codes (sysexits.h):
   0  done, or healthy enough
   1  the answer is a problem: an error in health, no such route
  64  wrong arguments
  69  the daemon can not be reached
  70  a mistake in ARM itself
  71  the operating system refused something, such as a port in use
  77  a right is missing
  78  the configuration is wrong
"""


class Parser(argparse.ArgumentParser):
    """Ends with EX_USAGE for wrong arguments, where argparse would take 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """The whole command line."""
    top = Parser(
        prog="arm",
        description="Active Route Manager: keeps the routes that carry the most traffic in hardware.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arm {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the daemon in the foreground")
    run.set_defaults(handle=_run)
    check = commands.add_parser("check", help="check a configuration and do nothing else")
    check.set_defaults(handle=_check)
    for command in (run, check):
        command.add_argument(
            "-c", "--config", default=DEFAULT_CONFIG, metavar="FILE", help="configuration (default: %(default)s)"
        )

    run.add_argument("--vrf", metavar="NAME", help="open all sockets in this VRF, such as mgmt")

    flush = commands.add_parser("flush", help="take ARM's routes out of the kernel; for a daemon that is gone")
    flush.set_defaults(handle=_flush)
    flush.add_argument(
        "-c", "--config", default=DEFAULT_CONFIG, metavar="FILE", help="configuration (default: %(default)s)"
    )

    migrate = commands.add_parser("migrate", help="turn the arm.* settings of sFlow-RT into an arm.toml")
    migrate.set_defaults(handle=_migrate)
    migrate.add_argument(
        "files", nargs="*", metavar="FILE", help="properties or a command line of sFlow-RT (default: standard input)"
    )

    demo = commands.add_parser(
        "demo", help="run a simulated switch, table and traffic; needs no rights and no BIRD", add_help=False
    )
    demo.set_defaults(handle=_demo)

    simulate = commands.add_parser(
        "simulate", help="compare ways of choosing routes on made-up or recorded traffic", add_help=False
    )
    simulate.set_defaults(handle=_simulate)

    add_show(commands, _show)
    return top


def _check(arguments: argparse.Namespace) -> int:
    from arm.config import ConfigError, advice, load

    try:
        config = load(arguments.config)
    except ConfigError as error:
        count = len(error.faults)
        print(f"{error}\n{count} error{'s' if count > 1 else ''}", file=sys.stderr)
        return Exit.CONFIG
    for remark in advice(config):
        print(f"{arguments.config}: warning: {remark}", file=sys.stderr)
    target, reflector = config.target, config.reflector
    table = " and ".join(address for address in (reflector.ip, reflector.ip6) if address) or "nobody"
    goal = " and ".join(address for address in (target.ip, target.ip6) if address and target.kind == "bird")
    print(
        f"{arguments.config}: ok: table from {table}, target {target.kind}{' ' if goal else ''}{goal}, "
        f"slots {target.prefixes} IPv4 + {target.prefixes6} IPv6, samples at {config.sflow.listen}, "
        f"page at http://{config.http.listen}/"
    )
    return Exit.OK


def _run(arguments: argparse.Namespace) -> int:
    from arm.signals import held_reload

    with held_reload():
        return _run_daemon(arguments)


def _run_daemon(arguments: argparse.Namespace) -> int:
    import logging

    from arm.config import ConfigError, advice, load
    from arm.observe import logs

    log = logging.getLogger(__name__)
    try:
        config = load(arguments.config)
    except ConfigError as error:
        logs.setup("info")
        for fault in error.faults:
            log.error("configuration refused file=%s error=%s", error.source, logs.quote(str(fault)))
        return Exit.CONFIG
    logs.setup(config.log.level)
    for remark in advice(config):
        log.warning("configuration file=%s remark=%s", arguments.config, logs.quote(str(remark)))
    try:
        from arm import daemon

        return daemon.run(config, source=arguments.config, vrf=arguments.vrf)
    except PermissionError as error:
        log.error("right missing error=%s", logs.quote(error))
        return Exit.NOPERM
    except OSError as error:
        log.error("stopped error=%s", logs.quote(error))
        return Exit.OSERR
    except Exception:
        log.exception("crashed")
        return Exit.SOFTWARE


def _flush(arguments: argparse.Namespace) -> int:
    from arm.cli import flush

    return flush.main(arguments)


def _migrate(arguments: argparse.Namespace) -> int:
    from arm.cli import migrate

    return migrate.main(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from arm.simulate import demo

    try:
        return demo.main(arguments.rest)
    except SystemExit as end:
        # its own argparse ends with 2 for wrong arguments
        return Exit.USAGE if end.code == 2 else int(end.code or 0)


def _simulate(arguments: argparse.Namespace) -> int:
    from arm.simulate import cli

    try:
        return cli.main(arguments.rest)
    except SystemExit as end:
        return Exit.USAGE if end.code == 2 else int(end.code or 0)


_OWN_ARGUMENTS = (_demo, _simulate)
"""Commands that read what follows them themselves, so that `arm run` need not load what the simulation is made of."""


def _show(arguments: argparse.Namespace) -> int:
    from arm.cli import show

    return show.main(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command `arm`; gives the exit code."""
    arguments, rest = parser().parse_known_args(argv)
    if rest and arguments.handle not in _OWN_ARGUMENTS:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        code = int(arguments.handle(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of a pipe has seen enough; keep the interpreter from complaining at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return 130
    return code
