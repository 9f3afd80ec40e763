"""What a restart must not lose: the choice, and the traffic it was made from.

One JSON file in `[state] directory`, written whole under another name and renamed, so that a crash leaves the old one.
It carries a version and is bounded. A file that cannot be read is put aside under a name that says so, with a warning:
the daemon then starts as on its first day, which costs seconds of learning, never a wrong route.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from arm.model import Family, Prefix, family_of, format_prefix, parse_prefix

log = logging.getLogger(__name__)

VERSION: Final = 1
FILE: Final = "choice.json"
_MOST_BYTES: Final = 256 * 1024 * 1024

Memory: TypeAlias = Mapping[Family, list[tuple[Prefix, float, float, bool]]]
"""For each family (prefix, bytes/s, samples, chosen), the chosen first, by worth."""


def save(directory: Path, memory: Memory, saved_ms: int) -> None:
    """Write the file. OSError if that is not possible; the old one then still stands."""
    document = {
        "version": VERSION,
        "saved_ms": saved_ms,
        "families": {
            family.label: [[format_prefix(p), round(rate, 1), round(samples, 3), int(chosen)]
                           for p, rate, samples, chosen in rows]
            for family, rows in memory.items()
        },
    }  # fmt: skip
    path = directory / FILE
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="ascii") as file:
        json.dump(document, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def load(directory: Path) -> Iterator[tuple[Prefix, float, float, bool]]:
    """What was saved, in its order; nothing without a file, or with one that is damaged (it is put aside)."""
    path = directory / FILE
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
        rows = list(_rows(json.loads(path.read_bytes())))
    except FileNotFoundError:
        return iter(())
    except OSError as error:
        log.warning("choice of the last run unreadable file=%s error=%r", path, str(error))
        return iter(())
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        aside = path.with_suffix(".damaged")
        log.warning("choice of the last run damaged file=%s error=%r put_aside=%s", path, str(error), aside)
        try:
            os.replace(path, aside)
        except OSError as failure:
            log.warning("damaged file stays file=%s error=%r", path, str(failure))
        return iter(())
    return iter(rows)


def _rows(document: object) -> Iterator[tuple[Prefix, float, float, bool]]:
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    for family in Family:
        for text, rate, samples, chosen in document["families"].get(family.label, []):
            prefix = parse_prefix(text)
            if family_of(prefix) is not family or not (0 <= rate < 1e18 and 0 <= samples < 1e18):
                raise ValueError(f"a line is impossible: {text!r}")
            yield prefix, float(rate), float(samples), bool(chosen)


class Keeper:
    """Saves at intervals on a thread of its own; only the copy is made on the engine's."""

    def __init__(
        self, directory: Path, recall: Callable[[], Memory], wall_ms: Callable[[], int], interval: float = 30.0
    ) -> None:
        """`recall` asks the engine; it may raise TimeoutError when that is busy."""
        self._directory = directory
        self._recall = recall
        self._wall_ms = wall_ms
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._failing = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End without a last save: the caller has the engine to itself by now and calls `save`."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                memory = self._recall()
            except TimeoutError:
                continue
            self.save(memory)

    def save(self, memory: Memory) -> None:
        """Write; what goes wrong is logged once, until it works again."""
        if not any(memory.values()):
            # An engine that has not got its table yet knows nothing: what an earlier run knew is better than that.
            return
        try:
            save(self._directory, memory, self._wall_ms())
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("choice not saved directory=%s error=%r", self._directory, str(error))
            self._failing = True
