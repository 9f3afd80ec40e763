"""The words in which flow keys and filters are written, and an error that points at the character that is wrong.

    keys     ipsource,mask:ipdestination:24,prefix:[uri:httpurl:path]:/:2
    filter   udpsourceport=53,123&(ipprotocol=17|ip6nexthdr=17)&uri:httpurl:path~/games/.*

A term is a key, or a function with arguments between colons; an argument that is a term of its own with arguments
stands in square brackets. A comparison (`=`, `!=`, `~`, `!~`) has a comma list of values behind it, of which any may
fit. `&` binds closer than `|`. A backslash takes away the meaning of the character behind it; a value may stand in
quotes. Brackets inside a value belong to the value, so that expressions such as `~/(a|b)/.*` need no quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

MOST_TEXT: Final = 2048
"""Characters of a key list or filter."""
MOST_DEPTH: Final = 16
MOST_COMPARISONS: Final = 64
MOST_VALUES: Final = 256


class LanguageError(ValueError):
    """What is wrong, in which field of a definition, and at which of its characters (from 0)."""

    def __init__(self, text: str, field: str, at: int, source: str = "") -> None:
        super().__init__(f"{field}, character {at + 1}: {text}")
        self.field = field
        self.at = at
        self.source = source


@dataclass(frozen=True, slots=True)
class Term:
    """A key (no arguments) or a function with its arguments."""

    name: str
    at: int
    arguments: tuple[Argument, ...] | None = None

    def __str__(self) -> str:
        """The one way to write it: equal terms are worked out once."""
        if self.arguments is None:
            return self.name
        return ":".join((self.name, *map(str, self.arguments)))


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function: its text, or the term that stood in square brackets."""

    text: str
    at: int
    term: Term | None = None

    def __str__(self) -> str:
        if self.term is not None:
            return f"[{self.term}]"
        return "".join(f"\\{char}" if char in _SPECIAL else char for char in self.text)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`term operator value,value,...`; each value with the place where it stands."""

    term: Term
    operator: str
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """All (`&`) or any (`|`) of several conditions."""

    operator: str
    parts: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Combination

_SPECIAL: Final = frozenset(':[],=!~&|()\\"')
_OPENS: Final = {"(": ")", "[": "]", "{": "}"}


class _Reader:
    def __init__(self, text: str, field: str) -> None:
        self.text = text
        self.field = field
        self.at = 0
        self.depth = 0
        self.comparisons = 0
        if len(text) > MOST_TEXT:
            raise self.error(f"the text is longer than {MOST_TEXT} characters", MOST_TEXT)

    def error(self, text: str, at: int | None = None) -> LanguageError:
        return LanguageError(text, self.field, self.at if at is None else at, self.text)

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def blanks(self) -> None:
        while self.peek() == " ":
            self.at += 1

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.error(f"brackets are more than {MOST_DEPTH} deep")

    # --- terms -------------------------------------------------------------------------------------------------------

    def word(self, stops: str) -> str:
        found = []
        while (char := self.peek()) and char not in stops:
            self.at += 1
            if char == "\\":
                char = self.peek()
                if not char:
                    raise self.error("nothing is behind the backslash", self.at - 1)
                self.at += 1
            found.append(char)
        return "".join(found)

    def term(self, stops: str) -> Term:
        self.blanks()
        began = self.at
        name = self.word(stops + ":[] ")
        if not name:
            raise self.error(
                "a flow key is missing here" if not self.peek() else f"no flow key begins with {self.peek()}"
            )
        if self.peek() != ":":
            self.blanks()
            return Term(name, began)
        arguments: list[Argument] = []
        while self.peek() == ":":
            self.at += 1
            arguments.append(self.argument(stops))
        self.blanks()
        return Term(name, began, tuple(arguments))

    def argument(self, stops: str) -> Argument:
        began = self.at
        if self.peek() != "[":
            return Argument(self.word(stops + ":[]"), began)
        self.at += 1
        self.deeper()
        inside = self.term(stops)
        if self.peek() != "]":
            raise self.error("the square bracket is not closed", began)
        self.at += 1
        self.depth -= 1
        return Argument("", began, inside)

    # --- conditions --------------------------------------------------------------------------------------------------

    def any(self) -> Condition:
        self.deeper()
        parts = [self.all()]
        while self.peek() == "|":
            self.at += 1
            parts.append(self.all())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Combination("|", tuple(parts))

    def all(self) -> Condition:
        parts = [self.single()]
        while self.peek() == "&":
            self.at += 1
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else Combination("&", tuple(parts))

    def single(self) -> Condition:
        self.blanks()
        if self.peek() == "(":
            began = self.at
            self.at += 1
            inside = self.any()
            if self.peek() != ")":
                raise self.error("the bracket is not closed", began)
            self.at += 1
            self.blanks()
            return inside
        self.comparisons += 1
        if self.comparisons > MOST_COMPARISONS:
            raise self.error(f"there are more than {MOST_COMPARISONS} comparisons")
        term = self.term("=!~&|(),")
        for operator in ("!=", "!~", "=", "~"):
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return Comparison(term, operator, self.values(pattern=operator.endswith("~")))
        raise self.error("one of = != ~ !~ is missing here")

    def values(self, *, pattern: bool) -> tuple[tuple[str, int], ...]:
        found = [self.value(pattern=pattern)]
        while self.peek() == ",":
            self.at += 1
            if len(found) == MOST_VALUES:
                raise self.error(f"there are more than {MOST_VALUES} values")
            found.append(self.value(pattern=pattern))
        return tuple(found)

    def value(self, *, pattern: bool) -> tuple[str, int]:
        self.blanks()
        began = self.at
        if self.peek() in ("'", '"') and self.peek():
            return self.quoted(self.peek(), pattern=pattern), began + 1
        closing: list[str] = []
        opens = _OPENS if pattern else {"(": ")"}
        parts: list[str] = []
        while char := self.peek():
            if not closing and char in "&|),":
                break
            self.at += 1
            if char == "\\":
                after = self.peek()
                if not after:
                    raise self.error("nothing is behind the backslash", self.at - 1)
                self.at += 1
                parts.append(char + after if pattern else after)
                continue
            if closing and char == closing[-1]:
                closing.pop()
            elif char in opens and (not closing or closing[-1] != "]"):
                closing.append(opens[char])
            parts.append(char)
        value = "".join(parts).rstrip(" ")
        if not value:
            raise self.error("a value is missing here", began)
        return value, began

    def quoted(self, quote: str, *, pattern: bool) -> str:
        began = self.at
        self.at += 1
        parts: list[str] = []
        while (char := self.peek()) != quote:
            if not char:
                raise self.error("the quotation is not closed", began)
            self.at += 1
            if char == "\\":
                after = self.peek()
                self.at += bool(after)
                parts.append(char + after if pattern and after != quote else after)
            else:
                parts.append(char)
        self.at += 1
        self.blanks()
        return "".join(parts)


def parse_keys(text: str, field: str = "keys") -> tuple[Term, ...]:
    """The terms of a key list; none for an empty one. LanguageError if it is wrong."""
    reader = _Reader(text, field)
    reader.blanks()
    if not reader.peek():
        return ()
    terms = [reader.term(",=!~&|()")]
    while reader.peek() == ",":
        reader.at += 1
        terms.append(reader.term(",=!~&|()"))
    if reader.peek():
        raise reader.error(f"{reader.peek()} can not stand here")
    return tuple(terms)


def parse_filter(text: str, field: str = "filter") -> Condition | None:
    """The condition of a filter; None for an empty one. LanguageError if it is wrong."""
    reader = _Reader(text, field)
    reader.blanks()
    if not reader.peek():
        return None
    condition = reader.any()
    if reader.peek():
        raise reader.error(f"{reader.peek()} can not stand here")
    return condition
