"""Which addresses are this machine's: what decides whose counters are the switch's own."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from arm.daemon.sockets import is_local


def test_the_address_that_this_machine_would_send_from_is_its_own() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
        assert is_local(socket.inet_aton(sock.getsockname()[0]))


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "192.0.2.1", "224.0.0.1", "255.255.255.255", "127.0.0.77", "::", "ff02::1", "2001:db8::1", "fe80::1"],
)
def test_an_address_elsewhere_or_one_that_stands_for_many_is_not(address: str) -> None:
    assert not is_local(ipaddress.ip_address(address).packed)


def test_a_device_that_there_is_not_is_no_error() -> None:
    assert not is_local(socket.inet_aton("192.0.2.1"), "vrf-nowhere")
    assert is_local(socket.inet_aton("127.0.0.1"), "vrf-nowhere")
