"""The worklist as a frame: which alerts a filter lets through, in which order, and how many there are of each sort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import and_
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from shared.contract_parts import DType

ALERTS: Mapping[str, DType] = {
    "week": "date",
    "rank": "integer",
    "claim_id": "text",
    "kind": "text",
    "probability": "number",
    "amount": "number",
    "expected_loss": "number",
    "flagged": "boolean",
    "audited": "boolean",
    "model_version": "integer",
}
"""Columns of an alert; `expected_loss` is probability times amount, null where the amount is."""
CASES: Mapping[str, DType] = {
    "claim_id": "text",
    "assigned_to": "text",
    "snoozed_until": "datetime",
    "escalated": "boolean",
    "held_by": "text",
    "held_until": "datetime",
    "decided": "boolean",
}
"""Columns of what became of a case, in force now; persons by their logins."""

Sample = Literal["flagged", "audited"]
State = Literal["open", "mine", "others", "assigned", "escalated", "snoozed"]
SAMPLES: tuple[Sample, ...] = ("flagged", "audited")
STATES: tuple[State, ...] = ("open", "mine", "others", "assigned", "escalated", "snoozed")
Sort = Literal["expected_loss", "probability", "amount", "week"]
ORDERS: Mapping[Sort, tuple[str, ...]] = {
    "expected_loss": ("expected_loss", "probability"),
    "probability": ("probability", "expected_loss"),
    "amount": ("amount", "probability"),
    "week": ("week",),
}
"""Columns by which alerts are ordered, the greatest first; alike ones by week, the latest first, and rank in it."""


Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""What Postgres takes as text."""


class Filter(BaseModel):
    """Which alerts somebody wants to see.

    Attributes
    ----------
    state : str
        ``open``: free for whoever asks, so neither held, asleep, passed on nor assigned to somebody else; ``mine`` and
        ``others``: held by who asks, or by somebody else; ``assigned``: to who asks.
    search : str
        Part of a claim's id; case does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    week: date | None = None
    kind: Annotated[Text, Field(max_length=200)] | None = None
    sample: Sample | None = None
    state: State | None = None
    min_amount: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    min_probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    search: Annotated[Text, Field(max_length=100)] | None = None


@dataclass(frozen=True)
class View:
    """What a filter shows.

    Attributes
    ----------
    places : polars.Series
        Where the alerts stand in the frame, in order.
    amount, expected_loss : float
        Sums over them, in the amounts' unit.
    facets : mapping
        By ``week``, ``kind``, ``sample`` and ``state``: how many alerts each value would show, all else of the filter
        being as it is.
    """

    places: pl.Series
    amount: float
    expected_loss: float
    facets: Mapping[str, list[dict[str, Any]]]


def arranged(alerts: pl.DataFrame) -> pl.DataFrame:
    """Find the place of each alert in each order, in columns of their names with ``by_`` before."""
    alerts = alerts.sort("week", "rank", "claim_id", descending=[True, False, False], nulls_last=True)
    return alerts.with_columns(
        pl.arg_sort_by(*columns, descending=True, nulls_last=True, maintain_order=True).arg_sort().alias(f"by_{sort}")
        for sort, columns in ORDERS.items()
    )


def joined(alerts: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """Put what became of the cases beside the alerts; those that were decided meanwhile go."""
    beside = alerts.join(cases, on="claim_id", how="left", maintain_order="left")
    filled = beside.with_columns(pl.col("escalated", "decided").fill_null(value=False))
    return filled.filter(~pl.col("decided")).drop("decided")


def in_state(login: str) -> dict[State, pl.Expr]:
    """Tell for each state whether an alert is in it, for somebody; it may be in several."""
    held, asleep = pl.col("held_by").is_not_null(), pl.col("snoozed_until").is_not_null()
    for_others = pl.col("assigned_to").is_not_null() & pl.col("assigned_to").ne_missing(login)
    return {
        "open": ~(held | asleep | pl.col("escalated") | for_others),
        "mine": pl.col("held_by").eq_missing(login),
        "others": held & pl.col("held_by").ne_missing(login),
        "assigned": pl.col("assigned_to").eq_missing(login),
        "escalated": pl.col("escalated"),
        "snoozed": asleep,
    }


def view(alerts: pl.DataFrame, wanted: Filter, login: str, sort: Sort) -> View:
    """Filter, order and count.

    Parameters
    ----------
    alerts : polars.DataFrame
        As :func:`arranged` and :func:`joined` make it.
    login : str
        Who looks at it.
    """
    states = alerts.select(**in_state(login))
    passed = alerts.select(**{name: test.fill_null(value=False) for name, test in _tests(wanted, login).items()})

    def through(*but: str) -> pl.Series:
        every = pl.repeat(value=True, n=alerts.height, dtype=pl.Boolean, eager=True)
        return reduce(and_, (passed[name] for name in passed.columns if name not in but), every)

    shown, any_sample, any_state = through(), through("sample"), through("state")
    facets = {
        "week": _counted(alerts["week"].filter(through("week"))).sort("value", descending=True).to_dicts(),
        "kind": _counted(alerts["kind"].filter(through("kind")))
        .sort("count", "value", descending=[True, False])
        .to_dicts(),
        "sample": [{"value": name, "count": (alerts[name] & any_sample).sum()} for name in SAMPLES],
        "state": [{"value": name, "count": (states[name] & any_state).sum()} for name in STATES],
    }
    places = shown.arg_true()
    ordered = places.gather(alerts[f"by_{sort}"].gather(places).arg_sort())
    amount, expected_loss = alerts.select(pl.col("amount", "expected_loss").filter(shown).sum()).row(0)
    return View(ordered, amount, expected_loss, facets)


def takeable(alerts: pl.DataFrame, wanted: Filter, login: str, sort: Sort) -> list[str]:
    """Ids of the claims that somebody may take, in order: what is assigned to them comes first.

    Of a filter that names no state, the open ones; of one that does, those that nobody else holds.
    """
    wanted = wanted if wanted.state else wanted.model_copy(update={"state": "open"})
    found = alerts[view(alerts, wanted, login, sort).places]
    free = found.filter(pl.col("held_by").is_null() | (pl.col("held_by") == login))
    theirs = pl.col("assigned_to").eq_missing(login)
    return free.sort(theirs, descending=True, maintain_order=True)["claim_id"].to_list()


def _tests(wanted: Filter, login: str) -> dict[str, pl.Expr]:
    """Expression by the part of the filter that asks for it."""
    tests: dict[str, pl.Expr] = {}
    if wanted.week is not None:
        tests["week"] = pl.col("week") == wanted.week
    if wanted.kind is not None:
        tests["kind"] = pl.col("kind") == wanted.kind
    if wanted.sample is not None:
        tests["sample"] = pl.col(wanted.sample)
    if wanted.state is not None:
        tests["state"] = in_state(login)[wanted.state]
    if wanted.min_amount is not None:
        tests["min_amount"] = pl.col("amount") >= wanted.min_amount
    if wanted.min_probability is not None:
        tests["min_probability"] = pl.col("probability") >= wanted.min_probability
    if wanted.search:
        tests["search"] = pl.col("claim_id").str.to_lowercase().str.contains(wanted.search.lower(), literal=True)
    return tests


def _counted(values: pl.Series) -> pl.DataFrame:
    return values.drop_nulls().alias("value").value_counts(name="count")
