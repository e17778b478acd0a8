"""Charts of drift: what each week's claims came to."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from deploy.local.report.charts import Chart, Words

Row = dict[str, Any]


def cohorts(found: Row, words: Words) -> Markup:
    """One figure by week: what came true as filled dots, what was estimated before as rings, with their intervals."""
    weeks = found["weeks"]
    points = [
        (place, kind, row[kind])
        for place, row in enumerate(weeks)
        for kind in ("estimated", "realised")
        if row[kind] is not None
    ]
    level = found["judged"]
    values = [row["value"] for _, _, row in points] + ([level] if level is not None else [])
    # The interval of a week with few frauds may reach far up: it must not flatten all the others.
    reach = max((row["high"] for _, _, row in points if row["high"] is not None), default=0.0)
    top = 1.08 * max(1e-9, min(max(reach, *values), 1.6 * max(values)))
    wide = (-0.6, len(weeks) - 0.4)
    chart = Chart(f"{found['name']} by week of the claims; the table has the figures", wide, (0.0, top))
    chart.y_axis(words, "")
    labels = [row["week"].strftime("%Y-%m-%d") for row in weeks]
    chart.x_axis(range(len(weeks)), labels, "week of the claims")
    for kind in ("estimated", "realised"):
        mine = [(place, row) for place, which, row in points if which == kind]
        # Side by side, where a week has both.
        shift = 0.15 if kind == "realised" else -0.15
        for place, row in mine:
            if row["low"] is not None and row["high"] is not None:
                low, high = min(row["low"], top), min(row["high"], top)
                chart.line([(place + shift, low), (place + shift, high)], f"whisker {kind}")
        notes = [
            f"{labels[place]}, {kind}: {words(row['value'])}"
            + (f" (95 %: {words(row['low'])} to {words(row['high'])})" if row["low"] is not None else "")
            for place, row in mine
        ]
        chart.dots([(place + shift, min(row["value"], top)) for place, row in mine], kind, notes)
    if level is not None:
        chart.level(level, f"when judged {words(level)}")
    return chart.svg()
