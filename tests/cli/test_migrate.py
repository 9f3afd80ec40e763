"""`arm migrate` makes of sFlow-RT's settings a configuration that does the same."""

from __future__ import annotations

import io
import tomllib

import pytest

from arm.cli import Exit, main
from arm.cli.migrate import migrate, read_properties
from arm.config import parse

SEED = """
# the two sessions of the seed set-up
bgp.start=yes
arm.reflector.ip=127.0.0.1
arm.reflector.ip6=::1
arm.reflector.as=65136
arm.reflector.id=0.0.0.1
arm.sflow.ip=10.0.0.136
arm.sflow.t: 5
arm.target.ip=10.0.0.136
arm.target.as=65136
arm.target.id=0.0.0.2
arm.target.prefixes=10000
arm.target.minPrefix=8
http.port=8080
"""


def test_the_seed_set_up_becomes_the_configuration_of_the_seed_set_up() -> None:
    config = parse(migrate(read_properties(SEED)).text.encode(), source="migrated")
    assert config.sflow.ip == "10.0.0.136"
    assert config.sflow.t == 5
    assert config.bgp.listen == ("127.0.0.1", "::1", "10.0.0.136")
    assert (config.reflector.ip, config.reflector.ip6, config.reflector.as_) == ("127.0.0.1", "::1", 65136)
    assert (config.target.kind, config.target.ip, config.target.id) == ("bird", "10.0.0.136", "0.0.0.2")
    assert config.target.prefixes == 10000
    assert config.selection.min_prefix_length == 8
    assert config.http.listen == "127.0.0.1:8080"


def test_what_sflow_rt_assumed_is_written_out() -> None:
    document = tomllib.loads(migrate({}).text)
    assert document["target"] == {"kind": "passive", "prefixes": 20000, "prefixes6": 20000}
    assert document["reflector"] == {"ip": "127.0.0.1", "as": 65000}


def test_a_command_line_is_read_as_well() -> None:
    text = "RTPROP=\"-Darm.reflector.as=65136 -Darm.target.ip='10.0.0.136' -Dbgp.start=yes\""
    assert read_properties(text) == {
        "arm.reflector.as": "65136",
        "arm.target.ip": "10.0.0.136",
        "bgp.start": "yes",
    }


def test_what_has_no_counterpart_is_told() -> None:
    remarks = " ".join(migrate({"arm.target.period": "24h", "arm.something": "1", "other.app": "x"}).remarks)
    assert "arm.target.period has no counterpart" in remarks
    assert "arm.something is not known" in remarks
    assert "other.app" not in remarks


def test_settings_that_make_no_configuration_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("arm.reflector.as=many\n"))
    assert main(["migrate"]) == Exit.CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert "reflector.as" in err
