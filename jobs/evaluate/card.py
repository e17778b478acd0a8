"""The model card: what a model is for, how it came about, what it shows and where it fails.

After M. Mitchell et al., Model Cards for Model Reporting, FAT* 2019. It is written from data alone, so the same facts
give the same card, and it names no single claim: whoever asks to be forgotten must not remain in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.evaluate.blocks import Block, Heading, Paragraph, Points, Table
from shared.contract import Contract
from shared.features import Feature
from shared.metrics import FIGURES

UNTOLD = "\u2013"
MOST = 40
"""Rows of a table; more are counted."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a card is written from.

    Attributes
    ----------
    model : mapping
        The model's row of ``models``.
    training : mapping
        What train told of it, ``training.json``.
    verdict : mapping
        Its entry in ``model_history``: ``promoted``, ``reason``, ``threshold``, ``judged_start``, ``judged_end``,
        ``metrics`` and ``gates``.
    """

    contract: Contract
    model: Row
    training: Row
    features: Sequence[Feature]
    verdict: Row


def title(facts: Facts) -> str:
    """Heading of the card."""
    return f"Model card: {facts.contract.title}, model {facts.model['model_version']}"


def card(facts: Facts) -> Iterator[Block]:
    """Write the card."""
    for section in (_use, _data, _features, _choice, _figures, _gates, _groups, _errors, _limits, _lineage):
        yield from section(facts)


def _use(facts: Facts) -> Iterator[Block]:
    contract, verdict = facts.contract, facts.verdict
    yield Paragraph(
        f"A {facts.model['family'].replace('_', ' ')} model, {'promoted' if verdict['promoted'] else 'refused'} when "
        f"it was judged as of {_day(facts.model['judged_as_of'])}: {verdict['reason'].removeprefix('refused: ')}."
    )
    yield Heading("Use")
    yield Points(
        (
            f"For ranking claims of the line {contract.name}, so that investigators, who can look at "
            f"{contract.review.capacity_per_week} a week, look first where fraud is most likely. A claim is flagged "
            f"from a fraud probability of {_number(verdict['threshold'])}.",
            "Not for deciding a claim: a probability or a reason is a place to start looking, not evidence.",
            "Not for other lines of business, nor for claims that do not keep to this contract.",
            "Not for judging persons, such as a claimant or a garage, beyond the claim at hand.",
        )
    )


def _data(facts: Facts) -> Iterator[Block]:
    model, verdict, metrics = facts.model, facts.verdict, facts.verdict["metrics"]
    judged = sum(row["claims"] for row in metrics["deciles"])
    frauds = sum(row["frauds"] for row in metrics["deciles"])
    drawn = metrics["split"] == "random"
    yield Heading("Data")
    yield Points(
        (
            f"Learnt from {_count(model['claims'])} claims {'loaded' if drawn else 'of'} {_day(model['train_start'])} "
            f"to {_day(model['train_end'])}, with the outcomes known as of {_day(model['as_of'])}.",
            f"Judged on {_count(judged)} claims {'drawn at random' if drawn else 'that came later'}, of "
            f"{_day(verdict['judged_start'])} to {_day(verdict['judged_end'])}; {_count(frauds)} of them were frauds.",
            "Of claims whose outcome is not known nothing is learnt, and by them nothing is judged.",
        )
    )
    yield from _table(
        "Outcomes learnt from, by who decided",
        ("source", "claims", "of them frauds"),
        [
            (row["source"], _count(row["claims"]), _share(row["frauds"] / row["claims"]))
            for row in facts.training.get("outcomes", ())
        ],
    )
    if metrics["caveat"]:
        yield Paragraph(f"Its figures are {metrics['caveat']}.")


def _features(facts: Facts) -> Iterator[Block]:
    contract, weights = facts.contract, facts.verdict["metrics"].get("importance") or {}
    known = contract.known

    def row(feature: Feature) -> tuple[str, ...]:
        column = known.get(feature.sources[0])
        sensitive = any(source in contract.roles.sensitive for source in feature.sources)
        meaning = column.meaning if column else ""
        return feature.name, _number(weights.get(feature.name)), meaning or UNTOLD, "yes" if sensitive else ""

    yield Heading("Features")
    ordered = sorted(facts.features, key=lambda feature: -(weights.get(feature.name) or 0.0))
    yield from _table(
        "What the model looks at; the weight is the mean of |share in the log odds| over the judged claims",
        ("feature", "weight", "meaning", "sensitive"),
        [row(feature) for feature in ordered],
    )
    allowed = contract.features.allow
    yield from _table(
        "Columns with something against them",
        ("column", "suspicion", "evidence", "decision"),
        [
            (
                finding["column"],
                "leak" if finding["kind"] == "leak" else "tells the date",
                finding["evidence"],
                f"let in: {allowed[finding['column']]}" if finding["column"] in allowed else "left out",
            )
            for finding in facts.training["findings"]
        ],
    )
    if screened := facts.training.get("screened_out"):
        yield Paragraph(f"Left out, since by themselves they rank claims no better than chance: {_some(screened)}.")


def _choice(facts: Facts) -> Iterator[Block]:
    trials, chosen = facts.training.get("trials", ()), facts.training.get("chosen")
    yield Heading("Choice")
    yield from _table(
        "Candidates, the simplest first, by mean average precision over folds of the training claims",
        ("candidate", "mean", "chosen"),
        [
            (trial["name"].replace("_", " "), _number(trial["mean"]), "chosen" if place == chosen else "")
            for place, trial in enumerate(trials)
        ],
    )


def _figures(facts: Facts) -> Iterator[Block]:
    metrics = facts.verdict["metrics"]
    yield Heading("Figures")
    yield from _table(
        "On the judged claims, with 95 % intervals",
        ("figure", "value", "95 % interval"),
        # Postgres keeps the keys of a document in an order of its own.
        [
            (name.replace("_", " "), *_estimate(metrics["ranking"][name]))
            for name in FIGURES
            if name in metrics["ranking"]
        ],
    )
    if capacity := metrics.get("capacity"):
        unit = getattr(facts.contract.known.get(facts.contract.roles.amount or ""), "unit", "")
        money = {"caught": "amount of the frauds found", "cost": "cost of the reviews", "net": "the one less the other"}
        yield from _table(
            f"At the capacity of review: {_count(capacity['flagged'])} of {_count(capacity['claims'])} flagged",
            ("figure", "value", "95 % interval"),
            [
                *((name, *_estimate(capacity[name])) for name in ("recall", "precision", "lift")),
                *(
                    (f"{said}{', ' + unit if unit else ''}", *_estimate(capacity[name]))
                    for name, said in money.items()
                    if capacity[name]
                ),
            ],
        )
    if calibration := metrics.get("calibration"):
        yield from _table(
            "Calibration by tenth of the ranking",
            ("tenth", "expected fraud rate", "actual", "95 % interval"),
            [
                (
                    str(place),
                    _share(row["expected"]),
                    _share(row["actual"]),
                    f"{_share(row['low'])} to {_share(row['high'])}",
                )
                for place, row in enumerate(calibration["deciles"], 1)
            ],
        )


def _gates(facts: Facts) -> Iterator[Block]:
    yield Heading("Gates")
    yield from _table(
        "What the contract asks",
        ("gate", "value", "asked", "passed"),
        [
            (gate["name"], _number(gate["value"]), f"{gate['asks']} {_number(gate['limit'])}", _yes(gate["passed"]))
            for gate in facts.verdict["gates"]
        ],
    )


def _groups(facts: Facts) -> Iterator[Block]:
    found = facts.verdict["metrics"].get("fairness") or ()
    yield Heading("Bias")
    if not found:
        yield Paragraph("The contract calls no column sensitive, so nothing was watched for bias.")
    for of in found:
        yield from _table(
            f"{of['column']}, by {of['by']}",
            ("group", "claims", "flagged", "frauds", "frauds flagged"),
            [
                (
                    group["name"],
                    _count(group["claims"]),
                    _share(group["flagged_share"]),
                    _count(group["frauds"]),
                    _share(group["recall"]),
                )
                for group in of["groups"]
            ],
        )
        told = (("demographic parity", of["demographic_parity"]), ("equal opportunity", of["equal_opportunity"]))
        yield Points(
            tuple(
                f"Largest difference of {name}: {value} ({interval})"
                if estimate
                else f"{name.capitalize()}: cannot be told"
                for name, estimate in told
                for value, interval in [_estimate(estimate)]
            )
        )
        for measure, key in (("be judged", "few_claims"), ("have their frauds judged", "few_frauds")):
            if of[key]:
                yield Paragraph(f"Groups too small to {measure}: {_some(of[key])}.")


def _errors(facts: Facts) -> Iterator[Block]:
    errors = facts.verdict["metrics"].get("errors") or {"slices": (), "kinds": ()}
    yield Heading("Where it misses")
    if not errors["slices"]:
        yield Paragraph("No kind of claim was found in which it errs more than chance would have it.")
    yield from _table(
        "Slices found on one half of the judged claims, as the other half has them; the intervals hold together",
        ("claims in which", "claims", "frauds", "expected", "missed", "false alarms", "error of the fraud rate"),
        [
            (
                found["words"],
                _count(found["claims"]),
                _count(found["frauds"]),
                _number(found["expected"]),
                _count(found["missed"]),
                _count(found["false_alarms"]),
                " ".join(_estimate(found["error"])),
            )
            for found in errors["slices"]
        ],
    )
    yield from _table(
        "At the threshold of review, by kind of claim",
        ("kind", "claims", "frauds", "missed", "false alarms"),
        [
            (
                f"{kind['column']}: {kind['level']}",
                _count(kind["claims"]),
                _count(kind["found"] + kind["missed"]),
                _count(kind["missed"]),
                _count(kind["false_alarms"]),
            )
            for kind in errors["kinds"]
        ],
    )


def _limits(facts: Facts) -> Iterator[Block]:
    metrics = facts.verdict["metrics"]
    lift = metrics["ranking"].get("lift_top_decile")
    yield Heading("Limits")
    points = [
        "What nobody investigated cannot be judged: where suspicious claims are looked at first, frauds are more "
        "frequent among known outcomes than among all claims, and the probabilities with them.",
        "It has learnt the frauds of its own time. How well it ranks later ones, drift has to watch.",
    ]
    if lift and lift["low"] is not None:
        points.append(
            f"The judged window tells the lift of the top tenth no closer than {_number(lift['low'])} to "
            f"{_number(lift['high'])}."
        )
    if metrics["caveat"]:
        points.append("No column dates the claims, so it was not judged by time.")
    small = [of["column"] for of in metrics.get("fairness") or () if of["few_claims"] or of["few_frauds"]]
    if small:
        points.append(f"Of {_some(small)}, some groups are too small to tell whether they are treated alike.")
    if not facts.contract.roles.sensitive:
        points.append("No column is watched for bias.")
    yield Points(tuple(points))


def _lineage(facts: Facts) -> Iterator[Block]:
    model = facts.model
    yield Heading("Lineage")
    yield from _table(
        "Where it comes from",
        ("what", "identity"),
        [
            ("training claims (snapshot)", model["snapshot"]),
            ("contract (SHA-256)", model["contract_hash"] or UNTOLD),
            ("code (git)", model["git_sha"]),
            ("image", model["image_digest"]),
            ("MLflow run", model["mlflow_run_id"]),
            ("trained as of", _day(model["as_of"])),
            ("judged as of", _day(model["judged_as_of"])),
        ],
    )
    yield Heading("Going back")
    yield Paragraph(
        "Which model is live now, since when, why, and who said so: evaluate --history. Back to the champion before: "
        'evaluate --rollback "why" --actor NAME. Both are recorded for good.'
    )


def _table(caption: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[Block]:
    if rows:
        yield Table(caption, header, tuple(rows[:MOST]))
    if len(rows) > MOST:
        yield Paragraph(f"And {len(rows) - MOST} more.")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _estimate(estimate: Row | None) -> tuple[str, str]:
    if estimate is None:
        return UNTOLD, UNTOLD
    return _number(estimate["value"]), f"{_number(estimate['low'])} to {_number(estimate['high'])}"


def _number(value: float | None) -> str:
    if value is None:
        return UNTOLD
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(value: float | None) -> str:
    return UNTOLD if value is None else f"{100 * value:.3g} %"


def _count(value: float | None) -> str:
    return UNTOLD if value is None else f"{value:,.0f}"


def _day(moment: datetime | None) -> str:
    return UNTOLD if moment is None else moment.date().isoformat()


def _yes(passed: bool) -> str:
    return "yes" if passed else "no"
