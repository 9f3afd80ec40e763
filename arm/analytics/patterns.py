r"""Regular expressions that can not hang: matching takes time proportional to the text, whatever the expression.

An expression becomes a nondeterministic automaton of a bounded number of states, and that a deterministic one, step by
step as texts need it (Thompson 1968). There is no backtracking, so there is nothing that could explode; what needs
backtracking (back references, looking ahead or behind) is refused. As in sFlow-RT the whole text has to match.

Known: literals, `.`, `[a-z]`, `[^...]`, `\d \w \s \D \W \S`, `( )`, `(?: )`, `|`, `* + ?` (also lazy), `{m}`, `{m,}`,
`{m,n}`, `^` at the beginning and `$` at the end of the expression (which change nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_STATES: Final = 256
"""States of one automaton: what a match costs in the worst case for each character."""
_MOST_KNOWN: Final = 512
"""States of the deterministic automaton that are remembered."""
_MOST_ANSWERS: Final = 4096
_MOST_DEPTH: Final = 16
_MOST_REPEATS: Final = 255
_MOST_RANGE: Final = 4096

_DIGITS: Final = frozenset("0123456789")
_WORD: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_SPACE: Final = frozenset(" \t\n\r\f\v")
_CLASSES: Final = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}


class PatternError(ValueError):
    """What is wrong with an expression, and at which of its characters (from 0)."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.at = at


@dataclass(frozen=True, slots=True)
class _Chars:
    """A set of characters, or everything but it."""

    chars: frozenset[str]
    negated: bool = False

    def has(self, char: str) -> bool:
        return (char in self.chars) is not self.negated


_ANY: Final = _Chars(frozenset(), True)


class _Node:
    """A state: it eats a character of `eats` on the way to `out[0]`, or goes on to all of `out` for nothing."""

    __slots__ = ("eats", "out")

    def __init__(self, eats: _Chars | None = None) -> None:
        self.eats = eats
        self.out: list[int] = []


class _Builder:
    """Recursive descent; each method returns (entry, exit) of a part of the automaton."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.nodes: list[_Node] = []
        self._depth = 0

    def build(self) -> tuple[int, int]:
        if self._peek() == "^":
            self.at += 1
        whole = self._alternatives()
        if self.at < len(self.text):
            raise PatternError("a bracket is closed that was not opened", self.at)
        return whole

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _new(self, eats: _Chars | None = None) -> int:
        if len(self.nodes) >= MOST_STATES:
            raise PatternError(f"the expression needs more than {MOST_STATES} states", min(self.at, len(self.text)))
        self.nodes.append(_Node(eats))
        return len(self.nodes) - 1

    def _link(self, one: int, other: int) -> None:
        self.nodes[one].out.append(other)

    def _alternatives(self) -> tuple[int, int]:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise PatternError(f"brackets are more than {_MOST_DEPTH} deep", self.at)
        branches = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            branches.append(self._sequence())
        self._depth -= 1
        if len(branches) == 1:
            return branches[0]
        first, last = self._new(), self._new()
        for start, end in branches:
            self._link(first, start)
            self._link(end, last)
        return first, last

    def _sequence(self) -> tuple[int, int]:
        first = last = self._new()
        while self._peek() not in ("", "|", ")"):
            if self._peek() == "$" and self.at == len(self.text) - 1:
                self.at += 1
                break
            start, end = self._repeated()
            self._link(last, start)
            last = end
        return first, last

    def _repeated(self) -> tuple[int, int]:
        began = self.at
        part = self._atom()
        after = self.at
        low, high = self._counts()
        if low == high == 1:
            return part
        if self._peek() == "?":  # lazy: the same texts match
            self.at += 1
        if self._peek() in ("*", "+", "{") and self._peek():
            raise PatternError("two repetitions in a row", self.at)
        # each copy is read anew from the text: simpler than copying a graph, and bounded by the states
        ended = self.at
        first = last = self._new()
        for number in range(low if high is None else high):
            if number:
                self.at = began
                part = self._atom()
                self.at = after
            self._link(last, part[0])
            if number >= low:
                self._link(last, skip := self._new())
                self._link(part[1], skip)
                last = skip
            else:
                last = part[1]
        if high is None:
            if low == 0:
                loop = self._new()
                self._link(last, loop)
                self._link(loop, part[0])
                self._link(part[1], loop)
                last = loop
            else:
                loop = self._new()
                self._link(part[1], loop)
                self._link(loop, part[0])
                last = loop
        self.at = ended
        return first, last

    def _counts(self) -> tuple[int, int | None]:
        char = self._peek()
        if char in ("*", "+", "?") and char:
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        if char != "{":
            return 1, 1
        began = self.at
        end = self.text.find("}", self.at)
        inside = self.text[self.at + 1 : end] if end >= 0 else ""
        low, comma, high = inside.partition(",")
        ok = low.isascii() and low.isdigit() and len(low) <= 3 and (not high or (high.isascii() and high.isdigit()))
        if not ok or len(high) > 3:
            raise PatternError("a repetition is {m}, {m,} or {m,n}", began)
        least, most = int(low), int(high) if high else None if comma else int(low)
        if least > _MOST_REPEATS or (most is not None and not least <= most <= _MOST_REPEATS):
            raise PatternError(f"a repetition counts up, to {_MOST_REPEATS} at most", began)
        self.at = end + 1
        return least, most

    def _atom(self) -> tuple[int, int]:
        char = self._peek()
        began = self.at
        if char == "(":
            self.at += 1
            if self.text.startswith("?:", self.at):
                self.at += 2
            elif self._peek() == "?":
                raise PatternError("of (?...) only (?:...) is known", began)
            inside = self._alternatives()
            if self._peek() != ")":
                raise PatternError("a bracket is not closed", began)
            self.at += 1
            return inside
        if char in ("*", "+", "?", "{"):
            raise PatternError("there is nothing to repeat", began)
        if char in ("^", "$"):
            raise PatternError(f"{char} stands for the {'beginning' if char == '^' else 'end'}; write \\{char}", began)
        self.at += 1
        if char == ".":
            eats = _ANY
        elif char == "[":
            eats = self._class(began)
        elif char == "\\":
            eats = self._escape(began)
        else:
            eats = _Chars(frozenset(char))
        start, end = self._new(eats), self._new()
        self._link(start, end)
        return start, end

    def _escape(self, began: int) -> _Chars:
        char = self._peek()
        self.at += 1
        if not char:
            raise PatternError("nothing is behind the backslash", began)
        if char.lower() in _CLASSES:
            return _Chars(_CLASSES[char.lower()], char.isupper())
        if char in _CONTROLS:
            return _Chars(frozenset(_CONTROLS[char]))
        if char.isalnum():
            raise PatternError(f"\\{char} is not known", began)
        return _Chars(frozenset(char))

    def _class(self, began: int) -> _Chars:
        negated = self._peek() == "^"
        self.at += negated
        chars: set[str] = set()
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._member(began, chars)
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                at = self.at
                high = self._member(began, chars)
                if not low or not high or low > high or ord(high) - ord(low) > _MOST_RANGE:
                    raise PatternError("a range goes from a lower to a higher character", at)
                chars.update(map(chr, range(ord(low), ord(high) + 1)))
            elif low:
                chars.add(low)
        self.at += 1
        return _Chars(frozenset(chars), negated)

    def _member(self, began: int, chars: set[str]) -> str:
        """One character of a class; an empty string after a whole class such as \\d has been added."""
        char = self._peek()
        if not char:
            raise PatternError("a class is not closed", began)
        self.at += 1
        if char != "\\":
            return char
        found = self._escape(self.at - 1)
        if len(found.chars) == 1 and not found.negated:
            return next(iter(found.chars))
        if found.negated:
            raise PatternError("a negated class can not stand inside a class", self.at - 2)
        chars.update(found.chars)
        return ""


class Pattern:
    """A compiled expression. One thread at a time may match."""

    def __init__(self, text: str) -> None:
        """PatternError if the expression is wrong or too large."""
        self.text = text
        builder = _Builder(text)
        start, self._end = builder.build()
        self._nodes = builder.nodes
        self._start = self._closure((start,))
        self._steps: dict[frozenset[int], dict[str, frozenset[int]]] = {}
        self._answers: dict[str, bool] = {}

    def _closure(self, states: tuple[int, ...] | set[int]) -> frozenset[int]:
        """What can be reached without a character."""
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            node = self._nodes[state]
            if node.eats is None:
                waiting.extend(node.out)
        return frozenset(found)

    def matches(self, text: str) -> bool:
        """True if the expression matches the whole text."""
        known = self._answers.get(text)
        if known is None:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            known = self._answers[text] = self._run(text)
        return known

    def _run(self, text: str) -> bool:
        state = self._start
        steps, nodes = self._steps, self._nodes
        for char in text:
            ways = steps.get(state)
            if ways is None:
                if len(steps) >= _MOST_KNOWN:
                    steps.clear()
                ways = steps[state] = {}
            after = ways.get(char)
            if after is None:
                moved = {node.out[0] for node in map(nodes.__getitem__, state) if node.eats and node.eats.has(char)}
                after = self._closure(moved)
                if len(ways) < _MOST_KNOWN:
                    ways[char] = after
            if not after:
                return False
            state = after
        return self._end in state
