"""Charts of a model on the claims that judged it, and of when which model was live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from deploy.local.report.charts import Chart, Words, ticks

SHORT = 14
"""Letters of a group's name below its bar; the table has it whole."""

Row = dict[str, Any]


def precision_recall(curve: Sequence[Row], prevalence: float, share: Words) -> Markup:
    """Share of frauds among the claims from the top, by share of all frauds found; chance is the dashed line."""
    # What precision the very first claims have is luck; the curve begins at the first point and not at 1.
    points = [(row["recall"], row["precision"]) for row in curve]
    top = min(1.0, 1.15 * max(prevalence, *(precision for _, precision in points)))
    chart = Chart("Precision by recall; the table has the figures", (0, 1), (0, top))
    chart.y_axis(share, "precision").x_axis(*_shares(share), "recall: frauds found")
    return chart.level(prevalence, f"chance {share(prevalence)}", below=True).line(points, "main").svg()


def roc(curve: Sequence[Row], share: Words) -> Markup:
    """Share of frauds found by share of honest claims that are looked at on the way; the diagonal is chance."""
    points = [(0.0, 0.0), *((row["false_positive_rate"], row["recall"]) for row in curve), (1.0, 1.0)]
    chart = Chart("Receiver operating characteristic; the table has the figures", (0, 1), (0, 1.02))
    chart.y_axis(share, "recall: frauds found").x_axis(*_shares(share), "honest claims among those looked at")
    return chart.line([(0, 0), (1, 1)], "rule").line(points, "main").svg()


def reliability(tenths: Sequence[Row], share: Words) -> Markup:
    """Actual fraud rate of each tenth of the claims, with its interval, by the rate that was expected."""
    top = max(0.01, *(max(row["expected"], row["actual"]) for row in tenths))
    # The interval of a small tenth may reach far up: it must not flatten all the others.
    top = 1.08 * min(max(row["high"] for row in tenths), 1.6 * top)
    chart = Chart("Actual by expected fraud rate; the table has the figures", (0, top), (0, top))
    marks = ticks(top)
    chart.y_axis(share, "actual fraud rate").x_axis(marks, [share(mark) for mark in marks], "expected fraud rate")
    chart.line([(0, 0), (top, top)], "rule")
    for row in tenths:
        chart.line([(row["expected"], row["low"]), (row["expected"], min(row["high"], top))], "whisker")
    notes = [
        f"{share(row['expected'])} expected, {share(row['actual'])} actual "
        f"(95 %: {share(row['low'])} to {share(row['high'])})"
        for row in tenths
    ]
    return chart.dots([(row["expected"], row["actual"]) for row in tenths], "main", notes).svg()


def groups(found: Row, share: Words) -> Markup:
    """Share flagged of each group of a sensitive column as bars, and of its frauds as dots where these are enough."""
    shown = found["groups"]
    recalls = [
        (place, row["recall"])
        for place, row in enumerate(shown)
        if row["recall"] is not None and row["name"] not in found["few_frauds"]
    ]
    top = 1.1 * max(0.01, *(row["flagged_share"] or 0.0 for row in shown), *(recall for _, recall in recalls))
    chart = Chart(f"Share flagged by {found['column']}; the table has the figures", (-0.6, len(shown) - 0.4), (0, top))
    names = [row["name"] if len(row["name"]) <= SHORT else f"{row['name'][: SHORT - 1]}…" for row in shown]
    chart.y_axis(share, "flagged").x_axis(range(len(shown)), names, found["column"])
    notes = [f"{row['name']}: {share(row['flagged_share'])} flagged" for row in shown]
    chart.bars([row["flagged_share"] or 0.0 for row in shown], "main", notes)
    notes = [f"{shown[place]['name']}: {share(recall)} of its frauds flagged" for place, recall in recalls]
    return chart.dots(recalls, "other", notes).svg()


def live(champions: Sequence[Row], stops: Sequence[Row], as_of: datetime) -> Markup:
    """Time in which each model was live, a row a model, the first at the top; below, when scoring stood still."""
    begins = champions[0]["as_of"].timestamp()
    length = max(as_of.timestamp() - begins, 1.0)
    names = [f"model {version}" for version in dict.fromkeys(row["model_version"] for row in champions)]
    rows = [
        (names.index(f"model {row['model_version']}"), "main", f"model {row['model_version']}", row)
        for row in champions
    ]
    if stops:
        rows += [(len(names), "halted", "stopped", row) for row in stops]
        names.append("stopped")
    chart = Chart(
        "When which model was live; the table has the days", (0, length), (-len(names), 0), height=70 + 24 * len(names)
    )
    spans = [
        (
            -place - 0.5,
            row["as_of"].timestamp() - begins,
            (row["until"] or as_of).timestamp() - begins,
            kind,
            f"{name}: {row['as_of']:%Y-%m-%d} to {'now' if row['until'] is None else row['until'].date()}",
        )
        for place, kind, name, row in rows
    ]
    chart.spans(spans, [(-place - 0.5, name) for place, name in enumerate(names)])
    moments = [length * place / 3 for place in range(4)]
    days = [datetime.fromtimestamp(begins + moment, as_of.tzinfo).date().isoformat() for moment in moments]
    return chart.x_axis(moments, days).svg()


def _shares(share: Words) -> tuple[list[float], list[str]]:
    marks = [place / 5 for place in range(6)]
    return marks, [share(mark) for mark in marks]
