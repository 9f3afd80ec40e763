"""The house agrees with itself: pinned packages, documents, scripts and the service unit."""

import ast
import configparser
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from freshness import outdated

from arm.cli import Exit, parser

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = sorted((ROOT / "arm").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = [
    path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and path.read_bytes().startswith(b"#!")
] + [ROOT / ".ci" / "run"]


def _name(requirement: str) -> str:
    """The normalised name (PEP 503) of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]).lower()


def _pinned(file: str) -> dict[str, str]:
    """Name -> version of a requirements file; each entry must have hashes."""
    entries = re.sub(r"\\\n", " ", (ROOT / file).read_text()).splitlines()
    pins = {}
    for entry in entries:
        if entry.strip() and not entry.lstrip().startswith("#"):
            match = re.fullmatch(r"(\S+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", entry)
            assert match, f"{file}: not pinned with hashes: {entry[:80]}"
            pins[_name(match[1])] = match[2]
    return pins


def test_what_the_project_needs_is_pinned_as_it_says() -> None:
    pins = _pinned("requirements.txt")
    for requirement in PROJECT["project"]["dependencies"]:
        name, _, version = requirement.partition("==")
        assert pins[_name(name)] == version, "run scripts/lock"


def test_the_tests_run_with_the_packages_that_the_product_has() -> None:
    run, dev = _pinned("requirements.txt"), _pinned("requirements-dev.txt")
    assert run.items() <= dev.items()
    assert {_name(requirement) for requirement in PROJECT["project"]["optional-dependencies"]["dev"]} <= dev.keys()


def test_the_build_backend_is_pinned_too() -> None:
    pins = _pinned("requirements-build.txt")
    assert {_name(requirement) for requirement in PROJECT["build-system"]["requires"]} <= pins.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_why_it_exists_and_is_of_readable_length(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    # the contract between the rooms is read as a whole, so it may be longer
    assert text.count("\n") <= 400, "split it"
    assert path.name != "utils.py"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_to_a_file_of_the_project_leads_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_that_a_page_names_exists(path: Path) -> None:
    for name in re.findall(r"\bscripts/[a-z][a-z-]*\b", path.read_text()):
        assert (ROOT / name).exists(), name


def test_the_commands_that_the_readme_shows_are_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "\n    scripts/run\n" in text
    assert "\n    scripts/test\n" in text
    shown = re.findall(r"(?:^    |`)arm ([a-z][^\n`]*)", text, re.MULTILINE)
    assert any(line.startswith("check") for line in shown)
    for line in shown:
        *first, last = line.split()
        for word in last.split("|"):
            if word != "demo":
                parser().parse_args([*first, word, *(["192.0.2.1"] if word == "why" else [])])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_can_be_run(path: Path) -> None:
    assert os.access(path, os.X_OK)
    first = path.read_text().partition("\n")[0]
    if first.endswith("sh"):
        shell = "bash" if first.endswith("bash") else "sh"
        subprocess.run([shell, "-n", str(path)], check=True, timeout=30)


def test_the_list_of_debian_packages_is_well_formed() -> None:
    lines = [line.split() for line in (ROOT / "scripts" / "packages").read_text().splitlines()]
    rows = [words for words in lines if words and not words[0].startswith("#")]
    assert all(len(words) == 3 and words[1] in ("run", "package", "test") for words in rows)
    assert len({words[0] for words in rows}) == len(rows)


def test_the_unit_runs_the_command_and_does_not_restart_what_stays_wrong() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "systemd" / "arm.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["WatchdogSec"]
    command, *arguments = service["ExecStart"].split()
    assert command == "/usr/bin/arm"
    assert parser().parse_args(arguments).command == "run"
    assert set(service["RestartPreventExitStatus"].split()) == {str(Exit.USAGE.value), str(Exit.CONFIG.value)}


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_benchmarks_are_listed_with_a_sentence_each_and_others_refused() -> None:
    def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "bench.d"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    listed = bench()
    assert listed.returncode == 0
    names = {path.stem for path in (ROOT / "scripts" / "bench.d").glob("[a-z]*.py")}
    rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines() if line.startswith("  ")]
    assert {row[0] for row in rows} == names
    assert all(len(row) == 2 for row in rows), "the first line of a docstring says what is measured"
    for name in ("no_such", "__main__", "../bench", "_helper"):
        assert bench(name).returncode == 64


def _compiled() -> list[str]:
    """The modules that setup.py compiles."""
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "COMPILED":
            return [path.removesuffix(".py").replace("/", ".") for path in ast.literal_eval(statement.value)]
    raise AssertionError("setup.py has no COMPILED")


@pytest.mark.parametrize("name", _compiled())
def test_what_is_to_be_compiled_is(name: str) -> None:
    file = importlib.import_module(name).__file__
    assert file is not None
    assert file.endswith(".so"), "run scripts/setup"


def test_a_source_that_is_newer_than_what_was_compiled_from_it_is_told(tmp_path: Path) -> None:
    for name in ("fresh", "stale", "interpreted"):
        (tmp_path / f"{name}.py").touch()
    for name in ("fresh", "stale", "shared__mypyc"):
        (tmp_path / f"{name}.cpython-311-x86_64-linux-gnu.so").touch()
    os.utime(tmp_path / "stale.cpython-311-x86_64-linux-gnu.so", (0, 0))
    assert outdated(tmp_path) == [tmp_path / "stale.py"]


def test_no_two_test_files_have_the_same_name() -> None:
    """The folders of the tests are no packages, so pytest tells their files apart by name."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
