"""The page about the analytics is complete, and its examples are taken as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fed_analytics import Fed

from arm.analytics.compiler import KEYS
from arm.analytics.functions import _BUILDERS, HOST_ATTRIBUTES
from arm.analytics.metrics import AGGREGATES
from arm.analytics.uri import PARTS

PAGE = (Path(__file__).parents[2] / "docs" / "analytics.md").read_text()


def test_every_key_function_and_summary_is_named() -> None:
    named = set(re.findall(r"`([^`]+)`", PAGE))
    words = {word for text in named for word in re.split(r"[\s,]+", text)}
    assert {key for key in KEYS if not key.endswith(".1")} <= words
    assert set(_BUILDERS) <= {word.partition(":")[0] for word in words if ":" in word}
    assert {*PARTS, *AGGREGATES, *HOST_ATTRIBUTES[1:], "any"} <= words


def test_every_example_is_taken() -> None:
    examples = re.findall(r"PUT \S*/flow/(\w+)/json\s+(?:-d ')?(\{.*?\})", PAGE)
    assert len(examples) >= 12
    fed = Fed()
    for name, text in examples:
        if "destinatoin" not in text:
            fed.define(name, **json.loads(text))
    for text in re.findall(r"^    ([a-z]\S+[=~]\S+)$", PAGE, re.MULTILINE):
        fed.define("filter", filter=text)
