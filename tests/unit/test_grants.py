"""Rights in the database: each stage may do its work, and nobody but etl reads what came in clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.choreography import STAGES
from shared.contract import Contract
from shared.database import Database
from shared.errors import ConfigError
from shared.grants import WORKERS, Worker, granted, role
from tests.factories import contract, emptied

KINDS = {
    "SELECT": "SELECT * FROM {table}",
    "INSERT": "INSERT INTO {table} ({column}) SELECT NULL WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = DEFAULT WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
}
OWN = '"the ""team"""'
READ = frozenset({"SELECT"})
MOST = frozenset({"SELECT", "INSERT", "UPDATE"})
MAY: dict[str, dict[Worker, Set[str]]] = {
    "schema_versions": dict.fromkeys(WORKERS, READ),
    "job_runs": {**dict.fromkeys(STAGES, MOST), "console": READ},
    "access_log": {},
    "people": {"console": MOST},
    "sessions": {"console": MOST | {"DELETE"}},
    "api_keys": {"console": MOST},
    "api_answers": {"etl": {"SELECT", "DELETE"}},
    "oidc_requests": {"console": {"SELECT", "INSERT", "DELETE"}},
    "ingest_files": {"etl": MOST, "drift": READ},
    "claims": {**dict.fromkeys(STAGES, READ), "etl": MOST | {"DELETE"}},
    "outcomes": {**dict.fromkeys(STAGES, READ), "etl": MOST | {"DELETE"}},
    "claims_quarantine": {"etl": MOST | {"DELETE"}},
    "claim_photos": {"etl": MOST | {"DELETE"}},
    "pictures": {"etl": MOST | {"DELETE"}},
    "erasures": {"etl": {"SELECT", "INSERT"}},
    "levels": {"etl": {"SELECT", "INSERT"}},
    "pulled_rows": {"etl": {"SELECT", "INSERT", "DELETE"}},
    "reference_agents": {"etl": MOST | {"DELETE"}},
    "trials": {"train": {"SELECT", "INSERT"}},
    "models": {
        "train": {"SELECT", "INSERT"},
        "evaluate": {"SELECT"},
        "score": {"SELECT"},
        "drift": {"SELECT"},
        "console": READ,
    },
    "model_history": {"evaluate": {"SELECT", "INSERT"}, "score": {"SELECT"}, "drift": {"SELECT"}, "console": READ},
    "importance": {"evaluate": {"SELECT", "INSERT"}, "drift": {"SELECT", "INSERT"}, "console": READ},
    "bivariate": {"evaluate": {"SELECT", "INSERT"}, "drift": {"SELECT", "INSERT"}, "console": READ},
    "model_cards": {"evaluate": MOST, "console": READ},
    "decisions": {"etl": {"SELECT", "DELETE"}},
    "slice_examples": {"etl": {"SELECT", "DELETE"}, "evaluate": {"SELECT", "INSERT"}},
    "predictions": {
        "etl": {"SELECT", "DELETE"},
        "evaluate": {"SELECT"},
        "score": {"SELECT", "INSERT"},
        "drift": {"SELECT"},
    },
    "case_events": {"etl": {"SELECT", "DELETE"}},
    "case_locks": {"etl": {"SELECT", "DELETE"}},
    "cases": {"etl": {"SELECT", "DELETE"}},
    "cohorts": {"drift": {"SELECT", "INSERT"}, "console": READ},
    "anomalies": {"etl": {"SELECT", "DELETE"}, "score": {"SELECT", "INSERT"}},
    "unscorable_claims": {"etl": {"SELECT", "DELETE"}, "score": {"SELECT", "INSERT"}},
    "drift_metrics": {
        "train": {"SELECT"},
        "score": {"SELECT"},
        "drift": {"SELECT", "INSERT", "DELETE"},
        "console": READ,
    },
    "profile_edges": {"drift": {"SELECT", "INSERT"}},
    "weekly_profiles": {"drift": {"SELECT", "INSERT", "DELETE"}, "console": READ},
    "stops": {"score": {"SELECT"}, "drift": {"SELECT", "INSERT"}, "console": READ},
}
"""What each stage is to be able to do, told once more: a change of the grants is to be meant."""


def _contract() -> Contract:
    return contract(reference={"agents": {"key": "note", "columns": {"agent": {"dtype": "text"}}}})


@pytest.fixture
def url(postgres: str) -> str:
    """Make a line's tables, as the superuser; the connection string."""
    url = emptied(postgres, "test_grants")
    with Database(url, "motor") as database:
        database.prepare(_contract())
    return url


@contextmanager
def login(postgres: str, *groups: str, options: str = "") -> Iterator[Callable[[str], str]]:
    """Make a login that belongs to some roles; gives a connection string's counterpart for it."""
    name = "test_login"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN {options}")  # type: ignore[arg-type]
        try:
            for group in groups:
                connection.execute(f"GRANT {group} TO {name}")  # type: ignore[arg-type]
            yield lambda url: make_conninfo(url, user=name)
        finally:
            databases = connection.execute("SELECT datname FROM pg_database WHERE datname = 'test_grants'").fetchall()
            for (database,) in databases:
                with psycopg.connect(make_conninfo(postgres, dbname=database), autocommit=True) as inside:
                    inside.execute(f"DROP OWNED BY {name} CASCADE")  # type: ignore[arg-type]
            connection.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]


def tables(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """All tables, each with one of its columns."""
    return connection.execute(
        "SELECT relname, min(attname) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 "
        "WHERE relkind IN ('r', 'p') AND relnamespace IN ('motor'::regnamespace, 'claimsight'::regnamespace) "
        "AND attidentity = '' GROUP BY relname ORDER BY relname"
    ).fetchall()


def allowed(connection: psycopg.Connection, table: str, column: str) -> set[str]:
    """What this session can do with a table."""
    found = set()
    for kind, query in KINDS.items():
        with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(query.format(table=table, column=column))  # type: ignore[arg-type]
            found.add(kind)
    return found


def test_every_table_has_its_grants(url: str) -> None:
    """A table that a migration or a contract adds has an entry in the grants, and one here."""
    with psycopg.connect(url) as connection:
        names = {name for name, _ in tables(connection)}
    assert names == MAY.keys()
    assert None not in map(granted, names)


@pytest.mark.parametrize("stage", WORKERS)
def test_what_a_stage_may_do(url: str, stage: Worker) -> None:
    """Working as its role a stage can do what it is to, and nothing else: raw rows and erasures are etl's alone."""
    with psycopg.connect(url, options="-c search_path=motor,claimsight") as connection:
        every = tables(connection)
        connection.execute(f"SET ROLE {role(stage)}")
        found = {name: allowed(connection, name, column) for name, column in every}
    assert found == {name: MAY[name].get(stage, set()) for name, _ in every}


@pytest.mark.parametrize("stage", ["etl", "score"])
def test_a_login_of_one_stage(postgres: str, url: str, stage: Worker) -> None:
    """A login that belongs to one role prepares what is prepared, and may then do no more than the role."""
    with login(postgres, role(stage)) as as_login, Database(as_login(url), "motor") as database:
        database.prepare(_contract())
        assert database.act_as(role(stage))
        assert not database.act_as(role("train"))
        assert database.rows("SELECT current_user AS who") == [{"who": role(stage)}]
        if stage == "score":
            with pytest.raises(ConfigError, match="permission denied for table claims_quarantine"):
                database.rows("SELECT raw FROM claims_quarantine")


def test_a_login_that_may_not_change_the_tables(postgres: str, url: str) -> None:
    """Where there is something to be made, such a login says who has to make it."""
    with login(postgres, role("score")) as as_login, Database(as_login(url), "motor") as database:
        for other in (contract(columns={"speed": {"dtype": "number"}}), contract(name="home")):
            with pytest.raises(ConfigError, match=r"run `python -m jobs.etl --check` once as their owner$"):
                database.prepare(other)


def test_an_owner_who_is_no_superuser(postgres: str) -> None:
    """An owner who may make neither roles nor other databases prepares the tables, and grants what they hold."""
    url = emptied(postgres, "test_grants")
    with Database(url, "motor") as database:
        database.prepare(_contract())  # so that there are roles
    url = emptied(postgres, "test_grants")
    with login(postgres) as as_login:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("GRANT CREATE ON DATABASE test_grants TO test_login")
        with Database(as_login(url), "motor") as database:
            database.prepare(_contract())
            assert not database.act_as(role("etl"))
        with psycopg.connect(url, options="-c search_path=motor") as connection:
            connection.execute(f"SET ROLE {role('train')}")
            assert allowed(connection, "claims", "claim_id") == {"SELECT"}


def test_a_table_of_the_team(url: str) -> None:
    """A table that is not Claimsight's, with whatever name, is left alone."""
    with Database(url, "motor") as database:
        database.rows(f"CREATE TABLE {OWN} (n int)")
        database.rows(f"GRANT SELECT ON {OWN} TO claimsight_train")
        database.rows("REVOKE SELECT ON claims FROM claimsight_train")
        database.prepare(_contract())
        assert database.act_as(role("train"))
        assert database.rows(f"SELECT 1 FROM {OWN} UNION ALL SELECT 1 FROM claims") == []


def test_what_is_taken_away_is_given_again(url: str) -> None:
    """A grant that is missing is found and given at the next start; with none missing nothing is touched."""
    grants = "SELECT xmin FROM pg_class WHERE relname = 'claims'"
    with Database(url, "motor") as database:
        database.rows("REVOKE SELECT ON claims FROM claimsight_train")
        before = database.rows(grants)
        database.prepare(_contract())
        after = database.rows(grants)
        assert after != before
        database.prepare(_contract())
        assert database.rows(grants) == after
        database.rows("SET ROLE claimsight_train")
        assert database.rows("SELECT 1 FROM claims") == []
