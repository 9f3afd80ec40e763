"""Every key is documented, once, and the shipped file agrees with the schema."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from arm.config import Config
from arm.config.document import literal, page
from arm.config.load import keys, sections

ROOT = Path(__file__).parents[2]
KEYS = [(name, word) for name, section in sections().items() for word in keys(section)]


def test_the_reference_page_is_the_one_that_the_schema_makes() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), (
        "run: python -m arm.config.document > docs/configuration.md"
    )


@pytest.mark.parametrize(("section", "word"), KEYS)
def test_a_key_is_documented_with_a_sentence(section: str, word: str) -> None:
    _, key = keys(sections()[section])[word]
    assert re.fullmatch(r"[A-Z`].{20,}\.", key.about)
    part = page().partition(f"\n## [{section}]\n")[2].partition("\n## [")[0]
    (row,) = [line for line in part.splitlines() if line.startswith(f"| `{word}` |")]
    assert key.about in row
    assert key.rule.wants in row
    assert key.unit in row


def test_every_default_is_allowed_by_its_own_rule() -> None:
    for name, section in sections().items():
        by_name = {item.name: item for item in fields(section)}
        for word, (attribute, key) in keys(section).items():
            default = by_name[attribute].default
            if default is not None:
                values = default if key.many else (default,)
                assert all(key.rule.read(value) == value for value in values), f"{name}.{word}"


def test_the_shipped_file_shows_every_key_and_its_default() -> None:
    """A commented key stands with its default; `...` and [] stand for none."""
    text = (ROOT / "conf" / "arm.toml").read_text()
    uncommented = re.sub(r"(?m)^# (?=[a-z0-9_]+ = )", "", text)
    shown = {(name, word): value for name, table in tomllib.loads(uncommented).items() for word, value in table.items()}
    given = {(name, word) for name, table in tomllib.loads(text).items() for word in table}
    assert set(shown) == set(KEYS)
    standard = Config()
    for (name, word), value in shown.items():
        if (name, word) not in given:
            attribute, key = keys(sections()[name])[word]
            default = getattr(getattr(standard, name), attribute)
            expected = "..." if key.secret else [] if default == () else "" if default is None else default
            assert value == expected, f"{name}.{word}"


def test_literals_are_toml() -> None:
    assert literal(("127.0.0.1", "::1")) == '["127.0.0.1", "::1"]'
    assert literal(None) == '""'
    assert literal(10.0) == "10"
    assert literal(True) == "true"
