"""Signing in and out, and what a session is good for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from console.api import passwords
from console.api.app import create_app
from console.api.rates import FROM_ADDRESS, OF_BROWSER, OF_LOGIN, REQUESTS
from tests.console.conftest import PASSWORD, Book, SignIn

WRONG = {"login": "anna", "password": "wrong"}
RIGHT = {"login": "anna", "password": PASSWORD}


@pytest.fixture(scope="module", name="book")
def _book(bare: Book) -> Book:
    return bare


@pytest.fixture
def anna(sign_in: SignIn) -> TestClient:
    """Give a browser of an investigator's."""
    return sign_in("investigator", login="anna")


def stranger(client: TestClient) -> TestClient:
    """Give a browser that holds nothing."""
    made = TestClient(client.app, base_url="http://127.0.0.1")
    made.portal = client.portal
    return made


def test_a_session_begins_and_ends(anna: TestClient) -> None:
    """Who signs in is known until signing out, and the cookie is of no use then."""
    told = anna.get("/api/session").json()
    assert told["login"] == "anna"
    assert told["permissions"] == ["see_claims", "decide", "see_models"]
    token = anna.cookies["claimsight"]
    assert anna.delete("/api/session").status_code == 204
    assert "claimsight" not in anna.cookies
    anna.cookies["claimsight"] = token
    assert anna.get("/api/session").status_code == 401


def test_wrong_passwords_and_unknown_logins_look_alike(anna: TestClient, book: Book) -> None:
    """Nobody learns which logins there are, or which of them are shut out."""
    book.rows(
        "INSERT INTO people (login, name, roles, password_hash, disabled_at) VALUES ('out', 'O', '{}', 'x', now())"
    )
    client = stranger(anna)
    answers = [
        client.post("/api/session", json={"login": login, "password": password})
        for login, password in (("anna", "wrong"), ("nobody", PASSWORD), ("out", PASSWORD))
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].json() == answers[1].json() == answers[2].json()


def test_the_token_is_another_at_each_sign_in(anna: TestClient, book: Book) -> None:
    """A token that somebody planted in a browser never becomes a session, and the former one ends."""
    victim = stranger(anna)
    victim.cookies["claimsight"] = "planted"
    victim.post("/api/session", json=RIGHT)
    first = victim.cookies.get("claimsight", domain="127.0.0.1")
    victim.cookies.clear()
    victim.cookies["claimsight"] = str(first)
    victim.post("/api/session", json=RIGHT)
    for token in ("planted", str(first)):
        thief = stranger(anna)
        thief.cookies["claimsight"] = token
        assert thief.get("/api/session").status_code == 401
    assert b"planted" not in b"".join(row["token_hash"] for row in book.rows("SELECT token_hash FROM sessions"))


@pytest.mark.parametrize(
    "tamper", [str.upper, lambda token: token[:-1], lambda token: token + "A", lambda _: "' OR 1=1"]
)
def test_a_cookie_that_was_tampered_with(anna: TestClient, tamper: object) -> None:
    """What is not the token to the letter is no token."""
    token = tamper(anna.cookies["claimsight"])  # type: ignore[operator]
    anna.cookies.clear()
    anna.cookies["claimsight"] = token
    assert anna.get("/api/session").status_code == 401


@pytest.mark.parametrize(
    ("column", "moment"),
    [("expires_at", timedelta(seconds=1)), ("seen_at", timedelta(minutes=61))],
    ids=["twelve hours", "an hour of nothing"],
)
def test_sessions_run_out(anna: TestClient, book: Book, column: str, moment: timedelta) -> None:
    """A session ends after a while of nothing, and after a day's work in any case; the next sign-in removes its row."""
    book.rows(f"UPDATE sessions SET {column} = now() - %s", [moment])
    assert anna.get("/api/session").status_code == 401
    stranger(anna).post("/api/session", json=RIGHT)
    assert book.rows("SELECT count(*) AS n FROM sessions") == [{"n": 1}]


def test_who_works_stays_signed_in(anna: TestClient, book: Book) -> None:
    """Each request counts as a sign of life."""
    book.rows("UPDATE sessions SET seen_at = now() - interval '59 minutes'")
    assert anna.get("/api/session").status_code == 200
    assert book.rows("SELECT seen_at > now() - interval '1 minute' AS seen FROM sessions") == [{"seen": True}]


def test_who_is_disabled_is_out_at_once(anna: TestClient, book: Book) -> None:
    """A session of one who was shut out, by whatever way, is none."""
    book.rows("UPDATE people SET disabled_at = now() WHERE login = 'anna'")
    assert anna.get("/api/session").status_code == 401
    assert anna.post("/api/session", json=RIGHT).status_code == 401


def test_cookies_of_a_secure_console(book: Book, anna: TestClient) -> None:
    """Over https cookies go to this host alone, over https alone, to no script, and from no other site."""
    settings = book.settings(CLAIMSIGHT_PUBLIC_URL="https://claims.example")
    with TestClient(create_app(settings), base_url="https://claims.example") as client:
        signed_in = client.post("/api/session", json=RIGHT)
        token = signed_in.json()["csrf_token"]
        signed_out = client.delete("/api/session", headers={"X-CSRF-Token": token})
    cookies = signed_in.headers.get_list("set-cookie")
    assert [cookie.split("=")[0] for cookie in cookies] == ["__Host-claimsight", "__Host-claimsight-browser"]
    for cookie in [*cookies, *signed_out.headers.get_list("set-cookie")]:
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= {*cookie.split("; ")}
        assert "Domain" not in cookie
    assert signed_in.headers["Strict-Transport-Security"] == "max-age=63072000"


def test_guesses_are_counted(anna: TestClient) -> None:
    """After ten tries as one login the eleventh waits, though it were right; the answer says how long."""
    client = stranger(anna)
    assert [client.post("/api/session", json=WRONG).status_code for _ in range(OF_LOGIN.amount)] == [401] * 10
    refused = client.post("/api/session", json=RIGHT)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60


def test_guesses_do_not_lock_out(anna: TestClient) -> None:
    """While somebody guesses at a login its owner signs in by a browser that they used before."""
    guesser = stranger(anna)
    while guesser.post("/api/session", json=WRONG).status_code != 429:
        pass
    del anna.cookies["claimsight"]
    assert anna.post("/api/session", json=RIGHT).status_code == 200


def test_a_known_browser_guesses_no_more(anna: TestClient) -> None:
    """A browser that was stolen has its own count, and knows no other login."""
    assert [anna.post("/api/session", json=WRONG).status_code for _ in range(OF_BROWSER.amount + 1)][-2:] == [401, 429]
    assert anna.post("/api/session", json=WRONG | {"login": "other"}).status_code == 401


def test_a_forged_browser_counts_as_a_strange_one(anna: TestClient) -> None:
    """Nobody makes their browser known by writing its cookie."""
    name, _, signature = anna.cookies["claimsight-browser"].partition(".")
    client = stranger(anna)
    for attempt in range(OF_LOGIN.amount):
        client.cookies["claimsight-browser"] = f"{name}{attempt}.{signature}"
        client.post("/api/session", json=WRONG)
    assert client.post("/api/session", json=WRONG).status_code == 429


def test_one_address_tries_many_logins(anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tries a password on many logins from one address is stopped too, and colleagues' own browsers are not."""
    monkeypatch.setattr(FROM_ADDRESS, "amount", 5)
    client = stranger(anna)
    tried = [client.post("/api/session", json=WRONG | {"login": f"l{n}"}).status_code for n in range(6)]
    assert tried == [401] * 5 + [429]
    assert anna.post("/api/session", json=RIGHT).status_code == 200


def test_one_session_asks_so_much(anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that asks without end is slowed down; nobody else is."""
    monkeypatch.setattr(REQUESTS, "amount", 3)
    other = stranger(anna)
    other.post("/api/session", json=RIGHT)
    answers = [anna.get("/api/session") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) <= 60
    assert other.get("/api/session").status_code == 200


def test_passwords_are_reckoned_a_few_at_a_time(anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait, one more is told to come back."""
    monkeypatch.setattr(passwords, "WAITING", 0)
    refused = stranger(anna).post("/api/session", json=RIGHT)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "3")


def test_stored_passwords_keep_up(anna: TestClient, book: Book) -> None:
    """What was made with weaker parameters is made anew at the next sign-in."""
    weak = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(PASSWORD)
    book.rows("UPDATE people SET password_hash = %s WHERE login = 'anna'", [weak])
    assert stranger(anna).post("/api/session", json=RIGHT).status_code == 200
    stored = book.rows("SELECT password_hash FROM people WHERE login = 'anna'")[0]["password_hash"]
    assert stored != weak
    assert not passwords.needs_rehash(stored)


def test_another_keyboard_writes_the_same_password(anna: TestClient, book: Book) -> None:
    """A password with an accent is the same in one character and in two."""
    change = {"current": PASSWORD, "new": "caf\u00e9 au lait, encore"}
    assert anna.post("/api/session/password", json=change).status_code == 200
    given = {"login": "anna", "password": "cafe\u0301 au lait, encore"}
    assert stranger(anna).post("/api/session", json=given).status_code == 200


def test_ones_own_password(anna: TestClient, book: Book) -> None:
    """Who knows the present password sets another; other sessions end, this one goes on under a new token."""
    elsewhere = stranger(anna)
    elsewhere.post("/api/session", json=RIGHT)
    before = anna.cookies["claimsight"]
    wrong = anna.post("/api/session/password", json={"current": "wrong", "new": "a garage, a phone"})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "the present password is another")
    changed = anna.post("/api/session/password", json={"current": PASSWORD, "new": "a garage, a phone"})
    assert changed.status_code == 200
    assert anna.cookies["claimsight"] != before
    assert elsewhere.get("/api/session").status_code == 401
    assert anna.get("/api/session").status_code == 200
    assert anna.post("/api/session", json=RIGHT).status_code == 401
    assert book.rows("SELECT person, action FROM access_log ORDER BY entry_id DESC LIMIT 1") == [
        {"person": "anna", "action": "password_changed"}
    ]


@pytest.mark.parametrize("new", ["short", "my name is anna", "aaaaaaaaaaaab", PASSWORD, "x" * 257])
def test_passwords_that_will_not_do(anna: TestClient, new: str) -> None:
    """A password that is guessed first is not taken, and the answer says why."""
    refused = anna.post("/api/session/password", json={"current": PASSWORD, "new": new})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("the new password ")


def test_tries_at_the_present_password(anna: TestClient) -> None:
    """Who found a session open does not guess the password by it."""
    given = {"current": "wrong", "new": "a garage, a phone"}
    assert [anna.post("/api/session/password", json=given).status_code for _ in range(11)][-2:] == [422, 429]


@pytest.mark.parametrize("login", ["", "a b", "a\u0000", "a\nb", "\ud800", "x" * 129, 7, None])
def test_logins_that_are_none(anna: TestClient, login: object) -> None:
    """What can be no login is refused before anything is looked up."""
    body = (b'{"login": "\\ud800", "password": "x"}') if login == "\ud800" else None
    sent = {"content": body} if body else {"json": {"login": login, "password": "x"}}
    answer = anna.post("/api/session", headers={"Content-Type": "application/json"}, **sent)  # type: ignore[arg-type]
    assert answer.status_code == 422
