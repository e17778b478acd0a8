"""The generated motor book, one week or part of a week at a time: claims, truth, investigations, photos and dirt.

**The book is generated.** No row describes a real person, policy, garage or claim, and a result on it says nothing
about a real book. It has the shape of the problem (few frauds, several mechanisms, late and selected labels, some dirt)
and its best attainable score is known: the order of causes is kept, from features (`claims`) to a probability and one
draw from it (`fraud`).

Each part has its own random streams, so it does not depend on those before or after it. The bytes are the same for the
same seed and the same numpy; numpy does not promise equal streams across its versions (NEP 19).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from deploy.local.simulate.claims import COLUMNS, claim_ids, draw_claims
from deploy.local.simulate.dirt import KINDS, mangle
from deploy.local.simulate.fraud import draw_fraud, fraud_terms
from deploy.local.simulate.investigate import investigate, yes_no
from deploy.local.simulate.photos import list_photos
from deploy.local.simulate.world import YEAR, Ints, World

DIRTY_SHARE = 0.01
"""Share of a file's rows that are dirty unless the caller says otherwise (chosen)."""

LARGEST_PART = 100_000
"""Claims of a week beyond which it is drawn in parts, so that memory stays bounded."""

_GROWTH = 1.05  # claims a year
_NULL_SHARE = 0.7  # of the cells, once nulls have burst in


@dataclass(frozen=True)
class Week:
    """One generated week, or a part of one.

    Parameters
    ----------
    rows : polars.DataFrame
        The claims as they are written, all text, in the order of their report, dirt and repeated rows included:
        `COLUMNS` and ``kind``, which is one of `KINDS` for a dirty row and null for a clean one.
    truth : polars.DataFrame
        In the order of report: ``claim_id``, ``fraud_probability`` (0 to 1), ``is_fraud`` (Y or N), ``mechanism``,
        ``photo_from`` (claim whose photo is used again, or null). Without the claims whose id is lost in `rows`, since
        nobody could join them.
    outcomes : polars.DataFrame
        The investigated claims among those of `truth`, in no particular order: ``claim_id``, ``is_fraud`` (Y or N, as
        decided), ``decided_at`` (date), ``source``.
    photos : polars.DataFrame
        What `deploy.local.simulate.photos.list_photos` gives, with ``claim_id`` in place of ``claim``.
    """

    rows: pl.DataFrame
    truth: pl.DataFrame
    outcomes: pl.DataFrame
    photos: pl.DataFrame


def weekly_counts(claims: int, weeks: int, start: date) -> Ints:
    """Share out the claims over the weeks by growth and season.

    Adams' divisor method: every week has ``ceil(weight / divisor)`` claims, hence at least one. A divisor method is
    uniform (Balinski and Young, *Fair Representation*, 1982): the first weeks of a long book have the same counts as a
    short book of as many weeks and claims, so a book can be made longer without changing its beginning.

    Parameters
    ----------
    claims : int
        Claims in all, at least `weeks`.
    weeks : int
        Number of weeks, at least 1.
    start : date
        First day of the first week; the season follows the calendar.

    Returns
    -------
    numpy.ndarray of int64, shape (weeks,)
        Claims of each week; their sum is `claims`.

    Examples
    --------
    >>> from datetime import date
    >>> weekly_counts(3, 3, date(2024, 1, 1)).tolist()
    [1, 1, 1]
    """
    days = 7.0 * np.arange(weeks)
    season = np.cos(2 * np.pi * (days + start.timetuple().tm_yday - 15) / YEAR)
    weights = _GROWTH ** (days / YEAR) * (1.0 + 0.06 * season)
    low, high = 0.0, claims / weights.min()
    # More halvings than a float64 has bits: they end on the largest multiplier that gives no claim too many.
    for _ in range(100):
        middle = (low + high) / 2
        if np.ceil(middle * weights).sum() <= claims:
            low = middle
        else:
            high = middle
    counts = np.ceil(low * weights).astype(np.int64)
    counts[: claims - counts.sum()] += 1  # only where two weeks tie to the last bit
    return np.asarray(counts)


def parts_of(count: int) -> list[int]:
    """Claims of each part of a week, as even as may be, none over `LARGEST_PART`.

    Examples
    --------
    >>> parts_of(250_001)
    [83334, 83334, 83333]
    """
    parts = -(-count // LARGEST_PART)
    return [count // parts + (part < count % parts) for part in range(parts)]


def draw_week(
    world: World,
    week: int,
    count: int,
    first_number: int,
    dirty: float = DIRTY_SHARE,
    photos: float = 0.0,
    part: tuple[int, int] = (0, 1),
) -> Week:
    """Draw one week of the book, or a part of it.

    Parameters
    ----------
    world : World
        What all weeks share.
    week : int
        Which week, from 0.
    count : int
        Claims to draw, at least 1.
    first_number : int
        Number of the first claim; the others follow.
    dirty : float
        Share of dirty rows, 0 to 1.
    photos : float
        Share of the claims whose photos are listed, 0 to 1.
    part : tuple of int
        Which part of the week, from 0, and of how many.

    Returns
    -------
    Week
        The same for the same arguments. Neither share changes what the other columns hold.
    """
    # [seed] alone is the world's; SeedSequence takes it for [seed, 0], so weeks count from 1 here. A stream for each
    # step, so that the share of dirt or a drift changes nothing else.
    children = np.random.SeedSequence([world.seed, week + 1, part[0]]).spawn(5)
    features, labels, investigators, dirt, burst = (np.random.default_rng(child) for child in children)
    number = first_number + np.arange(count)
    drawn = draw_claims(world, week, number, part, features)
    terms = fraud_terms(drawn, drifted=world.drifted("concept", week))
    probability, is_fraud, mechanism = draw_fraud(terms, labels)
    source = drawn["photo_source"].to_numpy()
    truth = drawn.select(
        "claim_id",
        fraud_probability=pl.Series(probability),
        is_fraud=yes_no(is_fraud),
        mechanism=mechanism,
        photo_from=claim_ids(source).set(pl.Series(source < 0), None),
    )
    outcomes = investigate(
        drawn,
        terms.sum_horizontal().to_numpy(),
        is_fraud,
        investigators,
        slow=world.drifted("delay", week),
        by_amount=world.drifted("selection", week),
    )
    kinds = pl.Series(KINDS).gather(dirt.integers(0, len(KINDS), count))
    kinds = kinds.set(pl.Series(dirt.random(count) >= dirty), None)
    rows = mangle(_as_sent(world, week, drawn.select(COLUMNS), burst), kinds, dirt)
    known = ~pl.col("claim_id").is_in(drawn.filter(kinds.eq_missing("missing_claim_id"))["claim_id"].implode())
    listed = list_photos(world, number, source, photos)
    pictures = listed.select(pl.Series("claim_id", claim_ids(listed["claim"].to_numpy())), pl.all().exclude("claim"))
    return Week(rows, truth.filter(known), outcomes.filter(known), pictures)


def _as_sent(world: World, week: int, claims: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Write claims as their sender does: with nulls where they burst in, in cents where the unit changed."""
    if world.drifted("units", week):
        claims = claims.with_columns(pl.col("amount") * 100)
    if world.drifted("nulls", week):
        claims = claims.with_columns(
            claims[name].set(pl.Series(rng.random(len(claims)) < _NULL_SHARE), None)
            for name in ("garage_id", "police_report")
        )
    return claims
