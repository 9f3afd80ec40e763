"""What a value of the configuration may be.

A rule says in words what is right ("an integer from 1 to 65535") and turns a TOML value into the value that ARM uses.
The words end the sentence "70000 is not ...", and stand in the documentation, so that neither can be wrong alone.
`read` raises ValueError for what is not right, its text may add a detail, and raises nothing else whatever it is given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from arm.model import Prefix, format_address, format_prefix, mask, parse_address, parse_prefix

KEY = "key"
"""Where a dataclass field keeps its Key."""

AS_TRANS = 23456
"""Stands for a 4-octet AS number towards speakers of 2 octets (RFC 6793); nobody's own."""
RESERVED_AS = frozenset({0, AS_TRANS, 65535, 4294967295})
"""RFC 7607, RFC 6793, RFC 7300."""

KERNEL_PROTOCOLS = frozenset({*range(5), *range(8, 19), 42, 99, *range(186, 199)})
"""Route protocol numbers of rtnetlink.h and of FRR: their owners remove or replace routes that carry them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: the key path (empty for the file as a whole) and a sentence."""

    path: str
    text: str
    also: tuple[str, ...] = ()
    """The other keys that take part in it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be, in words and as a function from the TOML value to ARM's."""

    wants: str
    read: Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that is said of one key, once: for the loader, the documentation and the shipped file."""

    rule: Rule
    about: str
    unit: str = ""
    many: bool = False
    """The value is a list; the rule is for each element."""
    required: bool = False
    secret: bool = False
    """Never shown, neither in errors nor in logs."""
    targets: tuple[str, ...] = ()
    """The kinds of target that heed the key; empty: all of them."""
    without: str = ""
    """What holds without the key, where the bare default does not say it."""


T = TypeVar("T")


def key(
    default: T,
    rule: Rule,
    about: str,
    *,
    unit: str = "",
    many: bool = False,
    required: bool = False,
    secret: bool = False,
    targets: tuple[str, ...] = (),
    without: str = "",
) -> T:
    """A dataclass field that carries its Key; typed as its default, as `dataclasses.field` is."""
    entry = Key(rule, about, unit, many, required, secret, targets, without)
    made: Any = field(default=default, repr=not secret, metadata={KEY: entry})
    return cast(T, made)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def integer(low: int, high: int) -> Rule:
    """An integer between two bounds, both included."""

    def read(value: object) -> int:
        number = _integer(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Rule(f"an integer from {low} to {high}", read)


def number(low: float, high: float, *, below: bool = False) -> Rule:
    """A finite number between two bounds; `below` leaves the upper one out."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        # compared before it becomes a float: an integer can be too large to become one
        if not (low <= value < high if below else low <= value <= high) or not math.isfinite(value):
            raise ValueError
        return float(value)

    return Rule(f"a number from {low:.15g} to {'below ' if below else ''}{high:.15g}", read)


def flag() -> Rule:
    """A TOML boolean."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Rule("true or false", read)


def choice(*words: str) -> Rule:
    """One of several words."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError
        return _text(value)

    quoted = [f'"{word}"' for word in words]
    return Rule(f"{', '.join(quoted[:-1])} or {quoted[-1]}", read)


def optional(rule: Rule) -> Rule:
    """The same, or an empty string for none."""
    return Rule(f'{rule.wants}, or "" for none', lambda value: None if value == "" else rule.read(value))


def _packed(value: object) -> bytes:
    """An address; the error has no detail, since the rule says it all."""
    text = _text(value)
    try:
        return parse_address(text)
    except ValueError:
        raise ValueError from None


def _bind_address(value: object) -> str:
    packed = _packed(value)
    text = format_address(packed)
    if packed[0] == 0xFF or (len(packed) == 4 and packed[0] >= 224):
        raise ValueError("it is a multicast or reserved address")
    if text.startswith("::ffff:"):
        raise ValueError(f"write {text.removeprefix('::ffff:')}")
    return text


def _unicast(value: object) -> str:
    if not any(_packed(value)):
        raise ValueError("it stands for no address")
    return _bind_address(value)


def _peer(size: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        packed = _packed(value)
        if len(packed) != size:
            raise ValueError
        if size == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
            raise ValueError("it is link-local, which is only known together with an interface")
        return _unicast(value)

    return read


ADDRESS = Rule("an IPv4 or IPv6 address of one host", _unicast)
ADDRESS4 = Rule("an IPv4 address of one host", _peer(4))
ADDRESS6 = Rule("an IPv6 address of one host", _peer(16))
BIND_ADDRESS = Rule('an IPv4 or IPv6 address to listen on ("0.0.0.0" or "::" for all)', _bind_address)


def split_endpoint(text: str) -> tuple[str, int]:
    """Address and port of `address:port`, with an IPv6 address in brackets; ValueError if it is not that."""
    host, colon, tail = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or bracketed != (":" in host):
        raise ValueError("an IPv6 address stands in brackets")
    if not (tail.isascii() and tail.isdigit() and len(tail) <= 5 and 1 <= int(tail) <= 65535):
        raise ValueError("the port is an integer from 1 to 65535")
    return _bind_address(host[1:-1] if bracketed else host), int(tail)


def join_endpoint(host: str, port: int) -> str:
    """`address:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _endpoint(value: object) -> str:
    return join_endpoint(*split_endpoint(_text(value)))


ENDPOINT = Rule('an address and a port such as "127.0.0.1:8008" or "[::1]:8008"', _endpoint)


def _as_number(value: object) -> int:
    number = _integer(value)
    if number in RESERVED_AS:
        raise ValueError("it is reserved")
    if not 0 < number < 4294967295:
        raise ValueError
    return number


AS_NUMBER = Rule("an AS number from 1 to 4294967294", _as_number)


def _router_id(value: object) -> str:
    packed = _packed(value)
    if len(packed) != 4 or not any(packed):
        raise ValueError
    return format_address(packed)


ROUTER_ID = Rule('a BGP identifier such as "0.0.0.1" (four octets, not all zero)', _router_id)


def _prefix(value: object) -> Prefix:
    text = _text(value)
    address, _, tail = text.partition("/")
    packed = _packed(address)
    if tail.isascii() and tail.isdigit() and len(tail) <= 3 and int(tail) <= len(packed) * 8:
        network = mask(packed, int(tail))
        if network != packed:
            raise ValueError(f"bits are set behind the prefix length, was {format_prefix((network, int(tail)))} meant?")
    try:
        return parse_prefix(text)
    except ValueError:
        raise ValueError from None


PREFIX = Rule('a prefix such as "192.0.2.0/24" or "2001:db8::/32", or an address', _prefix)


def _password(value: object) -> str:
    text = _text(value)
    if not 1 <= len(text.encode()) <= 80 or not text.isprintable():
        raise ValueError
    return text


PASSWORD = Rule("a printable string of 1 to 80 octets (the limit of TCP MD5, RFC 2385, on Linux)", _password)


def _token(value: object) -> str:
    if not re.fullmatch(r"[!-~]{16,256}", _text(value)):
        raise ValueError
    return _text(value)


TOKEN = Rule("a string of 16 to 256 printable ASCII characters without blanks", _token)


def _path(value: object) -> str:
    text = _text(value)
    if not text.startswith("/") or not text.isprintable():
        raise ValueError
    return text


PATH = Rule('an absolute path such as "/var/lib/arm"', _path)


def _interface(value: object) -> str:
    text = _text(value)
    # IFNAMSIZ is 16 with the closing zero
    if not re.fullmatch(r"[!-.0-~]{1,15}", text) or text in (".", ".."):
        raise ValueError
    return text


INTERFACE = Rule('an interface name of 1 to 15 characters such as "swp1"', _interface)


def _protocol(value: object) -> int:
    number = _integer(value)
    if number in KERNEL_PROTOCOLS:
        raise ValueError("it belongs to the kernel or to another routing program, which would remove ARM's routes")
    if not 0 < number <= 255:
        raise ValueError
    return number


PROTOCOL = Rule("a route protocol number from 5 to 255 that no other program uses", _protocol)


def _table(value: object) -> int:
    number = _integer(value)
    if number == 255:
        raise ValueError("255 is the kernel's table of local addresses")
    if not 0 < number <= 4294967295:
        raise ValueError
    return number


TABLE = Rule("a routing table number from 1 to 4294967295, except 255", _table)


def _host_name(value: object) -> str:
    text = _text(value).lower()
    if not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", text) or len(text) > 253:
        raise ValueError
    return text


HOST_NAME = Rule('a host name such as "switch1.example.net"', _host_name)
