"""Apply: the model and all that was tried into MLflow, its row into ``models``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from jobs.train.histogram import Histograms
from jobs.train.package import package
from jobs.train.search import Search
from jobs.train.snapshot import identity, outcome_sources, outcomes_known, window
from jobs.train.trials import Trial
from jobs.train.windows import Windows
from jobs.train.yardsticks import Yardstick
from shared.anomaly import Anomaly
from shared.champion import ANOMALY
from shared.job import Job
from shared.metrics import OPTIMISTIC
from shared.model import Model
from shared.peers import PEERS, Peers, kind_of, looked_at
from shared.profile import Profile

if TYPE_CHECKING:
    from shared.registry import TrackedTrial


@dataclass(frozen=True)
class _Fitted:
    """A model and what is told of it; ``training`` is what a reader wants to know of how it came about."""

    family: str
    model: Model | Anomaly
    profile: Profile
    training: Mapping[str, object]
    trials: Sequence[Trial] = ()
    yardsticks: Sequence[Yardstick] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def register(job: Job, claims: pl.DataFrame, cut: Windows, found: Search) -> int:
    """Register a search's model as challenger and return its version.

    Killed before its row stands in ``models``, a version in MLflow is left that nobody asks for, and the next run
    trains anew.
    """
    chosen = found.trials[found.chosen]
    random = {"claimsight.split": "random", "claimsight.caveat": OPTIMISTIC}
    sources = outcome_sources(job, cut)
    training = {
        "outcomes": sources,
        "chosen": found.chosen,
        "trials": [
            {
                "name": _name(trial),
                "family": trial.candidate.family,
                "state": trial.state,
                "parameters": trial.candidate.settings,
                "mean": trial.mean,
                **_figures(trial),
            }
            for trial in found.trials
        ],
        "yardsticks": [{"name": stick.name, "mean": stick.mean, **_figures(stick)} for stick in found.yardsticks],
        "repeatable": found.repeatable,
        "findings": [asdict(finding) for finding in found.findings],
        "left_out": [finding.column for finding in found.left_out],
        "screened_out": list(found.screened_out),
    }
    fitted = _Fitted(
        found.model.family,
        found.model,
        found.profile,
        training,
        found.trials,
        found.yardsticks,
        parameters=chosen.candidate.settings,
        metrics={"mean_average_precision": chosen.mean, "frauds": int(claims["is_fraud"].sum())},
        tags={
            **({"claimsight.split": "time"} if cut.judged_share is None else random),
            "claimsight.repeatable": str(found.repeatable).lower(),
            "claimsight.outcomes": json.dumps({row["source"]: row["claims"] for row in sources}, ensure_ascii=False),
        },
    )
    among = window(job, cut, looked_at(found.model.features, job.contract))
    return _register(job, claims, among, cut, fitted)


def register_histograms(job: Job, claims: pl.DataFrame, found: Histograms) -> int:
    """Register a model that ranks claims without outcomes, never a challenger, and return its version."""
    training = {
        "findings": [asdict(finding) for finding in found.left_out],
        "left_out": [finding.column for finding in found.left_out],
        "constant": list(found.constant),
    }
    whole = Windows(claims["event_time"][0], claims["event_time"][-1])
    return _register(job, claims, claims, whole, _Fitted(ANOMALY, found.model, found.model.profile, training))


def _register(job: Job, claims: pl.DataFrame, among: pl.DataFrame, cut: Windows, fitted: _Fitted) -> int:
    """Register a model with what is usual ``among`` claims, whether or not it learnt from them."""
    from shared.registry import Registry, TrackedTrial

    settings = job.settings
    snapshot = identity(claims, job.contract, settings)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fitted.model.save(folder)
        (folder / "profile.json").write_text(json.dumps(fitted.profile.as_document()))
        peers = Peers.of(among, fitted.model.features, kind_of(job.contract))
        (folder / PEERS).write_text(json.dumps(peers.as_document()))
        (folder / "contract.toml").write_bytes(settings.contract.read_bytes())
        (folder / "training.json").write_text(json.dumps(fitted.training, indent=1))
        if isinstance(fitted.model, Model):
            package(folder, fitted.model, job.contract, snapshot)
        registered = Registry(settings.mlflow_tracking_uri, settings.artifacts, job.contract.name).register(
            folder,
            [
                *map(_tracked, fitted.trials),
                *(TrackedTrial(stick.name, {}, _figures(stick), "yardstick") for stick in fitted.yardsticks),
            ],
            parameters={**fitted.parameters, "family": fitted.family, "features": len(fitted.model.features)},
            metrics={**fitted.metrics, "claims": claims.height},
            tags=fitted.tags,
            made_of={
                "claimsight.snapshot": snapshot,
                "claimsight.contract": job.contract.hash,
                "claimsight.git_sha": settings.git_sha,
                "claimsight.image_digest": settings.image_digest,
            },
            after=_last_version(job),
            alias=ANOMALY if fitted.family == ANOMALY else "challenger",
            as_of=job.as_of,
        )
    with job.database.transaction():
        job.database.rows(
            "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
            "judged_share, claims, artifact_uri, files_sha256, mlflow_run_id, contract_hash, git_sha, image_digest, "
            "as_of, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                registered.version,
                fitted.family,
                snapshot,
                outcomes_known(job),
                cut.train_start,
                cut.train_end,
                cut.judged_share,
                claims.height,
                registered.artifact_uri,
                registered.files_sha256,
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


def _last_version(job: Job) -> int:
    found = job.database.rows("SELECT coalesce(max(model_version), 0) AS version FROM models")
    return int(found[0]["version"])


def _tracked(trial: Trial) -> TrackedTrial:
    from shared.registry import TrackedTrial

    return TrackedTrial(_name(trial), trial.candidate.settings, _figures(trial), trial.state, trial.seconds)


def _figures(trial: Trial | Yardstick) -> dict[str, tuple[float, ...]]:
    return {"average_precision": trial.average_precision, "roc_auc": trial.roc_auc}


def _name(trial: Trial) -> str:
    candidate = trial.candidate
    told = {name.partition(".")[2]: value for name, value in candidate.settings.items()}
    short = [f"{name}={told[name]:.3g}" for name in ("C", "rounds", "reg_lambda") if name in told]
    return f"{candidate.family} ({', '.join(short)})" if short else candidate.family
