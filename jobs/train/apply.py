"""Apply: the model and all that was tried into MLflow, its row into ``models``."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import polars as pl

from jobs.train.fit import Search, Trial
from jobs.train.snapshot import identity, outcomes_known
from jobs.train.windows import Windows
from shared.job import Job


def register(job: Job, claims: pl.DataFrame, cut: Windows, found: Search) -> int:
    """Register a search's model as challenger and return its version.

    Killed before its row stands in ``models``, a version in MLflow is left that nobody asks for, and the next run
    trains anew.
    """
    from shared.registry import Registry, TrackedTrial

    settings, chosen = job.settings, found.trials[found.chosen]
    snapshot = identity(claims, job.contract)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found.model.save(folder)
        (folder / "profile.json").write_text(json.dumps(found.profile.as_document()))
        (folder / "contract.toml").write_bytes(settings.contract.read_bytes())
        (folder / "training.json").write_text(json.dumps(_training(found), indent=1))
        registered = Registry(settings.mlflow_tracking_uri, settings.artifacts, job.contract.name).register(
            folder,
            [TrackedTrial(_name(trial), trial.candidate.settings, _figures(trial)) for trial in found.trials],
            parameters=chosen.candidate.settings
            | {"family": found.model.family, "features": len(found.model.features)},
            metrics={
                "mean_average_precision": chosen.mean,
                "claims": claims.height,
                "frauds": int(claims["is_fraud"].sum()),
            },
            tags={
                "claimsight.snapshot": snapshot,
                "claimsight.contract": job.contract.hash,
                "claimsight.git_sha": settings.git_sha,
                "claimsight.image_digest": settings.image_digest,
            },
            as_of=job.as_of,
        )
    with job.database.transaction():
        job.database.rows(
            "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
            "artifact_uri, mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                registered.version,
                found.model.family,
                snapshot,
                outcomes_known(job),
                cut.train_start,
                cut.train_end,
                registered.artifact_uri,
                registered.run_id,
                job.contract.hash,
                settings.git_sha,
                settings.image_digest,
                job.as_of,
                job.run_id,
            ],
        )
        job.record(rows_in=claims.height, rows_out=claims.height)
    return registered.version


def _training(found: Search) -> dict[str, object]:
    """What a reader of the model wants to know of how it came about; beside the model, as data."""
    return {
        "chosen": found.chosen,
        "trials": [{"name": _name(trial), "mean": trial.mean, **_figures(trial)} for trial in found.trials],
        "findings": [asdict(finding) for finding in found.findings],
        "left_out": [finding.column for finding in found.left_out],
        "screened_out": list(found.screened_out),
    }


def _figures(trial: Trial) -> dict[str, tuple[float, ...]]:
    return {"average_precision": trial.average_precision, "roc_auc": trial.roc_auc}


def _name(trial: Trial) -> str:
    candidate = trial.candidate
    told = {name.partition(".")[2]: value for name, value in candidate.settings.items()}
    short = [f"{name}={told[name]:g}" for name in ("C", "rounds", "reg_lambda") if name in told]
    return f"{candidate.family} ({', '.join(short)})"
