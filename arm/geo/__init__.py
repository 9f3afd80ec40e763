"""Countries of addresses, from an MMDB file that the operator provides.

    database   the octets of an MMDB -> countries (pure)
    countries  the file: read when it is first asked for, and again when another one is in its place

Nothing of the main job needs this room: without a file, or with a damaged one, there are only no countries.
"""

from arm.geo.countries import Countries, State

__all__ = ["Countries", "State"]
