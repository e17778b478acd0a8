"""The pure half of the generated motor book: claims, truth, investigations and dirt, one week at a time.

**The book is generated.** No row describes a real person, policy, garage or claim, and no figure below is an estimate
of a real insurer's book: unless a source is named, every constant is chosen, so that the book has the shape of the
problem (few frauds, several mechanisms, late and selected labels, some dirt) and its best attainable score is known.

The order of causes is kept: a claim's features are drawn first, `fraud_terms` turns them into a probability, and the
label is one Bernoulli draw from it. Suspicious patterns are therefore common among honest claims too, and no model can
beat the ranking by ``fraud_probability``. Sex takes no part in it.

Each week has its own random streams, so a week does not depend on the weeks before or after it. The bytes are the same
for the same seed and the same numpy; numpy does not promise equal streams across its versions (NEP 19).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from deploy.local.dirt import KINDS, mangle

DIRTY_SHARE = 0.01
"""Share of a file's rows that are dirty unless the caller says otherwise (chosen)."""

COLUMNS = (
    "claim_id", "policy_id", "claimant_id", "reported_on", "loss_on", "policy_start", "peril", "amount", "deductible",
    "vehicle_value", "vehicle_age", "driver_age", "sex", "region", "channel", "agent_id", "garage_id", "police_report",
    "witnesses", "injuries", "prior_claims", "photos", "hour",
)  # fmt: skip
"""Columns of a claims file, in their order."""

MECHANISMS = ("early_claim", "inflated_amount", "staged", "ring")
"""The ways of defrauding that `fraud_terms` knows by name; other frauds are an ``opportunist``'s."""

_PERILS = ("collision", "theft", "hail", "glass", "fire", "vandalism")
_PERIL_SHARES = np.array([0.46, 0.08, 0.07, 0.25, 0.02, 0.12])
_AMOUNT_MEDIANS = np.array([2400.0, 4200.0, 1800.0, 450.0, 3600.0, 900.0])  # EUR, for a vehicle of 20 000 EUR
_AMOUNT_SPREADS = np.array([0.80, 0.75, 0.60, 0.40, 0.80, 0.65])  # standard deviation of the log
_POLICE_SHARES = np.array([0.45, 0.88, 0.03, 0.05, 0.70, 0.50])
_NIGHT_SHARES = np.array([0.06, 0.40, 0.05, 0.10, 0.25, 0.40])
_NO_GARAGE_SHARES = np.array([0.0, 0.60, 0.0, 0.30, 0.0, 0.0])
_COLLISION = 0

_REGIONS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
_REGION_SHARES = np.array([0.17, 0.10, 0.12, 0.11, 0.16, 0.09, 0.15, 0.10])
_CHANNELS = ("agent", "broker", "online", "phone")
_CHANNEL_SHARES = np.array([0.40, 0.22, 0.26, 0.12])
_DEDUCTIBLES = np.array([0, 150, 300, 500, 1000])
_DEDUCTIBLE_SHARES = np.array([0.10, 0.25, 0.35, 0.20, 0.10])
_AGENTS_A_REGION = 8  # 64 agents in all
_GARAGES_A_REGION = 31  # 248 garages in all

_RING_AGENTS = 12
_GARAGES_A_RING = 3
_STEERED_SHARE = 0.13  # of a ring agent's claims go to one of the garages it works with

_PATTERN_SHARES = np.array([0.945, 0.018, 0.019, 0.018])  # ordinary, and claims that look early, inflated or staged
_EARLY, _INFLATED, _STAGED = 1, 2, 3

_YEAR = 365.25
_LONGEST_TENURE = 3650  # days from the start of a policy to a loss
_LONGEST_DELAY = 60  # days from a loss to its report
_GROWTH = 1.05  # claims a year
_INFLATION = 1.03  # amounts a year

_CAPACITY = 0.30  # share of a week's claims that the investigators can take on
_RANDOM_SHARE = 0.25  # of the capacity
_WRONG_SHARE = 0.02  # of the decisions
_DECISION_DAYS = (14, 84)  # from report to decision: 2 to 12 weeks, both ends included

_TRAITS = ("sex", "driver_age", "region", "channel", "agent", "new_price", "vehicle_age", "deductible", "prior_claims")


@dataclass(frozen=True)
class World:
    """What all weeks of one book share.

    Parameters
    ----------
    seed : int
        Seed of the book, at least 0.
    start : date
        First day of the first week.
    policies_a_day : int
        Policies sold on each day, at least 1: it decides how often a policy comes back with a second claim.
    partners : numpy.ndarray of int, shape (64, 3)
        Garages that each agent works with in a ring, by number; -1 for agents that are in none.
    salts : dict of str to int
        For each trait of a policy, what its hash is salted with.
    """

    seed: int
    start: date
    policies_a_day: int
    partners: np.ndarray
    salts: dict[str, int]


@dataclass(frozen=True)
class Week:
    """One generated week.

    Parameters
    ----------
    rows : polars.DataFrame
        The claims as they are written, all text, in the order of their report, dirt and repeated rows included:
        `COLUMNS` and ``kind``, which is one of `KINDS` for a dirty row and null for a clean one.
    truth : polars.DataFrame
        In the order of report: ``claim_id``, ``fraud_probability`` (0 to 1), ``is_fraud`` (Y or N), ``mechanism``.
        Without the claims whose id is lost in `rows`, since nobody could join them.
    outcomes : polars.DataFrame
        The investigated claims among those of `truth`, in no particular order: ``claim_id``, ``is_fraud`` (Y or N, as
        decided), ``decided_at`` (date), ``source``.
    """

    rows: pl.DataFrame
    truth: pl.DataFrame
    outcomes: pl.DataFrame


def weekly_counts(claims: int, weeks: int, start: date) -> np.ndarray:
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
    weights = _GROWTH ** (days / _YEAR) * (1.0 + 0.06 * np.cos(2 * np.pi * (days + _day_of_year(start) - 15) / _YEAR))
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


def create_world(seed: int, start: date, first_count: int) -> World:
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

    Returns
    -------
    World
        The same for the same arguments.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed]))
    agents = len(_REGIONS) * _AGENTS_A_REGION
    partners = np.full((agents, _GARAGES_A_RING), -1)
    for agent in rng.choice(agents, _RING_AGENTS, replace=False):
        nearby = rng.choice(_GARAGES_A_REGION, _GARAGES_A_RING, replace=False)
        partners[agent] = agent // _AGENTS_A_REGION * _GARAGES_A_REGION + nearby
    salts = dict(zip(_TRAITS, rng.integers(0, 2**63, len(_TRAITS)).tolist(), strict=True))
    return World(seed, start, max(1, first_count // 2), partners, salts)


def draw_week(world: World, week: int, count: int, first_number: int, dirty: float = DIRTY_SHARE) -> Week:
    """Draw one week of the book.

    Parameters
    ----------
    world : World
        What all weeks share.
    week : int
        Which week, from 0.
    count : int
        Claims reported in it, at least 1.
    first_number : int
        Number of its first claim; the others follow.
    dirty : float
        Share of dirty rows, 0 to 1.

    Returns
    -------
    Week
        The same for the same arguments.
    """
    # SeedSequence([seed, 0]) equals SeedSequence([seed]), which the world has used: weeks count from 1 here. Four
    # streams, so that the share of dirt changes nothing else.
    children = np.random.SeedSequence([world.seed, week + 1]).spawn(4)
    features, labels, investigators, dirt = (np.random.default_rng(child) for child in children)
    drawn = _draw_claims(world, week, count, first_number, features)
    terms = fraud_terms(drawn)
    logit = terms.sum_horizontal().to_numpy()
    probability = 1.0 / (1.0 + np.exp(-logit))
    is_fraud = labels.random(count) < probability
    leading = terms.select(MECHANISMS).to_numpy()
    named = np.where(leading.max(axis=1) >= 1.0, leading.argmax(axis=1), len(MECHANISMS))
    mechanism = np.where(is_fraud, named, len(MECHANISMS) + 1)
    claims = drawn.select(COLUMNS)
    truth = claims.select(
        "claim_id",
        fraud_probability=pl.Series(probability),
        is_fraud=_yes_no(is_fraud),
        mechanism=pl.Series((*MECHANISMS, "opportunist", "none")).gather(mechanism),
    )
    outcomes = _investigate(claims, logit, is_fraud, investigators)
    clean = pl.Series(dirt.random(count) >= dirty)
    kinds = pl.Series(KINDS).gather(dirt.integers(0, len(KINDS), count)).set(clean, None)
    lost = claims.filter(kinds.eq_missing("missing_claim_id"))["claim_id"].implode()
    known = ~pl.col("claim_id").is_in(lost)
    return Week(mangle(claims, kinds, dirt), truth.filter(known), outcomes.filter(known))


def fraud_terms(claims: pl.DataFrame) -> pl.DataFrame:
    """Weigh what speaks for fraud in each claim, on the log-odds scale.

    Parameters
    ----------
    claims : polars.DataFrame
        `COLUMNS` and ``excess`` (amount against what its peril and vehicle make usual, in standard deviations of the
        log) and ``partner`` (whether agent and garage work together in a ring).

    Returns
    -------
    polars.DataFrame
        Row for row, a column for each of `MECHANISMS` (at least 0) and ``background``, which holds the intercept and
        the small terms. ``fraud_probability`` is the logistic function of the row's sum. All weights are chosen.
    """
    days = (pl.col("loss_on") - pl.col("policy_start")).dt.total_days()
    delay = (pl.col("reported_on") - pl.col("loss_on")).dt.total_days()
    collision, theft = pl.col("peril") == "collision", pl.col("peril") == "theft"
    unreported = pl.col("police_report").ne_missing("yes")
    night = ~pl.col("hour").is_between(6, 21)
    high = (pl.col("excess") - 1.0).clip(0.0, 3.0)
    early = (-days / 30.0).exp()
    staged = (collision & night & unreported & (pl.col("witnesses") == 0)).cast(pl.Float64)
    partner = pl.col("partner").cast(pl.Float64)
    young_in_costly = (pl.col("driver_age") < 25) & (pl.col("vehicle_value") > 25_000)
    return claims.select(
        early_claim=early * (3.4 + 1.0 * high),
        inflated_amount=1.5 * high + 0.5 * high * (pl.col("photos") <= 1),
        staged=staged * (3.4 + 0.9 * (pl.col("injuries") > 0)),
        ring=partner * (2.8 + 1.2 * (pl.col("excess") > 0.5)),
        background=-4.8
        + 0.25 * pl.col("prior_claims")
        + 0.5 * (pl.col("photos") == 0)
        + 1.0 * (theft & unreported)
        + 0.5 * (delay > 14)
        + 0.5 * young_in_costly
        + 0.3 * (pl.col("channel") == "online")
        - 0.3 * pl.col("witnesses"),
    )


def _draw_claims(world: World, week: int, count: int, first_number: int, rng: np.random.Generator) -> pl.DataFrame:
    """Draw the features of a week's claims: `COLUMNS`, ``excess`` and ``partner``."""
    # Fewer reports at the weekend; sorted, so that claim numbers rise with the day of report.
    reported = 7 * week + np.sort(rng.choice(7, count, p=[0.19, 0.18, 0.17, 0.17, 0.16, 0.08, 0.05]))
    loss = reported - np.minimum(rng.geometric(0.22, count) - 1, _LONGEST_DELAY)
    pattern = rng.choice(len(_PATTERN_SHARES), count, p=_PATTERN_SHARES)
    early, inflated, staged = pattern == _EARLY, pattern == _INFLATED, pattern == _STAGED

    tenure = _truncated_exponential(rng.random(count), np.where(early, 18.0, 1200.0), _LONGEST_TENURE)
    sold = loss - tenure
    # A policy's number tells its day of sale and seeds its traits, so a policy that comes back is the same policy,
    # and no table of policies has to be kept.
    policy = (sold + _LONGEST_TENURE + _LONGEST_DELAY) * world.policies_a_day + rng.integers(
        0, world.policies_a_day, count
    )
    trait = {name: _hashed_uniform(policy, salt) for name, salt in world.salts.items()}
    years = tenure / _YEAR
    region = _level(trait["region"], _REGION_SHARES)
    agent = region * _AGENTS_A_REGION + (trait["agent"] * _AGENTS_A_REGION).astype(np.int64)
    vehicle_age = np.floor(12 * trait["vehicle_age"] ** 1.5 + years).astype(np.int64)
    new_price = 27_000 * np.exp(0.22 * np.log(trait["new_price"] / (1 - trait["new_price"])))
    vehicle_value = np.maximum(np.round(new_price * 0.87**vehicle_age, -2), 500).astype(np.int64)
    driver_age = np.minimum(18 + 58 * trait["driver_age"] ** 1.3 + years, 90).astype(np.int64)
    prior_claims = np.minimum(-np.log(trait["prior_claims"]) * (0.45 + 0.1 * years), 6).astype(np.int64)

    peril = _draw_peril(loss + _day_of_year(world.start), staged, rng)
    collision = peril == _COLLISION
    at_night = rng.random(count) < np.where(staged, 0.9, _NIGHT_SHARES[peril])
    by_day = np.clip(np.round(rng.normal(14.0, 3.8, count)), 6, 21).astype(np.int64)
    hour = np.where(at_night, (22 + rng.integers(0, 8, count)) % 24, by_day)
    called = rng.random(count) < np.where(staged, 0.08, _POLICE_SHARES[peril])
    police = np.where(rng.random(count) < 0.08, 2, np.where(called, 0, 1))
    witnesses = np.minimum(rng.poisson(np.where(staged, 0.1, np.where(collision, 0.7, 0.15))), 3)
    injuries = np.minimum(rng.poisson(np.where(staged, 0.35, np.where(collision, 0.15, 0.01))), 3)
    photos = np.minimum(rng.poisson(np.where(inflated, 1.2, 2.6)), 6)

    near = rng.random(count) < 0.9
    garage = np.where(near, region, rng.integers(0, len(_REGIONS), count)) * _GARAGES_A_REGION
    garage += rng.integers(0, _GARAGES_A_REGION, count)
    offered = world.partners[agent, rng.integers(0, _GARAGES_A_RING, count)]
    steered = (offered >= 0) & (rng.random(count) < _STEERED_SHARE)
    garage = np.where(steered, offered, garage)
    has_garage = steered | (rng.random(count) >= _NO_GARAGE_SHARES[peril])
    partner = has_garage & (world.partners[agent] == garage[:, None]).any(axis=1)

    excess = rng.normal(0.0, 1.0, count) + np.where(inflated, 1.9, 0.0) + np.where(early | steered, 0.5, 0.0)
    usual = _AMOUNT_MEDIANS[peril] * (vehicle_value / 20_000) ** 0.4 * _INFLATION ** (reported / _YEAR)
    amount = np.maximum(np.round(100 * usual * np.exp(_AMOUNT_SPREADS[peril] * excess)), 1) / 100

    first_day = np.datetime64(world.start, "D")
    return pl.DataFrame(
        {
            "claim_id": _ids("C", first_number + np.arange(count), 10),
            "policy_id": _ids("P", policy, 10),
            "claimant_id": _ids("K", policy, 10),  # one claimant a policy
            "reported_on": first_day + reported,
            "loss_on": first_day + loss,
            "policy_start": first_day + sold,
            "peril": pl.Series(_PERILS).gather(peril),
            "amount": pl.Series(amount).cast(pl.Decimal(14, 2)),
            "deductible": _DEDUCTIBLES[_level(trait["deductible"], _DEDUCTIBLE_SHARES)],
            "vehicle_value": vehicle_value,
            "vehicle_age": vehicle_age,
            "driver_age": driver_age,
            "sex": pl.Series(("F", "M")).gather((trait["sex"] < 0.54).astype(np.int64)),
            "region": pl.Series(_REGIONS).gather(region),
            "channel": pl.Series(_CHANNELS).gather(_level(trait["channel"], _CHANNEL_SHARES)),
            "agent_id": _ids("A", agent + 1, 3),
            "garage_id": _ids("G", garage + 1, 3).set(pl.Series(~has_garage), None),
            "police_report": pl.Series(("yes", "no", None)).gather(police),
            "witnesses": witnesses,
            "injuries": injuries,
            "prior_claims": prior_claims,
            "photos": photos,
            "hour": hour,
            "excess": excess,
            "partner": partner,
        }
    )


def _draw_peril(day: np.ndarray, staged: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the peril by day of the year: hail comes in summer. A staged-looking claim is a collision."""
    shares = np.tile(_PERIL_SHARES, (len(day), 1))
    shares[:, _PERILS.index("hail")] *= 1.0 - 0.9 * np.cos(2 * np.pi * (day - 15) / _YEAR)
    limits = np.cumsum(shares, axis=1)
    peril = (rng.random(len(day))[:, None] * limits[:, -1:] > limits).sum(axis=1)
    return np.where(staged, _COLLISION, peril)


def _investigate(
    claims: pl.DataFrame, logit: np.ndarray, is_fraud: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    """Choose the claims to investigate and decide them, late and now and then wrongly."""
    count = len(claims)
    taken = int(_CAPACITY * count + rng.random())  # rounded at random: a week of one claim has its chance too
    at_random = int(_RANDOM_SHARE * taken + rng.random())
    # People see part of what matters, look at the sum too much, and disagree with each other.
    large = np.log(claims["amount"].cast(pl.Float64).to_numpy())
    suspicion = 0.8 * logit + 0.4 * large + rng.normal(0.0, 1.6, count)
    # The random quarter is drawn first and from all claims, so that it is a fair sample of them.
    suspicion[rng.permutation(count)[:at_random]] = np.inf
    chosen = np.argsort(-suspicion, kind="stable")[:taken]
    found = is_fraud[chosen] ^ (rng.random(taken) < _WRONG_SHARE)
    first, last = _DECISION_DAYS
    days = pl.Series(rng.integers(first, last + 1, taken))
    return claims[chosen].select(
        "claim_id",
        is_fraud=_yes_no(found),
        decided_at=pl.col("reported_on") + pl.duration(days=pl.lit(days)),
        source=pl.lit("siu"),
    )


def _day_of_year(day: date) -> int:
    return day.timetuple().tm_yday


def _level(uniform: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Level of each uniform number, by the levels' shares (sum 1)."""
    return np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1)


def _truncated_exponential(uniform: np.ndarray, mean: np.ndarray, longest: int) -> np.ndarray:
    """Whole days from 0 up to `longest`, by the inverse of the truncated exponential distribution."""
    return np.asarray((-mean * np.log1p(-uniform * -np.expm1(-longest / mean))).astype(np.int64))


def _hashed_uniform(number: np.ndarray, salt: int) -> np.ndarray:
    """Hash numbers to uniform ones strictly between 0 and 1, with splitmix64's finaliser.

    Constants as in Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), in the
    variant of Vigna's ``splitmix64.c``.
    """
    mixed = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52


def _ids(letter: str, numbers: np.ndarray, digits: int) -> pl.Series:
    text = pl.Series(numbers).cast(pl.String).str.zfill(digits)
    return letter + text


def _yes_no(flags: np.ndarray) -> pl.Series:
    return pl.Series(("N", "Y")).gather(flags.astype(np.int64))
