"""The reference profile and the population stability index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared.features import features_of, values
from shared.profile import Profile, missing_share, population_stability_index, sampling_noise, unseen_share
from tests import claims_factory
from tests.claims_factory import ODD

FIXTURES = Path(__file__).parents[3] / "shared" / "reference" / "drift_fixtures.json"


def test_index_of_closed_form_cases() -> None:
    """The index is that of the cases worked out by hand."""
    if not FIXTURES.is_file():
        pytest.skip("no ../shared/reference/drift_fixtures.json beside this clone")
    for case in json.loads(FIXTURES.read_text())["psi_hand"]:
        expected, actual = (np.round(np.array(case[side]) * 10_000).astype(np.int64) for side in ("expected", "actual"))
        assert population_stability_index(expected, actual) == pytest.approx(case["psi"])


def test_index_is_symmetric_and_finite() -> None:
    """A level that is new or gone makes no infinite index; it is the same both ways, and 0 for the same shares."""
    first, second = np.array([100, 0, 50, 0]), np.array([10, 40, 0, 0])
    assert 0 < population_stability_index(first, second) < 10
    assert population_stability_index(first, second) == pytest.approx(population_stability_index(second, first))
    assert population_stability_index(first, 3 * first) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("shares", "claims"),
    [
        (np.full(12, 1 / 12), 100),
        (np.full(12, 1 / 12), 1000),
        (np.array([0.995, 0.005]), 1000),
        (1 / np.arange(1, 31), 200),
        (np.full(250, 1 / 250), 1000),
    ],
)
def test_noise_keeps_the_false_alarm_rate(shares: np.ndarray, claims: int) -> None:
    """Two samples of one distribution exceed the noise seldom, and the noise and the smallest limit together never."""
    random = np.random.default_rng(0)
    pairs = [random.multinomial([5000, claims], shares / shares.sum()) for _ in range(400)]
    indices = np.array([population_stability_index(*pair) for pair in pairs])
    noise = np.array([sampling_noise(*pair) for pair in pairs])
    assert (indices > noise).mean() <= 0.03
    assert (indices < noise + 0.1).all()


def test_noise_lets_a_real_shift_through() -> None:
    """A shift of a fifth of the claims between two levels is above what chance makes of 200 claims."""
    reference, current = np.array([2500, 2500]), np.array([140, 60])
    assert population_stability_index(reference, current) > sampling_noise(reference, current) + 0.1


def test_profile_read_again_counts_the_same() -> None:
    """A profile that was written and read counts a window alike, each claim once for each column."""
    features = features_of(claims_factory.contract())
    profile = Profile.of(values(claims_factory.claims(500), features), features)
    read = Profile.of_document(json.loads(json.dumps(profile.as_document())))
    assert read == profile
    window = values(claims_factory.claims(100, seed=1), features)
    counts = read.count(window)
    assert [counts[feature.name].sum() for feature in features] == [100] * len(features)
    assert missing_share(counts[ODD]) == window[ODD].null_count() / 100
    assert unseen_share(counts["amount"]) == 0
