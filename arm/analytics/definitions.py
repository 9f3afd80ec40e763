"""What users define: flows, thresholds and groups, read from their documents and given back.

A document is a JSON object with the fields that sFlow-RT's users know. Everything is checked here, once: what is wrong
raises DefinitionError, which names the field, or language.LanguageError, which points at the character. Numbers may
come as strings, since scripts write them so.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arm.analytics.language import MOST_TEXT
from arm.analytics.sample import VALUES
from arm.model import Prefix, mask, parse_prefix

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
MOST_N: Final = 1000
_MOST_CIDRS: Final = 10_000


class DefinitionError(ValueError):
    """What is wrong with a document; `field` is the one that is, empty for the document as a whole."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.field = where


@dataclass(frozen=True, slots=True)
class FlowDefinition:
    """A flow as it was asked for."""

    keys: str = ""
    value: str = "bytes"
    filter: str = ""
    n: int = 20
    """How many of the largest flows of each data source a query gives."""
    t: float = 2.0
    """Time constant of the moving averages, seconds."""
    fs: str = ","
    """Stands between the keys of a flow."""
    log: bool = False
    """Keep the flows that have ended for /flows/json."""

    def document(self) -> dict[str, Any]:
        """As it is given back."""
        return {
            "keys": self.keys,
            "value": self.value,
            "filter": self.filter,
            "n": self.n,
            "t": self.t,
            "fs": self.fs,
            "log": self.log,
        }


@dataclass(frozen=True, slots=True)
class ThresholdDefinition:
    """When to make an event."""

    metric: str
    """A flow's name, or a metric of counters."""
    value: float
    """An event is made when the metric rises above it."""
    by_flow: bool = False
    """Compare each flow, rather than the total of each data source."""
    timeout: float = 1.0
    """Seconds the metric has to stay at or below the value before it can make the next event."""
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Only data sources whose metrics have one of the values, such as ifspeed: 1000000000."""

    def document(self) -> dict[str, Any]:
        """As it is given back."""
        return {
            "metric": self.metric,
            "value": self.value,
            "byFlow": self.by_flow,
            "timeout": self.timeout,
            "filter": {name: list(values) for name, values in self.filter.items()},
        }


def check_name(name: str) -> str:
    """A name that can stand in a path and between commas; DefinitionError."""
    if not NAME.fullmatch(name):
        raise DefinitionError(f"{name[:64]!r} is not a name: letters, digits, _ . and - are, at most 64 of them")
    return name


def read_flow(document: object) -> FlowDefinition:
    """A flow's definition, but for the syntax of its keys and filter; DefinitionError."""
    given = _object(document, {"keys", "value", "filter", "n", "t", "fs", "log"})
    value = _text(given, "value", "bytes") or "bytes"
    if value not in VALUES:
        raise DefinitionError(f"{value[:64]!r} is none of {', '.join(VALUES)}", "value")
    keys = given.get("keys", "")
    if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
        given = {**given, "keys": ",".join(keys)}
    n = _number(given, "n", 20, 1, MOST_N)
    if n != int(n):
        raise DefinitionError("is not a whole number", "n")
    return FlowDefinition(
        keys=_text(given, "keys", "", MOST_TEXT),
        value=value,
        filter=_text(given, "filter", "", MOST_TEXT),
        n=int(n),
        t=_number(given, "t", 2.0, 0.2, 600.0),
        fs=_text(given, "fs", ",", 16),
        log=_flag(given, "log"),
    )


def read_threshold(document: object) -> ThresholdDefinition:
    """A threshold; DefinitionError."""
    given = _object(document, {"metric", "value", "byFlow", "timeout", "filter"})
    for name in ("metric", "value"):
        if name not in given:
            raise DefinitionError("is missing", name)
    metric = _text(given, "metric", "")
    if not NAME.fullmatch(metric):
        raise DefinitionError(f"{metric[:64]!r} is not the name of a metric", "metric")
    filters: dict[str, tuple[str, ...]] = {}
    conditions = given.get("filter") or {}
    if not isinstance(conditions, dict) or len(conditions) > 16:
        raise DefinitionError('is an object such as {"ifspeed": [1000000000]}', "filter")
    for name, values in conditions.items():
        listed = values if isinstance(values, list) else [values]
        if len(listed) > 64 or not all(isinstance(each, str | int | float) for each in listed):
            raise DefinitionError(f"the values of {name[:64]!r} are a list of numbers and strings", "filter")
        filters[name] = tuple(_plain(each) for each in listed)
    return ThresholdDefinition(
        metric=metric,
        value=_number(given, "value", 0.0, 0.0, 1e30),
        by_flow=_flag(given, "byFlow"),
        timeout=_number(given, "timeout", 1.0, 0.0, 86400.0),
        filter=filters,
    )


def read_group(document: object) -> dict[str, tuple[Prefix, ...]]:
    """A group: names of members and their prefixes, `{"private": ["10.0.0.0/8"]}`; DefinitionError."""
    if not isinstance(document, dict):
        raise DefinitionError('the document is an object such as {"private": ["10.0.0.0/8"]}')
    members: dict[str, tuple[Prefix, ...]] = {}
    count = 0
    for name, cidrs in document.items():
        if not name or len(name) > 64 or not isinstance(cidrs, list):
            raise DefinitionError("a member has a name of at most 64 characters and a list of prefixes", name[:64])
        count += len(cidrs)
        if count > _MOST_CIDRS:
            raise DefinitionError(f"there are more than {_MOST_CIDRS} prefixes")
        members[name] = tuple(_prefix(each, name) for each in cidrs)
    return members


def _prefix(value: object, name: str) -> Prefix:
    if not isinstance(value, str):
        raise DefinitionError("a prefix is a string such as 10.0.0.0/8", name)
    try:
        address, slash, bits = value.partition("/")
        packed, longest = parse_prefix(address)
        if not slash:
            return packed, longest
        length = int(bits) if bits.isascii() and bits.isdigit() and len(bits) <= 3 else -1
        if not 0 <= length <= longest:
            raise ValueError
    except ValueError:
        raise DefinitionError(f"{value[:64]!r} is not a prefix such as 10.0.0.0/8", name) from None
    return mask(packed, length), length


def _object(document: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise DefinitionError("the document is not a JSON object")
    for name in document:
        if name not in known:
            raise DefinitionError(f"there is no field {str(name)[:64]!r}: known are {', '.join(sorted(known))}")
    return document


def _text(given: Mapping[str, Any], name: str, default: str, most: int = 64) -> str:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise DefinitionError(f"is a string of at most {most} characters", name)
    return value


def _number(given: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, str) and len(value) <= 32 and value.isascii():
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DefinitionError(f"is a number from {low:g} to {high:g}", name)
    number = float(value)
    if not math.isfinite(number):
        raise DefinitionError(f"is a number from {low:g} to {high:g}", name)
    return number


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        raise DefinitionError("is true or false", name)
    return value


def _plain(value: str | int | float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
