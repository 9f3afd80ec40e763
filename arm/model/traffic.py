"""What the sFlow listener hands to the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

COUNT_BITS = 24
COUNT_MASK = (1 << COUNT_BITS) - 1


@dataclass(slots=True, eq=False)
class TrafficBatch:
    """What the sFlow listener has seen since the last batch: filled by it, handed over, then left alone.

    The four dictionaries map a packed address to one integer: `scaled bytes << COUNT_BITS | number of samples`, where
    the scaled bytes are the sum of sampling rate x frame length (octets, corrected for lost samples). One dictionary
    operation for each sample and direction is what the speed of the whole path hangs on.
    """

    destinations4: dict[bytes, int] = field(default_factory=dict)
    destinations6: dict[bytes, int] = field(default_factory=dict)
    sources4: dict[bytes, int] = field(default_factory=dict)
    sources6: dict[bytes, int] = field(default_factory=dict)
    samples: int = 0
    """Flow samples counted above."""
