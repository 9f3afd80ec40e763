"""Active Route Manager: an Internet router from a switch that holds few routes.

The data path, in order; each step is a room of its own:

    sflow      datagrams of the switch's sFlow agent -> bytes per destination
    bgp        sessions with the local BIRD -> routes, and routes back to it
    core       the table (rib), the traffic (traffic), the choice (selection),
               the safe order of changes (plan), and the engine that turns events into plans
    target     applies a plan: to BIRD, to the kernel, or to nothing (passive)
    observe    what is true now: board, health, metrics, logs
    web        the same for people and scripts

`model` holds the values that pass between the rooms; `daemon` wires them together; `cli` is the way in.
"""

__version__ = "0.1.0"
