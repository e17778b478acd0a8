"""Look at a trial: gather what both arms have come to, and tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.evaluate.evidence import Unlearnt
from shared.challenger import Contender, contender
from shared.champion import Champion, champion
from shared.database import quoted
from shared.draws import DRAWS, SPLIT_DRAW
from shared.job import Job

if TYPE_CHECKING:
    from jobs.evaluate.arms import Comparison, Tally

MOST_TIMES = 100
"""A ratio beyond which one is as good as infinite."""
OPENED = """
SELECT min(q.scored_as_of) AS moment FROM predictions q JOIN predictions d USING (claim_id)
WHERE q.variant = 'champion' AND q.model_version = %(champion)s AND q.arm = 'challenger'
AND q.scored_as_of BETWEEN %(refused)s AND %(as_of)s AND d.variant = 'challenger' AND d.model_version = %(challenger)s
AND d.run_id >= q.run_id
"""
"""When the challenger decided for the first time: from then on both arms were drawn from the same claims. What it had
scored before the champion did was not drawn: it stayed where it was."""
TALLIES = """
SELECT arm, count(*) AS claims, count(DISTINCT unit) AS claimants,
       count(*) FILTER (WHERE reviewed) AS reviewed, count(DISTINCT unit) FILTER (WHERE reviewed) AS claimants_reviewed,
       count(*) FILTER (WHERE found) AS frauds, count(DISTINCT unit) FILTER (WHERE found) AS claimants_found,
       coalesce(sum(amount) FILTER (WHERE found), 0)::float8 AS caught
FROM (SELECT q.arm, {unit} AS unit, {amount} AS amount, d.flagged AND o.claim_id IS NOT NULL AS reviewed,
             d.flagged AND coalesce(o.is_fraud, false) AS found
      FROM predictions q
      JOIN predictions d ON d.claim_id = q.claim_id AND d.variant = q.arm AND d.scored_as_of <= %(as_of)s
           AND d.model_version = CASE q.arm WHEN 'champion' THEN %(champion)s ELSE %(challenger)s END
      JOIN claims_as_of(%(as_of)s) c ON c.claim_id = q.claim_id
      LEFT JOIN outcomes_as_of(%(as_of)s) o ON o.claim_id = q.claim_id
      WHERE q.variant = 'champion' AND q.model_version = %(champion)s
      AND q.scored_as_of BETWEEN %(opened)s AND %(as_of)s
      AND NOT EXISTS (SELECT FROM predictions e WHERE e.claim_id = q.claim_id AND e.run_id < q.run_id)
      AND NOT EXISTS (SELECT FROM decided_as_of(q.scored_as_of) e WHERE e.claim_id = q.claim_id)) decided
GROUP BY arm
"""
"""What each arm has come to, of the claims that were open when they were scored, by the row that decides about them.
Those that a run before had scored, for another champion, are in neither: some were not drawn, and which follows from
what the contender had scored by then. Whether a claim is new depends on neither draw nor outcome."""
SHADOWS = f"""
SELECT o.is_fraud, q.fraud_probability AS champion, d.fraud_probability AS challenger
FROM predictions q JOIN predictions d USING (claim_id) JOIN claims_as_of(%(as_of)s) c USING (claim_id)
JOIN outcomes_as_of(%(as_of)s) o USING (claim_id)
WHERE q.variant = 'champion' AND q.model_version = %(champion)s AND q.scored_as_of <= %(as_of)s
AND d.variant = 'challenger' AND d.model_version = %(challenger)s AND d.scored_as_of <= %(as_of)s
AND (%(after)s::timestamptz IS NULL OR c.event_time > %(after)s) AND {SPLIT_DRAW} < %(below)s
"""
"""What both models said of the claims that neither learnt from and whose outcome is known."""


def ab(job: Job, _: str) -> str:
    """Print what the arms of the trial show, and what both models make of the same claims; say whether to go on."""
    standing = champion(job.database, job.as_of)
    beside = contender(job.database, standing, job.as_of) if standing else None
    if standing is None or beside is None:
        return "no trial: there is no champion yet" if standing is None else "no trial: no challenger was refused since"
    if (shadow := _shadow(job, standing, beside)) is not None:
        print(shadow)
    named = f"model {beside.version}"
    if not beside.harmless:
        return f"no trial: {named} was refused for harm that it would do, so it decides about no claim"
    if not job.contract.challenger.share:
        return f"no trial: the contract's challenger.share is 0, so {named} decides about no claim"
    tallies = _tallies(job, standing, beside)
    if tallies is None:
        return f"no trial yet: {named} has decided about no claim; score will give it its share of the new ones"
    from jobs.evaluate.arms import compare

    settings = job.contract.challenger
    found = compare(*tallies, settings.share, settings.margin)
    told = _told(found, standing, beside, settings.margin)
    print(_table(job, standing, beside, tallies), told, sep="\n")
    return told


def _tallies(job: Job, standing: Champion, beside: Contender) -> tuple[Tally, Tally] | None:
    """What the champion's arm and the challenger's have come to; None before the first claim."""
    from jobs.evaluate.arms import Tally

    values: dict[str, Any] = {
        **{"as_of": job.as_of, "refused": beside.refused_at},
        **{"champion": standing.version, "challenger": beside.version},
    }
    opened = job.database.rows(OPENED, values)[0]["moment"]
    if opened is None:
        return None
    roles = job.contract.roles
    unit = f"coalesce(c.{quoted(roles.claimant)}, c.claim_id)" if roles.claimant else "c.claim_id"
    query = TALLIES.format(unit=unit, amount=f"c.{quoted(roles.amount)}" if roles.amount else "NULL::float8")
    found = {row.pop("arm"): row for row in job.database.rows(query, values | {"opened": opened})}
    if not roles.amount:
        found = {arm: row | {"caught": None} for arm, row in found.items()}
    return Tally(**found.get("champion", {})), Tally(**found.get("challenger", {}))


def _shadow(job: Job, standing: Champion, beside: Contender) -> str | None:
    """Both models' average precision on the same claims; None where no fraud is known among them."""
    unlearnt = Unlearnt.of(beside, standing)
    frame = job.database.frame(
        SHADOWS,
        {"is_fraud": "boolean", "champion": "number", "challenger": "number"},
        {
            **{"as_of": job.as_of, "after": unlearnt.after, "below": (unlearnt.below or 1.0) * DRAWS},
            **{"champion": standing.version, "challenger": beside.version},
        },
    )
    if not frame["is_fraud"].any():
        return None
    from shared.metrics import average_precision, paired_difference

    y, ours, theirs = (frame[name].cast(float).to_numpy() for name in ("is_fraud", "challenger", "champion"))
    difference = paired_difference(y, ours, theirs)
    return (
        f"Side by side on {len(y):,} claims that neither learnt from, {int(y.sum()):,} frauds: average "
        f"precision {average_precision(y, ours):.3f} of model {beside.version}, {average_precision(y, theirs):.3f} of "
        f"the champion, model {standing.version}; the difference is {difference.value:+.3f} ({difference.low:+.3f} to "
        f"{difference.high:+.3f} with 95 %, for one look). Outcomes known of claims that the champion flagged favour "
        "it."
    )


def _table(job: Job, standing: Champion, beside: Contender, tallies: tuple[Tally, Tally]) -> str:
    """The two arms, one a line."""
    cost, unit = job.contract.review.cost, ""
    if job.contract.roles.amount:
        unit = job.contract.known[job.contract.roles.amount].unit
    head = ["arm", "claims", "reviewed", "frauds found", "precision", "found of 1,000", f"net {unit}".strip()]
    rows = [head]
    for arm, version, tally in zip(
        ("champion", "challenger"), (standing.version, beside.version), tallies, strict=True
    ):
        net = tally.net(cost)
        rows.append(
            [
                f"{arm}, model {version}",
                *(f"{number:,}" for number in (tally.claims, tally.reviewed, tally.frauds)),
                f"{tally.precision:.3f}" if tally.reviewed else "-",
                f"{tally.found_per_thousand:.2f}" if tally.claims else "-",
                "-" if net is None else f"{net:,.0f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def _told(found: Comparison, standing: Champion, beside: Contender, margin: float) -> str:
    """The verdict in words."""
    ours = f"the challenger, model {beside.version}"
    times = f"{_between(found.low, found.high)} as many, whenever one looks"
    more = ""
    if found.reviews_low > 1:
        more = f"; but {_between(found.reviews_low, found.reviews_high)} as many claimants were reviewed for it"
    match found.verdict:
        case "unbalanced":
            return (
                "nothing can be said: the arms do not hold the contract's challenger.share; was it changed during the "
                "trial, or the challenger unreadable? Begin anew with the next challenger"
            )
        case "challenger":
            return (
                f"stop: {ours}, finds more frauds ({times}{more}); promote it with "
                f"`evaluate --override REASON --actor NAME --model {beside.version}`"
            )
        case "champion":
            return f"stop: the champion, model {standing.version}, is better; {ours}, finds fewer frauds ({times})"
        case "alike":
            worth = f"worth more than the contract's margin of {margin:.0%}"
            return f"stop: there is no difference {worth}; {ours}, finds {times}{more}"
    if found.outcomes is None:
        return f"go on: too few frauds were found to tell; {ours}, finds {times}"
    return f"go on, for roughly {found.outcomes:,} more outcomes of flagged claims; {ours}, finds {times}{more}"


def _between(low: float, high: float) -> str:
    """An interval of ratios in words.

    >>> _between(0.5, 2.0), _between(3.0, float("inf")), _between(0.0, 0.5), _between(0.0, float("inf"))
    ('0.50 to 2.00 times', 'at least 3.00 times', 'at most 0.50 times', 'any number of times')
    """
    if high > MOST_TIMES:
        return f"at least {low:.2f} times" if low >= 1 / MOST_TIMES else "any number of times"
    return f"{low:.2f} to {high:.2f} times" if low >= 1 / MOST_TIMES else f"at most {high:.2f} times"
