"""Finds and runs a benchmark: a module beside this one with `main(argv: Sequence[str]) -> int`.

A module's first line of docstring is its line in the list. Helper modules begin with an underscore.
"""

import ast
import importlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Name -> first line of the docstring; nothing is imported for it."""
    found = {}
    for path in sorted(HERE.glob("[a-z]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        found[path.stem] = text.partition("\n")[0]
    return found


def main(argv: list[str]) -> int:
    """Run the benchmark that the first argument names; 64 if there is none of that name."""
    known = benchmarks()
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: scripts/bench NAME [options]\n")
        for name, text in known.items():
            print(f"  {name:12} {text}")
        return 0
    name, *rest = argv
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name not in known:
        print(f"bench: there is no benchmark {name!r}; it is one of: {', '.join(known)}", file=sys.stderr)
        return 64
    return int(importlib.import_module(name).main(rest) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
