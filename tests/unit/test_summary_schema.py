"""The summary of a local run against its schema."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploy.local.summary import collect
from shared.choreography import STAGES
from shared.contract import load
from shared.database import Database

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

ESTIMATE = {"value": 0.34, "low": 0.27, "high": None}
STAGE = {
    "rows_in": 3,
    "rows_out": 2,
    "quarantined": 1,
    "runs": 1,
    "seconds": 0.5,
    "exit_code": 0,
    "meaning": "did its work",
}
GATE = {"name": "calibration error", "value": None, "asks": "at most", "limit": 0.7, "passed": False}
WINDOW = {"start": "2024-01-01", "end": "2024-06-01"}
SUMMARY: dict[str, Any] = {
    "contract": "vehicle",
    "as_of": "2026-01-01T00:00:00+00:00",
    "split": "time",
    "caveat": None,
    "rejected": [{"uri": "vehicle/claims/1.csv", "kind": "claims", "reason": "it is empty", "quarantined": 0}],
    "stages": dict.fromkeys(STAGES, STAGE),
    "champion": {
        "model_version": 1,
        "family": "blend",
        "train_window": WINDOW,
        "judged_window": WINDOW,
        "features": [{"name": "days from policy_start", "columns": ["policy_start", "reported_on"]}],
        "suspected_leaks": [{"column": "id", "evidence": "an identifier", "let_in": None}],
        "left_out": [{"column": "month", "evidence": "tells the date"}],
        "metrics": dict.fromkeys(SCHEMA["$defs"]["champion"]["properties"]["metrics"]["required"], ESTIMATE),
        "gates": [GATE],
        "live_since": "2025-12-01T00:00:00+00:00",
        "at_capacity": {
            **{"claims": 95, "flagged": 10, "frauds": 5, "net": None},
            **dict.fromkeys(("recall", "precision", "lift"), ESTIMATE),
        },
        "misses": [
            {
                **{
                    "words": "peril is hail",
                    "claims": 60,
                    "frauds": 9,
                    "expected": 2.5,
                    "missed": 8,
                    "false_alarms": 1,
                },
                "error": ESTIMATE,
            }
        ],
    },
    "refused": None,
    "refusing_gates": [],
    "no_champion_because": None,
    "ranking": None,
    "drift": {
        **{"verdict": "watch", "reasons": ["age has shifted (PSI 0.31, limit 0.14)"], "window": WINDOW},
        "worst": [{"feature": "age", "times_limit": 2.2, "importance": None}],
    },
    "queues": {
        "unscored": {"claims": 0, "oldest_days": None},
        "to_review": {"claims": 30, "flagged": 25, "audited": 5},
        "unlabelled": {"claims": 900, "oldest_days": 400},
    },
    "stopped": {"since": "2026-01-01T00:00:00+00:00", "window_end": "2025-12-29", "reason": "cents", "waiting": 40},
    "attainable": {"attained": 0.28, "attainable": 0.33},
}


def test_the_schema_is_one() -> None:
    """The schema keeps to JSON Schema 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)


def test_a_summary_with_a_champion_is_valid() -> None:
    """A summary with everything in it is valid."""
    VALIDATOR.validate(SUMMARY)


def test_a_summary_without_a_champion_is_valid() -> None:
    """Whatever needs a champion may be null."""
    drift = {"verdict": None, "reasons": ["no whole window"], "window": None, "worst": []}
    told = {
        "champion": None,
        "refused": {"model_version": 1} | {name: SUMMARY["champion"][name] for name in ("suspected_leaks", "left_out")},
        "refusing_gates": [GATE],
        "no_champion_because": "refused",
        "drift": drift,
        "stopped": None,
        "attainable": None,
    }
    VALIDATOR.validate(SUMMARY | told)


def test_a_summary_without_outcomes_is_valid() -> None:
    """A line of business without outcomes has a ranking, and neither a champion nor a split."""
    features = [{"name": "amount", "columns": ["amount"]}]
    ranking = {"model_version": 1, "claims": 300, "features": features}
    VALIDATOR.validate(SUMMARY | {"champion": None, "split": None, "ranking": ranking, "attainable": None})


def test_what_collect_gathers_is_valid(database_url: str) -> None:
    """The summary of a line of business with nothing in it is valid."""
    contract = load(ROOT / "contracts" / "vehicle.toml")
    with Database(database_url, contract.name) as database:
        database.prepare(contract)
        VALIDATOR.validate(collect(database, contract, datetime(2026, 1, 1, tzinfo=UTC), None))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("contract",), None),
        (("surprise",), 1),
        (("stages", "etl", "rows_in"), -1),
        (("stages", "etl", "exit_code"), 3),
        (("stages", "sixth"), STAGE),
        (("champion", "gates"), []),
        (("champion", "misses"), [{"words": "peril is hail"}]),
        (("champion", "at_capacity", "flagged"), 0.5),
        (("champion", "metrics", "average_precision", "value"), "0.34"),
        (("drift", "verdict"), "panic"),
        (("stopped", "waiting"), -1),
        (("drift", "worst"), [{"feature": "age"}]),
        (("queues", "unscored", "claims"), -1),
        (("attainable", "attained"), 1.5),
        (("split",), "month"),
        (("ranking",), {"model_version": 1, "claims": 3, "features": []}),
    ],
)
def test_a_wrong_summary_is_refused(path: tuple[str, ...], value: object) -> None:
    """Another key, type or range is not valid."""
    wrong: Any = deepcopy(SUMMARY)
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_an_incomplete_summary_is_refused(key: str) -> None:
    """No part may be missing."""
    assert not VALIDATOR.is_valid({name: part for name, part in SUMMARY.items() if name != key})
