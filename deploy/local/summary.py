"""What a local run found: as data, valid against ``docs/summary.schema.json``, and in the terminal."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from shared.champion import folder_of
from shared.choreography import STAGES
from shared.contract import Contract
from shared.database import Database
from shared.errors import ExitCode
from shared.metrics import FIGURES, average_precision


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
    history = database.rows("SELECT * FROM model_history WHERE as_of <= %s ORDER BY entry_id", [as_of])
    promoted = [entry for entry in history if entry["alias"] == "champion"]
    champion = _champion(database, contract, promoted[-1]) if promoted else None
    refused = [entry for entry in history if entry["alias"] == "refused"]
    return {
        "contract": contract.name,
        "as_of": as_of.isoformat(),
        "stages": {stage: _stage(database, contract.name, stage) for stage in STAGES},
        "champion": champion,
        "refusing_gates": [] if champion or not refused else [g for g in refused[-1]["gates"] if not g["passed"]],
        "no_champion_because": None
        if champion
        else (refused[-1]["reason"] if refused else _last_word(database, contract, as_of)),
        "drift": _drift(database, promoted[-1]["model_version"] if promoted else None, as_of),
        "attainable": _attainable(database, promoted[-1], as_of, truth) if promoted and truth else None,
    }


def show(console: Console, summary: dict[str, Any], *, idle: bool) -> None:
    """Print the summary for a person."""
    if idle:
        console.print("[bold]Nothing to do:[/] every file is loaded, every claim scored. As it stands:")
    console.print(f"[bold]{summary['contract']}[/], as of {summary['as_of'][:10]}", highlight=False)
    stages = Table("stage")
    for heading in ("rows in", "rows out", "quarantined", "runs", "seconds", "worst exit"):
        stages.add_column(heading, justify="right")
    for name, stage in summary["stages"].items():
        counts = (f"{stage[key]:,}" for key in ("rows_in", "rows_out", "quarantined", "runs"))
        stages.add_row(name, *counts, f"{stage['seconds']:.1f}", str(stage["exit_code"]))
    console.print(stages)
    champion = summary["champion"]
    if champion is None:
        console.print(f"[bold]No champion[/]: {summary['no_champion_because']}")
    else:
        _show_champion(console, champion)
    if summary["attainable"]:
        figures = summary["attainable"]
        console.print(
            "The book is generated, so the best possible ranking is known: average precision "
            f"{figures['attained']:.3f} of {figures['attainable']:.3f} attainable on the judged claims."
        )
    drift = summary["drift"]
    console.print(f"[bold]Drift[/]: {drift['verdict'] or 'not measured'}; {'; '.join(drift['reasons'])}")


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


def _show_champion(console: Console, champion: dict[str, Any]) -> None:
    console.print(
        f"[bold]Champion[/]: model {champion['model_version']} ({champion['family'].replace('_', ' ')}), trained on "
        f"claims of {_span(champion['train_window'])}, judged on later ones of {_span(champion['judged_window'])}",
        highlight=False,
    )
    table = Table("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, estimate in champion["metrics"].items():
        value, low, high = (
            f"{estimate[key]:.3f}" if estimate[key] is not None else "-" for key in ("value", "low", "high")
        )
        table.add_row(name.replace("_", " "), value, f"{low} to {high}")
    console.print(table)
    for leak in champion["suspected_leaks"]:
        kept = f"let in: {leak['let_in']}" if leak["let_in"] else "left out"
        console.print(f"[bold]Suspected leak[/] {leak['column']}: {leak['evidence']} ({kept})", highlight=False)
    for column in champion["left_out"]:
        console.print(f"[bold]Left out[/] {column['column']}: {column['evidence']}", highlight=False)


def _span(window: dict[str, str]) -> str:
    return f"{window['start']} to {window['end']}"


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
    folder = folder_of(trained["artifact_uri"])
    features = json.loads((folder / "model.json").read_text())["features"]
    findings = json.loads((folder / "training.json").read_text())["findings"]
    allowed = contract.features.allow
    return {
        "model_version": entry["model_version"],
        "family": trained["family"],
        "train_window": _window(trained["train_start"], trained["train_end"]),
        "judged_window": _window(entry["judged_start"], entry["judged_end"]),
        "features": [{"name": feature["name"], "columns": feature["sources"]} for feature in features],
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
        "metrics": {name: entry["metrics"]["ranking"][name] for name in FIGURES},
        "gates": entry["gates"],
    }


def _window(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.date().isoformat(), "end": end.date().isoformat()}


def _last_word(database: Database, contract: Contract, as_of: datetime) -> str:
    """What train said last."""
    found = database.rows(
        "SELECT message FROM job_runs WHERE line = %s AND stage = 'train' AND as_of <= %s ORDER BY run_id DESC LIMIT 1",
        [contract.name, as_of],
    )
    return (found[0]["message"] if found else None) or "no model was trained"


def _drift(database: Database, version: int | None, as_of: datetime) -> dict[str, Any]:
    found = database.rows(
        "SELECT verdict, reason, window_start, window_end FROM drift_metrics WHERE model_version = %s "
        "AND metric = 'verdict' AND as_of <= %s ORDER BY window_start DESC LIMIT 1",
        [version, as_of],
    )
    if not found:
        return {"verdict": None, "reasons": ["no whole window of claims since the champion's training"], "window": None}
    newest = found[0]
    return {
        "verdict": newest["verdict"],
        "reasons": newest["reason"].split("; "),
        "window": _window(newest["window_start"], newest["window_end"]),
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
