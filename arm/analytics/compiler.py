"""Terms and conditions into functions of a sample.

Keys and functions are known by their canonical text: a term that several definitions use is worked out once for each
sample, and kept in it. What is not known is refused at its character, with what may have been meant.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from operator import itemgetter
from typing import Final, TypeAlias

from arm.analytics import routes, sample
from arm.analytics.functions import Functions, Surroundings
from arm.analytics.language import Combination, Comparison, Condition, LanguageError, Term, parse_filter, parse_keys
from arm.analytics.patterns import Pattern, PatternError
from arm.analytics.sample import SOURCE, Compute, Sample
from arm.analytics.values import Key, Value, forms_of, text_of

Test: TypeAlias = Callable[[Sample], bool]

KEYS: Final = frozenset((*sample.KEYS, *routes.KEYS, *sample.VALUES))


class Compiler:
    """Compiles the parts of one definition; `plan` gathers what it needs worked out."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.plan: dict[str, Compute] = {}
        """Canonical text of each function -> how to compute it."""
        self.routed = False
        """True once something needs the table."""
        self.names: set[str] = set()
        """Keys that stand for themselves."""

    def keys(self, text: str) -> tuple[tuple[str, ...], Callable[[Sample], Key]]:
        """The canonical names of a key list, and the function that gives a sample's flow; LanguageError."""
        names = []
        for term in parse_keys(text):
            self._term(term, "keys", text)
            names.append(str(term))
        if not names:
            return (), lambda found: (found[SOURCE],)
        return tuple(names), itemgetter(SOURCE, *names)

    def filter(self, text: str) -> Test | None:
        """The condition of a filter, None for none; LanguageError."""
        condition = parse_filter(text)
        return None if condition is None else self._condition(condition, text)

    # --- terms -------------------------------------------------------------------------------------------------------

    def _term(self, term: Term, field: str, text: str) -> Compute:
        name = str(term)
        self.routed |= name in routes.KEYS or (term.name == "mask" and len(term.arguments or ()) == 1)
        if term.arguments is None:
            if name not in KEYS:
                raise LanguageError(_unknown(name), field, term.at, text)
            self.names.add(name)
        elif name in routes.MASKS:
            self.names.add(name.partition(":")[2])
        elif name not in self.plan:
            functions = Functions(self._around, lambda inner: self._term(inner, field, text), field, text)
            self.plan[name] = functions.build(term)
        return itemgetter(name)

    # --- conditions --------------------------------------------------------------------------------------------------

    def _condition(self, condition: Condition, text: str) -> Test:
        if isinstance(condition, Combination):
            tests = [self._condition(part, text) for part in condition.parts]
            return _all(tests) if condition.operator == "&" else _any(tests)
        self._term(condition.term, "filter", text)
        name = str(condition.term)
        if condition.operator.endswith("~"):
            test = _matches(name, self._patterns(condition, text))
        else:
            test = _equals(name, frozenset().union(*(forms_of(value) for value, _ in condition.values)))
        if condition.operator.startswith("!"):
            return lambda found: not test(found)
        return test

    def _patterns(self, condition: Comparison, text: str) -> list[Pattern]:
        found = []
        for value, at in condition.values:
            try:
                found.append(Pattern(value))
            except PatternError as problem:
                raise LanguageError(str(problem), "filter", at + problem.at, text) from None
        return found


def _all(tests: list[Test]) -> Test:
    def test(found: Sample) -> bool:
        for each in tests:  # noqa: SIM110 - a generator would take twice as long
            if not each(found):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    def test(found: Sample) -> bool:
        for each in tests:  # noqa: SIM110
            if each(found):
                return True
        return False

    return test


def _equals(name: str, accepted: frozenset[Value]) -> Test:
    return lambda found: found[name] in accepted


def _matches(name: str, patterns: list[Pattern]) -> Test:
    def test(found: Sample) -> bool:
        value = found[name]
        if value is None:
            return False
        text = text_of(value)
        return any(pattern.matches(text) for pattern in patterns)

    return test


def _unknown(name: str) -> str:
    close = get_close_matches(name[:64], KEYS, 1)
    return f"there is no flow key {name[:64]!r}" + (f"; was {close[0]} meant?" if close else "")
