"""Which claims a model cannot score."""

from __future__ import annotations

import numpy as np
import polars as pl

from shared.features import Feature
from shared.model import Logistic, Model
from shared.parts import Bins
from shared.peers import Peers
from shared.predict import predict
from shared.reasons import Explainer
from shared.unscorable import NO_NUMBER, NOTHING_KNOWN, unscorable
from tests import claims_factory


def test_what_cannot_be_scored_says_why() -> None:
    """A claim of which nothing is known, or for which the model gives no number, has its reason; no other has one."""
    known = pl.DataFrame({"amount": [1.0, None, None, 2.0, 3.0], "size": ["S", "M", None, None, "L"]})
    found = unscorable(known, np.array([0.1, 0.2, 0.3, np.nan, np.inf]))
    assert found.to_list() == [None, None, NOTHING_KNOWN, NO_NUMBER, NO_NUMBER]


def test_claim_without_a_score_is_neither_flagged_nor_audited() -> None:
    """Whatever the threshold and the audit sample, it has no reasons and nobody is sent to look."""
    features = (Feature("amount", ("amount",), "number"),)
    bins = Bins(edges=(10.0,))
    model = Model("logistic", features, (Logistic((bins,), ((0.0, 0.0, 1.0, -1.0),), (1.0,), 0.0),))
    claims = pl.DataFrame({"claim_id": ["a", "b"], "draw": [0, 0], "arm": "champion", "amount": [5.0, None]})
    explainer = Explainer(features, claims_factory.contract(), Peers.of(claims, features, None))
    flagged = predict(claims, model, 0.0, 1.0, explainer, 1)
    assert flagged.select("flagged", "audited", "unscorable").rows() == [
        (True, False, None),
        (False, False, NOTHING_KNOWN),
    ]
    assert predict(claims, model, 2.0, 1.0, explainer, 1)["audited"].to_list() == [True, False]
