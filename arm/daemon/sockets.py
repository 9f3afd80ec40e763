"""The daemon's sockets: inherited ones (systemd's socket activation) by name, or opened here as configured.

Inherited sockets are how the page can be reached from another network namespace than the one ARM runs in, and how a
port below 1024 needs no rights. Names: `http`, `sflow`, `bgp`; a kind that is inherited is not opened.

A socket in a VRF is one that is bound to the VRF's device before it gets its address. That is what `ip vrf exec` does
from outside, which takes rights that ARM has no other use for.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from typing import Final

from arm.bgp import tcp
from arm.config import Config
from arm.observe.notify import inherited_sockets
from arm.sflow.listener import open_socket

_LOOPBACKS: Final = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound, and listening where they are TCP."""

    http: tuple[socket.socket, ...]
    sflow: socket.socket
    bgp: tuple[socket.socket, ...]

    def close(self) -> None:
        """Close those that nobody else closes."""
        for sock in (*self.http, self.sflow):
            sock.close()


def open_all(config: Config, vrf: str | None = None) -> Sockets:
    """Inherit or open, in `vrf`, what the configuration asks for; OSError says which address is the trouble."""
    inherited: dict[str, list[socket.socket]] = {}
    for one in inherited_sockets():
        inherited.setdefault(one.name, []).append(one.sock)
    unknown = set(inherited) - {"http", "sflow", "bgp"}
    if unknown:
        raise OSError(f"inherited sockets of unknown name: {', '.join(sorted(unknown))} (known: http, sflow, bgp)")
    http = inherited.get("http") or [_listen(config.http.listen, "http.listen", vrf)]
    if config.http.socket is not None:
        http.append(_unix(config.http.socket))
    sflow = inherited.get("sflow") or [_sflow(config, vrf)]
    bgp = inherited.get("bgp") or [_bgp(address, config.bgp.port, vrf) for address in config.bgp.listen]
    return Sockets(tuple(http), sflow[0], tuple(bgp))


def _sflow(config: Config, vrf: str | None) -> socket.socket:
    try:
        return open_socket(config.sflow.listen, config.sflow.receive_buffer, device=vrf)
    except OSError as error:
        raise _explained(error, "sflow.listen", config.sflow.listen) from error


def _bgp(address: str, port: int, vrf: str | None) -> socket.socket:
    try:
        return tcp.listen(address, port, device=vrf)
    except OSError as error:
        raise _explained(error, "bgp.listen", f"{address} port {port}") from error


def _listen(endpoint: str, key: str, vrf: str | None) -> socket.socket:
    host, _, port = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        sock = tcp.listen(host, int(port), device=vrf)
    except OSError as error:
        raise _explained(error, key, endpoint) from error
    return sock


def _unix(path: str) -> socket.socket:
    """A Unix socket for owner and group. What a run that ended badly left there is taken away, but nothing else."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode) and sock.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
    except FileNotFoundError:
        pass
    sock.close()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody else may get in between its making and the change of its mode.
    mask = os.umask(0o117)
    try:
        sock.bind(path)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise _explained(error, "http.socket", path) from error
    finally:
        os.umask(mask)
    return sock


def _explained(error: OSError, key: str, where: str) -> OSError:
    return type(error)(error.errno, f"cannot listen on {where} ({key}): {error.strerror}")


def is_local(address: bytes, vrf: str | None = None) -> bool:
    """True if a packed address is one of this machine's, in `vrf` or outside of any: a socket can be bound to it."""
    ip = ipaddress.ip_address(address)
    if ip.is_unspecified or ip.is_multicast or address == b"\xff" * 4:
        return False  # these can be bound to as well, and so can all of 127.0.0.0/8
    if ip.is_loopback and ip not in _LOOPBACKS:
        return False
    for device in {None, vrf}:
        try:
            with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                if device is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
                sock.bind((str(ip), 0))
        except OSError:
            continue
        return True
    return False
