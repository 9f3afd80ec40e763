"""The world around ARM, made up: tables of the Internet's shape, a BGP speaker that announces them, an sFlow agent.

The demo, the virtual switch, the tests and the benchmarks are built from it; what an operator runs never imports it.
"""
