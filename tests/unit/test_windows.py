"""Which claims are learnt from and which judge; and the windows of drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from jobs.drift.due import Week, Window, newest, since, windows
from jobs.train.windows import Windows, cut, draw, split
from shared.draws import DRAWS
from tests import claims_factory

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def events(n: int, per_day: int = 1) -> list[datetime]:
    return [DAY + timedelta(days=number // per_day) for number in range(n)]


def labels(n: int, every: int) -> np.ndarray:
    return (np.arange(n) % every == 0).astype(float)


def test_latest_quarter_judges_where_it_holds_enough_frauds() -> None:
    """With frauds in plenty the last quarter is kept back."""
    assert split(events(2000), labels(2000, 4), 0.25) == Windows(DAY, DAY + timedelta(days=1499))


def test_window_reaches_back_for_frauds_but_not_over_half() -> None:
    """With few frauds the judged window grows until it holds a hundred, and at most to half of the claims."""
    cut = split(events(2000), labels(2000, 8), 0.25)
    assert isinstance(cut, Windows)
    assert labels(2000, 8)[(cut.train_end - DAY).days + 1 :].sum() == 100
    assert split(events(2000), labels(2000, 40), 0.25) == Windows(DAY, DAY + timedelta(days=999))


def test_claims_of_one_moment_stand_on_one_side() -> None:
    """The cut never falls within a day."""
    cut = split(events(2000, per_day=70), labels(2000, 4), 0.25)
    assert isinstance(cut, Windows)
    assert cut.train_end == DAY + timedelta(days=1500 // 70 - 1)


@pytest.mark.parametrize(
    ("n", "y", "said"),
    [
        (0, np.zeros(0), "no outcome is known yet"),
        (500, np.zeros(500), "none of the 500"),
        (500, np.ones(500), "all 500"),
        (500, np.r_[np.ones(19), np.zeros(481)], "too few frauds"),
        (500, np.r_[np.ones(25), np.zeros(475)], "no cut by time"),
        (500, np.r_[np.zeros(475), np.ones(25)], "no cut by time"),
    ],
)
def test_too_little_is_said_in_a_sentence(n: int, y: np.ndarray, said: str) -> None:
    """Without frauds on both sides of a cut there is a reason instead of windows."""
    cut = split(events(n), y, 0.25)
    assert isinstance(cut, str)
    assert said in cut


def test_one_moment_for_all_claims_makes_no_cut() -> None:
    """Claims without a course of time cannot be cut by it."""
    assert isinstance(split([DAY] * 500, labels(500, 4), 0.25), str)


def lots(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, DRAWS, n)


def test_draw_keeps_the_asked_share_where_it_holds_enough_frauds() -> None:
    """With frauds in plenty the contract's share of the draws judges, and the window spans the loads learnt from."""
    assert draw(events(4000), lots(4000), labels(4000, 4), 0.25, None) == Windows(DAY, DAY + timedelta(days=3999), 0.25)


def test_draw_grows_for_frauds_but_not_over_half() -> None:
    """With few frauds more claims judge, until they hold a hundred, and half of the draws at most."""
    draws, y = lots(4000), labels(4000, 16)
    found = draw(events(4000), draws, y, 0.25, None)
    assert isinstance(found, Windows)
    assert found.judged_share is not None
    assert y[draws < found.judged_share * DRAWS].sum() == 100
    few = draw(events(4000), draws, labels(4000, 40), 0.25, None)
    assert isinstance(few, Windows)
    assert few.judged_share == 0.5


def test_first_share_holds_for_ever() -> None:
    """What judged the first model is never learnt from, whatever the contract or the frauds say later."""
    found = draw(events(4000), lots(4000), labels(4000, 4), 0.25, 0.4)
    assert isinstance(found, Windows)
    assert found.judged_share == 0.4


@pytest.mark.parametrize(
    ("y", "said"),
    [(np.zeros(500), "none of the 500"), (np.ones(500), "all 500"), (np.r_[np.ones(22), np.zeros(478)], "a draw of")],
)
def test_too_little_to_draw_from_is_said(y: np.ndarray, said: str) -> None:
    """Without frauds on both sides of the draw there is a reason instead of windows."""
    found = draw(events(500), np.sort(lots(500)), y, 0.25, 0.5)
    assert isinstance(found, str)
    assert said in found


def test_contract_chooses_time_or_a_draw() -> None:
    """Time is cut where a column dates the claims, lots are drawn where none does."""
    labelled = pl.DataFrame({"event_time": events(900), "is_fraud": labels(900, 3) > 0, "draw": lots(900)})
    dated, undated = (claims_factory.contract(text) for text in (claims_factory.GARAGE, claims_factory.UNDATED))
    by_time, by_lot = cut(labelled, dated, None), cut(labelled, undated, None)
    assert isinstance(by_time, Windows)
    assert isinstance(by_lot, Windows)
    assert (by_time.judged_share, by_lot.judged_share is None) == (None, False)


def weeks_of(*claims: int) -> list[Week]:
    """Weeks after training with so many claims; those without any are not there."""
    return [Week(place, count, DAY) for place, count in enumerate(claims, 1) if count]


def test_windows_of_drift_follow_each_other() -> None:
    """Windows follow each other without a gap, and the last is the one that is not over yet."""
    length = timedelta(days=28)
    found = windows(DAY, weeks_of(*[1] * 12), DAY + timedelta(days=83), 4)
    assert [(window.start, window.end, window.claims) for window in found] == [
        (DAY + place * length, DAY + (place + 1) * length, 4) for place in range(3)
    ]
    assert [window.first for window in windows(DAY, [], DAY + timedelta(days=84), 4)] == [1, 5, 9, 13]
    assert [window.first for window in windows(DAY, [], DAY - timedelta(days=1), 4)] == [1]


def test_a_window_is_measured_once_it_holds_enough_claims() -> None:
    """A window is due with enough claims while its columns are not measured."""
    window = Window(1, DAY, DAY + timedelta(days=28), 100)
    assert window.due({"psi"}, 100)
    assert not window.due({"shift"}, 100)
    assert not window.due(set(), 101)


@pytest.mark.parametrize(
    ("claims", "places"),
    [((200, 100), [2]), ((200, 60), [2, 1]), ((200, 0, 99), [3, 1]), ((50, 49), []), ((), [])],
)
def test_newest_claims_are_as_few_weeks_as_tell(claims: tuple[int, ...], places: list[int]) -> None:
    """The newest weeks count until they hold enough claims, and none of training's does."""
    assert newest([Week(0, 500, DAY), *weeks_of(*claims)], 100) == places


def test_weeks_without_a_whole_past_count_where_there_are_no_others() -> None:
    """Training's first weeks are left out while enough others remain, and those after training never are."""
    weeks = [Week(place, 100, DAY) for place in range(-9, 3)]
    assert [week.place for week in since(weeks, -5, 6)] == list(range(-5, 3))
    assert since(weeks, -5, 7) == weeks
    assert since([], 0, 1) == []
