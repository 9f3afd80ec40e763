"""Made-up countries for a made-up table, so that the demo's map has something to show.

Nothing of it is true: blocks of addresses are dealt out to countries by chance, about as often as those countries have
addresses on the Internet. No data of anyone is needed for that, and none is passed off as real: the file says that it
is made up, and the page shows what the file says. The same table gets the same countries on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from arm.model import Family, Prefix
from arm.simulate.mmdb import write
from arm.simulate.table import Table

DESCRIPTION: Final = "made-up countries of the demo (no real data)"
WEIGHTS: Final = {
    "US": 28, "CN": 9, "JP": 7, "DE": 7, "GB": 6, "FR": 5, "BR": 5, "KR": 4, "NL": 4, "CA": 4, "IT": 3, "AU": 3,
    "IN": 4, "RU": 3, "ES": 2, "SE": 2, "PL": 2, "CH": 1.5, "TW": 1.5, "MX": 1.5, "AT": 1, "BE": 1, "CZ": 1, "DK": 1,
    "FI": 1, "NO": 1, "SG": 1, "HK": 1, "ID": 1.2, "TR": 1.2, "ZA": 1.2, "AR": 1.2, "VN": 1, "TH": 0.8, "UA": 0.8,
    "RO": 0.8, "IE": 0.7, "PT": 0.7, "HU": 0.6, "GR": 0.6, "IL": 0.6, "CL": 0.7, "CO": 0.7, "EG": 0.7, "MA": 0.4,
    "NG": 0.6, "KE": 0.4, "SA": 0.6, "AE": 0.5, "IR": 0.5, "PK": 0.4, "BD": 0.3, "MY": 0.5, "PH": 0.5, "NZ": 0.6,
    "PE": 0.4, "KZ": 0.3, "IS": 0.2, "GH": 0.2, "DZ": 0.3,
}  # fmt: skip
"""Country -> how often a block is given to it."""
_BLOCK: Final = {Family.IPV4: 13, Family.IPV6: 29}
"""Prefix length of a block: shorter than nearly all prefixes, so that these lie in one country each."""


def made_up(table: Table, seed: int = 1) -> bytes:
    """An MMDB that has a country for every block with a prefix of `table` in it."""
    return write(_blocks(table, seed), description=DESCRIPTION, kind="Made-up-Country")


def _blocks(table: Table, seed: int) -> Iterator[tuple[Prefix, str]]:
    codes, weights = list(WEIGHTS), list(WEIGHTS.values())
    for family, length in _BLOCK.items():
        prefixes = table.families[family]
        shift = prefixes.bits - length
        blocks: set[int] = set()
        for address, own in zip(prefixes.addresses, prefixes.lengths, strict=True):
            # a prefix that is larger than a block has several
            first = address >> shift
            blocks.update(range(first, first + (1 << max(0, length - own))))
        chance = random.Random(seed * 2 + family)
        for block in sorted(blocks):
            (code,) = chance.choices(codes, weights)
            yield (prefixes.packed(block << shift), length), code
