"""The command's frame, as a process: what it prints, and with which code it ends."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from arm import __version__
from arm.cli import Exit, parser


def _arm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "arm", *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def test_version_answers_within_0_3_seconds() -> None:
    """The best of three, since other work may share the machine."""
    best = 60.0
    for _ in range(3):
        started = time.monotonic()
        done = _arm("--version")
        best = min(best, time.monotonic() - started)
        assert (done.returncode, done.stdout) == (0, f"arm {__version__}\n")
    assert best < 0.3


def test_version_loads_no_room() -> None:
    names = "[name for name in sys.modules if name.startswith('arm.') and not name.startswith('arm.cli')]"
    program = f"import sys, arm.cli; print({names})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_good_configuration_is_summed_up_in_one_line() -> None:
    shipped = Path(__file__).parents[2] / "conf" / "arm.toml"
    done = _arm("check", "-c", str(shipped))
    assert done.returncode == Exit.OK
    assert done.stdout.count("\n") == 1
    assert "target bird 10.0.0.136, slots 10000 IPv4 + 10000 IPv6" in done.stdout
    assert done.stderr == ""


def test_a_bad_configuration_ends_with_all_its_errors_and_ex_config(tmp_path: Path) -> None:
    path = tmp_path / "arm.toml"
    path.write_text("[bgp]\nport = 0\nprot = 1\n")
    done = _arm("check", "-c", str(path))
    assert done.returncode == Exit.CONFIG == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{path}: bgp.port: 0 is not an integer from 1 to 65535",
        f"{path}: bgp.prot: is an unknown key; did you mean bgp.port?",
        f"{path}: reflector.as: is missing; give an AS number from 1 to 4294967294",
        "3 errors",
    ]


def test_an_odd_configuration_is_allowed_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "arm.toml"
    path.write_text("[reflector]\nas = 65136\n[target]\nmetric = 5\n")
    done = _arm("check", "-c", str(path))
    assert done.returncode == Exit.OK
    assert done.stderr == f'{path}: warning: target.metric: has no effect: it is for kind = "kernel"\n'


def test_run_refuses_a_bad_configuration_in_the_log(tmp_path: Path) -> None:
    done = _arm("run", "-c", str(tmp_path / "missing.toml"))
    assert done.returncode == Exit.CONFIG
    assert f'configuration refused file={tmp_path}/missing.toml error="can not be read: no such file' in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("walk",), ("check", "--what"), ("show",), ("show", "why"), ("show", "top", "-n", "0"), ("demo", "--what")],
)
def test_wrong_arguments_end_with_ex_usage(arguments: tuple[str, ...]) -> None:
    done = _arm(*arguments)
    assert done.returncode == Exit.USAGE == 64
    assert done.stderr.startswith("usage: arm")


def test_help_tells_the_exit_codes() -> None:
    text = parser().format_help()
    for code in Exit:
        assert f"\n  {int(code):2}  " in text, code


def test_the_page_of_the_command_line_has_every_exit_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    assert {row[1]: row[0] for row in rows if row[0].isdigit()} == {code.name: str(code.value) for code in Exit}
