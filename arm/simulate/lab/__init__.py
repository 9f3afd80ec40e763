"""The virtual switch: network namespaces, BIRD, a real sFlow agent, two upstreams, traffic, and ARM, on one machine.

    client --- switch --- peer-a (AS 65134)      switch: BIRD, uacctd, ARM (AS 65136)
                   `----- peer-b (AS 65135)      peers: an upstream's BGP feed, and a receiver that owns every address

layout says what there is and where, network makes the namespaces, processes starts and ends programs, parts says how
each program is started, up and down put it together, and __main__ is the command line behind scripts/lab.

Invariants: nothing links these namespaces with the machine's own network, so no packet to an address of the table can
leave them. What `up` made, `down` finds again from the run directory and takes away, whatever has crashed in between;
it never touches a process that the lab did not start.
"""
