"""Brings the virtual switch up, takes it down, and says how it is.

`up` says what it does as it goes, and may be repeated: what runs already is left alone. `down` may be repeated as well,
and after any crash: it ends what the run directory knows of, then takes the namespaces away.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial

from arm.model import FAMILIES, Family
from arm.simulate import control
from arm.simulate.lab import bird, network, processes
from arm.simulate.lab.layout import PEERS, Layout
from arm.simulate.lab.parts import PARTS
from arm.simulate.shape import synthetic_table
from arm.simulate.tablefile import read_table

_POLL = 0.1
_PATIENCE = {"agent": 0.5, "bird": 1.0}
"""Seconds to end before `down` forces it: uacctd notices only with the next packet, BIRD takes its table apart, and
neither has anything to lose."""
Say = Callable[[str], None]


class LabError(Exception):
    """The virtual switch did not come up; the text says what to look at."""


def wait_for(what: str, ready: Callable[[], bool], timeout: float) -> None:
    """Poll until it is so. LabError after so many seconds."""
    end = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:.0f} s for {what}")
        time.sleep(_POLL)


@contextlib.contextmanager
def _step(say: Say, what: str) -> Iterator[None]:
    """One line when it begins, one when it is done."""
    say(f"{what} ...")
    begin = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - begin:.1f} s")


def up(layout: Layout, say: Say, *, without: Collection[str] = ()) -> None:
    """Start everything but the parts in `without`, and wait until routes have reached the end of their way.

    LabError or NetworkError if something fails; what was made until then stays, for `down` to take away.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    layout.save()
    with _step(say, f"network: {', '.join(layout.namespaces)}"):
        network.create(layout)
    if not layout.table.exists():
        _make_table(layout, say)
    wanted = [name for name in PARTS if name not in without]
    with _step(say, "BIRD, upstreams, receivers"):
        for name in wanted:
            if name not in ("arm", "agent", "traffic"):
                start(layout, name)
        wait_for("BIRD", lambda: bool(bird.sessions(layout)), 20)
    if "arm" in wanted:
        start(layout, "arm")
    with _step(say, f"upstreams teach {layout.ipv4:,} IPv4 and {layout.ipv6:,} IPv6 prefixes each"):
        for peer in PEERS:
            name = f"upstream-{peer.letter}"
            if name in wanted:
                wait_for(f"{name} to send its table (see {name}.log)", partial(_complete, layout, name), 300)
        wait_for("BIRD to take the tables", lambda: settled(layout, wanted), 120)
    if "arm" in wanted:
        with _step(say, "ARM learns the table from BIRD"):
            wait_for("ARM to have the table (see arm.log)", lambda: ready(layout) and learned(layout, wanted), 300)
    if "agent" in wanted:
        with _step(say, f"sFlow agent, one packet in {layout.sampling}"):
            network.sample(layout)
            start(layout, "agent")
    if "traffic" in wanted:
        with _step(say, f"traffic: {layout.rate:,.0f} packets a second to {layout.destinations:,} destinations"):
            start(layout, "traffic")
            wait_for("traffic (see traffic.log)", lambda: _answers(layout, "traffic"), 30)


def _make_table(layout: Layout, say: Say) -> None:
    with _step(say, "table"):
        if layout.table_file is None:
            table = synthetic_table(ipv4=layout.ipv4, ipv6=layout.ipv6, seed=layout.seed, share=layout.share)
        else:
            table = read_table(
                layout.table_file, ipv4=layout.ipv4, ipv6=layout.ipv6, seed=layout.seed, share=layout.share
            ).table
        table.save(layout.table)


def start(layout: Layout, name: str) -> int:
    """Start one part; its process id. LabError if it dies at once."""
    program = PARTS[name](layout)
    try:
        pid = processes.start(layout, program)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise LabError(f"port {layout.http} of 127.0.0.1 is in use: take another one with --http") from None
        raise
    if name == "bird":
        (layout.run / "bird.started").touch()
    return pid


def _answers(layout: Layout, name: str) -> bool:
    """True if the part takes commands; LabError if it has died."""
    if processes.running(layout, name) is None:
        raise LabError(f"{name} has died, see {layout.run / name}.log")
    try:
        control.ask(layout.control(name), "status")
    except OSError:
        return False
    return True


def _complete(layout: Layout, name: str) -> bool:
    return _answers(layout, name) and bool(control.ask(layout.control(name), "status")["complete"])


def settled(layout: Layout, wanted: Collection[str]) -> bool:
    """True if BIRD has the whole table of every upstream."""
    upstreams = sum(f"upstream-{peer.letter}" in wanted for peer in PEERS)
    counts = bird.tables(layout)
    sizes = {Family.IPV4: layout.ipv4, Family.IPV6: layout.ipv6}
    return all(
        (count := counts.get(f"peers{4 if family is Family.IPV4 else 6}")) is not None
        and count.routes >= upstreams * sizes[family]
        for family in FAMILIES
    )


def address(layout: Layout) -> str:
    """The page's address."""
    return f"http://127.0.0.1:{layout.http}"


def ask_arm(layout: Layout, path: str) -> tuple[int, bytes]:
    """Status and body of a GET to ARM's page; OSError or HTTPException without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", layout.http, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def ready(layout: Layout) -> bool:
    """True if ARM says so itself; LabError if it has died."""
    if processes.running(layout, "arm") is None:
        raise LabError(f"ARM has died, see {layout.run}/arm.log")
    try:
        return ask_arm(layout, "/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def learned(layout: Layout, wanted: Collection[str]) -> bool:
    """True if ARM has as many prefixes as the upstreams tell.

    ARM is ready before: a BIRD that has only just started tells the end of a table that is still empty.
    """
    if not any(f"upstream-{peer.letter}" in wanted for peer in PEERS):
        return True
    try:
        code, body = ask_arm(layout, "/arm/status/json")
        families = json.loads(body)["families"] if code == 200 else {}
    except (OSError, ValueError, http.client.HTTPException):
        return False
    sizes = {"ipv4": layout.ipv4, "ipv6": layout.ipv6}
    return all(name in families and families[name]["rib_prefixes"] >= size for name, size in sizes.items())


def down(layout: Layout, say: Say) -> None:
    """End what was started, take the namespaces away, and remove the run directory."""
    names = processes.noted(layout)
    order = [name for name in reversed(tuple(PARTS)) if name in names]
    for name in order + [name for name in names if name not in order]:
        if processes.stop(layout, name, timeout=_PATIENCE.get(name, 10.0)):
            say(f"{name}: ended")
    there = network.existing()
    for namespace in layout.namespaces:
        if namespace in there:
            for pid in network.processes(namespace):
                say(f"{namespace}: process {pid} is not of the lab and keeps running without its network")
    network.delete(layout)
    shutil.rmtree(layout.run, ignore_errors=True)
    say("all gone")
