"""What a flow key or a metric holds, and its text.

Addresses stay packed and numbers stay numbers until somebody looks: a sample is counted by them, at thousands a
second, and shown seldom. The text is what sFlow-RT's users know: dotted addresses, MAC addresses as twelve upper case
digits, everything else as it is.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, TypeAlias

Value: TypeAlias = int | str | bytes
"""bytes: a packed IPv4 (4), IPv6 (16) or MAC (6 octets) address."""

Source: TypeAlias = tuple[bytes, int]
"""Who measured: packed agent address, and the sFlow data source as source type << 32 | index."""

Key: TypeAlias = tuple[Any, ...]
"""A flow: the Source first, then the values of the definition's keys, none of them None."""


def text_of(value: Value) -> str:
    """Text of a flow key."""
    if isinstance(value, bytes):
        if len(value) == 4:
            return socket.inet_ntop(socket.AF_INET, value)
        if len(value) == 16:
            return socket.inet_ntop(socket.AF_INET6, value)
        return value.hex().upper()
    return value if isinstance(value, str) else str(value)


def forms_of(text: str) -> frozenset[Value]:
    """Every value whose text is `text`, or another way to write it; what a filter compares with."""
    forms: set[Value] = {text}
    if text.isascii() and text.isdigit() and str(int(text[:20])) == text:
        forms.add(int(text))
    with contextlib.suppress(OSError, UnicodeError, ValueError):
        forms.add(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))
    digits = text.replace(":", "").replace("-", "")
    if len(digits) == 12 and len(text) in (12, 17):
        with contextlib.suppress(ValueError):
            forms.add(bytes.fromhex(digits))
    return frozenset(forms)


def source_text(index: int) -> str:
    """Text of a data source: the ifIndex of an interface, `type.index` for the other types."""
    kind = index >> 32
    return f"{kind}.{index & 0xFFFFFFFF}" if kind else str(index)
