"""Kernels that refuse: one in memory that remembers every operation, and one in front of the real one."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Mapping, Sequence

from arm.model import Prefix
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.netlink import Refusal

Verdict = Callable[[Prefix, bool], int]
"""errno (0: none) for the prefix of an addition or replacement (True) or a removal (False)."""


def operations(packed: Sequence[bytes]) -> list[tuple[Prefix, bool, int, int]]:
    """What route requests ask for: (prefix, install?, number of the nexthop object, flags)."""
    found = []
    for data in packed:
        for kind, flags, _, _, start, end in nl.frames(data):
            route = messages.read_route(data, start, end) if kind in (nl.RTM_NEWROUTE, nl.RTM_DELROUTE) else None
            if route is not None:
                found.append((route.prefix, kind == nl.RTM_NEWROUTE, route.nexthop, flags))
    return found


class FakeKernel:
    """Carries out requests as a kernel's table does, one after the other, going on after one that fails."""

    def __init__(self, verdict: Verdict = lambda prefix, install: 0) -> None:
        self.verdict = verdict
        self.routes: dict[Prefix, int] = {}
        self.log: list[tuple[Prefix, bool, int]] = []
        """(prefix, install?, errno) in the order in which the kernel saw them."""
        self.made: Callable[[Prefix, int | None], None] = lambda prefix, number: None
        """Is told of each operation that was carried out: prefix and number of the nexthop object, None if it went."""
        self._sequence = 1

    def reserve(self, count: int) -> int:
        first, self._sequence = self._sequence, self._sequence + count
        return first

    def execute(self, packed: Sequence[bytes], first: int) -> Mapping[int, Refusal]:
        refused = {}
        for index, (prefix, install, number, flags) in enumerate(operations(packed)):
            code = self.verdict(prefix, install) or self._carry_out(prefix, install, number, flags)
            self.log.append((prefix, install, code))
            if code:
                refused[index] = Refusal(code, "")
            else:
                self.made(prefix, number if install else None)
        return refused

    def request(self, message: bytes) -> Refusal | None:
        return None

    def dump(self, request: bytes) -> list[bytes]:
        return []

    def _carry_out(self, prefix: Prefix, install: bool, number: int, flags: int) -> int:
        if not install:
            return 0 if self.routes.pop(prefix, None) is not None else errno.ESRCH
        if flags & nl.NLM_F_EXCL and prefix in self.routes:
            return errno.EEXIST
        if not flags & nl.NLM_F_CREATE and prefix not in self.routes:
            return errno.ENOENT
        self.routes[prefix] = number
        return 0


class RefusingChannel:
    """A real channel in front of which a verdict stands: what it refuses never reaches the kernel."""

    def __init__(self, channel, verdict: Verdict) -> None:
        self._channel = channel
        self.verdict = verdict
        self.refusals = 0
        self.asked = 0
        self.after = lambda: None
        self.on_refusal: Callable[[Prefix], None] = lambda prefix: None

    def reserve(self, count: int) -> int:
        return self._channel.reserve(count)

    def execute(self, packed: Sequence[bytes], first: int) -> Mapping[int, Refusal]:
        refused: dict[int, Refusal] = {}
        accepted: list[tuple[int, bytes]] = []
        for index, ((prefix, install, _, _), message) in enumerate(zip(operations(packed), packed, strict=True)):
            self.asked += 1
            code = self.verdict(prefix, install)
            if code:
                self.refusals += 1
                refused[index] = Refusal(code, "")
                self.on_refusal(prefix)
            else:
                accepted.append((index, message))
        for _, run in itertools.groupby(enumerate(accepted), lambda item: item[1][0] - item[0]):
            start, messages = 0, []
            for _, (index, message) in run:
                start = index if not messages else start
                messages.append(message)
            answer = self._channel.execute(messages, first + start)
            refused |= {start + at: what for at, what in answer.items()}
        self.after()
        return refused

    def request(self, message: bytes) -> Refusal | None:
        return self._channel.request(message)

    def dump(self, request: bytes) -> list[bytes]:
        return self._channel.dump(request)
