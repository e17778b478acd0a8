"""The pages of models, of the operation and of the log in Chromium: figures, keyboard, phones, and what axe finds."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect

from console.api.app import create_app
from console.api.settings import WEB
from tests.console.champions import OLDER, let_an_older_champion_have_stood
from tests.console.conftest import AS_OF, PASSWORD, Book, SignIn
from tests.factories import ROOT

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("/model", "/operations", "/audit")
WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def address(book: Book, sign_in: SignIn) -> Iterator[str]:
    """Serve the console on a port of its own; somebody may see and do everything there."""
    if not (WEB / "index.html").exists():
        pytest.skip("the pages are not built; run make web")
    let_an_older_champion_have_stood(book)
    sign_in(login="everyone")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(book.settings()), log_config=None))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@contextmanager
def signed_in(chromium: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Give a page of somebody who is signed in; at the end it must have had no error."""
    context = chromium.new_context(base_url=address, **options)
    page = context.new_page()
    wrong: list[str] = []
    page.goto("/")
    page.get_by_label("Login").fill("everyone")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("navigation", name="Pages").wait_for()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


def settle(page: Page, path: str) -> None:
    """Open a page and wait until all of it is there."""
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)


def by_tab(page: Page, wanted: Locator) -> None:
    """Go to something by the Tab key alone."""
    wanted.wait_for()
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("found => found === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is out of the keyboard's reach")


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_it(chromium: Browser, address: str, path: str, width: int) -> None:
    """In light and in dark, axe finds nothing serious and the page itself does not scroll sideways."""
    with signed_in(chromium, address, viewport={"width": width, "height": 800}) as page:
        settle(page, path)
        page.evaluate("document.querySelectorAll('details').forEach(found => { found.open = true; })")
        page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = page.evaluate("axe.run(document, {iframes: false})")
            serious = [
                (rule["id"], node["target"], node["failureSummary"])
                for rule in found["violations"]
                if rule["impact"] in ("serious", "critical")
                for node in rule["nodes"]
            ]
            assert serious == [], scheme
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_of_a_model(chromium: Browser, address: str, book: Book) -> None:
    """The page shows the database's figures, its charts have a title, a description and a table beside them."""
    (entry,) = book.rows("SELECT metrics, gates FROM model_history WHERE model_version = 1")
    precision = entry["metrics"]["ranking"]["average_precision"]
    with signed_in(chromium, address) as page:
        settle(page, "/model")
        card = page.locator(".card", has_text="Average precision").first
        told = [float(number) for number in re.findall(r"0\.\d+", card.inner_text())]
        assert told == pytest.approx([precision["value"], precision["low"], precision["high"]], rel=5e-3)
        gates = page.get_by_role("table", name="Gates of model 1")
        assert gates.get_by_role("row").count() == 1 + len(entry["gates"])
        assert gates.get_by_text("passed").count() == sum(gate["passed"] for gate in entry["gates"])
        charts = page.locator("figure svg")
        assert charts.count() >= 5
        for place in range(charts.count()):
            assert charts.nth(place).locator("> title").text_content()
            assert charts.nth(place).locator("> desc").text_content()
        assert page.get_by_text("The figures as a table").count() >= 4


def test_a_card_in_its_frame(chromium: Browser, address: str) -> None:
    """The card is shown, and the frame lets it do nothing."""
    with signed_in(chromium, address) as page:
        settle(page, "/model")
        page.get_by_text("What model 1 is for").click()
        frame = page.locator("iframe")
        assert frame.get_attribute("sandbox") == ""
        expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_contain_text("Model card")


def test_the_operation_looks_again_by_itself(chromium: Browser, address: str, book: Book) -> None:
    """A run that fails while one looks appears in a sentence, without a hand."""
    with signed_in(chromium, address) as page:
        page.clock.install()
        settle(page, "/operations")
        expect(page.get_by_text("Every run ended well.")).to_be_visible()
        book.rows(
            "INSERT INTO job_runs (stage, line, shard, status, exit_code, message, as_of, ended_at, git_sha, "
            "image_digest) VALUES ('score', 'demo', '0/1', 'failed', 75, 'mlflow: no answer', %s, clock_timestamp(), "
            "'sha', 'none')",
            [AS_OF],
        )
        page.clock.fast_forward(20_000)
        failures = page.get_by_role("table", name="Runs that did not end well")
        expect(failures.get_by_text("score could not reach a service it needs")).to_be_visible()


def test_the_log_is_filtered_by_address(chromium: Browser, address: str) -> None:
    """A filter typed in stands in the address, and a page opened there shows the same."""
    with signed_in(chromium, address) as page:
        settle(page, "/audit")
        by_tab(page, page.get_by_label("Action"))
        page.keyboard.type("score")
        page.keyboard.press("Enter")
        page.wait_for_url("**/audit?action=score")
        page.reload()
        expect(page.get_by_label("Action")).to_have_value("score")
        rows = page.get_by_role("table", name="Entries of the log").get_by_role("row")
        expect(rows.nth(1)).to_contain_text("scores claims")
        page.get_by_label("Action").fill("Signed in")  # as the page itself has it
        page.keyboard.press("Enter")
        page.wait_for_url("**/audit?action=signed_in")
        expect(rows.nth(1)).to_contain_text("signed in")
        page.go_back()
        expect(rows.nth(1)).to_contain_text("scores claims")
        page.get_by_label("What the file is for").fill("yearly review")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export as CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert len(lines) == rows.count()
        assert all(",score," in line for line in lines[1:])


def test_going_back_by_keyboard(chromium: Browser, address: str, book: Book) -> None:
    """By keyboard alone a data scientist opens the dialog, says why, and the page shows the champion before."""
    with signed_in(chromium, address) as page:
        settle(page, "/model")
        by_tab(page, page.get_by_role("button", name="Go back to model"))
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.keyboard.press("Enter")
        by_tab(page, dialog.get_by_label("Reason"))
        page.keyboard.type("flags every hail claim")
        by_tab(page, dialog.get_by_role("button", name="Go back to model"))
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"Model {OLDER} is the champion now.")).to_be_visible()
        expect(page.locator(".card", has_text="Champion").first).to_contain_text(f"Model {OLDER}")
        expect(page.get_by_role("table", name="Which model was live")).to_contain_text("flags every hail claim")
        expect(page.get_by_text("There was no champion before")).to_be_visible()
        expect(page.get_by_text(f"Model {OLDER} is the champion now.")).to_be_visible()
    (entry,) = book.rows("SELECT actor, reason FROM model_history WHERE action = 'rollback'")
    assert entry == {"actor": "everyone", "reason": "flags every hail claim"}
