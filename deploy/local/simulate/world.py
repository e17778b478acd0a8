"""What all weeks of a generated book share: who insures what where, who works together, and when it hails.

Nothing here is stored. A policy's number tells its region and day of sale and seeds its traits by a hash, and so does a
claimant's number; whether it hails on a day in a region is a hash too. So a policy that comes back with another claim
is the same policy, no table of policies has to be kept, and any week can be drawn without the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from deploy.local.simulate.drift import Kind

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

YEAR = 365.25
REGIONS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
REGION_SHARES = np.array([0.17, 0.10, 0.12, 0.11, 0.16, 0.09, 0.15, 0.10])
AGENTS_A_REGION = 8  # 64 agents in all
GARAGES_A_REGION = 31  # 248 garages in all

RINGS = 12
GARAGES_A_RING = 3
PHONES_A_RING = 4

LONGEST_TENURE = 3650
"""Days from the start of a policy to a loss."""
LONGEST_DELAY = 60
"""Days from a loss to its report."""
_SECOND_SHARE = 0.25  # of the policies are sold to somebody who has one already
_LONGEST_BETWEEN = 1825  # days between the two
_FIRST_DAY = LONGEST_TENURE + LONGEST_DELAY + _LONGEST_BETWEEN + 1  # so that no day in a number is below 0

_STORM_RATE = 0.15  # chance of a hailstorm on a midsummer day, for each region (chosen)
_WINTER = 0.15  # of it on a day in midwinter (chosen)
_MIDSUMMER = 182  # day of the year; the season is May to August, as in Verti's Hagel-Atlas (2024)

_TRAITS = (
    "sex", "driver_age", "channel", "agent", "new_price", "vehicle_age", "deductible", "prior_claims", "second",
    "between", "slot", "household", "phone", "storm", "severity", "pattern", "photos", "photo_rank", "photo",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What all weeks of one book share.

    Parameters
    ----------
    seed : int
        Seed of the book, at least 0.
    start : date
        First day of the first week. All days of a book are counted from it.
    policies_a_day : int
        Policies sold on each day, at least 1: it decides how often a policy comes back with a second claim.
    partners : numpy.ndarray of int, shape (64, 3)
        Garages that each agent works with in a ring, by number; -1 for agents that are in none.
    salts : dict of str to int
        For each trait, what its hash is salted with.
    drifts : mapping of str to int
        For each kind of drift that the book has, the week from which on, the first being 1.
    """

    seed: int
    start: date
    policies_a_day: int
    partners: Ints
    salts: dict[str, int]
    drifts: Mapping[Kind, int] = field(default_factory=dict)

    def drifted(self, kind: Kind, week: int) -> bool:
        """Whether a drift has set in by a week, counted from 0."""
        return kind in self.drifts and week + 1 >= self.drifts[kind]

    def uniform(self, trait: str, number: Ints) -> Floats:
        """Trait of each numbered thing, uniform between 0 and 1 and the same whenever it is asked for."""
        return hashed_uniform(number, self.salts[trait])

    def day_of_year(self, day: Ints) -> Ints:
        """Day of the year to a day or so, 0 on the first of January; `day` counts from the start."""
        return np.asarray(((day + self.start.timetuple().tm_yday - 1) % YEAR).astype(np.int64))


def create_world(seed: int, start: date, first_count: int, drifts: Mapping[Kind, int] | None = None) -> World:
    """Draw what all weeks share.

    Parameters
    ----------
    seed : int
        Seed of the book, at least 0.
    start : date
        First day of the first week.
    first_count : int
        Claims of the first week. With a claim on about 7 % of the policies a year and policies about four years old
        (both chosen), one policy is sold each day for every two claims a week.
    drifts : mapping of str to int, optional
        See `World`.

    Returns
    -------
    World
        The same for the same arguments.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed]))
    agents = len(REGIONS) * AGENTS_A_REGION
    partners = np.full((agents, GARAGES_A_RING), -1)
    for agent in rng.choice(agents, RINGS, replace=False):
        nearby = rng.choice(GARAGES_A_REGION, GARAGES_A_RING, replace=False)
        partners[agent] = agent // AGENTS_A_REGION * GARAGES_A_REGION + nearby
    salts = dict(zip(_TRAITS, rng.integers(0, 2**63, len(_TRAITS)).tolist(), strict=True))
    return World(seed, start, max(1, first_count // 2), partners, salts, drifts or {})


def policy_numbers(world: World, region: Ints, sold: Ints, acquired: Flags, slot: Floats) -> Ints:
    """Number of the policy sold in a region on a day, by a uniform number for each that picks among the day's.

    Policies of a portfolio that was taken over have numbers of their own.
    """
    slots = np.maximum(1, np.round(world.policies_a_day * REGION_SHARES)).astype(np.int64)[region]
    place = (sold + _FIRST_DAY) * world.policies_a_day + np.minimum((slot * slots).astype(np.int64), slots - 1)
    return np.asarray((place * 2 + acquired) * len(REGIONS) + region)


def holders(world: World, policy: Ints, region: Ints, sold: Ints, acquired: Flags) -> tuple[Ints, Ints]:
    """Claimant who holds each policy, and the day on which their first policy was sold.

    A claimant has the number of their first policy; one policy in four is a second one of somebody in the region.
    """
    before = 1 + (world.uniform("between", policy) * _LONGEST_BETWEEN).astype(np.int64)
    is_second = world.uniform("second", policy) < _SECOND_SHARE
    joined = np.where(is_second, sold - before, sold)
    first = policy_numbers(world, region, joined, acquired, world.uniform("slot", policy))
    return np.where(is_second, first, policy), joined


def home_phones(world: World, claimant: Ints) -> Ints:
    """Phone of each claimant, nine digits; one household in sixteen has one for two claimants who joined together."""
    step = 2 * len(REGIONS)
    pair = -1 - (claimant // (2 * step) * step + claimant % step)  # below 0: no claimant has such a number
    return _phone(world, np.where(world.uniform("household", pair) < 1 / 16, pair, claimant))


def office_phones(world: World, agent: Ints) -> Ints:
    """Phone of each agent's office, nine digits."""
    return _phone(world, agent + 2**60)


def ring_phones(world: World, agent: Ints, which: Ints) -> Ints:
    """One of the phones of the ring that each agent is in, nine digits; `which` is 0 to 3."""
    return _phone(world, agent * PHONES_A_RING + which + 2**61)


def hail(world: World, day: Ints, region: Ints) -> Floats:
    """How hard it hails on each day in each region: 0 on most, and 1 in the mean of the storms."""
    place = day * len(REGIONS) + region
    summer = (0.5 + 0.5 * np.cos(2 * np.pi * (world.day_of_year(day) - _MIDSUMMER) / YEAR)) ** 2
    storm = world.uniform("storm", place) < _STORM_RATE * (_WINTER + (1 - _WINTER) * summer)
    return np.where(storm, 0.6 - 0.4 * np.log(world.uniform("severity", place)), 0.0)


USUAL_HAIL = _STORM_RATE * (_WINTER + (1 - _WINTER) * 3 / 8)
"""Mean of `hail` over a year: that of its summer is 3 / 8."""


def hashed_uniform(number: Ints, salt: int) -> Floats:
    """Hash numbers to uniform ones strictly between 0 and 1, with splitmix64's finaliser.

    Constants as in Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), in the
    variant of Vigna's ``splitmix64.c``.
    """
    mixed = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(((mixed >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)


def level(uniform: Floats, shares: Floats) -> Ints:
    """Level of each uniform number, by the levels' shares (sum 1)."""
    return np.asarray(np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1))


def _phone(world: World, owner: Ints) -> Ints:
    return np.asarray((world.uniform("phone", owner) * 1e9).astype(np.int64))
