"""Arguments of a query: bounded, checked, and refused with a sentence.

A name that is not known is refused too: a misspelt `maxPrefix=5` that silently means "all" is worse than an error. `_`
alone is let through, since browsers' libraries add it against caches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

from werkzeug.datastructures import MultiDict

T = TypeVar("T")

TEXT_LIMIT = 200
_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})


class ArgumentError(ValueError):
    """An argument that can not be used; the text says what would be right."""


class Arguments:
    """The arguments of one request; every getter raises ArgumentError."""

    def __init__(self, given: MultiDict[str, str], known: frozenset[str]) -> None:
        for name, values in given.lists():
            if name != "_" and name not in known:
                listed = f"known are {', '.join(sorted(known))}" if known else "there are none here"
                raise ArgumentError(f"unknown argument {_quote(name)}: {listed}")
            if len(values) > 1:
                raise ArgumentError(f"{name} is given {len(values)} times")
        self._given = given

    def _text(self, name: str) -> str | None:
        value = self._given.get(name)
        if value is not None and len(value) > TEXT_LIMIT:
            raise ArgumentError(f"{name} is longer than {TEXT_LIMIT} characters")
        return value

    def text(self, name: str) -> str | None:
        """Any text of bounded length; None if it is not given."""
        return self._text(name)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A decimal integer from `low` to `high`."""
        value = self._text(name)
        if value is None:
            return default
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or not low <= int(value) <= high:
            raise ArgumentError(f"{name}={_quote(value)} is not an integer from {low} to {high}")
        return int(value)

    def number(self, name: str, default: float, low: float) -> float:
        """A finite decimal number of at least `low`."""
        value = self._text(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (value.isascii() and math.isfinite(number) and number >= low):
            raise ArgumentError(f"{name}={_quote(value)} is not a number of at least {low:g}")
        return number

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._text(name)
        if value is None:
            return default
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise ArgumentError(f"{name}={_quote(value)} is neither true nor false")

    def choice(self, name: str, default: T, choices: Mapping[str, T]) -> T:
        """One of the keys of `choices`, given as its value."""
        value = self._text(name)
        if value is None:
            return default
        if value not in choices:
            raise ArgumentError(f"{name}={_quote(value)} is none of {', '.join(choices)}")
        return choices[value]


def _quote(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")
