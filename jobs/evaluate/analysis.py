"""What else is found out about a challenger: where it errs, how features go with the outcome, and its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.evaluate.blocks import html, markdown
from jobs.evaluate.card import Facts, card, title
from jobs.evaluate.groups import in_words
from jobs.evaluate.kinds import kinds
from jobs.evaluate.slices import Slice, find_slices
from shared.associations import Association, associations
from shared.errors import ModelError
from shared.features import features_of, values
from shared.job import Job
from shared.model import Model, load
from shared.profile import Profile

if TYPE_CHECKING:
    from jobs.evaluate.evidence import Challenger
    from jobs.evaluate.judge import Evidence, Judgement


@dataclass(frozen=True)
class Analysis:
    """What was found, and what the card is written from.

    Attributes
    ----------
    errors : dict
        ``slices`` and ``kinds``, ready for JSON; no claim is named in them.
    examples : list of tuple
        Slice, claim and fraud probability.
    """

    errors: dict[str, Any]
    examples: list[tuple[int, str, float]]
    associations: list[Association]
    model: Model
    training: Mapping[str, Any]


def analyse(job: Job, challenger: Challenger, claims: pl.DataFrame, evidence: Evidence, judged: Judgement) -> Analysis:
    """Look at the judged claims more closely.

    Slices are told by whatever the contract offers, and not only by what the model looks at, but for columns with
    something against them: a leak would explain every error.

    Raises
    ------
    ModelError
        What train wrote beside the model cannot be read.
    """
    model, (training, profile) = load(challenger.folder), _beside(challenger)
    labelled, p = claims.filter(evidence.labelled), evidence.probability[evidence.labelled]
    y = evidence.y[evidence.labelled]
    flagged = p >= (1.0 if judged.threshold is None else judged.threshold)
    against = {finding["column"] for finding in training["findings"]} - set(job.contract.features.allow)
    offered = [feature for feature in features_of(job.contract) if not against & {feature.name, *feature.sources}]
    columns, features = in_words(labelled, values(labelled, offered), offered)
    slices = find_slices(columns, features, y, p, flagged)
    first = [name for name in (job.contract.roles.kind, job.contract.roles.amount) if name]
    return Analysis(
        {
            "slices": [_told(found) for found in slices],
            "kinds": [asdict(kind) for kind in kinds(columns, features, y, flagged, first)],
        },
        [
            (place, labelled["claim_id"][row], float(p[row]))
            for place, found in enumerate(slices)
            for row in found.examples
        ],
        list(associations(model.known(labelled), y, labelled["event_time"], profile)),
        model,
        training,
    )


def keep(job: Job, version: int, found: Analysis) -> None:
    """Write the tables that go with a verdict; within its transaction."""
    for place, claim_id, probability in found.examples:
        job.database.rows(
            "INSERT INTO slice_examples VALUES (%s, %s, %s, %s, %s)",
            [version, place, claim_id, probability, job.run_id],
        )
    for row in found.associations:
        job.database.rows(
            "INSERT INTO bivariate VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(version, row.feature, row.month, row.claims, row.frauds, *asdict(row.dependence).values()),
                *(row.correlation, job.as_of, job.run_id),
            ],
        )


def write_card(job: Job, version: int, found: Analysis) -> None:
    """Write the model card, as Markdown and as HTML, from the verdict as it stands; within its transaction."""
    model = job.database.rows("SELECT * FROM models WHERE model_version = %s", [version])[0]
    verdict = job.database.rows(
        "SELECT alias = 'champion' AS promoted, reason, threshold, judged_start, judged_end, metrics, gates "
        "FROM model_history WHERE model_version = %s AND action = 'judged' ORDER BY entry_id DESC LIMIT 1",
        [version],
    )[0]
    facts = Facts(job.contract, model | {"judged_as_of": job.as_of}, found.training, found.model.features, verdict)
    name, blocks = title(facts), list(card(facts))
    job.database.rows(
        "INSERT INTO model_cards (model_version, markdown, html, run_id) VALUES (%s, %s, %s, %s)",
        [version, markdown(name, blocks), html(name, blocks), job.run_id],
    )


def _beside(challenger: Challenger) -> tuple[dict[str, Any], Profile]:
    try:
        training = json.loads((challenger.folder / "training.json").read_text())
        profile = Profile.of_document(json.loads((challenger.folder / "profile.json").read_text()))
        _ = [finding["column"] for finding in training["findings"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {challenger.folder}: cannot be read ({error}); train a new one") from error
    return training, profile


def _told(found: Slice) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name != "examples"}
