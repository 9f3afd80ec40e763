"""Configuration: TOML in, frozen dataclasses out."""

from __future__ import annotations

from dataclasses import dataclass, field

from arm.model import Prefix


@dataclass(frozen=True, slots=True)
class SflowConfig:
    listen: str = "127.0.0.1:6343"
    ip: str | None = None
    """The agent whose samples count; default: any."""
    t: float = 10.0
    """Time constant of the traffic averages in seconds."""
    receive_buffer: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BgpConfig:
    port: int = 1179
    listen: tuple[str, ...] = ("127.0.0.1", "::1")
    hold_time: int = 90
    restart_time: int = 120
    """Graceful restart: seconds that peers keep ARM's routes while it restarts, and ARM theirs without their word."""


@dataclass(frozen=True, slots=True)
class ReflectorConfig:
    ip: str | None = "127.0.0.1"
    ip6: str | None = None
    as_: int = 65000          # TOML key: as
    id: str = "0.0.0.1"
    password: str | None = None
    connect: bool = False
    """Dial out to the peer instead of waiting for it."""
    port: int = 179
    """Port to dial when `connect` is set."""


@dataclass(frozen=True, slots=True)
class TargetConfig:
    kind: str = "passive"
    ip: str | None = None
    ip6: str | None = None
    as_: int = 65000          # TOML key: as
    id: str = "0.0.0.2"
    password: str | None = None
    connect: bool = False
    port: int = 179
    prefixes: int = 10000
    prefixes6: int = 10000
    minvalue: float = 0.0
    table: int = 254
    metric: int = 32
    protocol: int = 198
    interfaces: tuple[str, ...] = ()
    on_stop: str = "keep"


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    min_prefix_length: int = 1
    max_prefix_length: int = 32
    min_prefix_length6: int = 1
    max_prefix_length6: int = 128
    always: tuple[Prefix, ...] = ()
    never: tuple[Prefix, ...] = ()
    reserve: float = 0.02
    """Share of the slots kept for exceptions that BGP changes need."""
    idle_timeout: float = 600.0
    churn: int = 2000
    """At most so many changes a second that are not needed for correctness."""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    listen: str = "127.0.0.1:8008"
    token: str | None = None


@dataclass(frozen=True, slots=True)
class StateConfig:
    directory: str | None = "/var/lib/arm"


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Config:
    sflow: SflowConfig = field(default_factory=SflowConfig)
    bgp: BgpConfig = field(default_factory=BgpConfig)
    reflector: ReflectorConfig = field(default_factory=ReflectorConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    state: StateConfig = field(default_factory=StateConfig)
    log: LogConfig = field(default_factory=LogConfig)
