"""Whether a challenger may be promoted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.evaluate.document import as_document, gates_as_document
from jobs.evaluate.judge import Evidence, Judgement, judge
from shared import metrics
from shared.contract import Gates, Review
from shared.fairness import Sensitive
from shared.features import Floats

RANDOM = np.random.default_rng(0)
Y = (RANDOM.random(2000) < 0.1).astype(float)
EVIDENCE = RANDOM.normal(2 * Y, 1)
GOOD = 1 / (1 + 9 * np.exp(2 - 2 * EVIDENCE))
"""Bayes' probability: log odds of a tenth, and of two normal distributions two apart."""
NOISE = RANDOM.uniform(0, 0.2, 2000)
SEX = Sensitive("sex", "levels", ("f", "m"), (np.arange(2000) % 2).astype(np.int32))
OF_HALF = np.where(np.arange(2000) % 2 == 0, GOOD, GOOD / 100)
"""As good, but never high for every second claim."""
WEIGHTS = {"amount": 1.0, "age": 0.5, "peril": 0.2, "hour": 0.1}


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 200)


def evidence(probability: Floats = GOOD, y: Floats = Y, **more: Any) -> Evidence:
    """What is judged; of ten weeks, of which 200 claims can be reviewed."""
    return Evidence(y, probability, **({"claims_per_week": 200.0, "milliseconds": 5.0, "megabytes": 1.0} | more))


def judged(found: Evidence, **gates: Any) -> Judgement:
    return judge(found, Gates(**gates), Review(capacity_per_week=20))


def failed(judgement: Judgement) -> list[str]:
    return [gate.name for gate in judgement.gates if not gate.passed]


def test_good_challenger_is_promoted() -> None:
    """Without a champion eight gates are enough; with one, two more are passed by a challenger as good."""
    alone = judged(evidence())
    assert (alone.promoted, alone.reason) == (True, "passed all 8 gates")
    beside = judged(evidence(champion=GOOD, importance=WEIGHTS, champion_importance=WEIGHTS))
    assert (beside.promoted, beside.reason) == (True, "passed all 10 gates")


def test_random_split_is_called_optimistic() -> None:
    """Wherever a verdict on drawn claims is told, it says that it is optimistic; one by time says nothing of it."""
    drawn, by_time = evidence(split="random"), evidence()
    document = as_document(judged(drawn), drawn)
    assert judged(drawn).promoted
    assert "optimistic" in judged(drawn).reason
    assert (document["split"], "optimistic" in document["caveat"]) == ("random", True)
    assert "optimistic" in judged(evidence(NOISE, split="random")).reason
    assert (as_document(judged(by_time), by_time)["caveat"], judged(by_time).reason) == (None, "passed all 8 gates")


def test_noise_is_refused() -> None:
    """A ranking by chance fails the lift, and the reason says so with its limit."""
    judgement = judged(evidence(NOISE))
    assert "lift of the top decile, lower bound" in failed(judgement)
    assert "at least 1.5 is asked" in judgement.reason


@pytest.mark.parametrize(
    ("found", "gates", "gate"),
    [
        (evidence(), {"min_frauds": 1000}, "frauds in the judged window"),
        (evidence(NOISE), {"min_recall_at_20_percent": 1.0}, "recall at 20 percent"),
        (evidence(NOISE), {}, "lift of the top decile, lower bound"),
        (evidence(NOISE, champion=GOOD), {}, "average precision less the champion's, lower bound"),
        (evidence(GOOD / 10), {}, "calibration error"),
        (evidence(np.sqrt(GOOD)), {}, "calibration error by decile, lower bound"),
        (
            evidence(OF_HALF, sensitive=(SEX,)),
            {"max_demographic_parity_difference": 0.05},
            "demographic parity difference of sex, lower bound",
        ),
        (evidence(OF_HALF, sensitive=(SEX,)), {}, "equal opportunity difference of sex, lower bound"),
        (
            evidence(
                importance=WEIGHTS, champion_importance=dict(zip(WEIGHTS, reversed(WEIGHTS.values()), strict=True))
            ),
            {},
            "rank correlation of importance with the champion's",
        ),
        (evidence(leaks={"paid_out", "closed"}), {}, "suspected leaks among the features (closed, paid_out)"),
        (evidence(milliseconds=2001.0), {}, "milliseconds to score 1,000 claims"),
        (evidence(milliseconds=float("nan")), {}, "milliseconds to score 1,000 claims"),
        (evidence(megabytes=201.0), {}, "megabytes of the model's files"),
    ],
)
def test_each_gate_refuses(found: Evidence, gates: dict[str, float], gate: str) -> None:
    """Each gate can keep a challenger out, and says its name, value and limit."""
    judgement = judged(found, **gates)
    assert gate in failed(judgement)
    assert not judgement.promoted
    assert gate in judgement.reason


def test_gates_of_people_pass_what_treats_them_alike() -> None:
    """Groups that are flagged alike pass, and both gates stand among the verdicts."""
    judgement = judged(evidence(sensitive=(SEX,)))
    assert judgement.promoted
    assert len([gate for gate in judgement.gates if "of sex" in gate.name]) == 2


def test_groups_too_small_are_named_and_do_not_count() -> None:
    """A group of few claims that is flagged as no other neither refuses nor passes: it is named."""
    few = Sensitive("sex", "levels", ("f", "m"), (np.arange(2000) < 20).astype(np.int32))
    found = evidence(np.where(few.codes, 0.9, GOOD), sensitive=(few,))
    judgement = judged(found)
    assert not [gate for gate in judgement.gates if "sex" in gate.name]
    (told,) = as_document(judgement, found)["fairness"]
    assert (told["few_claims"], told["few_frauds"], told["demographic_parity"]) == (["m"], ["m"], None)


def test_a_little_worse_than_the_champion_is_not_enough_to_know() -> None:
    """What may be worse than the champion by more than the limit is refused, though its value would pass."""
    rival = GOOD + np.random.default_rng(3).normal(0, 0.1, 2000)
    judgement = judged(evidence(rival, champion=GOOD), max_average_precision_loss=0.07)
    assert judgement.against_champion is not None
    assert judgement.against_champion.low < -0.07 < judgement.against_champion.value
    assert "average precision less the champion's, lower bound" in failed(judgement)


def test_shuffled_labels_promote_nothing() -> None:
    """Of eight challengers whose ranking has nothing to do with the labels, none is promoted."""
    random = np.random.default_rng(1)
    assert not any(judged(evidence(y=random.permutation(Y))).promoted for _ in range(8))


@pytest.mark.parametrize("frauds", [0, 1, 5])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("claims", [0, 1, 50])
def test_window_that_tells_little_is_refused_and_can_be_written(claims: int, frauds: int, ties: bool) -> None:
    """With few claims, few frauds or nothing but ties the verdict is a refusal, ready for JSON, without a warning."""
    y = (np.arange(claims) < frauds).astype(float)
    y[40:] = np.nan
    p = np.full(claims, 0.1) if ties else np.linspace(0.9, 0.1, claims)
    groups = Sensitive("sex", "levels", ("f", "unknown"), (np.arange(claims) % 2).astype(np.int32))
    found = evidence(
        p,
        y,
        champion=p[~np.isnan(y)],
        amount=np.full(claims, np.nan),
        sensitive=(groups,),
        importance=WEIGHTS,
        champion_importance={},
    )
    judgement = judged(found)
    assert not judgement.promoted
    for document in (as_document(judgement, found), gates_as_document(judgement)):
        assert json.dumps(document, allow_nan=False)


def test_only_frauds_are_refused_and_can_be_written() -> None:
    """Where every claim is a fraud there is nothing to rank; the verdict is a refusal, ready for JSON."""
    found = evidence(np.full(50, 0.1), np.ones(50))
    assert not judged(found).promoted
    assert json.dumps(as_document(judged(found), found), allow_nan=False)


def test_unlabelled_claims_set_the_threshold_and_do_not_judge() -> None:
    """Claims without an outcome take room in the queue, and change no figure of the ranking."""
    more = replace(evidence(np.r_[GOOD, np.full(100, 0.99)], np.r_[Y, np.full(100, np.nan)]), claims_per_week=210.0)
    with_them, without = judged(more), judged(evidence())
    assert with_them.metrics == without.metrics
    assert with_them.threshold is not None
    assert without.threshold is not None
    assert with_them.threshold > without.threshold
