"""TOML in, a checked Config out, or every error at once.

Whatever the file holds, `load` and `parse` return a Config or raise ConfigError, nothing else. Each fault has its key
path, and says what would be right. Values of secret keys are never repeated. What the environment sets wins over the
file (see environment).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from arm.config.checks import contradictions
from arm.config.environment import overlay
from arm.config.rules import KEY, Fault, Key
from arm.config.schema import Config

SIZE_LIMIT = 1 << 20
"""Octets; more is not a configuration but a mistake, such as a device file."""


class ConfigError(Exception):
    """The configuration can not be used. `faults` has everything that is wrong with it, in the order of the schema."""

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(
            f"{'environment' if fault.path.startswith('ARM_') else self.source}: {fault}" for fault in self.faults
        )


def sections() -> dict[str, type]:
    """The tables of the file: name -> dataclass."""
    return {item.name: item.default_factory for item in fields(Config)}  # type: ignore[misc]


def keys(section: type) -> dict[str, tuple[str, Key]]:
    """The keys of a section: name in the file -> (name of the field, what is said of it)."""
    return {item.name.rstrip("_"): (item.name, item.metadata[KEY]) for item in fields(section)}


def load(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Config:
    """Read and check a file, with what `environ` (the process's own) sets. ConfigError names it as it was given."""
    source = os.fspath(path)
    try:
        with open(source, "rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(source, (Fault("", f"can not be read: {reason.lower()}"),)) from None
    return parse(raw, source=source, environ=os.environ if environ is None else environ)


def parse(raw: bytes, *, source: str, environ: Mapping[str, str] | None = None) -> Config:
    """Check a document, with what `environ` (nothing unless told) sets. `source` names the document in errors."""
    if len(raw) > SIZE_LIMIT:
        raise ConfigError(source, (Fault("", f"is larger than {SIZE_LIMIT} bytes, the limit of a configuration"),))
    try:
        document = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(source, (Fault("", f"is not UTF-8 text, at byte {error.start}"),)) from None
    except RecursionError:
        raise ConfigError(source, (Fault("", "is nested too deeply"),)) from None
    except ValueError as error:
        text = str(error)
        raise ConfigError(source, (Fault("", f"is not TOML: {text[:1].lower()}{text[1:]}"),)) from None

    faults: list[Fault] = []
    tables = sections()
    every = {(name, word): key for name, section in tables.items() for word, (_, key) in keys(section).items()}
    outside = overlay(environ or {}, every)
    for (name, word), value in outside.values.items():
        if isinstance(document.setdefault(name, {}), dict):
            document[name][word] = value
    values = {name: _section(name, section, document.get(name), faults) for name, section in tables.items()}
    faults.extend(_unknown(name, "", tables, document[name]) for name in document if name not in tables)

    # both ends of iBGP have one AS number, so the target's follows unless it is given
    if "as_" in values["reflector"] and "as_" not in values["target"]:
        values["target"]["as_"] = values["reflector"]["as_"]
    config = Config(**{name: section(**values[name]) for name, section in tables.items()})
    # a fault stands for its key's default here, so what is said of that key beside others means nothing
    wrong = {fault.path.partition("[")[0] for fault in faults}
    faults.extend(clash for clash in contradictions(config) if wrong.isdisjoint((clash.path, *clash.also)))
    faults.extend(outside.faults)
    if faults:
        raise ConfigError(source, tuple(map(outside.named, faults)))
    return config


def _section(name: str, section: type, table: object, faults: list[Fault]) -> dict[str, Any]:
    """The values of one table, by field; what is wrong goes to `faults`."""
    known = keys(section)
    values: dict[str, Any] = {}
    if table is not None and not isinstance(table, dict):
        faults.append(Fault(name, f"{show(table)} is not a table; write its keys below a line [{name}]"))
        return values
    given: Mapping[str, object] = table or {}
    for word, (attribute, key) in known.items():
        path = f"{name}.{word}"
        if word in given:
            before = len(faults)
            value = _value(given[word], key, path, faults)
            if len(faults) == before:
                values[attribute] = value
        elif key.required:
            faults.append(Fault(path, f"is missing; give {key.rule.wants}"))
    faults.extend(_unknown(word, name, known, given[word]) for word in given if word not in known)
    return values


def _value(value: object, key: Key, path: str, faults: list[Fault]) -> Any:
    if not key.many:
        return _single(value, key, path, faults)
    if not isinstance(value, list):
        faults.append(Fault(path, f"{_shown(value, key)} is not a list; each element is {key.rule.wants}"))
        return None
    found = (_single(element, key, f"{path}[{index}]", faults) for index, element in enumerate(value))
    return tuple(dict.fromkeys(found))


def _single(value: object, key: Key, path: str, faults: list[Fault]) -> Any:
    try:
        return key.rule.read(value)
    except ValueError as error:
        detail = "" if key.secret else str(error)
        text = f"{_shown(value, key)} is not {key.rule.wants}"
        faults.append(Fault(path, f"{text}: {detail}" if detail else text))
        return None


def _unknown(word: str, section: str, known: Mapping[str, object], value: object) -> Fault:
    """The fault of a key or table that does not exist, with the one that was probably meant."""
    path = f"{section}.{_bare(word)}" if section else _bare(word)
    what = "key" if section else "table" if isinstance(value, dict) else "key outside of any table"
    homes = [f"{name}.{word}" for name, entry in sections().items() if name != section and word in keys(entry)]
    close = difflib.get_close_matches(word[:64].lower(), list(known), n=1)
    if close:
        hint = f"did you mean {section}.{close[0]}?" if section else f"did you mean [{close[0]}]?"
    elif homes:
        hint = f"did you mean {' or '.join(homes)}?"
    else:
        hint = f"{f'[{section}]' if section else 'the file'} has {', '.join(known)}"
    return Fault(path, f"is an unknown {what}; {hint}")


def _shown(value: object, key: Key) -> str:
    return "the value" if key.secret else show(value)


def show(value: object) -> str:
    """A value as it might stand in the file, cut to a readable length."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 128:
        return "a very large integer"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _bare(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", word):
        return word
    return show(word)
