"""What the kernel says of its routes: a netlink socket that hears of every change, and counts or names them."""

from __future__ import annotations

import socket
import struct
import threading
import time

from arm.model import Prefix

_RTM_NEWROUTE = 24
_RTM_DELROUTE = 25
_GROUPS = 0x40 | 0x400
"""RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE."""
_RTA_DST = 1
_MAIN = 254
_SO_RCVBUFFORCE = 33
_HEADER = struct.Struct("=IHHII").unpack_from
_ATTRIBUTE = struct.Struct("=HH").unpack_from


class RouteMonitor:
    """Listens on a thread of its own from the start. Times are those of the wall clock."""

    def __init__(self) -> None:
        self.added: dict[Prefix, float] = {}
        """When each route was first put in."""
        self.present: set[Prefix] = set()
        self.last = 0.0
        """When the last route was put in."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 256 << 20)
        self._socket.bind((0, _GROUPS))
        threading.Thread(target=self._run, name="monitor", daemon=True).start()

    def _run(self) -> None:
        while True:
            data = self._socket.recv(1 << 20)
            now = time.time()
            position = 0
            while position + 16 <= len(data):
                length, kind, _, _, _ = _HEADER(data, position)
                if kind in (_RTM_NEWROUTE, _RTM_DELROUTE):
                    self._route(data, position + 16, position + length, kind, now)
                position += (length + 3) & ~3

    def _route(self, data: bytes, position: int, end: int, kind: int, now: float) -> None:
        family, bits, table = data[position], data[position + 1], data[position + 4]
        if table != _MAIN:
            return
        packed = bytes(4 if family == socket.AF_INET else 16)
        position += 12
        while position + 4 <= end:
            length, name = _ATTRIBUTE(data, position)
            if name == _RTA_DST:
                packed = data[position + 4 : position + length]
                break
            position += (length + 3) & ~3
        if packed[0] in (0xFE, 0xFF):  # link-local and multicast: the kernel's own
            return
        prefix = packed, bits
        if kind == _RTM_NEWROUTE:
            self.added.setdefault(prefix, now)
            self.present.add(prefix)
            self.last = now
        else:
            self.present.discard(prefix)
