"""The worklist in Chromium: by mouse, by keyboard alone, on a phone, and in two browsers at once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser import PHONE, Place, axe, sideways
from tests.console.conftest import Book


@pytest.fixture(autouse=True)
def _nobody_works(book: Book) -> None:
    book.rows("DELETE FROM case_locks")
    book.rows("DELETE FROM case_events")
    book.rows("DELETE FROM cases")


def opened(page: Page, query: str = "") -> Page:
    """Show the worklist with its first row."""
    page.goto(f"/worklist{query}")
    expect(page.locator("#alert-0").get_by_role("link")).to_be_visible()
    return page


def claim(page: Page, row: int = 0) -> str:
    return page.locator(f"#alert-{row}").get_by_role("link").inner_text()


def expect_active(page: Page, row: int) -> None:
    """Wait for a row to be the active one: one out of view is first scrolled to, and then there."""
    expect(page.get_by_role("grid")).to_have_attribute("aria-activedescendant", f"alert-{row}")


def total(page: Page) -> int:
    return int(page.get_by_role("grid").get_attribute("aria-rowcount") or 0) - 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, PHONE])
def test_it_can_be_used_by_all(place: Place, book: Book, width: int, dark: bool) -> None:
    """Axe finds no serious fault, also in a dialog, and nothing is too wide, however long a name is."""
    book.rows(
        "INSERT INTO people (login, name, roles) VALUES ('long', %s, '{investigator}') ON CONFLICT DO NOTHING",
        ["Anna-Magdalena von der " + "Hohen" * 20],
    )
    page = opened(place.signed_in_page("investigator", login="anna", width=width, dark=dark))
    assert axe(page) == []
    assert sideways(page) <= 0
    page.set_viewport_size({"width": 900, "height": 800})
    assert sideways(page) <= 0
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("button", name="Escalate…").click()
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Assign…").click()
    dialog = page.get_by_role("dialog")
    assert dialog.evaluate("shown => shown.scrollWidth - shown.clientWidth") == 0


def test_filters_stand_in_the_address(place: Place) -> None:
    """A choice can be shared and undone by going back, and the count is said aloud."""
    page = opened(place.signed_in_page("investigator", login="anna"))
    all_of_them = total(page)
    page.get_by_label("Peril").select_option("collision")
    expect(page).to_have_url(re.compile(r"kind=collision"))
    expect(page.get_by_role("status")).not_to_contain_text(f"{all_of_them:,} alerts")
    narrowed = page.get_by_role("status").inner_text()
    other = opened(place.signed_in_page("auditor", login="olga"), "?kind=collision")
    expect(other.get_by_role("status")).to_have_text(narrowed)
    page.go_back()
    expect(page.get_by_role("status")).to_contain_text(f"{all_of_them:,} alerts")
    page.get_by_label("Claim").fill("no such")
    expect(page.get_by_role("status")).to_contain_text("0 alerts")
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_label("Claim")).to_have_value("")
    expect(page.get_by_role("status")).to_contain_text(f"{all_of_them:,} alerts")


def test_by_keyboard_alone(place: Place) -> None:
    """Tab reaches the list, keys move in it, Enter opens the claim; the list keeps the focus at its far end, too."""
    page = opened(place.signed_in_page("investigator", login="anna"))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "grid":
            break
    expect_active(page, 0)
    for key, row in (("ArrowDown", 1), ("j", 2), ("k", 1), ("PageDown", 13), ("ArrowUp", 12), ("Home", 0)):
        page.keyboard.press(key)
        expect_active(page, row)
    page.keyboard.press("End")
    last = total(page) - 1
    expect(page.locator(f"#alert-{last}").get_by_role("link")).to_be_in_viewport()
    expect_active(page, last)
    assert page.locator(f"#alert-{last}").get_attribute("aria-rowindex") == str(last + 2)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
    named = claim(page, last)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/claims/{named}$"))
    page.go_back()
    expect(page.locator(f"#alert-{last}").get_by_role("link")).to_be_in_viewport()
    expect_active(page, last)
    page.get_by_role("button", name="Take", exact=True).click()
    expect(page.locator(f"#alert-{last}")).to_contain_text("You hold it until")
    page.get_by_role("grid").press("Enter")
    expect(page.get_by_text("You have taken this case")).to_be_visible()


def test_only_rows_in_sight_are_there(place: Place) -> None:
    """However long the list is; and each row is fetched when it comes into sight."""
    page = opened(place.signed_in_page("auditor", login="olga"), "?sort=week")
    assert total(page) > 100
    assert page.locator("tbody tr").count() < 60
    page.evaluate("window.scrollTo(0, document.body.scrollHeight / 2)")
    middle = page.locator("tbody tr[aria-busy=false]").nth(10)
    expect(middle.get_by_role("link")).to_be_visible()
    assert page.locator("tbody tr").count() < 60


def test_two_browsers_never_get_the_same(place: Place, book: Book) -> None:
    """Each is led to another claim, by button or key, and sees what the other holds."""
    anna = opened(place.signed_in_page("investigator", login="anna"))
    ben = opened(place.signed_in_page("investigator", login="ben"))
    first, second = claim(anna, 0), claim(anna, 1)
    anna.get_by_role("button", name="Take the next case").click()
    expect(anna).to_have_url(re.compile(rf"/claims/{first}$"))
    expect(ben.locator("#alert-0")).to_contain_text("Anna holds it until", timeout=10_000)
    ben.get_by_role("grid").focus()
    ben.keyboard.press("n")
    expect(ben).to_have_url(re.compile(rf"/claims/{second}$"))
    held = {row["claim_id"]: row["person"] for row in book.rows("SELECT claim_id, person FROM case_locks")}
    assert held == {first: "anna", second: "ben"}
    anna.go_back()
    expect(anna.locator("#alert-0")).to_contain_text("You hold it until")
    anna.get_by_role("button", name="Let go").click()
    expect(anna.locator("#alert-0")).to_contain_text("Free")


def test_a_case_is_assigned_snoozed_and_escalated(place: Place) -> None:
    """From the list, on a phone, by the dialogs; the claim tells of it, and leads back to the same list."""
    place.signed_in_page("investigator", login="ben")
    page = opened(place.signed_in_page("investigator", login="anna", width=PHONE), "?kind=collision")
    expect(page.locator("#alert-0 .why")).to_contain_text(re.compile(r"\w+ "))
    page.get_by_role("button", name="Assign…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To").select_option("Ben")
    dialog.get_by_role("button", name="Assign", exact=True).click()
    expect(page.locator("#alert-0")).to_contain_text("Assigned to Ben")
    page.locator("#alert-1").click(position={"x": 250, "y": 20})
    page.get_by_role("button", name="Snooze…").click()
    dialog.get_by_label("For").select_option("3 days")
    dialog.get_by_role("button", name="Snooze", exact=True).click()
    expect(page.locator("#alert-1")).to_contain_text("Snoozed until")
    page.get_by_role("button", name="Escalate…").click()
    dialog.get_by_label("Why").fill("known ring")
    dialog.get_by_role("button", name="Escalate", exact=True).click()
    expect(page.locator("#alert-1")).to_contain_text("Escalated")
    page.locator("#alert-1").get_by_role("link").click()
    expect(page.get_by_role("region", name="Case")).to_contain_text("It is escalated: known ring")
    expect(page.get_by_text("Anna snoozed the case until")).to_be_visible()
    assert sideways(page) <= 0
    page.get_by_role("link", name="Back to the worklist").click()
    expect(page).to_have_url(re.compile(r"/worklist\?kind=collision$"))


def test_an_auditor_sees_and_cannot_take(place: Place) -> None:
    """There is nothing to press, and the key does nothing."""
    page = opened(place.signed_in_page("auditor", login="olga"))
    expect(page.get_by_role("button", name=re.compile("Take|Assign|Snooze|Escalate"))).to_have_count(0)
    page.get_by_role("grid").focus()
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/worklist$"))
