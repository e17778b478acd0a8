"""What holds for every ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics import Floats, average_precision, recall_at, roc_auc, wilson

shares = st.floats(0, 1)
levels = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Draw claims with a fraud and an honest one among them; scores are either all different or tie often."""
    y = draw(st.permutations([0.0, 1.0, *draw(st.lists(st.sampled_from([0.0, 1.0]), max_size=30))]))
    score = draw(st.sampled_from([levels, st.floats(0, 1)]))
    p = draw(st.lists(score, min_size=len(y), max_size=len(y)))
    return np.array(y), np.array(p)


def _figures(y: Floats, p: Floats) -> list[float]:
    return [average_precision(y, p), roc_auc(y, p), *(recall_at(y, p, share) for share in (0.05, 0.1, 0.2, 0.5))]


@given(rankings(), st.randoms(use_true_random=False))
def test_order_of_rows_never_matters(ranking: tuple[Floats, Floats], random: np.random.RandomState) -> None:
    """Claims in another order have the same figures."""
    y, p = ranking
    order = list(range(len(y)))
    random.shuffle(order)
    assert _figures(y[order], p[order]) == pytest.approx(_figures(y, p))


@given(rankings())
def test_figures_are_shares(ranking: tuple[Floats, Floats]) -> None:
    """Every figure lies from 0 to 1."""
    assert all(-1e-12 <= figure <= 1 + 1e-12 for figure in _figures(*ranking))


@given(rankings(), shares, shares)
def test_recall_grows_with_the_share(ranking: tuple[Floats, Floats], first: float, second: float) -> None:
    """More claims looked at never find fewer frauds."""
    less, more = sorted((first, second))
    assert recall_at(*ranking, less) <= recall_at(*ranking, more) + 1e-12


@given(rankings())
def test_all_claims_hold_all_frauds(ranking: tuple[Floats, Floats]) -> None:
    """Looking at nothing finds nothing, looking at everything finds all."""
    assert recall_at(*ranking, 0.0) == 0
    assert recall_at(*ranking, 1.0) == pytest.approx(1)


@given(rankings())
def test_only_ranks_matter(ranking: tuple[Floats, Floats]) -> None:
    """A rescaling that keeps the order of scores, and their ties, keeps the figures."""
    y, p = ranking
    ranks = np.unique(p, return_inverse=True)[1].astype(float)
    assert _figures(y, ranks) == pytest.approx(_figures(y, p))


@given(rankings())
def test_a_reversed_ranking_has_the_rest_of_the_area(ranking: tuple[Floats, Floats]) -> None:
    """The areas under the curves of a ranking and of its reverse make one."""
    y, p = ranking
    assert roc_auc(y, p) + roc_auc(y, -p) == pytest.approx(1)


@given(rankings())
def test_a_perfect_ranking_is_perfect(ranking: tuple[Floats, Floats]) -> None:
    """The outcomes themselves rank perfectly, and no ranking has more average precision."""
    y, p = ranking
    assert average_precision(y, y) == pytest.approx(1)
    assert average_precision(y, p) <= 1 + 1e-12


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 5))
def test_wilson_holds_the_share(successes: int, failures: int, z: float) -> None:
    """Wilson's interval is within 0 and 1 and holds the observed share."""
    trials = successes + failures
    low, high = wilson(successes, trials, z)
    assert 0 <= low <= high <= 1
    assert trials == 0 or low - 1e-12 <= successes / trials <= high + 1e-12
