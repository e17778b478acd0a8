"""Decide whether the model still does what it did when it was judged, by outcomes that came late.

Each window is judged once, when its outcomes are mature, so that no claim is looked at twice; the rate of false alarms
is shared out among what it is judged by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy.special import ndtri

from jobs.drift.change import MOVED
from jobs.drift.measure import WHOLE, Measure
from jobs.drift.performance import OF_FLAGGED, Figure, Figures, estimated, realised
from jobs.drift.selection import Cells, Way, chosen_otherwise, way, weights
from shared.contract import Gates
from shared.features import Floats

MARGIN = 0.05
"""Share of what a ranking was worth when it was judged which may be lost without a word: so a large book raises no
alarm for a loss that nobody would notice."""
FADING = 0.6
"""Weight of a window's claims as a multiple of those of the window after it. What has changed for good shows more
surely in several windows than in one: S. W. Roberts, Control chart tests based on geometric moving averages,
Technometrics 1 (1959), 239-250."""
WINDOWS = 4
"""Windows that count at all; those before would weigh an eighth at most."""
LEAST_FRAUDS = 10
"""Known frauds from which a ranking is judged."""
LEAST_HELD_AGAINST = 50
"""Known frauds of the windows that stand in for the judged claims where those cannot be compared with."""
LEAST_AUDITED_FRAUDS = 5
"""Frauds among the audited claims from which something can be said of those that were not flagged."""


@dataclass(frozen=True)
class Rates:
    """The share of windows that may raise a false alarm, shared out; two thirds of it go to the ranking.

    With few findings that are not independent the sum of their rates is an upper bound (Bonferroni).
    """

    rate: float

    @property
    def ranking(self) -> float:
        """For the loss of a ranking by each of two figures."""
        return self.rate / 3

    @property
    def other(self) -> float:
        """For each of calibration, selection, delay, associations and bias."""
        return self.rate / 15


@dataclass(frozen=True)
class Matured:
    """Claims of one window, or those that judged the model, whose outcomes are mature.

    Attributes
    ----------
    claims : polars.DataFrame
        ``probability``, ``flagged`` (by this model), ``looked`` and ``audited`` (see
        :func:`jobs.drift.selection.way`), ``amount`` and ``is_fraud`` (null where unknown).
    """

    claims: pl.DataFrame

    @cached_property
    def way(self) -> Way:
        """How their outcomes came about."""
        return way(self.claims)

    @cached_property
    def frauds(self) -> int:
        """Known frauds."""
        return int(self.claims["is_fraud"].sum() or 0)

    def like(self, other: Matured, rate: float) -> bool:
        """Whether the outcomes of both came about alike, so that they can be compared."""
        if self.way != other.way:
            return False
        if self.way != "chosen":
            return True
        found = chosen_otherwise(self.claims, other.claims)
        return found.p_value >= rate or found.tau < MOVED


def performance(windows: Sequence[Matured], cells: Cells) -> Figures:
    """Measure windows together, the newest last and weighing most.

    Returns
    -------
    dict
        Empty with fewer than ten known frauds, or no other claims. Of the flagged claims alone where the audit sample
        found too few frauds to speak for the rest.
    """
    parts = [
        window.claims.select("probability", "flagged", "looked", "is_fraud").with_columns(
            weight=pl.Series(weights(window.claims, window.way, cells) * FADING**ago)
        )
        for ago, window in enumerate(reversed(windows))
    ]
    told = pl.concat(parts).filter(pl.col("weight") > 0)
    thin = windows[-1].way == "audit" and told.select((pl.col("is_fraud") & ~pl.col("looked")).sum()).item() < (
        LEAST_AUDITED_FRAUDS
    )
    if thin:
        told = told.filter("flagged")
    if not rankable(told["is_fraud"]):
        return {}
    columns = told.select(pl.col("probability", "is_fraud", "weight", "flagged").cast(pl.Float64)).to_numpy().T
    found = realised(*columns)
    return {name: found[name] for name in OF_FLAGGED if name in found} if thin else found


def rankable(fraud: pl.Series) -> bool:
    """Whether so many frauds and others make a ranking that can be judged.

    >>> rankable(pl.Series([True] * 10 + [False])), rankable(pl.Series([True] * 10)), rankable(pl.Series([False]))
    (True, False, False)
    """
    frauds = int(fraud.sum() or 0)
    return frauds >= LEAST_FRAUDS and frauds < fraud.len()


@dataclass(frozen=True)
class Comparison:
    """Which of some windows the last is judged with, and by.

    Attributes
    ----------
    then : tuple of int
        What it is held against: 0, the claims that judged the model; or, where outcomes come about otherwise since some
        window, that one and those after it that it takes for frauds enough. Empty while there are too few.
    since : tuple of int
        Windows after these which are judged together, the last of all among them.
    """

    then: tuple[int, ...]
    since: tuple[int, ...]


def comparison(matured: Sequence[Matured], rate: float) -> Comparison | None:
    """Find what the last of some windows can be held against.

    Parameters
    ----------
    matured : sequence of Matured
        First the claims that judged the model, then each window since, in order.

    Returns
    -------
    Comparison or None
        None where the last window is the first of which outcomes come about as they do.
    """
    *before, window = matured
    alike = [place for place, one in enumerate(before) if one.like(window, Rates(rate).other)]
    if not alike:
        return None
    frauds = np.cumsum([before[place].frauds for place in alike])
    taken = 1 if alike[0] == 0 else int(np.searchsorted(frauds, LEAST_HELD_AGAINST)) + 1
    if taken > len(alike):
        return Comparison((), (len(before),))
    return Comparison(tuple(alike[:taken]), (*alike[taken:], len(before))[-WINDOWS:])


def concept_measures(matured: Sequence[Matured], held: Comparison | None, gates: Gates, rate: float) -> list[Measure]:
    """Judge the last of some windows by those before it.

    Parameters
    ----------
    matured : sequence of Matured
        As for :func:`comparison`, whose answer is `held`.
    rate : float
        Share of windows that may raise a false alarm here.
    """
    own = performance(matured[-1:], Cells.of(matured[-1].claims))
    measures = [_selection(held is not None), *_estimate_error(matured[-1], own)]
    if held is None or not held.then:
        return measures + [
            _plain(name, own[name]) for name in ("roc_auc", "lift_top_decile", "precision") if name in own
        ]
    cells, rates = Cells.of(pl.concat(matured[place].claims for place in held.then)), Rates(rate)
    then, present = (performance([matured[place] for place in places], cells) for places in (held.then, held.since))
    return [*measures, *_ranking(then, present, rates), *_calibration(then, present, gates, rates)]


def surely_below(present: Figure, then: Figure, chance: float, rate: float) -> bool:
    """Whether what a figure is worth beyond chance has surely fallen by more than the margin.

    Parameters
    ----------
    chance : float
        The figure of a ranking that is worth nothing.
    rate : float
        How often this may be said of a figure that has fallen by the margin.
    """
    kept = 1 - MARGIN
    error = float(np.hypot(kept * then.error, present.error))
    return kept * (then.value - chance) - (present.value - chance) > -float(ndtri(rate)) * error


def late(known: int, expected: float, rate: float) -> Measure:
    """Judge whether outcomes come as they did to the claims that judged the model, by how many are known."""
    share = known / expected if expected else 1.0
    # Half of what is expected is a Poisson variable's mean and variance at the limit.
    slow = known < expected / 2 + float(ndtri(rate)) * (expected / 2) ** 0.5
    reason = (
        f"only {share:.0%} of the outcomes expected by now are known: they come later, or fewer claims are looked at"
        if slow
        else None
    )
    return Measure(WHOLE, "outcomes_known", share, 0.5, "watch" if slow else "ok", reason)


def _selection(alike: bool) -> Measure:
    reason = (
        "claims whose outcome is known are chosen otherwise than those that judged the model, so the two cannot be "
        "compared; have the audit sample looked at"
    )
    return Measure(WHOLE, "selection", float(not alike), None, "ok" if alike else "watch", None if alike else reason)


def _estimate_error(window: Matured, own: Figures) -> Iterator[Measure]:
    probability, flagged = _floats(window.claims, "probability"), _floats(window.claims, "flagged")
    if "roc_auc" in own:
        expected = estimated(probability, flagged)["roc_auc"]
        yield Measure(WHOLE, "estimate_error", expected.value - own["roc_auc"].value, None, "ok")


def _ranking(then: Figures, present: Figures, rates: Rates) -> Iterator[Measure]:
    told = {
        "roc_auc": (0.5, "the model ranks worse than when it was judged (AUC {:.2f}, then {:.2f})"),
        "lift_top_decile": (
            1.0,
            "the top decile holds fewer frauds than when the model was judged (lift {:.1f}, then {:.1f})",
        ),
    }
    both = [name for name in told if name in then and name in present]
    if not both and "precision" in then and "precision" in present:
        told["precision"] = (0.0, "fewer flagged claims are fraud than when the model was judged ({:.0%}, then {:.0%})")
        both = ["precision"]
    for name in both:
        chance, sentence = told[name]
        rate = rates.ranking * 2 / len(both)
        worse = surely_below(present[name], then[name], chance, rate)
        limit = chance + (1 - MARGIN) * (then[name].value - chance)
        reason = sentence.format(present[name].value, then[name].value) if worse else None
        found = present[name]
        yield Measure(WHOLE, name, found.value, limit, "retrain" if worse else "ok", reason, found.low, found.high)


def _calibration(then: Figures, present: Figures, gates: Gates, rates: Rates) -> Iterator[Measure]:
    if "calibration" not in then or "calibration" not in present:
        return
    moved = present["calibration"].value - then["calibration"].value
    error = float(np.hypot(present["calibration"].error, then["calibration"].error))
    gone = abs(moved) + float(ndtri(rates.other / 2)) * error > gates.max_calibration_error
    times = float(np.exp(abs(moved)))
    side = "many" if moved > 0 else "few"
    reason = f"the model expects {times:.1f} times too {side} frauds, held against when it was judged"
    limit = gates.max_calibration_error
    yield Measure(WHOLE, "calibration_error", abs(moved), limit, "retrain" if gone else "ok", reason if gone else None)


def _plain(name: str, figure: Figure) -> Measure:
    return Measure(WHOLE, name, figure.value, None, "ok", None, figure.low, figure.high)


def _floats(claims: pl.DataFrame, name: str) -> Floats:
    return claims[name].cast(pl.Float64).to_numpy()
