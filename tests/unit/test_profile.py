"""The reference profile."""

from __future__ import annotations

import json

from shared.features import features_of, values
from shared.levels import MISSING, UNSEEN
from shared.profile import Profile
from tests import claims_factory
from tests.claims_factory import ODD


def test_profile_read_again_counts_the_same() -> None:
    """A profile that was written and read counts a window alike, each claim once for each column."""
    features = features_of(claims_factory.contract())
    profile = Profile.of(values(claims_factory.claims(500), features), features)
    read = Profile.of_document(json.loads(json.dumps(profile.as_document())))
    assert read == profile
    window = values(claims_factory.claims(100, seed=1), features)
    counts = read.count(window)
    assert [counts[feature.name].sum() for feature in features] == [100] * len(features)
    assert counts[ODD][MISSING] == window[ODD].null_count()
    assert counts["amount"][UNSEEN] == 0
