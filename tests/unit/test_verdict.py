"""What a window's measures come to, and when a new model is asked for, over sequences of windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from jobs.drift.due import WEEK
from jobs.drift.measure import RETRAIN, SHIFT, WHOLE, Measure, Verdict, judged
from jobs.drift.verdict import Said, asks, of_broken, overall

DAY = datetime(2025, 1, 1, tzinfo=UTC)
LENGTH = 4


def moved(times: float, feature: str = "amount", weight: float = 0.5) -> Measure:
    """A column that has shifted so many times its limit."""
    verdict = judged(times * 0.1, 0.1)
    reason = None if verdict == "ok" else f"{feature} moved"
    return Measure(feature, SHIFT, times * 0.1, 0.1, verdict, reason, weight=weight)


def worse() -> Measure:
    """Outcomes that say that the model ranks worse."""
    return Measure(WHOLE, "roc_auc", 0.6, 0.7, "retrain", "it ranks worse")


def life(windows: Sequence[Sequence[Measure]]) -> tuple[list[Verdict], list[int]]:
    """Verdict of each window, and the windows after which a new model was asked for, a run of drift after each."""
    told, asked = list[Said](), list[int]()
    last, wanted = None, False
    for place, measures in enumerate(windows):
        summary = overall(measures, wanted)
        wanted = summary[0].verdict == "retrain"
        start = DAY + place * LENGTH * WEEK
        told.append(Said(start, start + LENGTH * WEEK, summary[0].verdict, summary[2].verdict, summary[1].value))
        if found := asks(told, last, LENGTH):
            last = Said(start, found.as_of, "retrain", "retrain", found.severity)
            asked.append(place)
    return [window.verdict for window in told], asked


def test_overall_verdict_is_the_gravest_with_its_reasons_by_weight() -> None:
    """The gravest verdict counts; its reasons come first, and of those what is far out and what the model leans on."""
    measures = [
        moved(3, "seldom used", 0.01),
        Measure("source:claims", "volume", 3.0, 2.0, "watch", "more claims"),
        moved(3, "leant on", 0.6),
        moved(0.5, "quiet", 0.3),
    ]
    wanted, severity, verdict = overall(measures, True)
    assert (wanted.verdict, wanted.value, severity.value) == ("retrain", 2.0, pytest.approx(3.0))
    assert verdict == Measure(WHOLE, "verdict", 2.0, None, "retrain", "leant on moved; seldom used moved; more claims")
    assert overall([], False)[-1].reason == "like the training claims"


def test_a_flapping_column_never_asks() -> None:
    """A column that is out in every second window is watched; two windows in a row ask for a new model."""
    assert life([[moved(3)], [moved(0.5)]] * 3) == (["watch", "ok"] * 3, [])
    assert life([[moved(3)], [moved(3)], [moved(0.5)]]) == (["watch", "retrain", "ok"], [1])


def test_what_is_far_out_asks_at_once() -> None:
    """One window beyond twice the limit of a new model is enough, and so is a test of outcomes."""
    assert life([[moved(2 * RETRAIN)]]) == (["retrain"], [0])
    assert life([[moved(2 * RETRAIN - 0.1)]]) == (["watch"], [])
    assert life([[worse()]]) == (["retrain"], [0])


def test_the_same_champion_asks_once_in_a_while() -> None:
    """A drift that lasts asks every third window, and at once where it got half as bad again."""
    assert life([[moved(3)]] * 9)[1] == [1, 4, 7]
    assert life([[moved(3)], [moved(3)], [moved(4)], [moved(5)], [moved(5)]])[1] == [1, 3]


def test_nothing_new_asks_nothing() -> None:
    """A run that says nothing new, or said a thing before, puts no event; without a window there is none."""
    window = Said(DAY, DAY + WEEK, "retrain", "retrain", 3.0)
    asked = Said(DAY, DAY + WEEK, "retrain", "retrain", 3.0)
    assert asks([window], None, LENGTH) is window
    assert asks([window], asked, LENGTH) is None
    later = Said(DAY + 4 * WEEK, DAY + 9 * WEEK, "ok", "ok", 0.1)
    assert asks([window, later], None, LENGTH) is None
    assert asks([], None, LENGTH) is None


def test_an_old_window_whose_outcomes_come_asks() -> None:
    """What a later run says anew of an earlier window counts like the newest."""
    old = Said(DAY, DAY + 30 * WEEK, "retrain", "retrain", RETRAIN)
    newer = Said(DAY + 20 * WEEK, DAY + 25 * WEEK, "ok", "ok", 0.3)
    assert asks([old, newer], None, LENGTH) is old


def test_broken_input_asks_for_no_model() -> None:
    """A window in which columns were broken is watched: a new model would learn the fault."""
    fault = Measure("amount", "missing", 0.9, 0.5, "stop", "amount is empty")
    found = of_broken([moved(9), worse()], [fault])
    assert [measure.verdict for measure in found] == ["watch", "retrain", "watch"]
    assert of_broken([moved(9)], []) == [moved(9)]
