"""What ``model_history`` keeps of a judgement, ready for JSON: what is not a finite number becomes null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from jobs.evaluate.judge import Evidence, Judgement
from shared.fairness import Disparity
from shared.profile import PROBABILITY, Profile

MOST_NAMED = 20
"""Groups too small to be judged that are told by name; of more, their number."""


def as_document(judgement: Judgement, evidence: Evidence) -> dict[str, Any]:
    """Write a judgement's figures; what else is found out about the judged claims is added beside them."""
    profile = Profile.of(pl.DataFrame({PROBABILITY.name: evidence.probability}), [PROBABILITY])
    found: dict[str, Any] = _plain(
        {
            "split": judgement.split,
            "caveat": judgement.caveat,
            "ranking": {name: vars(estimate) for name, estimate in judgement.metrics.items()},
            "deciles": [vars(decile) for decile in judgement.deciles],
            "claims_per_week": evidence.claims_per_week,
            "capacity": judgement.capacity and asdict(judgement.capacity),
            "calibration": judgement.calibration and asdict(judgement.calibration),
            "curve": judgement.curve,
            "fairness": [_fairness(found) for found in judgement.fairness],
            "against_champion": judgement.against_champion and asdict(judgement.against_champion),
            "importance": evidence.importance,
            "importance_correlation": judgement.importance_correlation,
            "milliseconds": evidence.milliseconds,
            "megabytes": evidence.megabytes,
        }
    )
    return found | {"probability": profile.as_document()}


def gates_as_document(judgement: Judgement) -> list[dict[str, Any]]:
    """Write the gates."""
    return [_plain(vars(gate)) for gate in judgement.gates]


def _fairness(found: Disparity) -> dict[str, Any]:
    judged = [asdict(group) for group in found.groups if group.name not in found.few_claims]
    small = {name: getattr(found, name) for name in ("few_claims", "few_frauds")}
    named = {name: [*groups[:MOST_NAMED], *_more(len(groups) - MOST_NAMED)] for name, groups in small.items()}
    return asdict(found) | {"groups": judged} | named


def _more(count: int) -> list[str]:
    return [f"{count} more"] if count > 0 else []


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
