"""What late outcomes of generated books say: a stable one nothing, one whose fraud changed that it did.

One seed, or as many as CLAIMSIGHT_DRIFT_SEEDS says.
"""

from __future__ import annotations

import os

import pytest

from tests.late_factory import World, found, matured, replayed

SEEDS = range(1, 1 + int(os.environ.get("CLAIMSIGHT_DRIFT_SEEDS", "1")))
WORLDS: tuple[World, ...] = ("all", "audit", "chosen")


@pytest.mark.parametrize("world", WORLDS)
def test_stable_books_raise_no_more_alarms_than_agreed(world: World, said: list[str]) -> None:
    """However outcomes come about, of the windows of stable books no more than the agreed share is called changed."""
    windows = [found(measures) for seed in SEEDS for measures in replayed(matured(world, seed))]
    alarms = sum(map(bool, windows))
    said.append(f"late outcomes ({world}): {alarms} of {len(windows)} windows of stable books raised an alarm")
    assert alarms <= max(1, 0.05 * len(windows))


@pytest.mark.parametrize("world", ["all", "chosen"])
def test_fraud_that_changes_is_caught(world: World, said: list[str]) -> None:
    """Of 250 claims a week, a fraud that changes shows in the outcomes of the 24 weeks after, in half of the books."""
    caught = []
    for seed in SEEDS:
        windows = enumerate(replayed(matured(world, seed, "concept@79")), 1)
        asked = [4 * place for place, measures in windows if "retrain" in found(measures).values()]
        caught.append(asked[0] if asked else None)
    said.append(f"late outcomes ({world}): a concept that changed is caught after weeks {caught}, once they are mature")
    assert sum(week is not None for week in caught) >= 0.5 * len(caught)


def test_another_choice_of_claims_is_no_worse_performance(said: list[str]) -> None:
    """Where investigators begin to go by the amount, that is said, once; and no new model is asked for."""
    asked = []
    for seed in SEEDS:
        first, *later = [found(measures) for measures in replayed(matured("chosen", seed, "selection@79"))]
        assert first == {"selection": "watch"}
        asked += ["retrain" in window.values() for window in later]
    said.append(
        f"late outcomes: {sum(asked)} of {len(asked)} windows chosen otherwise were taken for worse performance"
    )
    assert sum(asked) <= 0.05 * len(asked)
