"""What the functions of flow keys compute.

Each builder gets its term and gives a function from samples to a column: a value for each, or None where the sample
lacks what it needs: then it is not counted. Builders check all that can be known ahead and raise LanguageError at the
argument that is wrong; what they return never raises, but for routes.Unresolved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, TypeGuard

from arm.analytics.language import Argument, LanguageError, Term
from arm.analytics.portion import Column, Compute, Portion
from arm.analytics.routes import Routes
from arm.analytics.uri import PARTS, parts
from arm.analytics.values import Value, text_of
from arm.model import format_prefix, mask

_MOST_KNOWN: Final = 65536
"""Addresses of which a masked form is remembered."""
_LONGEST: Final = 1024
"""Characters that a function looks at."""


class Surroundings(Protocol):
    """What functions look up beyond the sample; each of them may change while definitions stand."""

    @property
    def routes(self) -> Routes: ...

    def group(self, name: str, address: bytes) -> str | None:
        """Which member of the group an address belongs to."""
        ...

    def host(self, key: Value, attribute: str) -> str | None:
        """An attribute of the host that has a MAC or IP address."""
        ...

    @property
    def country(self) -> Callable[[bytes], str | None] | None:
        """Country of an address; None without a database."""
        ...


Compile: TypeAlias = Callable[[Term], str]


class Functions:
    """The builders, by name."""

    def __init__(self, around: Surroundings, compile_term: Compile, field: str, text: str) -> None:
        """`compile_term` makes an argument's own term computable, and gives the name of its column."""
        self._around = around
        self._compile = compile_term
        self._field = field
        self._text = text

    def error(self, text: str, at: int) -> LanguageError:
        return LanguageError(text, self._field, at, self._text)

    def build(self, term: Term) -> Compute:
        """The function that a term with arguments names; LanguageError if there is none or an argument is wrong."""
        builder = _BUILDERS.get(term.name)
        if builder is None:
            raise self.error(f"there is no function {term.name}: known are {', '.join(sorted(_BUILDERS))}", term.at)
        return builder(self, term)

    # --- arguments ---------------------------------------------------------------------------------------------------

    def _arguments(self, term: Term, least: int, most: int, form: str) -> tuple[Argument, ...]:
        found = term.arguments or ()
        if not least <= len(found) <= most:
            raise self.error(f"{term.name} is written {form}", term.at)
        return found

    def _key(self, argument: Argument) -> str:
        if argument.term is not None:
            return self._compile(argument.term)
        return self._compile(Term(argument.text, argument.at))

    def _plain(self, argument: Argument) -> str:
        if argument.term is not None:
            raise self.error("plain text has to stand here, not a term in brackets", argument.at)
        return argument.text

    def _number(self, argument: Argument, low: int, high: int) -> int:
        text = self._plain(argument)
        if not (text.isascii() and text.isdigit() and len(text) <= 20) or not low <= int(text) <= high:
            raise self.error(f"a number from {low} to {high} has to stand here", argument.at)
        return int(text)

    # --- builders ----------------------------------------------------------------------------------------------------

    def mask(self, term: Term) -> Compute:
        arguments = self._arguments(term, 1, 2, "mask:key or mask:key:bits")
        key = self._key(arguments[0])
        if len(arguments) == 2:
            return _fixed_mask(key, self._number(arguments[1], 0, 128))
        routes = self._around.routes

        def routed(portion: Portion) -> Column:
            addresses = portion.column(key)
            if addresses is None:
                return None
            addresses = [each if _is_ip(each) else None for each in addresses]
            return [known.prefix for known in routes.of(portion, addresses)]

        return routed

    def _part(self, term: Term, *, head: bool) -> Compute:
        key_, delimiter_, count_ = self._arguments(term, 3, 3, f"{term.name}:key:delimiter:count")
        key, delimiter, count = self._key(key_), self._plain(delimiter_), self._number(count_, 1, 255)
        if not delimiter:
            raise self.error("a delimiter has to stand here", delimiter_.at)

        def part(value: Value) -> Value | None:
            text = text_of(value)[:_LONGEST]
            # a delimiter at the very beginning opens the first piece: the first piece of /a/b is /a
            lead = delimiter if text.startswith(delimiter) else ""
            pieces = text.removeprefix(delimiter).split(delimiter)
            if head:
                return lead + delimiter.join(pieces[:count])
            return delimiter.join(pieces[-count:])

        return _each(key, part)

    def prefix(self, term: Term) -> Compute:
        return self._part(term, head=True)

    def suffix(self, term: Term) -> Compute:
        return self._part(term, head=False)

    def range(self, term: Term) -> Compute:
        arguments = self._arguments(term, 2, 3, "range:key:low or range:key:low:high")
        key = self._key(arguments[0])
        low = self._number(arguments[1], 0, 2**64)
        high = self._number(arguments[2], low, 2**64) if len(arguments) == 3 else 2**64

        def inside(value: Value) -> Value | None:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
                value = int(value)
            if not isinstance(value, int):
                return None
            return "true" if low <= value <= high else "false"

        return _each(key, inside)

    def null(self, term: Term) -> Compute:
        key_, default_ = self._arguments(term, 2, 2, "null:key:default")
        key, default = self._key(key_), self._plain(default_)

        def known(portion: Portion) -> Column:
            values = portion.column(key)
            if values is None:
                return [default] * portion.size
            return [default if value is None else value for value in values]

        return known

    def or_(self, term: Term) -> Compute:
        keys = [self._key(argument) for argument in self._arguments(term, 1, 16, "or:key:key:...")]
        return lambda portion: _first(portion, keys)

    def eq(self, term: Term) -> Compute:
        one_, other_ = self._arguments(term, 2, 2, "eq:key:key")
        one, other = self._key(one_), self._key(other_)

        def equal(left: Value | None, right: Value | None) -> Value | None:
            if left is None or right is None:
                return None
            return "true" if left == right or text_of(left) == text_of(right) else "false"

        def compare(portion: Portion) -> Column:
            left, right = portion.column(one), portion.column(other)
            return None if left is None or right is None else list(map(equal, left, right))

        return compare

    def group(self, term: Term) -> Compute:
        key_, *names_ = self._arguments(term, 2, 16, "group:key:name:...")
        key, names, around = self._key(key_), [self._plain(name) for name in names_], self._around

        def member(address: Value) -> Value | None:
            if _is_ip(address):
                for name in names:
                    found = around.group(name, address)
                    if found is not None:
                        return found
            return None

        return _each(key, member)

    def country(self, term: Term) -> Compute:
        (key_,) = self._arguments(term, 1, 1, "country:key")
        key, country = self._key(key_), self._around.country
        if country is None:
            raise self.error("there is no database of countries: set [geo] country", term.at)
        return _each(key, lambda address: country(address) if _is_ip(address) else None)

    def oui(self, term: Term) -> Compute:
        (key_,) = self._arguments(term, 1, 1, "oui:key")

        def vendor(address: Value) -> Value | None:
            return address[:3].hex().upper() if isinstance(address, bytes) and len(address) == 6 else None

        return _each(self._key(key_), vendor)

    def host(self, term: Term) -> Compute:
        arguments = self._arguments(term, 1, 2, "host:key or host:key:attribute")
        key = self._key(arguments[0])
        attribute = self._plain(arguments[1]) if len(arguments) == 2 else "host_name"
        if attribute not in HOST_ATTRIBUTES:
            raise self.error(f"a host has only {', '.join(HOST_ATTRIBUTES)}", arguments[1].at)
        around = self._around
        return _each(key, lambda address: around.host(address, attribute))

    def uri(self, term: Term) -> Compute:
        key_, part_ = self._arguments(term, 2, 2, "uri:key:part")
        key, part = self._key(key_), self._plain(part_)
        if part not in PARTS:
            raise self.error(f"the parts of a uri are {', '.join(PARTS)}", part_.at)
        return _each(key, lambda value: parts(value[:_LONGEST]).get(part) if isinstance(value, str) else None)


def _is_ip(value: Value | None) -> TypeGuard[bytes]:
    """True if the value is an IPv4 or IPv6 address, and no MAC address."""
    return isinstance(value, bytes) and len(value) != 6


def _each(key: str, function: Callable[[Value], Value | None]) -> Compute:
    """The function of each value of a key."""

    def compute(portion: Portion) -> Column:
        values = portion.column(key)
        return None if values is None else [None if value is None else function(value) for value in values]

    return compute


def _fixed_mask(key: str, bits: int) -> Compute:
    known: dict[Value | None, str | None] = {None: None}

    def masked(address: Value) -> str | None:
        if len(known) > _MOST_KNOWN:
            known.clear()
            known[None] = None
        if not _is_ip(address):
            return None
        length = min(bits, len(address) * 8)
        found = known[address] = format_prefix((mask(address, length), length))
        return found

    def compute(portion: Portion) -> Column:
        values = portion.column(key)
        return None if values is None else [known[value] if value in known else masked(value) for value in values]

    return compute


def _first(portion: Portion, keys: Sequence[str]) -> Column:
    """Of each sample the first of the keys that it has; no key is looked at where an earlier one is there."""
    values = portion.column(keys[0])
    if len(keys) == 1:
        return values
    if values is None:
        return _first(portion, keys[1:])
    missing = [value is None for value in values]
    others = _first(portion.where(missing), keys[1:]) if any(missing) else None
    if others is None:
        return values
    rest = iter(others)
    return [next(rest) if value is None else value for value in values]


_BUILDERS: Final[dict[str, Callable[[Functions, Term], Compute]]] = {
    "mask": Functions.mask,
    "prefix": Functions.prefix,
    "suffix": Functions.suffix,
    "range": Functions.range,
    "null": Functions.null,
    "or": Functions.or_,
    "eq": Functions.eq,
    "group": Functions.group,
    "country": Functions.country,
    "oui": Functions.oui,
    "host": Functions.host,
    "uri": Functions.uri,
}
HOST_ATTRIBUTES: Final = ("host_name", "uuid", "machine_type", "os_name", "os_release")
