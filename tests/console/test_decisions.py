"""Decisions: who may make and undo them, what they leave, and that every reader counts them or not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from console.api.add_person import add_person
from console.api.app import create_app
from tests.console.claim_line import AS_OF, Line, claim_line
from tests.console.conftest import PASSWORD


@pytest.fixture(scope="module")
def line(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Give a line of six claims."""
    with claim_line(postgres, tmp_path_factory.mktemp("motor"), "test_decisions") as made:
        yield made


def client(settings: Any, login: str, *roles: str) -> Iterator[TestClient]:
    """Sign somebody in at a console of their own."""
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1") as made:
        assert made.portal is not None
        made.portal.call(add_person, app.state.store, login, login.title(), roles, PASSWORD)
        answer = made.post("/api/session", json={"login": login, "password": PASSWORD})
        made.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield made


@pytest.fixture(scope="module")
def anna(line: Line) -> Iterator[TestClient]:
    """Sign an investigator in."""
    yield from client(line.settings(), "anna", "investigator")


@pytest.fixture(scope="module")
def bob(line: Line) -> Iterator[TestClient]:
    """Sign another in."""
    yield from client(line.settings(), "bob", "investigator")


def decide(who: TestClient, claim: str, decision: str, note: str = "") -> int:
    """Take the case and decide; the status."""
    who.post(f"/api/cases/{claim}/take")
    return who.post(f"/api/claims/{claim}/decision", json={"decision": decision, "note": note}).status_code


def undo(who: TestClient, claim: str, decision: int | None = None) -> tuple[int, str]:
    """Take the last decision back, or a certain one; the status and what is said."""
    if decision is None:
        ticket = who.post(f"/api/claims/{claim}/open", json={"purpose": "case work"}).json()["ticket"]
        told = who.get(f"/api/claims/{claim}", params={"ticket": ticket}).json()["decisions"]
        decision = max((found["decision_id"] for found in told if found["undone_at"] is None), default=1)
    answer = who.post(f"/api/claims/{claim}/undo", json={"decision_id": decision})
    return answer.status_code, answer.json().get("detail", "")


def outcome(line: Line, claim: str, moment: str = AS_OF) -> Any:
    """What stands of a claim at a moment."""
    found = line.rows("SELECT is_fraud, source, actor FROM outcomes_as_of(%s) WHERE claim_id = %s", (moment, claim))
    return tuple(found[0].values()) if found else None


def open_claims(line: Line) -> list[str]:
    """Claims on the worklist."""
    found = line.rows("SELECT claim_id FROM worklist_as_of(%s) ORDER BY 1", (AS_OF,))
    return [row["claim_id"] for row in found]


def test_a_verdict_becomes_an_outcome(line: Line, anna: TestClient) -> None:
    """It bears who and when, the claim leaves the worklist, and the log has the change without its note."""
    assert decide(anna, "c1", "fraud", "  the photo is of another car ") == 201
    assert outcome(line, "c1") == (True, "console", "anna")
    assert open_claims(line) == ["c3", "c4"]
    (row,) = line.rows("SELECT claim_id, person, decision, note, moment = %s AS now FROM decisions", (AS_OF,))
    assert row == {
        "claim_id": "c1", "person": "anna", "decision": "fraud", "note": "the photo is of another car", "now": True,
    }  # fmt: skip
    (entry,) = line.rows("SELECT person, subject, detail FROM access_log WHERE action = 'case_decided'")
    assert (entry["person"], entry["subject"], entry["detail"]["decision"]) == ("anna", "c1", "fraud")
    assert "car" not in json.dumps(entry)


def test_a_verdict_is_taken_back(line: Line, anna: TestClient, bob: TestClient) -> None:
    """By who made it, once, and as often as it is made anew while the clock stands still."""
    assert undo(bob, "c1") == (403, "another person decided; decide anew instead")
    assert undo(anna, "c1")[0] == 200
    assert outcome(line, "c1") is None
    assert open_claims(line) == ["c1", "c3", "c4"]
    assert undo(anna, "c1") == (409, "there is no decision to take back")
    for _ in range(2):
        assert decide(anna, "c1", "fraud") == 201
        assert outcome(line, "c1") == (True, "console", "anna")
        assert undo(anna, "c1")[0] == 200
    assert outcome(line, "c1") is None


def test_what_stood_before_stands_again(line: Line, anna: TestClient, bob: TestClient) -> None:
    """Taking back puts nothing in the place of what others told, in whatever order two take theirs back."""
    assert outcome(line, "c2") == (True, "investigation", None)
    assert decide(anna, "c2", "not_fraud") == decide(bob, "c2", "fraud") == 201
    assert undo(bob, "c2")[0] == 200
    assert outcome(line, "c2") == (False, "console", "bob")
    assert undo(anna, "c2")[0] == 200
    assert outcome(line, "c2") == (True, "investigation", "anna")
    before, after = "2024-06-14", "2024-06-16"
    assert outcome(line, "c2", before) == (True, "investigation", None)
    assert decide(anna, "c2", "not_fraud") == 201
    line.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) VALUES ('c2', true, %s, %s, 'court')",
        (AS_OF, AS_OF),
    )
    assert undo(anna, "c2")[0] == 200
    assert outcome(line, "c2", after) == (True, "court", None)


def test_more_information_is_no_outcome(line: Line, anna: TestClient) -> None:
    """The claim stays on the worklist, and the page tells what is asked for and lets it be taken back."""
    assert decide(anna, "c3", "more_information", "ask the garage") == 201
    assert outcome(line, "c3") is None
    assert "c3" in open_claims(line)
    ticket = anna.post("/api/claims/c3/open", json={"purpose": "case work"}).json()["ticket"]
    told = anna.get("/api/claims/c3", params={"ticket": ticket}).json()
    (decision,) = told["decisions"]
    assert (decision["decision"], decision["note"], decision["by"]) == ("more_information", "ask the garage", "Anna")
    assert (decision["undone_at"], told["outcome"]) == (None, None)
    assert datetime.fromisoformat(told["undo_until"]) > datetime.now(UTC)
    assert undo(anna, "c3")[0] == 200
    told = anna.get("/api/claims/c3", params={"ticket": ticket}).json()
    assert told["decisions"][0]["undone_at"] is not None
    assert told["undo_until"] is None
    assert "c3" not in {row["claim_id"] for row in line.rows("SELECT claim_id FROM outcomes")}


def test_taking_back_twice_takes_one_back(line: Line, anna: TestClient) -> None:
    """The same request again, or from a page that is out of date, does not reach the decision before."""
    assert decide(anna, "c5", "more_information", "ask the garage") == 201
    assert decide(anna, "c5", "more_information", "ask the police") == 201
    rows = line.rows("SELECT decision_id FROM decisions WHERE claim_id = 'c5' ORDER BY 1")
    first, second = (row["decision_id"] for row in rows)
    stale = (409, "that decision does not stand any more; load the page again")
    assert undo(anna, "c5", first) == stale
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(lambda _: undo(anna, "c5", second), range(4)))
    assert Counter(at_once) == {(200, ""): 1, stale: 3}
    assert undo(anna, "c5", first)[0] == 200


def test_after_a_day_it_stands(line: Line, anna: TestClient) -> None:
    """What was decided a day ago is not taken back; deciding anew changes it."""
    assert decide(anna, "c3", "not_fraud") == 201
    with psycopg.connect(line.place.url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE motor.decisions SET at = at - interval '1 day' WHERE claim_id = 'c3'")
    assert undo(anna, "c3") == (409, "the decision is more than a day old; decide anew instead")
    assert decide(anna, "c3", "fraud") == 201
    assert outcome(line, "c3") == (True, "console", "anna")
    assert undo(anna, "c3")[0] == 200
    assert outcome(line, "c3") == (False, "console", "anna")


@pytest.mark.parametrize(
    "given",
    [
        {"decision": "undone"},
        {"decision": "fraud", "note": "x" * 2001},
        {"decision": "fraud", "note": "nul \x00"},
        {"note": "no verdict"},
    ],
)
def test_what_is_no_decision(line: Line, anna: TestClient, given: dict[str, str]) -> None:
    """Other words, and notes that are too long, are refused and leave nothing."""
    assert anna.post("/api/claims/c4/decision", json=given).status_code == 422
    assert line.rows("SELECT 1 FROM decisions WHERE claim_id = 'c4'") == []


def test_whoever_decides_has_taken_the_case(line: Line, anna: TestClient, bob: TestClient) -> None:
    """Only its holder decides, while the lock lasts; whoever gives a verdict holds the case no longer."""
    verdict = {"decision": "fraud"}
    assert anna.post("/api/claims/c4/decision", json=verdict).status_code == 409
    assert anna.post("/api/cases/c4/take").status_code == 200
    assert bob.post("/api/claims/c4/decision", json=verdict).status_code == 409
    ticket = bob.post("/api/claims/c4/open", json={"purpose": "case work"}).json()["ticket"]
    told = bob.get("/api/claims/c4", params={"ticket": ticket}).json()
    assert (told["holder"]["name"], told["holder"]["mine"], told["may_decide"]) == ("Anna", False, False)
    line.rows("UPDATE case_locks SET until = now() - interval '1 minute'")
    assert anna.post("/api/claims/c4/decision", json=verdict).status_code == 409
    assert decide(anna, "c4", "fraud") == 201
    assert line.rows("SELECT 1 FROM case_locks WHERE claim_id = 'c4'") == []
    assert undo(anna, "c4")[0] == 200


def test_decisions_cannot_be_changed(line: Line, anna: TestClient) -> None:
    """The console's role reads and writes neither table but by the functions, and nobody rewrites a decision."""
    assert decide(anna, "c4", "fraud", "for good") == 201
    with psycopg.connect(line.settings().database_url.get_secret_value(), autocommit=True) as connection:
        for table in ("decisions", "outcomes"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT 1 FROM motor.{table}")  # type: ignore[arg-type]
        for call in ("note_case('anna', 'c4', 'decided')", "held_still('c4', now())", "standing_decision('c4')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT motor.{call}")  # type: ignore[arg-type]
    with psycopg.connect(line.place.url) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("UPDATE motor.decisions SET note = 'another'")
    assert undo(anna, "c4")[0] == 200


def test_nobody_decides_as_another(line: Line) -> None:
    """A name that no person of the console has, or one that was shut out, decides nothing."""
    with pytest.raises(Exception, match="no investigator of that name"):
        line.rows("SELECT console_decide('mallory', 'c4', 'fraud', '', %s)", (AS_OF,))
    assert line.rows("SELECT 1 FROM decisions WHERE person = 'mallory'") == []


def test_an_erasure_leaves_no_decision(line: Line, anna: TestClient) -> None:
    """A decision about a claim that is being erased waits, and then there is no such claim."""
    with psycopg.connect(line.place.url) as erasing, ThreadPoolExecutor(1) as thread:
        erasing.execute("DELETE FROM motor.claims WHERE claim_id = 'c6'")
        decided = thread.submit(decide, anna, "c6", "fraud")
        with pytest.raises(TimeoutError):
            decided.result(timeout=0.5)
        erasing.commit()
        assert decided.result(timeout=10) == 404
    assert line.rows("SELECT 1 FROM outcomes WHERE claim_id = 'c6'") == []
