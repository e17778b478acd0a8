"""People with psql who try to see more than they may, or to see it without a trace."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from shared.access import ANALYST
from tests.access_factory import AMOUNT, ANNA, BOB, STAGE_LOGINS, Place, open_line, seen


@pytest.fixture(scope="module")
def place(postgres: str) -> Iterator[Place]:
    """A line with scores, two analysts, and a login for each stage."""
    with open_line(postgres, "test_attacks") as made:
        yield made


TABLES = (
    "SELECT string_agg(format('TABLE %I.%I;', nspname, relname), ' ') FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE nspname IN ('motor', 'claimsight') AND relkind IN ('r', 'p', 'v', 'S')"
)


def test_no_table_can_be_read(place: Place) -> None:
    """An analyst can read no table, view or sequence of the line, nor of what the lines share."""
    script = str(place.value(TABLES))
    said = place.psql(ANNA, script)
    assert script.count("TABLE") == said.count("ERROR:  permission denied for")
    assert seen(said) == []


ATTACKS = {
    "a cell": "SELECT sex FROM motor.claims;",
    "the view": "SELECT * FROM motor.worklist;",
    "a view's plan": "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM motor.worklist;",
    "a plan": "EXPLAIN SELECT * FROM motor.claims WHERE sex = 'XSEX';",
    "copy": "COPY motor.claims TO STDOUT;",
    "copy of a query": "COPY (SELECT * FROM motor.claims) TO STDOUT;",
    "psql's copy": "\\copy (SELECT * FROM motor.claims) to stdout",
    "psql's copy of a table": "\\copy motor.predictions to stdout",
    "a file of the server": "COPY (SELECT 1) TO PROGRAM 'cat /etc/passwd'; SELECT pg_read_file('PG_VERSION');",
    "statistics": "SELECT * FROM pg_stats WHERE schemaname = 'motor'; SELECT * FROM pg_statistic;",
    "what others type": "SELECT query FROM pg_stat_activity "
    "WHERE usename <> current_user AND query NOT IN ('', '<insufficient privilege>');",
    "a function with its caller's rights": "SELECT * FROM motor.claims_as_of(now());",
    "outcomes": "SELECT * FROM motor.outcomes_as_of(now());",
    "the worklist behind it": "SELECT * FROM motor.worklist_as_of(now());",
    "decisions": "SELECT * FROM motor.deciding_as_of(now());",
    "photos, which tell ids": "SELECT * FROM motor.photos_reused_as_of(now());",
    "a ticket by hand": "SELECT motor.redeemed(1, 'claim');",
    "a ticket of one's own making": "INSERT INTO claimsight.access_log (line, action, purpose) "
    "VALUES ('motor', 'claim', 'x');",
    "an entry by function": "SELECT motor.note_reading(NULL, 1, '{}');",
    "a stage's role": "SET ROLE claimsight_train; SELECT * FROM motor.claims;",
    "the owner's role": "SET ROLE postgres; SELECT * FROM motor.claims;",
    "another session": "SET SESSION AUTHORIZATION postgres; SELECT * FROM motor.claims;",
    "another analyst": f"SET SESSION AUTHORIZATION {BOB}; SET ROLE {BOB};",
    "a grant": f"GRANT SELECT ON motor.claims TO {ANNA}; GRANT claimsight_train TO {ANNA};",
    "a function there": "CREATE FUNCTION motor.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "a table there": "CREATE TABLE motor.mine (n int); CREATE TABLE public.mine (n int); CREATE SCHEMA mine;",
    "the function's text": "CREATE OR REPLACE FUNCTION motor.claim_facts(claim motor.claims) RETURNS jsonb "
    "LANGUAGE sql AS 'SELECT to_jsonb(claim)';",
    "the function's rights": "ALTER FUNCTION motor.ask(text, text, text) SECURITY INVOKER; "
    "ALTER FUNCTION motor.claim(bigint) SET search_path = pg_temp; DROP FUNCTION motor.claim(bigint);",
    "the log": "UPDATE claimsight.access_log SET who = 'x'; DELETE FROM claimsight.access_log; "
    "TRUNCATE claimsight.access_log; DROP TABLE claimsight.access_log;",
    "the log's trigger": "ALTER TABLE claimsight.access_log DISABLE TRIGGER ALL; "
    "SET session_replication_role = replica;",
    "a cursor": "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM motor.claims; FETCH ALL c; COMMIT; FETCH ALL c;",
    "a large object": "SELECT lo_import('/etc/passwd'); SELECT loid FROM pg_largeobject;",
    "a row of the table's type": "SELECT * FROM jsonb_populate_record(NULL::motor.claims, '{}') WHERE sex IS NOT NULL;",
    "a module": "LOAD 'auto_explain'; CREATE EXTENSION dblink; CREATE EXTENSION file_fdw;",
    "a block": "DO $$ BEGIN PERFORM * FROM motor.claims; END $$;",
    "injection in an id": "SELECT motor.ask('claim', 'c1''; TABLE motor.claims; --', 'weekly review');",
    "injection in a purpose": "SELECT motor.ask('claim', 'c1', 'review''); GRANT claimsight_train TO PUBLIC; --');",
    "someone else's role by a purpose": "SELECT motor.ask('claim', 'c1', $$review'); TABLE motor.claims; --$$);",
}


@pytest.mark.parametrize("script", ATTACKS.values(), ids=ATTACKS)
def test_ways_round_the_functions(place: Place, script: str) -> None:
    """None of them shows a thing, whoever types it may do; and the tables stand as they did."""
    said = place.psql(ANNA, script)
    assert seen(said) == [], said
    assert "c1" not in said
    assert place.value("SELECT count(*) FROM motor.claims WHERE sex = 'XSEX'") == 6
    assert place.value(f"SELECT pg_has_role('{ANNA}', 'claimsight_train', 'USAGE')") is False
    answered = re.search(r"^\(([1-9]\d*) rows?\)$", said, re.MULTILINE)
    assert answered is None or "motor.ask" in script, said


ROLLED_BACK = {
    "one transaction": "BEGIN; SELECT motor.ask('claim', 'c1', 'weekly review') AS ticket \\gset\n"
    "SELECT * FROM motor.claim(:ticket); ROLLBACK;",
    "one statement": "SELECT * FROM motor.claim(motor.ask('claim', 'c1', 'weekly review'));",
    "a savepoint": "BEGIN; SAVEPOINT s; SELECT motor.ask('claim', 'c1', 'weekly review') AS ticket \\gset\n"
    "RELEASE s; SELECT * FROM motor.claim(:ticket); ROLLBACK;",
    "a block that fails": "DO $$ DECLARE t bigint; BEGIN t := motor.ask('claim', 'c1', 'weekly review'); "
    "RAISE EXCEPTION '%', (SELECT facts FROM motor.claim(t)); END $$;",
    "a cursor held": "BEGIN; SELECT motor.ask('claim', 'c1', 'weekly review') AS ticket \\gset\n"
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM motor.claim(:ticket); FETCH ALL c; ROLLBACK; FETCH ALL c;",
    "a prepared transaction": "BEGIN; SELECT motor.ask('claim', 'c1', 'weekly review') AS ticket \\gset\n"
    "PREPARE TRANSACTION 'x'; SELECT * FROM motor.claim(:ticket); ROLLBACK PREPARED 'x';",
}


@pytest.mark.parametrize("script", ROLLED_BACK.values(), ids=ROLLED_BACK)
def test_a_rollback_hides_nothing(place: Place, script: str) -> None:
    """What has been asked for in a transaction that may yet be rolled back is not shown."""
    said = place.psql(ANNA, script)
    assert seen(said) == [], said
    assert re.search("not committed yet|no such ticket|prepared transactions are disabled", said), said


SHADOWS = """
CREATE TEMP TABLE claims AS SELECT 1 AS claim_id; CREATE TEMP TABLE predictions (n int);
CREATE TEMP TABLE access_log (n int); CREATE TEMP VIEW worklist AS SELECT 1;
CREATE FUNCTION pg_temp.btrim(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'home' $$;
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '1999-01-01' $$;
CREATE FUNCTION pg_temp.pg_xact_status(xid8) RETURNS text LANGUAGE sql AS $$ SELECT 'committed' $$;
CREATE FUNCTION pg_temp.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN RAISE NOTICE 'mine'; RETURN '1'; END $$;
CREATE FUNCTION pg_temp.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.same);
SET search_path = pg_temp, motor, pg_catalog; SET plpgsql.extra_errors = 'all'; SET standard_conforming_strings = off;
SET transform_null_equals = on; SET array_nulls = off; SET timezone = 'Pacific/Kiritimati'; SET datestyle = german;
"""


def test_names_that_shadow(place: Place) -> None:
    """Objects of the analyst's own, and any search path, change neither what is shown nor what is logged."""
    before = len(place.log())
    ticket = place.ask(ANNA, "claim", "c1")
    said = place.psql(
        ANNA,
        f"{SHADOWS} SELECT motor.ask('claim', 'c3', 'weekly review') AS mine \\gset\n"
        f"SELECT claim_id, facts FROM motor.claim({ticket}); SELECT claim_id FROM motor.claim(:mine);"
        "BEGIN; SELECT motor.ask('claim', 'c4', 'weekly review') AS open \\gset\n"
        "SELECT * FROM motor.claim(:open); COMMIT;",
    )
    assert "NOTICE" not in said
    assert "not committed yet" in said
    claims = [line for line in said.splitlines() if re.match(r"c\d", line)]
    assert [claim.split("|")[0] for claim in claims] == ["c1", "c3"]
    assert AMOUNT in claims[0]
    # The last was rolled back by its error.
    assert [entry[:3] for entry in place.log()[before:]] == [
        (ANNA, "claim", claim) for claim in ("c1", "c3", "c1", "c3")
    ]
    assert place.value("SELECT min(at) > now() - interval '1 day' FROM claimsight.access_log")


@pytest.mark.parametrize("login", STAGE_LOGINS.values())
def test_a_stage_is_no_analyst(place: Place, login: str) -> None:
    """No stage may call the functions, look at the log, or write to it; score tells what it scored, under its name."""
    said = place.psql(
        login,
        "\\set VERBOSITY terse\nSELECT motor.ask('claim', 'c1', 'weekly review'); SELECT * FROM motor.worklist(1); "
        "SELECT * FROM motor.claim(1); SELECT * FROM claimsight.access_log; SELECT * FROM motor.worklist; "
        f"UPDATE claimsight.access_log SET who = 'x'; DELETE FROM claimsight.access_log; SET ROLE {ANALYST}; "
        f"SET ROLE {ANNA}; TRUNCATE claimsight.access_log;",
    )
    assert said.count("permission denied") == len(said.splitlines()) == 10
    entries = len(place.log())
    forged = place.psql(
        login,
        "\\set VERBOSITY terse\nINSERT INTO claimsight.access_log (at, who, line, action, purpose, xact) "
        f"VALUES ('1999-01-01', '{ANNA}', 'motor', 'score', 'forged', '3'); "
        "INSERT INTO claimsight.access_log (entry_id, line, action, purpose) OVERRIDING SYSTEM VALUE "
        "SELECT 1 + count(*), 'motor', 'score', 'forged' FROM motor.predictions; "
        "SELECT claimsight.score_note('motor', 'case_decided', 1, 'forged', '{}', 1);",
    )
    refused = ["permission denied for table access_log"] * 2
    if login == "test_login_score":
        refused.append("score enters nothing but scores and exports")
        place.psql(login, "SELECT claimsight.score_note('motor', 'score', 1, 'what it did', '{}', NULL);")
        assert place.log()[entries:] == [(login, "score", None, 1, "what it did", False)]
    else:
        refused.append("permission denied for function score_note")
        assert len(place.log()) == entries
    assert [line.partition("ERROR:  ")[2] for line in forged.splitlines()] == refused
