"""Settings from the environment: every key has a variable, it wins over the file, and errors name it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.config import Config, ConfigError, load, parse
from arm.config.document import literal
from arm.config.environment import variable
from arm.config.load import keys, sections
from arm.model import format_prefix

BASE = b'[reflector]\nip = "127.0.0.1"\nas = 65136\n[target]\nkind = "passive"\nprefixes = 5\n'


def with_environment(raw: bytes = BASE, **environ: str) -> Config:
    return parse(raw, source="arm.toml", environ=environ)


def errors(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        with_environment(**environ)
    return str(raised.value).splitlines()


def test_a_variable_wins_over_the_file_and_the_rest_stays() -> None:
    config = with_environment(ARM_TARGET__PREFIXES="20000", ARM_LOG__LEVEL="debug", PATH="/bin", ARM_OTHER="x")
    assert (config.target.prefixes, config.log.level, config.target.kind) == (20000, "debug", "passive")


def test_texts_numbers_flags_and_lists_are_written_plainly() -> None:
    config = with_environment(
        ARM_REFLECTOR__IP="10.0.0.1",
        ARM_REFLECTOR__PASSWORD="12345678",
        ARM_REFLECTOR__ADD_PATH="true",
        ARM_SFLOW__T="2.5",
        ARM_BGP__LISTEN="127.0.0.1, ::1",
        ARM_HTTP__HOSTS='["a.example", "b.example"]',
        ARM_SELECTION__NEVER="",
        ARM_STATE__DIRECTORY="",
    )
    assert config.reflector.ip == "10.0.0.1"
    assert config.reflector.password == "12345678"
    assert config.reflector.add_path is True
    assert config.sflow.t == 2.5
    assert config.bgp.listen == ("127.0.0.1", "::1")
    assert config.http.hosts == ("a.example", "b.example")
    assert (config.selection.never, config.state.directory) == ((), None)


def test_what_the_file_lacks_can_come_from_the_environment_alone() -> None:
    environ = {"ARM_REFLECTOR__IP": "127.0.0.1", "ARM_REFLECTOR__AS": "65136", "ARM_TARGET__KIND": "passive"}
    assert with_environment(b"", **environ).target.as_ == 65136


def test_errors_name_the_variable_and_what_would_be_right() -> None:
    assert errors(ARM_TARGET__PREFIXES="many", ARM_BGP__PORT="70000", ARM_BGP__LISTEN="127.0.0.1,x") == [
        "environment: ARM_BGP__PORT: 70000 is not an integer from 1 to 65535",
        'environment: ARM_BGP__LISTEN[1]: "x" is not an IPv4 or IPv6 address to listen on ("0.0.0.0" or "::" for all)',
        'environment: ARM_TARGET__PREFIXES: "many" is not an integer from 0 to 16000000',
    ]


def test_errors_of_the_file_still_name_the_file_and_contradictions_the_variable() -> None:
    lines = errors(ARM_TARGET__PREFIXES="0", ARM_TARGET__PREFIXES6="0")
    assert len(lines) == 1
    assert lines[0].startswith("environment: ARM_TARGET__PREFIXES: is 0 and so is target.prefixes6")
    assert errors(ARM_TARGET__KIND="bird")[0].endswith("(set here: ARM_TARGET__KIND)")
    with pytest.raises(ConfigError) as raised:
        with_environment(BASE + b"slots = 3\n", ARM_LOG__LEVEL="loud")
    assert [line.split(": ")[0] for line in str(raised.value).splitlines()] == ["arm.toml", "environment"]


def test_a_secret_is_not_repeated() -> None:
    (line,) = errors(ARM_HTTP__TOKEN="short")
    assert line.startswith("environment: ARM_HTTP__TOKEN: ")
    assert "short" not in line.replace("shorter", "")


def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant() -> None:
    assert errors(ARM_TARGET__PREFIX="5", ARM_NOTHING__LIKE_IT_AT_ALL="1") == [
        "environment: ARM_NOTHING__LIKE_IT_AT_ALL: is no setting; docs/configuration.md has all keys",
        "environment: ARM_TARGET__PREFIX: is no setting; did you mean ARM_TARGET__PREFIXES?",
    ]


def _text(value: object) -> str:
    """How one would write a value of ARM's into a variable."""
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{format_prefix(one) if isinstance(one, tuple) else one}"' for one in value) + "]"
    return literal(value).strip('"')


def test_every_key_can_be_set() -> None:
    """The whole of the configuration that all tests use, said by variables over an empty file."""
    whole = load(Path(__file__).parent / "golden" / "everything.toml", environ={})
    environ = {}
    for name, section in sections().items():
        for word, (attribute, key) in keys(section).items():
            value = getattr(getattr(whole, name), attribute)
            # a secret that is not set can not be said, and need not be
            if value is not None or not key.secret:
                environ[variable(name, word)] = _text(value)
    assert parse(b"", source="none", environ=environ) == whole


def test_the_process_s_own_environment_counts_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "arm.toml"
    path.write_bytes(BASE)
    monkeypatch.setenv("ARM_TARGET__PREFIXES", "7")
    assert load(path).target.prefixes == 7


@given(st.sampled_from([(name, word) for name, one in sections().items() for word in keys(one)]), st.text())
def test_whatever_a_variable_holds_there_is_a_configuration_or_an_error(place: tuple[str, str], text: str) -> None:
    said = variable(*place)
    try:
        parse(BASE, source="arm.toml", environ={variable(*place): text})
    except ConfigError as error:
        said = str(error)
    assert variable(*place) in said
