"""What a search has tried, kept row by row: one that was killed goes on from there."""

from __future__ import annotations

import json

from jobs.train.candidates import candidate_of
from jobs.train.trials import Trial
from shared.job import Job


def finished(job: Job, snapshot: str) -> list[Trial]:
    """Trials of an earlier run on the same snapshot that are over, in their order."""
    found = job.database.rows(
        "SELECT number, family, parameters, average_precision, roc_auc, mean, state, seconds FROM trials "
        "WHERE snapshot = %s AND threads = %s ORDER BY number",
        [snapshot, job.settings.threads],
    )
    return [
        Trial(
            candidate_of(row["family"], row["parameters"]),
            tuple(row["average_precision"]),
            tuple(row["roc_auc"]),
            row["mean"],
            row["number"],
            row["state"],
            row["seconds"],
        )
        for row in found
    ]


def keep(job: Job, snapshot: str, trial: Trial) -> None:
    """Write a trial's row."""
    job.database.rows(
        "INSERT INTO trials (snapshot, threads, number, family, parameters, average_precision, roc_auc, mean, state, "
        "seconds, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            snapshot,
            job.settings.threads,
            trial.number,
            trial.candidate.family,
            json.dumps(trial.candidate.settings),
            list(trial.average_precision),
            list(trial.roc_auc),
            trial.mean,
            trial.state,
            trial.seconds,
            job.run_id,
        ],
    )
