"""Settings from the environment: `ARM_TARGET__PREFIXES=20000` stands for `prefixes = 20000` below `[target]`.

Made for containers. Every key of the schema has such a variable, the variable wins over the file, and what is wrong
with it is said under its own name. A value is written as in the file, without the quotes around texts; a list as in the
file or separated by commas. Other variables are left alone, unless they look as if a setting was meant: those are
refused, since a misspelt setting that silently does nothing is worse than an error.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from arm.config.rules import Fault, Key

_SETTING: Final = re.compile(r"ARM_[A-Z0-9_]*__[A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the environment sets."""

    values: Mapping[tuple[str, str], Any]
    """(table, key) -> value, as the file would have it."""
    names: Mapping[str, str]
    """Key path -> the variable that sets it."""
    faults: tuple[Fault, ...]
    """Variables that look like settings and are none."""

    def named(self, fault: Fault) -> Fault:
        """The same fault under the name of the variable that set the value, or with those that take part in it."""
        path, bracket, place = fault.path.partition("[")
        if name := self.names.get(path):
            return Fault(f"{name}{bracket}{place}", fault.text, fault.also)
        others = [self.names[other] for other in fault.also if other in self.names]
        return Fault(fault.path, f"{fault.text} (set here: {', '.join(others)})", fault.also) if others else fault


def variable(section: str, word: str) -> str:
    """The variable of a key."""
    return f"ARM_{section}__{word}".upper()


def overlay(environ: Mapping[str, str], known: Mapping[tuple[str, str], Key]) -> Overlay:
    """The settings in `environ`; `known` has every key by its table and name."""
    variables = {variable(section, word): (section, word) for section, word in known}
    values: dict[tuple[str, str], Any] = {}
    faults = []
    for name, text in sorted(environ.items()):
        if place := variables.get(name):
            values[place] = _value(text, known[place])
        elif _SETTING.fullmatch(name):
            close = difflib.get_close_matches(name[:80], variables, n=1)
            hint = f"did you mean {close[0]}?" if close else "docs/configuration.md has all keys"
            faults.append(Fault(name[:80], f"is no setting; {hint}"))
    return Overlay(values, {f"{section}.{word}": variable(section, word) for section, word in values}, tuple(faults))


def _value(text: str, key: Key) -> Any:
    if not key.many:
        return _single(text, key)
    whole = _literal(text)
    if isinstance(whole, list):
        return whole
    return [_single(part.strip(), key) for part in text.split(",")] if text.strip() else []


def _single(text: str, key: Key) -> Any:
    """The text itself where the key takes that, else what it would be in the file, such as a number."""
    try:
        key.rule.read(text)
    except ValueError:
        literal = _literal(text)
        return text if literal is None else literal
    return text


def _literal(text: str) -> Any:
    """The value that TOML makes of a text on one line; None if it makes nothing of it."""
    if "\n" in text or "\r" in text:
        return None
    try:
        return tomllib.loads(f"value = {text}").get("value")
    except (ValueError, RecursionError):
        return None
