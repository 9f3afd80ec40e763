"""Pages in a real browser, as the tests look at them: what the console says against them, and what axe finds."""

from __future__ import annotations

from typing import Any

import pytest

WAIT_MS = 15_000
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1300, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1300, "height": 900}},
    "phone": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}
"""Options of a browser context, for each look that the page has."""


def watched(context: Any) -> Any:
    """A new page that keeps what the console says against it in `complaints`."""
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.complaints = []
    page.on("console", lambda said: page.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds: the rule, and the first element that breaks it.

    axe puts its own script into the page, which the page's policy forbids: the context needs `bypass_csp=True`.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found]


def fits(page: Any) -> bool:
    """True if nothing makes the whole page scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
