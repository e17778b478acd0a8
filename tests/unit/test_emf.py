"""Log records whose numbers CloudWatch keeps as metrics."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.run import _closing
from shared.emf import ALARMED, UNITS, embedded
from tests.emf import metrics

WHO = {"line": "demo", "stage": "score"}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*UNITS, "status", "traceback", "file"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    )
)
def test_every_record_is_valid(facts: dict[str, Any]) -> None:
    """Whatever stands in a record, it is valid JSON by the format's rules, and known finite numbers are its metrics."""
    record = embedded("Claimsight/dev", WHO | facts)
    numbers = {
        name: value
        for name, value in facts.items()
        if name in UNITS and type(value) in (int, float) and value - value == 0
    }
    assert {name: value for name, value in record.items() if name != "_aws"} == WHO | facts
    if not numbers:
        assert "_aws" not in record
        return
    found = metrics(record, "Claimsight/dev")
    assert found["score by demo"] == numbers
    assert found.get("score", {}) == {name: value for name, value in numbers.items() if name in ALARMED}
    json.dumps(record["_aws"], allow_nan=False)


def test_without_a_namespace_a_record_stays_as_it_is() -> None:
    """On a laptop nobody takes metrics, and no record has any."""
    assert embedded(None, WHO | {"scored": 4}) == WHO | {"scored": 4}


@pytest.mark.parametrize(
    "harm",
    [
        lambda record: record.pop("line"),
        lambda record: record.pop("scored"),
        lambda record: record.update(scored="4"),
        lambda record: record["_aws"].pop("Timestamp"),
        lambda record: record["_aws"].update(Timestamp=0),
        lambda record: record["_aws"]["CloudWatchMetrics"][0].update(Dimensions=[]),
        lambda record: record["_aws"]["CloudWatchMetrics"][0]["Metrics"][0].update(Unit="Claims"),
        lambda record: record["_aws"]["CloudWatchMetrics"][0].update(Metrics=[{"Name": "scored"}] * 101),
    ],
)
def test_the_checks_can_fail(harm: Any) -> None:
    """A record that CloudWatch would not take is found out."""
    record: dict[str, Any] = embedded("Claimsight/dev", WHO | {"scored": 4})
    harm(record)
    with pytest.raises((AssertionError, KeyError, jsonschema.ValidationError)):
        metrics(record, "Claimsight/dev")


def test_the_local_run_still_finds_the_last_word() -> None:
    """A closing line that bears metrics is read like any other."""
    lines = [
        {"message": "claims wait to be scored", **embedded("Claimsight/dev", WHO | {"waiting": 40})},
        {"message": "scoring is stopped", **embedded("Claimsight/dev", WHO | {"exit_code": 70, "seconds": 0.2})},
    ]
    assert _closing("\n".join(map(json.dumps, lines)), 70) == "scoring is stopped"
