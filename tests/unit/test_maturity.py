"""From what age on outcomes tell, measured from claims of which the young ones can have short delays only."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from jobs.drift.maturity import Maturity

NONE = pl.DataFrame(schema=dict.fromkeys(("age", "delay", "claims"), pl.Int64))


def delays(weeks: range, old: int = 60, a_week: int = 200) -> pl.DataFrame:
    """Outcomes that come evenly within some weeks, to claims of every age up to a year and more."""
    rows = [(age, delay, a_week // len(weeks)) for age in range(old) for delay in weeks if delay <= age]
    return pl.DataFrame(rows, schema=NONE.schema, orient="row")


def test_delays_are_not_underrated() -> None:
    """Though half of the claims are too young for long delays, the shares known by age are those of the old ones."""
    found = Maturity.of(delays(range(2, 18), old=24))
    assert found.known == pytest.approx(np.clip((np.arange(18) - 1) / 16, 0, 1))
    assert (found.age(0.5), found.mature) == (9, 16)


def test_outcomes_that_stand_in_the_claims_file_are_mature_at_once() -> None:
    """Without a delay, and without any outcome, nothing is to be waited for."""
    assert Maturity.of(delays(range(0, 1))).mature == 0
    assert Maturity.of(NONE).mature == 0


def test_outcomes_expected_of_claims_of_some_ages() -> None:
    """Of claims too young none are expected, of old ones all."""
    found = Maturity.of(delays(range(2, 18)))
    assert found.expected(np.array([0.0, 1.0])) == 0.0
    assert found.expected(np.array([9.0, 100.0])) == pytest.approx(0.75)
