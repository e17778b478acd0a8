"""A line of business with scores and a few people, for the tests of who may see what."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from shared.access import ANALYST
from shared.choreography import STAGES, Stage
from shared.contract import Contract
from shared.database import Database
from shared.grants import role

SECRETS = ("XSEX", "XWHO", "XNOTE", "XBORN")
"""What stands in the sensitive, personal and ignored columns of every claim, and in reasons that rest on them."""
AMOUNT = "731.25"
"""Amount of every claim: it may be seen, but by the functions alone."""
PEOPLE = ANNA, BOB = "test_anna", "test_bob"
STAGE_LOGINS: dict[Stage, str] = {stage: f"test_login_{stage}" for stage in STAGES}
MOMENT = "2024-05-20"


GUARDED = """\
name = "motor"
title = "Motor claims, with columns of every kind that analysts must not see"

[roles]
id = "claim"
event_time = "lost_on"
amount = "amount"
kind = "peril"
claimant = "who"
entities = ["who", "garage"]
sensitive = ["sex", "born"]
pii = ["who"]
ignore = ["note"]

[outcomes]
id = "claim"
source = "by"

[review]
alert_amount = 700.0

[columns]
claim = { dtype = "text" }
lost_on = { dtype = "date" }
amount = { dtype = "number", unit = "EUR" }
peril = { dtype = "category" }
garage = { dtype = "category", nullable = true }
seen_on = { dtype = "date", nullable = true }
hurt = { dtype = "boolean", nullable = true }
note = { dtype = "text", nullable = true }
who = { dtype = "text" }
sex = { dtype = "category" }
born = { dtype = "text" }

[derived]
"odd %'$$" = { dtype = "text", sql = "peril", nullable = true }
sex_and_peril = { dtype = "text", sql = "CONCAT(sex, peril)", nullable = true }
who_else = { dtype = "text", sql = "CONCAT(who, '!')", nullable = true }
"""


def guarded(name: str = "motor") -> Contract:
    """Build the contract."""
    return Contract.model_validate(tomllib.loads(GUARDED) | {"name": name})


REASONS = """[
    {"feature": "amount", "value": 731.25, "direction": "raises", "log_odds": 1.5, "unusual": 0.03,
     "peers": "claims of theft", "text": "The amount of 731.25 is high: 3 % of claims of theft have as much."},
    {"feature": "sex", "value": "XSEX", "direction": "raises", "log_odds": 1.2, "text": "sex XSEX"},
    {"feature": "weekday of lost_on", "value": "Sunday", "direction": "lowers", "log_odds": -0.2}
]"""
OTHER_REASONS = """[
    {"feature": "sex_and_peril", "value": "XSEXtheft", "direction": "raises", "log_odds": 1.2, "text": "XSEX"},
    {"feature": "note", "value": "XNOTE", "direction": "raises", "log_odds": 1.1, "text": "XNOTE"},
    {"feature": "born: claims in the 90 days before, up to 5", "value": "XBORN", "direction": "raises", "log_odds": 1}
]"""


@dataclass(frozen=True)
class Place:
    """A database of that line, and its people."""

    url: str

    def psql(self, who: str, script: str) -> str:
        """What psql says, on either stream, when somebody types a script; it goes on after errors, as one does."""
        ran = subprocess.run(
            [embedded.binary("psql"), "-X", "-A", "-d", make_conninfo(self.url, user=who)],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return ran.stdout + ran.stderr

    def value(self, query: str) -> object:
        """First cell of a query's answer, as the superuser."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]

    def log(self) -> list[tuple[object, ...]]:
        """Who, action, subject, model version, purpose and whether it is a reading, in order."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT who, action, subject, model_version, purpose, ticket IS NOT NULL FROM claimsight.access_log "
                "ORDER BY entry_id"
            ).fetchall()

    def ask(self, who: str, action: str, subject: str | None, purpose: str = "weekly review") -> int:
        """Get a ticket."""
        with psycopg.connect(make_conninfo(self.url, user=who), autocommit=True) as connection:
            row = connection.execute("SELECT motor.ask(%s, %s, %s)", [action, subject, purpose]).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def open_line(postgres: str, name: str) -> Iterator[Place]:
    """Make a database of that name, furnish it, and give each stage a login; take it all away at the end."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        made = furnish(make_conninfo(postgres, dbname=name))
        for stage, login in STAGE_LOGINS.items():
            connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE {role(stage)}")  # type: ignore[arg-type]
        yield made
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
        for login in (*PEOPLE, *STAGE_LOGINS.values()):
            connection.execute(f"DROP ROLE {login}")  # type: ignore[arg-type]


def seen(output: str) -> list[str]:
    """Which of the things that must not be seen stand in an output."""
    return [secret for secret in (*SECRETS, AMOUNT) if secret in output]


def furnish(url: str, claims: int = 6) -> Place:
    """Make tables and people, and claims of one champion: two flagged, one audited, one of them decided since."""
    found = guarded()
    with Database(url, found.name) as database:
        database.prepare(found)
        with database.transaction():
            database.rows(
                "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
                "SELECT 'score', 'motor', '0/1', 'done', %s, 'test', 'none' FROM generate_series(1, 2)",
                [MOMENT],
            )
            for version in (1, 2):
                database.rows(
                    "INSERT INTO models VALUES (%s, 'logistic', 's', 1, '2023-01-01', '2024-01-01', 'file:///m', 'r', "
                    "'h', 'g', 'i', %s, 1)",
                    [version, MOMENT],
                )
            database.rows(
                "INSERT INTO model_history (model_version, alias, actor, reason, threshold, metrics, gates, as_of, "
                "run_id) VALUES (1, 'champion', 'evaluate', 'good', 0.5, %s, '[]', %s, 1)",
                ['{"ranking": {"average_precision": {"value": 0.4}}, "fairness": "XSEX"}', MOMENT],
            )
            database.rows(
                "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, peril, "
                "note, who, sex, born, garage, sex_and_peril, who_else) "
                "SELECT 'c' || n, 1, timestamptz '2024-05-06' + n * interval '1 day', '2024-05-06', 1, n, 731.25, "
                "'theft', 'XNOTE', 'XWHO', 'XSEX', 'XBORN', 'g1', 'XSEXtheft', 'XWHO!' FROM generate_series(1, %s) n",
                [claims],
            )
            database.rows(
                "INSERT INTO predictions (claim_id, model_version, fraud_probability, flagged, audited, reasons, "
                "scored_as_of, run_id) SELECT 'c' || n, 1, 0.9 - n * 0.1, n <= 3, n = 4, "
                "CASE WHEN n %% 2 = 1 THEN %s ELSE %s END::jsonb, %s, 2 FROM generate_series(1, %s) n",
                [REASONS, OTHER_REASONS, MOMENT, claims],
            )
            database.rows(
                "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
                "VALUES ('c2', true, '2024-05-30', '2024-05-30', 'investigation')"
            )
            for who in PEOPLE:
                database.rows(f"CREATE ROLE {who} LOGIN IN ROLE {ANALYST}")
    return Place(url)
