"""BGP: the table in from BIRD, the chosen routes out to it.

The codec is pure: `messages` frames and reads, `wire` and `aspath` check attributes, `interner` shares them, `encode`
writes. The sessions around it run on one thread with the sockets, the timers and the state machine of RFC 4271.
"""
