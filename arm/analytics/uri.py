"""The parts of a URI (RFC 3986), for the function `uri:`. Every text has an answer, and none takes long."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

PARTS: Final = (
    *("normalized", "scheme", "user", "authority", "host", "port", "path", "file", "extension", "query", "fragment"),
    *("isabsolute", "isopaque"),
)

_URI: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
"""RFC 3986 appendix B: every text is of this form, and there is one way to read it."""
_UNRESERVED: Final = "-._~!$&'()*+,;=:@/%"


@lru_cache(maxsize=4096)
def parts(text: str) -> dict[str, str]:
    """The parts (PARTS) that a URI has (RFC 3986)."""
    match = _URI.fullmatch(text)
    assert match is not None, "the expression fits every text"
    scheme, slashes, path, query, fragment = match.groups()
    opaque = scheme is not None and slashes is None and not path.startswith("/")
    found = {"isabsolute": str(scheme is not None).lower(), "isopaque": str(opaque).lower()}
    if scheme is not None:
        found["scheme"] = scheme
    if slashes is not None:
        _authority(slashes[2:], found)
    if not opaque:
        found["path"] = path
        name = path.rpartition("/")[2]
        if name:
            found["file"] = name
            stem, dot, extension = name.rpartition(".")
            if stem and dot and extension:
                found["extension"] = extension
    if query is not None:
        found["query"] = query[1:]
    if fragment is not None:
        found["fragment"] = fragment[1:]
    head = f"{scheme.lower()}:" if scheme is not None else ""
    around = slashes.lower() if slashes is not None else ""
    found["normalized"] = head + around + _normal_path(path) + (query or "") + (fragment or "")
    return found


def _authority(text: str, found: dict[str, str]) -> None:
    found["authority"] = text
    user, at, rest = text.rpartition("@")
    if at:
        found["user"] = user
    host, colon, port = rest.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        found["port"] = port
    elif not colon or rest.endswith("]"):
        host = rest
    if host:
        found["host"] = host


def _normal_path(path: str) -> str:
    """Dots resolved (RFC 3986, 5.2.4) and percent-encoding written one way."""
    kept: list[str] = []
    pieces = quote(unquote(path, errors="surrogateescape"), safe=_UNRESERVED, errors="surrogateescape").split("/")
    for number, piece in enumerate(pieces):
        if piece == "..":
            if len(kept) > 1 or (kept and kept[0] not in ("", "..")):
                kept.pop()
        elif piece != ".":
            kept.append(piece)
        if piece in (".", "..") and number == len(pieces) - 1:
            kept.append("")
    return "/".join(kept)
