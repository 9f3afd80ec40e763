"""The view of flows in a real browser: one is defined, watched as a chart and a table, and deleted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import LOOKS, fits, violations, watched
from fake_arm import NOW_MS, FakeEngine, status

from arm.analytics import Analytics
from arm.config import AnalyticsConfig, Config, HttpConfig
from arm.observe.board import Board
from arm.simulate.agent import Agent
from arm.web.app import STATIC, create_app
from arm.web.server import Server

TOKEN = "0123456789abcdef"
NAMED = """() => {
    const label = document.querySelector('.watched .plot').getAttribute('aria-label');
    return /192.0.2.1,198.51.100.7 [\\d.]+ .b.s/.test(label);
}"""


class Samples:
    """A listener whose traffic never ends: nine samples in ten are of one pair of addresses."""

    def __init__(self) -> None:
        self.callback: Callable[[bytes], None] | None = None
        self.stopping = threading.Event()
        self.agent = Agent(None, rate=100)
        busy, quiet = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
        peer = bytes([198, 51, 100, 7])
        self.built = self.agent.prebuild([(busy, peer, 1000)] * 63 + [(quiet, peer, 1000)] * 7)
        self.thread = threading.Thread(target=self._run)

    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None:
        self.callback = None if counters_only else callback

    def _run(self) -> None:
        while not self.stopping.wait(0.05):
            for built in self.built:
                if self.callback is not None:
                    self.callback(bytes(self.agent.number(built)))


def _running(http: HttpConfig) -> Iterator[str]:
    samples = Samples()
    analytics = Analytics(AnalyticsConfig(), samples, lambda some: [None] * len(some), local_as=65000)
    board = Board(FakeEngine().ask)
    board.publish(status(NOW_MS))
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(board, Config(http=http), analytics=analytics, now_ms=lambda: NOW_MS), [sock])
    analytics.start()
    server.start()
    samples.thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/#/flows"
    samples.stopping.set()
    samples.thread.join()
    analytics.stop()
    server.stop()


@pytest.fixture
def url() -> Iterator[str]:
    yield from _running(HttpConfig())


@pytest.fixture
def locked() -> Iterator[str]:
    yield from _running(HttpConfig(token=TOKEN))


def define(page: Any, name: str, keys: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Keys").fill(keys)
    page.get_by_role("button", name="Define", exact=True).click()


def test_a_flow_is_defined_watched_and_deleted(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_text("No flow is defined yet.").wait_for()
    page.get_by_role("button", name="Conversations").click()
    page.get_by_role("button", name="Define", exact=True).click()
    row = page.get_by_role("row", name="192.0.2.1,198.51.100.7")
    row.wait_for()
    assert page.url.endswith("#/flows?flow=conversations")
    page.wait_for_function("() => /^(89|90|91)/.test(document.querySelector('.watched .share span').textContent)")
    assert "b/s" in row.inner_text()
    if (STATIC / "uplot.js").exists():
        page.locator(".watched .plot canvas").wait_for()
        page.wait_for_function(NAMED)
    page.get_by_role("button", name="Delete conversations").click()
    page.get_by_text("No flow is defined yet.").wait_for()
    assert page.locator(".watched").is_hidden()
    assert page.complaints == []


def test_a_wrong_key_is_pointed_at(page: Any, url: str) -> None:
    page.goto(url)
    define(page, "odd", "ipsource,ipdestinatoin")
    said = page.get_by_role("alert").filter(has_text="ipdestination")
    said.wait_for()
    pointed, below = said.locator("pre").inner_text().splitlines()
    assert (pointed, below.index("^")) == ("ipsource,ipdestinatoin", 9)
    assert page.evaluate("document.activeElement.id") == "flow-keys"


def test_the_token_is_asked_for_when_it_is_needed(page: Any, locked: str) -> None:
    page.goto(locked)
    define(page, "pairs", "ipsource")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Define", exact=True).click()
    page.get_by_role("row", name="192.0.2.1").wait_for()


@pytest.mark.parametrize("look", sorted(LOOKS))
def test_the_view_is_accessible_and_fits(browser: Any, url: str, look: str) -> None:
    context = browser.new_context(**LOOKS[look], bypass_csp=True)
    page = watched(context)
    page.goto(url)
    define(page, "all", "ipsource,ipdestination,macsource,macdestination,udpsourceport,udpdestinationport,ipprotocol")
    page.get_by_role("row", name="192.0.2.1").wait_for()
    assert fits(page)
    assert violations(page) == []
    assert page.complaints == []
    context.close()
