"""Whether a log record is one of metrics, by the rules of CloudWatch's embedded metric format."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

UNITS = (
    "Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|"
    "Terabits|Percent|Count|(Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|Terabits|"
    "Count)/Second|None"
)
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "properties": {"Name": NAME, "Unit": {"type": "string", "pattern": f"^({UNITS})$"}},
    "additionalProperties": False,
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": NAME,
        "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 9, "items": NAME}},
        "Metrics": {"type": "array", "maxItems": 100, "items": METRIC},
    },
    "additionalProperties": False,
}
VALIDATOR = Draft202012Validator(
    {
        "type": "object",
        "required": ["_aws"],
        "properties": {
            "_aws": {
                "type": "object",
                "required": ["Timestamp", "CloudWatchMetrics"],
                "properties": {
                    "Timestamp": {"type": "integer"},
                    "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": DIRECTIVE},
                },
                "additionalProperties": False,
            }
        },
    }
)
"""As the specification has it, which names more for what its prose asks: see :func:`metrics`."""


def metrics(record: Mapping[str, Any], namespace: str) -> dict[str, dict[str, float]]:
    """Metrics of a record, by name, for each set of dimensions (``score by demo``, or ``score`` for all lines).

    Whatever the format forbids fails: a target that is missing, nested or of another type, a moment that CloudWatch
    does not take.
    """
    VALIDATOR.validate(record)
    assert abs(record["_aws"]["Timestamp"] / 1000 - time.time()) < 3600
    found = {}
    for directive in record["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == namespace
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(names) == len(set(names))
        for value in (record[name] for name in names):
            assert isinstance(value, int | float) and not isinstance(value, bool)
        for dimensions in directive["Dimensions"]:
            values = [record[name] for name in dimensions]
            assert all(isinstance(value, str) and 0 < len(value) <= 255 for value in values)
            told = record["stage"] + (f" by {record['line']}" if "line" in dimensions else "")
            found[told] = {name: record[name] for name in names}
    return found
