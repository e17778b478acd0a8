"""Who may see what: analysts through five functions, each call of which is kept."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.access import ANALYST, CALLS
from shared.database import Database
from tests.access_factory import AMOUNT, ANNA, BOB, MOMENT, SECRETS, Place, guarded, open_line, seen


@pytest.fixture(scope="module")
def place(postgres: str) -> Iterator[Place]:
    """A line with scores, two analysts, and a login for each stage."""
    with open_line(postgres, "test_access") as made:
        yield made


def test_the_worklist(place: Place) -> None:
    """Open claims that are flagged or audited come ranked by week, with the money at stake and reasons in words."""
    ticket = place.ask(ANNA, "worklist", None)
    said = place.psql(ANNA, f"SELECT * FROM motor.worklist({ticket});")
    header, *rows = [line.split("|") for line in said.splitlines()]
    rows = [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]
    assert [(row["week"], row["rank_in_week"], row["claim_id"], row["flagged"]) for row in rows] == [
        ("2024-05-06", "1", "c1", "t"),  # c2 is decided
        ("2024-05-06", "2", "c3", "t"),
        ("2024-05-06", "3", "c4", "f"),
    ]
    assert {(row["amount"], row["model_version"], row["arm"]) for row in rows} == {(AMOUNT, "1", "champion")}
    assert float(rows[0]["expected_loss"]) == pytest.approx(0.8 * float(AMOUNT))
    assert "3 % of claims of theft have as much" in rows[0]["reasons"]
    assert "weekday of lost_on = Sunday lowers the probability" in rows[0]["reasons"]
    assert rows[2]["reasons"] == ""
    assert not [secret for secret in SECRETS if secret in said]


def test_a_claim(place: Place) -> None:
    """Of a claim come its facts but for what is sensitive, personal or ignored, its score, and the model's version."""
    ticket = place.ask(ANNA, "claim", "c1")
    with psycopg.connect(make_conninfo(place.url, user=ANNA), autocommit=True) as connection:
        (found,) = connection.execute("SELECT * FROM motor.claim(%s)", [ticket]).fetchall()
    assert found[2] == {
        **dict.fromkeys(("hurt", "seen_on", "odd %'$$")),
        **{"amount": 731.25, "peril": "theft", "garage": "g1"},
    }
    assert found[3:8] == (0.8, True, False, "champion", 1)
    assert len(found[9]) == 2
    unscored = place.ask(ANNA, "claim", "no such claim")
    assert "(0 rows)" in place.psql(ANNA, f"SELECT * FROM motor.claim({unscored});")


def test_performance_and_history(place: Place) -> None:
    """Performance counts by model version and names no claim; the history of one claim tells each of its scores."""
    ticket = place.ask(BOB, "performance", None)
    said = place.psql(BOB, f"SELECT * FROM motor.performance({ticket});")
    first, second = [line.split("|") for line in said.splitlines()[1:3]]
    assert first[5:12] == ["6", "3", "1", "1", "1", "0", "0"]
    assert second[5:12] == ["0"] * 7
    assert "average_precision" in first[12]
    assert seen(said) == []
    assert "c1" not in said
    ticket = place.ask(BOB, "prediction_history", "c2")
    said = place.psql(BOB, f"SELECT model_version, decides, flagged, reasons FROM motor.prediction_history({ticket});")
    assert said.splitlines()[1] == "1|t|t|"
    assert seen(said) == []


def test_each_step_is_logged(place: Place) -> None:
    """What was asked for and what was read stand there with login, claim, the model's version and the purpose."""
    before = len(place.log())
    ticket = place.ask(ANNA, "claim", "c3", "complaint 4711")
    place.psql(ANNA, f"SELECT * FROM motor.claim({ticket});")
    entry = (ANNA, "claim", "c3", 1, "complaint 4711")
    assert place.log()[before:] == [(*entry, False), (*entry, True)]


@pytest.mark.parametrize(
    "purpose",
    [*("NULL", "''", "'     '", "'...  !!! ???'", "'a b c'", "E'\\n\\t'"), "repeat(chr(8203), 5)", "repeat(chr(1), 9)"],
)
def test_a_purpose_that_says_nothing(place: Place, purpose: str) -> None:
    """It is refused in one sentence, and nothing is logged."""
    before = len(place.log())
    said = place.psql(ANNA, f"SELECT motor.ask('claim', 'c1', {purpose});")
    assert "say for what purpose, in at least five letters" in said
    assert len(place.log()) == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("ask('claims', 'c1', 'weekly review')", "ask for worklist, claim, performance or prediction_history"),
        ("ask(NULL, 'c1', 'weekly review')", "ask for worklist, claim"),
        ("ask('claim', NULL, 'weekly review')", "name the claim"),
        ("ask('claim', ' ', 'weekly review')", "name the claim"),
        ("ask('worklist', 'c1', 'weekly review')", "worklist is of all claims"),
        ("ask('claim', 'c1', repeat('long', 500))", "at most 500 characters"),
        ("ask('claim', repeat('c', 300), 'weekly review')", "at most 500 characters"),
    ],
)
def test_what_cannot_be_asked(place: Place, call: str, says: str) -> None:
    """Each ends in one sentence."""
    assert says in place.psql(ANNA, f"SELECT motor.{call};")


def test_a_ticket_is_the_login_s_own(place: Place) -> None:
    """Another analyst's ticket is no good, nor one for something else, nor one that never was."""
    ticket = place.ask(ANNA, "claim", "c1")
    said = place.psql(
        BOB, f"SELECT * FROM motor.claim({ticket}); SET ROLE {ANALYST}; SELECT * FROM motor.claim({ticket});"
    )
    assert said.count("you have no such ticket for claim; get one by ask('claim', ...)") == 2
    said = place.psql(
        ANNA,
        f"SELECT * FROM motor.worklist({ticket}); SELECT * FROM motor.prediction_history({ticket}); "
        "SELECT * FROM motor.claim(999999); SELECT * FROM motor.claim(NULL);",
    )
    assert said.count("you have no such ticket") == 4
    read = place.value(f"SELECT count(*) FROM claimsight.access_log WHERE ticket = {ticket}")
    assert read == 0


def test_a_reading_is_no_ticket(place: Place) -> None:
    """The entry of a reading cannot be used as a ticket in turn, which would let a ticket live for ever."""
    ticket = place.ask(ANNA, "claim", "c1")
    place.psql(ANNA, f"SELECT * FROM motor.claim({ticket});")
    reading = place.value(f"SELECT entry_id FROM claimsight.access_log WHERE ticket = {ticket}")
    assert "no such ticket" in place.psql(ANNA, f"SELECT * FROM motor.claim({reading});")


def test_a_reading_that_is_rolled_back_was_asked_for(place: Place) -> None:
    """Whoever rolls the reading back has left word of what and why before."""
    before = len(place.log())
    ticket = place.ask(ANNA, "claim", "c1", "rolled back review")
    said = place.psql(ANNA, f"BEGIN; SELECT * FROM motor.claim({ticket}); ROLLBACK;")
    assert AMOUNT in said
    assert place.log()[before:] == [(ANNA, "claim", "c1", 1, "rolled back review", False)]


def test_a_read_only_transaction(place: Place) -> None:
    """Where nothing can be logged nothing is shown."""
    ticket = place.ask(ANNA, "claim", "c1")
    said = place.psql(
        ANNA,
        f"SET default_transaction_read_only = on; SELECT * FROM motor.claim({ticket}); "
        "SELECT motor.ask('claim', 'c1', 'weekly review');",
    )
    assert seen(said) == []
    assert said.count("in a read-only transaction") == 2


def test_an_old_ticket(place: Place) -> None:
    """A ticket is good for an hour."""
    ticket = place.ask(ANNA, "claim", "c1")
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE claimsight.access_log DISABLE TRIGGER append_only")
        connection.execute(
            "UPDATE claimsight.access_log SET at = at - interval '61 minutes' WHERE entry_id = %s", [ticket]
        )
        connection.execute("ALTER TABLE claimsight.access_log ENABLE ALWAYS TRIGGER append_only")
    said = place.psql(ANNA, f"SELECT * FROM motor.claim({ticket});")
    assert "more than an hour old; ask anew" in said
    assert seen(said) == []


@pytest.mark.parametrize("change", ["UPDATE {} SET who = 'me'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("replica", [False, True])
def test_the_log_is_append_only_for_its_owner_too(place: Place, change: str, replica: bool) -> None:
    """Nobody changes or deletes an entry, also in a session that passes over ordinary triggers."""
    place.ask(ANNA, "worklist", None)
    with psycopg.connect(place.url, autocommit=True) as connection:
        if replica:
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            connection.execute(change.format("claimsight.access_log"))  # type: ignore[arg-type]


def test_functions_that_everyone_may_call(place: Place) -> None:
    """Of the functions with their owner's rights Postgres lets everyone call none, and each has a fixed search path."""
    open_ones = "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'motor'::regnamespace AND "
    assert place.value(f"{open_ones} (proacl IS NULL OR proacl::text ~ '[{{,]=X')") == 0
    assert place.value(f"{open_ones} NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)") == 0
    assert place.value(f"{open_ones} true") == len({call for calls in CALLS.values() for call in calls})


def test_another_line_of_business(place: Place) -> None:
    """A ticket of one line opens nothing of another."""
    with Database(place.url, "home") as database:
        database.prepare(guarded(name="home"))
    ticket = place.ask(ANNA, "claim", "c1")
    assert "no such ticket" in place.psql(ANNA, f"SELECT * FROM home.claim({ticket});")
    other = place.psql(
        ANNA, "SELECT home.ask('claim', 'c1', 'weekly review') AS t \\gset\nSELECT * FROM motor.claim(:t);"
    )
    assert "no such ticket" in other


def test_what_a_new_contract_calls_sensitive_is_gone(place: Place) -> None:
    """From the next start of a stage on, a column that the contract hides is in nothing shown; nor are peers by it."""
    hidden = guarded()
    hidden = hidden.model_copy(
        update={"roles": hidden.roles.model_copy(update={"sensitive": ("sex", "born", "peril")})}
    )
    with Database(place.url, "motor") as database:
        database.prepare(hidden)
        try:
            ticket = place.ask(ANNA, "claim", "c1")
            said = place.psql(ANNA, f"SELECT * FROM motor.claim({ticket});")
            assert "theft" not in said
            assert "amount = 731.25 raises the probability" in said
        finally:
            database.prepare(guarded())
        made = database.rows("SELECT xmin FROM pg_proc WHERE proname = 'claim_facts'")
        database.prepare(guarded())
        assert database.rows("SELECT xmin FROM pg_proc WHERE proname = 'claim_facts'") == made


def test_arms_and_champions(place: Place) -> None:
    """The worklist goes by the row that decides: the present champion's, or in its arm the challenger's."""
    ticket = place.ask(ANNA, "worklist", None)
    listed = f"SELECT claim_id, model_version, arm FROM motor.worklist({ticket});"
    row = "INSERT INTO motor.predictions (claim_id, model_version, variant, arm, fraud_probability, flagged, audited, "
    row += f"scored_as_of, run_id) VALUES ('{{}}', 2, 'challenger', '{{}}', 0.7, {{}}, false, '{MOMENT}', 1)"
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(row.format("c1", "challenger", "false"))  # type: ignore[arg-type]
        connection.execute(row.format("c5", "challenger", "true"))  # type: ignore[arg-type]
        connection.execute(row.format("c6", "champion", "true"))  # type: ignore[arg-type]  # for comparison only
        try:
            found = place.psql(ANNA, listed).splitlines()[1:-1]
            assert found == ["c5|2|challenger", "c3|1|champion", "c4|1|champion"]
        finally:
            connection.execute("DELETE FROM motor.predictions WHERE variant = 'challenger'")


def test_an_owner_who_is_no_superuser(postgres: str, place: Place) -> None:
    """As on RDS: the owner of the tables is an ordinary login, with whose rights the functions work."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE test_access_owner LOGIN")
        connection.execute("CREATE DATABASE test_access_owned OWNER test_access_owner")
        try:
            owned = Place(make_conninfo(postgres, dbname="test_access_owned"))
            with Database(make_conninfo(owned.url, user="test_access_owner"), "motor") as database:
                for _ in range(2):
                    database.prepare(guarded())
                database.rows(
                    "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, sex) "
                    "VALUES ('c1', 1, '2024-05-06', '2024-05-06', 1, 1, 731.25, 'XSEX')"
                )
            ticket = owned.ask(ANNA, "claim", "c1")
            said = owned.psql(ANNA, f"SELECT * FROM motor.claim({ticket}); TABLE motor.claims;")
            assert seen(said) == [AMOUNT]
            assert "permission denied for table claims" in said
            assert [entry[5] for entry in owned.log()] == [False, True]
        finally:
            connection.execute("DROP DATABASE test_access_owned WITH (FORCE)")
            connection.execute("DROP ROLE test_access_owner")
