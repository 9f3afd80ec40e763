"""Whether what was compiled is as new as its source: a test of yesterday's code would prove nothing."""

from __future__ import annotations

from pathlib import Path


def outdated(folder: Path) -> list[Path]:
    """Compiled modules in a folder that are older than their sources."""
    found = []
    for compiled in sorted(folder.rglob("*.so")):
        source = compiled.with_name(compiled.name.partition(".")[0] + ".py")
        if source.exists() and source.stat().st_mtime > compiled.stat().st_mtime:
            found.append(source)
    return found
