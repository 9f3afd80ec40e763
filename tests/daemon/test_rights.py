"""The daemon keeps a right only as long as its target needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534
ROOT = Path(__file__).parents[2]

# Becomes what the service manager starts: an ordinary user with one ambient capability. Then gives up what a target of
# the given kind does not need, and reads the sets of its first and of a later thread.
PROGRAM = """
import ctypes, os, re, struct, sys, threading
from pathlib import Path
from arm.daemon.rights import give_up
libc = ctypes.CDLL(None)
SET_KEEPCAPS, CAP_AMBIENT, RAISE, NET_ADMIN = 8, 47, 2, 12
libc.prctl(SET_KEEPCAPS, 1, 0, 0, 0)
os.setgroups([]), os.setresgid(NOBODY, NOBODY, NOBODY), os.setresuid(NOBODY, NOBODY, NOBODY)
libc.capset(struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[1 << NET_ADMIN] * 3, 0, 0, 0))
libc.prctl(CAP_AMBIENT, RAISE, NET_ADMIN, 0, 0)
def show():
    text = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
    print(*(int(word, 16) for word in re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\\t(\\w+)", text, re.M)), flush=True)
show()
give_up(sys.argv[1])
show()
thread = threading.Thread(target=show)
thread.start()
thread.join()
""".replace("NOBODY", str(NOBODY))


def sets_of(kind: str) -> list[list[int]]:
    """Inheritable, permitted, effective and ambient set of the first and of a later thread."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT
    )
    before, *after = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
    assert before == [1 << 12] * 4
    return after


@pytest.mark.root
@pytest.mark.parametrize("kind", ["bird", "passive"])
def test_without_the_kernel_target_no_thread_keeps_a_capability(kind: str) -> None:
    assert sets_of(kind) == [[0, 0, 0, 0]] * 2


@pytest.mark.root
def test_the_kernel_target_keeps_network_administration_and_nothing_else() -> None:
    assert sets_of("kernel") == [[1 << 12] * 4] * 2
