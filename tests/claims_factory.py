"""Labelled claims for the tests of train, evaluate, score and drift: in memory, and as rows of a line of business."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from shared.contract import Contract
from shared.database import Database

FIRST_DAY = datetime(2023, 1, 1, tzinfo=UTC)
DELAY = timedelta(days=20)
"""From a claim's event to the day its outcome is known."""
GARAGE = """\
name = "garage"
title = "Claims with odd names"

[roles]
id = "claim_id"
event_time = "event_time"

[outcomes]

[review]
capacity_per_week = 3

[gates]
min_lift_top_decile_low = 1.2

[drift]
min_claims = 50
window_days = 56

[columns]
claim_id = { dtype = "text" }
event_time = { dtype = "date" }
amount = { dtype = "number", unit = "EUR" }
"risk % 'Ü'" = { dtype = "category", nullable = true }
size = { dtype = "category", levels = ["S", "M", "L"], ordered = true }
bought = { dtype = "date", nullable = true }
age = { dtype = "integer", unit = "years" }
workshop = { dtype = "category", nullable = true }
"""
ODD = "risk % 'Ü'"
SHORT = GARAGE.replace("[columns]", "[training]\ntrials = 9\n\n[columns]")
"""The same with a short search, of every family and of two that are drawn."""
UNDATED = SHORT.replace('event_time = "event_time"\n', "").replace('event_time = { dtype = "date" }\n', "")
"""The same without a column that dates the claims."""


def contract(text: str = GARAGE) -> Contract:
    """Build the contract of these claims."""
    return Contract.model_validate(tomllib.loads(text))


def claims(n: int = 2500, seed: int = 0, days: int = 700) -> pl.DataFrame:
    """Draw claims, in the order of their events; about one in eight is fraud.

    Returns
    -------
    polars.DataFrame
        What `jobs.train.snapshot.snapshot` gives.
    """
    random = np.random.default_rng(seed)
    day = np.sort(random.integers(0, days, n))
    amount = random.lognormal(7, 1, n)
    odd = random.choice(np.array(["^a$", "*", "höher", ""], dtype=object), n, p=[0.2, 0.3, 0.3, 0.2])
    age = random.integers(0, 40, n)
    log_odds = 1.2 * (np.log(amount) - 7) + 1.5 * (odd == "^a$") - 0.03 * age - 2.7
    times = [FIRST_DAY + timedelta(days=int(d)) for d in day]
    return pl.DataFrame(
        {
            "claim_id": [f"c{number:06}" for number in random.permutation(n)],
            "event_time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "revision": 1,
            "is_fraud": random.random(n) < 1 / (1 + np.exp(-log_odds)),
            "known_at": pl.Series([time + DELAY for time in times], dtype=pl.Datetime("us", "UTC")),
            "amount": amount,
            ODD: pl.Series([value or None for value in odd], dtype=pl.String),
            "size": random.choice(["S", "M", "L"], n),
            "bought": [
                (time - timedelta(days=int(ago))).date()
                for time, ago in zip(times, random.integers(1, 3000, n), strict=True)
            ],
            "age": age,
            "workshop": pl.Series([f"w{w}" if w < 250 else None for w in random.integers(0, 260, n)], dtype=pl.String),
        }
    )


def store(database: Database, contract: Contract, book: pl.DataFrame) -> None:
    """Write claims and their outcomes as etl would."""
    kept = [name for name in contract.stored if name not in ("claim_id", "event_time")]
    placed = {"file_id": pl.lit(1), "file_line": pl.int_range(pl.len())}
    rows = book.select("claim_id", "revision", "event_time", *kept, known_at="event_time", **placed)
    decided = book.select("claim_id", "is_fraud", "known_at", decided_at="known_at", source=pl.lit("test"))
    with database.transaction():
        database.append("claims", rows.with_columns(pl.col("event_time", "known_at").dt.to_string("iso:strict")))
        database.append("outcomes", decided.with_columns(pl.col("known_at", "decided_at").dt.to_string("iso:strict")))
