"""The claim page in a real browser: by pointer, by keyboard alone, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.access_factory import SECRETS
from tests.console.browser import DESKTOP, PHONE, Place, axe, let_in, sideways
from tests.console.claim_line import Line, claim_line
from tests.console.conftest import PASSWORD


@pytest.fixture(scope="module")
def book(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Take the place of the book that `place` serves."""
    with claim_line(postgres, tmp_path_factory.mktemp("motor"), "test_browser_claim") as line:
        yield line


def opened(place: Place, claim: str, *, width: int = DESKTOP, dark: bool = False, login: str = "anna") -> Page:
    """Sign in, go to a claim's address, say what for, and wait for all of it."""
    page = place.signed_in_page("investigator", login=login, width=width, dark=dark)
    page.goto(f"/claims/{claim}")
    page.get_by_label("Purpose").select_option("Complaint of a customer")
    page.get_by_label("Details").fill("file 4711")
    page.get_by_role("button", name="Open the claim").click()
    page.get_by_role("heading", name="What was known when").wait_for()
    return page


@pytest.mark.parametrize(("width", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_the_page(place: Place, book: Line, width: int, dark: bool) -> None:
    """All is shown and nothing that must not be; axe finds no serious fault, and a phone scrolls in one direction."""
    page = opened(place, "c1", width=width, dark=dark)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Claim c1")
    expect(page.get_by_text("80 %", exact=True)).to_be_visible()
    expect(page.get_by_role("table", name="As known now")).to_contain_text("731.25 EUR")
    expect(page.get_by_text("The amount of 731.25 is high")).to_be_visible()
    expect(page.get_by_role("link", name="claim c3", exact=True)).to_be_visible()
    graph = page.get_by_role("group", name="Claims related to claim c1")
    expect(graph.get_by_role("link")).to_have_count(4)
    expect(graph.get_by_role("link", name="Claim c2")).to_have_accessible_name(
        "Claim c2 of 8 May 2024 · same who, same garage (g1) · 70 % · fraud"
    )
    page.get_by_text("As a table").click()
    expect(page.get_by_role("table", name="The newest claims")).to_contain_text("same who, same garage (g1)")
    assert [secret for secret in SECRETS if secret in page.content()] == []
    assert axe(page) == []
    assert sideways(page) == 0
    entries = book.rows("SELECT purpose FROM access_log WHERE action = 'claim' ORDER BY entry_id DESC LIMIT 1")
    assert entries == [{"purpose": "Complaint of a customer: file 4711"}]


def test_photos_by_keys(place: Place) -> None:
    """A photo opens by Enter, the arrows turn to the next, and Escape leads back to where one was."""
    page = opened(place, "c1")
    first = page.get_by_role("button", name="1.jpg, 1 of 2: show it large")
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Photo")
    shown = dialog.get_by_role("img")
    expect(shown).to_have_accessible_name("1.jpg, 1 of 2")
    expect(shown).to_have_js_property("naturalWidth", 320)
    assert axe(page) == []
    page.keyboard.press("ArrowLeft")
    expect(shown).to_have_accessible_name("2 front.jpg, 2 of 2")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(first).to_be_focused()


def test_a_decision_by_keyboard_alone(place: Place, book: Line) -> None:
    """From the address to the decision and back again, without a pointer."""
    page = place.signed_in_page("investigator", login="bob", width=PHONE)
    page.goto("/claims/c4")
    page.get_by_label("Purpose").wait_for()
    to(page, "Open the claim")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Decision").wait_for()
    to(page, "Take the case")
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="Fraud", exact=True).wait_for()
    to(page, "Fraud")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    to(page, "Note")
    page.keyboard.type("all in order")
    to(page, "Decide")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You decided: not fraud.")).to_be_visible()
    expect(page.get_by_text("all in order")).to_be_visible()
    outcomes = "SELECT is_fraud, actor FROM outcomes WHERE claim_id = 'c4' ORDER BY outcome_id"
    assert book.rows(outcomes) == [{"is_fraud": False, "actor": "bob"}]
    to(page, "Undo (24 h 0 min left)", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your decision is taken back.")).to_be_visible()
    expect(page.get_by_text("Bob took that back: not fraud.")).to_be_visible()
    assert book.rows(outcomes)[-1] == {"is_fraud": None, "actor": "bob"}
    assert axe(page) == []


def to(page: Page, name: str, *, back: bool = False) -> None:
    """Press Tab until what bears this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate(FOCUSED) == name:
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


FOCUSED = """() => {
  const it = document.activeElement;
  return (it.labels?.length ? it.labels[0].textContent : it.textContent)?.trim();
}"""


def test_from_a_related_claim(place: Place, book: Line) -> None:
    """A link to another claim carries the purpose on, and it is entered there too; a reload does not ask again."""
    page = opened(place, "c5")
    expect(page.get_by_text("The claim was corrected.")).to_be_visible()
    expect(page.get_by_text("amount: 731.25 EUR → 99.5 EUR")).to_be_visible()
    page.get_by_role("link", name="Claim c2").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Claim c2")
    expect(page.get_by_text("Outcome from investigation: fraud.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Outcome from investigation: fraud.")).to_be_visible()
    (entry,) = book.rows("SELECT DISTINCT purpose FROM access_log WHERE subject = 'c2' AND person = 'anna'")
    assert entry["purpose"] == "Complaint of a customer: file 4711"


def test_a_hasty_hand(place: Place, book: Line) -> None:
    """A double click does a thing once, a session that ends takes no note with it, and leaves no purpose to others."""
    book.rows("UPDATE claims SET claim_id = '2024/7' WHERE claim_id = 'c6'")
    page = opened(place, "2024%2F7", login="eve")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Claim 2024/7")
    page.get_by_role("button", name="Take the case").dblclick()
    page.get_by_role("radio", name="More information needed").check()
    page.get_by_role("button", name="Decide", exact=True).dblclick()
    expect(page.get_by_text("You decided: more information needed.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(book.rows("SELECT 1 FROM decisions WHERE person = 'eve'")) == 1
    page.get_by_role("radio", name="Not fraud").check()
    page.get_by_label("Note").fill("all in order")
    book.rows("DELETE FROM sessions")
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    page.get_by_label("Login").fill("eve")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Note")).to_have_value("all in order")
    let_in(book, "fred", ["investigator"])
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/")
    page.go_back()
    page.wait_for_url("**/claims/**")
    page.get_by_label("Login").fill("fred")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Purpose").wait_for()  # the one that eve said is not his


def test_whoever_may_not_decide(place: Place) -> None:
    """An auditor reads the page and finds neither form nor buttons of the case; an unknown claim is said in words."""
    page = place.signed_in_page("auditor")
    for claim, heading in (("c1", "Facts"), ("nobody", None)):
        page.goto(f"/claims/{claim}")
        page.get_by_role("button", name="Open the claim").click()
        if heading:
            page.get_by_role("heading", name=heading).wait_for()
            expect(page.get_by_role("heading", name="Decision")).to_have_count(0)
            expect(page.get_by_role("button", name="Take the case")).to_have_count(0)
        else:
            expect(page.get_by_role("alert")).to_have_text("There is no such claim")
