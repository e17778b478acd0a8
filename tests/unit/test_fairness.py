"""Whether groups are treated alike, against fairlearn."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference

from shared.fairness import MOST_GROUPS, Sensitive, disparity, grouped
from tests.factories import contract


def _groups(codes: np.ndarray) -> Sensitive:
    return Sensitive("sex", "levels", tuple(f"g{n}" for n in range(codes.max() + 1)), codes.astype(np.int32))


@pytest.mark.parametrize("seed", range(10))
def test_differences_are_fairlearns(seed: int) -> None:
    """Both differences are fairlearn's where every group is large enough."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, 2000)
    y = (random.random(2000) < 0.2 + 0.05 * codes).astype(float)
    flagged = (random.random(2000) < 0.1 + 0.05 * codes + 0.2 * y).astype(float)
    found = disparity(_groups(codes), y, flagged)
    assert found.demographic_parity is not None
    assert found.equal_opportunity is not None
    theirs = demographic_parity_difference(y, flagged, sensitive_features=codes)
    assert found.demographic_parity.value == pytest.approx(theirs)
    theirs = equal_opportunity_difference(y, flagged, sensitive_features=codes)
    assert found.equal_opportunity.value == pytest.approx(theirs)


def test_unknown_outcomes_count_for_parity_only() -> None:
    """A claim without an outcome can be flagged, but is neither fraud nor none."""
    codes = np.arange(400) % 2
    y, flagged = np.where(np.arange(400) < 200, 1.0, np.nan), (codes == 0).astype(float)
    found = disparity(_groups(codes), y, flagged)
    assert [(group.claims, group.frauds, group.flagged_share) for group in found.groups] == [
        (200, 100, 1),
        (200, 100, 0),
    ]
    assert found.demographic_parity is not None
    assert found.demographic_parity.value == 1


@pytest.mark.parametrize("groups", [2, 4, 12])
def test_chance_breaks_no_default_limit(groups: int) -> None:
    """Of 300 small windows that treat groups alike, at most one in a hundred surely exceeds a default limit."""
    broken = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        n = 60 * groups
        codes = np.arange(n) % groups
        y = (random.random(n) < 0.25).astype(float)
        flagged = (random.random(n) < 0.1 + 0.4 * y).astype(float)
        found = disparity(_groups(codes), y, flagged, seed)
        broken += found.demographic_parity is not None and found.demographic_parity.low > 0.1
        broken += found.equal_opportunity is not None and found.equal_opportunity.low > 0.2
    assert broken <= 3


def test_a_difference_at_the_limit_seldom_exceeds_it_surely() -> None:
    """Where the true difference is the limit, about one window in forty has a lower bound above it."""
    above = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        codes = np.arange(600) % 2
        flagged = (random.random(600) < 0.1 + 0.1 * codes).astype(float)
        found = disparity(_groups(codes), np.zeros(600), flagged, seed).demographic_parity
        assert found is not None
        above += found.low > 0.1
    assert above / 400 < 0.06


def test_small_groups_are_named_and_left_out() -> None:
    """A group under 30 claims counts for neither measure, one under 10 frauds not for opportunity."""
    codes = np.repeat([0, 1, 2], [200, 200, 29])
    y = np.r_[np.arange(200) < 50, np.arange(200) < 9, np.ones(29)].astype(float)
    flagged = (codes == 2).astype(float)
    found = disparity(_groups(codes), y, flagged)
    assert (found.few_claims, found.few_frauds) == (("g2",), ("g1", "g2"))
    assert found.demographic_parity is not None
    assert found.demographic_parity.value == 0
    assert found.equal_opportunity is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 500])
def test_one_group_or_none_is_not_judged(n: int) -> None:
    """Where all claims are alike there is no difference to speak of, and no warning."""
    found = disparity(Sensitive("sex", "levels", ("f",), np.zeros(n, np.int32)), np.zeros(n), np.zeros(n))
    assert (found.demographic_parity, found.equal_opportunity) == (None, None)


def test_a_column_of_many_levels_is_judged_by_the_largest() -> None:
    """Only so many groups are judged; the rest are named as too small."""
    found = disparity(_groups(np.arange(6000) % 100), np.zeros(6000), np.zeros(6000))
    assert len(found.few_claims) == 100 - MOST_GROUPS


def test_columns_become_groups() -> None:
    """Categories and truth values go by level, numbers and dates by quartile; unknown is a group; names are told."""
    described = contract(
        columns={"born": {"dtype": "date", "nullable": True}},
        roles={"sensitive": ["peril", "hurt", "amount", "count", "born", "note"], "pii": ["note"]},
    )
    claims = pl.DataFrame(
        {
            "event_time": pl.Series([date(2024, 1, 1)] * 8).cast(pl.Datetime("us", "UTC")),
            "peril": ["theft", "hail"] * 4,
            "hurt": [True, False, None, True] * 2,
            "amount": np.arange(8.0),
            "count": [1, 3, None, 1] * 2,
            "born": [date(1950 + 10 * n, 1, 1) for n in range(5)] + [None] * 3,
            "note": ["3f", "a0"] * 4,
        }
    )
    found = {sensitive.column: sensitive for sensitive in grouped(claims, described)}
    assert set(found) == {"peril", "hurt", "amount", "count", "born", "note"}
    assert set(found["peril"].groups) == {"theft", "hail"}
    assert set(found["hurt"].groups) == {"unknown", "true", "false"}
    assert (found["amount"].by, len(found["amount"].groups)) == ("quartiles", 4)
    assert (found["count"].by, found["count"].groups) == ("levels", ("unknown", "1", "3"))
    assert (found["born"].by, len(found["born"].groups)) == ("quartiles", 5)
    assert [found["peril"].groups[code] for code in found["peril"].codes] == ["theft", "hail"] * 4


def test_few_codes_are_groups_by_their_own_names() -> None:
    """Codes of as many values as there are quartiles are no quartiles."""
    claims = pl.DataFrame({"event_time": [date(2024, 1, 1)] * 7, "count": [1, 2, 3, 5, 1, 2, 1]})
    (found,) = grouped(claims, contract(roles={"sensitive": ["count"]}))
    assert (found.by, found.groups) == ("levels", ("1", "2", "3", "5"))


def test_a_column_without_a_value_is_one_group() -> None:
    """A sensitive column that is always unknown has one group, which is not judged."""
    described = contract(roles={"sensitive": ["count"]})
    claims = pl.DataFrame({"event_time": [date(2024, 1, 1)] * 40, "count": pl.Series([None] * 40, dtype=pl.Int64)})
    (found,) = grouped(claims, described)
    assert found.groups == ("unknown",)
