"""Charts as inline SVG.

They have no script, font or colour of their own: the page's style sheet rules them in light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Self

import numpy as np
from markupsafe import Markup

Point = tuple[float, float]
Words = Callable[[float], str]

LEFT, RIGHT, TOP, BOTTOM = 46, 20, 24, 34
"""Room around the plot for its axes, in the drawing's units; text is 11 of them high."""
LETTER = 7.5
"""Width of a letter, at most, where a narrow screen enlarges the text."""


class Chart:
    """A drawing with linear axes; every method adds to it and returns it.

    Parameters
    ----------
    title : str
        What it shows, for those who cannot see it.
    x, y : tuple of float
        Lowest and highest value of each axis.
    """

    def __init__(self, title: str, x: Point, y: Point, width: int = 440, height: int = 230) -> None:
        self._title, self._x, self._y, self._width, self._height = title, x, y, width, height
        self._parts: list[Markup] = []

    def svg(self) -> Markup:
        """Everything drawn so far."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            self._width, self._height, self._title, Markup("").join(self._parts)
        )

    def y_axis(self, words: Words, name: str) -> Self:
        """Draw a grid line at each round value, and name the axis above it."""
        for tick in (tick for tick in ticks(self._y[1]) if tick >= self._y[0]):
            y = self._at_y(tick)
            self._add('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, self._width - RIGHT, y, y)
            self._add('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>', LEFT - 6, y + 4, words(tick))
        return self._add('<text class="axis" x="0" y="9">{}</text>', name)

    def x_axis(self, places: Sequence[float], labels: Sequence[str], name: str = "") -> Self:
        """Write labels below the plot; where they are many, only some."""
        room = (self._width - LEFT - RIGHT) // (LETTER * max(map(len, labels)) + 8)
        step = -(-len(labels) // max(int(room), 1))
        for place, label in list(zip(places, labels, strict=True))[::step]:
            self._add(
                '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>',
                self._at_x(place),
                self._height - BOTTOM + 15,
                label,
            )
        middle = (LEFT + self._width - RIGHT) / 2
        return self._add(
            '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>', middle, self._height - 4, name
        )

    def bars(self, heights: Sequence[float], kind: str, notes: Sequence[str]) -> Self:
        """Draw a bar over each whole number from 0 on, with a note that shows when it is pointed at."""
        for place, (height, note) in enumerate(zip(heights, notes, strict=True)):
            self.bar(place, height, kind, note)
        return self

    def bar(self, place: float, height: float, kind: str, note: str) -> Self:
        """Draw one bar."""
        left, right, top = self._at_x(place - 0.4), self._at_x(place + 0.4), self._at_y(height)
        return self._add(
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            *(kind, left, top, _rounded(right - left), _rounded(self._height - BOTTOM - top), note),
        )

    def line(self, points: Sequence[Point], kind: str) -> Self:
        """Join points."""
        return self._add('<polyline class="{}" points="{}"/>', kind, self._path(points))

    def band(self, low: Sequence[Point], high: Sequence[Point], kind: str) -> Self:
        """Fill what lies between two lines."""
        return self._add('<polygon class="{}" points="{}"/>', kind, self._path([*low, *reversed(high)]))

    def dots(self, points: Sequence[Point], kind: str, notes: Sequence[str]) -> Self:
        """Mark points, each with a note that shows when it is pointed at."""
        for (x, y), note in zip(points, notes, strict=True):
            self._add(
                '<circle class="{}" cx="{}" cy="{}" r="4"><title>{}</title></circle>',
                kind,
                self._at_x(x),
                self._at_y(y),
                note,
            )
        return self

    def spans(self, spans: Sequence[tuple[float, float, float, str, str]], labels: Sequence[tuple[float, str]]) -> Self:
        """Draw flat bars, each by its height, its two ends, its kind and its note; and name heights at the left."""
        for y, label in labels:
            self._add('<text class="axis" x="0" y="{}">{}</text>', self._at_y(y) + 4, label)
        for y, start, end, kind, note in spans:
            left, top = self._at_x(start), self._at_y(y) - 7
            self._add(
                '<rect class="{}" x="{}" y="{}" width="{}" height="14"><title>{}</title></rect>',
                *(kind, left, _rounded(top), _rounded(max(self._at_x(end) - left, 2)), note),
            )
        return self

    def level(self, y: float, label: str, *, below: bool = False) -> Self:
        """Draw a dashed line across, with its name above or below its right end."""
        at, right = self._at_y(y), self._width - RIGHT
        self._add('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, right, at, at)
        return self._add(
            '<text class="mark" x="{}" y="{}" text-anchor="end">{}</text>',
            right,
            _rounded(at + 14 if below else at - 5),
            label,
        )

    def wall(self, x: float, label: str) -> Self:
        """Draw a dashed line upwards, with its name beside its top."""
        at = self._at_x(x)
        self._add('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>', at, at, TOP, self._height - BOTTOM)
        side, anchor = (5, "start") if at < self._width / 2 else (-5, "end")
        return self._add(
            '<text class="mark" x="{}" y="{}" text-anchor="{}">{}</text>', at + side, TOP + 9, anchor, label
        )

    def _add(self, shape: str, *values: Any) -> Self:
        self._parts.append(Markup(shape).format(*values))  # escapes the values
        return self

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self._at_x(x)},{self._at_y(y)}" for x, y in points)

    def _at_x(self, value: float) -> float:
        low, high = self._x
        return _rounded(LEFT + (value - low) / (high - low) * (self._width - LEFT - RIGHT))

    def _at_y(self, value: float) -> float:
        low, high = self._y
        return _rounded(self._height - BOTTOM - (value - low) / (high - low) * (self._height - TOP - BOTTOM))


def ticks(high: float) -> list[float]:
    """Round values from 0 up to `high`: three to six, 1, 2, 2.5 or 5 times a power of ten apart.

    >>> ticks(0.37), ticks(0)
    ([0.0, 0.1, 0.2, 0.3], [0.0])
    """
    if not high > 0:
        return [0.0]
    power = 10.0 ** np.floor(np.log10(high / 2))
    step = max(factor * power for factor in (1, 2, 5) if factor * power <= high / 2)
    step = step / 2 if high / step < 3 else step
    return [round(float(tick), 12) for tick in np.arange(0, high * (1 + 1e-9), step)]


def volume(periods: Sequence[dict[str, Any]], count: Words) -> Markup:
    """Claims by period, and how many of them have an outcome."""
    labels = [period["label"] for period in periods]
    notes = [f"{p['label']}: {count(p['claims'])} claims, {count(p['known'])} with an outcome" for p in periods]
    top = max(4, *(period["claims"] for period in periods))
    chart = Chart(
        "Claims over time, and how many have an outcome; the table below has the figures", *_places(periods, top)
    )
    chart.y_axis(count, "claims").x_axis(range(len(labels)), labels)
    chart.bars([period["claims"] for period in periods], "pale", notes)
    return chart.bars([period["known"] for period in periods], "main", notes).svg()


def prevalence(periods: Sequence[dict[str, Any]], share: Words) -> Markup:
    """Share of frauds among the outcomes of each period, with its 95 % interval."""
    told = [(place, period) for place, period in enumerate(periods) if period["known"]]
    # The interval of a period with few outcomes may reach far up: it must not flatten all the others.
    top = min(max(period["high"] for _, period in told), 2.5 * max(0.01, *(period["rate"] for _, period in told)))
    chart = Chart(
        "Share of frauds among known outcomes over time; the table below has the figures", *_places(periods, top)
    )
    chart.y_axis(share, "frauds among known outcomes")
    chart.x_axis(range(len(periods)), [period["label"] for period in periods])
    for place, period in told:
        chart.line([(place, period["low"]), (place, min(period["high"], top))], "whisker")
    notes = [f"{p['label']}: {share(p['rate'])} (95 %: {share(p['low'])} to {share(p['high'])})" for _, p in told]
    return chart.dots([(place, period["rate"]) for place, period in told], "main", notes).svg()


def lift(deciles: Sequence[dict[str, Any]], average: float, share: Words) -> Markup:
    """Actual fraud rate by tenth of the ranking as bars, the predicted one as dots, the average as a line."""
    top = 1.1 * max(0.001, *(max(row["rate"], row["expected_rate"]) for row in deciles))
    chart = Chart("Fraud rate by tenth of the model's ranking; the table has the figures", *_places(deciles, top))
    chart.y_axis(share, "fraud rate").x_axis(
        range(10), [str(place) for place in range(1, 11)], "tenth of claims, highest first"
    )
    notes = [
        f"tenth {row['place']}: {share(row['rate'])} fraud, {share(row['expected_rate'])} predicted" for row in deciles
    ]
    chart.bars([row["rate"] for row in deciles], "main", notes).level(average, f"average {share(average)}")
    return chart.dots([(place, row["expected_rate"]) for place, row in enumerate(deciles)], "other", notes).svg()


def waits(bins: Sequence[dict[str, Any]], share: Words) -> Markup:
    """Share of the claims by how long they waited."""
    notes = [f"{row['label']}: {share(row['share'])}" for row in bins]
    chart = Chart("Claims by time from claim to score; the table has the figures", *_places(bins, 1.0))
    names = [row["label"].removesuffix(" days").removesuffix(" days and more").removesuffix(" day") for row in bins]
    names = [*names[:-1], f"{names[-1]} +"]
    chart.y_axis(share, "claims").x_axis(range(len(bins)), names, "days")
    return chart.bars([row["share"] for row in bins], "main", notes).svg()


def durations(stage: str, spans: Sequence[dict[str, Any]], many: int, first: datetime, last: datetime) -> Markup:
    """Longest run of a stage in each stretch of time, marked where one did not end well."""
    top = 1.15 * max(1e-3, *(row["seconds"] or 0.0 for row in spans))
    chart = Chart(
        f"Longest run of {stage} over time; the table has the figures",
        *((-0.6, many - 0.4), (0.0, top)),
        width=320,
        height=160,
    )
    chart.y_axis("{:g}".format, f"{stage}, seconds")
    chart.x_axis([0, many - 4], [first.strftime("%Y-%m-%d"), last.strftime("%Y-%m-%d")])
    for row in spans:
        note = f"{row['at']:%Y-%m-%d}: {row['runs']} runs, the longest {row['seconds'] or 0.0:.1f} s"
        chart.bar(row["place"], row["seconds"] or 0.0, "main", note)
        if row["bad"]:
            chart.dots([(row["place"], row["seconds"] or 0.0)], "other", [f"{note}, {row['bad']} did not end well"])
    return chart.svg()


def gains(deciles: Sequence[dict[str, Any]], share: Words) -> Markup:
    """Share of all frauds found by reviewing a share of the claims from the top; the diagonal is chance."""
    points = [(0.0, 0.0), *((row["place"] / 10, row["cumulative_recall"]) for row in deciles)]
    chart = Chart("Share of frauds found by share of claims reviewed; the table has the figures", (0, 1), (0, 1.02))
    chart.y_axis(share, "frauds found").x_axis(
        [x / 5 for x in range(6)], [share(x / 5) for x in range(6)], "claims reviewed"
    )
    chart.line([(0, 0), (1, 1)], "rule").line(points, "main")
    return chart.dots(points[1:], "main", [f"{share(x)} reviewed: {share(y)} found" for x, y in points[1:]]).svg()


def scores(counts: Sequence[int], top: float, threshold: float, count: Words, share: Words) -> Markup:
    """How many claims got which fraud probability (equal bins from 0 to `top`), and where flags begin."""
    width = top / len(counts)
    notes = [f"{share(i * width)} to {share((i + 1) * width)}: {count(n)} claims" for i, n in enumerate(counts)]
    chart = Chart(
        "Claims by fraud probability; the table has the figures", (-0.5, len(counts) - 0.5), (0, 1.05 * max(counts))
    )
    marks = ticks(top)
    chart.y_axis(count, "claims").bars(counts, "main", notes)
    chart.x_axis([mark / width - 0.5 for mark in marks], [share(mark) for mark in marks], "fraud probability")
    return chart.wall(min(threshold, top) / width - 0.5, f"flagged from {share(threshold)}").svg()


def ranking(windows: Sequence[dict[str, Any]], limit: float | None, figure: Words) -> Markup:
    """Area under the ROC curve by window."""
    points = [(place, window["value"]) for place, window in enumerate(windows)]
    notes = [f"{window['label']}: {figure(window['value'])}" for window in windows]
    lowest = max(0.0, min(0.5, limit or 0.5, *(value for _, value in points)) - 0.05)
    wide, _ = _places(windows, 1)
    chart = Chart("Area under the ROC curve by window; the table has the figures", wide, (lowest, 1.02))
    chart.y_axis(figure, "AUC").x_axis(
        range(len(windows)), [window["label"] for window in windows], "window, by its end"
    )
    chart.line(points, "main").dots(points, "main", notes)
    if limit is not None:
        chart.level(limit, f"limit {figure(limit)}", below=points[-1][1] >= limit)
    return chart.svg()


def _places(items: Sequence[object], top: float) -> tuple[Point, Point]:
    """Axes of a chart with one place an item."""
    return (-0.6, len(items) - 0.4), (0.0, top or 1.0)


def _rounded(value: float) -> float:
    return round(value, 1)
