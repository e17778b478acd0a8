"""The page of the log: who used what, when and what for; reading it is logged too."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.console.conftest import Book, SignIn

EVIL = '=cmd|"/C calc"!A0'
MANY = 230


@pytest.fixture(scope="module", name="logged")
def _logged(book: Book) -> Book:
    """Enter readings of claims by two people, and one by an analyst."""
    book.rows(
        "INSERT INTO access_log (line, action, subject, purpose, person) "
        "SELECT 'demo', CASE WHEN n %% 3 = 0 THEN 'claim' ELSE 'worklist' END, 'C-' || n, 'a reading', "
        "CASE WHEN n %% 2 = 0 THEN 'anna' ELSE 'ben' END FROM generate_series(1, %s) n",
        [MANY],
    )
    book.rows("INSERT INTO access_log (line, action, subject, purpose) VALUES ('demo', 'claim', 'C-3', %s)", [EVIL])
    book.rows("INSERT INTO access_log (line, action, purpose) VALUES ('other', 'worklist', 'of another line')")
    return book


def pages(client: Any, **asked: Any) -> list[dict[str, Any]]:
    """All entries of a filter, page by page."""
    found: list[dict[str, Any]] = []
    before = None
    while True:
        told = client.get("/api/audit", params=asked | ({"before": before} if before else {})).json()
        found += told["entries"]
        before = told["next"]
        if before is None:
            return found


def test_pages_go_on_where_the_last_one_ended(logged: Book, sign_in: SignIn) -> None:
    """Page after page, each entry of the line comes once, the latest first, and none of another line."""
    found = pages(sign_in("auditor", login="olga"), limit=50, person="anna")
    assert len(found) == MANY // 2
    ids = [entry["entry_id"] for entry in found]
    assert ids == sorted(set(ids), reverse=True)
    every = [entry["purpose"] for entry in pages(sign_in("auditor", login="olga"), limit=500)]
    assert "of another line" not in every
    assert every.count("a reading") == MANY


def test_filters(logged: Book, sign_in: SignIn) -> None:
    """By person or login, by what was done, by claim and by day; together they narrow."""
    olga = sign_in("auditor", login="olga")
    assert {entry["by"] for entry in pages(olga, person="ben", limit=500)} == {"ben"}
    assert {entry["subject"] for entry in pages(olga, claim="C-3")} == {"C-3"}
    assert len(pages(olga, claim="C-3")) == 2
    assert [entry["by"] for entry in pages(olga, claim="C-3", person="ben")] == ["ben"]
    assert len(pages(olga, action="claim", person="anna", limit=500)) == len(range(6, MANY + 1, 6))
    today = datetime.now(UTC).date()
    assert pages(olga, claim="C-3", since=str(today + timedelta(days=1))) == []
    assert pages(olga, claim="C-3", until=str(today - timedelta(days=2))) == []
    assert len(pages(olga, claim="C-3", since=str(today - timedelta(days=1)), until=str(today))) == 2


def test_a_reading_of_the_log_is_logged(logged: Book, sign_in: SignIn) -> None:
    """The asking and what came back, with the filter; the reading itself does not show it."""
    olga = sign_in("auditor", login="olga")
    shown = olga.get("/api/audit", params={"claim": "C-3", "person": "ben"}).json()["entries"]
    asked, read = logged.rows("SELECT * FROM access_log WHERE action = 'audit' ORDER BY entry_id DESC LIMIT 2")[::-1]
    assert (asked["person"], asked["ticket"], read["ticket"]) == ("olga", None, asked["entry_id"])
    assert read["detail"] == {"rows": 1, "claim": "C-3", "person": "ben"}
    assert asked["entry_id"] not in [entry["entry_id"] for entry in shown]
    assert pages(olga, action="audit", limit=500)[0]["entry_id"] == read["entry_id"]


def test_the_log_as_a_file(logged: Book, sign_in: SignIn) -> None:
    """The file holds what the filter asks for; no cell of it is run by a spreadsheet; its purpose is kept."""
    olga = sign_in("auditor", login="olga")
    answer = olga.get("/api/audit/export", params={"claim": "C-3", "purpose": "yearly review"})
    assert answer.headers["content-disposition"] == 'attachment; filename="access-log-demo.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["purpose"] for row in rows] == [f"'{EVIL}", "a reading"]
    assert [row["by"] for row in rows] == ["postgres", "ben"]
    entries = logged.rows("SELECT purpose, ticket FROM access_log WHERE purpose = 'yearly review' ORDER BY entry_id")
    assert [entry["ticket"] is None for entry in entries] == [True, False, False]
    assert olga.get("/api/audit/export", params={"purpose": "no"}).status_code == 422


@pytest.mark.parametrize("asked", [{"limit": 501}, {"before": 0}, {"since": "soon"}, {"person": "a\x00b"}])
def test_what_makes_no_sense_is_refused(sign_in: SignIn, asked: dict[str, Any]) -> None:
    """What no entry can have is told so, and reaches no database."""
    assert sign_in("auditor", login="olga").get("/api/audit", params=asked).status_code == 422


@pytest.mark.parametrize("role", ["investigator", "data_scientist", "admin"])
def test_only_auditors_read_the_log(logged: Book, sign_in: SignIn, role: str) -> None:
    """Others are refused by the API, and by the database where somebody gets round that."""
    client = sign_in(role, login=f"the-{role}")
    for path in ("/api/audit", "/api/audit/export?purpose=curiosity"):
        assert client.get(path).status_code == 403
    with psycopg.connect(logged.console_url, autocommit=True) as connection:
        asked = connection.execute("SELECT demo.console_ask(%s, 'audit', NULL, 'curiosity')", [f"the-{role}"])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="role of auditor"):
            read(connection, f"the-{role}", asked.fetchall()[0][0])


def test_a_ticket_is_of_one_person_and_committed(logged: Book, sign_in: SignIn) -> None:
    """Nobody reads on the ticket of another, nor on one that can still be taken back."""
    for login in ("olga", "oskar"):
        sign_in("auditor", login=login)
    ask = "SELECT demo.console_ask('olga', 'audit', NULL, 'curiosity')"
    with psycopg.connect(logged.console_url, autocommit=True) as connection:
        ticket = connection.execute(ask).fetchall()[0][0]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="another person"):
            read(connection, "oskar", ticket)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not committed"), connection.transaction():
            read(connection, "olga", connection.execute(ask).fetchall()[0][0])
        assert len(read(connection, "olga", ticket)) == 10


def read(connection: psycopg.Connection, person: str, ticket: int) -> list[Any]:
    """Read the log past the API."""
    query = "SELECT * FROM demo.console_access_log(%s, %s, NULL, NULL, NULL, NULL, NULL, NULL, 10)"
    return connection.execute(query, [person, ticket]).fetchall()
