"""Definitions, thresholds and groups on disk, so that they survive a restart.

One small JSON file, replaced as a whole. A file that can not be read, or holds something that is not right any more, is
reported and does not keep ARM from starting. It is put aside (arm/aside.py): the next change writes the file anew.
What is saved is bounded (`MOST_OCTETS`), so that it can always be read again.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, Final

from arm.aside import put_aside

log = logging.getLogger(__name__)

_NAME: Final = "analytics.json"
MOST_OCTETS: Final = 8 * 1024 * 1024
"""Of all definitions together, as `size` has them."""
_MOST_READ: Final = 2 * MOST_OCTETS
"""Of a file: what is around the definitions is less than they are."""


def size(name: str, document: object) -> int:
    """What a definition takes in the file, in octets."""
    return len(name) + len(json.dumps(document, indent=1)) + 16


def load(directory: Path) -> dict[str, Any]:
    """What was saved; empty if nothing was, or it can not be read."""
    path = directory / _NAME
    try:
        if path.stat().st_size > _MOST_READ:
            raise ValueError("it is too large")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is no object")
    except FileNotFoundError:
        return {}
    except OSError as problem:
        log.warning("analytics definitions not read path=%s error=%r", path, str(problem))
        return {}
    except (ValueError, RecursionError) as problem:
        log.warning("analytics definitions damaged path=%s error=%r", path, str(problem))
        put_aside(path)
        return {}
    return document


def keep_aside(directory: Path) -> None:
    """Keep the file as it is, since not all of it could be taken up."""
    put_aside(directory / _NAME, stays=True)


def save(directory: Path, document: dict[str, Any]) -> None:
    """Replace what was saved; a failure is logged, since the definitions stand without it."""
    path = directory / _NAME
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as problem:
        log.warning("analytics definitions not saved path=%s error=%r", path, str(problem))
