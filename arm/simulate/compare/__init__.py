"""`arm simulate`: how much traffic each way of choosing keeps in hardware, how many changes it costs, and what was
possible.

    world      the table with its next hops, and the active destinations: the truth
    trace      how much each destination gets, second by second, and the samples that are taken of it
    hardware   an independent forwarding table: what becomes of each destination, after every single change
    contest    ARM's own engine, and the table that the others are made safe with
    baselines  the ways of choosing that others have published
    forest     the best that is possible: a tree program with a price on each slot
    run, report, cli

A choice is graded on the true traffic of the interval *after* the samples it was made of. IPv4 only; nothing in the
method depends on the family.
"""
