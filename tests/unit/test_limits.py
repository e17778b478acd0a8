"""From how far a shift tells: the reference's own windows, and the rate of false alarms of all columns together."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.drift.limits import FEWEST_WINDOWS, Past, past_shifts
from shared.distances import chance, shift

LENGTH, COLUMNS, LEVELS, CLAIMS = 4, 20, 8, 250
WINDOWS = 20


def weekly(random: np.random.Generator, weeks: int, season: float, unrest: float) -> list[np.ndarray]:
    """Counts of each column by week, whose shares go with the season and differ from week to week."""
    found = []
    for _ in range(COLUMNS):
        usual, turn = random.normal(0, 0.5, LEVELS), random.normal(0, season, LEVELS)
        phase = 2 * np.pi * (np.arange(weeks) / 52 + random.random())
        odds = usual + np.sin(phase)[:, None] * turn + unrest * random.normal(size=(weeks, LEVELS))
        shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        found.append(np.array([random.multinomial(CLAIMS, p) for p in shares]))
    return found


def alarms(seed: int, learnt: int, season: float, unrest: float) -> tuple[float, float]:
    """Share of later windows in which any column is called shifted: by its limit, and by chance alone."""
    counts = weekly(np.random.default_rng(seed), learnt + WINDOWS * LENGTH, season, unrest)
    reference = [column[:learnt] for column in counts]
    past = Past(np.column_stack([past_shifts(column, LENGTH) for column in reference]), LENGTH)
    by_chance = np.array([chance(c.sum(axis=0), c[:LENGTH].sum(axis=0), 0.05 / COLUMNS) for c in reference])
    limits = np.maximum(past.limits(0.05), by_chance)
    found = np.array(
        [
            [shift(c[:learnt].sum(axis=0), c[start : start + LENGTH].sum(axis=0)) for c in counts]
            for start in range(learnt, learnt + WINDOWS * LENGTH, LENGTH)
        ]
    )
    return float((found >= limits).any(axis=1).mean()), float((found >= by_chance).any(axis=1).mean())


@pytest.mark.parametrize(("season", "unrest"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.2, 0.3)])
def test_one_window_in_twenty_is_called_shifted(season: float, unrest: float) -> None:
    """Twenty columns together keep the rate, in books with seasons and uneasy weeks, too; chance alone would not."""
    found = np.array([alarms(seed, 78, season, unrest) for seed in range(12)])
    assert found[:, 0].mean() <= 0.07
    if season or unrest:
        assert found[:, 1].mean() > 0.15


def test_a_shift_that_the_past_never_saw_is_beyond_the_limit() -> None:
    """Where the past was quiet, a shift of a tenth is found; where it was uneasy, it is no news."""
    moved = 0.1
    quiet, uneasy = (
        Past(
            np.column_stack([past_shifts(c, LENGTH) for c in weekly(np.random.default_rng(1), 78, 0.0, unrest)]), LENGTH
        )
        for unrest in (0.0, 0.4)
    )
    assert quiet.limits(0.05).max() < moved < uneasy.limits(0.05).min()


def test_few_weeks_tell_no_limit() -> None:
    """Below six windows' worth of weeks the past is not asked, and a column that has none of its own neither."""
    random = np.random.default_rng(2)
    weeks = FEWEST_WINDOWS * LENGTH
    enough = np.column_stack([past_shifts(column, LENGTH) for column in weekly(random, weeks, 0, 0)])
    assert (Past(enough, LENGTH).limits(0.05) > 0).all()
    assert (Past(enough[:-1], LENGTH).limits(0.05) == 0).all()
    enough[:, 3] = np.nan
    assert np.flatnonzero(Past(enough, LENGTH).limits(0.05) == 0).tolist() == [3]
    assert past_shifts(np.ones((LENGTH, 3), dtype=np.int64), LENGTH).size == 0
    assert Past(np.empty((0, 2)), LENGTH).limits(0.05).tolist() == [0, 0]
