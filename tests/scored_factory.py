"""A line of business whose claims etl has loaded, and score has scored with a champion that was fitted at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from shared import sums
from shared.claims import read_claims
from shared.contract import Contract, load
from shared.database import Database
from shared.features import features_of, values
from shared.grants import role
from shared.peers import PEERS, Peers, kind_of
from tests.factories import ROOT

AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
LOGIN = "test_scored"
CONTRACT = """\
name = "fleet"
title = "Claims with a column of every kind"

[file]
na_values = ["n/a"]

[roles]
id = "claim"
event_time = "happened"
amount = "amount"
claimant = "who"
entities = ["who", "phone", "garage", "branch"]
kind = "peril"
sensitive = ["sex"]
pii = ["who", "phone"]

[outcomes]
id = "claim"

[columns]
claim = { dtype = "text", source = "Claim No." }
happened = { dtype = "datetime" }
insured_on = { dtype = "date", format = "%d.%m.%Y" }
amount = { dtype = "number", min = 0 }
peril = { dtype = "category", levels = ["theft", "hail", "fire"] }
who = { dtype = "text" }
phone = { dtype = "text", nullable = true }
garage = { dtype = "category", nullable = true }
branch = { dtype = "integer" }
sex = { dtype = "category" }
hurt = { dtype = "boolean", nullable = true }
band = { dtype = "category", levels = ["low", "middle", "high"], ordered = true, nullable = true }
agent = { dtype = "text" }

[reference.agents]
key = "agent"

[reference.agents.columns]
joined_on = { dtype = "date", nullable = true }
sold = { dtype = "integer", nullable = true }
rating = { dtype = "number", nullable = true }
at_home = { dtype = "boolean", nullable = true }
seen_at = { dtype = "datetime", nullable = true }

[derived]
share = { dtype = "number", sql = "amount / GREATEST(sold, 1)", nullable = true }
"""


@dataclass(frozen=True)
class Scored:
    """A line in a database, and the folder of its drop and its champion.

    Attributes
    ----------
    console_url : str
        Of a login in the console's role and in no other.
    """

    url: str
    console_url: str
    folder: Path

    @property
    def contract(self) -> Contract:
        return load(self.folder / "contract.toml")

    def environment(self, **others: str) -> dict[str, str]:
        return {
            "CLAIMSIGHT_CONTRACT": str(self.folder / "contract.toml"),
            "CLAIMSIGHT_DATABASE_URL": self.url,
            "CLAIMSIGHT_DROP": str(self.folder / "drop"),
            "CLAIMSIGHT_EVENTS": str(self.folder / "events.jsonl"),
            "CLAIMSIGHT_ARTIFACTS": str(self.folder),
            "CLAIMSIGHT_AS_OF": AS_OF.isoformat(),
            "CLAIMSIGHT_PSEUDONYM_KEY": "for tests only",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
        } | others

    def run(self, stage: str) -> None:
        ran = subprocess.run(
            [sys.executable, "-m", f"jobs.{stage}"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def rows(self, query: str, parameters: Any = ()) -> list[dict[str, Any]]:
        path = f"-c search_path={self.contract.name},claimsight -c timezone=UTC"
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row, options=path) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def promote(self, version: int, rounds: int, threshold: float = 0.2) -> None:
        """Fit trees on all claims with an outcome, and have them be champion."""
        contract, features = self.contract, features_of(self.contract)
        with Database(self.url, contract.name) as database:
            told = {"is_fraud": ("o.is_fraud", "boolean")}
            rest = "JOIN outcomes_as_of(%(as_of)s) o USING (claim_id)"
            claims = read_claims(database, contract, rest, {"as_of": AS_OF}, told)  # type: ignore[arg-type]
        y = claims["is_fraud"].cast(pl.Float64).to_numpy()
        trees = {"max_depth": 4, "learning_rate": 0.3, "rounds": rounds}
        model = Fitter(features, values(claims, features), y, 1, 0).fit(Candidate("boosted_trees", trees=trees))
        folder = self.folder / f"model-{version}"
        model.save(folder)
        peers = Peers.of(claims, features, kind_of(contract))
        (folder / PEERS).write_text(json.dumps(peers.as_document()))
        files_sha256 = sums.write(folder)
        run = self.rows(
            "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
            "VALUES ('train', %s, '0/1', 'done', %s, 'test', 'none') RETURNING run_id",
            [contract.name, AS_OF],
        )[0]["run_id"]
        self.rows(
            "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
            "artifact_uri, files_sha256, mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id) "
            "VALUES (%s, 'boosted_trees', 'test', 1, %s, %s, %s, %s, 'run', %s, 'test', 'none', %s, %s)",
            [version, AS_OF, AS_OF, folder.as_uri(), files_sha256, contract.hash, AS_OF, run],
        )
        self.rows(
            "INSERT INTO model_history (model_version, alias, actor, reason, threshold, metrics, gates, as_of, run_id) "
            "VALUES (%s, 'champion', 'test', 'test', %s, '{\"claims_per_week\": 50, \"ranking\": {}}', '[]', %s, %s)",
            [version, threshold, AS_OF, run],
        )


def scored(url: str, folder: Path, contract: str, files: Mapping[str, str]) -> Scored:
    """Load files, given by their place in the line's drop, fit a champion, and score all claims.

    Parameters
    ----------
    url : str
        Of a database that is this line's alone.
    """
    (folder / "contract.toml").write_text(contract)
    made = Scored(url, make_conninfo(url, user=LOGIN), folder)
    for place, content in files.items():
        path = folder / "drop" / made.contract.name / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    made.run("etl")
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [LOGIN]).fetchone() is None:
            connection.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {role('console')}")  # type: ignore[arg-type]
    made.promote(1, rounds=30)
    made.run("score")
    return made


def fleet(count: int = 500, seed: int = 5) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Make claims of `CONTRACT`, some of them corrected later, and the files of its drop."""
    chance = random.Random(seed)
    claims, outcomes = [], []
    for number in range(count):
        happened = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(360 * 24 * 60))
        claim = {
            "Claim No.": f"c{number}",
            "happened": happened.isoformat(),
            "insured_on": f"{happened - timedelta(days=chance.randrange(900)):%d.%m.%Y}",
            "amount": round(chance.lognormvariate(7, 1), 2),
            "peril": chance.choice(["theft", "hail", "fire"]),
            "who": f"person {chance.randrange(60)}",
            "phone": chance.choice([None, f"+49 {chance.randrange(40)}"]),
            "garage": chance.choice(["n/a", f"g{chance.randrange(9)}"]),
            "branch": chance.randrange(6),
            "sex": chance.choice("FM"),
            "hurt": chance.choice([None, True, False]),
            "band": chance.choice([None, "low", "middle", "high"]),
            "agent": f"a{chance.randrange(25)}",
        }
        claims.append(claim)
        if chance.random() < 0.6:
            is_fraud = chance.random() < (0.6 if claim["amount"] > 2000 else 0.1)
            decided = happened + timedelta(days=chance.randrange(60))
            outcomes.append({"claim": f"c{number}", "is_fraud": "NY"[is_fraud], "decided_at": decided.isoformat()})
    agents = [
        {
            "agent": f"a{number}",
            "joined_on": f"20{10 + number % 9}-03-0{1 + number % 7}",
            "sold": chance.choice([None, chance.randrange(300)]),
            "rating": round(chance.random(), 3),
            "at_home": number % 3 == 0,
            "seen_at": f"2023-05-06T07:08:{number:02}.25+02:00",
        }
        for number in range(20)  # some are not in the table
    ]
    corrected = [claim | {"amount": claim["amount"] * 2, "peril": "fire"} for claim in claims[:20]]
    moved = [
        claim | {"happened": (datetime.fromisoformat(claim["happened"]) + timedelta(days=2)).isoformat()}
        for claim in claims[20:30]
    ]
    files = {
        "reference/agents/agents.jsonl": _lines(agents),
        "claims/1.jsonl": _lines(claims),
        "claims/2.jsonl": _lines([*corrected, *moved]),
        "outcomes/1.jsonl": _lines(outcomes),
    }
    return [*corrected, *moved, *claims[30:]], files


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)
