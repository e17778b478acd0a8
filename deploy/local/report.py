"""The report of a local run: one HTML page that needs nothing else, for those who decide about claims.

It reads, as of the clock, and writes nothing to the database. Quarantined rows appear as counts only, and no column
that the contract calls personal appears at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.local.report_model import gather_model
from deploy.local.report_sources import gather_sources
from deploy.local.scores import scores, unusual
from deploy.local.summary import WAY_ON
from deploy.local.words import count, day, figure, share, words_of
from shared.champion import ANOMALY, folder_of
from shared.contract import Contract
from shared.database import Database, quoted
from shared.errors import ExitCode, ModelError
from shared.metrics import wilson

LONGEST = 20
"""Rows of a list; the page says how many more there are."""
MOST_WINDOWS = 12
CARDS = "cards"
"""Folder of the models' cards, below that of the pages."""
Z_95 = 1.96
PERIODS = (("day", 35), ("week", 200), ("month", 2200), ("year", 40_000), ("century", float("inf")))
"""Period by which a book is cut, and the days up to which a book is short enough for it."""

Row = dict[str, Any]


def write_report(
    folder: Path, database: Database, contract: Contract, summary: dict[str, Any], as_of: datetime
) -> Path:
    """Write the page of one line of business, ``<line>.html``, and the same as ``index.html``, the last run's page.

    The pages of other lines stay as they are; this one leads to them. The card of the model that it shows lies beside
    it, below ``cards``.

    Parameters
    ----------
    folder : Path
        Made if need be.
    summary : dict
        As :func:`deploy.local.summary.collect` gives it.
    as_of : datetime
        The clock; what was not known by then does not appear.

    Returns
    -------
    Path
        The last run's page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = sorted({contract.name} | {page.stem for page in folder.glob("*.html")} - {"index"})
    facts = gather(database, contract, summary, as_of)
    card, path = facts["model"]["card"], folder / CARDS / f"{contract.name}.html"
    if card is not None:
        path.parent.mkdir(exist_ok=True)
        _replace(path, card.encode())
    page = render(facts | {"lines": lines, "card_page": f"{CARDS}/{contract.name}.html" if card else None}).encode()
    for path in (folder / f"{contract.name}.html", folder / "index.html"):
        _replace(path, page)
    return folder / "index.html"


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def gather(database: Database, contract: Contract, summary: dict[str, Any], as_of: datetime) -> Row:
    """Read all that the page shows."""
    # Whoever names no outcomes any more has no champion either, whatever was promoted before.
    history = database.rows(
        "SELECT * FROM model_history WHERE as_of <= %s AND %s ORDER BY as_of, entry_id", [as_of, contract.labelled]
    )
    models = database.rows(
        "SELECT * FROM models WHERE as_of <= %s AND (family <> %s) = %s ORDER BY model_version",
        [as_of, ANOMALY, contract.labelled],
    )
    champion = next((entry for entry in reversed(history) if entry["alias"] == "champion"), None)
    judged = champion or (history[-1] if history else None)
    version = judged["model_version"] if judged else None
    trained = next((model for model in models if model["model_version"] == version), models[-1] if models else None)
    with database.transaction():  # each query sees the same state
        return {
            "contract": contract,
            "summary": summary,
            "as_of": as_of,
            "generated": contract.name == "demo",
            "dated": contract.roles.event_time is not None,
            "book": _book(database, as_of),
            "files": database.rows(
                "SELECT * FROM ingest_files WHERE loaded_at <= %s AND (kind <> 'photos' OR status = 'rejected') "
                "ORDER BY file_id DESC",
                [as_of],
            ),
            "sources": gather_sources(database, as_of),
            "quarantine": _quarantine(database, as_of),
            "unknown": _unknown(database, contract, as_of),
            "history": history,
            "judged": judged,
            "trained": trained,
            "training": _training(trained, contract),
            "model": gather_model(database, contract, judged, history),
            "deciles": _deciles(judged["metrics"]["deciles"]) if judged else [],
            "scores": scores(database, contract, champion, trained, as_of) if champion and trained else None,
            "unusual": unusual(database, contract, trained, as_of) if trained and not contract.labelled else None,
            "drift": _drift(database, champion, as_of),
            "runs": _runs(database, contract, as_of),
        }


def render(facts: Row) -> str:
    """Turn what was gathered into HTML."""
    import jinja2

    from deploy.local import charts, model_charts

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (count, figure, share, day, words_of, sha256)
    environment.filters |= {function.__name__: function for function in words}
    environment.globals |= {
        "charts": charts,
        "model_charts": model_charts,
        "count": count,
        "share": share,
        "figure": figure,
    }
    return environment.get_template("report.html.j2").render(facts, longest=LONGEST, way_on=WAY_ON)


def sha256(text: str) -> str:
    """Hash that lets the page's own style sheet through its content security policy, and no other."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _book(database: Database, as_of: datetime) -> Row:
    """Claims, outcomes and frauds, in all and by period."""
    whole = database.rows(
        "SELECT count(*) AS claims, count(o.claim_id) AS known, count(*) FILTER (WHERE o.is_fraud) AS frauds, "
        "min(event_time) AS first, max(event_time) AS last "
        "FROM claims_as_of(%(as_of)s) c LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id)",
        {"as_of": as_of},
    )[0]
    if not whole["claims"]:
        return whole | {"periods": [], "unit": ""}
    length = (whole["last"] - whole["first"]) / timedelta(days=1)
    unit = next(name for name, longest in PERIODS if length <= longest)
    shape = {"day": "MM-DD", "week": "MM-DD", "month": "YYYY-MM"}.get(unit, "YYYY")
    periods = database.rows(
        "SELECT to_char(begins, %(shape)s) AS label, count(c.claim_id) AS claims, count(o.claim_id) AS known, "
        "count(*) FILTER (WHERE o.is_fraud) AS frauds FROM generate_series("
        "date_trunc(%(unit)s, %(first)s), date_trunc(%(unit)s, %(last)s), ('1 ' || %(unit)s)::interval) AS begins "
        "LEFT JOIN claims_as_of(%(as_of)s) c ON date_trunc(%(unit)s, c.event_time) = begins "
        "LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) GROUP BY begins ORDER BY begins",
        {"as_of": as_of, "unit": unit, "shape": shape, "first": whole["first"], "last": whole["last"]},
    )
    return whole | {"periods": [period | _rate(period["frauds"], period["known"]) for period in periods], "unit": unit}


def _rate(frauds: int, known: int) -> Row:
    low, high = wilson(frauds, known, Z_95)
    return {"rate": frauds / known if known else None, "low": low, "high": high}


def _quarantine(database: Database, as_of: datetime) -> Row:
    """Quarantined rows by column and reason; those of a rejected file count as that file's."""
    reasons = database.rows(
        "SELECT coalesce(q.column_name, '') AS column_name, "
        # The reason begins with its column; which row is repeated, or which file brought it, would split the counts.
        "regexp_replace(regexp_replace(CASE WHEN starts_with(q.reason, q.column_name || ': ') "
        "THEN substr(q.reason, length(q.column_name) + 3) ELSE q.reason END, "
        "'^repeats row [0-9]+', 'repeats an earlier row'), "
        "'^(already loaded from|another version came later from) .*', '\\1 another file') AS reason, "
        "count(*) AS rows, count(DISTINCT q.file_id) AS files "
        "FROM claims_quarantine q JOIN ingest_files f USING (file_id) WHERE f.loaded_at <= %s AND f.status = 'loaded' "
        "GROUP BY 1, 2 ORDER BY rows DESC, 1, 2",
        [as_of],
    )
    rejected = database.rows(
        "SELECT uri, loaded_at, rows_in, reason FROM ingest_files WHERE status = 'rejected' AND loaded_at <= %s "
        "ORDER BY file_id DESC",
        [as_of],
    )
    return {"reasons": reasons, "rejected": rejected, "rows": sum(row["rows"] for row in reasons)}


def _unknown(database: Database, contract: Contract, as_of: datetime) -> list[Row]:
    """Columns in which claims have unknown values, the most first."""
    names = [name for name in contract.stored if name not in ("claim_id", "event_time")]
    known = ", ".join(f"count({quoted(name)}) AS n{place}" for place, name in enumerate(names))
    found = database.rows(
        f"SELECT count(*) AS claims{', ' if names else ''}{known} FROM claims_as_of(%(as_of)s)", {"as_of": as_of}
    )[0]
    unknown = [(name, found["claims"] - found[f"n{place}"]) for place, name in enumerate(names)]
    rows = [{"column": name, "claims": n, "share": n / found["claims"]} for name, n in unknown if n]
    return sorted(rows, key=lambda row: -row["claims"])


def _training(trained: Row | None, contract: Contract) -> Row | None:
    """What stands beside the model about how it came about, or None: its files cannot be read."""
    if trained is None:
        return None
    try:
        folder = folder_of(trained["artifact_uri"])
        told: Row = json.loads((folder / "training.json").read_text())
        features = json.loads((folder / "model.json").read_text())["features"]
    except (ModelError, OSError, ValueError, KeyError):
        return None
    columns = contract.known
    for feature in features:
        known = [columns[name] for name in feature["sources"][:1] if name in columns]
        feature["meaning"] = known[0].meaning if known else ""
        feature["sensitive"] = any(name in contract.roles.sensitive for name in feature["sources"])
    trials = [trial | {"place": place} for place, trial in enumerate(told.get("trials", ()))]
    findings = [finding | {"let_in": contract.features.allow.get(finding["column"])} for finding in told["findings"]]
    return told | {"trials": trials, "findings": findings, "features": features}


def _deciles(bins: list[Row]) -> list[Row]:
    """Tenths of the judged claims, with their rates and their lift over the average."""
    claims, frauds = (sum(row[key] for row in bins) for key in ("claims", "frauds"))
    return [
        row
        | {
            "place": place,
            "rate": row["frauds"] / row["claims"],
            "expected_rate": row["expected"] / row["claims"],
            "lift": row["frauds"] / row["claims"] * claims / frauds if frauds else None,
        }
        for place, row in enumerate(bins, 1)
    ]


def _drift(database: Database, champion: Row | None, as_of: datetime) -> Row:
    """Verdicts of every model's windows; of the champion's, the features' shift and how well it ranked."""
    verdicts = database.rows(
        "SELECT model_version, window_start, window_end, verdict, reason FROM drift_metrics WHERE metric = 'verdict' "
        "AND as_of <= %s ORDER BY window_end DESC, model_version DESC",
        [as_of],
    )
    measures = database.rows(
        'SELECT window_end, feature, metric, value, "limit" FROM drift_metrics '
        "WHERE model_version = %s AND as_of <= %s AND metric IN ('shift', 'roc_auc') ORDER BY window_start",
        [champion["model_version"] if champion else None, as_of],
    )
    windows = sorted({row["window_end"] for row in measures})[-MOST_WINDOWS:]
    shifts: dict[str, dict[datetime, float]] = {}
    for row in measures:
        if row["metric"] == "shift" and row["window_end"] in windows and row["limit"]:
            shifts.setdefault(row["feature"], {})[row["window_end"]] = row["value"] / row["limit"]
    return {
        "verdicts": verdicts,
        "windows": windows,
        "shifts": sorted(shifts.items(), key=lambda item: -max(item[1].values())),
        "ranking": [
            row | {"label": row["window_end"].date().isoformat()} for row in measures if row["metric"] == "roc_auc"
        ],
    }


def _runs(database: Database, contract: Contract, as_of: datetime) -> Row:
    """What the ledger adds to the summary: effort by stage, and the runs that did not end well."""
    effort = database.rows(
        "SELECT stage, sum(cpu_seconds) AS cpu_seconds, max(peak_rss_bytes) AS peak FROM job_runs "
        "WHERE line = %s AND as_of <= %s GROUP BY stage",
        [contract.name, as_of],
    )
    failed = database.rows(
        "SELECT stage, as_of, status, exit_code, message FROM job_runs WHERE line = %s AND as_of <= %s "
        "AND status NOT IN ('done', 'running') ORDER BY run_id DESC",
        [contract.name, as_of],
    )
    for run in failed:
        known = run["exit_code"] in set(ExitCode)
        run["meaning"] = ExitCode(run["exit_code"]).sentence if known else f"ended with code {run['exit_code']}"
    return {"effort": {row["stage"]: row for row in effort}, "failed": failed}
