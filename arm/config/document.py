"""The reference of all keys, as docs/configuration.md has it. `python -m arm.config.document` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from arm.config.load import keys, sections, show
from arm.config.rules import Key

INTRODUCTION = """\
# Configuration

<!-- Made by `python -m arm.config.document` from arm/config/schema.py; a test fails when the two differ. -->

ARM reads one TOML file, `/etc/arm/arm.toml` unless `-c FILE` names another. Every key has a default except
`reflector.as`, so a file only says what differs. Unknown keys, wrong types and impossible values are refused, all at
once; `arm check -c FILE` does only that, and exits with 78 if something is wrong. `conf/arm.toml` is a commented
example. The keys are named as the `arm.*` settings that sFlow-RT's users know, where those exist.

Every key can also be set from the environment, which wins over the file: `ARM_`, the table, two underscores, the key,
all in capitals. `ARM_TARGET__PREFIXES=20000` is `prefixes = 20000` below `[target]`, `ARM_REFLECTOR__AS=65136` is
`as = 65136` below `[reflector]`. Texts need no quotes, and a list is written as in the file or with commas:
`ARM_BGP__LISTEN=127.0.0.1,::1`. An error names the variable, and one that looks like a setting but is none is refused.
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join(
        [INTRODUCTION, *(line for name, section in sections().items() for line in _section(name, section))]
    )


def _section(name: str, section: type) -> Iterator[str]:
    heading = (section.__doc__ or "").splitlines()[0]
    yield f"## [{name}]\n\n{heading}\n"
    yield "| Key | Value | Default | Meaning |\n|---|---|---|---|"
    by_name = {item.name: item for item in fields(section)}
    for word, (attribute, key) in keys(section).items():
        cells = (f"`{word}`", _value(key), _default(by_name[attribute], key), _meaning(key))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    yield ""


def _value(key: Key) -> str:
    return f"{'list; each ' if key.many else ''}{key.rule.wants}{f'; {key.unit}' if key.unit else ''}"


def _default(item: Field[Any], key: Key) -> str:
    if key.required:
        return "none, must be given"
    return key.without or f"`{literal(item.default)}`"


def _meaning(key: Key) -> str:
    if not key.targets:
        return key.about
    kinds = " and ".join(f"`{kind}`" for kind in key.targets)
    return f"{key.about} (for kind {kinds})"


def literal(value: object) -> str:
    """A default as the file would have it; an empty string for none."""
    if value is MISSING or value is None:
        return '""'
    if isinstance(value, tuple):
        return f"[{', '.join(literal(element) for element in value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    return show(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
