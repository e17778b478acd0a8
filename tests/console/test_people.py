"""Who uses the console: added, changed and shut out by an administrator."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.console.conftest import Book, SignIn


@pytest.fixture(scope="module", name="book")
def _book(bare: Book) -> Book:
    return bare


@pytest.fixture
def ada(sign_in: SignIn) -> TestClient:
    """Give an administrator's browser."""
    return sign_in("admin", login="ada")


def person(ada: TestClient, login: str) -> dict[str, Any]:
    """Look somebody up on the page."""
    return next(row for row in ada.get("/api/people").json()["people"] if row["login"] == login)


def entries(book: Book) -> list[dict[str, Any]]:
    """What stands in the log, by person, action and subject."""
    return book.rows("SELECT person, action, subject, detail FROM access_log ORDER BY entry_id")


def signed_in(like: TestClient, login: str, password: str) -> TestClient:
    client = TestClient(like.app, base_url="http://127.0.0.1")
    client.portal = like.portal
    answer = client.post("/api/session", json={"login": login, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return client


def test_a_person_is_let_in(ada: TestClient, book: Book) -> None:
    """Who is added gets a password once, that is good for choosing another and for nothing else."""
    made = ada.post("/api/people", json={"login": "ben", "name": "Ben", "roles": ["investigator", "auditor"]})
    assert made.status_code == 201
    password = made.json()["password"]
    assert password not in str(book.rows("SELECT * FROM people")) + str(entries(book)) + ada.get("/api/people").text
    ben = signed_in(ada, "ben", password)
    told = ben.get("/api/session").json()
    assert (told["must_choose_password"], told["permissions"]) == (True, [])
    changed = ben.post("/api/session/password", json={"current": password, "new": "a garage, a phone"})
    assert (changed.json()["must_choose_password"], changed.json()["roles"]) == (False, ["auditor", "investigator"])
    assert ben.get("/api/session").json()["permissions"] != []
    entered = {
        "person": "ada",
        "action": "person_added",
        "subject": "ben",
        "detail": {"roles": ["auditor", "investigator"]},
    }
    assert entered in entries(book)


def test_a_password_that_was_never_used(ada: TestClient, book: Book) -> None:
    """A password that was handed over is of no use after three days."""
    password = ada.post("/api/people", json={"login": "cleo", "name": "Cleo", "roles": ["auditor"]}).json()["password"]
    book.rows("UPDATE people SET one_time_until = one_time_until - interval '3 days' WHERE login = 'cleo'")
    given = {"login": "cleo", "password": password}
    assert ada.post("/api/session", json=given).status_code == 401


def test_roles_change(ada: TestClient, sign_in: SignIn, book: Book) -> None:
    """Who gets other roles signs in anew, and the log has both."""
    dan = sign_in("investigator", login="dan")
    changed = ada.put(f"/api/people/{person(ada, 'dan')['person_id']}/roles", json={"roles": ["data_scientist"]})
    assert changed.status_code == 204
    assert dan.get("/api/session").status_code == 401
    assert person(ada, "dan")["roles"] == ["data_scientist"]
    assert entries(book)[-1] == {
        "person": "ada",
        "action": "roles_changed",
        "subject": "dan",
        "detail": {"from": ["investigator"], "to": ["data_scientist"]},
    }


def test_a_person_is_shut_out_and_let_in_again(ada: TestClient, sign_in: SignIn, book: Book) -> None:
    """Who is disabled is out at once and stays out; enabled again, the password is as it was."""
    eve = sign_in("auditor", login="eve")
    address = f"/api/people/{person(ada, 'eve')['person_id']}"
    assert ada.post(f"{address}/disable").status_code == 204
    assert eve.get("/api/session").status_code == 401
    assert eve.post("/api/session", json={"login": "eve", "password": "a password for tests"}).status_code == 401
    assert person(ada, "eve")["disabled_at"] is not None
    assert ada.post(f"{address}/enable").status_code == 204
    signed_in(ada, "eve", "a password for tests")
    assert [entry["action"] for entry in entries(book)[-3:]] == ["person_disabled", "person_enabled", "signed_in"]


def test_a_password_is_reset(ada: TestClient, sign_in: SignIn) -> None:
    """A new password ends the sessions and the former password, and is to be changed."""
    fay = sign_in("auditor", login="fay")
    password = ada.post(f"/api/people/{person(ada, 'fay')['person_id']}/password").json()["password"]
    assert fay.get("/api/session").status_code == 401
    assert fay.post("/api/session", json={"login": "fay", "password": "a password for tests"}).status_code == 401
    assert signed_in(ada, "fay", password).get("/api/session").json()["must_choose_password"]


def test_one_does_not_shut_oneself_out(ada: TestClient) -> None:
    """An administrator cannot disable, demote or reset themselves: so one is left."""
    address = f"/api/people/{person(ada, 'ada')['person_id']}"
    answers = [
        ada.post(f"{address}/disable"),
        ada.put(f"{address}/roles", json={"roles": ["auditor"]}),
        ada.post(f"{address}/password"),
    ]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert person(ada, "ada")["roles"] == ["admin"]


def test_people_of_a_provider(ada: TestClient, book: Book) -> None:
    """Roles and passwords of one who signs in by a provider are not given here; shut out they are."""
    book.rows(
        "INSERT INTO people (login, name, roles, issuer, subject) VALUES ('gil', 'Gil', '{auditor}', 'https://id', '1')"
    )
    gil = person(ada, "gil")
    address = f"/api/people/{gil['person_id']}"
    assert not gil["is_local"]
    assert ada.put(f"{address}/roles", json={"roles": ["admin"]}).status_code == 409
    assert ada.post(f"{address}/password").status_code == 409
    assert ada.post(f"{address}/disable").status_code == 204


@pytest.mark.parametrize(
    "given",
    [
        {"login": "ada"},
        {"login": "a b"},
        {"login": "a\u0000b"},
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"roles": []},
        {"roles": ["owner"]},
    ],
)
def test_people_who_cannot_be(ada: TestClient, given: dict[str, Any]) -> None:
    """A login that is taken or none, a name or roles that are none: refused with a word on each."""
    refused = ada.post("/api/people", json={"login": "new", "name": "New", "roles": ["auditor"]} | given)
    assert refused.status_code == (409 if given == {"login": "ada"} else 422)
    assert refused.json()["detail"]


def test_what_is_wrong_is_said_in_words(ada: TestClient) -> None:
    """A form that lacks something is told so in words for people, not in those of a library."""
    refused = ada.post("/api/people", json={"login": "a b", "name": "x" * 201, "roles": []}).json()
    assert refused["errors"] == [
        {"field": "login", "message": "is empty, or holds a character that it may not"},
        {"field": "name", "message": "has more than 200 characters"},
        {"field": "roles", "message": "needs at least 1"},
    ]


@pytest.mark.parametrize("person_id", ["0", "-1", "x", str(2**63), "1e3"])
def test_nobody_of_that_number(ada: TestClient, person_id: str) -> None:
    """A number that is nobody's is not found or none."""
    assert ada.post(f"/api/people/{person_id}/disable").status_code == 422
    assert ada.post(f"/api/people/{2**62}/disable").status_code == 404
