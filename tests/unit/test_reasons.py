"""What is told of a claim: exact contributions, how unusual a value is, and sentences that read well."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from shared.contract import load
from shared.errors import ModelError
from shared.features import Feature, features_of, values
from shared.model import Calibration, Model
from shared.parts import Logistic, Trees, laid_out
from shared.past import past_of
from shared.peers import LEAST_PEERS, PEERS, Peers, kind_of, unusual
from shared.peers import load as load_peers
from shared.profile import Profile
from shared.reasons import Explainer, sentence
from shared.words import words_of
from tests import claims_factory
from tests.claims_factory import ODD
from tests.factories import ROOT

CLAIMS = claims_factory.claims(600)
FEATURES = features_of(claims_factory.contract())
KNOWN = values(CLAIMS, FEATURES)
DEMO = load(ROOT / "contracts" / "demo.toml")


@pytest.fixture(scope="module")
def blend() -> Model:
    """A blend of a logistic regression and trees, calibrated."""
    y = CLAIMS["is_fraud"].to_numpy().astype(float)
    trees = {"max_depth": 3, "learning_rate": 0.3, "rounds": 10, "max_bin": 64}
    fitted = Fitter(FEATURES, KNOWN, y, 1, 0).fit(Candidate("blend", logistic={"C": 0.1, "linear": 1}, trees=trees))
    return replace(fitted, calibration=Calibration(0.7, -0.3))


def explained(explainer: Explainer, claims: pl.DataFrame, known: pl.DataFrame, shares: Any) -> list[list[Any]]:
    """The reasons, read back."""
    return [json.loads(text) for text in explainer.explain(claims, known, np.asarray(shares, dtype=float))]


def test_contributions_are_exact(blend: Model) -> None:
    """Of a calibrated blend, each is the slope times the mean of XGBoost's own and the logistic regression's."""
    logistic = next(part for part in blend.parts if isinstance(part, Logistic))
    trees = next(part for part in blend.parts if isinstance(part, Trees))
    by_hand = np.column_stack(
        [
            coefficient * np.asarray(evidence)[bins.codes(KNOWN[feature.name])]
            for feature, bins, evidence, coefficient in zip(
                FEATURES, logistic.bins, logistic.evidence, logistic.coefficients, strict=True
            )
        ]
    )
    for term in logistic.linear:
        numbers = KNOWN[term.feature].to_numpy()
        held = np.clip(np.sign(numbers) * np.log1p(np.abs(numbers)), term.low, term.high)
        place = KNOWN.columns.index(term.feature)
        by_hand[:, place] += np.where(np.isnan(numbers), 0.0, term.slope * (held - term.middle))
    booster = xgboost.Booster(model_file=bytearray(trees.booster_json.encode()))
    rows = xgboost.DMatrix(laid_out(KNOWN, trees.levels))
    by_xgboost = booster.predict(rows, pred_contribs=True)
    found = blend.contributions(KNOWN, 1)
    assert found == pytest.approx(
        0.7 * (by_hand + by_xgboost[:, :-1]) / 2, abs=1e-5
    )  # XGBoost's are of single precision
    # With what an average claim has, they are the log odds that the claim is scored by.
    average = (logistic.intercept + by_xgboost[:, -1]) / 2
    assert found.sum(axis=1) + 0.7 * average - 0.3 == pytest.approx(blend.margin(KNOWN, 1), abs=1e-4)


def test_reasons_are_the_largest_contributions(blend: Model) -> None:
    """The three reasons of a claim are its three largest contributions, with their sign."""
    shares = blend.contributions(KNOWN, 1)
    explainer = Explainer(FEATURES, claims_factory.contract(), Peers.of(CLAIMS, FEATURES, None))
    names = [feature.name for feature in FEATURES]
    for row, reasons in zip(shares, explained(explainer, CLAIMS, KNOWN, shares), strict=True):
        largest = sorted(np.abs(row), reverse=True)[:3]
        assert [abs(reason["log_odds"]) for reason in reasons] == pytest.approx([s for s in largest if s], abs=1e-4)
        for reason in reasons:
            assert reason["log_odds"] == pytest.approx(row[names.index(reason["feature"])], abs=1e-4)


def test_reasons_name_values_as_people_do() -> None:
    """An ordered level is named, an unknown value is null, a share of zero is no reason, and all is strict JSON."""
    features = [Feature("size", ("size",), "ordered", ("S", "M")), Feature(ODD, (ODD,), "category")]
    known = pl.DataFrame({"size": [1.0, None], ODD: ['"^a$"\n', None]}, schema={"size": pl.Float64, ODD: pl.String})
    explainer = Explainer(features, claims_factory.contract(), Peers(Profile(())))
    first, second = explained(explainer, known, known, [[0.5, -1.0], [0.0, 0.25]])
    assert [{**reason, "text": None} for reason in first] == [
        {
            **{"feature": ODD, "value": '"^a$"\n', "direction": "lowers", "log_odds": -1.0},
            **{"unusual": None, "peers": "all claims", "text": None},
        },
        {
            **{"feature": "size", "value": "M", "direction": "raises", "log_odds": 0.5},
            **{"unusual": None, "peers": "all claims", "text": None},
        },
    ]
    assert first[1]["text"] == "Size: M, which raises the fraud probability."
    assert second[0]["value"] is None
    assert second[0]["text"] == f"{ODD[0].upper()}{ODD[1:]} is unknown, which raises the fraud probability."


def book(claims: int = 2000) -> tuple[pl.DataFrame, pl.DataFrame, list[Feature]]:
    """Claims of the demo contract, theft dearer than hail, and a few of a kind that has too few of them."""
    random = np.random.default_rng(5)
    kinds = random.choice(["theft", "hail"], claims).tolist()
    kinds[:50] = ["fire"] * 50
    dear = np.where(np.array(kinds) == "theft", 10_000.0, 1000.0)
    frame = pl.DataFrame(
        {
            "peril": kinds,
            "amount": dear * random.lognormal(0, 0.5, claims),
            "garage_id": pl.Series(random.choice(["G1", "G2", "G3"], claims)).set(
                pl.Series(random.random(claims) < 0.1), None
            ),
            "sex": random.choice(["F", "M"], claims),
        }
    )
    features = [feature for feature in features_of(DEMO) if feature.name in frame.columns]
    return frame, values(frame, features), features


def test_unusual_is_counted_among_peers() -> None:
    """An amount is compared with claims of its own kind, or with all where those are few, and the share is theirs."""
    frame, known, features = book()
    peers = Peers.of(frame, features, "peril")
    assert peers.kinds.keys() == {"theft", "hail"}
    shares = np.zeros(known.shape)
    shares[:, [feature.name for feature in features].index("amount")] = 1.0
    found = [reasons[0] for reasons in explained(Explainer(features, DEMO, peers), frame, known, shares)]
    assert {reason["peers"] for reason in found} == {"claims of theft", "claims of hail", "all claims"}
    thefts = frame.with_columns(unusual=pl.Series([reason["unusual"] for reason in found])).filter(peril="theft")
    amount, told = thefts["amount"].to_numpy(), thefts["unusual"].to_numpy()
    # By bins of a hundredth of all claims, so a fiftieth of those that are half of them.
    actual = np.array([min((amount >= one).mean(), (amount <= one).mean()) for one in amount])
    assert np.abs(told - actual).max() < 0.03
    dearest = max((reason for reason in found if reason["peers"] == "claims of theft"), key=lambda r: r["value"])
    assert "as high or higher in" in dearest["text"]
    assert dearest["unusual"] < 0.03


def test_a_level_is_as_usual_as_it_is_frequent() -> None:
    """Of a category the share is that of the level, of what is unknown that of the unknown; the kind itself has all."""
    frame, known, features = book()
    peers = Peers.of(frame, features, "peril")
    shares = np.zeros(known.shape)
    names = [feature.name for feature in features]
    for name, column in (("garage_id", "garage_id"), ("peril", "peril")):
        shares[:] = 0.0
        shares[:, names.index(name)] = -1.0
        told = explained(Explainer(features, DEMO, peers), frame, known, shares)
        among = frame if name == "peril" else frame.filter(peril="theft")
        for place in range(60, 80):
            if name == "garage_id" and frame["peril"][place] != "theft":
                continue
            level = frame[column][place]
            alike = among[column].null_count() if level is None else (among[column] == level).sum()
            share = alike / among.height
            assert told[place][0]["unusual"] == pytest.approx(share, abs=1e-3)
    assert {reasons[0]["peers"] for reasons in told} == {"all claims"}


def test_a_sensitive_value_is_not_shown() -> None:
    """Of a column that is watched for bias, and of what is derived from it, neither value nor rarity are told."""
    frame, known, features = book()
    shares = np.zeros(known.shape)
    shares[:, [feature.name for feature in features].index("sex")] = 2.0
    peers = Peers.of(frame, features, "peril")
    found = [reasons[0] for reasons in explained(Explainer(features, DEMO, peers), frame, known, shares)]
    assert {(reason["value"], reason["unusual"]) for reason in found} == {(None, None)}
    assert {reason["text"] for reason in found} == {
        "Sex of the driver raises the fraud probability; its value is not shown, as it is watched for bias."
    }


def test_personal_columns_give_no_reason() -> None:
    """No feature is made of what a personal column holds: of it only counts and times are told."""
    told = past_of(DEMO)
    for feature in features_of(DEMO):
        assert feature.name in told or not set(feature.sources) & DEMO.personal


def test_peers_of_a_kind_that_nobody_is_to_see() -> None:
    """A sensitive kind parts no claims."""
    sensitive = DEMO.model_copy(update={"roles": DEMO.roles.model_copy(update={"sensitive": ("peril",)})})
    assert (kind_of(DEMO), kind_of(sensitive)) == ("peril", None)


@pytest.mark.parametrize(
    ("name", "value", "side", "begins"),
    [
        ("amount", 12000.0, 1, "Amount claimed: 12,000 EUR, as high or higher in 2 % of claims of theft, which"),
        ("amount", None, 0, "Amount claimed is unknown, as in 2 % of claims of theft, which"),
        ("hour", 14.0, 0, "Hour of the loss: 14, as is usual among claims of theft, which"),
        ("police_report", "yes", 0, "Whether there is a police report: yes, as in 2 % of claims of theft, which"),
        ("garage_id", "G7", 0, "Garage that repairs: G7, as in 2 % of claims of theft, which"),
        ("days from policy_start", 3.0, -1, "From start of the policy to day of the report: 3 days, as short"),
        (
            "days from loss_on to policy_start",
            -9.0,
            -1,
            "From start of the policy to day of the loss: 9 days, as long or longer in 2 %",
        ),
        ("weekday of loss_on", "Sunday", 0, "Day of the loss, weekday: Sunday, as in 2 % of claims of theft, which"),
        (
            "amount, times the usual of its peril",
            3.21,
            1,
            "Amount claimed: 3.21 times the usual of its peril, as high or higher in 2 %",
        ),
        (
            "garage_id: claims in the 90 days before, up to 5",
            5.0,
            1,
            "Claims with the same garage in the 90 days before: 5 or more, as many or more in 2 %",
        ),
        ("phone: days since the claim before, up to 90", 1.0, -1, "Since the last claim with the same phone: 1 day"),
        (
            "phone: days since the claim before, up to 90",
            None,
            0,
            "No claim with the same phone is known from the 90 days before, as in 2 % of claims of theft, which",
        ),
        (
            "agent_id: share of fraud known before, times the usual",
            2.0,
            1,
            "Share of fraud known before among claims with the same agent: 2 times the usual, as high or",
        ),
        ("phone: other claimants before", 3.0, 1, "Other claimants before with the same phone: 3, as many or more in"),
        ("photos_reused", 2.0, 1, "Photos of it that another claim had shown before: 2, as many or more in 2 %"),
    ],
)  # fmt: skip
def test_sentences(name: str, value: float | str | None, side: int, begins: str) -> None:
    """Every sort of feature is told in words that need no explanation."""
    feature = next(feature for feature in features_of(DEMO) if feature.name == name)
    told = sentence(words_of(feature, DEMO), value, "raises", 0.02, side, "claims of theft")
    assert told.startswith(begins)
    assert told.endswith(", which raises the fraud probability.")


def test_booleans_are_yes_or_no() -> None:
    """A boolean is said as people say it, and is neither high nor low."""
    contract = claims_factory.contract(
        f"{claims_factory.GARAGE}hurt = {{ dtype = 'boolean', meaning = 'somebody hurt' }}"
    )
    (hurt,) = [feature for feature in features_of(contract) if feature.name == "hurt"]
    words = words_of(hurt, contract)
    assert [words.says(value) for value in (1.0, 0.0)] == ["Somebody hurt: yes", "Somebody hurt: no"]
    assert sentence(words, 1.0, "lowers", 0.1, 1, "all claims") == (
        "Somebody hurt: yes, as in 10 % of all claims, which lowers the fraud probability."
    )


def test_what_no_peer_has() -> None:
    """That no peer has a value does not say that no claim has it: peers may be a sample, and others came later."""
    amount = words_of(next(feature for feature in features_of(DEMO) if feature.name == "amount"), DEMO)
    for peers, said in (("claims of theft", "in hardly any claim of theft,"), ("all claims", "in hardly any claim,")):
        assert said in sentence(amount, 9e9, "raises", 0.0, 1, peers)


def test_ordered_levels_and_their_units() -> None:
    """An ordered level has its unit where it holds a number, and is compared as higher or lower."""
    vehicle = load(ROOT / "contracts" / "vehicle.toml")
    (price,) = [feature for feature in features_of(vehicle) if feature.name == "VehiclePrice"]
    words = words_of(price, vehicle)
    assert words.says("more than 69000") == "Price band of the vehicle: more than 69000 USD"
    assert words.against("more than 69000", 1) == "as high or higher"


def test_words_for_every_contract() -> None:
    """Each feature of the contracts in the repository has words, none of them a column's bare name with a bar."""
    for path in sorted((ROOT / "contracts").glob("*.toml")):
        contract = load(path)
        for feature in features_of(contract):
            assert "_" not in words_of(feature, contract).subject.replace("capital", "")


def test_peers_are_written_and_read(tmp_path: Path) -> None:
    """What train writes score reads; without it, all claims of the profile are the peers; nonsense is a ModelError."""
    frame, known, features = book()
    peers = Peers.of(frame, features, "peril")
    (tmp_path / "profile.json").write_text(json.dumps(Profile.of(known, features).as_document()))
    old = load_peers(tmp_path)
    assert (old.kinds, [column.name for column in old.everyone.columns]) == ({}, known.columns)
    (tmp_path / PEERS).write_text(json.dumps(peers.as_document()))
    assert load_peers(tmp_path) == peers
    counts = json.loads(json.dumps(peers.kinds))["theft"]
    for nonsense in ([[1]], [[str(count) for count in part] for part in counts]):
        (tmp_path / PEERS).write_text(json.dumps(peers.as_document() | {"kinds": {"theft": nonsense}}))
        with pytest.raises(ModelError, match="cannot be read"):
            load_peers(tmp_path)


def test_peers_add_up_and_name_nobody() -> None:
    """Counts of two halves of the claims, over the same bins, are those of all; a kind of few claims is not told."""
    frame, known, features = book()
    peers = Peers.of(frame, features, "peril")
    for level, counts in peers.kinds.items():
        of_kind = known.filter(frame["peril"] == level)
        assert of_kind.height >= LEAST_PEERS
        for column, told in zip(peers.everyone.columns, counts, strict=True):
            halves = [of_kind[:300], of_kind[300:]]
            added = sum(
                np.bincount(column.bins.codes(half[column.name]), minlength=column.bins.size) for half in halves
            )
            assert tuple(np.asarray(added).tolist()) == told
    assert "fire" not in json.dumps(peers.as_document()["kinds"])


@pytest.mark.parametrize("counts", [[0, 0, 5, 0, 0], [0, 3, 0, 0, 2], [0, 0, 1, 1, 1], [0, 9, 0, 0, 0]])
def test_shares_lie_between_none_and_all(counts: list[int]) -> None:
    """However the peers lie, each bin's share is one, and bins further out are no more usual."""
    shares, sides = unusual(counts, ordered=True)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert list(sides[2:]) == sorted(sides[2:])
    above = [share for share, side in zip(shares, sides, strict=True) if side == 1]
    assert above == sorted(above, reverse=True)


def test_words_cost_less_than_contributions(blend: Model) -> None:
    """Putting reasons into words takes a fraction of what finding them takes: here trees are few and shallow."""
    known = pl.concat([KNOWN] * 5)
    claims = pl.concat([CLAIMS] * 5)
    explainer = Explainer(FEATURES, claims_factory.contract(), Peers.of(CLAIMS, FEATURES, None))
    shares = blend.contributions(known, 1)
    explainer.explain(claims, known, shares)
    began = time.process_time()
    explainer.explain(claims, known, shares)
    assert (time.process_time() - began) / known.height < 0.5e-3  # TreeSHAP of a real model takes up to a millisecond
