"""The loader: whatever it is given, it answers with a Config or with a ConfigError that helps."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.config import Config, ConfigError, load, parse, split_endpoint
from arm.config.load import SIZE_LIMIT, keys, sections

MINIMAL = "[reflector]\nas = 65136\n"


def _faults(document: str | bytes) -> dict[str, str]:
    raw = document.encode() if isinstance(document, str) else document
    with pytest.raises(ConfigError) as raised:
        parse(raw, source="FILE")
    return {fault.path: fault.text for fault in raised.value.faults}


def _toml(value: Any) -> str:
    """A value as TOML; floats by repr, which TOML reads back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(element) for element in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(element)}" for name, element in value.items()) + "}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=30) | st.sampled_from(
    [
        "",
        "127.0.0.1",
        "::1",
        "::1%lo",
        "10.0.0.0/8",
        "10.0.0.0/08",
        "127.0.0.1:80",
        "[::1]:80",
        "[]:1",
        "bird",
        "/x",
        "0.0.0.1",
    ]
)
SCALAR = st.booleans() | st.integers() | st.floats() | TEXT | st.integers(2**64, 2**200)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3))
KNOWN = sorted((section, word) for section, table in sections().items() for word in keys(table))


@given(st.binary(max_size=400))
def test_no_octets_raise_anything_but_config_error(raw: bytes) -> None:
    with pytest.raises(ConfigError):  # nothing so short and random has the one key that is needed
        parse(raw, source="FILE")


@given(st.dictionaries(st.sampled_from(KNOWN), VALUE, max_size=8), st.dictionaries(TEXT, VALUE, max_size=2))
def test_no_values_raise_anything_but_config_error(values: dict[tuple[str, str], Any], strange: dict[str, Any]) -> None:
    tables: dict[str, dict[str, Any]] = {"reflector": {"as": 65136}}
    for (section, word), value in values.items():
        tables.setdefault(section, {})[word] = value
    lines = [f"{json.dumps(name)} = {_toml(value)}" for name, value in strange.items() if name not in tables]
    lines += [
        line
        for name, table in tables.items()
        for line in (f"[{name}]", *(f"{w} = {_toml(v)}" for w, v in table.items()))
    ]
    outcome = _outcome("\n".join(lines).encode())
    if isinstance(outcome, ConfigError):
        assert outcome.faults
        assert len(str(outcome).splitlines()) == len(outcome.faults), "each error is one line"
    if strange.keys() - tables.keys():
        assert isinstance(outcome, ConfigError), "an unknown key is never let through"


def _outcome(raw: bytes) -> Config | ConfigError:
    try:
        return parse(raw, source="FILE")
    except ConfigError as error:
        return error


@pytest.mark.parametrize(
    "document",
    [
        b"a=" + b"[" * 100_000,
        b"[" + b"a." * 50_000 + b"a]",
        b"a = " + b"9" * 5000,
        b"\xff\xfe",
        b"a = 1\x00",
        b"\x00" * SIZE_LIMIT,
    ],
    ids=["deep list", "deep table", "large integer", "no UTF-8", "zero octet", "zeros"],
)
def test_documents_that_break_parsers_are_refused(document: bytes) -> None:
    assert _faults(document)


def test_more_than_a_configuration_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (SIZE_LIMIT + 1))
    with pytest.raises(ConfigError, match="is larger than"):
        load(path)


@pytest.mark.parametrize("name", ["missing.toml", ".", "with\0zero"])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="can not be read") as raised:
        load(f"{tmp_path}/{name}")
    assert raised.value.source == f"{tmp_path}/{name}"


def test_an_error_begins_with_the_file_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "arm.toml"
    path.write_text(f"{MINIMAL}[bgp]\nport = 0\n")
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value) == f"{path}: bgp.port: 0 is not an integer from 1 to 65535"


def test_defaults_of_the_file_are_those_of_the_dataclasses() -> None:
    config, standard = parse(MINIMAL.encode(), source="FILE"), Config()
    assert (config.sflow, config.bgp, config.selection, config.http) == (
        standard.sflow, standard.bgp, standard.selection, standard.http,
    )  # fmt: skip


def test_the_target_has_the_reflectors_as_number_unless_it_has_its_own() -> None:
    assert parse(MINIMAL.encode(), source="FILE").target.as_ == 65136
    assert parse(f"{MINIMAL}[target]\nas = 65137\n".encode(), source="FILE").target.as_ == 65137


def test_secrets_are_shown_neither_in_errors_nor_in_the_configuration() -> None:
    bad = f'{MINIMAL}password = "sesam\\u0007"\n[http]\ntoken = "sesam"\n[target]\npassword = ["sesam"]\n'
    faults = _faults(bad)
    assert set(faults) == {"reflector.password", "http.token", "target.password"}
    assert "sesam" not in "".join(faults.values())
    good = parse(f'{MINIMAL}password = "sesam"\n[http]\ntoken = "sesam-open-yourself"\n'.encode(), source="FILE")
    assert good.reflector.password == "sesam"
    assert "sesam" not in repr(good)


def test_a_wrong_key_is_not_blamed_for_what_stands_beside_it() -> None:
    """With a kind that is no kind, nothing is said of the addresses that a kind would need."""
    assert set(_faults(f'{MINIMAL}[target]\nkind = "brid"\nprefixes = -1\nprefixes6 = 0\n')) == {
        "target.kind",
        "target.prefixes",
    }


@pytest.mark.parametrize(
    ("document", "path", "hint"),
    [
        ("[target]\nprefix = 5", "target.prefix", "did you mean target.prefixes?"),
        ("[bgp]\nprefixes6 = 5", "bgp.prefixes6", "did you mean target.prefixes6?"),
        ("[targets]\nprefixes = 5", "targets", "did you mean [target]?"),
        ("[log]\nwhatever = 5", "log.whatever", "[log] has level"),
        ("[log]\n\"a b\\u0007\" = 5", 'log."a b\\u0007"', "[log] has level"),
    ],
)  # fmt: skip
def test_an_unknown_key_brings_a_hint(document: str, path: str, hint: str) -> None:
    text = _faults(f"{document}\n{MINIMAL}")[path]
    assert text.startswith("is an unknown")
    assert text.endswith(hint)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "127.0.0.1:", "::1:80", "[127.0.0.1]:80", "[::1]", ":80", "[::1]:080000", "[::1:80", "1.2.3.4:٣"],
)
def test_what_is_no_endpoint_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is only a detail
        split_endpoint(text)


def test_an_endpoint_is_an_address_and_a_port() -> None:
    assert split_endpoint("127.0.0.1:8008") == ("127.0.0.1", 8008)
    assert split_endpoint("[0::1]:1") == ("::1", 1)
