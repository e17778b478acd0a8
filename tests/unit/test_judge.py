"""Whether a challenger may be promoted, and from which probability claims are flagged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jobs.evaluate.judge import Judgement, as_document, flag_threshold, gates_as_document, judge
from shared.contract import Gates

RANDOM = np.random.default_rng(0)
Y = (RANDOM.random(2000) < 0.1).astype(float)
GOOD = np.clip(0.05 + 0.3 * Y + RANDOM.normal(0, 0.05, 2000), 0.001, 0.999) * 0.9
NOISE = RANDOM.uniform(0, 0.2, 2000)


def failed(judgement: Judgement) -> list[str]:
    return [gate.name for gate in judgement.gates if not gate.passed]


def test_good_challenger_is_promoted() -> None:
    """Without a champion, five gates are enough; with one, the sixth is passed by a challenger as good."""
    assert judge(Y, GOOD, None, (), Gates()).promoted
    with_rival = judge(Y, GOOD, GOOD, (), Gates())
    assert with_rival.promoted
    assert with_rival.reason == "passed all 6 gates"


def test_random_split_is_called_optimistic() -> None:
    """Wherever a verdict on drawn claims is told, it says that it is optimistic; one by time says nothing of it."""
    drawn, by_time = judge(Y, GOOD, None, (), Gates(), "random"), judge(Y, GOOD, None, (), Gates())
    document = as_document(drawn, GOOD, 1.0)
    assert drawn.promoted
    assert "optimistic" in drawn.reason
    assert (document["split"], "optimistic" in document["caveat"]) == ("random", True)
    assert "optimistic" in judge(Y, NOISE, None, (), Gates(), "random").reason
    assert (as_document(by_time, GOOD, 1.0)["caveat"], by_time.reason) == (None, "passed all 5 gates")


def test_noise_is_refused() -> None:
    """A ranking by chance fails the lift, and the reason says so with its limit."""
    judgement = judge(Y, NOISE, None, (), Gates())
    assert "lift of the top decile, lower bound" in failed(judgement)
    assert "at least 1.5 is asked" in judgement.reason


@pytest.mark.parametrize(
    ("challenger", "champion", "leaks", "gates", "gate"),
    [
        (NOISE, GOOD, (), Gates(), "average precision less the champion's"),
        (GOOD, None, ("paid_out",), Gates(), "suspected leaks among the features"),
        (GOOD / 10, None, (), Gates(), "calibration error"),
        (GOOD, None, (), Gates(min_frauds=1000), "frauds in the judged window"),
        (NOISE, None, (), Gates(min_recall_at_20_percent=1.0), "recall at 20 percent"),
    ],
)
def test_each_gate_refuses(
    challenger: np.ndarray, champion: np.ndarray | None, leaks: tuple[str, ...], gates: Gates, gate: str
) -> None:
    """Each gate alone keeps a challenger out."""
    assert gate in failed(judge(Y, challenger, champion, leaks, gates))


def test_shuffled_labels_promote_nothing() -> None:
    """Of eight challengers whose ranking has nothing to do with the labels, none is promoted."""
    random = np.random.default_rng(1)
    assert not any(judge(random.permutation(Y), GOOD, None, (), Gates()).promoted for _ in range(8))


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(50), np.ones(50)])
def test_window_that_tells_nothing_is_refused_and_can_be_written(y: np.ndarray) -> None:
    """Without outcomes, frauds or clean claims the verdict is a refusal, ready for JSON."""
    judgement = judge(y, np.full(y.size, 0.1), np.full(y.size, 0.1), (), Gates())
    assert not judgement.promoted
    for document in (as_document(judgement, np.full(y.size, 0.1), 1.0), gates_as_document(judgement)):
        assert json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("seed", range(20))
def test_threshold_never_flags_more_than_there_is_room_for(seed: int) -> None:
    """Ties or not, no more claims are flagged than investigators can review; and no lower value would do."""
    random = np.random.default_rng(seed)
    probability = random.choice(np.round(random.random(random.integers(1, 30)), 2), 200)
    weeks, capacity = float(random.uniform(0.1, 12)), int(random.integers(1, 30))
    threshold = flag_threshold(probability, weeks, capacity)
    assert (probability >= threshold).sum() <= capacity * weeks
    lower = probability[probability < threshold]
    assert lower.size == 0 or (probability >= lower.max()).sum() > int(capacity * weeks)


def test_threshold_of_claims_that_are_all_alike() -> None:
    """Where all claims tie and there is no room for all, none is flagged; where there is, all are."""
    same = np.ones(10)
    assert (same >= flag_threshold(same, 1.0, 9)).sum() == 0
    assert (same >= flag_threshold(same, 1.0, 10)).sum() == 10
    assert flag_threshold(np.zeros(0), 1.0, 1) == 0
