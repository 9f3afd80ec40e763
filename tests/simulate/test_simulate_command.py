"""`arm simulate` from end to end: an MRT dump, a recording of sFlow, plots, JSON, and what a daemon remembers."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import dpkt
import pytest
from test_compare import mrt_dump

from arm.daemon.memory import save
from arm.model import Family, parse_prefix
from arm.simulate.cli import main
from arm.simulate.compare.report import Cell, bars, lines
from arm.simulate.compare.run import Result
from arm.simulate.compare.summary import summary
from arm.simulate.encoder import datagram, flow_sample, sampled_ip

SECONDS = 12
AGENT = bytes([10, 0, 0, 1])


def recording(path: Path, addresses: list[bytes]) -> None:
    """Twelve seconds of an agent whose samples go mostly to the first addresses."""
    chance = random.Random(1)
    weights = [1 / (n + 1) for n in range(len(addresses))]
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, linktype=dpkt.pcap.DLT_RAW)
        for tenth in range(SECONDS * 10):
            samples = [
                flow_sample([sampled_ip(bytes([10, 1, 1, 1]), address, 1000)], sequence=tenth * 8 + n, rate=1000)
                for n, address in enumerate(chance.choices(addresses, weights, k=8))
            ]
            payload = datagram(samples, agent=AGENT, sequence=tenth + 1, uptime_ms=tenth * 100)
            udp = dpkt.udp.UDP(sport=40000, dport=6343, data=payload)
            udp.ulen = len(udp)
            packet = dpkt.ip.IP(src=AGENT, dst=AGENT, p=dpkt.ip.IP_PROTO_UDP, data=udp)
            packet.len = len(packet)
            writer.writepkt(bytes(packet), ts=100.0 + tenth / 10)


def test_a_recording_is_played_on_a_dump_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [(20 + n // 250, n % 250) for n in range(400)]
    mrt_dump(
        tmp_path / "rib.gz",
        {f"{a}.{b}.0.0/16": [(7, [1, 100 + b]), (9, [1] if b % 2 else [3, 4, 5])] for a, b in places},
    )
    recording(tmp_path / "sflow.pcap", [bytes([a, b, 1, 1]) for a, b in places])
    code = main(
        ["--mrt", str(tmp_path / "rib.gz"), "--recorded", str(tmp_path / "sflow.pcap"), "--next-hops", "2",
         "--slots", "20,60", "--policies", "arm,lru,sflow-rt", "--history", "6", "--seconds", "6", "--bound-every", "3",
         "--json", str(tmp_path / "all.json"), "--plots", str(tmp_path / "plots"), "--quiet"]
    )  # fmt: skip
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    (cell,) = json.loads((tmp_path / "all.json").read_text())["cells"]
    found = {(r["policy"], r["slots"]): r for r in cell["results"]}
    assert cell["profile"] == "recorded"
    for slots in (20, 60):
        for policy in ("arm", "lru", "sflow-rt"):
            result = found[policy, slots]
            assert (result["wrong_bytes"], result["wrong_operations"], result["overfull"]) == (0, 0, 0)
            assert 0.3 < result["coverage"] <= found["clairvoyant", slots]["coverage"] + 0.02
            assert f"| {slots} | {policy} | {result['coverage']:.2%} " in told.out
    assert main(["--merge", str(tmp_path / "all.json")]) == 0
    assert capsys.readouterr().out == told.out
    assert found["arm", 60]["coverage"] > found["arm", 20]["coverage"]
    drawn = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in drawn] == [
        "recorded-2-20-seconds.svg", "recorded-2-20.svg", "recorded-2-60-seconds.svg", "recorded-2-60.svg",
    ]  # fmt: skip
    for path in drawn:
        root = ElementTree.fromstring(path.read_text())
        assert root.tag.endswith("svg")
        assert any("arm" in (element.text or "") for element in root.iter())


def result(policy: str, coverage: float, churn: float = 10.0) -> Result:
    return Result(policy, 50, coverage, coverage, churn=churn)


def test_the_verdict_pairs_the_seeds_and_names_the_best_of_the_others() -> None:
    cells = [
        Cell("transit", 2, 1, [result("arm", 0.90, 5.0), result("lru", 0.88), result("sflow-rt", 0.80, 50.0)]),
        Cell("transit", 2, 2, [result("arm", 0.70, 5.0), result("lru", 0.69), result("sflow-rt", 0.60, 70.0)]),
        Cell("transit", 8, 1, [result("lru", 0.5)]),
    ]
    (line,) = summary(cells).splitlines()[2:]
    cell = [text.strip() for text in line.split("|")[1:-1]]
    assert cell[:4] == ["transit", "2", "50", "2"]
    assert cell[6].startswith("**80.00%**")
    # The seeds differ by 20 points, the policies by one and two: only the latter makes the interval of the difference.
    assert cell[7:9] == ["lru 78.50%", "+1.50 ± 6.36"]
    assert cell[9:] == ["5.0", "60.0", "1/12.0", "0"]


def test_a_file_of_something_else_is_one_line_and_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"cells": [{"profile": 1}]}')
    assert main(["--merge", str(tmp_path / "other.json")]) == 65
    assert capsys.readouterr().err.count("\n") == 1


def test_bars_and_lines_are_as_long_as_what_they_show() -> None:
    bar = [e for e in ElementTree.fromstring(bars("t", [("a", 0.5, 0.0), ("b", 1.0, 0.1)])).iter() if "rect" in e.tag]
    widths = [float(element.get("width", "0")) for element in bar[1:]]
    assert widths[0] == pytest.approx(widths[1] / 2, abs=0.1)
    drawn = ElementTree.fromstring(lines("t", [("a", [0.2, 0.9, 0.4])]))
    (line,) = (element for element in drawn.iter() if "polyline" in element.tag)
    heights = [float(point.split(",")[1]) for point in line.get("points", "").split()]
    assert heights[1] < heights[2] < heights[0]


def test_the_state_of_a_daemon_answers_what_more_slots_would_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        (parse_prefix(f"{20 + n // 250}.{n % 250}.0.0/16"), 1e6 / (n + 1), 5e3 / (n + 1), n < 10) for n in range(500)
    ]
    save(tmp_path, {Family.IPV4: rows, Family.IPV6: []}, 1)
    assert main(["--from-state", str(tmp_path), "--slots", "5,50,1000"]) == 0
    told = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[2].strip() for row in told] == ["5", "50", "1,000"]
    shares = [float(row[3].strip(" %")) for row in told]
    claimed = [float(row[4].strip(" %")) for row in told]
    assert shares == sorted(shares)
    assert claimed[-1] == 100
    assert all(share <= claim for share, claim in zip(shares, claimed, strict=True))


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"families": {"IPv4": [1]}}'])
def test_what_is_no_state_is_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "choice.json").write_bytes(content)
    assert main(["--from-state", str(tmp_path)]) == 65
    told = capsys.readouterr()
    assert told.err.startswith("arm simulate: ")
    assert told.err.count("\n") == 1
