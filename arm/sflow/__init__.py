"""sFlow version 5 in: the datagrams of the switch's agent become bytes per address.

packet      the head of a sampled packet -> its IP addresses (pure)
datagram    sFlow bytes -> samples: the one walk that everything else stands on (pure)
records     the same samples in full, for counters, analytics and tests (pure)
sequence    sequence numbers -> what was lost, and how far to scale for it (pure)
collector   datagrams -> TrafficBatch and counters (pure: no socket, thread or clock)
listener    the socket and the thread that feed the collector
"""
