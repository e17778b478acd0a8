"""Write one column of a contract, with what speaks for each of its keys."""

from __future__ import annotations

import re

from jobs.etl.discover.facts import Facts
from jobs.etl.discover.roles import Parts
from jobs.etl.discover.toml import Line, comment, table
from jobs.etl.discover.words import MARKERS, weigh, words_of
from shared.contract_parts import DType

_UNITS = {
    r"\b(eur|euro|euros)\b": "EUR",
    r"\b(usd|dollar|dollars)\b": "USD",
    r"\bgbp\b": "GBP",
    r"\bchf\b": "CHF",
    r"\bmonths\b": "months",
    r"\bdays\b": "days",
    r"\b(km|kilometerstand)\b": "km",
    r"\b(miles|mileage)\b": "miles",
    r"\byears\b": "years",
}
_RANGES = {
    r"\b(hour|stunde|heure|hora)\b": (0, 23),
    r"\bweek of month\b": (1, 5),
    r"\b(month|monat|mois|mes)\b": (1, 12),
    r"\b(year|jahr|annee)\b": (1900, 2100),
}
"""What a calendar or a clock allows."""


def has_gaps(fact: Facts) -> bool:
    """Whether some cells are empty or unknown."""
    return fact.filled + fact.misfits < fact.rows


def column(
    fact: Facts, name: str, parts: Parts, common: tuple[str, ...], form: tuple[str, str], seen: str
) -> list[object]:
    """Write one column; nothing of the cells of one that is personal or names claims."""
    header = fact.header
    is_label = bool(parts.label and parts.label.column == header)
    is_id = bool(parts.id and parts.id.column == header)
    is_time = bool(parts.event_time and parts.event_time.column == header and not parts.pieces)
    silent = header in parts.pii or is_id
    dtype: DType = "text" if silent else "category" if is_label else fact.dtype
    # A pseudonym is text; so are its cells.
    unknown = [marker for marker in fact.unknown if marker not in common and (not silent or marker.lower() in MARKERS)]
    undecided = [word for word in parts.label.undecided if word not in unknown] if is_label and parts.label else []
    lines: list[object] = [
        "",
        *table(("columns", name)),
        Line("dtype", dtype, "" if is_id else _says(fact, dtype, silent, seen)),
    ]
    if name != header:
        lines.append(Line("source", header))
    if (has_gaps(fact) or undecided) and not (is_id or is_time):
        gaps = fact.rows - fact.filled - fact.misfits
        lines.append(Line("nullable", True, f"{gaps:,} of {fact.rows:,} rows lack it{seen}" if gaps else ""))
    if unknown or undecided:
        lines.append(Line("na_values", [*unknown, *undecided], "" if fact.notes else "taken for 'unknown'"))
    if dtype == "category" and fact.complete and not is_label:
        banded = sum(bool(re.search(r"\d", level)) for level in fact.levels) > len(fact.levels) / 2
        order = "; if their order counts, sort them and add ordered = true" if banded else ""
        lines.append(Line("levels", fact.levels, f"each in both halves of the rows{seen}{order}"))
    if dtype in ("date", "datetime") and form[0]:
        lines.append(Line("format", form[0], form[1]))
    if dtype in ("integer", "number") and fact.range:
        lines += _bounds(fact, *fact.range)
    notes = [*fact.notes] if not silent else []
    if fact.misfits and not silent:
        notes.append(f"{fact.misfits:,} cells are no {fact.dtype}: their rows will be set aside{seen}")
    if (is_id or is_time) and has_gaps(fact):
        notes.append(f"{fact.rows - fact.filled:,} rows lack it and will be set aside{seen}")
    return [*lines[:1], *(f"# {comment(note)}" for note in notes), *lines[1:]]


def _says(fact: Facts, dtype: DType, silent: bool, seen: str) -> str:
    if silent or not fact.filled:
        return "personal, so nothing of it is shown" if silent else ""
    if dtype in ("category", "text"):
        return f"{fact.distinct:,} different value{'s' if fact.distinct != 1 else ''}{seen}"
    if fact.range:
        return f"{fact.range[0]:.15g} to {fact.range[1]:.15g}{seen}"
    if fact.span:
        first, last = (moment.date() if dtype == "date" else moment for moment in fact.span)
        return f"{first} to {last}{seen}"
    return " or ".join(fact.levels)


def _bounds(fact: Facts, low: float, high: float) -> list[object]:
    """Bounds that a person would state, and the unit; never the range that happened to be seen."""
    said = words_of(fact.header)
    money, count, age = (weigh(part, fact.header)[0] > 0 for part in ("money", "count", "age"))
    ranges = [(0, 120)] if age else [range_ for pattern, range_ in _RANGES.items() if re.search(pattern, said)]
    lines: list[object] = []
    if ranges and ranges[0][0] <= low and high <= ranges[0][1]:
        lines = [Line("min", ranges[0][0]), Line("max", ranges[0][1])]
    elif (money or count) and low >= 0:
        lines = [Line("min", 0)]
    elif money:
        lines = ["# no min: some are below 0"]
    unit = "years" if age else next((unit for pattern, unit in _UNITS.items() if re.search(pattern, said)), "")
    if unit or money:
        lines.append(Line("unit", unit or "money", "" if unit else "say which currency"))
    return lines
