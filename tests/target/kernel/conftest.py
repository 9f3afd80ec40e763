"""Fixtures of the kernel target's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from namespaces import Events, Switch, switch_with

from arm.target.kernel import KernelSession, KernelSettings


@pytest.fixture
def switch() -> Iterator[Switch]:
    """A switch with three peers; the default routes lead to peer 0."""
    with switch_with(3) as made:
        made.default(0)
        yield made


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def open_session(switch: Switch, events: Events) -> Iterator[Callable[..., KernelSession]]:
    """Opens sessions on the switch; its events go to `events`, the found routes first."""
    opened: list[KernelSession] = []

    def open_one(*, wrap: Any = None, **settings: Any) -> KernelSession:
        chosen = KernelSettings(netns=switch.name, **settings)
        session = KernelSession(chosen, events.append, **({"wrap": wrap} if wrap else {}))
        opened.append(session)
        events.append(session.open(0.0))
        return session

    yield open_one
    for session in opened:
        session.close()
