"""The kernel target: straight into the kernel's table, one hop less than through BIRD.

In the order in which a change passes them:

    target.py       the thread: plans in, events out, retries
    work.py         what a session is asked to do, second by second; capacity and words about it
    session.py      one stretch of work with the kernel, in small steps
    applier.py      changes -> requests -> what really happened; order.py keeps the order inside a batch
    nexthops.py     BGP next hops -> groups with a backup; objects.py writes them, identifiers.py numbers them
    ledger.py       what stands in the kernel
    channel.py      the sockets; messages.py and netlink.py pack and unpack

    watcher.py      what the kernel tells, sorted; topology.py resolves next hops; census.py reads all of it
    repair.py       undoes what others did to ARM's routes
    capacity.py     how many routes fit; hardware.py asks the ASIC; refusals.py keeps what was refused

docs/kernel-target.md tells the engineer what this means on a switch.
"""

from arm.target.kernel.hardware import AgentReader, find_reader
from arm.target.kernel.session import KernelSession, KernelSettings
from arm.target.kernel.target import KernelTarget, settings_of
from arm.target.kernel.view import InstalledRoute, flush_kernel, read_installed

__all__ = [
    "AgentReader",
    "InstalledRoute",
    "KernelSession",
    "KernelSettings",
    "KernelTarget",
    "find_reader",
    "flush_kernel",
    "read_installed",
    "settings_of",
]
