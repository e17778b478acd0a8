"""Somebody who got hold of the console's login in the database, and has psql."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from shared.grants import role
from tests.access_factory import Place, open_line, seen

LOGIN = "test_login_console"
READABLE = {
    "api_keys",
    *("models", "model_history", "importance", "bivariate", "model_cards", "drift_metrics", "stops", "cohorts"),
    *("weekly_profiles", "job_runs", "schema_versions", "people", "sessions", "oidc_requests"),
}
"""Tables that it may read: none names a claim. What a page needs beside these is to be meant."""


@pytest.fixture(scope="module")
def place(postgres: str) -> Iterator[Place]:
    """A line with scores, an analyst's secrets in it, and the console's login."""
    with open_line(postgres, "test_console_rights") as made, psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {role('console')}")  # type: ignore[arg-type]
        yield made
        connection.execute(f"DROP ROLE {LOGIN}")  # type: ignore[arg-type]


def test_tables(place: Place) -> None:
    """It reads the tables that name no claim, and of others not a row: claims, scores, outcomes, photos, the log."""
    names = str(
        place.value(
            "SELECT string_agg(format('%I.%I', nspname, relname), ' ') FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = relnamespace WHERE nspname IN ('motor', 'claimsight') AND relkind IN ('r', 'p', 'v', 'm', 'S')"
        )
    ).split()
    assert {"motor.claims", "motor.predictions", "motor.outcomes", "claimsight.access_log"} <= {*names}
    for name in names:
        said = place.psql(LOGIN, f"TABLE {name};")
        assert ("permission denied" in said) == (name.partition(".")[2] not in READABLE), said
        # Of a model's fairness it is told which level of a sensitive column a figure is of; that is of no claim.
        assert set(seen(said)) <= ({"XSEX"} if name == "motor.model_history" else set())


WRITES = {
    "a run": "INSERT INTO claimsight.job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
    "VALUES ('score', 'motor', '0/1', 'done', now(), 'x', 'x')",
    "the end of a run": "UPDATE claimsight.job_runs SET status = 'failed'",
    "a model": "DELETE FROM motor.models",
    "a champion": "INSERT INTO motor.model_history (model_version, alias) VALUES (2, 'champion')",
    "an outcome": "INSERT INTO motor.outcomes (claim_id, is_fraud) VALUES ('c1', true)",
    "a claim": "UPDATE motor.claims SET amount = 1",
    "a score": "UPDATE motor.predictions SET flagged = false",
    "a stop": "INSERT INTO motor.stops DEFAULT VALUES",
    "an entry of the log": "INSERT INTO claimsight.access_log (line, action, purpose) VALUES ('motor', 'claim', 'x')",
    "the log": "DELETE FROM claimsight.access_log",
    "the log, emptied": "TRUNCATE claimsight.access_log",
    "a person, taken away": "DELETE FROM claimsight.people",
    "a version of the tables": "UPDATE claimsight.schema_versions SET number = 1",
    "a table": "CREATE TABLE motor.mine (n int)",
    "a table of all": "CREATE TABLE public.mine (n int)",
    "a schema": "CREATE SCHEMA mine",
    "a function": "CREATE FUNCTION claimsight.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a trigger": "ALTER TABLE claimsight.access_log DISABLE TRIGGER ALL",
    "a grant": f"GRANT SELECT ON motor.claims TO {LOGIN}",
    "a role": f"GRANT claimsight_train TO {LOGIN}",
    "another role": "SET ROLE claimsight_train",
    "an analyst's role": "SET ROLE claimsight_analyst",
    "the owner's role": "SET ROLE postgres",
    "a new login": "CREATE ROLE mine LOGIN",
    "a file": "COPY (SELECT 1) TO PROGRAM 'true'",
    "a file of the server": "SELECT pg_read_file('PG_VERSION')",
    "a module": "CREATE EXTENSION dblink",
    "settings": "ALTER SYSTEM SET log_statement = 'all'",
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
def test_what_it_may_not_do(place: Place, statement: str) -> None:
    """It writes no run, model, score, outcome or log, and becomes nobody else."""
    said = place.psql(LOGIN, f"{statement};")
    assert any(refusal in said for refusal in ("permission denied", "must be owner", "must be superuser")), said


CALLS = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef "
    "AND pronamespace IN ('motor'::regnamespace, 'claimsight'::regnamespace)"
)


def test_functions(place: Place) -> None:
    """Of functions with their owner's rights it may call those that name a person or a system, and no analyst's."""
    with psycopg.connect(place.url) as connection:
        every = {row[0] for row in connection.execute(CALLS)}  # type: ignore[arg-type]
        mine = {
            name
            for name in every
            if connection.execute("SELECT has_function_privilege(%s, %s, 'EXECUTE')", [LOGIN, name]).fetchone()
            == (True,)
        }
    assert mine
    assert {name for name in mine if not name.split(".")[-1].startswith(("api_", "console_"))} == set()
    assert {"motor.ask(text,text,text)", "motor.claim(bigint)"} <= every - mine


@pytest.mark.parametrize(
    "call",
    [
        "motor.ask('claim', 'c1', 'weekly review')",
        "motor.claim(1)",
        "motor.worklist(1)",
        "motor.photos_reused_as_of(now())",
        "motor.worklist_as_of(now())",
        "motor.claims_as_of(now())",
        "motor.note_reading(NULL, 1, '{}')",
        "motor.console_redeemed('anna', 1, 'claim')",
    ],
)
def test_functions_of_others(place: Place, call: str) -> None:
    """What analysts and stages call is refused, and what has its caller's rights finds none."""
    said = place.psql(LOGIN, f"SELECT {call};")
    assert "permission denied" in said
    assert seen(said) == []


def test_entries_by_hand(place: Place) -> None:
    """What it enters itself is of its people, about people and keys, under its own name and now; a reading never."""
    place.psql("postgres", "INSERT INTO claimsight.people (login, name, roles) VALUES ('ada', 'Ada', '{admin}');")
    place.psql(
        "postgres", "INSERT INTO claimsight.people (login, name, roles, disabled_at) VALUES ('out', 'O', '{}', now());"
    )
    note = "SELECT claimsight.console_note({}, 'motor', '{}', 's', '{{}}');"
    for person, action in (
        ("'ada'", "claim"),
        ("'ada'", "worklist"),
        ("'nobody'", "signed_in"),
        ("'out'", "signed_in"),
    ):
        assert "ERROR" in place.psql(LOGIN, note.format(person, action))
    assert "ERROR" in place.psql(LOGIN, note.format("NULL", "roles_changed"))
    before = len(place.log())
    assert "ERROR" not in place.psql(LOGIN, note.format("'ada'", "roles_changed"))
    assert [entry[:3] for entry in place.log()[before:]] == [(LOGIN, "roles_changed", "s")]
    assert place.value("SELECT person FROM claimsight.access_log ORDER BY entry_id DESC LIMIT 1") == "ada"


def test_analysts_and_stages_enter_nothing(place: Place) -> None:
    """The console's functions are the console's alone."""
    for login in ("test_anna", "test_login_score"):
        assert "permission denied" in place.psql(
            login, "SELECT claimsight.console_note(NULL, 'motor', 'x', 's', '{}');"
        )
        assert "permission denied" in place.psql(login, "TABLE claimsight.people; TABLE claimsight.sessions;")
