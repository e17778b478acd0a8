"""Score claims once more that the batch has scored, by the way of single claims, and compare."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from pydantic import BaseModel

from console.api.keys import Key
from console.api.store import Store
from console.api.v1 import scoring
from console.api.v1.scores import Scores
from shared.contract_parts import DType

MOST = 20


class Check(BaseModel):
    """What came of it: the difference is null where nothing could be compared, the model where none is promoted."""

    compared: int
    largest_difference: float | None
    model_version: int | None
    image_digest: str


async def compare(store: Store, scores: Scores, key: Key, ticket: int, moment: datetime, image_digest: str) -> Check:
    """Score up to `MOST` claims as they were known when the champion scored them, and say by how much it differs."""
    live, contract = scores.standing.champion(), scores.contract
    if live is None:
        return Check(compared=0, largest_difference=None, model_version=None, image_digest=image_digest)
    version = live.champion.version
    rows = await store.rows("SELECT * FROM api_check(%s, %s, %s, %s, %s)", [key.system, ticket, moment, version, MOST])
    dtypes: dict[str, DType] = {"claim_id": "text", "event_time": "datetime", **contract.stored}
    differences = list[float]()
    for then, told in _by_moment(rows):
        claims = await scores.on_thread(partial(scoring.stored_rows, [row["claim"] for row in told], dtypes))
        usual = await scores.standing.usual_as_of(then)
        past = await scores.past(claims, then, version, usual, [key] * len(told), "check")
        again = await scores.on_thread(partial(scoring.score, claims, past, live, contract))
        differences += [
            abs(score.fraud_probability - row["fraud_probability"]) for score, row in zip(again, told, strict=True)
        ]
    return Check(
        compared=len(differences),
        largest_difference=max(differences, default=None),
        model_version=version,
        image_digest=image_digest,
    )


def _by_moment(rows: list[dict[str, Any]]) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    rows = sorted(rows, key=lambda row: row["scored_as_of"])
    return ((then, list(told)) for then, told in groupby(rows, key=lambda row: row["scored_as_of"]))
