#!/usr/bin/env python3
"""Who sends the packets of a UDP amplification attack? Prints each source network and its AS: `192.0.2.0/24,64500`.

A reflector answers from the port of the service that is abused: 53 (DNS), 123 (NTP), 11211 (memcached). Only the
standard library is used, so that the script runs on the switch as it is.
"""

import argparse
import json
import urllib.request


def ask(address: str, document: object = None) -> object:
    """GET the address, or PUT a document there; the answer."""
    data = None if document is None else json.dumps(document).encode()
    question = urllib.request.Request(address, data, method="GET" if data is None else "PUT")
    with urllib.request.urlopen(question, timeout=90) as answer:
        return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints the source networks of a UDP amplification attack.")
    parser.add_argument("--url", default="http://localhost:8008", help="where ARM listens (default: %(default)s)")
    parser.add_argument("--port", default="53", help="UDP port of the reflectors (default: %(default)s)")
    parser.add_argument("--above", type=float, default=100_000, help="packets a second (default: %(default)s)")
    options = parser.parse_args()

    # frames a second of every source route and AS that answers from the port ...
    flow = {"keys": "mask:ipsource,bgpsourceas", "filter": f"udpsourceport={options.port}", "value": "frames"}
    ask(f"{options.url}/flow/ddos/json", flow)
    # ... and an event for each that gets above the threshold
    ask(f"{options.url}/threshold/ddos/json", {"metric": "ddos", "value": options.above, "byFlow": True})

    newest = -1
    while True:
        query = f"thresholdID=ddos&maxEvents=10&timeout=60&eventID={newest}"
        events = ask(f"{options.url}/events/json?{query}")
        for event in reversed(events):  # they come newest first
            print(event["flowKey"], flush=True)
            newest = event["eventID"]


if __name__ == "__main__":
    main()
