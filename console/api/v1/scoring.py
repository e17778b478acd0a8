"""Decide about single claims as the batch does: whether they keep the contract, how probable fraud is, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from shared.champion import Champion
from shared.clean import clean_claims, keys
from shared.contract import Contract
from shared.contract_parts import POLARS_DTYPES, DType
from shared.json_cells import Row
from shared.model import Model
from shared.past import entities, past_of, usual_amount
from shared.pseudonyms import Pseudonyms
from shared.reasons import Explainer
from shared.unscorable import unscorable
from shared.usual import Usual

Fault = dict[str, str]
Past = Sequence[float | None]


@dataclass(frozen=True)
class Live:
    """The champion, read and ready."""

    champion: Champion
    model: Model
    explainer: Explainer


@dataclass(frozen=True)
class Checked:
    """Claims told apart.

    Attributes
    ----------
    claims : polars.DataFrame
        Those that keep the contract, as :func:`shared.clean.clean_claims` gives them; ``file_line`` is a claim's place.
    faults : mapping of int to list
        By the place of any other: ``field``, the sender's header, and ``message``, of each mistake.
    """

    claims: pl.DataFrame
    faults: Mapping[int, list[Fault]]


@dataclass(frozen=True)
class Score:
    """What the champion says of a claim; ``unscorable`` says why it says nothing."""

    claim_id: str
    fraud_probability: float
    flagged: bool
    reasons: list[dict[str, Any]]
    unscorable: str | None


def reference_keys(
    rows: Sequence[Row], contract: Contract, table: str, pseudonyms: Pseudonyms | None
) -> dict[str, str]:
    """Keys by which claims are joined to a reference table, as the claims have them, by how the table has them."""
    asked = keys(rows, contract, table)
    stored = pseudonyms.of(asked) if pseudonyms and contract.reference[table].key in contract.personal else asked
    return dict(zip(stored.to_list(), asked.to_list(), strict=True))


def reference_rows(
    rows: Sequence[Mapping[str, Any]], contract: Contract, table: str, asked: dict[str, str]
) -> pl.DataFrame:
    """Lay out what a reference table tells: ``key``, as claims have it, and its columns."""
    dtypes = {name: contract.dtype(name) for name in contract.reference[table].columns}
    return stored_rows([{**row, "key": asked[row["key"]]} for row in rows], {"key": "text", **dtypes})


def stored_rows(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, DType]) -> pl.DataFrame:
    """Lay out rows of a table that Postgres wrote as JSON."""
    timed = {name: dtype for name, dtype in dtypes.items() if dtype in ("date", "datetime")}
    frame = pl.DataFrame(
        {name: [row[name] for row in rows] for name in dtypes},
        schema={name: pl.String() if name in timed else POLARS_DTYPES[dtype] for name, dtype in dtypes.items()},
    )
    return frame.with_columns(
        pl.col(name).str.to_date("%Y-%m-%d")
        if dtype == "date"
        else pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
        for name, dtype in timed.items()
    )


def check(
    rows: Sequence[Row],
    contract: Contract,
    pseudonyms: Pseudonyms | None,
    tables: Mapping[str, pl.DataFrame],
    moment: datetime,
) -> Checked:
    """Hold claims to the contract, each by itself: two may have one id."""
    places = pl.Series("file_line", range(len(rows)))
    cleaned = clean_claims(places, rows, contract, pseudonyms, tables, moment)
    faults = dict[int, list[Fault]]()
    for place, name, reason in cleaned.faults():
        faults.setdefault(place, []).append({"field": contract.sources.get(name, name), "message": reason})
    return Checked(cleaned.good, faults)


def asked(
    claims: pl.DataFrame, contract: Contract, usual: Usual, days: Sequence[date] | None = None
) -> list[dict[str, Any]]:
    """Say what ``past_of_claims`` of :mod:`shared.lookup` is to look up.

    Parameters
    ----------
    days : sequence of date, optional
        Before which each claim's past is looked at, where that is not its event's day.
    """
    roles, names = contract.roles, entities(contract)
    kind = roles.kind if usual_amount(contract) else None
    found = []
    for place, claim in enumerate(claims.iter_rows(named=True)):
        day = days[place] if days is not None else claim["event_time"].date()
        found.append(
            {
                "place": place,
                "claim_id": claim["claim_id"],
                "event_time": claim["event_time"].isoformat(),
                "claimant": claim[roles.claimant] if roles.claimant else None,
                **{f"e{number}": claim[name] for number, name in enumerate(names)},
                **usual.before(day, None if kind is None or claim[kind] is None else str(claim[kind])),
            }
        )
    return found


def score(claims: pl.DataFrame, past: Sequence[Past], live: Live, contract: Contract) -> list[Score]:
    """Score claims that keep the contract.

    Parameters
    ----------
    past : sequence of sequence of float
        Of each claim, the columns of :func:`shared.past.past_of`.

    Raises
    ------
    ModelError
        The champion looks at what the contract lacks.
    """
    names = past_of(contract)
    told = pl.DataFrame([dict(zip(names, row, strict=True)) for row in past], dict.fromkeys(names, pl.Float64()))
    known = live.model.known(claims.hstack(told))
    probability, contributions = live.model.explained(known)
    why = unscorable(known, probability)
    reasons = live.explainer.explain(claims, known, contributions)
    return [
        Score(claim_id, value, value >= live.champion.threshold, json.loads(words), lacks)
        for claim_id, value, words, lacks in zip(claims["claim_id"], probability.tolist(), reasons, why, strict=True)
    ]


def warm(live: Live, contract: Contract) -> None:
    """Score one claim of which nothing is known, to find out whether a model can be used at all.

    Raises
    ------
    ModelError
        It cannot.
    """
    dtypes: dict[str, DType] = {"claim_id": "text", "event_time": "datetime", **contract.stored}
    schema = {name: POLARS_DTYPES[dtype] for name, dtype in dtypes.items()}
    blank = pl.DataFrame({name: [None] for name in schema}, schema=schema)
    score(blank, [[None] * len(past_of(contract))], live, contract)
