"""The configuration in force, key by key, as docs/configuration.md explains it; secrets only whether they are set."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from arm.config import Config
from arm.config.load import keys, sections
from arm.model import format_prefix
from arm.web.shapes import Json


def document(config: Config) -> Json:
    """/arm/config/json."""
    kind = config.target.kind
    listed = []
    for name, section in sections().items():
        values = getattr(config, name)
        defaults = {item.name: item.default for item in fields(section)}
        rows = []
        for word, (attribute, key) in keys(section).items():
            value = getattr(values, attribute)
            rows.append(
                {
                    "key": word,
                    "value": _shown(value, secret=key.secret),
                    "default": value == defaults[attribute],
                    "unit": key.unit,
                    "about": key.about,
                    "used": not key.targets or kind in key.targets,
                }
            )
        listed.append({"section": name, "about": (section.__doc__ or "").splitlines()[0], "keys": rows})
    return {"sections": listed}


def _shown(value: Any, *, secret: bool) -> Any:
    if secret:
        return None if value is None else "(set)"
    if isinstance(value, tuple):
        return [format_prefix(one) if isinstance(one, tuple) else one for one in value]
    return value
