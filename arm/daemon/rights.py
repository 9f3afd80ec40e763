"""Rights that the daemon gives up once it does not need them any more (capabilities(7)).

The service starts with CAP_NET_ADMIN and nothing else: it is what a large receive buffer takes. With the kernel target
it stays, since routes are written for as long as the daemon lives; with any other target it goes before the first
thread starts, so that no thread has it. Whoever starts the daemon by hand as root keeps root's rights.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
from typing import Final

log = logging.getLogger(__name__)

_VERSION_3: Final = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set."""
_HEADER: Final = struct.Struct("=Ii")
_SETS: Final = struct.Struct("=6I")


def give_up(kind: str) -> bool:
    """Keep only what a target of this kind needs. True if something was given up. Call it while there is one thread."""
    if kind == "kernel" or os.geteuid() == 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(_HEADER.pack(_VERSION_3, 0))
    sets = ctypes.create_string_buffer(_SETS.size)
    if libc.capget(header, sets):
        log.warning("rights not read error=%s", os.strerror(ctypes.get_errno()))
        return False
    if not any(_SETS.unpack_from(sets)):
        return False
    # out of the permitted set it leaves the ambient one by itself
    if libc.capset(header, ctypes.create_string_buffer(_SETS.size)):
        log.warning("rights not given up error=%s", os.strerror(ctypes.get_errno()))
        return False
    log.info("rights given up capabilities=all target=%s", kind)
    return True
