"""The decisions, pure: no socket, no thread, no clock. Time arrives as `now`, traffic and routes as events.

    rib        every route of the table
    traffic    bytes per second of each prefix; estimate has them at three time scales
    policy     what the engineer allows
    selection  which prefixes deserve a slot
    fib, plan  what is installed, and the safe order of its changes
    engine     events in, plans out
    queries    what may be asked of it, and why a prefix is as it is

Only one thread calls in here, so nothing has a lock; the same events give the same plans.
"""
