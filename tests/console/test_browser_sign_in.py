"""Signing in, one's account and the page of people, in a browser."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from console.api.app import create_app
from tests.console.browser import DESKTOP, PHONE, Place, axe, let_in, sideways
from tests.console.conftest import PASSWORD, Book
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, oidc_provider

NEW = "a garage and a phone"
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module", name="book")
def _book(bare: Book) -> Book:
    return bare


@pytest.fixture(scope="module")
def ada(place: Place) -> Iterator[Page]:
    """Give an administrator's browser."""
    page = place.signed_in_page("admin", login="ada")
    page.set_default_timeout(15_000)
    yield page


def test_by_keyboard_alone(place: Place, ada: Page) -> None:
    """A person is let in, chooses a password and changes it again, without a mouse; the former no longer works."""
    ada.goto("/admin")
    ada.get_by_label("Name").focus()
    for text in ("Ben Kay", "ben"):
        ada.keyboard.type(text)
        ada.keyboard.press("Tab")
    ada.keyboard.press("Space")
    ada.get_by_role("button", name="Add person").focus()
    ada.keyboard.press("Enter")
    password = ada.locator(".once code").inner_text()
    expect(ada.get_by_role("listitem").filter(has_text="Has to choose a password until")).to_be_visible()

    ben = place.browser.new_context(base_url=place.address).new_page()
    ben.goto("/")
    ben.get_by_label("Login").focus()
    for text in ("ben", password):
        ben.keyboard.type(text)
        ben.keyboard.press("Tab")
    ben.keyboard.press("Enter")
    expect(ben.get_by_role("heading", name="Choose a password")).to_be_visible()
    ben.get_by_label("Password that you were given").focus()
    for text in (password, "short"):
        ben.keyboard.type(text)
        ben.keyboard.press("Tab")
    ben.get_by_label("New password").fill(NEW)
    ben.keyboard.press("Enter")
    ben.get_by_role("link", name="Ben Kay").click()
    expect(ben.get_by_text("Investigator")).to_be_visible()
    ben.context.close()


def test_who_is_shut_out_sees_the_form(place: Place, ada: Page) -> None:
    """A page whose session ended asks to sign in at its next request; a sentence says why a sign-in fails."""
    cleo = place.signed_in_page("admin", login="cleo")
    ada.goto("/admin")
    entry = ada.get_by_role("listitem").filter(has_text="cleo")
    entry.locator("summary").click()
    entry.get_by_role("button", name="Shut out").click()
    expect(entry.get_by_text(re.compile("Shut out since"))).to_be_visible()
    cleo.reload()
    cleo.get_by_label("Login").fill("cleo")
    cleo.get_by_label("Password").fill(PASSWORD)
    cleo.get_by_role("button", name="Sign in").click()
    expect(cleo.get_by_role("alert")).to_have_text("No such login, or another password")


def test_going_back_shows_nothing_that_was_kept(ada: Page) -> None:
    """A page that the browser kept whole is hidden and loaded anew: somebody may have signed out since."""
    ada.goto("/admin")
    ada.get_by_role("heading", name="People").wait_for()
    # As a browser does it; that of the tests keeps no pages.
    ada.evaluate("window.kept = true; dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    expect(ada.get_by_role("heading", name="People")).to_be_hidden()
    ada.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(ada.get_by_role("heading", name="People")).to_be_visible()
    assert ada.evaluate("window.kept") is None


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_pages_for_everybody(place: Place, width: int, dark: bool) -> None:
    """The form, the account and the page of people have no serious fault and fit a phone, light and dark."""
    page = place.signed_in_page(
        "admin", "investigator", "data_scientist", "auditor", login="dan", width=width, dark=dark
    )
    let_in(place.book, "fay" + "ofthelongname" * 6, ["auditor"])
    for path, title in (("/account", "Your account"), ("/admin", "People")):
        page.goto(path)
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        if path == "/admin":
            page.get_by_text("Change", exact=True).first.click()
        assert axe(page) == []
        assert sideways(page) <= 0
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert axe(page) == []
    assert sideways(page) <= 0


@pytest.fixture
def by_provider(bare: Book) -> Iterator[tuple[str, OidcProvider]]:
    """Serve a console beside a provider that is another site to a browser; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with oidc_provider("localhost") as provider:
        settings = bare.settings(
            CLAIMSIGHT_PUBLIC_URL=address,
            CLAIMSIGHT_OIDC_ISSUER=provider.issuer,
            CLAIMSIGHT_OIDC_CLIENT_ID=CLIENT_ID,
            CLAIMSIGHT_OIDC_CLIENT_SECRET=CLIENT_SECRET,
        )
        server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the console does not start"
            time.sleep(0.02)
        yield address, provider
        server.should_exit = True
        thread.join()


def test_by_a_provider_of_another_site(by_provider: tuple[str, OidcProvider], place: Place) -> None:
    """A browser goes to the provider's site and comes back signed in to the page it was on; or is told why not."""
    address, provider = by_provider
    provider.person = {"sub": "7", "email": "eve@insurer.example", "name": "Eve", "cognito:groups": []}
    page = place.browser.new_context(base_url=address).new_page()
    page.goto("/account?from=mail")
    page.get_by_role("link", name="Sign in with your organisation").click()
    expect(page.get_by_role("heading", name="Not signed in")).to_be_visible()
    expect(page.get_by_text("You have no role in Claimsight")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("link", name="Back to Claimsight").click()
    provider.person |= {"cognito:groups": ["claimsight-auditor"]}
    page.goto("/account?from=mail")
    expect(page.get_by_label("Password")).to_have_count(0)
    page.get_by_role("link", name="Sign in with your organisation").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    assert page.url == f"{address}/account?from=mail"
    expect(page.get_by_text("eve@insurer.example")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("claimsight", True, "Strict")
    page.context.close()
