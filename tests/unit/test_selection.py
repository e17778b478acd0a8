"""Who was looked at, and how many claims each of them stands for."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from jobs.drift.selection import Cells, chosen_otherwise, way, weights


def claims(n: int = 20_000, seed: int = 0) -> pl.DataFrame:
    """Claims that are flagged from 0.3 on, of which one in fifty others is audited; fraud knows more than the score."""
    random = np.random.default_rng(seed)
    hidden = random.normal(0, 1, n)
    probability = 1 / (1 + np.exp(3 - random.normal(0, 1.5, n)))
    flagged = probability >= 0.3
    fraud = random.random(n) < 1 / (1 + np.exp(-np.log(probability / (1 - probability)) - hidden))
    return pl.DataFrame(
        {
            "probability": probability,
            "flagged": flagged,
            "looked": flagged,
            "audited": ~flagged & (random.random(n) < 0.02),
            "amount": random.lognormal(7, 1, n),
            "truth": fraud,
            "hidden": hidden,
        }
    )


def known(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(is_fraud=pl.when(where).then("truth"))


LOOKED = pl.col("looked") | pl.col("audited")


def test_way_is_told_from_the_claims() -> None:
    """Outcomes of nearly all claims, of those that were flagged or drawn, or of whomever investigators took."""
    frame = claims()
    assert way(known(frame, pl.col("amount") > 10)) == "all"
    assert way(known(frame, LOOKED)) == "audit"
    assert way(known(frame, pl.col("hidden") > 0.5)) == "chosen"
    assert way(known(frame, pl.lit(False))) == "chosen"
    assert way(known(frame.head(0), LOOKED)) == "chosen"


def test_one_audited_claim_without_an_outcome_is_no_other_way() -> None:
    """Of three audited claims one is still open: too few to say that the audit sample is not looked at."""
    frame = claims(2000).with_columns(audited=pl.lit(False))
    drawn = frame.with_row_index().filter(~pl.col("looked")).head(3)["index"]
    few = frame.with_columns(audited=pl.int_range(pl.len()).is_in(drawn.implode()))
    assert way(known(few, LOOKED & (pl.int_range(pl.len()) != drawn[0]))) == "audit"


@pytest.mark.parametrize("seed", range(3))
def test_audit_sample_speaks_for_those_that_nobody_suspects(seed: int) -> None:
    """The prevalence among all claims comes out though others are looked at where something is seen amiss."""
    frame = known(claims(seed=seed), LOOKED | (pl.col("hidden") > 2))
    weight = weights(frame, "audit", Cells.of(frame))
    fraud = frame["is_fraud"].fill_null(False).to_numpy()
    assert weight.sum() == pytest.approx(frame.height)
    assert weight[frame["flagged"].to_numpy()] == pytest.approx(1.0)
    truth = frame["truth"].mean()
    naive = frame["is_fraud"].mean()
    assert weight @ fraud / weight.sum() == pytest.approx(truth, rel=0.25)
    assert naive > 1.5 * truth


def test_choice_by_probability_and_amount_is_made_good() -> None:
    """Where investigators go by these two, each claim stands for those like it."""
    frame = claims()
    picked = pl.Series(np.random.default_rng(1).random(frame.height)) < 0.1 + 0.8 * (frame["amount"] > 1500)
    chosen = known(frame, pl.lit(picked) & (pl.col("amount") > 0))
    weight = weights(chosen, "chosen", Cells.of(chosen))
    fraud = chosen["is_fraud"].fill_null(False).to_numpy()
    assert weight @ fraud / weight.sum() == pytest.approx(frame["truth"].mean(), rel=0.1)


def test_everyone_known_stands_for_himself() -> None:
    """Without selection no claim weighs more than another, and one without an outcome nothing."""
    frame = known(claims(500), pl.col("amount") > 300)
    assert weights(frame, "all", Cells.of(frame)).tolist() == frame["is_fraud"].is_not_null().cast(float).to_list()


def test_another_choice_is_told_and_a_smaller_one_is_not() -> None:
    """Fewer investigations of the same kind are no change; going by the amount instead is."""
    frame, later = claims(3000), claims(1000, seed=1)
    by_score = pl.col("probability") > pl.col("probability").quantile(0.6)
    random = pl.Series(np.random.default_rng(2).random(3000)), pl.Series(np.random.default_rng(3).random(1000))
    first = known(frame, by_score & pl.lit(random[0] < 0.9) | pl.lit(random[0] < 0.05))
    fewer = known(later, by_score & pl.lit(random[1] < 0.6) | pl.lit(random[1] < 0.02))
    other = known(later, (pl.col("amount") > 1500) & pl.lit(random[1] < 0.8) | pl.lit(random[1] < 0.05))
    assert chosen_otherwise(first, fewer).p_value > 0.001 or chosen_otherwise(first, fewer).tau < 0.5
    assert chosen_otherwise(first, other).p_value < 1e-6
    assert chosen_otherwise(first, other).tau > 1


def test_claims_without_an_amount_have_a_place_of_their_own() -> None:
    """Where no column is the amount, claims are told apart by their probability alone."""
    frame = claims(200).with_columns(amount=pl.lit(None, pl.Float64))
    cells = Cells.of(frame)
    assert len(set(cells.codes(frame).tolist())) == 5
    assert cells.codes(frame).max() < cells.size
