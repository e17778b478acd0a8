"""The console in a real Chromium: Debian's, driven by Playwright; the fixtures stand in ``conftest``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from console.api.add_person import add_person
from console.api.app import create_app
from console.api.settings import WEB
from console.api.store import Store
from tests.console.conftest import PASSWORD, Book
from tests.factories import ROOT

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = 1280, 390
"""Widths of a window, in pixels."""


@dataclass(frozen=True)
class Place:
    """The console as a browser reaches it.

    Attributes
    ----------
    address : str
        Without a slash at the end.
    """

    address: str
    browser: Browser
    book: Book
    left: ExitStack = field(repr=False)

    def signed_in_page(
        self, *roles: str, login: str = "", width: int = DESKTOP, height: int = 800, dark: bool = False
    ) -> Page:
        """Open a browser of somebody with these roles, with cookies of its own; it shows their first page."""
        login = login or "-".join(roles)
        let_in(self.book, login, roles)
        context = self.left.enter_context(
            self.browser.new_context(
                base_url=self.address,
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                has_touch=width <= PHONE,
            )
        )
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("navigation", name="Pages").wait_for()
        return page


def axe(page: Page) -> list[str]:
    """Serious and critical faults of accessibility that axe-core finds on a page as it stands."""
    # By the browser's own tools: the page's policy lets in no script of others.
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:150]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def sideways(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


@contextmanager
def opened() -> Iterator[Browser]:
    """Open a browser, if there is one and pages to show."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium: apt-get install chromium")
    if not (WEB / "index.html").exists():
        pytest.skip("the console's pages are not built: make web")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(book: Book) -> Iterator[str]:
    """Serve a book in a thread; its address."""
    app = create_app(book.settings())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the console does not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def let_in(book: Book, login: str, roles: Sequence[str]) -> None:
    """Have somebody who can sign in with the tests' password."""

    async def add() -> None:
        async with Store(book.console_url, "demo") as store:
            await add_person(store, login, login.title(), roles, PASSWORD)

    # In a thread: Playwright's loop runs in this one.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, add()).result()
