#!/usr/bin/env python3
"""Which TCP connections are elephants, and over which AS path do they leave?

Prints `192.0.2.1,198.51.100.7,443,38016,64500-64501` for each connection that gets above the threshold. Only the
standard library is used, so that the script runs on the switch as it is.
"""

import argparse
import json
import urllib.request

KEYS = "ipsource,ipdestination,tcpsourceport,tcpdestinationport,bgpdestinationaspath"


def ask(address: str, document: object = None) -> object:
    """GET the address, or PUT a document there; the answer."""
    data = None if document is None else json.dumps(document).encode()
    question = urllib.request.Request(address, data, method="GET" if data is None else "PUT")
    with urllib.request.urlopen(question, timeout=90) as answer:
        return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints large TCP connections and their AS paths.")
    parser.add_argument("--url", default="http://localhost:8008", help="where ARM listens (default: %(default)s)")
    parser.add_argument("--above", type=float, default=1e9, help="bits a second (default: a gigabit)")
    options = parser.parse_args()

    ask(f"{options.url}/flow/elephant/json", {"keys": KEYS, "value": "bytes"})
    threshold = {"metric": "elephant", "value": options.above / 8, "byFlow": True}
    ask(f"{options.url}/threshold/elephant/json", threshold)

    newest = -1
    while True:
        query = f"thresholdID=elephant&maxEvents=10&timeout=60&eventID={newest}"
        events = ask(f"{options.url}/events/json?{query}")
        for event in reversed(events):  # they come newest first
            print(event["flowKey"], flush=True)
            newest = event["eventID"]


if __name__ == "__main__":
    main()
