"""Terms and conditions into functions of samples.

Keys and functions are known by their canonical text, the name of their column: a term that several definitions use is
worked out once. What is not known is refused at its character, with what may have been meant.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, TypeAlias

from arm.analytics import routes, sample
from arm.analytics.functions import Functions, Surroundings
from arm.analytics.language import Combination, Comparison, Condition, LanguageError, Term, parse_filter, parse_keys
from arm.analytics.patterns import Pattern, PatternError
from arm.analytics.portion import Compute, Portion
from arm.analytics.values import Value, forms_of, text_of

Test: TypeAlias = Callable[[Portion], list[bool]]
"""Tells of each sample whether it fits."""

KEYS: Final = frozenset((*sample.KEYS, *routes.KEYS, *sample.VALUES))


class Compiler:
    """Compiles the parts of one definition; `plan` gathers what it needs worked out."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.plan: dict[str, Compute] = {}
        """Canonical text of each function -> how to compute it."""
        self.routed = False
        """True once something needs the table."""

    def keys(self, text: str) -> tuple[str, ...]:
        """The columns of a key list; LanguageError."""
        return tuple(self._term(term, "keys", text) for term in parse_keys(text))

    def filter(self, text: str) -> Test | None:
        """The condition of a filter, None for none; LanguageError."""
        condition = parse_filter(text)
        return None if condition is None else self._condition(condition, text)

    # --- terms -------------------------------------------------------------------------------------------------------

    def _term(self, term: Term, field: str, text: str) -> str:
        name = str(term)
        self.routed |= name in routes.KEYS or (term.name == "mask" and len(term.arguments or ()) == 1)
        if term.arguments is None:
            if name not in KEYS:
                raise LanguageError(_unknown(name), field, term.at, text)
        elif name not in routes.MASKS and name not in self.plan:
            functions = Functions(self._around, lambda inner: self._term(inner, field, text), field, text)
            self.plan[name] = functions.build(term)
        return name

    # --- conditions --------------------------------------------------------------------------------------------------

    def _condition(self, condition: Condition, text: str) -> Test:
        if isinstance(condition, Combination):
            tests = [self._condition(part, text) for part in condition.parts]
            return _join(tests, every=condition.operator == "&")
        name = self._term(condition.term, "filter", text)
        if condition.operator.endswith("~"):
            test = _matches(name, self._patterns(condition, text))
        else:
            test = _equals(name, frozenset().union(*(forms_of(value) for value, _ in condition.values)))
        if condition.operator.startswith("!"):
            return lambda portion: [not fits for fits in test(portion)]
        return test

    def _patterns(self, condition: Comparison, text: str) -> list[Pattern]:
        found = []
        for value, at in condition.values:
            try:
                found.append(Pattern(value))
            except PatternError as problem:
                raise LanguageError(str(problem), "filter", at + problem.at, text) from None
        return found


def _join(tests: list[Test], *, every: bool) -> Test:
    """Every one of the tests, or any of them; a sample that has been decided on is not put to the next test."""

    def test(portion: Portion) -> list[bool]:
        found = tests[0](portion)
        for each in tests[1:]:
            open_ = found if every else [not fits for fits in found]
            if not any(open_):
                break
            rest = iter(each(portion.where(open_)))
            found = [next(rest) if undecided else fits for fits, undecided in zip(found, open_, strict=True)]
        return found

    return test


def _equals(name: str, accepted: frozenset[Value]) -> Test:
    def test(portion: Portion) -> list[bool]:
        values = portion.column(name)
        return [False] * portion.size if values is None else [value in accepted for value in values]

    return test


def _matches(name: str, patterns: list[Pattern]) -> Test:
    def matches(value: Value | None) -> bool:
        if value is None:
            return False
        text = text_of(value)
        return any(pattern.matches(text) for pattern in patterns)

    def test(portion: Portion) -> list[bool]:
        values = portion.column(name)
        return [False] * portion.size if values is None else [matches(value) for value in values]

    return test


def _unknown(name: str) -> str:
    close = get_close_matches(name[:64], KEYS, 1)
    return f"there is no flow key {name[:64]!r}" + (f"; was {close[0]} meant?" if close else "")
