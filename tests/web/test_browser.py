"""The page in a real browser over an engine whose every number is known: searches, refusals, a lost ARM, the token.

Every view in dark and on a phone stands here; in light, with the charts that move, in test_demo_in_browser.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from chromium import LOOKS, fits, violations, watched
from fake_arm import FakeEngine, status

from arm.config import Config, HttpConfig
from arm.model import ChangeRecord, Reason, Status, What, parse_prefix
from arm.observe.board import Board
from arm.web.app import STATIC, create_app
from arm.web.server import Server

START_MS = 1_900_000_000_000


@dataclass
class Running:
    """ARM with a fake engine, one published second after the other."""

    engine: FakeEngine
    board: Board
    port: int
    server: Server
    seconds: int = 0
    change: dict[str, object] = field(default_factory=dict)

    def publish(self) -> None:
        now_ms = START_MS + self.seconds * 1000
        self.seconds += 1
        started = START_MS - 3_600_000
        self.board.publish(replace(status(now_ms), started_ms=started, **self.change))  # type: ignore[arg-type]

    def url(self, tail: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{tail}"


def _running(http: HttpConfig) -> Iterator[Running]:
    engine = FakeEngine()
    for number in range(1, 4):
        record = ChangeRecord(number, START_MS + number, parse_prefix("10.1.0.0/16"), What.INSTALLED, Reason.NEW)
        engine.log.append(record)
    board = Board(engine.ask)
    sock = socket.create_server(("127.0.0.1", 0))
    last: list[Running] = []
    app = create_app(board, Config(http=http), now_ms=lambda: START_MS + last[0].seconds * 1000)
    server = Server(app, [sock])
    arm = Running(engine, board, sock.getsockname()[1], server)
    last.append(arm)
    for _ in range(5):
        arm.publish()
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.3):
            arm.publish()

    ticker = threading.Thread(target=tick)
    server.start()
    ticker.start()
    yield arm
    stop.set()
    ticker.join()
    server.stop()


@pytest.fixture
def running() -> Iterator[Running]:
    yield from _running(HttpConfig())


@pytest.fixture
def locked() -> Iterator[Running]:
    yield from _running(HttpConfig(token="0123456789abcdef", protect_reads=True))


def test_the_overview_shows_health_families_sessions_and_moving_charts(page, running: Running) -> None:
    page.goto(running.url())
    page.locator("#health").get_by_text("All is well").wait_for()
    assert "3 of 3 sessions up" in page.locator("#health").inner_text()
    card = page.locator("section.family").filter(has_text="IPv4").first
    card.get_by_text("90.0%", exact=True).wait_for()
    card.get_by_text("3 of 100").wait_for()
    assert page.locator("#live-text").inner_text() == "live"
    page.get_by_role("row", name="reflector6").wait_for()
    if (STATIC / "uplot.js").exists():
        page.locator(".plot canvas").first.wait_for()
        label = page.locator(".plot").first
        page.wait_for_function("() => document.querySelectorAll('.plot canvas').length >= 5")
        assert "Latest: IPv4 90.0%" in (label.get_attribute("aria-label") or "")
    else:
        page.get_by_text("scripts/build-web adds them").wait_for()
    assert page.complaints == []


VIEWS = {
    "": "In hardware",
    "#/traffic": "AS 64501",
    "#/traffic?family=ipv6": "AS 64502",
    "#/map": "set [geo] country",
    "#/prefixes": "10.0.0.0/8",
    "#/prefixes?family=ipv6": "2001:db8:1::/48",
    "#/prefixes?as=64510&sort=prefix": "1 to 3 of 3 (6 have traffic)",
    "#/prefixes?as=1": "No prefix with traffic is like that.",
    "#/cache": "3 of 100",
    "#/capacity": "97.9%",
    "#/changes": "10.1.0.0/16",
    "#/resources": "No counters of the switch have arrived",
    "#/config": "receive_buffer",
    "#/help": "right by default",
    "#/why/10.1.2.3": "10.1.2.0/24 is what it is.",
}
"""Every view, by its address, with a text that it shows once it has its data."""


@pytest.mark.parametrize("look", ["dark", "phone"])
def test_every_view_opens_by_its_address_is_accessible_and_complains_of_nothing(
    browser: object, running: Running, look: str
) -> None:
    context = browser.new_context(**LOOKS[look], bypass_csp=True)
    page = watched(context)
    for view, text in VIEWS.items():
        page.goto(running.url(view))
        page.locator("#health").get_by_text("All is well").wait_for()
        page.locator("main").get_by_text(text).first.wait_for()
        assert page.title().endswith("Active Route Manager")
        assert fits(page), f"{view} scrolls sideways"
        assert violations(page) == [], view
    assert page.complaints == []
    context.close()


def test_prefixes_are_ranked_and_switch_families(page, running: Running) -> None:
    page.goto(running.url("#/prefixes"))
    page.get_by_role("link", name="10.0.0.0/8").wait_for()
    first = page.locator("tbody tr").first
    assert "8.00 kb/s" in first.inner_text()
    page.get_by_role("button", name="IPv6").click()
    page.get_by_role("link", name="2001:db8:1::/48").wait_for()
    assert page.url.endswith("family=ipv6&direction=destination")


def test_prefixes_are_sorted_by_a_click_and_filtered_by_what_is_typed(page, running: Running) -> None:
    page.goto(running.url("#/prefixes"))
    page.get_by_role("button", name="Prefix", exact=True).click()
    page.locator("tbody tr").nth(5).get_by_text("198.51.100.0/24").wait_for()
    assert page.get_by_role("columnheader", name="Prefix").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="Prefix").click()
    page.locator("tbody tr").first.get_by_text("198.51.100.0/24").wait_for()
    page.locator("#filter").fill("AS64510")
    page.locator("#filter").press("Enter")
    page.get_by_text("1 to 3 of 3 (6 have traffic)").wait_for()
    shared = page.url
    assert "as=64510" in shared
    page.locator("#state").select_option("installed")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("1 to 2 of 2 (6 have traffic)").wait_for()
    page.get_by_role("button", name="Show all").click()
    page.get_by_text("1 to 6 of 6").wait_for()
    page.goto(shared)
    page.get_by_text("1 to 3 of 3").wait_for()


def test_an_as_in_the_search_lists_its_prefixes(page, running: Running) -> None:
    page.goto(running.url())
    page.locator("#query").fill("as 64510")
    page.locator("#query").press("Enter")
    page.get_by_text("1 to 3 of 3 (6 have traffic)").wait_for()


def test_an_as_of_the_traffic_leads_to_its_prefixes(page, running: Running) -> None:
    page.goto(running.url("#/traffic"))
    page.get_by_role("link", name="AS 4200000001").first.click()
    page.get_by_role("link", name="10.1.2.0/24").wait_for()
    assert "as=4200000001" in page.url


def test_the_search_says_why_and_its_address_can_be_shared(page, running: Running) -> None:
    page.goto(running.url())
    page.keyboard.press("/")
    page.keyboard.type("10.1.2.3")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Why 10.1.2.3").wait_for()
    page.get_by_text("10.1.2.0/24 is what it is.").wait_for()
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    page.get_by_text("10.1.2.0/24 is what it is.").wait_for()
    assert page.locator("tbody tr").count() == 4


def test_a_bad_query_is_answered_with_what_would_be_right(page, running: Running) -> None:
    page.goto(running.url())
    page.locator("#query").fill("10.1.2.3/8")
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("has bits set behind its prefix length").wait_for()
    page.get_by_text("Ask for an address such as").wait_for()


def test_changes_are_listed_and_come_in(page, running: Running) -> None:
    page.goto(running.url("#/changes"))
    page.locator("tbody tr").nth(2).wait_for()
    running.engine.log.append(ChangeRecord(4, START_MS, parse_prefix("192.0.2.0/24"), What.REMOVED, Reason.IDLE))
    page.get_by_role("link", name="192.0.2.0/24").wait_for()
    assert page.locator("tbody tr").count() == 4


def test_a_lost_arm_is_told_and_found_again(page, running: Running) -> None:
    page.goto(running.url())
    page.locator("#health").get_by_text("All is well").wait_for()
    latest: Status = running.board.status()
    assert latest.version
    page.route("**/arm/status/json", lambda route: route.abort())
    page.locator("#health").get_by_text("ARM can not be reached").wait_for()
    assert page.locator("#live-text").inner_text() == "no answer"
    page.unroute("**/arm/status/json")
    page.locator("#health").get_by_text("All is well").wait_for()


def test_the_keyboard_reaches_the_content_first(page, running: Running) -> None:
    page.goto(running.url())
    page.locator("#health").get_by_text("All is well").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_a_page_that_needs_the_token_asks_for_it(page, locked: Running) -> None:
    page.goto(locked.url())
    page.locator("#health").get_by_text("The token is needed").wait_for()
    page.locator("#token").fill("0123456789abcdef")
    page.get_by_role("button", name="Show").click()
    page.locator("#health").get_by_text("All is well").wait_for()
    page.get_by_role("row", name="reflector6").wait_for()
