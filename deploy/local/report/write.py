"""The report of a local run: pages that need nothing else, for those who decide about claims and those who keep watch.

It reads, as of the clock, and writes nothing to the database. Quarantined rows appear as counts only, and no column
that the contract calls personal appears at all. Whatever grows with the book is summed up in SQL.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.local.report.book import gather_book
from deploy.local.report.claims import scores, unusual, worklist
from deploy.local.report.drift import gather_drift
from deploy.local.report.model import gather_model, shadow, training
from deploy.local.report.operations import gather_operations, standing_stop
from deploy.local.report.sources import gather_sources
from deploy.local.report.words import age, count, day, duration, figure, mebibytes, seconds, share, usd, words_of
from deploy.local.summary import WAY_ON
from shared.champion import ANOMALY
from shared.contract import Contract
from shared.database import Database
from shared.judgement import tenths_told

LONGEST = 20
"""Rows of a list; the page says how many more there are."""
MOST_REASONS = 5
"""Reasons of a verdict in a list of verdicts."""
FRONT = "front"
PAGES = {
    FRONT: ("Overview", "the headline, and what asks for somebody"),
    "claims": ("Claims", "which to look at first, and why"),
    "model": ("Model", "how it came about, what it shows, where it fails"),
    "data": ("Data", "what came, how fresh it is, what was set aside"),
    "drift": ("Drift", "what changed since the model learnt, and whether it still finds frauds"),
    "operations": ("Operations", "runs, their cost, how long claims wait, which model was live when"),
}
"""Name of each page, and what it tells."""
NEED_OUTCOMES = ("model", "drift")
CARD = "card.html"

Row = dict[str, Any]


def write_report(
    folder: Path, database: Database, contract: Contract, summary: dict[str, Any], as_of: datetime
) -> Path:
    """Write the pages of one line of business: ``<line>.html`` leads to those in the folder ``<line>``.

    ``index.html`` is the same as the first, for the line that ran last; it leads to the other lines, whose pages stay
    as they are. The card of the model that is shown lies beside the pages.

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
        ``index.html``.
    """
    below, front = folder / contract.name, folder / f"{contract.name}.html"
    below.mkdir(parents=True, exist_ok=True)
    lines = {contract.name} | {page.stem for page in folder.glob("*.html")} - {"index"}
    facts = gather(database, contract, summary, as_of) | {"lines": sorted(lines)}
    if (card := facts["model"]["card"]) is not None:
        _replace(below / CARD, card)
    for name, page in render(facts).items():
        for path in (front, folder / "index.html") if name == FRONT else (below / f"{name}.html",):
            _replace(path, page)
    return folder / "index.html"


def _replace(path: Path, content: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(content)
    os.replace(part, path)


def gather(database: Database, contract: Contract, summary: Mapping[str, Any], as_of: datetime) -> Row:
    """Read all that the pages show."""
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
    with database.transaction():
        # Each query sees the same state; and without statistics Postgres would hold each claim against each score.
        database.rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        database.rows("SET LOCAL enable_nestloop = off")
        return {
            "contract": contract,
            "summary": summary,
            "as_of": as_of,
            "generated": contract.name == "demo",
            "dated": contract.roles.event_time is not None,
            **gather_book(database, contract, as_of),
            "sources": gather_sources(database, as_of),
            "history": history,
            "judged": judged,
            "trained": trained,
            "training": training(trained, contract),
            "model": gather_model(database, contract, judged, history),
            "shadow": shadow(database, champion, as_of) if champion else None,
            "deciles": tenths_told(judged["metrics"]["deciles"]) if judged else [],
            "scores": scores(database, contract, champion, trained, as_of) if champion and trained else None,
            "worklist": worklist(database, contract, as_of) if champion else [],
            "unusual": unusual(database, contract, trained, as_of) if trained and not contract.labelled else None,
            "drift": gather_drift(database, champion, as_of),
            "stop": standing_stop(database, as_of),
            "operations": gather_operations(database, contract, champion, as_of),
        }


def render(facts: Row) -> dict[str, str]:
    """Turn what was gathered into HTML, by the page's name."""
    import jinja2

    from deploy.local.report import charts, drift_charts, model_charts

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (age, count, day, duration, figure, mebibytes, seconds, sha256, share, usd, words_of)
    environment.filters |= {function.__name__: function for function in words}
    environment.globals |= {function.__name__: function for function in (count, figure, share)}
    environment.globals |= {"charts": charts, "drift_charts": drift_charts, "model_charts": model_charts}
    known = {
        name: {"name": told[0], "tells": told[1]}
        for name, told in PAGES.items()
        if facts["contract"].labelled or name not in NEED_OUTCOMES
    }
    facts = facts | {
        "pages": known,
        "longest": LONGEST,
        "most_features": LONGEST,
        "most_reasons": MOST_REASONS,
        "way_on": WAY_ON,
        "card_page": facts["model"]["card"] and CARD,
    }
    rendered = {}
    for name in known:
        # From index.html and from below a line's folder, so that the whole report can be moved or sent.
        places = {"root": "", "here": f"{facts['contract'].name}/"} if name == FRONT else {"root": "../", "here": ""}
        rendered[name] = environment.get_template(f"{name}.html.j2").render(facts, page=name, **places)
    return rendered


def sha256(text: str) -> str:
    """Hash that lets the page's own style sheet through its content security policy, and no other."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
