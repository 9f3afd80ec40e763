"""What the BGP tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from scripted_peer import Desk


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    """Makes speakers that are stopped when the test is over."""
    made: list[Desk] = []

    def make(*args: object, **options: object) -> Desk:
        made.append(Desk(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()
