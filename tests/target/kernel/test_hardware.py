"""What the hardware says, in the formats of the vendors.

None of these answers was taken from a switch with an ASIC: they are written after the documents (Cumulus Linux user
guides, the kernel's devlink documents, the sFlow structure), with other numbers.
"""

import contextlib
import itertools
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm.model import Family, parse_address
from arm.observe.switch import SwitchCounters
from arm.sflow.records import Datagram, decode
from arm.target.kernel import hardware
from arm.target.kernel.capacity import Reading
from arm.target.kernel.hardware import (
    AgentReader,
    DevlinkReader,
    ResourceQueryReader,
    SwitchdReader,
    find_reader,
    parse_devlink,
    parse_resource_query,
)

BROADCOM_TEXT = """\
IPv4/IPv6 host entries:                 3,   0% of maximum value  40960
IPv4 neighbors:                         2
IPv6 neighbors:                         1
IPv4 route entries:                  7303,  11% of maximum value  65536
IPv6 route entries:                    18,   0% of maximum value   8192
IPv4 Routes:                         7303
IPv6 Routes:                           18
Total Routes:                        7321,  11% of maximum value  65536
ECMP nexthops:                          0,   0% of maximum value  16327
"""
SPECTRUM_TEXT = """\
IPv4 host entries:                      3,   0% of maximum value  41360
IPv4 route entries:                    40,   0% of maximum value  82720
IPv6 route entries:                    14
Total Routes:                          54
"""
DEVLINK = {
    "resources": {
        "netdevsim/netdevsim10": [
            {
                "name": "IPv4",
                "size": "unlimited",
                "unit": "entry",
                "resources": [
                    {"name": "fib", "size": 7300, "occ": 120, "unit": "entry", "size_gran": 1},
                    {"name": "fib-rules", "size": "unlimited", "occ": 3, "unit": "entry"},
                ],
            },
            {"name": "IPv6", "size": "unlimited", "resources": [{"name": "fib", "size": "unlimited", "occ": 9}]},
        ]
    }
}


def switchd(directory, mode, first, second):
    for name, (count, most) in (("0", first), ("1", second)):
        (directory / f"count_{name}").write_text(f"{count}\n")
        (directory / f"max_{name}").write_text(f"{most}\n")
    (directory / "mode").write_text(f"{mode}\n")
    return SwitchdReader(directory)


def test_switchd_in_mode_2_has_a_table_for_each_family(tmp_path):
    readings = switchd(tmp_path, 2, (120, 82720), (14, 74000)).read()
    assert readings[Family.IPV4] == Reading(120, 82720, "switchd")
    assert readings[Family.IPV6] == Reading(14, 74000, "switchd")


def test_switchd_in_mode_1_shares_a_table_in_which_ipv6_costs_two(tmp_path):
    readings = switchd(tmp_path, 1, (120, 131072), (0, 20480)).read()
    assert readings[Family.IPV4] == Reading(120, 131072, "switchd")
    assert readings[Family.IPV6] == Reading(120, 131072, "switchd", cost=2)


def test_a_switchd_that_says_something_else_is_an_error_not_a_number(tmp_path):
    with pytest.raises(ValueError, match="mode 7"):
        switchd(tmp_path, 7, (0, 1), (0, 1)).read()
    with pytest.raises(FileNotFoundError):
        SwitchdReader(tmp_path / "nothing").read()
    (tmp_path / "max_0").write_text("many")
    with pytest.raises(ValueError, match="many"):
        SwitchdReader(tmp_path).read()


def test_cl_resource_query_of_a_broadcom_switch():
    readings = ResourceQueryReader(lambda command: BROADCOM_TEXT).read()
    assert readings[Family.IPV4] == Reading(7321, 65536, "cl-resource-query")  # the total leaves less room
    assert readings[Family.IPV6] == Reading(18, 8192, "cl-resource-query")


def test_a_line_without_a_maximum_says_nothing_about_room():
    readings = parse_resource_query(SPECTRUM_TEXT)
    assert readings == {Family.IPV4: Reading(40, 82720, "cl-resource-query")}


def test_a_total_that_is_nearly_full_counts_for_both_families():
    readings = parse_resource_query(
        BROADCOM_TEXT.replace("7321,  11% of maximum value  65536", "7321,  99% of maximum value  7400")
    )
    assert {reading.maximum for reading in readings.values()} == {7400}


def test_devlink_tells_of_a_limited_fib_and_not_of_an_unlimited_one():
    assert parse_devlink(json.dumps(DEVLINK)) == {Family.IPV4: Reading(120, 7300, "devlink")}


def test_devlink_is_asked_for_every_device():
    asked = []

    def ask(command):
        asked.append(command[-1])
        return json.dumps({"dev": {"netdevsim/netdevsim10": {}}} if command[2] == "dev" else DEVLINK)

    assert DevlinkReader(ask).read()[Family.IPV4].maximum == 7300
    assert asked == ["show", "netdevsim/netdevsim10"]


def datagram(agent: str, tables: list[int]) -> Datagram:
    """An sFlow datagram with a counter sample that holds the hardware tables record, from octets."""
    record = struct.pack(">II", 4413 << 12 | 3, 4 * len(tables)) + struct.pack(f">{len(tables)}I", *tables)
    sample = struct.pack(">III", 7, 2 << 24 | 1, 1) + record
    head = struct.pack(">II", 5, 1) + parse_address(agent) + struct.pack(">IIII", 0, 1, 1000, 1)
    return decode(head + struct.pack(">II", 2, len(sample)) + sample)


DIVIDED = [5, 40960, 7300, 65536, 18, 8192, 0, 0, 2, 1024, 7318, 65536] + [0] * 28
SHARED = [5, 40960, 0, 0, 0, 0, 7318, 131072, 0, 0, 7318, 131072] + [0] * 28
UNKNOWN = [0xFFFFFFFF] * 40


@pytest.mark.parametrize(
    ("tables", "readings"),
    [
        (DIVIDED, {Family.IPV4: Reading(7300, 65536, "sflow"), Family.IPV6: Reading(18, 8192, "sflow")}),
        (SHARED, {Family.IPV4: Reading(7318, 131072, "sflow"), Family.IPV6: Reading(7318, 131072, "sflow", cost=2)}),
        (UNKNOWN, {}),
    ],
    ids=["divided", "shared", "unknown"],
)
def test_the_agents_table_counters_become_readings_and_are_read_once(tables, readings):
    at = itertools.count(1)
    counters = SwitchCounters(lambda: next(at))
    reader = AgentReader(counters.reports)
    assert reader.read() == {}
    counters.receive(datagram("192.0.2.1", tables))
    assert reader.read() == readings
    assert reader.read() == {}
    counters.receive(datagram("192.0.2.1", tables))
    assert reader.read() == readings


def test_of_several_agents_the_configured_one_counts_and_without_one_none_does():
    counters = SwitchCounters()
    counters.receive(datagram("192.0.2.1", DIVIDED))
    counters.receive(datagram("192.0.2.2", SHARED))
    assert AgentReader(counters.reports, "192.0.2.2").read()[Family.IPV6].maximum == 131072
    with pytest.raises(ValueError, match=r"\(192\.0\.2\.1, 192\.0\.2\.2\)"):
        AgentReader(counters.reports).read()


def test_of_several_agents_the_one_with_an_address_of_this_machine_counts():
    counters = SwitchCounters()
    counters.is_own = lambda address: address[3] == 2
    for agent, tables in (("192.0.2.1", DIVIDED), ("192.0.2.2", SHARED), ("192.0.2.3", DIVIDED)):
        counters.receive(datagram(agent, tables))
    assert AgentReader(counters.reports).read()[Family.IPV6].maximum == 131072


def test_the_agent_is_listened_to_where_the_machine_says_nothing_itself(monkeypatch, tmp_path):
    agents = AgentReader(lambda: ())
    monkeypatch.setattr(hardware, "SWITCHD_ROUTES", tmp_path)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    assert find_reader(agents) is agents
    (tmp_path / "max_0").touch()
    assert isinstance(find_reader(agents), SwitchdReader)


KEYS = ["dev", "resources", "name", "size", "occ", "IPv4", "netdevsim/netdevsim10"]
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**30)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=20,
)


@given(anything)
def test_any_json_of_devlink_is_used_or_refused_as_a_value(found):
    for ask in (
        lambda _: json.dumps(found),
        lambda words: '{"dev": {"a": 1}}' if "dev" in words else json.dumps(found),
    ):
        with contextlib.suppress(ValueError):
            for one in DevlinkReader(ask).read().values():
                assert 0 <= one.used <= 2**32
                assert 0 <= one.maximum <= 2**32


def test_a_devlink_that_prints_a_list_is_an_error_and_not_a_bug():
    for answer in ("[]", '{"dev": []}', '{"dev": [1]}', "[" * 100_000, "7"):
        with pytest.raises(ValueError, match=r"devlink|Expecting"):
            DevlinkReader(lambda _, answer=answer: answer).read()


def test_resources_nested_without_end_say_nothing_of_room():
    deep = json.dumps({"name": "IPv4", "resources": [{"name": "fib", "size": 1, "occ": 0}]})
    text = '{"resources": {"a": ' + '[{"resources": ' * 200 + f"[{deep}]" + "}]" * 200 + "}}"
    assert parse_devlink(text) == {}


@given(
    st.binary(max_size=30) | st.integers().map(lambda n: str(n).encode()), st.sampled_from(["mode", "count_0", "max_0"])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_contents_of_a_file_of_switchd_are_used_or_refused_as_a_value(tmp_path, content, name):
    reader = switchd(tmp_path, 2, (10, 1000), (1, 100))
    (tmp_path / name).write_bytes(content)
    with contextlib.suppress(OSError, ValueError):
        for one in reader.read().values():
            assert 0 <= one.used <= 2**32
            assert 0 <= one.maximum <= 2**32


@given(st.text() | st.integers(10**9, 10**40).map(lambda n: f"IPv4 route entries: 7, 0% of maximum value {n}"))
def test_any_answer_of_cl_resource_query_is_used_or_refused_as_a_value(text):
    with contextlib.suppress(ValueError):
        for one in parse_resource_query(text).values():
            assert 0 <= one.used <= 2**32
            assert 0 <= one.maximum <= 2**32
