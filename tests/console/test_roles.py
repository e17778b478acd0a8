"""Every route tried by everybody: what is not said to be open is closed, also what is added later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.api.app import create_app
from console.api.guard import UNSAFE
from console.api.people import PERMISSIONS, ROLES
from tests.console.conftest import Book, SignIn
from tests.console.routes_of import Way, ways
from tests.factories import ROOT

OPEN = {
    "GET /api/session/ways",
    "POST /api/session",
    "GET /api/session/oidc",
    "GET /api/session/oidc/callback",
    "GET /healthz",
    "GET /{path:path}",
}
"""For everybody."""
OWN = {"GET /api/session", "DELETE /api/session", "POST /api/session/password"}
"""For whoever is signed in: about oneself."""
BY_KEY = "/v1/"
"""Under this, for other systems: by a key, and not by a session."""
ALL = ways(create_app(Book("", "postgresql://x", ROOT / "contracts").settings()))
GUARDED = [way for way in ALL if way.name not in OPEN | OWN and not way.path.startswith(BY_KEY)]
MAY = {
    "see_claims": {"investigator", "auditor"},
    "decide": {"investigator"},
    "see_models": {"investigator", "data_scientist", "auditor", "admin"},
    "rollback": {"data_scientist"},
    "see_operations": {"data_scientist", "auditor", "admin"},
    "see_audit": {"auditor"},
    "manage": {"admin"},
}
"""Who may what, told once more: a change of the permissions is to be meant."""
REFUSED = "your roles do not include it"
every_way = pytest.mark.parametrize("way", GUARDED, ids=lambda way: way.name)


@pytest.fixture(scope="module", name="book")
def _book(bare: Book) -> Book:
    return bare


@pytest.fixture(scope="module")
def everybody(sign_in: SignIn) -> dict[str, TestClient]:
    """Give a browser of each role, and one of nobody."""
    made = {role: sign_in(role) for role in ROLES}
    made["nobody"] = TestClient(made["admin"].app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    made["nobody"].portal = made["admin"].portal
    return made


def send(client: TestClient, way: Way, **others: Any) -> tuple[int, str]:
    """Send what the route can do nothing with; status, and the sentence of a problem."""
    answer = client.request(way.method, way.address, **({"json": {}} if way.method in UNSAFE else {}), **others)
    is_problem = answer.headers.get("Content-Type") == "application/problem+json"
    return answer.status_code, answer.json()["detail"] if is_problem else ""


def test_permissions_are_those_that_are_meant() -> None:
    """Each permission is had by the roles that are to have it."""
    assert {permission: set(roles) for permission, roles in PERMISSIONS.items()} == MAY


def test_every_route_asks_for_something() -> None:
    """A route that asks for no permission is one of a few that are known; of these, each is there."""
    assert [way.name for way in GUARDED if way.permission not in PERMISSIONS] == []
    assert {way.name for way in ALL if way.name in OWN and way.permission == "signed in"} == OWN
    assert {way.name for way in ALL} >= OPEN - {"GET /{path:path}"}


@every_way
def test_nobody(everybody: dict[str, TestClient], way: Way) -> None:
    """Who is not signed in gets nothing, whatever is sent."""
    assert send(everybody["nobody"], way) == (401, "sign in first")


@pytest.mark.parametrize("role", ROLES)
@every_way
def test_each_role(everybody: dict[str, TestClient], way: Way, role: str) -> None:
    """A role gets where its permissions lead, and nowhere else; what it gets there is never a failure of ours."""
    status, sentence = send(everybody[role], way)
    if role in MAY[str(way.permission)]:
        assert status not in (401, 405, 500)
        assert REFUSED not in sentence
    else:
        assert (status, sentence.partition(":")[0]) == (403, REFUSED)


@pytest.mark.parametrize("way", [way for way in ALL if way.path.startswith(BY_KEY)], ids=lambda way: way.name)
def test_a_session_is_no_key(everybody: dict[str, TestClient], way: Way) -> None:
    """What other systems call takes a key, and no cookie; its description alone is for everybody."""
    status, _ = send(everybody["admin"], way)
    assert status == (200 if way.path.endswith("/openapi.json") else 401)


@pytest.mark.parametrize(
    "forge",
    [lambda _: {}, lambda token: {"X-CSRF-Token": token[:-1]}, lambda _: {"X-CSRF-Token": ""}],
    ids=["none", "cut", "empty"],
)
@pytest.mark.parametrize(
    "way", [way for way in ALL if way.method in UNSAFE and way.permission], ids=lambda way: way.name
)
def test_every_change_needs_the_token(sign_in: SignIn, way: Way, forge: Callable[[str], dict[str, str]]) -> None:
    """No route changes anything by a session's cookie alone, nor by a part of its token."""
    client = sign_in(login="everyone")
    token = client.headers.pop("X-CSRF-Token")
    assert send(client, way, headers=forge(token)) == (403, "the page is out of date; load it again")
    assert send(client, way, headers={"X-CSRF-Token": token, "Origin": "https://evil.example"})[0] == 403


@every_way
def test_a_password_that_was_handed_over(sign_in: SignIn, book: Book, way: Way) -> None:
    """Until somebody has chosen a password of their own no role is of use."""
    client = sign_in(login="newcomer")
    book.rows("UPDATE people SET one_time_until = now() + interval '1 day' WHERE login = 'newcomer'")
    assert send(client, way) == (403, "choose a password of your own first")


def test_a_route_that_is_added_is_tried(sign_in: SignIn) -> None:
    """The list of routes has those of an application below, and of a router within a router."""
    assert Way("GET", "/healthz", None) in ALL
    assert Way("PUT", "/api/people/{person_id}/roles", "manage") in ALL
    assert replace(ALL[0], path="/a/{b}/c").address == "/a/9007199254740993/c"
