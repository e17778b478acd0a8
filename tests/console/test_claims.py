"""The claim page's API: what it shows and what never, and what the access log keeps of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.access_factory import SECRETS
from tests.console.claim_line import PHOTO, THUMBNAIL, Line, claim_line
from tests.console.conftest import SignIn


@pytest.fixture(scope="module")
def book(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Take the place of the book that `sign_in` uses."""
    with claim_line(postgres, tmp_path_factory.mktemp("motor"), "test_claim_page") as line:
        yield line


@pytest.fixture(scope="module")
def anna(sign_in: SignIn) -> TestClient:
    """Sign an investigator in."""
    return sign_in("investigator", login="anna")


def ticket(client: TestClient, claim: str, purpose: str = "complaint 4711") -> int:
    """Open a claim."""
    answer = client.post(f"/api/claims/{claim}/open", json={"purpose": purpose})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["ticket"])


def read(client: TestClient, claim: str, what: str = "") -> Any:
    """Open a claim and read of it."""
    answer = client.get(f"/api/claims/{claim}{what}", params={"ticket": ticket(client, claim)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_facts_probability_and_reasons(anna: TestClient) -> None:
    """What analysts may see is shown in the contract's order with meaning and unit, and reasons say how unusual."""
    told = read(anna, "c1")
    assert [fact["name"] for fact in told["facts"]] == ["amount", "peril", "garage", "seen_on", "hurt", "odd %'$$"]
    assert told["facts"][0] == {
        "name": "amount", "title": "amount", "meaning": "", "unit": "EUR", "dtype": "number", "value": 731.25,
    }  # fmt: skip
    prediction = told["prediction"]
    assert (prediction["probability"], prediction["flagged"], prediction["audited"]) == (0.8, True, False)
    assert prediction["expected_loss"] == pytest.approx(0.8 * 731.25)
    assert [reason["text"] for reason in prediction["reasons"]] == [
        "The amount of 731.25 is high: 3 % of claims of theft have as much.",
        "weekday of lost_on = Sunday lowers the probability",
    ]
    assert (prediction["reasons"][0]["unusual"], prediction["reasons"][0]["peers"]) == (0.03, "claims of theft")
    assert (told["holder"], told["may_decide"]) == (None, False)  # nobody has taken it


def test_place_in_the_week(anna: TestClient) -> None:
    """A claim's rank is among all scored claims of the week of its event, and each of them is counted once."""
    week = read(anna, "c2")["week"]
    assert (week["begins"], week["claims"], week["rank"]) == ("2024-05-06", 6, 2)
    assert (len(week["counts"]), sum(week["counts"]), week["counts"][32]) == (40, 6, 1)


def test_what_was_known_when(anna: TestClient) -> None:
    """A correction tells what it changed of what is shown, and of nothing else."""
    told = read(anna, "c5")
    first, second = told["versions"]
    assert (first["changes"], second["known_at"][:10]) == ([], "2024-05-25")
    assert [(change["name"], change["before"], change["value"]) for change in second["changes"]] == [
        ("amount", 731.25, 99.5),
        ("garage", "g1", "g2"),
    ]
    assert told["facts"][0]["value"] == 99.5
    (outcome,) = read(anna, "c2")["outcomes"]
    assert (outcome["is_fraud"], outcome["source"], outcome["by"]) == (True, "investigation", None)


def test_nothing_is_known_before_its_time(anna: TestClient, book: Line) -> None:
    """What comes after the console's clock is not shown, of versions, scores and outcomes alike."""
    later = "2024-07-01"
    book.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) VALUES ('c4', true, %s, %s, 'x')",
        (later, later),
    )
    book.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, peril, who, sex, "
        "born) VALUES ('later', 1, %s, %s, 1, 1, 1, 'theft', 'XWHO', 'x', 'x')",
        (later, later),
    )
    assert read(anna, "c4")["outcomes"] == []
    opened = ticket(anna, "later")
    assert anna.get("/api/claims/later", params={"ticket": opened}).status_code == 404
    assert anna.post("/api/claims/later/decision", json={"decision": "fraud"}).status_code == 404
    assert "later" not in json.dumps(read(anna, "c1", "/related"))


def test_related_claims(anna: TestClient) -> None:
    """Claims that share an entity are told with what is shared, its value only where it may be seen."""
    told = read(anna, "c1", "/related")
    assert [(entity["name"], entity["value"], entity["shared"]) for entity in told["entities"]] == [
        ("who", None, True),
        ("garage", "g1", True),
    ]
    found = {claim["claim_id"]: claim for claim in told["claims"]}
    assert found.keys() == {"c2", "c3", "c4", "c5"}
    assert sorted(found["c2"]["shares"]) == ["garage", "who"]
    assert (found["c2"]["outcome"], found["c2"]["probability"], found["c3"]["outcome"]) == (
        True,
        pytest.approx(0.7),
        None,
    )
    alone = read(anna, "c6", "/related")
    assert (alone["claims"], [entity["shared"] for entity in alone["entities"]]) == ([], [False, False])


def test_a_claim_is_read_without_a_look_at_all_others(anna: TestClient, book: Line) -> None:
    """However many outcomes there are, a page reads those of its own claims."""
    book.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
        "SELECT 'other ' || n, false, '2024-05-01', '2024-05-01', 'x' FROM generate_series(1, 10000) n"
    )
    book.rows("ANALYZE outcomes")
    read_of = (
        "SELECT sum(pg_stat_get_xact_tuples_returned(relation)) FROM (SELECT 'motor.outcomes'::regclass::oid UNION ALL "
        "SELECT indexrelid FROM pg_index WHERE indrelid = 'motor.outcomes'::regclass) AS o (relation)"
    )
    opened = ticket(anna, "c1")
    with psycopg.connect(book.console_url) as connection:
        for function in ("console_claim", "console_related"):
            connection.execute(f"SELECT motor.{function}('anna', %s, 'c1', now())", [opened])  # type: ignore[arg-type]
        (count,) = connection.execute(read_of).fetchone() or (None,)  # type: ignore[arg-type]
    assert 0 < int(count or 0) < 100


def test_photos(anna: TestClient) -> None:
    """A photo is served as a picture that runs nothing, kept by the browser alone, and names claims that share it."""
    first, second = read(anna, "c1")["photos"]
    assert (first["name"], [also["claim_id"] for also in first["also"]], second["also"]) == ("1.jpg", ["c3"], [])
    opened = ticket(anna, "c1")
    full = anna.get("/api/claims/c1/photos/2 front.jpg", params={"ticket": opened})
    assert (full.content, full.headers["content-type"]) == (PHOTO, "image/jpeg")
    assert full.headers["content-disposition"] == "inline"
    assert full.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in full.headers["content-security-policy"]
    assert full.headers["cache-control"] == "private, max-age=3600"
    small = anna.get("/api/claims/c1/photos/1.jpg", params={"ticket": opened, "size": "thumbnail"})
    assert small.content == THUMBNAIL
    for name in ("9.jpg", "..%2f1.jpg", "1.jpg%00"):
        assert anna.get(f"/api/claims/c1/photos/{name}", params={"ticket": opened}).status_code in (404, 422)


def test_no_secret_is_ever_told(anna: TestClient, sign_in: SignIn) -> None:
    """What stands in sensitive, personal and ignored columns is in no answer, of whatever claim and whoever asks."""
    for client in (anna, sign_in("auditor")):
        for claim in ("c1", "c2", "c3", "c5", "c6"):
            said = json.dumps([read(client, claim), read(client, claim, "/related")])
            assert [secret for secret in SECRETS if secret in said] == []
            assert "garage" in said


def test_a_ticket_opens_one_claim_to_one_person(anna: TestClient, sign_in: SignIn, book: Line) -> None:
    """Another claim's, another person's, an invented and an old ticket show nothing."""
    bob, opened = sign_in("investigator", login="bob"), ticket(anna, "c1")
    assert anna.get("/api/claims/c2", params={"ticket": opened}).status_code == 403
    assert bob.get("/api/claims/c1", params={"ticket": opened}).status_code == 403
    for what in ("", "/related", "/photos/1.jpg"):
        assert anna.get(f"/api/claims/c1{what}", params={"ticket": 999_999}).status_code == 403
        assert anna.get(f"/api/claims/c1{what}").status_code == 422
    assert anna.post("/api/claims/c1/open", json={"purpose": "  "}).status_code == 409
    with psycopg.connect(book.place.url) as connection:
        connection.execute("ALTER TABLE claimsight.access_log DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE claimsight.access_log SET at = at - %s WHERE entry_id = %s", [timedelta(hours=2), opened]
        )
        connection.execute(
            "ALTER TABLE claimsight.access_log ENABLE ALWAYS TRIGGER stamp, ENABLE ALWAYS TRIGGER append_only"
        )
    answer = anna.get("/api/claims/c1", params={"ticket": opened})
    assert (answer.status_code, answer.json()["detail"]) == (403, "the ticket is more than an hour old; ask anew")


def test_every_reading_is_entered(anna: TestClient, book: Line) -> None:
    """The log has who opened what and why before anything is shown, and each reading after it, photos by name."""
    opened = ticket(anna, "c3", "complaint 4712")
    anna.get("/api/claims/c3", params={"ticket": opened})
    anna.get("/api/claims/c3/related", params={"ticket": opened})
    anna.get("/api/claims/c3/photos/1.jpg", params={"ticket": opened, "size": "thumbnail"})
    entries = book.rows(
        "SELECT person, action, subject, purpose, detail FROM access_log WHERE %s IN (entry_id, ticket) "
        "ORDER BY entry_id",
        (opened,),
    )
    assert {tuple(entry[name] for name in ("person", "action", "subject", "purpose")) for entry in entries} == {
        ("anna", "claim", "c3", "complaint 4712")
    }
    assert [entry["detail"] for entry in entries] == [
        {}, {"rows": 1}, {"related": 4}, {"photo": "1.jpg", "size": "thumbnail", "rows": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("roles", [("data_scientist",), ("admin",)])
def test_other_roles_see_no_claim(sign_in: SignIn, roles: tuple[str, ...]) -> None:
    """Whoever is neither investigator nor auditor opens none; an auditor sees and does not decide."""
    assert sign_in(*roles).post("/api/claims/c1/open", json={"purpose": "curiosity"}).status_code == 403
    auditor = sign_in("auditor")
    assert not read(auditor, "c1")["may_decide"]
    assert auditor.post("/api/claims/c1/decision", json={"decision": "fraud"}).status_code == 403


def test_a_claim_that_was_withdrawn(anna: TestClient, book: Line) -> None:
    """What its file no longer holds is still told of, with the day on which it was withdrawn."""
    book.rows("UPDATE claims SET superseded_at = '2024-06-01' WHERE claim_id = 'c6'")
    told = read(anna, "c6")
    assert told["withdrawn_at"].startswith("2024-06-01")
    assert told["facts"]
    book.rows("UPDATE claims SET superseded_at = NULL WHERE claim_id = 'c6'")


def test_what_became_of_the_case(anna: TestClient, sign_in: SignIn) -> None:
    """Who assigned, snoozed or passed it on, to whom, until when and why; a note of blanks says nothing."""
    sign_in("investigator", login="bob")
    stands = {"assigned_to": None, "snoozed_until": None, "escalated": False, "steps": []}
    assert read(anna, "c4")["case"] == stands
    assert anna.post("/api/cases/c4/escalate", json={"note": "\u2003\t"}).status_code == 422
    assert anna.post("/api/cases/c4/assign", json={"to": "bob", "note": "knows the garage"}).status_code == 204
    assert anna.post("/api/cases/c4/escalate", json={"note": "a ring?"}).status_code == 204
    told = read(anna, "c4")["case"]
    assert (told["assigned_to"], told["snoozed_until"], told["escalated"]) == ("Bob", None, True)
    assert [[step[name] for name in ("by", "action", "to", "note")] for step in told["steps"]] == [
        ["Anna", "assigned", "Bob", "knows the garage"],
        ["Anna", "escalated", None, "a ring?"],
    ]
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert anna.post("/api/cases/c4/snooze", json={"until": until}).status_code == 204
    assert datetime.fromisoformat(read(anna, "c4")["case"]["snoozed_until"]) == datetime.fromisoformat(until)


@pytest.mark.parametrize("claim", ["2024/7", "2024/7/related", "50%2F1", "a b?c#d", "../c1"])
def test_an_id_of_any_letters(anna: TestClient, book: Line, claim: str) -> None:
    """Encoded in the address, an id with slashes or percent signs leads to its claim and to what is done with it."""
    book.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, peril, garage, who, "
        "sex, born) SELECT %s, 1, event_time, known_at, 2, 1, 7, peril, 'g9', 'XWHO9', sex, born FROM claims "
        "WHERE claim_id = 'c6'",
        (claim,),
    )
    book.rows(
        "INSERT INTO claim_photos (claim_id, name, file_id, picture_id, sha256, width, height, photo, thumbnail) "
        "VALUES (%s, 'of/1.jpg', 1, 2, '', 1, 1, %s, %s)",
        (claim, PHOTO, THUMBNAIL),
    )
    sent = quote(claim, safe="")
    assert (read(anna, sent)["claim_id"], read(anna, sent)["facts"][0]["value"]) == (claim, 7)
    assert "claims" in read(anna, sent, "/related")
    photo = anna.get(f"/api/claims/{sent}/photos/of%2F1.jpg", params={"ticket": ticket(anna, sent)})
    assert photo.content == PHOTO
    assert anna.post(f"/api/cases/{sent}/take").status_code == 200
    made = anna.post(f"/api/claims/{sent}/decision", json={"decision": "fraud"})
    assert anna.post(f"/api/claims/{sent}/undo", json=made.json()).status_code == 200
    assert anna.post(f"/api/cases/{sent}/release").status_code == 204
    entries = book.rows("SELECT action FROM access_log WHERE subject = %s", (claim,))
    assert {entry["action"] for entry in entries} >= {"claim", "case_taken", "case_decided", "case_undone"}


@pytest.mark.parametrize("claim", ["nobody", "c1%00", "c1'; SELECT 1", "%F0%9F%92%A9"])
def test_no_such_claim(anna: TestClient, claim: str) -> None:
    """An id that no claim has is told as a problem, whatever stands in it."""
    opened = anna.post(f"/api/claims/{claim}/open", json={"purpose": "complaint"})
    if opened.status_code == 200:
        opened = anna.get(f"/api/claims/{claim}", params=opened.json())
    assert opened.status_code in (404, 422)
    assert opened.headers["content-type"] == "application/problem+json"
