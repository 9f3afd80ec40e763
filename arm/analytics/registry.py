"""What is defined and known: flows, thresholds, groups, metrics, and the lock around them.

The half of the analytics that has no thread of its own. Definitions are written to disk with every change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arm.analytics import memory
from arm.analytics.definitions import (
    DefinitionError,
    FlowDefinition,
    ThresholdDefinition,
    check_name,
    read_flow,
    read_group,
    read_threshold,
)
from arm.analytics.flows import Flow, Flows
from arm.analytics.groups import Group
from arm.analytics.language import LanguageError
from arm.analytics.metrics import MetricStore, Reading
from arm.analytics.routes import Lookup, Routes
from arm.analytics.thresholds import Threshold
from arm.analytics.values import Value
from arm.config import AnalyticsConfig

log = logging.getLogger(__name__)


class Limit(ValueError):  # noqa: N818 - the configuration's word, not a mistake in the program
    """A limit of the configuration is reached; the text says which."""


class Registry:
    """Any thread may call any method; who reads the attributes holds `lock`."""

    def __init__(
        self,
        config: AnalyticsConfig,
        lookup: Lookup,
        *,
        local_as: int,
        directory: Path | None,
        clock: Callable[[], float],
        country: Callable[[bytes], str | None] | None,
    ) -> None:
        self.config = config
        self.country = country
        self.clock = clock
        self.lock = threading.RLock()
        self.routes = Routes(lookup, local_as)
        self.metrics = MetricStore()
        self.flows = Flows(self, config.flows)
        self.thresholds: dict[str, Threshold] = {}
        self.groups: dict[str, Group] = {}
        self._directory = directory
        self._octets: dict[tuple[str, str], int] = {}
        """What each definition takes in the file, by kind and name."""

    def changed(self) -> None:
        """Called with the lock held after each change of the definitions."""

    # --- what functions look up --------------------------------------------------------------------------------------

    def group(self, name: str, address: bytes) -> str | None:
        """Which member of a group an address belongs to."""
        group = self.groups.get(name)
        return group.find(address) if group is not None else None

    def host(self, key: Value, attribute: str) -> str | None:
        """An attribute of the host that has a MAC or agent address."""
        return self.metrics.host(key, attribute)

    # --- definitions -------------------------------------------------------------------------------------------------

    def put_flow(self, name: str, document: object) -> FlowDefinition:
        """Define a flow, or define it anew; DefinitionError, LanguageError, Limit."""
        definition = read_flow(document)
        flow = self.flows.compile(check_name(name), definition, self.clock())
        if len(flow.keys) > self.config.keys:
            raise Limit(f"a flow has at most {self.config.keys} keys (analytics.keys)")
        with self.lock:
            self._room("flow", self.flows.active, name, definition.document())
            self.flows.put(flow)
        self._store()
        return definition

    def put_threshold(self, name: str, document: object) -> ThresholdDefinition:
        """Set a threshold; DefinitionError, Limit."""
        definition = read_threshold(document)
        check_name(name)
        with self.lock:
            self._room("threshold", self.thresholds, name, definition.document())
            self.thresholds[name] = Threshold(name, definition)
        self._store()
        return definition

    def put_group(self, name: str, document: object) -> Group:
        """Define a group of prefixes; DefinitionError, Limit."""
        group = Group(read_group(document))
        check_name(name)
        with self.lock:
            self._room("group", self.groups, name, group.document())
            self.groups[name] = group
        self._store()
        return group

    def delete(self, kind: str, name: str) -> None:
        """Remove a flow, threshold or group; KeyError if there is none of that name."""
        with self.lock:
            if kind == "flow":
                self.flows.remove(name)
            elif kind == "threshold":
                del self.thresholds[name]
            else:
                del self.groups[name]
            del self._octets[kind, name]
        self._store()

    def _room(self, kind: str, table: dict[str, Any], name: str, document: object) -> None:
        """Limit if there are too many definitions of a kind, or if all together would be too large with this one."""
        if name not in table and len(table) >= self.config.definitions:
            raise Limit(f"there are {self.config.definitions} already (analytics.definitions)")
        octets = memory.size(name, document)
        before = self._octets.get((kind, name), 0)
        if sum(self._octets.values()) - before + octets > memory.MOST_OCTETS:
            raise Limit(f"all definitions together may have {memory.MOST_OCTETS} octets, and with this one have more")
        self._octets[kind, name] = octets

    def _store(self) -> None:
        with self.lock:
            self.changed()
            if self._directory is not None:
                document = {
                    "flows": {name: flow.definition.document() for name, flow in self.flows.active.items()},
                    "thresholds": {name: each.definition.document() for name, each in self.thresholds.items()},
                    "groups": {name: group.document() for name, group in self.groups.items()},
                }
                memory.save(self._directory, document)

    def recall(self) -> None:
        """Take up what an earlier run has saved; what is not right any more is logged and left."""
        if self._directory is None:
            return
        directory, self._directory = self._directory, None
        document = memory.load(directory)
        refused = 0
        for kind, put in (("groups", self.put_group), ("flows", self.put_flow), ("thresholds", self.put_threshold)):
            saved = document.get(kind, {})
            if not isinstance(saved, dict):
                log.warning("analytics definitions not taken up kind=%s error='they are no object'", kind)
                refused += 1
                continue
            for name, each in saved.items():
                try:
                    put(name, each)
                except (DefinitionError, LanguageError, Limit) as problem:
                    log.warning("analytics definition not taken up kind=%s name=%r error=%r", kind, name, str(problem))
                    refused += 1
        if refused:
            memory.keep_aside(directory)
        self._directory = directory

    # --- readings ----------------------------------------------------------------------------------------------------

    def readings(self, name: str, now: float) -> list[Reading]:
        """The metric of that name of every data source; with the lock held."""
        flow = self.flows.active.get(name)
        if flow is not None:
            if flow.fault is not None:
                return []
            return [Reading(source, name, value, now) for source, value in flow.cache.totals(now).items()]
        found = []
        for source, metrics in self.metrics.sources.items():
            item = metrics.values.get(name)
            if item is not None:
                found.append(Reading(source, name, *item))
        return found

    def flow(self, name: str) -> Flow | None:
        """A flow at work."""
        return self.flows.active.get(name)
