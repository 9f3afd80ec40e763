"""`arm show` against the real API over a small engine, in which every value can be checked by hand."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fake_arm import NOW_MS, FakeEngine, family_status, session, status

from arm.cli import Exit, main
from arm.config import Config
from arm.model import Family, Hits, ListenerStatus, SessionState
from arm.observe.board import Board
from arm.web.app import create_app
from arm.web.server import Server


@pytest.fixture
def board() -> Board:
    board = Board(FakeEngine().ask)
    # ten seconds ago everything counted less, so that there are rates to show
    board.publish(
        status(
            time_ms=NOW_MS - 10_000,
            listener=ListenerStatus(datagrams=400, flow_samples=2500),
            families={Family.IPV4: family_status(added=2), Family.IPV6: family_status(rib_prefixes=2)},
        )
    )
    board.publish(status())
    return board


@pytest.fixture
def url(board: Board) -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = Server(create_app(board, Config(), now_ms=lambda: NOW_MS), [sock])
        server.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.stop()


Shown = tuple[int, str]


def _show(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> Shown:
    code = main(["show", *arguments, "--url", url])
    out, err = capsys.readouterr()
    assert code in (Exit.OK, Exit.PROBLEM), err
    return code, out or err


def _row(text: str, first: str) -> list[str]:
    """The words of the one table row that begins with `first`."""
    (line, *_) = [line for line in text.splitlines() if line.split()[:1] == [first]]
    return line.split()


def test_status_is_the_whole_state_with_units(capsys: pytest.CaptureFixture[str], url: str) -> None:
    code, text = _show(capsys, url, "status")
    assert code == Exit.OK
    assert text.splitlines()[0] == "arm 1.2.3, up 10 min 0 s"
    ipv4 = " ".join(_row(text, "IPv4"))
    assert ipv4.startswith("IPv4 8 6 3 of 100 90.0 % 90.0 % 8.0 kbit/s 3.2 kbit/s +0.3/s")
    assert ipv4.endswith("10.0.0.134")
    assert _row(text, "reflector")[:6] == ["reflector", "127.0.0.1", "65136", "established", "1", "min"]
    assert "sflow: 50/s samples, " in text
    assert "agent 10.0.0.136: 1 in 1,000, last seen 0.1 s ago\n" in text
    assert "target bird: up, 40 changes made, 0 waiting, 0 failed\n" in text
    assert "191 MiB, tick 2 ms" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_status_as_json_is_the_daemons_answer(capsys: pytest.CaptureFixture[str], url: str) -> None:
    _, text = _show(capsys, url, "status", "--json")
    document = json.loads(text)
    assert document["families"]["ipv4"]["slots_used"] == 3


def test_status_without_traffic_has_dashes(capsys: pytest.CaptureFixture[str], url: str, board: Board) -> None:
    quiet = family_status(hits=Hits(), default_next_hop=None, active_prefixes=0)
    for second in range(61):
        board.publish(status(time_ms=NOW_MS + second * 1000, families={Family.IPV4: quiet}, sessions=()))
    _, text = _show(capsys, url, "status")
    assert " ".join(_row(text, "IPv4")).startswith("IPv4 8 0 3 of 100 - - 0 bit/s 0 bit/s")
    assert "no BGP sessions" in text


def test_top_ranks_by_traffic_and_tells_what_is_in_hardware(capsys: pytest.CaptureFixture[str], url: str) -> None:
    code, text = _show(capsys, url, "top", "-n", "2")
    assert code == Exit.OK
    first, second = _row(text, "1"), _row(text, "2")
    assert first[1:4] == ["10.0.0.0/8", "8.0", "kbit/s"]
    assert second[1:4] == ["10.1.0.0/16", "4.0", "kbit/s"]
    assert "installed" in second
    assert second[-2:] == ["10.0.0.135", "64510-4200000001"]
    assert text.splitlines()[-1] == ("2 of 6 prefixes with traffic carry 12.0 kbit/s of 16.8 kbit/s, 71.4 %")


def test_top_of_sources_and_of_ipv6(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert _row(_show(capsys, url, "top", "--source")[1], "1")[1] == "192.0.2.0/24"
    assert _row(_show(capsys, url, "top", "-6")[1], "1")[1] == "2001:db8:1::/48"
    assert _show(capsys, url, "top", "-6", "--source") == (Exit.OK, "no prefix has traffic\n")


def test_why_explains_an_address_with_all_its_routes(capsys: pytest.CaptureFixture[str], url: str) -> None:
    code, text = _show(capsys, url, "why", "10.1.2.3")
    assert code == Exit.OK
    lines = text.splitlines()
    assert lines[0] == "10.1.2.3: no slot"
    assert lines[2] == "traffic of 10.1.2.0/24: 1.6 kbit/s ±44 %"
    assert lines[3] == "in hardware: 10.1.0.0/16 (route) via 10.0.0.135, since 2027-01-15 07:59:55 UTC"
    table = lines[lines.index("") + 2 :]
    assert [line.split()[0] for line in table] == ["10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]


def test_why_takes_prefixes_of_ipv6(capsys: pytest.CaptureFixture[str], url: str) -> None:
    _, text = _show(capsys, url, "why", "2001:db8:1::/48")
    assert text.startswith("2001:db8:1::/48: ")


def test_why_of_what_no_route_contains_is_a_problem(capsys: pytest.CaptureFixture[str], url: str) -> None:
    code, text = _show(capsys, url, "why", "3fff::1")
    assert code == Exit.PROBLEM
    assert "No route of the table contains it." in text


@pytest.mark.parametrize("query", ["10.0.0.1/8", "example.net", "..", "a b?c#d", "10.0.0.0/99"])
def test_why_of_what_is_no_prefix_is_a_wrong_argument(capsys: pytest.CaptureFixture[str], url: str, query: str) -> None:
    assert main(["show", "why", query, "--url", url]) in (Exit.USAGE, Exit.PROBLEM)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_health_names_what_is_wrong_and_ends_with_1(capsys: pytest.CaptureFixture[str], url: str, board: Board) -> None:
    good = status()
    assert _show(capsys, url, "health") == (Exit.OK, "health: ok\n")
    board.publish(
        replace(good, sessions=(session(state=SessionState.ACTIVE, reason="hold timer expired"), *good.sessions[1:]))
    )
    code, text = _show(capsys, url, "health")
    assert code == Exit.PROBLEM
    assert text.startswith("health: error, not ready\n  error (bgp): BGP session reflector with 127.0.0.1")
    assert "hold timer expired" in text
