"""Signing in and out, and what an answer of the console always bears."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.console.conftest import PASSWORD, SignIn


def test_a_session_begins_and_ends(sign_in: SignIn) -> None:
    """Who signs in is known until signing out, and the cookie is of no use then."""
    anna = sign_in("investigator", login="anna")
    told = anna.get("/api/session").json()
    assert told["login"] == "anna"
    assert told["permissions"] == ["see_claims", "decide", "see_models"]
    cookies = dict(anna.cookies)
    assert anna.delete("/api/session").status_code == 204
    assert anna.get("/api/session", cookies=cookies).status_code == 401


def test_wrong_passwords_and_unknown_logins_look_alike(sign_in: SignIn) -> None:
    """Nobody learns which logins there are."""
    anna = sign_in("investigator", login="anna")
    answers = [
        anna.post("/api/session", json={"login": login, "password": password})
        for login, password in (("anna", "wrong"), ("nobody", PASSWORD))
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


def test_changes_need_the_token_of_the_session(sign_in: SignIn) -> None:
    """Another site that has a browser send its cookie changes nothing."""
    anna: TestClient = sign_in("investigator", login="anna")
    del anna.headers["X-CSRF-Token"]
    assert anna.delete("/api/session").status_code == 403
    assert anna.get("/api/session").status_code == 200


def test_every_answer_is_guarded(sign_in: SignIn) -> None:
    """The policy lets in scripts of our own alone; what the API tells is kept nowhere."""
    answer = sign_in("auditor").get("/api/session")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
