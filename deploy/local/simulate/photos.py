"""How many photos each claim has, and which of them were another claim's before.

Both follow from a claim's number alone, so that a claim can re-use a photo of a claim drawn weeks ago without any week
being kept. Photos are written for a share of the claims only: those of low rank. A re-used photo comes from a claim of
lower rank still, so that the two are written together or neither is.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from deploy.local.simulate.world import Floats, Ints, World, level

PATTERN_SHARES = np.array([0.939, 0.018, 0.019, 0.018, 0.006])
EARLY, INFLATED, STAGED, STAGED_HAIL = 1, 2, 3, 4
"""Patterns of claims that look ordinary (0) or suspicious, most of them honest (chosen)."""

MOST_PHOTOS = 6
TREATMENTS = ("same", "re-encoded", "cropped")
"""What may have been done to a photo before it was used again."""

_BORROWED_SHARE = 0.014  # of the claims take a photo of somebody else's (chosen)
_AGAIN_SHARE = 0.015  # of the claims, where one of the week fits, repeat it: honestly, by the same claimant (chosen)
_REACH = 50_000  # claims back to look for a photo
_TRIES = 256


def patterns(world: World, number: Ints) -> Ints:
    """What each claim looks like, by its number."""
    return level(world.uniform("pattern", number), PATTERN_SHARES)


def photo_counts(world: World, number: Ints) -> Ints:
    """Photos of each claim, 0 to 6, by its number: fewer where an amount looks inflated."""
    uniform = world.uniform("photos", number)
    inflated = patterns(world, number) == INFLATED
    return np.where(inflated, _poisson(uniform, 1.2), _poisson(uniform, 2.6))


def photo_ranks(world: World, number: Ints) -> Floats:
    """Rank of each claim: its photos are written if it is below the share asked for."""
    return world.uniform("photo_rank", number)


def resubmissions(world: World, number: Ints, rng: np.random.Generator) -> Ints:
    """Row of the claim that each claim sends in again: its own, but for a few that repeat one above them.

    Parameters
    ----------
    number : numpy.ndarray of int
        Claims of a week, in the order of their report.
    """
    rows = np.arange(len(number))
    again = rng.random(len(number)) < _AGAIN_SHARE
    earlier = (rng.random(len(number)) * rows).astype(np.int64)
    counts, ranks, pattern = photo_counts(world, number), photo_ranks(world, number), patterns(world, number)
    fits = (earlier < rows) & ~again[earlier] & (counts > 0) & (counts[earlier] > 1) & (ranks[earlier] < ranks)
    ordinary = (pattern == 0) & (pattern[earlier] == 0)
    return np.where(again & fits & ordinary, earlier, rows)


def borrowings(world: World, number: Ints, rng: np.random.Generator) -> Ints:
    """Number of the earlier claim from which each claim takes a photo; -1 for most, which take none.

    Parameters
    ----------
    number : numpy.ndarray of int
        Claims in any order.
    """
    wanting = np.flatnonzero((rng.random(len(number)) < _BORROWED_SHARE) & (photo_counts(world, number) > 0))
    back = 1 + (rng.random((len(wanting), _TRIES)) * _REACH).astype(np.int64)
    here = number[wanting, None]
    offered = here - 1 - (back - 1) % np.maximum(here, 1)
    fits = (
        (offered >= 0) & (photo_ranks(world, offered) < photo_ranks(world, here)) & (photo_counts(world, offered) > 1)
    )
    first = fits.argmax(axis=1)
    found = fits[np.arange(len(wanting)), first]
    source = np.full(len(number), -1)
    source[wanting[found]] = offered[np.arange(len(wanting)), first][found]
    return source


def list_photos(world: World, number: Ints, source: Ints, share: float) -> pl.DataFrame:
    """List the photos to write.

    Parameters
    ----------
    number, source : numpy.ndarray of int, shape (n,)
        Claims, and the claim from which each has its last photo; -1 for its own.
    share : float
        Share of the claims whose photos are written, 0 to 1.

    Returns
    -------
    polars.DataFrame
        A row a photo: ``claim`` and ``name`` (from 1) where it goes, ``number`` and ``which`` what is on it,
        ``treatment`` one of `TREATMENTS`.
    """
    written = photo_ranks(world, number) < share
    number, source = number[written], source[written]
    counts = photo_counts(world, number)
    rows = np.repeat(np.arange(len(number)), counts)
    which = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    reused = (source[rows] >= 0) & (which == counts[rows] - 1)
    uniform = world.uniform("photo", number[rows])
    return pl.DataFrame(
        {
            "claim": number[rows],
            "name": which + 1,
            "number": np.where(reused, source[rows], number[rows]),
            # The other claim has two at least, and its first is never one that it took itself.
            "which": np.where(reused, 0, which),
            "treatment": pl.Series(TREATMENTS).gather(np.where(reused, (uniform * 3).astype(np.int64), 0)),
        }
    )


def _poisson(uniform: Floats, mean: float) -> Ints:
    """Poisson numbers up to `MOST_PHOTOS`, by the inverse of their distribution."""
    k = np.arange(MOST_PHOTOS)
    factorials = np.cumprod(np.maximum(k, 1))
    return np.asarray(np.searchsorted(np.cumsum(np.exp(-mean) * mean**k / factorials), uniform, side="right"))
