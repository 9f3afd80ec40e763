"""Turns plans into requests to the kernel, and the kernel's answers into what really happened.

Rules:
- Changes are carried out in their order, in buffers whose changes are independent of each other (order.py).
- A route of others is never changed: what ARM does not hold is put in with NLM_F_EXCL, and what it takes out is matched
  by protocol number. Only what ARM holds is replaced (NLM_F_REPLACE, in one step of the kernel).
- What is right already is not written.
- A failed replacement leaves the entry that was there before.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence

from arm.model import Applied, Change, Entry, Family, Kind, Plan, Prefix, family_of, format_prefix
from arm.target.failures import Failures
from arm.target.kernel.channel import Requests
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import RouteWriter
from arm.target.kernel.netlink import Refusal
from arm.target.kernel.nexthops import NextHops, UnreachableError
from arm.target.kernel.order import independent_runs
from arm.target.kernel.refusals import Refused
from arm.target.kernel.topology import Topology

BATCH = 1000
"""Requests in one buffer, and changes between two looks at what happens meanwhile."""
FULL = frozenset({errno.ENOSPC, errno.EXFULL, errno.ENOMEM, errno.EDQUOT})
"""What drivers and the kernel answer when a table has no room."""


class Applier:
    """Carries out changes of ARM's own routes."""

    def __init__(
        self,
        channel: Requests,
        writer: RouteWriter,
        ledger: Ledger,
        nexthops: NextHops,
        topology: Topology,
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """`meanwhile` is called between buffers, so that a long plan does not keep next hops from being followed."""
        self._channel = channel
        self._writer = writer
        self._ledger = ledger
        self._nexthops = nexthops
        self._topology = topology
        self._meanwhile = meanwhile
        self._failures = Failures()
        self._lost = Failures()
        self.written = 0
        """Route requests that the kernel carried out."""
        self.refusals: list[Refused] = []
        """What was refused since `take_refusals`."""

    def apply(self, plan: Plan) -> Applied:
        """Carry out a plan. OSError if an answer was lost, so that nothing is known of the rest."""
        began = time.monotonic()
        failed: list[tuple[Change, str]] = []
        self._failures.known(plan.answered)
        self._lost.known(plan.drifts)
        for at in range(0, len(plan.changes), BATCH):
            for run in independent_runs(plan.changes[at : at + BATCH]):
                failures = self._run(run)
                for change, _ in failures:
                    self._failures.add(plan.number, change.prefix)
                failed += failures
            self._meanwhile()
        return Applied(plan.number, len(plan.changes) - len(failed), failed, time.monotonic() - began)

    def take_refusals(self) -> Sequence[Refused]:
        """What the kernel refused since the last call, in order."""
        refusals, self.refusals = self.refusals, []
        return refusals

    def lose(self, drift: int, prefix: Prefix) -> None:
        """Something else took a route out for good: plans that do not know of this drift must not rely on it."""
        self._lost.add(drift, prefix)

    def remove(self, prefixes: Iterable[Prefix]) -> None:
        """Take routes out at once, shortest prefix first: a cover goes before the exceptions below it."""
        ordered = sorted(prefixes, key=lambda prefix: prefix[1])
        for at in range(0, len(ordered), BATCH):
            batch = ordered[at : at + BATCH]
            first = self._channel.reserve(len(batch))
            requests = [self._writer.remove(prefix, first + index) for index, prefix in enumerate(batch)]
            refused = self._channel.execute(requests, first)
            self.written += len(batch) - len(refused)
            for prefix in batch:
                self._ledger.drop(prefix)

    def restore(self, routes: Iterable[tuple[Prefix, int]], *, replace: bool) -> dict[Prefix, Refusal]:
        """Put routes (back) in, longest prefix first: exceptions before their covers; what was refused, by prefix."""
        ordered = sorted(routes, key=lambda route: -route[0][1])
        failures = {}
        for at in range(0, len(ordered), BATCH):
            batch = ordered[at : at + BATCH]
            first = self._channel.reserve(len(batch))
            requests = [
                self._writer.install(prefix, number, first + index, replace=replace)
                for index, (prefix, number) in enumerate(batch)
            ]
            refused = self._channel.execute(requests, first)
            self.written += len(batch) - len(refused)
            for index, (prefix, number) in enumerate(batch):
                if index in refused:
                    failures[prefix] = refused[index]
                else:
                    self._ledger.put(prefix, number)
        return failures

    def _run(self, run: Sequence[Change]) -> list[tuple[Change, str]]:
        """Carry out independent changes; the failed ones, each with a sentence."""
        failures: list[tuple[Change, str]] = []
        pending: list[tuple[Change, int]] = []
        requests: list[bytes] = []
        first = self._channel.reserve(len(run))
        numbers: dict[tuple[int, bytes, Kind], int | str] = {}
        routes, install, remove = self._ledger.routes, self._writer.install, self._writer.remove
        for change in run:
            prefix, entry = change.prefix, change.entry
            if self._failures.blocks(change) or self._lost.blocks(change):
                failures.append((change, "left out: a change that it depends on failed"))
                continue
            held = routes.get(prefix)
            if entry is None:
                if held is not None:
                    requests.append(remove(prefix, first + len(pending)))
                    pending.append((change, 0))
                continue
            key = (len(prefix[0]), entry.attributes.next_hop, entry.kind)
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = self._number(family_of(prefix), entry)
            if isinstance(number, str):
                failures.append((change, number))
            elif held != number:
                requests.append(install(prefix, number, first + len(pending), replace=held is not None))
                pending.append((change, number))
        if not requests:
            return failures
        refused = self._channel.execute(requests, first)
        for index, (change, number) in enumerate(pending):
            refusal = refused.get(index) if refused else None
            if refusal is None:
                self.written += 1
                if number:
                    self._ledger.put(change.prefix, number)
                else:
                    self._ledger.drop(change.prefix)
            elif (refusal := self._second_look(change, number, refusal)) is not None:
                text = self._sentence(change.prefix, refusal)
                failures.append((change, text))
                family = family_of(change.prefix)
                held, most = self._ledger.count(family), self._ledger.take_peak(family)
                self.refusals.append(Refused(change.prefix, text, refusal.number in FULL, held, most))
        return failures

    def _number(self, family: Family, entry: Entry) -> int | str:
        """Number of the group of an entry's next hop, or why it has none."""
        try:
            return self._nexthops.ensure(family, entry.next_hop, cover=entry.kind is Kind.COVER)
        except UnreachableError as error:
            return str(error)

    def _second_look(self, change: Change, number: int, refusal: Refusal) -> Refusal | None:
        """A refusal that only says that something else changed the route before: try what is right then."""
        prefix = change.prefix
        if not number:
            if refusal.number != errno.ESRCH:
                return refusal
            self._ledger.drop(prefix)
            return None
        held = prefix in self._ledger.routes
        if held and refusal.number == errno.ENOENT:
            return self.restore([(prefix, number)], replace=False).get(prefix)
        if not held and refusal.number == errno.EEXIST:
            self._meanwhile()  # the owner of what stands there may be known by now
            if not self.in_the_way(prefix):
                return self.restore([(prefix, number)], replace=True).get(prefix)
        return refusal

    def in_the_way(self, prefix: Prefix) -> str:
        """A sentence on the route of another program that holds ARM's metric at a prefix; empty without one."""
        for route in self._topology.foreign(prefix):
            if route.metric == self._writer.metric:
                return f"a route of protocol {route.protocol} has the same prefix and metric"
        return ""

    def _sentence(self, prefix: Prefix, refusal: Refusal) -> str:
        if refusal.number == errno.EEXIST:
            return f"{refusal}: {self.in_the_way(prefix) or format_prefix(prefix)}"
        return f"{refusal}"
