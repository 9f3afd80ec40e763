"""Modules of the project as Python runs them, beside their compiled form."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def interpreted(*names: str) -> list[ModuleType]:
    """The modules of these names made from their sources; one sees those before it, and everything else as all do."""
    everybodys = {name: importlib.import_module(name) for name in names}
    made: list[ModuleType] = []
    try:
        for name in names:
            spec = importlib.util.spec_from_file_location(name, ROOT.joinpath(*name.split(".")).with_suffix(".py"))
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            made.append(module)
    finally:
        sys.modules.update(everybodys)
    return made
