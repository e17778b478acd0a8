"""Columns that must not be learnt from: those that name a claim, tell its date, or know the outcome too well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from jobs.train.folds import Fold, forward_auc
from shared.contract import Contract
from shared.features import Bins, Codes, Feature, Floats
from shared.metrics import wilson
from shared.past import past_of, usual_amount

IDENTIFIER_SHARE = 0.9
"""Different values a claim from which a category names claims rather than groups them."""
WHOLE_NUMBER_IDENTIFIER_SHARE = 0.99
"""The same for whole numbers without a unit, since amounts differ much too."""
IDENTIFIER_CLAIMS = 50
LEAK_AUC = 0.85
"""No column of the claims studied here reaches it forward in time: at most 0.69 (vehicle) and 0.75 (auto)."""
PURE_LEVEL_CLAIMS = 15
PURE_LEVEL_SHARE = 0.1
PURE_LEVEL_RATE = 0.5
PURE_LEVEL_LIFT = 2.0
PURE_FREQUENT_RATE = 0.9
PURE_LEVEL_Z = 2.58
"""A level is suspect if it is 99 % surely twice as often fraud as usual, and more than half fraud if it is rare, or
more than 90 % if it is not: so looks a code that was entered after an investigation; a sign that an investigator would
know is either less pure or less rare."""
TIME_BOUND_ENTROPY = 0.15
TIME_BINS = 12
TIME_BLOCK = 50
TIME_SHUFFLES = 3
TIME_SHUFFLES_MORE = 100
TIME_Z = 5.0
"""Of the vehicle claims' columns the calendar ones reach 0.22 to 1.0, the next 0.03; without the former a model of 1994
holds in 1995. In a small book, or of a rare level, chance alone often explains as much: so the day must explain
more than of any of 100 shuffled columns, by five standard deviations."""
WEEKDAY_BLOCK = 28
"""Days of a block within which weekdays have to vary: where dates are firsts of a month, no two differ in one."""


_Level = tuple[str, int, int]
"""Its name, its claims and its frauds."""


@dataclass(frozen=True)
class Finding:
    """What speaks against a column, so that train leaves it out with all that is made of it.

    Attributes
    ----------
    column : str
        The column; where none alone is to blame, the feature that several make, which alone is then left out.
    """

    column: str
    kind: Literal["leak", "time"]
    evidence: str


def suspected_leaks(
    claims: pl.DataFrame,
    features: Sequence[Feature],
    known: pl.DataFrame,
    y: Floats,
    folds: Sequence[Fold],
    contract: Contract,
) -> list[Finding]:
    """Find columns that identify claims, or tell the label better than a real feature plausibly can.

    Parameters
    ----------
    claims : polars.DataFrame
        Training claims by event time; every stored column.
    features, known : sequence of Feature, polars.DataFrame
        The features on offer and their values.
    y : array of shape (n,)
        1 for fraud.

    Returns
    -------
    list of Finding
        In the contract's order, those the contract lets in among them.
    """
    findings, past = identifiers(claims, features, contract), past_of(contract)
    for feature in features:
        # What stood before the claim cannot know its outcome better than it may; what divides an amount by it can.
        if feature.sources[0] in past or barred(feature, findings):
            continue
        if evidence := _tells_label(feature, known[feature.name], y, folds):
            findings.append(Finding(_to_blame(feature, contract), "leak", evidence))
    return findings


def identifiers(claims: pl.DataFrame, features: Sequence[Feature], contract: Contract) -> list[Finding]:
    """Find columns of features that name claims rather than describe them, in the contract's order."""
    offered = {source for feature in features for source in feature.sources}
    return [finding for name in contract.stored if name in offered and (finding := _identifier(name, claims, contract))]


def barred(feature: Feature, findings: Iterable[Finding]) -> bool:
    """Whether a feature, or a column that it is made from, is among the findings."""
    return not {feature.name, *feature.sources}.isdisjoint(finding.column for finding in findings)


def time_bound(
    features: Sequence[Feature], known: pl.DataFrame, days: Codes, contract: Contract, seed: int
) -> list[Finding]:
    """Find columns that tell when a claim happened, such as a month or a running number.

    What they say of fraud in the past is the past's own level of fraud, which does not come again; on shuffled rows
    they look good. As a book begins no amount is usual yet; so amounts against the usual, which vary all the same later
    on, are looked at in the later half of the claims alone. A count that is full from then on tells of the begin alone.
    The day tells each weekday, which comes again; so it is looked at by four weeks.

    Parameters
    ----------
    days : array of shape (n,)
        Day of the event, ascending.

    Notes
    -----
    The evidence is the share of the column's entropy (in bins) that the day explains, beyond what it explains of
    the shuffled column: ``(f - f0) / (1 - f0)`` with ``f = I(column; day) / H(column)``; the larger of that by day and
    by blocks of at least 50 claims. T. M. Cover and J. A. Thomas, Elements of Information Theory, 2006, chapter 2, for
    the quantities.
    """
    random = np.random.default_rng(seed)
    half, usual = days.size // 2, usual_amount(contract)
    clocks, later, weeks = _clocks(days), _clocks(days[half:]), [((days - days.min(initial=0)) // WEEKDAY_BLOCK)]
    findings = list[Finding]()
    for feature in features:
        if barred(feature, findings):
            continue
        relative = usual in feature.sources
        column = known[feature.name][half if relative else 0 :]
        codes = Bins.of(feature, column, TIME_BINS).codes(column)
        by = weeks if feature.recurs else later if relative else clocks
        explained = max(_explained(codes, clock, random) for clock in by)
        if explained >= TIME_BOUND_ENTROPY:
            evidence = f"tells the date: it explains {explained:.0%} of what the column says"
            blamed = feature.name if feature.recurs else _to_blame(feature, contract)
            findings.append(Finding(blamed, "time", evidence))
    return findings


def _to_blame(feature: Feature, contract: Contract) -> str:
    """The one column that a feature is made from, beside the event's date; else the feature."""
    columns = [source for source in feature.sources if source != contract.roles.event_time]
    return columns[0] if len(columns) == 1 else feature.name


def _identifier(name: str, claims: pl.DataFrame, contract: Contract) -> Finding | None:
    dtype = contract.dtype(name)
    known = claims[name].drop_nulls()
    if dtype not in ("category", "text", "integer") or known.len() < IDENTIFIER_CLAIMS:
        return None
    if dtype == "integer" and contract.known[name].unit:
        return None
    distinct = known.n_unique()
    share = WHOLE_NUMBER_IDENTIFIER_SHARE if dtype == "integer" else IDENTIFIER_SHARE
    if distinct < share * known.len():
        return None
    return Finding(name, "leak", f"an identifier: {distinct:,} different values in {known.len():,} claims")


def _tells_label(feature: Feature, column: pl.Series, y: Floats, folds: Sequence[Fold]) -> str | None:
    auc = forward_auc(feature, column, y, folds)
    if auc >= LEAK_AUC:
        return (
            f"tells the label by itself: AUC {auc:.2f} on claims it did not learn from, where {LEAK_AUC} is implausible"
        )
    suspect = _mostly_fraud(_by_bin(feature, column, y), y)
    if feature.kind == "number" and not suspect:
        suspect = _mostly_fraud(_by_value(column, y), y)
    if suspect:
        return f"levels that are mostly fraud, where {y.mean():.0%} is usual: {', '.join(suspect)}"
    return None


def _by_bin(feature: Feature, column: pl.Series, y: Floats) -> Iterator[_Level]:
    bins = Bins.of(feature, column, TIME_BINS)
    codes = bins.codes(column)
    claims = np.bincount(codes, minlength=bins.size)
    frauds = np.bincount(codes, weights=y, minlength=bins.size)
    for code in np.flatnonzero(claims):
        yield bins.label(int(code)), int(claims[code]), int(frauds[code])


def _by_value(column: pl.Series, y: Floats) -> Iterator[_Level]:
    """Tell of each number by itself, such as an amount of 0, which shares its bin with honest ones."""
    claims = pl.DataFrame({"value": column, "fraud": y}).drop_nulls()
    levels = claims.group_by("value").agg(pl.len(), pl.col("fraud").sum()).sort("value")
    for value, many, frauds in levels.filter(pl.col("len") >= PURE_LEVEL_CLAIMS).iter_rows():
        yield f"{value:g}", many, int(frauds)


def _mostly_fraud(levels: Iterable[_Level], y: Floats) -> list[str]:
    suspect = []
    for label, claims, frauds in levels:
        low, _ = wilson(frauds, claims, PURE_LEVEL_Z)
        rate = PURE_LEVEL_RATE if claims <= PURE_LEVEL_SHARE * y.size else PURE_FREQUENT_RATE
        if claims >= PURE_LEVEL_CLAIMS and low >= max(rate, PURE_LEVEL_LIFT * y.mean()):
            suspect.append(f"{label} ({frauds} of {claims})")
    return suspect


def _clocks(days: Codes) -> list[Codes]:
    """Each claim's day, and its block of claims."""
    first = np.searchsorted(days, days, side="left")
    return [clock.astype(np.int32) for clock in (np.unique(days, return_inverse=True)[1], first // TIME_BLOCK)]


def _explained(codes: Codes, clock: Codes, random: np.random.Generator) -> float:
    entropy, shared = _entropy(codes), _shared(codes, clock)
    if entropy < 1e-9:
        return 0.0

    def by_chance(shuffles: int) -> Floats:
        return np.array([_shared(random.permutation(codes), clock) for _ in range(shuffles)])

    chance = float(by_chance(TIME_SHUFFLES).mean()) / entropy
    # Where nearly each claim has its own day, the day explains all by chance and can tell nothing.
    if chance >= 0.9:
        return 0.0
    explained = (shared / entropy - chance) / (1 - chance)
    if explained >= TIME_BOUND_ENTROPY:
        drawn = by_chance(TIME_SHUFFLES_MORE)
        if shared <= max(drawn.max(), drawn.mean() + TIME_Z * drawn.std()):
            return 0.0
    return explained


def _shared(codes: Codes, clock: Codes) -> float:
    return _entropy(codes) + _entropy(clock) - _entropy(codes.astype(np.int64) * (int(clock.max()) + 1) + clock)


def _entropy(codes: Codes) -> float:
    # Counting is ten times as fast as sorting, unless there are many more codes than claims.
    few = int(codes.max(initial=0)) < 32 * codes.size
    counts = np.bincount(codes) if few else np.unique(codes, return_counts=True)[1]
    shares = counts[counts > 0] / codes.size
    return float(-(shares * np.log(shares)).sum())
