"""Counter records as metrics: gauges as they are, counters as rates.

A structure is a list of fields in the order of the specification: sFlow version 5 (interfaces), sFlow Host Structures,
sFlow HTTP Structures, sFlow Application Structures (workers), sFlow Broadcom Switch ASIC Table Utilization Structures,
sFlow LAG and port names. A counter becomes a rate from two values and the time between them. A 32 bit counter that went
back has wrapped, unless that would mean more than half of its range: then, and when a 64 bit counter or the sequence of
the samples went back, the agent has started anew and there is no rate until the next sample. All ones is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from arm.analytics.http import Reader

Metrics: TypeAlias = dict[str, float | str]
Values: TypeAlias = dict[str, float | str]

GAUGE32, GAUGE64, FLOAT, COUNTER32, COUNTER64 = "u", "U", "f", "c", "C"


@dataclass(frozen=True, slots=True)
class Structure:
    """The fields of a counter record: (name, kind). Those from `optional` on may be missing in older agents."""

    fields: tuple[tuple[str, str], ...]
    optional: int


def _structure(text: str, optional: str = "") -> Structure:
    """From words such as `name:c`; a word without a kind has that of the word before it."""
    fields: list[tuple[str, str]] = []
    kind = GAUGE32
    for word in (*text.split(), *optional.split()):
        name, _, given = word.partition(":")
        kind = given or kind
        fields.append((name, kind))
    return Structure(tuple(fields), len(text.split()))


_TABLES: Final = ("host", "ipv4", "ipv6", "ipv4_ipv6", "long_ipv6", "total_routes", "ecmp_nexthops", "mac")
_ACLS: Final = (
    *(f"acl_ingress{what}" for what in ("", "_counters", "_meters", "_slices")),
    *(f"acl_egress{what}" for what in ("", "_counters", "_meters", "_slices")),
)
_METHODS: Final = ("option", "get", "head", "post", "put", "delete", "trace", "connect", "other")
_STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
_BCM: Final = (
    *(f"bcm_{name}_{what}" for name in _TABLES for what in ("entries", "entries_max")),
    *("bcm_ipv4_neighbors", "bcm_ipv6_neighbors", "bcm_ipv4_routes", "bcm_ipv6_routes"),
    *(f"bcm_{name}_{what}" for name in _ACLS for what in ("entries", "entries_max")),
)

STRUCTURES: Final[Mapping[tuple[int, int], Structure]] = {
    (0, 1): _structure(
        "ifindex:u iftype ifspeed:U ifdirection:u ifstatus ifinoctets:C ifinucastpkts:c ifinmulticastpkts "
        "ifinbroadcastpkts ifindiscards ifinerrors ifinunknownprotos ifoutoctets:C ifoutucastpkts:c ifoutmulticastpkts "
        "ifoutbroadcastpkts ifoutdiscards ifouterrors ifpromiscuousmode:u"
    ),
    (0, 2003): _structure(
        "load_one:f load_five load_fifteen proc_run:u proc_total cpu_num cpu_speed uptime cpu_user:c cpu_nice "
        "cpu_system cpu_idle cpu_wio cpu_intr cpu_sintr interrupts contexts",
        "cpu_steal:c cpu_guest cpu_guest_nice",
    ),
    (0, 2004): _structure(
        "mem_total:U mem_free mem_shared mem_buffers mem_cached swap_total swap_free "
        "page_in:c page_out swap_in swap_out"
    ),
    (0, 2005): _structure(
        "disk_total:U disk_free part_max_used:u disk_reads:c disk_bytes_read:C disk_read_time:c disk_writes:c "
        "disk_bytes_written:C disk_write_time:c"
    ),
    (0, 2006): _structure("bytes_in:C pkts_in:c errs_in drops_in bytes_out:C pkts_out:c errs_out drops_out"),
    (0, 2201): _structure(
        " ".join((*(f"http_method_{name}:c" for name in _METHODS), *(f"http_status_{name}:c" for name in _STATUSES)))
    ),
    (0, 2206): _structure("workers_active:u workers_idle workers_max req_delayed:c req_dropped"),
    (4413, 3): _structure(" ".join(f"{name}:u" for name in _BCM)),
}
HOST_DESCRIPTION: Final = (0, 2000)
ADAPTORS: Final = (0, 2001)
PORT_NAME: Final = (0, 1005)

_MACHINES: Final = ("unknown", "other", "x86", "x86_64", "ia64", "sparc", "alpha", "powerpc", "m68k", "mips", "arm",
                    "hppa", "s390")  # fmt: skip
_SYSTEMS: Final = ("unknown", "other", "linux", "windows", "darwin", "hpux", "aix", "dragonfly", "freebsd", "netbsd",
                   "openbsd", "osf", "solaris", "java")  # fmt: skip
_CPU_TIMES: Final = ("cpu_user", "cpu_nice", "cpu_system", "cpu_idle", "cpu_wio", "cpu_intr", "cpu_sintr", "cpu_steal")


def read(structure: Structure, data: bytes) -> dict[str, float]:
    """The fields of a record as they stand in it, without those that are unknown; ValueError if it ends too early."""
    item = Reader(data)
    found: dict[str, float] = {}
    for number, (name, kind) in enumerate(structure.fields):
        try:
            if kind == FLOAT:
                value: float = item.floating()
                unknown = value < 0
            elif kind in (GAUGE64, COUNTER64):
                value = item.hyper()
                unknown = value == 0xFFFFFFFFFFFFFFFF
            else:
                value = item.unsigned()
                unknown = value == 0xFFFFFFFF
        except ValueError:
            if number >= structure.optional:
                break
            raise
        # NaN is the only value that is not itself
        if not unknown and value == value and value != float("inf"):
            found[name] = value
    return found


def rates(
    structure: Structure, old: Mapping[str, float], new: Mapping[str, float], seconds: float
) -> dict[str, float] | None:
    """Rates per second of the counters, and the gauges as they are; None if the agent has started anew."""
    found: dict[str, float] = {}
    for name, kind in structure.fields:
        if name not in new:
            continue
        value = new[name]
        if kind not in (COUNTER32, COUNTER64):
            found[name] = value
            continue
        if name not in old:
            continue
        delta = value - old[name]
        if delta < 0:
            if kind == COUNTER64:
                return None
            delta += 1 << 32
            if delta > 1 << 31:
                return None
        found[name] = delta / seconds
    return found


def gauges(structure: Structure, new: Mapping[str, float]) -> dict[str, float]:
    """What can be told from a single record."""
    counters = {name for name, kind in structure.fields if kind in (COUNTER32, COUNTER64)}
    return {name: value for name, value in new.items() if name not in counters}


def derive(kind: tuple[int, int], found: Mapping[str, float]) -> Metrics:
    """The metrics of one record: `found` and what follows from it (utilizations in percent)."""
    metrics: Metrics = dict(found)

    def percent(name: str, part: float | None, whole: float | None) -> None:
        if part is not None and whole:
            metrics[name] = 100.0 * part / whole

    get = found.get
    if kind == (0, 1):
        status = int(found.get("ifstatus", 0))
        metrics.pop("ifstatus", None)
        metrics["ifadminstatus"] = "up" if status & 1 else "down"
        metrics["ifoperstatus"] = "up" if status & 2 else "down"
        for way in ("in", "out"):
            octets = get(f"if{way}octets")
            percent(f"if{way}utilization", octets * 8 if octets is not None else None, get("ifspeed"))
    elif kind == (0, 2003):
        times: dict[str, float] = {name: found[name] for name in _CPU_TIMES if name in found}
        total = sum(times.values())
        for name, value in times.items():
            metrics.pop(name)
            percent(name, value, total)
        if "cpu_idle" in times:
            percent("cpu_utilization", total - times["cpu_idle"], total)
    elif kind == (0, 2004):
        size, free = get("mem_total"), get("mem_free")
        if size is not None and free is not None:
            used = max(size - free - found.get("mem_buffers", 0) - found.get("mem_cached", 0), 0)
            metrics["mem_used"] = used
            percent("mem_utilization", used, size)
    elif kind == (0, 2005):
        size, free = get("disk_total"), get("disk_free")
        percent("disk_utilization", size - free if size is not None and free is not None else None, size)
        if "part_max_used" in found:
            metrics["part_max_used"] = found["part_max_used"] / 100  # hundredths of a percent
    elif kind == (0, 2201):
        methods = [value for name, value in found.items() if name.startswith("http_method_")]
        if methods:
            metrics["http_requests"] = sum(methods)
    elif kind == (0, 2206):
        percent("workers_utilization", get("workers_active"), get("workers_max"))
    elif kind == (4413, 3):
        for name in (*_TABLES, *_ACLS):
            percent(f"bcm_{name}_utilization", get(f"bcm_{name}_entries"), get(f"bcm_{name}_entries_max"))
    return metrics


def host_description(data: bytes) -> Metrics:
    """Record 2000: who the host is; ValueError."""
    item = Reader(data)
    name, uuid = item.text(64), item.octets(16).hex()
    machine, system = item.unsigned(), item.unsigned()
    return {
        "host_name": name,
        "uuid": "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:])),
        "machine_type": _MACHINES[machine] if machine < len(_MACHINES) else "unknown",
        "os_name": _SYSTEMS[system] if system < len(_SYSTEMS) else "unknown",
        "os_release": item.text(32),
    }


def adaptors(data: bytes) -> list[bytes]:
    """Record 2001: the MAC addresses of a host; ValueError. At most 256 are read."""
    item = Reader(data)
    found: list[bytes] = []
    for _ in range(min(item.unsigned(), 256)):
        item.unsigned()
        for _ in range(item.unsigned()):
            mac = item.octets(8)[:6]
            if len(found) < 256:
                found.append(mac)
    return found
