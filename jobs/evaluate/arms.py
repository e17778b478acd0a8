"""Decide what a trial has shown: which of two models finds more frauds, however often one looks.

Each claimant is drawn into the challenger's arm with the contract's share, whatever happens later. So if both models
find frauds at the same rate, each further claimant with a fraud found stands in that arm with just this probability,
and the counts of the two arms are all it takes: how many claims there are, and how long outcomes take, cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
"""Chance of ever finding a difference where there is none, over all looks together."""
ALPHA_BALANCE = 0.001
"""Chance of ever calling arms out of balance that hold the contract's share."""
WEIGHTS = (2.0, 20.0)
"""Claimants' worth of the belief that both models find alike, half of the mixture each: the one is sharpest where a
model finds many times as many as the other, the other where it finds half as many again. The intervals hold whatever
stands here, but it must not be chosen by what is seen."""
MOST = 10_000_000
"""Claimants beyond which nobody waits."""
Verdict = Literal["unbalanced", "go on", "alike", "challenger", "champion"]


@dataclass(frozen=True)
class Tally:
    """What an arm has come to, of the claims that were open when they were scored.

    Attributes
    ----------
    claims, claimants : int
        All of them.
    reviewed, claimants_reviewed : int
        Those flagged whose outcome is known since.
    frauds, claimants_found : int
        Those of the reviewed that were fraud.
    caught : float or None
        Amount of these frauds; None where the contract names no amount.
    """

    claims: int = 0
    claimants: int = 0
    reviewed: int = 0
    claimants_reviewed: int = 0
    frauds: int = 0
    claimants_found: int = 0
    caught: float | None = None

    @property
    def precision(self) -> float:
        """Share of frauds among the reviewed; NaN where none was reviewed."""
        return self.frauds / self.reviewed if self.reviewed else math.nan

    @property
    def found_per_thousand(self) -> float:
        """Frauds found of 1,000 claims; NaN without claims."""
        return 1000 * self.frauds / self.claims if self.claims else math.nan

    def net(self, cost: float) -> float | None:
        """Amount caught less what the reviews cost."""
        return None if self.caught is None else self.caught - cost * self.reviewed


@dataclass(frozen=True)
class Comparison:
    """What the arms show.

    Attributes
    ----------
    verdict : str
        ``challenger`` or ``champion``, whoever finds more; ``alike``, if no more than the margin can lie between them;
        ``go on``; ``unbalanced``, if the arms do not hold the contract's share, so that nothing can be said.
    ratio, low, high : float
        How many times as many claimants with a fraud the challenger finds, and its interval; NaN where none was found.
    reviews_low, reviews_high : float
        Interval of how many times as many claimants' claims are reviewed for it.
    outcomes : int or None
        With ``go on``: outcomes of flagged claims until a verdict if the rates stay as they are; None where no fraud
        was found yet, or it would take too long for anyone to wait.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    reviews_low: float
    reviews_high: float
    outcomes: int | None = None


def compare(champion: Tally, challenger: Tally, share: float, margin: float) -> Comparison:
    """Compare two arms; it may be asked at any time, and as often as one likes.

    Parameters
    ----------
    share : float
        Of the claimants in the challenger's arm, above 0 and below 1.
    margin : float
        How many more frauds, as a share, make no difference worth having.
    """
    there, here = champion.claimants_found, challenger.claimants_found
    low, high = interval(here, there, share)
    reviews = interval(challenger.claimants_reviewed, champion.claimants_reviewed, share)
    verdict: Verdict = _verdict(low, high, margin)
    if evidence(challenger.claimants, champion.claimants, share) >= math.log(1 / ALPHA_BALANCE):
        verdict = "unbalanced"
    outcomes = None
    if verdict == "go on" and (more := further(here, there, share, margin)) is not None:
        outcomes = math.ceil(more * (champion.reviewed + challenger.reviewed) / (here + there))
    ratio = here / there * (1 - share) / share if there else (math.inf if here else math.nan)
    return Comparison(verdict, ratio, low, high, *reviews, outcomes)


def evidence(here: float, there: float, share: float, ratio: float = 1.0) -> float:
    """How much counts speak against a ratio of the two arms' rates.

    Parameters
    ----------
    here, there : float
        Counts of the arm with the share, and of the other.
    ratio : float
        Rate of the one as a multiple of the other's; above 0.

    Returns
    -------
    float
        Logarithm of the factor by which a mixture of all ratios explains the counts better than this one does. If the
        ratio is true, its exponential is a martingale from 1 on, which ever reaches 1/alpha with a probability of alpha
        at most (Ville's inequality): so it may be looked at after each count.

    Notes
    -----
    M. Lindon and A. Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022, here with two outcomes:
    the mixture is of beta distributions around the share. H. Robbins, Statistical methods related to the law of the
    iterated logarithm, Annals of Mathematical Statistics 41 (1970), 1397-1409, has the idea.

    >>> evidence(0, 0, 0.5), round(evidence(30, 10, 0.5), 3), evidence(20, 20, 0.5) < 0
    (0.0, 3.215, True)
    """
    odds = ratio * share / (1 - share)
    log_here, log_there = math.log(odds) - math.log1p(odds), -math.log1p(odds)
    mixed = [_log_marginal(here, there, weight * share, weight * (1 - share)) for weight in WEIGHTS]
    top = max(mixed)
    mixture = top + math.log(sum(math.exp(part - top) for part in mixed) / len(mixed))
    return mixture - here * log_here - there * log_there


def interval(here: float, there: float, share: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Ratios that the counts do not speak against: a confidence sequence, valid at all looks together.

    >>> interval(0, 0, 0.2)
    (0.0, inf)
    >>> low, high = interval(60, 20, 0.5)
    >>> round(low, 2), round(high, 2)
    (1.34, 7.59)
    """
    bound, middle = math.log(1 / alpha), 0.0
    if here and there:
        middle = math.log(here / there * (1 - share) / share)
    elif here or there:  # the most likely ratio is 0, or infinite
        middle = math.copysign(700.0, here - there)

    def excluded(log_ratio: float) -> bool:
        return evidence(here, there, share, math.exp(log_ratio)) >= bound

    return _end(excluded, middle, -700.0), _end(excluded, middle, 700.0)


def further(here: float, there: float, share: float, margin: float) -> float | None:
    """Counts until a verdict, if they go on in the same proportion; None without any, or beyond `MOST`."""
    if not here + there:
        return None

    def decided(factor: float) -> bool:
        return _verdict(*interval(here * factor, there * factor, share), margin) != "go on"

    high = 2.0
    while not decided(high):
        high *= 2
        if high * (here + there) > MOST:
            return None
    low = high / 2
    while high - low > 0.02 * low:
        middle = (low + high) / 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return (high - 1) * (here + there)


def _verdict(low: float, high: float, margin: float) -> Verdict:
    if low >= 1 / (1 + margin) and high <= 1 + margin:
        return "alike"
    if low > 1:
        return "challenger"
    return "champion" if high < 1 else "go on"


def _end(excluded: Callable[[float], bool], inside: float, outside: float) -> float:
    """Ratio at which what is excluded begins, between two logarithms; 0 or infinite where nothing is."""
    if not excluded(outside):
        return 0.0 if outside < 0 else math.inf
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return math.exp(inside)


def _log_marginal(here: float, there: float, a: float, b: float) -> float:
    """Logarithm of how probable counts are, in some order, where their share has a beta distribution."""
    return _log_beta(a + here, b + there) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
