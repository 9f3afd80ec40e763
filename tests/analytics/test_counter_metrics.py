"""Counters as metrics: what the specifications' structures say becomes rates, through wraps and restarts."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from fed_analytics import Fed
from http_xdr import counter_sample, datagram, framed, hyper, string, uint
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics import queries
from arm.analytics.counters import COUNTER32, COUNTER64, STRUCTURES, rates

MOST32, MOST64 = 2**32 - 1, 2**64 - 1


def interface(octets: int, packets: int, *, index: int = 3, speed: int = 10**9, status: int = 3) -> bytes:
    data = uint(index) + uint(6) + hyper(speed) + uint(1) + uint(status)
    data += hyper(octets) + uint(packets) + uint(1) + uint(2) + uint(3) + uint(4) + uint(5)
    return framed(1, data + hyper(octets // 2) + b"".join(map(uint, (1, 6, 7, 8, 9, 0))))


def http(methods: dict[int, int], statuses: dict[int, int]) -> bytes:
    return framed(2201, b"".join(uint(methods.get(n, 0)) for n in range(9)) +
                  b"".join(uint(statuses.get(n, 0)) for n in range(6)))  # fmt: skip


def host_cpu(ticks: int) -> bytes:
    data = struct.pack(">fff", 0.5, 0.25, 0.125) + b"".join(map(uint, (2, 300, 4, 2400, 86400)))
    data += b"".join(map(uint, (ticks, 0, ticks, 2 * ticks, 0, 0, 0, 100 * ticks, 200 * ticks)))
    return framed(2003, data + uint(0) * 3)


def host_memory() -> bytes:
    return framed(2004, b"".join(map(hyper, (8000, 1000, 0, 500, 2500, 4000, 3000))) + uint(0) * 4)


def workers() -> bytes:
    return framed(2206, b"".join(map(uint, (25, 75, 200, 0, 0))))


def tables() -> bytes:
    return framed(4413 << 12 | 3, b"".join(map(uint, range(1, 37))))


def told(fed: Fed, records: list[bytes], *, sequence: int, source: int = 3) -> None:
    fed.feed([datagram([counter_sample(records, sequence=sequence, source=source)], sequence=sequence)])


def read(fed: Fed, names: str) -> list[Any]:
    return [answer.get("metricValue") for answer in queries.metric(fed.analytics, "ALL", names)]


def test_octets_and_packets_of_an_interface_become_rates() -> None:
    fed = Fed()
    told(fed, [interface(1_000_000, 1000)], sequence=1)
    assert read(fed, "ifinoctets,ifspeed,ifoperstatus") == [None, 10**9, "up"]
    fed.pass_(10)
    told(fed, [interface(126_000_000, 101_000)], sequence=2)
    assert read(fed, "ifinoctets,ifoutoctets,ifinucastpkts,ifinutilization") == [12.5e6, 6.25e6, 1e4, 10.0]


def test_a_counter_of_32_bits_that_wraps_is_a_rate_still() -> None:
    fed = Fed()
    told(fed, [interface(0, MOST32 - 999)], sequence=1)
    fed.pass_(10)
    told(fed, [interface(0, 1000)], sequence=2)
    assert read(fed, "ifinucastpkts") == [200.0]


@pytest.mark.parametrize(
    ("before", "after", "sequences"),
    [
        ((MOST64 - 5, 10), (5, 20), (1, 2)),  # 64 bits do not wrap: the agent has started anew
        ((10**9, 2_000_000_000), (10**9, 100), (1, 2)),  # nor does a counter that would have passed half of its range
        ((10**9, 100), (2 * 10**9, 200), (900, 1)),  # the numbers of the samples say so
    ],
)
def test_an_agent_that_started_anew_has_no_rate_until_the_next_sample(
    before: tuple[int, int], after: tuple[int, int], sequences: tuple[int, int]
) -> None:
    fed = Fed()
    told(fed, [interface(*before)], sequence=sequences[0])
    fed.pass_(10)
    told(fed, [interface(*after)], sequence=sequences[1])
    assert read(fed, "ifinoctets,ifinucastpkts,ifspeed") == [None, None, 10**9]
    fed.pass_(10)
    told(fed, [interface(after[0] + 1000, after[1] + 50)], sequence=sequences[1] + 1)
    assert read(fed, "ifinoctets,ifinucastpkts") == [100.0, 5.0]


def test_a_rate_of_before_the_restart_is_not_one_of_now() -> None:
    fed = Fed()
    for sequence in (1, 2):
        told(fed, [interface(1000 * sequence, sequence)], sequence=sequence)
        fed.pass_(10)
    assert read(fed, "ifinoctets") == [100.0]
    told(fed, [interface(5, 1)], sequence=3)
    assert read(fed, "ifinoctets") == [None]


def test_requests_of_a_pool_of_servers_are_summed_up() -> None:
    fed = Fed()
    for sequence in (1, 2):
        for source in (3 << 24 | 80, 3 << 24 | 81):
            told(fed, [http({1: 400 * sequence, 3: 100 * sequence}, {1: 450 * sequence, 4: 50 * sequence}), workers()],
                 sequence=sequence, source=source)  # fmt: skip
        fed.pass_(10)
    assert read(fed, "sum:http_method_get,sum:http_method_post") == [80.0, 20.0]
    assert read(fed, "sum:http_requests,avg:http_requests,sum:http_status_2xx,sum:http_status_5xx") == [100, 50, 90, 10]
    assert read(fed, "max:workers_active,workers_max,workers_utilization") == [25, 200, 12.5]


def test_host_and_hardware_tables_are_metrics() -> None:
    fed = Fed()
    for sequence in (1, 2):
        told(fed, [host_cpu(1000 * sequence), host_memory(), tables()], sequence=sequence, source=2 << 24 | 1)
        fed.pass_(10)
    assert read(fed, "load_one,cpu_num,cpu_utilization,cpu_idle,interrupts") == [0.5, 4, 50.0, 50.0, 10_000.0]
    assert read(fed, "mem_total,mem_used,mem_utilization") == [8000, 4000, 50.0]
    assert read(fed, "bcm_host_entries,bcm_host_entries_max,bcm_host_utilization") == [1, 2, 50.0]
    assert read(fed, "bcm_total_routes_entries,bcm_ipv4_neighbors,bcm_acl_egress_slices_entries_max") == [11, 17, 36]


def test_a_host_is_found_by_its_address_and_a_port_by_its_name() -> None:
    fed = Fed()
    description = string("web1") + bytes(16) + uint(3) + uint(2) + string("6.1.0")
    told(fed, [framed(2000, description), framed(1005, string("swp1"))], sequence=1)
    assert read(fed, "host_name,machine_type,os_name,os_release,ifname") == ["web1", "x86_64", "linux", "6.1.0", "swp1"]
    assert fed.analytics.host(bytes([10, 0, 0, 150]), "host_name") == "web1"


def test_what_is_not_heard_of_any_more_is_forgotten() -> None:
    fed = Fed()
    told(fed, [interface(1, 1)], sequence=1)
    fed.pass_(299)
    assert read(fed, "ifspeed") == [10**9]
    fed.pass_(2)
    assert read(fed, "ifspeed") == [None]
    assert queries.dump(fed.analytics, "ALL", "ALL") == []


@settings(max_examples=200)
@given(st.sampled_from(sorted(STRUCTURES)), st.integers(0, MOST64), st.integers(0, 10**6), st.floats(0.1, 600))
def test_a_rate_is_the_difference_over_the_time_modulo_the_width(
    kind: tuple[int, int], value: int, delta: int, seconds: float
) -> None:
    structure = STRUCTURES[kind]
    for name, width in structure.fields:
        if width not in (COUNTER32, COUNTER64):
            continue
        old = value % 2**32 if width == COUNTER32 else min(value, MOST64 - delta)
        new = (old + delta) % 2**32 if width == COUNTER32 else old + delta
        found = rates(structure, {name: old}, {name: new}, seconds)
        assert found is not None
        assert found[name] == pytest.approx(delta / seconds)
