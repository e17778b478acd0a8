"""What a local run found: as data, valid against ``docs/summary.schema.json``, and in the terminal."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.report.drift import worst
from deploy.local.report.model import training
from deploy.local.report.queues import queues
from shared.champion import folder_of, ranking
from shared.choreography import STAGES
from shared.contract import Contract
from shared.database import Database
from shared.errors import ExitCode
from shared.metrics import FIGURES, OPTIMISTIC, average_precision
from shared.stops import standing_stop

WAY_ON = (
    "load more claims with outcomes, or name more columns in the contract; a gate that asks more than the business "
    "needs can be lowered there"
)
"""What to do where a model was refused."""
NO_OUTCOMES = (
    "the contract names no outcomes, so nothing tells fraud from the rest, and claims are ranked by how unusual they "
    "are; send outcomes and name them in the contract ([outcomes], or roles.label where they stand in the claims file)"
)
AT_CAPACITY = ("claims", "flagged", "frauds", "recall", "precision", "lift", "net")
"""What the summary tells of the claims that investigators would have looked at."""
MOST_WORST = 5
"""Features that the summary names of those that shifted."""
MOST_TOLD = 10
"""Columns that the terminal names; the report has them all."""


def collect(database: Database, contract: Contract, as_of: datetime, truth: Path | None) -> dict[str, Any]:
    """Gather the summary of one line of business.

    Parameters
    ----------
    truth : Path or None
        For the demo book, each claim's true fraud probability.

    Returns
    -------
    dict
        Ready for JSON.
    """
    history = database.rows(
        "SELECT h.*, m.judged_share, m.train_end FROM model_history h JOIN models m USING (model_version) "
        "WHERE h.as_of <= %s AND %s ORDER BY h.as_of, entry_id",
        [as_of, contract.labelled],
    )
    promoted = [entry for entry in history if entry["alias"] == "champion"]
    champion = _champion(database, contract, promoted[-1]) if promoted else None
    refused = [entry for entry in history if entry["alias"] == "refused"]
    split = _split(contract, (promoted or refused)[-1] if history else None)
    return {
        "contract": contract.name,
        "as_of": as_of.isoformat(),
        "split": split,
        "caveat": OPTIMISTIC if split == "random" else None,
        "rejected": rejected(database, as_of),
        "stages": {stage: _stage(database, contract.name, stage) for stage in STAGES},
        "champion": champion,
        "refused": None if champion or not refused else _refused(database, contract, refused[-1]),
        "refusing_gates": [] if champion or not refused else [g for g in refused[-1]["gates"] if not g["passed"]],
        "no_champion_because": None if champion else _why_none(database, contract, refused, as_of),
        "ranking": None if contract.labelled else _ranking(database, as_of),
        "drift": _drift(database, promoted[-1] if promoted else None, as_of),
        "stopped": _stopped(database, promoted[-1] if promoted else None, as_of),
        "queues": queues(database, contract, promoted[-1]["model_version"] if promoted else None, as_of),
        "attainable": _attainable(database, promoted[-1], as_of, truth) if promoted and truth else None,
    }


def rejected(database: Database, as_of: datetime) -> list[dict[str, Any]]:
    """Files with rows that were rejected and neither mended nor let in since: what they are, why, and rows kept."""
    return database.rows(
        "SELECT uri, kind, reason, quarantined FROM ingest_files "
        "WHERE status = 'rejected' AND kind <> 'photos' AND loaded_at <= %s ORDER BY file_id",
        [as_of],
    )


def told_of(file: dict[str, Any], contract: str) -> str:
    """What a rejected file is told with: why, what became of its rows, and what to do."""
    kept = f"its {file['quarantined']:,} rows wait in quarantine; " if file["quarantined"] else ""
    return f"{file['uri']}: {file['reason']}; {kept}mend it or {contract}, and run this again"


def show(console: Console, summary: dict[str, Any], *, idle: bool) -> None:
    """Print the summary for a person."""
    stopped = summary["stopped"]
    if idle and not stopped:
        console.print("[bold]Nothing to do:[/] nothing is new since the last run. As it stands:")
    console.print(f"[bold]{summary['contract']}[/], as of {summary['as_of'][:10]}", highlight=False)
    stages = Table("stage")
    for heading in ("rows in", "rows out", "quarantined", "runs", "seconds", "worst exit"):
        stages.add_column(heading, justify="right")
    for name, stage in summary["stages"].items():
        counts = (f"{stage[key]:,}" for key in ("rows_in", "rows_out", "quarantined", "runs"))
        stages.add_row(name, *counts, f"{stage['seconds']:.1f}", str(stage["exit_code"]))
    console.print(stages)
    for file in summary["rejected"][:MOST_TOLD]:
        console.print(f"[bold red]Rejected[/]: {escape(told_of(file, 'the contract'))}", highlight=False)
    if more := summary["rejected"][MOST_TOLD:]:
        console.print(f"[bold red]Rejected[/]: {len(more):,} more; the report has them all", highlight=False)
    champion = summary["champion"]
    if champion is None:
        console.print(f"[bold]No champion[/]: {escape(summary['no_champion_because'])}")
    else:
        _show_champion(console, champion, summary["caveat"])
    if learnt := champion or summary["refused"]:
        _show_findings(console, learnt)
    if ranked := summary["ranking"]:
        console.print(
            f"[bold]Ranking[/]: model {ranked['model_version']} ranked {ranked['claims']:,} claims by how unusual they "
            f"are in {len(ranked['features'])} features; the report shows the first, and why",
            highlight=False,
        )
    if summary["attainable"]:
        figures = summary["attainable"]
        console.print(
            "The book is generated, so the best possible ranking is known: average precision "
            f"{figures['attained']:.3f} of {figures['attainable']:.3f} attainable on the judged claims."
        )
    drift = summary["drift"]
    console.print(f"[bold]Drift[/]: {drift['verdict'] or 'not measured'}; {escape('; '.join(drift['reasons']))}")
    waiting = summary["queues"]
    told = f"{waiting['unscored']['claims']:,} claims for a score"
    if waiting["to_review"] is not None:
        told += f", {waiting['to_review']['claims']:,} for an investigator"
        told += f", {waiting['unlabelled']['claims']:,} for an outcome"
    console.print(f"[bold]Waiting[/]: {told}", highlight=False)
    if stopped:
        console.print(
            f"[bold red]Scoring is stopped[/] since {stopped['since'][:10]}, {stopped['waiting']:,} claims wait: "
            f'{escape(stopped["reason"])}. Drop mended input, or let it go on as it is: CLEAR="why" ACTOR=you',
            highlight=False,
        )


def next_commands(console: Console, report: Path, summary: Path, *, in_docker: bool, is_demo: bool) -> None:
    """Print what to do next."""
    run, mlflow = (
        ("make run-docker", "make mlflow STORE=.claimsight/docker/state") if in_docker else ("make run", "make mlflow")
    )
    console.print(f"\nReport   {report}\nSummary  {summary}\n\n[bold]Next[/]")
    commands = [
        (f"xdg-open {report}", "look at the report"),
        (mlflow, "every model that was tried, at 127.0.0.1:5000"),
    ]
    if is_demo:
        commands.append((f"{run} CONTRACT=contracts/vehicle.toml DATA=claims.csv", "the same on a file of claims"))
    commands.append(("make clean", "remove all of it"))
    width = max(len(command) for command, _ in commands)
    for command, purpose in commands:
        console.print(f"  {command:<{width}}  # {purpose}", highlight=False, soft_wrap=True)


def _show_champion(console: Console, champion: dict[str, Any], caveat: str | None) -> None:
    known = (
        f"trained on claims loaded {_span(champion['train_window'])}, judged on others, drawn at random"
        if caveat
        else f"trained on claims of {_span(champion['train_window'])}, "
        f"judged on later ones of {_span(champion['judged_window'])}"
    )
    console.print(
        f"[bold]Champion[/]: model {champion['model_version']} ({champion['family'].replace('_', ' ')}), {known}",
        highlight=False,
    )
    if caveat:
        console.print(
            f"Its figures are [bold]{caveat.partition(',')[0]}[/],{caveat.partition(',')[2]}.", highlight=False
        )
    table = Table("metric")
    table.add_column("value (optimistic)" if caveat else "value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, estimate in champion["metrics"].items():
        value, low, high = (
            f"{estimate[key]:.3f}" if estimate[key] is not None else "-" for key in ("value", "low", "high")
        )
        table.add_row(name.replace("_", " "), value, f"{low} to {high}")
    console.print(table)


def _show_findings(console: Console, learnt: dict[str, Any]) -> None:
    for leak in learnt["suspected_leaks"][:MOST_TOLD]:
        kept = f"let in: {leak['let_in']}" if leak["let_in"] else "left out"
        _show_finding(console, "Suspected leak", leak, f" ({kept})")
    for column in learnt["left_out"][:MOST_TOLD]:
        _show_finding(console, "Left out", column)
    if more := sum(max(len(learnt[found]) - MOST_TOLD, 0) for found in ("suspected_leaks", "left_out")):
        console.print(f"{more} more columns with something against them stand in the report.")


def _show_finding(console: Console, heading: str, finding: dict[str, str], decision: str = "") -> None:
    told = f"{finding['column']}: {finding['evidence']}{decision}"
    console.print(f"[bold]{heading}[/] {escape(told)}", highlight=False)


def _span(window: dict[str, str]) -> str:
    return window["start"] if window["start"] == window["end"] else f"{window['start']} to {window['end']}"


def _split(contract: Contract, entry: dict[str, Any] | None) -> str | None:
    """What told judged claims from those learnt from: of the model that is shown, else as the contract will have it."""
    if not contract.labelled:
        return None
    dated = contract.roles.event_time is not None if entry is None else entry["judged_share"] is None
    return "time" if dated else "random"


def _why_none(database: Database, contract: Contract, refused: list[dict[str, Any]], as_of: datetime) -> str:
    if not contract.labelled:
        return NO_OUTCOMES if ranking(database, as_of) else f"{_last_word(database, contract, as_of)}; {NO_OUTCOMES}"
    return f"{refused[-1]['reason']}; {WAY_ON}" if refused else _last_word(database, contract, as_of)


def _ranking(database: Database, as_of: datetime) -> dict[str, Any] | None:
    """Claims ranked by how unusual they are, for want of outcomes."""
    found = ranking(database, as_of)
    if found is None:
        return None
    features = json.loads((found.folder / "model.json").read_text())["features"]
    ranked = database.rows(
        "SELECT count(*) AS n FROM anomalies WHERE model_version = %s AND scored_as_of <= %s", [found.version, as_of]
    )
    return {
        "model_version": found.version,
        "claims": ranked[0]["n"],
        "features": [{"name": feature["name"], "columns": feature["sources"]} for feature in features],
    }


def _stage(database: Database, line: str, stage: str) -> dict[str, Any]:
    found = database.rows(
        "SELECT coalesce(sum(rows_in), 0)::bigint AS rows_in, coalesce(sum(rows_out), 0)::bigint AS rows_out, "
        "coalesce(sum(quarantined), 0)::bigint AS quarantined, count(*) AS runs, "
        "coalesce(sum(extract(epoch FROM ended_at - started_at)), 0)::float8 AS seconds, "
        "coalesce(max(exit_code), 0) AS exit_code FROM job_runs WHERE line = %s AND stage = %s",
        [line, stage],
    )[0]
    return found | {"seconds": round(found["seconds"], 3), "meaning": ExitCode(found["exit_code"]).sentence}


def _champion(database: Database, contract: Contract, entry: dict[str, Any]) -> dict[str, Any]:
    trained = database.rows("SELECT * FROM models WHERE model_version = %s", [entry["model_version"]])[0]
    folder = folder_of(trained["artifact_uri"], trained["files_sha256"])
    features = json.loads((folder / "model.json").read_text())["features"]
    findings = json.loads((folder / "training.json").read_text())["findings"]
    capacity = entry["metrics"].get("capacity")
    return {
        "model_version": entry["model_version"],
        "family": trained["family"],
        "train_window": _window(trained["train_start"], trained["train_end"]),
        "judged_window": _window(entry["judged_start"], entry["judged_end"]),
        "features": [{"name": feature["name"], "columns": feature["sources"]} for feature in features],
        **_findings(findings, contract),
        "metrics": {name: entry["metrics"]["ranking"][name] for name in FIGURES},
        "gates": entry["gates"],
        "live_since": entry["as_of"].isoformat(),
        "at_capacity": capacity and {name: capacity[name] for name in AT_CAPACITY},
        "misses": entry["metrics"].get("errors", {}).get("slices", []),
    }


def _refused(database: Database, contract: Contract, entry: dict[str, Any]) -> dict[str, Any] | None:
    version = entry["model_version"]
    trained = database.rows("SELECT artifact_uri, files_sha256 FROM models WHERE model_version = %s", [version])[0]
    told = training(trained, contract)
    return told and {"model_version": version, **_findings(told["findings"], contract)}


def _findings(findings: list[dict[str, str]], contract: Contract) -> dict[str, list[dict[str, str | None]]]:
    """What speaks against columns, by its kind."""
    allowed = contract.features.allow
    return {
        "suspected_leaks": [
            {"column": f["column"], "evidence": f["evidence"], "let_in": allowed.get(f["column"])}
            for f in findings
            if f["kind"] == "leak"
        ],
        "left_out": [
            {"column": f["column"], "evidence": f["evidence"]}
            for f in findings
            if f["kind"] == "time" and f["column"] not in allowed
        ],
    }


def _window(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.date().isoformat(), "end": end.date().isoformat()}


def _last_word(database: Database, contract: Contract, as_of: datetime) -> str:
    """What train said last."""
    found = database.rows(
        "SELECT message FROM job_runs WHERE line = %s AND stage = 'train' AND as_of <= %s ORDER BY run_id DESC LIMIT 1",
        [contract.name, as_of],
    )
    return ((found[0]["message"] if found else None) or "no model was trained").removeprefix("no model: ")


def _worst(database: Database, version: int, as_of: datetime) -> list[dict[str, Any]]:
    """What shifted most in the newest window, weighed by its importance."""
    return [
        {"feature": row["feature"], "times_limit": row["newest"], "importance": row["importance"]}
        for row in worst(database, version, as_of)[:MOST_WORST]
    ]


def _drift(database: Database, entry: dict[str, Any] | None, as_of: datetime) -> dict[str, Any]:
    if entry is None:
        return {"verdict": None, "reasons": ["there is no champion to watch"], "window": None, "worst": []}
    found = database.rows(
        "SELECT verdict, reason, window_start, window_end FROM drift_metrics WHERE model_version = %s "
        "AND metric = 'verdict' AND as_of <= %s ORDER BY window_start DESC LIMIT 1",
        [entry["model_version"], as_of],
    )
    if not found:
        later = database.rows(
            "SELECT 1 FROM claims_as_of(%s) WHERE event_time > %s LIMIT 1", [as_of, entry["train_end"]]
        )
        lacking = "no whole window of claims" if later else "no claim"
        return {"verdict": None, "reasons": [f"{lacking} since the champion's training"], "window": None, "worst": []}
    newest = found[0]
    return {
        "verdict": newest["verdict"],
        "reasons": newest["reason"].split("; "),
        "window": _window(newest["window_start"], newest["window_end"]),
        "worst": _worst(database, entry["model_version"], as_of),
    }


def _stopped(database: Database, entry: dict[str, Any] | None, as_of: datetime) -> dict[str, Any] | None:
    """The stop of scoring that stands, and how many claims wait for its end."""
    found = standing_stop(database, as_of)
    if found is None:
        return None
    version = entry["model_version"] if entry else found.model_version
    waiting = database.rows(
        "SELECT count(*) AS n FROM claims_as_of(%s) c WHERE NOT EXISTS (SELECT FROM predictions p "
        "WHERE p.claim_id = c.claim_id AND p.model_version = %s)",
        [as_of, version],
    )
    return {
        "since": found.since.isoformat(),
        "window_end": found.window_end.date().isoformat(),
        "reason": found.reason,
        "waiting": waiting[0]["n"],
    }


def _attainable(database: Database, entry: dict[str, Any], as_of: datetime, truth: Path) -> dict[str, float]:
    """Average precision of the champion and of the true probabilities, on the claims that it was judged on."""
    judged = database.frame(
        "SELECT claim_id, o.is_fraud, p.fraud_probability FROM claims_as_of(%(as_of)s) c "
        "JOIN outcomes_as_of(%(judged_as_of)s) o USING (claim_id) JOIN predictions p USING (claim_id) "
        "WHERE p.model_version = %(version)s AND p.variant = 'champion' AND c.event_time BETWEEN %(start)s AND %(end)s",
        {"claim_id": "text", "is_fraud": "boolean", "fraud_probability": "number"},
        {
            "as_of": as_of,
            "judged_as_of": entry["as_of"],
            "version": entry["model_version"],
            "start": entry["judged_start"],
            "end": entry["judged_end"],
        },
    )
    known = judged.join(pl.read_csv(truth, columns=["claim_id", "fraud_probability"]), on="claim_id", suffix="_true")
    y = known["is_fraud"].cast(pl.Float64).to_numpy()
    attained, best = (np.asarray(known[f"fraud_probability{which}"]) for which in ("", "_true"))
    return {"attained": average_precision(y, attained), "attainable": average_precision(y, best)}
