"""The features of the generated claims: drawn before, and without regard to, what is fraud.

Unless a source is named, every constant is chosen, so that the book has the shape of the problem. Where one is named,
the book's figure is held against it in ``tests/unit/test_simulate_marginals.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from deploy.local.simulate import photos
from deploy.local.simulate.world import (
    AGENTS_A_REGION,
    GARAGES_A_REGION,
    GARAGES_A_RING,
    LONGEST_DELAY,
    LONGEST_TENURE,
    PHONES_A_RING,
    REGION_SHARES,
    REGIONS,
    USUAL_HAIL,
    YEAR,
    Flags,
    Floats,
    Ints,
    World,
    hail,
    holders,
    home_phones,
    level,
    office_phones,
    policy_numbers,
    ring_phones,
)

COLUMNS = (
    "claim_id", "policy_id", "claimant_id", "phone", "reported_on", "loss_on", "policy_start", "peril", "amount",
    "deductible", "vehicle_value", "vehicle_age", "driver_age", "sex", "region", "channel", "agent_id", "garage_id",
    "police_report", "witnesses", "injuries", "prior_claims", "photos", "hour",
)  # fmt: skip
"""Columns of a claims file, in their order."""

INFLATION = 1.033
"""Amounts a year. ISO, by the Insurance Information Institute (2023): collision claims, 2013 to 2019."""

_PERILS = ("collision", "theft", "hail", "glass", "fire", "vandalism")
# Collision against all own damage: ISO, by the Insurance Information Institute (2023). Hail: six in a hundred in
# Germany (Allianz, 2018). The rest is chosen.
_PERIL_SHARES = np.array([0.610, 0.060, 0.055, 0.190, 0.020, 0.065])
# EUR at the start, for a vehicle of 20 000 EUR, so that the means are near GDV's of theft (2022), hail and glass (2024)
# and ISO's of collision (2020 to 2022).
_AMOUNT_MEDIANS = np.array([3600.0, 4100.0, 3350.0, 985.0, 3600.0, 1100.0])
_AMOUNT_SPREADS = np.array([0.80, 0.75, 0.60, 0.40, 0.80, 0.65])  # standard deviation of the log
_POLICE_SHARES = np.array([0.45, 0.88, 0.03, 0.05, 0.70, 0.50])
_NIGHT_SHARES = np.array([0.06, 0.40, 0.05, 0.10, 0.25, 0.40])
_NO_GARAGE_SHARES = np.array([0.0, 0.60, 0.0, 0.30, 0.0, 0.0])
_COLLISION, _HAIL = 0, 2
_LOCAL_HAIL_SHARE = 0.06  # of the honest hail falls where no storm is known of

_CHANNELS = ("agent", "broker", "online", "phone")
_CHANNEL_SHARES = np.array([0.40, 0.22, 0.26, 0.12])
_ACQUIRED_SHARE = 0.50  # of the claims, once a portfolio is taken over
_ACQUIRED_CHANNEL_SHARES = np.array([0.06, 0.06, 0.80, 0.08])
_DEDUCTIBLES = np.array([0, 150, 300, 500, 1000])
_DEDUCTIBLE_SHARES = np.array([0.10, 0.25, 0.35, 0.20, 0.10])

_STEERED_SHARE = 0.13  # of a ring agent's claims go to one of the garages it works with
_RING_PHONE_SHARE = 0.50  # of those give one of the ring's phones
_OFFICE_PHONE_SHARE = 0.02  # of the policies sold by agents have the agent's phone
_NO_PHONE_SHARE = 0.03

_REPORT_DAYS = np.array([0.19, 0.18, 0.17, 0.17, 0.16, 0.08, 0.05])  # Monday to Sunday: few at the weekend
# Crashes a day in Catalonia, Monday to Sunday: Basagaña et al., Environmental Health Perspectives 123 (2015), table 1.
_LOSS_DAYS = np.array([65.5, 65.7, 65.9, 68.0, 72.5, 59.5, 51.8])
_DELAYS = 0.22 * 0.78 ** np.arange(LONGEST_DELAY + 1)  # days from loss to report: geometric


@dataclass(frozen=True)
class _Events:
    """What happened to whom, claim by claim: days count from the start of the book."""

    number: Ints
    pattern: Ints
    reported: Ints
    region: Ints
    peril: Ints
    loss: Ints
    tenure: Ints  # days from the start of the policy to the loss
    acquired: Flags  # whether the policy is one of the portfolio that was taken over
    slot: Floats  # which of the day's policies

    def sent_in_again(self, row: Ints) -> _Events:
        """Let each claim be about what happened in the claim of a row."""
        repeated = {
            name: getattr(self, name)[row] for name in ("region", "peril", "loss", "tenure", "acquired", "slot")
        }
        return replace(self, **repeated)


def draw_claims(world: World, week: int, number: Ints, part: tuple[int, int], rng: np.random.Generator) -> pl.DataFrame:
    """Draw the features of claims that are reported in one week.

    Parameters
    ----------
    world : World
        What all weeks share.
    week : int
        Which week, from 0.
    number : numpy.ndarray of int, shape (n,)
        Numbers of the claims.
    part : tuple of int
        Which part of the week's claims, from 0, and of how many: all parts together cover the week evenly.
    rng : numpy.random.Generator
        Chance.

    Returns
    -------
    polars.DataFrame
        In the order of report: `COLUMNS`, and beside them ``excess`` (amount against what its peril and vehicle make
        usual, in standard deviations of the log), ``partner`` and ``ring_phone`` (whether agent and garage work
        together in a ring, and whether the phone is that ring's), ``storm`` (whether it hailed there on the day of the
        loss), ``photo_source`` (number of the claim whose photo is used again, -1 for none) and ``borrowed`` (whether
        that is somebody else's).
    """
    weekday = level((part[0] + np.sort(rng.random(len(number)))) / part[1], _REPORT_DAYS)  # rising, as numbers do
    events = _draw_events(world, number, 7 * week + weekday, world.drifted("covariate", week), rng)
    row = photos.resubmissions(world, number, rng)
    events = events.sent_in_again(row)
    insured, holder, agent = _find_insured(world, events)
    involved, steered = _draw_involved(world, events, holder, agent, insured["channel"], rng)
    borrowed = photos.borrowings(world, number, rng)
    repeated = row != np.arange(len(number))
    first_day = np.datetime64(world.start, "D")
    claims = pl.DataFrame(
        {
            "claim_id": claim_ids(number),
            "reported_on": first_day + events.reported,
            "loss_on": first_day + events.loss,
            "policy_start": first_day + events.loss - events.tenure,
            "peril": pl.Series(_PERILS).gather(events.peril),
            "region": pl.Series(REGIONS).gather(events.region),
            "photos": photos.photo_counts(world, number),
            **insured,
            **involved,
            **_draw_circumstances(events, rng),
            **_draw_amount(events, insured["vehicle_value"].to_numpy(), steered, rng),
            "storm": hail(world, events.loss, events.region) > 0,
            "photo_source": np.where(repeated, number[row], borrowed),
            "borrowed": ~repeated & (borrowed >= 0),
        }
    )
    return claims.select(*COLUMNS, pl.all().exclude(COLUMNS))


def _draw_events(world: World, number: Ints, reported: Ints, is_larger: bool, rng: np.random.Generator) -> _Events:
    count = len(number)
    pattern = photos.patterns(world, number)
    region = level(rng.random(count), REGION_SHARES)
    falling = _falling(world, reported, region)
    staged_hail = pattern == photos.STAGED_HAIL
    peril = np.where(pattern == photos.STAGED, _COLLISION, np.where(staged_hail, _HAIL, _draw_peril(falling, rng)))
    hailed = (peril == _HAIL) & ~staged_hail & (rng.random(count) >= _LOCAL_HAIL_SHARE) & (falling > 0)
    loss = reported - _draw_delay(world, reported, region, hailed, rng)
    mean = np.where(pattern == photos.EARLY, 18.0, 1200.0)
    tenure = _truncated_exponential(rng.random(count), mean, LONGEST_TENURE)
    acquired = rng.random(count) < (_ACQUIRED_SHARE if is_larger else 0.0)
    return _Events(number, pattern, reported, region, peril, loss, tenure, acquired, slot=rng.random(count))


def _find_insured(world: World, events: _Events) -> tuple[dict[str, pl.Series], Ints, Ints]:
    """Columns of policy, vehicle and driver, which follow from who it is; the holders' and the agents' numbers."""
    region, acquired, years = events.region, events.acquired, events.tenure / YEAR
    sold = events.loss - events.tenure
    policy = policy_numbers(world, region, sold, acquired, events.slot)
    holder, joined = holders(world, policy, region, sold, acquired)
    agent = region * AGENTS_A_REGION + (world.uniform("agent", policy) * AGENTS_A_REGION).astype(np.int64)
    sold_by = world.uniform("channel", policy)
    channel = np.where(acquired, level(sold_by, _ACQUIRED_CHANNEL_SHARES), level(sold_by, _CHANNEL_SHARES))
    vehicle_age = np.floor(12 * world.uniform("vehicle_age", policy) ** 1.5 + years).astype(np.int64)
    rank = world.uniform("new_price", policy)
    new_price = np.where(acquired, 36_000, 27_000) * np.exp(0.22 * np.log(rank / (1 - rank)))
    lived = np.where(acquired, 22, 58) * world.uniform("driver_age", holder) ** 1.3 + (events.loss - joined) / YEAR
    before = -np.log(world.uniform("prior_claims", policy)) * (0.45 + 0.1 * years)
    columns = {
        "policy_id": _ids("P", policy, 10),
        "claimant_id": _ids("K", holder, 10),
        "agent_id": _ids("A", agent + 1, 3),
        "channel": pl.Series(_CHANNELS).gather(channel),
        "deductible": pl.Series(_DEDUCTIBLES[level(world.uniform("deductible", policy), _DEDUCTIBLE_SHARES)]),
        "vehicle_value": pl.Series(np.maximum(np.round(new_price * 0.87**vehicle_age, -2), 500).astype(np.int64)),
        "vehicle_age": pl.Series(vehicle_age),
        "driver_age": pl.Series(np.minimum(18 + lived, 90).astype(np.int64)),
        "sex": pl.Series(("F", "M")).gather((world.uniform("sex", holder) < 0.54).astype(np.int64)),
        "prior_claims": pl.Series(np.minimum(before, 6).astype(np.int64)),
    }
    return columns, holder, agent


def _draw_involved(
    world: World, events: _Events, holder: Ints, agent: Ints, channel: pl.Series, rng: np.random.Generator
) -> tuple[dict[str, pl.Series], Flags]:
    """Columns of garage and phone, and which claims were steered to a ring's garage."""
    count = len(agent)
    near = rng.random(count) < 0.9
    garage = np.where(near, events.region, rng.integers(0, len(REGIONS), count)) * GARAGES_A_REGION
    garage += rng.integers(0, GARAGES_A_REGION, count)
    offered = world.partners[agent, rng.integers(0, GARAGES_A_RING, count)]
    steered = (offered >= 0) & (rng.random(count) < _STEERED_SHARE)
    garage = np.where(steered, offered, garage)
    has_garage = steered | (rng.random(count) >= _NO_GARAGE_SHARES[events.peril])
    ring_phone = steered & (rng.random(count) < _RING_PHONE_SHARE)
    at_office = (channel == "agent").to_numpy() & (rng.random(count) < _OFFICE_PHONE_SHARE)
    phone = np.where(at_office, office_phones(world, agent), home_phones(world, holder))
    phone = np.where(ring_phone, ring_phones(world, agent, rng.integers(0, PHONES_A_RING, count)), phone)
    no_phone = ~ring_phone & (rng.random(count) < _NO_PHONE_SHARE)
    columns = {
        "garage_id": _ids("G", garage + 1, 3).set(pl.Series(~has_garage), None),
        # No country has 999: the numbers are nobody's
        "phone": _ids("+999", phone, 9).set(pl.Series(no_phone), None),
        "partner": pl.Series(has_garage & (world.partners[agent] == garage[:, None]).any(axis=1)),
        "ring_phone": pl.Series(ring_phone),
    }
    return columns, steered


def _draw_circumstances(events: _Events, rng: np.random.Generator) -> dict[str, pl.Series]:
    """Columns of what is told of the loss."""
    count = len(events.peril)
    staged, collision = events.pattern == photos.STAGED, events.peril == _COLLISION
    at_night = rng.random(count) < np.where(staged, 0.9, _NIGHT_SHARES[events.peril])
    by_day = rng.triangular(6.0, 17.0, 22.0, count).astype(np.int64)
    called = rng.random(count) < np.where(staged, 0.08, _POLICE_SHARES[events.peril])
    police = np.where(rng.random(count) < 0.08, 2, np.where(called, 0, 1))
    witnesses = rng.poisson(np.where(staged, 0.1, np.where(collision, 0.7, 0.15)))
    injuries = rng.poisson(np.where(staged, 0.35, np.where(collision, 0.15, 0.01)))
    return {
        "hour": pl.Series(np.where(at_night, (22 + rng.integers(0, 8, count)) % 24, by_day)),
        "police_report": pl.Series(("yes", "no", None)).gather(police),
        "witnesses": pl.Series(np.minimum(witnesses, 3)),
        "injuries": pl.Series(np.minimum(injuries, 3)),
    }


def _draw_amount(
    events: _Events, vehicle_value: Ints, steered: Flags, rng: np.random.Generator
) -> dict[str, pl.Series]:
    """Columns ``amount`` and ``excess``."""
    raised = 1.9 * (events.pattern == photos.INFLATED) + 0.5 * ((events.pattern == photos.EARLY) | steered)
    excess = rng.normal(raised)
    usual = _AMOUNT_MEDIANS[events.peril] * (vehicle_value / 20_000) ** 0.4 * INFLATION ** (events.reported / YEAR)
    amount = np.maximum(np.round(100 * usual * np.exp(_AMOUNT_SPREADS[events.peril] * excess)), 1) / 100
    return {"amount": pl.Series(amount).cast(pl.Decimal(14, 2)), "excess": pl.Series(excess)}


def claim_ids(number: Ints) -> pl.Series:
    """Id of each claim, by its number."""
    return _ids("C", number, 10)


def _falling(world: World, reported: Ints, region: Ints) -> Floats:
    """How much of the hail of the last weeks is reported on a day in a region; 1 is the mean of a year."""
    days, places = np.arange(reported[0], reported[-1] + 1), np.arange(len(REGIONS))
    fell = days[:, None, None] - np.arange(LONGEST_DELAY + 1)
    table = (hail(world, fell, places[:, None]) * _DELAYS).sum(axis=2) / USUAL_HAIL
    return np.asarray(table[reported - reported[0], region])


def _draw_peril(falling: Floats, rng: np.random.Generator) -> Ints:
    """Draw the peril of each claim: hail as it fell, the others by their shares."""
    shares = np.tile(_PERIL_SHARES, (len(falling), 1))
    shares[:, _HAIL] *= falling
    limits = np.cumsum(shares, axis=1)
    return np.asarray((rng.random(len(falling))[:, None] * limits[:, -1:] > limits).sum(axis=1))


def _draw_delay(world: World, reported: Ints, region: Ints, hailed: Flags, rng: np.random.Generator) -> Ints:
    """Days from loss to report: of hail, back to a day on which it hailed there."""
    uniform = rng.random(len(reported))
    weekday = reported % 7
    delay = np.searchsorted(_DELAY_LIMITS, weekday + uniform, side="right") - weekday * (LONGEST_DELAY + 1)
    rows = np.flatnonzero(hailed)
    fell = hail(world, reported[rows, None] - np.arange(LONGEST_DELAY + 1), region[rows, None])
    limits = np.cumsum(fell * _DELAYS, axis=1)
    delay[rows] = (uniform[rows, None] * limits[:, -1:] >= limits).sum(axis=1)
    return np.asarray(np.clip(delay, 0, LONGEST_DELAY))


def _delay_limits() -> Floats:
    """Limits of the delays by day of report, 61 a day, each day's from its number to the next.

    The joint distribution of the days of loss and report keeps the shares of both: iterative proportional fitting
    (Deming and Stephan, Annals of Mathematical Statistics 11, 1940).
    """
    joint = np.tile(_DELAYS, (7, 1))
    lost_on = (np.arange(7)[:, None] - np.arange(LONGEST_DELAY + 1)) % 7
    for _ in range(100):
        joint *= (_LOSS_DAYS / _LOSS_DAYS.sum() / np.bincount(lost_on.ravel(), joint.ravel()))[lost_on]
        joint *= (_REPORT_DAYS / joint.sum(axis=1))[:, None]
    limits = np.cumsum(joint / joint.sum(axis=1, keepdims=True), axis=1)
    return np.asarray((np.arange(7)[:, None] + limits).ravel())


_DELAY_LIMITS = _delay_limits()


def _truncated_exponential(uniform: Floats, mean: Floats, longest: int) -> Ints:
    """Whole days from 0 up to `longest`, by the inverse of the truncated exponential distribution."""
    return np.asarray((-mean * np.log1p(-uniform * -np.expm1(-longest / mean))).astype(np.int64))


def _ids(letter: str, numbers: Ints, digits: int) -> pl.Series:
    text = pl.Series(numbers).cast(pl.String).str.zfill(digits)
    return letter + text
