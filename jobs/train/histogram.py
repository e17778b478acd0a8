"""Learn what claims usually look like, where no outcome is known to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from jobs.train.leaks import Finding, barred, identifiers
from shared.anomaly import Anomaly
from shared.contract import Contract
from shared.features import features_of, values


@dataclass(frozen=True)
class Histograms:
    """What claims usually look like.

    Attributes
    ----------
    left_out : tuple of Finding
        Columns that name claims.
    constant : tuple of str
        Features that say the same of every claim.
    """

    model: Anomaly
    left_out: tuple[Finding, ...]
    constant: tuple[str, ...]


def histograms(claims: pl.DataFrame, contract: Contract) -> Histograms | str:
    """Make a histogram of every feature that tells claims apart.

    Parameters
    ----------
    claims : polars.DataFrame
        Every stored column.

    Returns
    -------
    Histograms or str
        A sentence where there is nothing to tell claims apart by.
    """
    if claims.is_empty():
        return "no claim is loaded yet; load some"
    features = features_of(contract)
    findings = identifiers(claims, features, contract)
    left_out = [finding for finding in findings if finding.column not in contract.features.allow]
    features = [feature for feature in features if not barred(feature, left_out)]
    known = values(claims, features)
    telling = [feature for feature in features if known[feature.name].n_unique() > 1]
    if not telling:
        return (
            "no column is left to tell claims apart by: all are identifiers, constant or left out by the contract; "
            "name more columns in it"
        )
    constant = tuple(feature.name for feature in features if feature not in telling)
    return Histograms(Anomaly.of(known, telling), tuple(left_out), constant)
