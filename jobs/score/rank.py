"""Decide how unusual claims are, and why; for lines of business that know no outcome."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from shared.anomaly import Anomaly
from shared.contract import Contract
from shared.reasons import REASONS, said
from shared.unscorable import unscorable
from shared.words import Value, Words, share, words_of


def rank(claims: pl.DataFrame, model: Anomaly, contract: Contract) -> pl.DataFrame:
    """Rank claims by how unusual they are.

    Parameters
    ----------
    claims : polars.DataFrame
        ``claim_id`` and the model's source columns.
    contract : Contract
        What columns mean.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``score`` (in nats; 0 is an average claim's), ``rank_share`` (share of the model's own claims that
        are at least as unusual) and ``reasons`` (JSON: at most three objects, the strongest first, with ``feature``,
        ``value``, null where unknown, ``group``, the values that count as alike, ``share``, that of the model's claims
        in the group, ``surprisal`` and ``text``, a sentence that says so; value and group of a sensitive column are
        null) and ``unscorable`` (why a claim has no score; null where it has one). Rows as they came.
    """
    known = model.known(claims)
    codes = model.codes(known)
    contributions = model.contributions(codes)
    score = contributions.sum(axis=1)
    strongest = np.argsort(-contributions, axis=1, kind="stable")[:, :REASONS]
    labels = [[column.bins.label(code) for code in range(column.bins.size)] for column in model.profile.columns]
    shares = [parts.tolist() for parts in model.shares]
    words = [words_of(feature, contract) for feature in model.features]
    codes_of = codes.tolist()  # numpy's own numbers are slow one by one
    reasons = []
    for claim, (row, places) in enumerate(zip(known.iter_rows(), strongest.tolist(), strict=True)):
        told = []
        for place in places:
            surprisal, code = float(contributions[claim, place]), codes_of[claim][place]
            if surprisal <= 0:
                break
            value = said(model.features[place], row[place])
            group = value if model.features[place].kind == "ordered" else labels[place][code]
            told.append(_reason(known.columns[place], words[place], value, group, shares[place][code], surprisal))
        reasons.append(json.dumps(told))
    return pl.DataFrame(
        {
            "claim_id": claims["claim_id"],
            "score": score,
            "rank_share": model.rank_share(score),
            "reasons": pl.Series(reasons, dtype=pl.String),
            "unscorable": unscorable(known, score),
        }
    )


def _reason(
    feature: str, words: Words, value: Value, group: Value, part: float, surprisal: float
) -> dict[str, float | str | None]:
    if words.hidden:
        value = group = None
        text = f"{words.subject} is unusual; its value is not shown, as it is watched for bias."
    else:
        alike = "" if value is None or group == value or words.compared is None else f" ({group})"
        text = f"{words.says(value)}{alike}, as in {f'{share(part)} of all claims' if part else 'no claim before'}."
    return {
        "feature": feature,
        "value": value,
        "group": group,
        "share": round(part, 6),
        "surprisal": round(surprisal, 4),
        "text": text,
    }
