"""What is missed and what is flagged in vain, by kind of claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from jobs.evaluate.groups import Flags, Groups
from shared.associations import dependence
from shared.features import Feature, Floats

BANDS = 5
LEVELS = range(2, 13)
"""How many levels a category may have to be told by."""
MOST_COLUMNS = 8


@dataclass(frozen=True)
class Kind:
    """The judged claims of one level of a column, or one band of the amount, at the threshold of review.

    Attributes
    ----------
    found, missed : int
        Frauds that are flagged, and those that are not.
    false_alarms : int
        Flagged claims that are no fraud.
    """

    column: str
    level: str
    claims: int
    found: int
    missed: int
    false_alarms: int


def kinds(
    columns: pl.DataFrame, features: Sequence[Feature], y: Floats, flagged: Flags, first: Sequence[str] = ()
) -> list[Kind]:
    """Count by each category of few levels, and by the amount in bands.

    Parameters
    ----------
    columns : polars.DataFrame
        What claims are told apart by, as :func:`jobs.evaluate.groups.in_words` gives it.
    y, flagged : arrays of shape (n,)
        1 for fraud; whether the claim is flagged for review.
    first : sequence of str
        Columns that are told in any case, in this order, numbers in bands; of the others those by which the errors
        differ the most.
    """
    wrong = (y != flagged).astype(float)
    told = {
        feature.name: Groups.of(feature, columns[feature.name], BANDS)
        for feature in features
        if feature.kind == "category" or feature.name in first
    }
    few = [name for name, groups in told.items() if name not in first and groups.occurring.size in LEVELS]
    few.sort(key=lambda name: dependence(told[name].codes, wrong).p_value)
    chosen = ([name for name in first if name in told] + few)[:MOST_COLUMNS]
    return [_count(told[name], code, y, flagged) for name in chosen for code in told[name].occurring[: LEVELS.stop]]


def _count(groups: Groups, code: np.int32, y: Floats, flagged: Flags) -> Kind:
    here = groups.codes == code
    fraud, alarm = y[here] == 1, flagged[here]
    return Kind(
        groups.feature.name,
        groups.told(np.arange(groups.bins.size) == code),
        int(here.sum()),
        int((fraud & alarm).sum()),
        int((fraud & ~alarm).sum()),
        int((~fraud & alarm).sum()),
    )
