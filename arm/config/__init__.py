"""The configuration: TOML in, frozen dataclasses out.

    schema       every key, with its default, range, unit and meaning
    rules        what a value may be
    checks       what several values may be together
    load         the file -> Config, or every error at once
    environment  what variables such as ARM_TARGET__PREFIXES set
    document     the reference page, from the schema

A Config that came from `load` is complete, in range and free of contradictions: nobody checks it again.
"""

from arm.config.checks import advice
from arm.config.load import ConfigError, load, parse
from arm.config.rules import Fault, split_endpoint
from arm.config.schema import (
    AnalyticsConfig,
    BgpConfig,
    Config,
    GeoConfig,
    HttpConfig,
    LogConfig,
    ReflectorConfig,
    SelectionConfig,
    SflowConfig,
    StateConfig,
    TargetConfig,
)

__all__ = [
    "AnalyticsConfig",
    "BgpConfig",
    "Config",
    "ConfigError",
    "Fault",
    "GeoConfig",
    "HttpConfig",
    "LogConfig",
    "ReflectorConfig",
    "SelectionConfig",
    "SflowConfig",
    "StateConfig",
    "TargetConfig",
    "advice",
    "load",
    "parse",
    "split_endpoint",
]
