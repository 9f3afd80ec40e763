"""Configurations in, what ARM makes of them out: golden/NAME.toml and golden/NAME.expected, and the shipped file.

What is expected of a good file is its values that differ from the defaults, and of a bad one its errors. After a change
that is meant, `python tests/config/test_golden.py` writes the expected files anew; then read the difference.
"""

from dataclasses import fields
from pathlib import Path

import pytest

from arm.config import Config, ConfigError, advice, parse

HERE = Path(__file__).parent / "golden"
SHIPPED = Path(__file__).parents[2] / "conf" / "arm.toml"
CASES = [*sorted(HERE.glob("*.toml")), SHIPPED]


def _expected_path(source: Path) -> Path:
    return HERE / ("shipped.expected" if source == SHIPPED else f"{source.stem}.expected")


def _outcome(source: Path) -> str:
    try:
        config = parse(source.read_bytes(), source="FILE")
    except ConfigError as error:
        return f"{error}\n"
    standard = Config()
    lines = [
        f"{section.name}.{item.name} = {getattr(getattr(config, section.name), item.name)!r}"
        for section in fields(Config)
        for item in fields(getattr(standard, section.name))
        if getattr(getattr(config, section.name), item.name) != getattr(getattr(standard, section.name), item.name)
    ]
    lines += [f"warning: {remark}" for remark in advice(config)]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("source", CASES, ids=lambda path: path.stem)
def test_a_configuration_gives_what_is_expected_of_it(source: Path) -> None:
    assert _outcome(source) == _expected_path(source).read_text()


def test_every_expectation_has_its_configuration() -> None:
    assert {path.name for path in HERE.glob("*.expected")} == {_expected_path(source).name for source in CASES}


if __name__ == "__main__":
    for case in CASES:
        _expected_path(case).write_text(_outcome(case))
