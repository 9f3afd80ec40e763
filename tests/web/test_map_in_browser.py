"""The world map in a real browser: a daemon, a table over BGP, and samples to countries that the test knows."""

from __future__ import annotations

import gzip
import json
import math
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chromium import violations, watched
from polling import until

from arm.model import Family, parse_address, parse_prefix
from arm.simulate.agent import Agent
from arm.simulate.mmdb import write
from arm.simulate.paths import Paths
from arm.simulate.table import FamilyTable, Table
from arm.web.app import STATIC

pytestmark = pytest.mark.skipif(not (STATIC / "map.json").exists(), reason="scripts/build-web has not been run")

PLACES = {
    "AU": ("20.1.0.0/16", (134.4, -25.6)),
    "DE": ("20.2.0.0/16", (10.4, 51.1)),
    "BR": ("20.3.0.0/16", (-53.1, -10.8)),
    "US": ("2400:1::/32", (-98.6, 39.8)),
    "ZA": ("20.5.0.0/16", (25.1, -29.0)),
    "IN": ("20.6.0.0/16", (79.6, 22.9)),
    "AR": ("20.7.0.0/16", (-65.2, -35.4)),
    "KE": ("20.8.0.0/16", (37.9, 0.5)),
}
"""Country -> a prefix in it, and longitude and latitude of its middle, from an atlas."""
AT_FIRST = {"AU": 100, "DE": 10, "BR": 1, "US": 5}
"""Country -> samples in a twentieth of a second."""
LATER = ("ZA", "IN", "AR", "KE")
STEP = 0.05
WITHIN = 2.0
CONFIG = """
[sflow]
listen = "127.0.0.1:{sflow}"
[bgp]
port = {bgp}
listen = ["127.0.0.1"]
[reflector]
ip = "127.0.0.1"
as = 65136
[target]
kind = "passive"
[http]
listen = "127.0.0.1:{http}"
[state]
directory = ""
[geo]
country = "{countries}"
[log]
level = "warning"
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def mmdb(swapped: dict[str, str] | None = None) -> bytes:
    names = swapped or {}
    return write(
        [(parse_prefix(prefix), names.get(code, code)) for code, (prefix, _) in PLACES.items()], description="a test"
    )


def small_table() -> Table:
    families = {family: FamilyTable(family) for family in Family}
    for number, (prefix, _) in enumerate(PLACES.values()):
        packed, length = parse_prefix(prefix)
        family = families[Family.IPV4 if len(packed) == 4 else Family.IPV6]
        family.append(int.from_bytes(packed[: family.bits // 8], "big"), length, number)
    return Table(families, Paths(seed=1, origins=array("I", range(64500, 64500 + len(PLACES))), share=0.5))


class Traffic:
    """Samples to each country at a steady rate, from a thread of its own."""

    def __init__(self, port: int) -> None:
        self.rates: dict[str, int] = {}
        self._agent = Agent(("127.0.0.1", port), rate=1000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(STEP):
            for country, samples in list(self.rates.items()):
                packed, _ = parse_prefix(PLACES[country][0])
                source = parse_address("198.18.0.1" if len(packed) == 4 else "fd00::1")
                for _ in range(samples):
                    self._agent.sample(source, packed[:-1] + b"\7", 1000)
            self._agent.flush()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._agent.close()


@dataclass
class Arm:
    """A running daemon with its traffic."""

    page: str
    countries: Path
    traffic: Traffic

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.page}{path}", timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    directory = tmp_path_factory.mktemp("map")
    ports = {"sflow": free_port(socket.SOCK_DGRAM), "bgp": free_port(socket.SOCK_STREAM)}
    ports["http"] = free_port(socket.SOCK_STREAM)
    countries = directory / "countries.mmdb"
    countries.write_bytes(mmdb())
    small_table().save(directory / "table")
    (directory / "arm.toml").write_text(CONFIG.format(**ports, countries=countries))
    commands = (
        ("arm", "run", "-c", directory / "arm.toml"),
        ("arm.simulate.reflection", "--table", directory / "table", "--port", str(ports["bgp"]),
         "--control", directory / "control.sock"),
    )  # fmt: skip
    processes = [subprocess.Popen([sys.executable, "-m", *command]) for command in commands]
    running = Arm(f"http://127.0.0.1:{ports['http']}", countries, Traffic(ports["sflow"]))

    def learned() -> bool:
        try:
            families = running.get("/arm/status/json")["families"].values()
        except OSError:
            return False
        return sum(family["rib_prefixes"] for family in families) >= len(PLACES)

    try:
        until(learned, 30)
        yield running
    finally:
        running.traffic.stop()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


@pytest.fixture(scope="module")
def busy(arm: Arm) -> Arm:
    """The same, with traffic that has come to rest."""
    arm.traffic.rates.update(AT_FIRST)
    until(lambda: len(arm.get("/arm/countries/json")["countries"]) >= len(AT_FIRST), 20)
    return arm


def projected(longitude: float, latitude: float, width: float) -> tuple[float, float]:
    """Where Natural Earth's polynomials (Patterson, Savric, Jenny) put a point, 11 E in the middle."""
    x, y = math.radians((longitude - 11 + 180) % 360 - 180), math.radians(latitude)

    def across(phi: float) -> float:
        return 0.8707 - 0.131979 * phi**2 - 0.013791 * phi**4 + 0.003971 * phi**10 - 0.001529 * phi**12

    def up(phi: float) -> float:
        return 1.007226 * phi + 0.015085 * phi**3 - 0.044475 * phi**7 + 0.028874 * phi**9 - 0.005916 * phi**11

    scale = width / (2 * math.pi * across(0))
    return width / 2 + scale * x * across(y), scale * (up(math.pi / 2) - up(y))


def bits(text: str) -> float:
    """The number in a text such as "8.00 Gb/s"."""
    found = re.search(r"([\d.]+) ([kMGT]?)b/s", text)
    assert found, text
    return float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[found[2]]


PICTURE = """() => ({
    bubbles: Object.fromEntries([...document.querySelectorAll('.bubbles .bubble')].map((one) => {
        const box = one.getBoundingClientRect();
        const under = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return [one.dataset.country, {
            x: one.cx.baseVal.value, y: one.cy.baseVal.value, r: one.r.baseVal.value, drawn: box.width,
            over: under.filter((other) => other.matches('.land [data-country]')).map((other) => other.dataset.country),
            title: one.textContent,
        }];
    })),
    rows: Object.fromEntries([...document.querySelectorAll('.map-table tbody tr')].map((row) =>
        [row.querySelector('.mono')?.textContent ?? '', [...row.cells].map((cell) => cell.textContent)])),
    top: document.querySelector('.sizes li').textContent,
    scale: document.querySelector('svg.world').getBoundingClientRect().width / 10000,
})"""


def opened(page: Any, arm: Arm, query: str = "") -> None:
    page.goto(f"{arm.page}/#/map{query}")
    page.locator(".land path").first.wait_for(state="attached")


def shows(page: Any, *countries: str) -> None:
    page.wait_for_function(
        "wanted => wanted.every((code) => document.querySelector(`.bubbles [data-country=${code}]`))",
        arg=list(countries),
    )


def test_bubbles_stand_in_their_countries_as_large_as_their_traffic_and_the_table_agrees(page: Any, busy: Arm) -> None:
    opened(page, busy)
    shows(page, *AT_FIRST)
    # once the sizes that are animated are reached
    page.wait_for_function(
        """() => [...document.querySelectorAll('.bubbles .bubble')].every((one) =>
            Math.abs(parseFloat(getComputedStyle(one).r) - one.r.baseVal.value) < 0.5)"""
    )
    seen = page.evaluate(PICTURE)
    assert set(seen["bubbles"]) == set(AT_FIRST)
    top = bits(seen["top"])
    sizes = {}
    for country, bubble in seen["bubbles"].items():
        x, y = projected(*PLACES[country][1], 10_000)
        assert math.hypot(bubble["x"] - x, bubble["y"] - y) < 250, f"{country} is elsewhere"
        assert country in bubble["over"]
        row = seen["rows"][country]
        rate = bits(row[1])
        sizes[country] = 24 + 256 * max(0.0, 1 + math.log10(rate / top) / 4)
        # the table has three digits
        assert bubble["r"] == pytest.approx(sizes[country], abs=1), row
        assert row[1] in bubble["title"]
        assert bits(row[3]) + bits(row[4]) == pytest.approx(rate, rel=0.02)
    rates = {country: bits(row[1]) for country, row in seen["rows"].items() if country}
    assert rates["AU"] / rates["DE"] == pytest.approx(10, rel=0.03)
    assert rates["AU"] / rates["BR"] == pytest.approx(100, rel=0.03)
    assert sizes["AU"] - sizes["DE"] == pytest.approx(sizes["DE"] - sizes["BR"], abs=2)
    page.wait_for_function(
        "([code, wide]) => Math.abs(document.querySelector(`.bubbles [data-country=${code}]`)"
        ".getBoundingClientRect().width - wide) < wide / 10",
        arg=["AU", 2 * sizes["AU"] * seen["scale"]],
    )
    assert page.complaints == []


def test_new_traffic_is_on_the_map_within_two_seconds_and_goes_when_it_ends(page: Any, busy: Arm) -> None:
    opened(page, busy)
    shows(page, *AT_FIRST)
    taken = []
    for country in LATER:
        busy.traffic.rates[country] = 20
        begin = time.monotonic()
        shows(page, country)
        taken.append(time.monotonic() - begin)
        if taken[-1] < WITHIN:
            break
    assert min(taken) < WITHIN
    assert page.locator(".map-table").get_by_text("South Africa").count() == 1
    for country in LATER:
        busy.traffic.rates.pop(country, None)
    page.wait_for_function(
        """() => {
            const size = document.querySelector('.bubbles [data-country=ZA]').r.baseVal.value;
            window.largest = Math.max(window.largest ?? 0, size);
            return size < window.largest - 5;
        }"""
    )


def test_a_country_is_chosen_by_pointer_or_keyboard_and_filters_prefixes_and_paths(page: Any, busy: Arm) -> None:
    opened(page, busy)
    shows(page, *AT_FIRST)
    page.locator(".bubbles [data-country=AU]").click()
    page.get_by_role("heading", name="Australia: prefixes and AS paths").wait_for()
    page.get_by_role("link", name="20.1.0.0/16").wait_for()
    assert page.locator("section[aria-label=Prefixes] tbody tr").count() == 1
    paths = page.locator("section[aria-label='AS paths'] tbody")
    paths.get_by_text("64500").wait_for()
    assert paths.locator("tr").count() == 1
    assert "country=AU" in page.url
    assert page.locator(".bubbles .chosen").get_attribute("data-country") == "AU"

    link = page.get_by_role("link", name="Germany DE")
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Germany: prefixes and AS paths").wait_for()
    page.get_by_role("link", name="20.2.0.0/16").wait_for()
    shared = page.url
    # the table is drawn anew every second, under the reader's hands
    page.wait_for_function("() => document.activeElement.textContent.startsWith('Germany')")
    page.go_back()
    page.get_by_role("heading", name="Australia: prefixes and AS paths").wait_for()
    page.goto("about:blank")
    page.goto(shared)
    page.get_by_role("heading", name="Germany: prefixes and AS paths").wait_for()
    page.get_by_role("link", name="All of them").click()
    page.get_by_text("1 to 1 of 1").wait_for()
    assert page.locator("#filter").input_value() == "DE"
    assert page.complaints == []


def test_another_file_in_its_place_is_followed_and_a_damaged_one_explained(page: Any, busy: Arm) -> None:
    opened(page, busy)
    shows(page, *AT_FIRST)
    aside = busy.countries.with_suffix(".new")
    aside.write_bytes(mmdb({"AU": "NZ"}))
    aside.replace(busy.countries)
    shows(page, "NZ")
    page.wait_for_function("() => !document.querySelector('.bubbles [data-country=AU]')")
    busy.countries.write_bytes(b"not an mmdb")
    page.get_by_text("The countries are old").wait_for()
    shows(page, "NZ")
    busy.countries.write_bytes(mmdb())
    shows(page, "AU")
    page.wait_for_function("() => document.querySelector('main .note').hidden")
    assert page.complaints == []


def test_the_map_is_accessible_and_still_for_those_who_want_that(browser: Any, busy: Arm) -> None:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce", bypass_csp=True)
    still = watched(context)
    opened(still, busy, "?country=DE")
    shows(still, *AT_FIRST)
    still.get_by_role("link", name="20.2.0.0/16").wait_for()
    assert violations(still) == []
    duration = "() => getComputedStyle(document.querySelector('.bubbles .bubble')).transitionDuration"
    assert still.evaluate(duration) == "0s"
    still.emulate_media(reduced_motion="no-preference")
    assert still.evaluate(duration) == "0.7s"
    assert still.complaints == []
    context.close()


def test_the_map_is_loaded_only_when_it_is_opened_and_is_small(page: Any, busy: Arm) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{busy.page}/")
    page.locator("#health .level").wait_for()
    assert [url for url in asked if "/static/map" in url] == []
    opened(page, busy)
    own = {url.rpartition("/")[2] for url in asked if "/static/map" in url}
    assert own == {"map.js", "map.json"}
    assert sum(len(gzip.compress((STATIC / name).read_bytes(), 3)) for name in own) < 150_000
