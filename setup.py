"""What pyproject.toml can not say: which modules are compiled.

They decode every datagram and every UPDATE, or run for each sample; mypyc makes C extensions of them, so that they take
about half of the time (docs/decisions/006). Their source is Python like any other, and runs as it is where it has not
been compiled. `scripts/setup` compiles anew when one of them has changed.

Only code whose loops are over in about a millisecond belongs here: compiled code keeps the interpreter's lock until it
is done, so that every other thread waits.
"""

from mypyc.build import mypycify
from setuptools import setup

COMPILED = [
    "arm/bgp/aspath.py",
    "arm/bgp/connection.py",
    "arm/bgp/interner.py",
    "arm/bgp/messages.py",
    "arm/bgp/ordinary.py",
    "arm/bgp/wire.py",
    "arm/sflow/agents.py",
    "arm/sflow/collector.py",
    "arm/sflow/datagram.py",
    "arm/sflow/packet.py",
    "arm/sflow/sequence.py",
]

# No debug information: it would name directories of the machine that compiles, and differ between two builds.
extensions = mypycify(COMPILED, group_name="arm.compiled", debug_level="0")
for extension in extensions:
    # a compiler that is newer than mypy may warn of what this one does not
    extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
setup(ext_modules=extensions)
