"""What one key alone can not tell: values that contradict each other, and values that have no effect.

Both functions are pure. A contradiction refuses the configuration; advice is printed by `arm check` and logged at the
start, since a set-up that looks odd from here can be meant.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import fields

from arm.config.rules import KEY, Fault, Key, split_endpoint
from arm.config.schema import Config
from arm.model import Family, family_of, format_prefix


def contradictions(config: Config) -> list[Fault]:
    """Why values that are right one by one can not be used together; empty if they can."""
    return [*_sessions(config), *_slots(config), *_prefixes(config), *_ports(config), *_access(config)]


def _access(config: Config) -> Iterator[Fault]:
    http = config.http
    if http.protect_reads and http.token is None:
        text = "is true, but there is no http.token that would let anyone read; set one"
        yield Fault("http.protect_reads", text, ("http.token",))


def advice(config: Config) -> list[Fault]:
    """What is probably not meant: no error, but worth a warning."""
    return [*_listening(config), *_ineffective(config), *_exposed(config)]


def _peers(config: Config) -> Iterator[tuple[str, str, bool]]:
    """The configured BGP peers: (key path, address, ARM dials it)."""
    reflector, target = config.reflector, config.target
    for path, address, connect in (
        ("reflector.ip", reflector.ip, reflector.connect),
        ("reflector.ip6", reflector.ip6, reflector.connect),
        ("target.ip", target.ip if target.kind == "bird" else None, target.connect),
        ("target.ip6", target.ip6 if target.kind == "bird" else None, target.connect),
    ):
        if address is not None:
            yield path, address, connect


def _sessions(config: Config) -> Iterator[Fault]:
    reflector, target = config.reflector, config.target
    if reflector.ip is None and reflector.ip6 is None and target.kind != "passive":
        yield Fault(
            "reflector.ip",
            "is empty and so is reflector.ip6; give one of them, since without a session no table can be learned",
            ("reflector.ip6", "target.kind"),
        )
    if target.kind == "bird" and target.ip is None and target.ip6 is None:
        yield Fault(
            "target.ip",
            'is missing and so is target.ip6; with kind = "bird" the address is needed that BIRD dials from, usually '
            "the switch's own",
            ("target.ip6", "target.kind"),
        )
    seen: dict[str, str] = {}
    for path, address, connect in _peers(config):
        if address in seen:
            yield Fault(
                path,
                f"{address} is also {seen[address]}; sessions are told apart by their remote address, so give BIRD "
                "two addresses, such as 127.0.0.1 and the switch's own",
                (seen[address], "target.kind"),
            )
        seen.setdefault(address, path)
        version = ipaddress.ip_address(address).version
        if not connect and all(ipaddress.ip_address(own).version != version for own in config.bgp.listen):
            dial = f"{path.partition('.')[0]}.connect"
            yield Fault(
                path,
                f"{address} can not reach ARM: bgp.listen has no IPv{version} address; add the one that the peer "
                f"dials, or set {dial}",
                ("bgp.listen", "target.kind", dial),
            )


def _slots(config: Config) -> Iterator[Fault]:
    target, selection = config.target, config.selection
    if target.prefixes == 0 and target.prefixes6 == 0:
        yield Fault(
            "target.prefixes",
            "is 0 and so is target.prefixes6; give at least one of them slots to fill",
            ("target.prefixes6",),
        )
    for family, path, slots in (
        (Family.IPV4, "target.prefixes", target.prefixes),
        (Family.IPV6, "target.prefixes6", target.prefixes6),
    ):
        pinned = sum(family_of(prefix) is family for prefix in selection.always)
        if pinned > slots:
            text = f"pins {pinned} for {family.label}, but {path} has room for {slots}"
            yield Fault("selection.always", text, (path,))


def _prefixes(config: Config) -> Iterator[Fault]:
    selection = config.selection
    for low, high in (("min_prefix_length", "max_prefix_length"), ("min_prefix_length6", "max_prefix_length6")):
        shortest, longest = getattr(selection, low), getattr(selection, high)
        if shortest > longest:
            other = f"selection.{high}"
            yield Fault(f"selection.{low}", f"{shortest} is above {other}, {longest}; no prefix is left", (other,))
    never = set(selection.never)
    for prefix in selection.always:
        if prefix in never:
            text = f"{format_prefix(prefix)} is in selection.never too; remove it from one of them"
            yield Fault("selection.always", text, ("selection.never",))
    for path, prefixes in (("selection.always", selection.always), ("selection.never", selection.never)):
        for prefix in prefixes:
            if prefix[1] == 0:
                text = f"{format_prefix(prefix)} is the default route, which ARM leaves to the switch; remove it"
                yield Fault(path, text)


def _ports(config: Config) -> Iterator[Fault]:
    host, port = split_endpoint(config.http.listen)
    version = ipaddress.ip_address(host).version
    for own in config.bgp.listen:
        address = ipaddress.ip_address(own)
        overlap = own == host or (
            address.version == version and (address.is_unspecified or ipaddress.ip_address(host).is_unspecified)
        )
        if port == config.bgp.port and overlap:
            text = f"{config.http.listen} is where bgp.port listens as well; choose another port"
            yield Fault("http.listen", text, ("bgp.port", "bgp.listen"))
            return


def _listening(config: Config) -> Iterator[Fault]:
    own = [ipaddress.ip_address(address) for address in config.bgp.listen]
    for path, address, connect in _peers(config):
        peer = ipaddress.ip_address(address)
        usable = [each for each in own if each.version == peer.version]
        if not connect and not peer.is_loopback and usable and all(each.is_loopback for each in usable):
            yield Fault(
                "bgp.listen",
                f"only loopback addresses, which {path} = {address} can hardly dial; add the address that it dials "
                "(the same one when BIRD runs on this switch)",
            )


def _ineffective(config: Config) -> Iterator[Fault]:
    if config.reflector.ip is None and config.reflector.ip6 is None:
        text = "is empty and so is reflector.ip6: flows are counted, but no table is learned and no route is found"
        yield Fault("reflector.ip", text)
    if config.reflector.add_path and config.target.kind != "kernel":
        yield Fault("reflector.add_path", 'has no effect: it is for kind = "kernel"')
    for item in fields(config.target):
        key: Key = item.metadata[KEY]
        # the AS number follows the reflector's, so it differs from its default without anyone's word
        if not key.targets or config.target.kind in key.targets or item.name == "as_":
            continue
        if getattr(config.target, item.name) != item.default:
            kinds = " or ".join(f'"{kind}"' for kind in key.targets)
            yield Fault(f"target.{item.name.rstrip('_')}", f"has no effect: it is for kind = {kinds}")


def _exposed(config: Config) -> Iterator[Fault]:
    host, _ = split_endpoint(config.http.listen)
    if not ipaddress.ip_address(host).is_loopback and config.http.token is None:
        text = f"{config.http.listen} is open to other machines, which can read everything; no http.token is set"
        yield Fault("http.listen", text)
