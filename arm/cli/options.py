"""The arguments of `arm show`. Kept apart from what prints, so that the parser is made without loading that."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

DEFAULT_URL = "http://127.0.0.1:8008"
WATCH_SECONDS = 2.0


def add_show(commands: Any, handle: Callable[[argparse.Namespace], int]) -> None:
    """Add the subcommand and its views to `commands` (argparse has no public type for it)."""
    show = commands.add_parser("show", help="ask the running daemon")
    views = show.add_subparsers(dest="view", metavar="VIEW", required=True)
    status = views.add_parser("status", help="sessions, samples, slots and coverage")
    sessions = views.add_parser("sessions", help="the BGP sessions; exits with 1 if one is down")
    top = views.add_parser("top", help="the prefixes with the most traffic")
    why = views.add_parser("why", help="why a prefix or an address is, or is not, in hardware")
    changes = views.add_parser("changes", help="what went into hardware and came out, and why")
    diff = views.add_parser("diff", help="the busiest prefixes outside of hardware, and the idlest routes in it")
    capacity = views.add_parser("capacity", help="what other numbers of slots would carry")
    health = views.add_parser("health", help="what is wrong, if anything; exits with 1 for an error")
    for view, default in ((top, 20), (changes, 20), (diff, 10)):
        view.add_argument("-n", "--count", type=positive, default=default, help="how many (default: %(default)s)")
    for view in (top, diff, capacity):
        view.add_argument("-6", "--ipv6", action="store_true", help="IPv6 instead of IPv4")
    top.add_argument("--source", action="store_true", help="rank by traffic from the prefixes, not towards them")
    top.add_argument(
        "--as", dest="as_number", type=positive, metavar="AS", help="only prefixes with this AS in the path"
    )
    why.add_argument("query", metavar="PREFIX|ADDRESS")
    for view in (status, sessions, top, why, changes, diff, capacity, health):
        view.add_argument("--json", action="store_true", help="the daemon's answer as it is")
        view.add_argument(
            "-w", "--watch", nargs="?", type=seconds, const=WATCH_SECONDS, metavar="SECONDS",
            help="show it again and again until Ctrl-C (default: every %(const)s s)",
        )  # fmt: skip
        view.add_argument(
            "--color", choices=("auto", "always", "never"), default="auto",
            help="colours: auto means on a terminal, unless NO_COLOR is set (default: %(default)s)",
        )  # fmt: skip
        view.add_argument(
            "--url",
            default=os.environ.get("ARM_URL", DEFAULT_URL),
            help="where the daemon listens, or unix:PATH (default: %(default)s; environment: ARM_URL)",
        )
        view.set_defaults(handle=handle)


def positive(text: str) -> int:
    """A positive integer of bounded length."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def seconds(text: str) -> float:
    """A time between a tenth of a second and an hour."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return value
