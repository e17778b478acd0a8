"""Keys of other systems, as administrators make and revoke them."""

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


def test_a_key_is_made_and_revoked(ada: TestClient, book: Book) -> None:
    """A key is told once and is good from then on, until it is revoked; both stand in the log with the person."""
    made = ada.post("/api/keys", json={"system": "claims-desk", "scopes": ["model", "alerts"]})
    assert made.status_code == 201
    key, key_id = made.json()["key"], made.json()["key_id"]
    listed = ada.get("/api/keys")
    assert key not in listed.text
    assert listed.json()["keys"][0]["scopes"] == ["alerts", "model"]
    system = TestClient(ada.app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {key}"})
    system.portal = ada.portal
    assert system.get("/v1/model").status_code != 401
    assert ada.post(f"/api/keys/{key_id}/revoke").status_code == 204
    assert ada.post(f"/api/keys/{key_id}/revoke").status_code == 404
    entries = book.rows("SELECT person, action, subject FROM access_log WHERE action LIKE 'key%%' ORDER BY entry_id")
    assert entries == [
        {"person": "ada", "action": "key_created", "subject": "claims-desk"},
        {"person": "ada", "action": "key_revoked", "subject": str(key_id)},
    ]


@pytest.mark.parametrize("given", [{"system": "Desk"}, {"system": "a b"}, {"scopes": []}, {"scopes": ["all"]}])
def test_keys_that_cannot_be(ada: TestClient, given: dict[str, Any]) -> None:
    """A name that is none, and scopes that are none, are refused."""
    assert ada.post("/api/keys", json={"system": "desk", "scopes": ["model"]} | given).status_code == 422


def test_a_person_is_no_system(ada: TestClient) -> None:
    """A system is not called as a person is: the log would take the one for the other."""
    assert ada.post("/api/keys", json={"system": "ada", "scopes": ["model"]}).status_code == 409
