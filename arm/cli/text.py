"""Numbers with units, and tables, as plain text. What is not known shows as a dash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

UNKNOWN = "-"
Number = int | float | None


def count(value: Number) -> str:
    """An integer with separators: 691,838."""
    return UNKNOWN if value is None else f"{round(value):,}"


def percent(share: Number, *, digits: int = 1) -> str:
    """A share of 1 as percent. Never shows 100 % for less than all."""
    if share is None:
        return UNKNOWN
    scaled = share * 100
    if share < 1 and round(scaled, digits) >= 100:
        scaled = 100 - 10**-digits
    return f"{scaled:.{digits}f} %"


def bits(bytes_per_second: Number) -> str:
    """A rate of bytes per second in bit/s: 94.1 Gbit/s."""
    if bytes_per_second is None:
        return UNKNOWN
    rate = bytes_per_second * 8
    for unit in ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"):
        # 999.95 would be rounded to four digits
        if rate < 999.95:
            return f"{rate:.0f} {unit}" if unit == "bit/s" else f"{rate:.1f} {unit}"
        rate /= 1000
    return f"{rate:.1f} Tbit/s"


def size(octets: Number) -> str:
    """Memory in MiB."""
    return UNKNOWN if octets is None else f"{octets / (1 << 20):,.0f} MiB"


def per_second(value: Number) -> str:
    """A rate of events: 4,980/s, or 0.3/s."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}/s" if value >= 10 or value == 0 else f"{value:.1f}/s"


def duration(seconds: Number) -> str:
    """The two largest units: 2 h 14 min."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


def moment(milliseconds: Number) -> str:
    """A time of day with its date, in UTC."""
    if milliseconds is None:
        return UNKNOWN
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def plain(value: object) -> str:
    """Text from the daemon, kept to one line and without control characters."""
    if value is None or value == "":
        return UNKNOWN
    return "".join(character if character.isprintable() else "?" for character in str(value))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Lines of aligned columns; `right` has an `r` for each column that is aligned to the right, in order."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = (
            cell.rjust(width) if right[index : index + 1] == "r" else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return lines
