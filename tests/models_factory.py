"""A line of business with models made by hand, so that evaluate can judge them without a search."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from psycopg.conninfo import make_conninfo

from jobs.evaluate.__main__ import work
from shared.choreography import Stage
from shared.contract import Contract, load
from shared.database import Database
from shared.features import Bins, Feature, values, weights_of_evidence
from shared.job import Job
from shared.model import Logistic, Model
from shared.settings import from_environment
from tests import claims_factory

FEATURES = (
    Feature("amount", ("amount",), "number"),
    Feature("age", ("age",), "number"),
    Feature("size", ("size",), "category"),
)
TRAIN_END = claims_factory.FIRST_DAY + timedelta(days=350)
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
"""The clock when the first model is made."""
GATES = "max_calibration_error_by_decile = 5\nmax_calibration_error = 5\n"
"""Models made by hand are held to their ranking only."""


@dataclass(frozen=True)
class Line:
    """A line of business: a database, a folder and an MLflow store of its own."""

    url: str
    folder: Path

    @property
    def contract(self) -> Contract:
        return load(self.folder / "contract.toml")

    @property
    def tracking(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def environment(self, as_of: datetime = FIRST, **settings: str) -> dict[str, str]:
        return {
            "CLAIMSIGHT_CONTRACT": str(self.folder / "contract.toml"),
            "CLAIMSIGHT_DATABASE_URL": self.url,
            "CLAIMSIGHT_DROP": str(self.folder),
            "CLAIMSIGHT_EVENTS": str(self.folder / "events.jsonl"),
            "CLAIMSIGHT_ARTIFACTS": str(self.folder / "artifacts"),
            "CLAIMSIGHT_AS_OF": as_of.isoformat(),
            "MLFLOW_TRACKING_URI": self.tracking,
        } | settings

    def rows(self, query: str) -> list[dict[str, Any]]:
        with Database(self.url, "garage") as database:
            return database.rows(query)

    def call(
        self, function: Any, *arguments: Any, as_of: datetime = FIRST, stage: Stage = "evaluate", **settings: str
    ) -> Any:
        """Call what a stage may be asked to do, with a job of its own."""
        with Database(self.url, "garage") as database:
            found = from_environment(self.environment(as_of, **settings))
            run = database.rows(
                "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
                "VALUES (%s, 'garage', '0/1', 'done', %s, 'test', 'none') RETURNING run_id",
                [stage, as_of],
            )
            return function(Job(stage, found, self.contract, database, run[0]["run_id"]), *arguments)

    def evaluate(self, as_of: datetime = FIRST, **settings: str) -> str:
        return str(self.call(work, as_of=as_of, **settings))

    def add_model(self, *, good: bool, as_of: datetime = FIRST) -> int:
        """Register a challenger that ranks well, or the other way round; its version."""
        client = mlflow.MlflowClient(self.tracking)
        source = self.folder / f"model-{len(self.rows('SELECT 1 FROM models'))}"
        version = int(client.create_model_version("garage", source.as_uri()).version)
        _model(1.0 if good else -1.0).save(source)
        (source / "training.json").write_text(json.dumps({"findings": []}))
        (source / "profile.json").write_text("[]")
        with Database(self.url, "garage") as database:
            run = database.rows(
                "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
                "VALUES ('train', 'garage', '0/1', 'done', %s, 'test', 'none') RETURNING run_id",
                [as_of],
            )
            database.rows(
                "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
                "artifact_uri, mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id) "
                "VALUES (%s, 'logistic', %s, 1, %s, %s, %s, 'run', 'hash', 'test', 'none', %s, %s)",
                [
                    version,
                    f"snapshot {version}",
                    claims_factory.FIRST_DAY,
                    TRAIN_END,
                    source.as_uri(),
                    as_of,
                    run[0]["run_id"],
                ],
            )
        return version

    def aliases(self) -> dict[str, int]:
        client = mlflow.MlflowClient(self.tracking)
        return {alias: int(version) for alias, version in client.get_registered_model("garage").aliases.items()}

    def live(self) -> list[tuple[int, str, str]]:
        """Version, action and actor of each entry that made a champion."""
        found = self.rows("SELECT * FROM model_history WHERE alias = 'champion' ORDER BY entry_id")
        return [(row["model_version"], row["action"], row["actor"]) for row in found]


def line(url: str, folder: Path, claims: int = 900, text: str = claims_factory.GARAGE) -> Line:
    """Make tables, claims and a registered model without a version in an empty database and folder."""
    gates = text.replace("[gates]\n", f"[gates]\n{GATES}")
    (folder / "contract.toml").write_text(gates)
    made = Line(make_conninfo(url), folder)
    with Database(made.url, "garage") as database:
        database.prepare(made.contract)
        claims_factory.store(database, made.contract, claims_factory.claims(claims, seed=2))
    mlflow.MlflowClient(made.tracking).create_registered_model("garage")
    return made


def _model(sign: float) -> Model:
    book = claims_factory.claims(2000, seed=3)
    known, y = values(book, FEATURES), book["is_fraud"].to_numpy().astype(float)
    bins = tuple(Bins.of(feature, known[feature.name], 8) for feature in FEATURES)
    evidence = tuple(
        tuple(weights_of_evidence(b.codes(known[feature.name]), y, b.size, 10.0).tolist())
        for feature, b in zip(FEATURES, bins, strict=True)
    )
    return Model("logistic", FEATURES, (Logistic(bins, evidence, (sign,) * len(FEATURES), float(np.log(1 / 7))),))
