"""NOTIFICATION messages for people: names of the codes, and the words an administrator left (RFC 9003)."""

from __future__ import annotations

from typing import Final

from exabgp.bgp.message.notification import Notification

CEASE: Final = 6
ADMINISTRATIVE_SHUTDOWN: Final = 2
ADMINISTRATIVE_RESET: Final = 4

_WITH_WORDS: Final = ((CEASE, ADMINISTRATIVE_SHUTDOWN), (CEASE, ADMINISTRATIVE_RESET))
_SEND_HOLD: Final = 8  # RFC 9687, younger than the package's names


class NotificationError(Exception):
    """The peer ended the session with this NOTIFICATION; none is sent back (RFC 4271 section 6.4)."""

    def __init__(self, body: bytes) -> None:
        super().__init__(describe_notification(body))
        self.code = body[0] if body else 0
        self.subcode = body[1] if len(body) > 1 else 0


def describe_notification(body: bytes) -> str:
    """One line for a NOTIFICATION body: code/subcode, their names, and the shutdown communication if there is one."""
    if len(body) < 2:
        return "notification too short"
    code, subcode, data = body[0], body[1], body[2:]
    name = "Send hold timer expired" if code == _SEND_HOLD else Notification._str_code.get(code, "unknown error")
    detail = Notification._str_subcode.get((code, subcode), "")
    text = f"{code}/{subcode} {name}{': ' + detail if detail else ''}"
    if (code, subcode) in _WITH_WORDS and data:
        words = data[1 : 1 + data[0]].decode("utf-8", "replace")
        # The peer's words end up in logs and on pages: one line, nothing that moves a cursor.
        words = "".join(character if character.isprintable() else " " for character in words).strip()
        if words:
            text += f' ("{words}")'
    elif data:
        text += f" (data {data[:32].hex()})"
    return text


def shutdown_communication(words: str) -> bytes:
    """Data field of an administrative shutdown or reset: at most 255 octets of UTF-8, cut between characters."""
    encoded = words.encode("utf-8")[:255].decode("utf-8", "ignore").encode("utf-8")
    return bytes((len(encoded),)) + encoded
