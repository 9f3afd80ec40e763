"""What the virtual switch consists of: names, addresses, files and sizes. No side effects."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SWITCH: Final = "10.0.0.136"
SWITCH6: Final = "fd00::136"
CLIENT: Final = "10.0.0.130"
CLIENT6: Final = "fd00::130"
LOCAL_AS: Final = 65136


@dataclass(frozen=True, slots=True)
class Upstream:
    """One of the two peers, with the addresses of conf/bird2.conf."""

    name: str
    """peer-a or peer-b: its namespace (before the prefix), and the switch's interface to it."""
    letter: str
    slot: int
    as_number: int
    address: str
    address6: str


PEER_A: Final = Upstream("peer-a", "a", 0, 65134, "10.0.0.134", "fd00::134")
PEER_B: Final = Upstream("peer-b", "b", 1, 65135, "10.0.0.135", "fd00::135")
PEERS: Final = (PEER_A, PEER_B)


@dataclass(frozen=True, slots=True)
class Layout:
    """One virtual switch. All of it follows from these values; they are kept in the run directory."""

    run: Path
    """Directory for everything that it writes."""
    bird_conf: Path
    prefix: str = ""
    """Stands before the names of the namespaces, so that several labs do not meet."""
    ipv4: int = 150_000
    ipv6: int = 30_000
    seed: int = 1
    share: float = 0.5
    """Share of the paths that peer-b wins."""
    table_file: Path | None = None
    """A list of real prefixes to take instead of a made-up table."""
    slots: float = 0.05
    """Hardware slots as a share of the prefixes of each family."""
    sampling: int = 5
    """The agent samples one packet in so many."""
    default: str = "a"
    """The peer whose default route wins."""
    target: str = "bird"
    """bird, kernel or passive."""
    http: int = 8008
    """Port of the page on the machine's loopback; 0 takes a free one."""
    rate: float = 10_000.0
    """Packets a second."""
    active: int = 0
    """Destinations of the traffic; 0 takes twice as many as there are slots."""
    packet_log: bool = False
    """Receivers write a record of each packet."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,15}|", self.prefix):
            raise ValueError(f"prefix {self.prefix!r} is not up to 16 lower-case letters, digits and hyphens")
        if self.sampling < 1 or not 0 < self.slots <= 1 or not 0 <= self.share <= 1 or self.ipv4 < 1 or self.ipv6 < 1:
            raise ValueError("sampling and sizes are at least 1, slots and share between 0 and 1")

    def namespace(self, name: str) -> str:
        """Full name of a namespace: peer-a, peer-b, switch or client."""
        return f"{self.prefix}{name}"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(map(self.namespace, (PEER_A.name, PEER_B.name, "switch", "client")))

    @property
    def table(self) -> Path:
        return self.run / "table"

    @property
    def bird_control(self) -> Path:
        return self.run / "bird.ctl"

    @property
    def arm_conf(self) -> Path:
        return self.run / "arm.toml"

    @property
    def agent_conf(self) -> Path:
        return self.run / "uacctd.conf"

    def control(self, part: str) -> Path:
        """Unix socket that takes the commands of upstream-a, receiver-b, traffic, ..."""
        return self.run / f"{part}.sock"

    def journal(self, peer: Upstream) -> Path:
        """What the upstream has told, see arm.simulate.upstream."""
        return self.run / f"upstream-{peer.letter}.journal"

    def packets(self, peer: Upstream) -> Path:
        """Records of the packets that arrived there, see arm.simulate.receiver."""
        return self.run / f"receiver-{peer.letter}.packets"

    def slots_of(self, prefixes: int) -> int:
        """Hardware slots for a family with so many prefixes."""
        return max(1, round(prefixes * self.slots))

    @property
    def destinations(self) -> int:
        """Destinations of the traffic."""
        return self.active or 2 * self.slots_of(self.ipv4 + self.ipv6)

    def save(self) -> None:
        """Keep it for later commands."""
        values = {
            name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(self).items()
        }
        (self.run / "lab.json").write_text(json.dumps(values, indent=1) + "\n")

    @classmethod
    def load(cls, run: Path) -> Self | None:
        """The lab of a run directory; None if there is none."""
        try:
            values = json.loads((run / "lab.json").read_text())
        except FileNotFoundError:
            return None
        for name in ("run", "bird_conf", "table_file"):
            values[name] = None if values[name] is None else Path(values[name])
        return cls(**values)
