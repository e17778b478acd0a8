"""The worklist: what a filter shows, who may take which case, and that two people never hold the same."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import polars as pl
import psycopg
import pytest
from fastapi.testclient import TestClient

from console.api import worklist
from console.api.app import create_app
from tests.console.conftest import AS_OF, Book, SignIn

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def alerts(book: Book) -> pl.DataFrame:
    """Compute the worklist from the tables, without the console."""
    found = book.rows(
        "SELECT p.claim_id, date_trunc('week', c.event_time AT TIME ZONE 'UTC')::date AS week, c.peril AS kind, "
        "p.fraud_probability AS probability, c.amount, p.flagged, p.audited "
        "FROM predictions p JOIN claims c USING (claim_id) "
        "WHERE c.superseded_at IS NULL AND p.variant = p.arm AND (p.flagged OR p.audited) "
        "AND p.model_version = (SELECT max(model_version) FROM model_history WHERE alias = 'champion') "
        "AND NOT EXISTS (SELECT FROM outcomes o WHERE o.claim_id = p.claim_id AND o.known_at <= %s)",
        [AS_OF],
    )
    frame = pl.DataFrame(found, infer_schema_length=None)
    return frame.with_columns(expected_loss=pl.col("probability") * pl.col("amount"))


@pytest.fixture(autouse=True)
def _nobody_works(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with no case touched, on a console that asks for the cases each time."""
    monkeypatch.setattr(worklist, "FRESH_SECONDS", 0.0)
    book.rows("DELETE FROM case_locks")
    book.rows("DELETE FROM case_events")
    book.rows("DELETE FROM cases")


@pytest.fixture(scope="module")
def anna(sign_in: SignIn) -> TestClient:
    return sign_in("investigator", login="anna")


@pytest.fixture(scope="module")
def ben(sign_in: SignIn) -> TestClient:
    return sign_in("investigator", login="ben")


@pytest.fixture(scope="module")
def people(book: Book) -> list[str]:
    """Have twenty investigators; their logins."""
    made = book.rows(
        "INSERT INTO people (login, name, roles) SELECT 'investigator-' || n, 'Investigator ' || n, '{investigator}' "
        "FROM generate_series(1, 20) n RETURNING login"
    )
    return [person["login"] for person in made]


def shown(client: TestClient, **asked: Any) -> dict[str, Any]:
    """Ask for a part of the worklist."""
    answer = client.get("/api/worklist", params={"limit": 500} | asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ids(told: dict[str, Any]) -> list[str]:
    return [row["claim_id"] for row in told["rows"]]


def facet(told: dict[str, Any], name: str) -> dict[str, int]:
    return {item["value"]: item["count"] for item in told["facets"][name]}


FILTERS: list[tuple[dict[str, Any], pl.Expr]] = [
    ({}, pl.lit(value=True)),
    ({"kind": "theft"}, pl.col("kind") == "theft"),
    ({"min_amount": 5000, "min_probability": 0.2}, (pl.col("amount") >= 5000) & (pl.col("probability") >= 0.2)),
    ({"sample": "audited"}, pl.col("audited")),
    ({"sample": "flagged", "kind": "collision"}, pl.col("flagged") & (pl.col("kind") == "collision")),
    ({"search": "c00000000"}, pl.col("claim_id").str.starts_with("C00000000")),
    ({"state": "open"}, pl.lit(value=True)),
    ({"state": "snoozed"}, pl.lit(value=False)),
]


@pytest.mark.parametrize(("asked", "test"), FILTERS, ids=lambda value: str(value)[:40])
def test_a_filter_shows_what_a_plain_computation_finds(
    anna: TestClient, alerts: pl.DataFrame, asked: dict[str, Any], test: pl.Expr
) -> None:
    """Rows, their order, sums and counts are those of the tables."""
    wanted = alerts.filter(test).sort("expected_loss", descending=True)
    told = shown(anna, **asked)
    assert told["total"] == wanted.height
    assert ids(told) == wanted["claim_id"].to_list()[:500]
    assert told["expected_loss"] == pytest.approx(wanted["expected_loss"].sum())
    assert told["amount"] == pytest.approx(wanted["amount"].sum())
    if "kind" not in asked:
        assert facet(told, "kind") == dict(Counter(wanted["kind"]))
        assert facet(told, "week") == {str(week): count for week, count in Counter(wanted["week"]).items()}


def test_each_alert_says_why(anna: TestClient, book: Book) -> None:
    """The strongest reason for suspicion that may be shown stands beside it; what was read once is not read again."""
    rows = shown(anna)["rows"]
    stored = book.rows(
        "SELECT claim_id, shown_reasons(reasons) AS told FROM predictions WHERE variant = 'champion' "
        "AND claim_id = ANY (%s)",
        [[row["claim_id"] for row in rows]],
    )
    told = {row["claim_id"]: sorted(row["told"], key=lambda reason: reason["direction"] == "lowers") for row in stored}
    assert {row["claim_id"]: row["reason"] for row in rows} == {claim: why[0]["text"] for claim, why in told.items()}
    kept = "SELECT count(*) FROM access_log WHERE action = 'reasons_kept'"
    before = book.rows(kept)
    assert shown(anna, limit=50)["rows"][0]["reason"]
    assert book.rows(kept) == before


def test_facets_leave_out_their_own_part(anna: TestClient, alerts: pl.DataFrame) -> None:
    """Counts beside a choice tell what another choice would show."""
    told = shown(anna, kind="theft", sample="flagged")
    assert facet(told, "kind") == dict(Counter(alerts.filter("flagged")["kind"]))
    theft = alerts.filter(pl.col("kind") == "theft")
    assert facet(told, "sample") == {"flagged": theft["flagged"].sum(), "audited": theft["audited"].sum()}
    assert told["unit"] == "EUR"


@pytest.mark.parametrize("sort", ["probability", "amount", "week"])
def test_orders(anna: TestClient, alerts: pl.DataFrame, sort: str) -> None:
    """The greatest stand first; weeks begin with the latest, and within one the most probable fraud."""
    by = ["week", "probability"] if sort == "week" else [sort]
    wanted = alerts.sort(*by, descending=True)
    assert ids(shown(anna, sort=sort)) == wanted["claim_id"].to_list()[:500]


def test_a_list_in_parts(anna: TestClient) -> None:
    """Parts one after the other make up the whole, and are one reading in the log."""
    whole = ids(shown(anna, sort="probability"))
    first = shown(anna, sort="probability", limit=7)
    parts = ids(first)
    while len(parts) < len(whole):
        told = anna.get(
            "/api/worklist",
            params={"sort": "probability", "limit": 90, "offset": len(parts), "reading": first["reading"]},
        ).json()
        assert told["reading"] == first["reading"]
        parts += ids(told)
    assert parts[: len(whole)] == whole


def test_a_reading_is_logged_once(book: Book, anna: TestClient, ben: TestClient) -> None:
    """An entry tells who, filter and rows; another filter, person or made-up entry is a reading of its own."""
    told = shown(anna, kind="theft")
    entry = book.rows("SELECT action, person, purpose, detail FROM access_log WHERE entry_id = %s", [told["reading"]])
    assert entry == [
        {
            "action": "worklist",
            "person": "anna",
            "purpose": "chooses cases from the worklist",
            "detail": {"filter": {"kind": "theft"}, "rows": told["total"]},
        }
    ]
    count = "SELECT count(*) AS entries FROM access_log WHERE action = 'worklist'"
    before = book.rows(count)[0]["entries"]
    again = shown(anna, kind="theft", reading=told["reading"], offset=3)
    assert again["reading"] == told["reading"]
    assert book.rows(count)[0]["entries"] == before
    others = [
        shown(anna, kind="fire", reading=told["reading"]),
        shown(ben, kind="theft", reading=told["reading"]),
        shown(anna, kind="theft", reading=told["reading"] + 10_000),
    ]
    assert len({told["reading"], *(other["reading"] for other in others)}) == 4
    assert book.rows(count)[0]["entries"] == before + 3


def test_what_is_asked_badly(anna: TestClient) -> None:
    """A filter that there is not, or a value out of range, is told by its field."""
    for asked in ({"offset": -1}, {"limit": 501}, {"state": "gone"}, {"odd": 1}, {"kind": "\0"}, {"min_amount": "nan"}):
        answer = anna.get("/api/worklist", params=asked)
        assert answer.status_code == 422, asked
        assert [error["field"] for error in answer.json()["errors"]] == list(asked)


def test_a_case_is_held_by_one(book: Book, anna: TestClient, ben: TestClient) -> None:
    """Who takes a case holds it for half an hour; others see who does, and are refused by name."""
    claim = ids(shown(anna))[0]
    until = datetime.fromisoformat(anna.post(f"/api/cases/{claim}/take").json()["until"])
    assert abs(until - datetime.now(UTC) - timedelta(minutes=30)) < timedelta(seconds=10)
    assert anna.post(f"/api/cases/{claim}/take").status_code == 200
    for step, body in (("take", None), ("renew", None), ("escalate", {"note": "odd"}), ("assign", {"to": "ben"})):
        refused = ben.post(f"/api/cases/{claim}/{step}", json=body)
        assert refused.status_code == 409
        assert refused.json()["detail"] == f"Anna holds this case until {until:%H:%M} UTC"
    told = shown(ben, state="others")
    assert ids(told) == [claim]
    assert (told["rows"][0]["held_by"], told["names"]["anna"]) == ("anna", "Anna")
    assert ids(shown(anna, state="mine")) == [claim]
    assert ben.post(f"/api/cases/{claim}/release").status_code == 204
    assert anna.post(f"/api/cases/{claim}/renew").status_code == 200
    assert anna.post(f"/api/cases/{claim}/release").status_code == 204
    assert anna.post(f"/api/cases/{claim}/renew").json()["detail"] == "you do not hold this case; take it first"
    assert ben.post(f"/api/cases/{claim}/take").status_code == 200
    events = book.rows("SELECT action, person FROM case_events ORDER BY event_id")
    assert [(row["action"], row["person"]) for row in events] == [
        ("taken", "anna"),
        ("released", "anna"),
        ("taken", "ben"),
    ]
    logged = book.rows("SELECT person, action FROM access_log WHERE subject = %s ORDER BY entry_id", [claim])
    assert [(row["action"], row["person"]) for row in logged[-3:]] == [
        ("case_taken", "anna"),
        ("case_released", "anna"),
        ("case_taken", "ben"),
    ]


def test_a_lock_runs_out(book: Book, anna: TestClient, ben: TestClient) -> None:
    """By the real clock; until somebody else takes the case its holder may renew it."""
    claim = ids(shown(anna))[0]
    anna.post(f"/api/cases/{claim}/take")
    run_out = "UPDATE case_locks SET until = clock_timestamp() - interval '1 second'"
    book.rows(run_out)
    assert shown(ben, state="others")["total"] == 0
    assert anna.post(f"/api/cases/{claim}/renew").status_code == 200
    assert ben.post(f"/api/cases/{claim}/take").status_code == 409
    book.rows(run_out)
    assert ben.post(f"/api/cases/{claim}/take").status_code == 200
    assert anna.post(f"/api/cases/{claim}/renew").status_code == 409


def test_the_next_case(anna: TestClient, ben: TestClient, alerts: pl.DataFrame) -> None:
    """The first open one under the filter and in its order; of theirs what is assigned to somebody comes first."""
    wanted = alerts.filter(pl.col("kind") == "theft").sort("amount", descending=True)["claim_id"].to_list()
    choice = {"kind": "theft", "sort": "amount"}
    taken = [client.post("/api/cases/next", params=choice).json()["claim_id"] for client in (anna, ben, anna)]
    assert taken == wanted[:3]
    anna.post(f"/api/cases/{wanted[5]}/assign", json={"to": "ben"})
    anna.post(f"/api/cases/{wanted[3]}/snooze", json={"until": TOMORROW})
    anna.post(f"/api/cases/{wanted[4]}/escalate", json={"note": "known ring"})
    assert [client.post("/api/cases/next", params=choice).json()["claim_id"] for client in (ben, anna)] == [
        wanted[5],
        wanted[6],
    ]
    refused = anna.post("/api/cases/next", params={"search": "no such"})
    assert refused.status_code == 409
    assert "no case is free" in refused.json()["detail"]


def test_assigned_asleep_and_passed_on(anna: TestClient, ben: TestClient) -> None:
    """Each stands under its state; taking a case wakes it, and an assignment answers an escalation."""
    one, two, three = ids(shown(anna))[:3]
    assert anna.post(f"/api/cases/{one}/assign", json={"to": "ben", "note": "your garage"}).status_code == 204
    assert anna.post(f"/api/cases/{two}/snooze", json={"until": TOMORROW}).status_code == 204
    assert anna.post(f"/api/cases/{three}/escalate", json={"note": "known ring"}).status_code == 204
    assert ids(shown(ben, state="assigned")) == [one]
    assert ids(shown(ben, state="snoozed")) == [two]
    assert ids(shown(ben, state="escalated")) == [three]
    told = shown(anna, state="open")
    assert not {one, two, three} & {*ids(told)}
    assert facet(told, "state") | {"open": 0} == {
        "open": 0,
        "mine": 0,
        "others": 0,
        "assigned": 0,
        "escalated": 1,
        "snoozed": 1,
    }
    ben.post(f"/api/cases/{two}/take")
    ben.post(f"/api/cases/{three}/assign", json={"to": None})
    assert shown(ben, state="snoozed")["total"] == shown(ben, state="escalated")["total"] == 0


def test_what_is_refused(anna: TestClient, sign_in: SignIn) -> None:
    """Claims that there are not, times past, people who investigate nothing; and an auditor only looks."""
    claim = ids(shown(anna))[0]
    assert anna.post("/api/cases/no such/take").status_code == 404
    assert anna.post("/api/cases/%00/take").status_code == 422
    past = anna.post(f"/api/cases/{claim}/snooze", json={"until": AS_OF.isoformat()})
    assert past.json()["detail"] == "snooze it until a moment of the next 90 days"
    auditor = sign_in("auditor", login="olga")
    assert anna.post(f"/api/cases/{claim}/assign", json={"to": "olga"}).status_code == 409
    assert anna.post(f"/api/cases/{claim}/escalate", json={"note": ""}).status_code == 422
    assert shown(auditor)["total"] > 0
    for step in ("take", "release", "renew"):
        assert auditor.post(f"/api/cases/{claim}/{step}").status_code == 403
    assert auditor.post("/api/cases/next").status_code == 403
    assert sign_in("data_scientist").get("/api/worklist").status_code == 403


def test_the_database_asks_for_an_investigator(book: Book, sign_in: SignIn) -> None:
    """Whatever the API thinks, somebody who is none takes nothing; and the console's login reads no case."""
    sign_in("auditor", login="olga")
    with psycopg.connect(book.console_url, autocommit=True, options="-c search_path=demo,claimsight") as console:
        for call in ("console_take('olga', 'x')", "console_take_next('olga', '{x}', now())"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no investigator of that name"):
                console.execute(f"SELECT {call}")  # type: ignore[arg-type]
        for forbidden in ("TABLE case_events", "TABLE case_locks", "TABLE cases", "SELECT hold_case('x', 'y')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                console.execute(forbidden)  # type: ignore[arg-type]


def test_two_never_take_the_same(book: Book, anna: TestClient, people: list[str]) -> None:
    """Twenty sessions that take the next case at once, some in another order, get twenty cases and no deadlock."""
    claims = ids(shown(anna))[:25]
    start = threading.Barrier(len(people))

    def take(place: int) -> str:
        order = claims if place % 2 else claims[::-1]
        with psycopg.connect(book.console_url, autocommit=True, options="-c search_path=demo") as session:
            start.wait()
            query = "SELECT console_take_next(%s, %s, %s)"
            (taken,) = session.execute(query, [people[place], order, AS_OF]).fetchone() or (None,)
            return str(taken)

    with ThreadPoolExecutor(len(people)) as threads:
        taken = list(threads.map(take, range(len(people))))
    assert len({*taken}) == len(people)
    assert {*taken} <= {*claims}
    held = {row["claim_id"]: row["person"] for row in book.rows("SELECT claim_id, person FROM case_locks")}
    assert held == dict(zip(taken, people, strict=True))


def test_one_case_for_twenty(book: Book, anna: TestClient, people: list[str]) -> None:
    """Of twenty who take one case at once, one gets it, whose lock had just run out for another."""
    claim = ids(shown(anna))[0]
    anna.post(f"/api/cases/{claim}/take")
    book.rows("UPDATE case_locks SET until = clock_timestamp()")
    start = threading.Barrier(len(people))

    def take(login: str) -> bool:
        with psycopg.connect(book.console_url, autocommit=True, options="-c search_path=demo") as session:
            start.wait()
            try:
                session.execute("SELECT console_take(%s, %s)", [login, claim])
            except psycopg.errors.RaiseException:
                return False
            return True

    with ThreadPoolExecutor(len(people)) as threads:
        assert sum(threads.map(take, people)) == 1
    assert len(book.rows("SELECT 1 FROM case_events WHERE action = 'taken'")) == 2


def test_two_processes_agree(book: Book, anna: TestClient, ben: TestClient) -> None:
    """What is taken by way of one is seen, and not given away again, by the other."""
    with TestClient(create_app(book.settings()), base_url="http://127.0.0.1") as other:
        other.cookies, other.headers = ben.cookies, ben.headers
        first, second = ids(shown(anna))[:2]
        assert anna.post("/api/cases/next").json()["claim_id"] == first
        assert ids(shown(other, state="others")) == [first]
        assert other.post("/api/cases/next").json()["claim_id"] == second
        assert ids(shown(anna, state="others")) == [second]


def test_what_was_decided_is_listed_no_more(book: Book, anna: TestClient) -> None:
    """At once, though the alerts are not read anew; and nobody is sent to it."""
    told = shown(anna)
    claim = ids(told)[0]
    book.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) VALUES (%s, true, %s, %s, 'team')",
        [claim, AS_OF, AS_OF],
    )
    after = shown(anna)
    assert after["total"] == told["total"] - 1
    assert claim not in ids(after)
    assert anna.post("/api/cases/next").json()["claim_id"] == ids(told)[1]
    book.rows("DELETE FROM outcomes WHERE claim_id = %s", [claim])


def test_a_run_has_the_alerts_read_anew(book: Book, anna: TestClient) -> None:
    """When a stage ended; the earlier ones are shown meanwhile."""
    kept = "SELECT count(*) AS times FROM access_log WHERE action = 'worklist_kept'"
    before = book.rows(kept)[0]["times"]
    claim = ids(shown(anna))[0]
    book.rows("UPDATE predictions SET flagged = false, audited = false WHERE claim_id = %s", [claim])
    assert claim in ids(shown(anna))
    book.rows(
        "UPDATE job_runs SET ended_at = clock_timestamp() WHERE run_id = (SELECT max(run_id) FROM job_runs "
        "WHERE stage = 'score')"
    )
    deadline = monotonic() + 10
    while claim in ids(shown(anna)):
        assert monotonic() < deadline
    assert book.rows(kept)[0]["times"] == before + 1
    book.rows("UPDATE predictions SET flagged = true WHERE claim_id = %s", [claim])
