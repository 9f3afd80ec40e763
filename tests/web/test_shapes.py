"""The shape of every JSON answer, held by a golden file: which fields there are, and of which types.

Other programs read them. When a field is to come, go or change, `ARM_GOLDEN=write scripts/test -k shapes` writes the
file anew; its difference belongs into the changelog.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from test_clock_steps import Machine, paths

GOLDEN = Path(__file__).parent / "golden" / "shapes.json"
MAPS = {"columns", "counters", "kept_routes", "tables"}
"""Fields whose keys are data."""


def shape(value: Any, name: str = "") -> Any:
    """Types in place of values; of a list what its items have between them."""
    if isinstance(value, dict):
        if name in MAPS:
            return {"*": merged([shape(item) for item in value.values()])}
        return {key: shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [merged([shape(item) for item in value])]
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string"}[type(value)]


def merged(shapes: list[Any]) -> Any:
    """One shape for several: fields that not all have are marked with a question mark, types are joined."""
    objects = [one for one in shapes if isinstance(one, dict)]
    lists = [one for one in shapes if isinstance(one, list)]
    found: list[Any] = sorted({one for one in shapes if isinstance(one, str)})
    if objects:
        keys = sorted({key.rstrip("?") for one in objects for key in one})
        found.append(
            {
                key if all(key in one for one in objects) else f"{key}?": merged(
                    [one.get(key, one.get(f"{key}?")) for one in objects if key in one or f"{key}?" in one]
                )
                for key in keys
            }
        )
    if lists:
        found.append([merged([item for one in lists for item in one])])
    return found[0] if len(found) == 1 else found


def test_every_answer_has_the_shape_that_other_programs_know() -> None:
    machine = Machine()
    found = {}
    for path in paths():
        answer = machine.client.get(path)
        if answer.is_json:
            found[f"{answer.status_code} {path}"] = shape(answer.json)
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    if os.environ.get("ARM_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    assert json.loads(GOLDEN.read_text()) == json.loads(text)


def test_a_field_that_comes_goes_or_changes_is_seen() -> None:
    before = shape({"a": 1, "b": [{"c": "x"}, {"c": None, "d": 1.5}]})
    assert before == {"a": "number", "b": [{"c": ["null", "string"], "d?": "number"}]}
    for other in (
        {"a": 1, "b": [{"c": "x"}]},
        {"a": "1", "b": [{"c": "x"}, {"c": None, "d": 1.5}]},
        {"a": 1, "b": [{"c": "x"}, {"c": None, "d": 1.5}], "e": True},
    ):
        assert shape(other) != before
