"""The course of a search: what is proposed, broken off, kept, and gone on with."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from jobs.train import candidates, trials, yardsticks
from jobs.train.candidates import Candidate, as_drawn, candidate_of
from jobs.train.folds import Fold
from jobs.train.search import Search, search
from jobs.train.trials import Course, Trial, best_of_families, budget, choose, go_on
from tests import claims_factory

SMALL = {"max_depth": 2, "learning_rate": 0.2, "subsample": 0.7, "colsample_bytree": 0.5, "scale_pos_weight": 1.0}
FIRST = (
    Candidate("logistic", logistic={"C": 0.1, "linear": 0}),
    Candidate("boosted_trees", trees=SMALL | {"rounds": 50, "reg_lambda": 3.0, "min_child_weight": 1.0}),
    Candidate("anomaly_score", anomaly={}),
)
CLAIMS = claims_factory.claims(600)
SHORT = claims_factory.GARAGE.replace("[columns]", "[training]\ntrials = 6\n\n[columns]")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few first candidates, and drawn ones that are worth their while with few frauds."""
    monkeypatch.setattr(candidates, "CANDIDATES", FIRST)
    monkeypatch.setattr(trials, "FRAUDS_A_TRIAL", 5)
    monkeypatch.setattr(yardsticks, "TREES", 5)
    drawn = {"logistic": candidates._DRAWN["logistic"], "boosted_trees": candidates._DRAWN["boosted_trees"]}
    drawn["boosted_trees"] = {**drawn["boosted_trees"], "trees.rounds": ("whole", 50, 60)}
    monkeypatch.setattr(candidates, "_DRAWN", drawn)


def trial(family: str, *precision: float, state: str = "complete") -> Trial:
    mean = float(np.mean(precision))
    return Trial(Candidate(family), precision, precision, mean, state=state)  # type: ignore[arg-type]


def test_a_search_that_goes_on_ends_as_if_it_had_not_stopped() -> None:
    """Whatever trials an earlier run left, the search goes on to the same trials and the same model."""
    contract = claims_factory.contract(SHORT)
    told: list[Trial] = []
    whole = search(CLAIMS, contract, 1, 7, (), tell=told.append)
    assert isinstance(whole, Search)
    assert whole.repeatable
    assert list(whole.trials) == told
    assert [trial.number for trial in told] == list(range(6))
    for stopped_after in (2, 4, 6):
        again: list[Trial] = []
        found = search(CLAIMS, contract, 1, 7, told[:stopped_after], tell=again.append)
        assert isinstance(found, Search)
        assert again == told[stopped_after:]
        assert (found.model, found.chosen, found.trials) == (whole.model, whole.chosen, whole.trials)


def test_a_search_that_runs_out_of_time_is_not_repeatable() -> None:
    """One trial is always made; a search that time cut short says that it need not come out the same again."""
    contract = claims_factory.contract(SHORT.replace("trials = 6", "trials = 6\nsearch_minutes = 1e-9"))
    found = search(CLAIMS, contract, 1, 7)
    assert isinstance(found, Search)
    assert len(found.trials) == 1
    assert not found.repeatable
    assert found.chosen == 0


def course(future_frauds: int = 1, folds: int = 3) -> Course:
    known = pl.DataFrame({"x": np.arange(40.0)})
    y = np.tile([1.0, 0.0, 0.0, 0.0], 10)
    return Course([], known, y, [Fold(np.arange(20), np.arange(20, 24) + 4 * n) for n in range(folds)], 1, 0)


def test_what_falls_behind_is_broken_off() -> None:
    """A drawn candidate that is worse than the median of those that came as far meets no further fold."""
    run = course()
    earlier = [
        trial("logistic", 0.5, 0.5, 0.5),
        trial("logistic", 0.7, 0.9, 0.5),
        trial("logistic", 0.9, state="pruned"),
    ]
    assert run._is_behind([0.6], earlier)
    assert not run._is_behind([0.8], earlier)
    assert not run._is_behind([0.7, 0.8], earlier)
    assert run._is_behind([0.4, 0.4], earlier)


def test_first_candidates_meet_all_folds_and_drawn_ones_may_not() -> None:
    """Every family's first candidate is tried whole, so that there is always one to choose."""
    contract = claims_factory.contract(SHORT)
    found = search(CLAIMS, contract, 1, 3)
    assert isinstance(found, Search)
    assert {trial.state for trial in found.trials[: len(FIRST)]} == {"complete"}
    assert all(len(trial.average_precision) < 4 for trial in found.trials if trial.state == "pruned")
    assert found.trials[found.chosen].state == "complete"
    assert {stick.name for stick in found.yardsticks} == {"RandomForestClassifier", "HistGradientBoostingClassifier"}


def test_no_trial_begins_after_the_deadline() -> None:
    """A deadline that is over ends a search that has something to choose from."""
    assert list(go_on(course(), [trial("logistic", 0.5, 0.5, 0.5)], 5, 0, time.perf_counter() - 1)) == []


def test_few_frauds_are_worth_few_trials() -> None:
    """A search tries every first candidate, and more by the number of frauds, up to the contract's limit."""
    run = course(folds=4)
    assert budget(100, run.y, run.folds) == len(FIRST)
    assert budget(100, np.ones(40), run.folds) == len(FIRST) + 3
    assert budget(2, np.ones(40), run.folds) == 2


def test_simplest_family_that_is_not_worse() -> None:
    """Of each family its best whole trial stands; what is tied but erratic loses to what is simpler and better."""
    tried = [
        trial("random_forest", 0.1, 0.9, 0.47),
        trial("boosted_trees", 0.495, 0.505, 0.485),
        trial("boosted_trees", 0.2, 0.2, 0.2),
        trial("logistic", 0.3, 0.3, 0.3),
        trial("blend", 0.50, 0.51, 0.49),
        trial("logistic", 0.99, state="pruned"),
    ]
    best = best_of_families(tried)
    assert [trial.candidate.family for trial in best] == ["logistic", "boosted_trees", "random_forest", "blend"]
    assert best[1] is tried[1]
    assert best[choose(best)] is tried[1]


@pytest.mark.parametrize("candidate", FIRST, ids=lambda candidate: candidate.family)
def test_a_candidate_is_the_same_from_its_settings(candidate: Candidate) -> None:
    """What is kept of a candidate gives it back; the sampler is told what was drawn of it."""
    assert candidate_of(candidate.family, candidate.settings) == candidate
    kept = as_drawn(candidate)
    assert (kept is None) == (candidate.family == "anomaly_score")
    if kept is not None:
        assert all(spans._contains(spans.to_internal_repr(kept[0][name])) for name, spans in kept[1].items())
