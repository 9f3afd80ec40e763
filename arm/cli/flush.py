"""`arm flush`: every route of ARM's out of the kernel at once, so that all packets follow the default route.

It works on the kernel alone, whether or not a daemon is there, and asks nothing: it is for the emergency. A daemon that
runs would put its routes back, so that is said. What is printed is what the kernel has afterwards, not what was asked
of it.
"""

from __future__ import annotations

import argparse
import sys

from arm.cli import Exit
from arm.cli.client import Client, Refused, Unreachable
from arm.config import Config, ConfigError, load

_DAEMON_SECONDS = 1.0


def main(arguments: argparse.Namespace) -> int:
    """Flush, say how many routes went, and tell by the exit code whether any is left."""
    try:
        config = load(arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return Exit.CONFIG
    target = config.target
    if target.kind != "kernel":
        print(f"nothing to do: the target is {target.kind}, and only that of kind kernel leaves routes behind")
        return Exit.OK
    from arm.target.kernel import flush_kernel, read_installed, settings_of

    settings = settings_of(target)
    try:
        found = flush_kernel(settings)
        left = len(read_installed(settings))
    except PermissionError as error:
        print(f"arm: {error}", file=sys.stderr)
        return Exit.NOPERM
    except OSError as error:
        print(f"arm: {error}", file=sys.stderr)
        return Exit.OSERR
    print(f"{found - min(left, found)} routes removed from table {target.table}")
    runs = daemon_runs(config)
    if runs:
        print("arm: the daemon runs and puts its routes back: stop it first (systemctl stop arm)", file=sys.stderr)
    if not left:
        return Exit.OK
    print(f"arm: {left} routes are in the table", file=sys.stderr)
    if runs:
        return Exit.PROBLEM
    print("arm: the kernel refused to remove them; are you root?", file=sys.stderr)
    return Exit.NOPERM


def daemon_runs(config: Config) -> bool:
    """Whether a daemon answers where this configuration has it listen."""
    try:
        Client(config.http.listen, timeout=_DAEMON_SECONDS).get("/healthz", errors=True)
    except Unreachable:
        return False
    except Refused:
        return True
    return True
