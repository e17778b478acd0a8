"""The page of models: which one is live and why, what each showed, how its input drifted; and going back."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from console.api.people import Person, may, store_of
from console.api.plain import plain
from console.api.problems import ERROR, ProblemError
from console.api.store import Store
from shared import events, shifts
from shared.challenger import CONTENDER, is_harmless
from shared.champion import ANOMALY, check_fits
from shared.contract import Contract
from shared.errors import ClaimsightError, ModelError
from shared.judgement import groups_told, tenths_told, unit
from shared.logs import log
from shared.stops import STOPS, stretches
from shared.successions import ENTRIES, SUCCESSION

router = APIRouter(prefix="/api/model")
Reader = Annotated[Person, Depends(may("see_models"))]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]

CARD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""A card is a page of its own, that runs nothing and asks for nothing; only ours may frame it."""
MOST_VERDICTS = 26

# A refused model's gates that failed stand with its entry; those of a rollback are of the day on which it was judged.
_HISTORY = f"""
SELECT e.*, m.family, h.metrics -> 'ranking' -> 'average_precision' AS average_precision,
       (SELECT coalesce(jsonb_agg(gate), '[]') FROM jsonb_array_elements(h.gates) AS gate
        WHERE NOT (gate ->> 'passed')::boolean) AS failed,
       EXISTS (SELECT FROM model_cards c WHERE c.model_version = e.model_version) AS card
FROM ({ENTRIES}) e JOIN model_history h USING (entry_id) JOIN models m ON m.model_version = e.model_version
ORDER BY e.as_of DESC, e.entry_id DESC
"""
_WAITING = """
SELECT model_version, family, as_of FROM models m WHERE family <> %s AND as_of <= %s
AND NOT EXISTS (SELECT FROM model_history h WHERE h.model_version = m.model_version) ORDER BY model_version
"""
_JUDGED = """
SELECT m.model_version, m.family, m.as_of AS trained_as_of, m.train_start, m.train_end, m.claims, m.judged_share,
       h.alias, h.reason, h.threshold, h.judged_start, h.judged_end, h.metrics, h.gates, h.as_of AS judged_as_of
FROM models m LEFT JOIN model_history h
     ON h.model_version = m.model_version AND h.action = 'judged' AND h.as_of <= %(as_of)s
WHERE m.model_version = %(version)s AND m.as_of <= %(as_of)s ORDER BY h.entry_id DESC LIMIT 1
"""


class Rollback(BaseModel):
    """What takes to go back: the champion that was seen when it was decided, and why."""

    standing: Annotated[int, Field(ge=1, le=2**31 - 1)]
    reason: Annotated[str, Field(min_length=5, max_length=500, pattern=r"^[^\x00]*$")]


@router.get("")
async def overview(_: Reader, request: Request) -> dict[str, Any]:
    """Tell which model is live, which stood before, which one challenges it, and every decision so far."""
    store, contract, moment = _of(request)
    # Whoever names no outcomes any more has no champion either, whatever was promoted before.
    labelled = contract.labelled
    history = await store.rows(_HISTORY, [moment]) if labelled else []
    live = next((entry for entry in history if entry["alias"] == "champion"), None)
    standing = stretches(await store.rows(STOPS, [moment]))[-1:]
    return plain(
        {
            "as_of": moment,
            "labelled": labelled,
            "live": live,
            "before": (await _succession(store, moment))[-2:-1] if live else [],
            "contender": await _contender(store, live, moment) if live else None,
            "waiting": await store.rows(_WAITING, [ANOMALY, moment]) if labelled else [],
            "history": history,
            "stop": standing[0] if standing and standing[0]["until"] is None else None,
        }
    )


@router.get("/drift")
async def drift(_: Reader, request: Request) -> dict[str, Any]:
    """Tell what drift said of the windows of claims, and how far each feature shifted in each."""
    store, _contract, moment = _of(request)
    verdicts = shifts.reasons(await store.rows(shifts.VERDICTS, [moment]))
    champion = await store.rows("SELECT champion_as_of(%s) AS version", [moment])
    version = shifts.watched(verdicts, champion[0]["version"])
    measures = await store.rows(shifts.MEASURES, [version, moment])
    importance = shifts.shares(await store.rows(shifts.IMPORTANCE, [version, moment]))
    said = {row["window_end"]: row["verdict"] for row in measures if row["metric"] == "verdict"}
    late = shifts.late(measures)
    return plain(
        {
            "version": version,
            "champion": champion[0]["version"],
            "shifts": _ratios(shifts.shifts(measures, importance), said),
            "associations": _ratios(shifts.associations(measures, importance), said),
            "verdicts": [row for row in verdicts if row["model_version"] == version][:MOST_VERDICTS],
            "late": {
                "metrics": late["metrics"],
                "windows": [
                    {"window": end} | {name: _told(row) for name, row in found.items()}
                    for end, found in late["windows"]
                ],
            },
        }
    )


@router.post("/rollback")
async def rollback(
    given: Rollback, person: Annotated[Person, Depends(may("rollback"))], request: Request
) -> dict[str, Any]:
    """Go back to the champion before; of two who decide so at once, one does, and the other is told to look again."""
    store, contract, moment = _of(request)
    versions = await _succession(store, moment)
    if versions[1:] and versions[-1] == given.standing:
        found = await store.rows(
            "SELECT artifact_uri, files_sha256 FROM models WHERE model_version = %s", [versions[-2]]
        )
        await _check(**found[0], contract=contract)
    decided = await store.rows(
        "SELECT console_rollback(%s, %s::integer, %s, %s) AS version",
        [person.login, given.standing, given.reason, moment],
    )
    version = decided[0]["version"]
    return {"version": version, "told": await _announce(request, contract.name, version)}


@router.get("/{version}")
async def judged(version: Version, _: Reader, request: Request) -> dict[str, Any]:
    """Tell what one model showed when it was judged; no figures where it has not been judged yet."""
    store, contract, moment = _of(request)
    found = await store.rows(_JUDGED, {"version": version, "as_of": moment})
    if not found:
        raise ProblemError(404, f"there is no model {version}")
    row = found[0]
    metrics = row.pop("metrics") or {}
    importance = metrics.get("importance") or {}
    whole = sum(importance.values()) or 1.0
    shown = ("split", "caveat", "ranking", "capacity", "calibration", "curve", "against_champion")
    return plain(
        row
        | {name: metrics.get(name) for name in shown}
        | {
            "slices": (metrics.get("errors") or {}).get("slices", []),
            "fairness": groups_told(metrics.get("fairness") or []),
            "tenths": tenths_told(metrics.get("deciles") or []),
            "importance": [
                {"feature": name, "share": value / whole}
                for name, value in sorted(importance.items(), key=lambda item: -item[1])
            ],
            "unit": unit(contract),
            "sensitive": list(contract.roles.sensitive),
            "review": {"cost": contract.review.cost, "capacity_per_week": contract.review.capacity_per_week},
            "card": bool(await store.rows("SELECT 1 FROM model_cards WHERE model_version = %s", [version])),
        }
    )


@router.get("/{version}/card")
async def card(version: Version, _: Reader, request: Request) -> Response:
    """Give a model's card, a page that needs nothing else."""
    found = await store_of(request).rows("SELECT html FROM model_cards WHERE model_version = %s", [version])
    if not found:
        raise ProblemError(404, f"model {version} has no card")
    headers = {"Content-Security-Policy": CARD_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(found[0]["html"], media_type="text/html", headers=headers)


def _of(request: Request) -> tuple[Store, Contract, datetime]:
    return store_of(request), request.app.state.contract, request.app.state.settings.now()


async def _succession(store: Store, moment: datetime) -> list[int]:
    versions: list[int] = (await store.rows(SUCCESSION, [moment]))[0]["versions"]
    return versions


async def _contender(store: Store, live: dict[str, Any], moment: datetime) -> dict[str, Any] | None:
    found = await store.rows(CONTENDER, {"standing": live["model_version"], "as_of": moment})
    if not found:
        return None
    row = found[0]
    return {
        "model_version": row["version"],
        "family": row["family"],
        "refused_at": row["refused_at"],
        "failed": [gate for gate in row["gates"] if not gate["passed"]],
        "harmless": is_harmless(row["gates"]),
        "against_champion": row["metrics"].get("against_champion"),
    }


def _ratios(grid: dict[str, Any], said: dict[datetime, str]) -> dict[str, Any]:
    """Give a grid's shifts as multiples of their limits, and the verdict of each window."""
    features = [row | {"cells": [cell and cell["ratio"] for cell in row["cells"]]} for row in grid["features"]]
    return {"windows": grid["windows"], "verdicts": [said.get(end) for end in grid["windows"]], "features": features}


def _told(measure: dict[str, Any]) -> dict[str, Any]:
    return {name: measure[name] for name in ("value", "low", "high", "limit", "verdict")}


async def _check(artifact_uri: str, files_sha256: str | None, contract: Contract) -> None:
    try:
        await to_thread.run_sync(check_fits, artifact_uri, files_sha256, contract)
    except ModelError as error:
        raise ProblemError(409, str(error)) from error
    except ClaimsightError as error:
        raise ProblemError(503, str(error)) from error


async def _announce(request: Request, line: str, version: int) -> bool:
    """Tell score, and whether that went well: it is done in any case, and score looks once a day by itself."""
    put = partial(events.put, request.app.state.settings.events, "ModelPromoted", line, {"model_version": version})
    try:
        await to_thread.run_sync(put)
    except (ClaimsightError, OSError) as error:
        log(ERROR, "score was not told of a rollback; its daily sweep will find it", line=line, reason=str(error))
        return False
    return True
