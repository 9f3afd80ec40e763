"""How long the routes of a session outlive it: a function of how it ended and of what the peer said (decision 073).

A table is never emptied for a moment only because a session was reset, and no route outlives its session for ever.

    the session ended by                     the peer's graceful restart (RFC 4724)     routes stay for
    ---------------------------------------  -----------------------------------------  ------------------------------
    silence: TCP gone, hold timer, a new     lists the family                           the peer's restart time
      connection of a peer that restarted    lists others, not this family              0: it goes at once
                                             lists nothing, or was not negotiated       the hold time
    NOTIFICATION of either side, a bug       lists others, not this family              0: it goes at once
                                             anything else                              the hold time
    Cease, hard reset (6/9, RFC 8538)        whatever it says                           0: everything goes at once

When the session is back, what the old one taught goes at once if the new one does not carry the family; if the peer
says that it has restarted (R bit) and has not kept the family's forwarding state (no F bit, or not listed); otherwise
with End-of-RIB. Pure.
"""

from __future__ import annotations

import enum
from typing import Final

from arm.bgp.peer import Agreement, PeerOpen
from arm.model import FAMILIES, Family

_HOLD: Final = 90.0
"""Seconds in place of a hold time of 0 (never): RFC 4271's suggestion."""


class Loss(enum.Enum):
    """How a session ended."""

    SILENT = "silent"
    """Without a NOTIFICATION that the peer could have read or sent: it may be restarting."""
    NOTIFIED = "notified"
    """By a NOTIFICATION of either side."""
    HARD = "hard"
    """The peer wants its routes forgotten (RFC 8538 section 3)."""


def kept(agreement: Agreement, loss: Loss) -> tuple[float, frozenset[Family]]:
    """Seconds that the routes of a session stay after its end, and the families whose routes go at once instead."""
    families = agreement.families
    if loss is Loss.HARD:
        return 0.0, families
    listed = families & agreement.peer.restart_families if agreement.graceful else frozenset[Family]()
    lost = families - listed if listed else frozenset[Family]()
    if listed and loss is Loss.SILENT and agreement.peer.restart_time:
        return float(agreement.peer.restart_time), lost
    # A peer that falls silent is believed for the hold time, too, before anybody notices.
    return float(agreement.hold_time or _HOLD), lost


def forgotten(opened: PeerOpen) -> frozenset[Family]:
    """Families of which the peer says, as it comes back, that it has restarted and lost what it forwarded by."""
    # Without the R bit a missing F bit says nothing: BIRD sets both or none, so none after a mere reset of the session.
    return frozenset(FAMILIES) - opened.preserved if opened.restarting else frozenset()
