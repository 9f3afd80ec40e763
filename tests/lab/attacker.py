"""Attack-like traffic from inside a namespace: `attacker.py udp SECONDS SOURCE PORT DESTINATION RATE ...` or
`attacker.py tcp SECONDS DESTINATION PORT OCTETS_PER_SECOND ...`.

The UDP packets have sources that are not the machine's own, as those of an amplification attack seem to; the TCP
connections are real, from ports that are printed. The first line says when it began, CLOCK_MONOTONIC in ns.
"""

from __future__ import annotations

import socket
import sys
import time

IP_TRANSPARENT = 19
SO_MAX_PACING_RATE = 47
PAYLOAD = bytes(400)


def udp(seconds: float, words: list[str]) -> None:
    streams = []
    for source, port, destination, rate in zip(*[iter(words)] * 4, strict=True):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        sock.bind((source, int(port)))
        sock.connect((destination, 40000))
        streams.append((sock, float(rate)))
    begin = time.monotonic()
    print(time.monotonic_ns(), flush=True)  # noqa: T201
    sent = [0] * len(streams)
    while (passed := time.monotonic() - begin) < seconds:
        for number, (sock, rate) in enumerate(streams):
            for _ in range(int(passed * rate) - sent[number]):
                sock.send(PAYLOAD)
                sent[number] += 1
        time.sleep(0.002)


def tcp(seconds: float, words: list[str]) -> None:
    connections = []
    for destination, port, rate in zip(*[iter(words)] * 3, strict=True):
        sock = socket.create_connection((destination, int(port)), timeout=10)
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, int(rate))
        connections.append(sock)
    print(time.monotonic_ns(), *(sock.getsockname()[1] for sock in connections), flush=True)  # noqa: T201
    end = time.monotonic() + seconds
    data = bytes(16384)
    for sock in connections:
        sock.setblocking(False)
    while time.monotonic() < end:
        for sock in connections:
            try:
                sock.send(data)
            except BlockingIOError:
                continue
        time.sleep(0.001)


{"udp": udp, "tcp": tcp}[sys.argv[1]](float(sys.argv[2]), sys.argv[3:])
