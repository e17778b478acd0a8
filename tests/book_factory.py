"""The generated book for the tests of it: clean, in memory, its truth beside the claims."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from deploy.local.simulate.book import Week, draw_week, weekly_counts
from deploy.local.simulate.dirt import csv_bytes
from deploy.local.simulate.drift import read_drifts
from deploy.local.simulate.world import create_world

START = date(2024, 1, 1)
CLAIMS, WEEKS = 26_000, 104


@cache
def draw_book(seed: int = 7, drift: str = "", last: int = WEEKS) -> tuple[Week, ...]:
    """Draw the weeks of a book without dirt, up to the last, counted from 1."""
    counts = weekly_counts(CLAIMS, WEEKS, START)
    numbers = np.cumsum(counts) - counts
    book = create_world(seed, START, int(counts[0]), read_drifts(drift, WEEKS)[0])
    return tuple(draw_week(book, week, int(counts[week]), int(numbers[week]), 0.0) for week in range(last))


@cache
def read_book(seed: int = 7, drift: str = "", last: int = WEEKS) -> pl.DataFrame:
    """Read the claims of `draw_book`, typed, with the truth beside them; ``is_fraud`` is boolean."""
    weeks = draw_book(seed, drift, last)
    rows = pl.read_csv(
        csv_bytes(pl.concat(week.rows for week in weeks)), try_parse_dates=True, infer_schema_length=None
    )
    truth = pl.concat(week.truth for week in weeks)
    return rows.join(truth, on="claim_id", maintain_order="left").with_columns(pl.col("is_fraud") == "Y")


def drop_date(path: Path) -> date:
    """Date in a file's name."""
    return date.fromisoformat(path.stem.split("-", 1)[1])


def monday(week: int) -> date:
    """First day of a week, counted from 1."""
    return START + timedelta(days=7 * (week - 1))


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def average_precision(fraud: pl.Series, score: pl.Series) -> float:
    """Mean over the frauds of the precision at their rank; as scikit-learn's where no scores tie."""
    ranked = fraud.gather(score.arg_sort(descending=True))
    return (ranked.cum_sum() / pl.int_range(1, len(ranked) + 1, eager=True)).filter(ranked).mean()
