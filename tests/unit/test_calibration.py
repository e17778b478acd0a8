"""Whether probabilities mean what they say, by decile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.evaluate.calibration import calibration
from shared import metrics
from shared.features import Floats


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 200)


def _sample(seed: int, n: int, factor: float = 1.0) -> tuple[Floats, Floats]:
    """Draw outcomes, and probabilities that are right but for a factor."""
    random = np.random.default_rng(seed)
    truth = random.beta(1, 12, n)
    return (random.random(n) < truth).astype(float), truth * factor


def test_error_is_that_of_an_independent_table() -> None:
    """Without ties, the error is the mean over ten equal bins of |mean probability - fraud rate|."""
    y, p = _sample(0, 1000, 1.4)
    order = np.argsort(-p)
    bins = [(y[places].mean(), p[places].mean()) for places in np.split(order, 10)]
    found = calibration(y, p)
    assert found.error.value == pytest.approx(np.mean([abs(rate - mean) for rate, mean in bins]))
    assert found.relative.value == pytest.approx(found.error.value / y.mean())
    assert [rate.actual for rate in found.deciles] == pytest.approx([rate for rate, _ in bins])
    assert [rate.expected for rate in found.deciles] == pytest.approx([mean for _, mean in bins])


@pytest.mark.parametrize("frauds", [20, 80])
def test_chance_breaks_no_limit(frauds: int) -> None:
    """Of 100 small windows of right probabilities, the lower bound exceeds the default limit in none."""
    n = round(frauds * 13)
    assert not any(calibration(*_sample(seed, n), seed).relative.low > 0.5 for seed in range(100))


def test_what_is_at_the_limit_seldom_breaks_it() -> None:
    """Where the true error is at the limit, at most one window in ten has a lower bound above it."""
    broken = sum(calibration(*_sample(seed, 1500, 1.5), seed).relative.low > 0.5 for seed in range(100))
    assert broken / 100 < 0.1


def test_probabilities_twice_too_high_are_found() -> None:
    """Probabilities that are all far too high exceed the limit surely, in a window of ordinary size."""
    assert calibration(*_sample(1, 1500, 2.5)).relative.low > 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 7])
def test_nothing_to_tell(n: int) -> None:
    """Without claims or frauds there is no relative error, and no warning."""
    found = calibration(np.zeros(n), np.full(n, 0.1))
    assert math.isnan(found.relative.value)
    assert len(found.deciles) == (10 if n else 0)
