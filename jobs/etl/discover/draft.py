"""Draft a contract: what a person would write down of the columns, each guess with its reason beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobs.etl.discover.columns import column, has_gaps
from jobs.etl.discover.facts import Facts, quoted
from jobs.etl.discover.roles import Parts
from jobs.etl.discover.toml import Line, comment, table, value
from jobs.etl.discover.words import MARKERS
from shared.contract import RESERVED
from shared.contract_parts import DType, File

FEW_ROWS = 300
"""Claims below which no model of them can be judged."""
COMMON_MARKER = 3
"""Columns with the same word for "unknown" from which it is said once for the whole file."""
SHORT_SPAN_DAYS = 120
LONGEST_NAME = 59


@dataclass(frozen=True)
class Table:
    """What is known of a file.

    Attributes
    ----------
    facts : sequence of Facts
        Of each column, in the file's order.
    rows : int
        Of the file.
    sampled : int
        Rows that were read, fewer than all; 0 where all were.
    how : str
        How the file is written, for people.
    notes : tuple of str
        What a person should know of that.
    """

    source: str
    file: File
    facts: Sequence[Facts]
    rows: int
    sampled: int
    how: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A first contract, and what its summary shows.

    Attributes
    ----------
    missing : tuple of str
        A sentence on each thing that is missing or odd, with the way on.
    roles : mapping of str to str
        What was guessed, role by role.
    """

    toml: str
    missing: tuple[str, ...]
    roles: Mapping[str, str]


def draft(name: str, given: Table, parts: Parts) -> Draft:
    """Write a contract for a file.

    Parameters
    ----------
    name : str
        Of the line of business.
    """
    names = _names(given.facts, parts)
    common = _common_markers(given.facts)
    missing = (*_missing(given, parts), *given.notes)
    made = _derived(given.facts, parts, names)
    lines = [
        *_head(name, given, missing),
        *_file(given.file, common),
        *_roles(parts, names, made),
        *_label(parts),
        *_drift(given.facts, parts),
    ]
    seen = "" if not given.sampled else ", in the sample"
    for fact in given.facts:
        lines += column(fact, names[fact.header], parts, common, _format(fact, given), seen)
    for derived, (dtype, sql, nullable, says) in made.items():
        lines += ["", *(f"# {comment(line)}" for line in says), *table(("derived", derived))]
        lines += [Line("dtype", dtype), Line("sql", sql), *([Line("nullable", True)] if nullable else [])]
    roles = {
        role: f"{guess.column} ({guess.reason})"
        for role in ("id", "event_time", "label", "amount", "claimant", "kind")
        if (guess := getattr(parts, role))
    }
    lists = ("entities", "pii", "sensitive", "ignore")
    roles |= {role: ", ".join(getattr(parts, role)) for role in lists if getattr(parts, role)}
    return Draft("\n".join(map(str, lines)) + "\n", missing, roles)


def _names(facts: Sequence[Facts], parts: Parts) -> dict[str, str]:
    """Name in the contract, by header."""
    owners = {"claim_id": parts.id, "event_time": parts.event_time, "is_fraud": parts.label}
    names: dict[str, str] = {}
    taken = {fact.header for fact in facts}
    for fact in facts:
        name = re.sub(r'["*\x00-\x1f]', "_", fact.header.strip()).lstrip("^ ") or "column"
        owner = owners.get(name)
        if name in RESERVED and not (owner and owner.column == fact.header):
            name = f"{name}_sent"
        name = name.encode()[:LONGEST_NAME].decode(errors="ignore").strip()
        stem, number = name.encode()[: LONGEST_NAME - 4].decode(errors="ignore"), 1
        while name in names.values() or (name != fact.header and name in taken):
            number += 1
            name = f"{stem}_{number}"
        names[fact.header] = name
    return names


def _common_markers(facts: Iterable[Facts]) -> tuple[str, ...]:
    counts = Counter(marker for fact in facts for marker in fact.unknown if marker.lower() in MARKERS)
    return tuple(marker for marker, count in counts.items() if count >= COMMON_MARKER)


def _missing(given: Table, parts: Parts) -> list[str]:
    """Say what is missing, and the way on."""
    sentences = []
    no_claim = not (parts.event_time or parts.label or parts.amount)
    if no_claim:
        sentences.append(
            "this does not look like claims (no date of a loss, no amount, no outcome): if claims refer to it, as to "
            "agents or policies, let their contract join it as a [reference] table; docs/contract.md has an example"
        )
    if parts.event_time is None:
        sentences.append(
            "no date of the claim was found: name one in roles.event_time; without it the split is at random and every "
            "figure is optimistic"
        )
    if parts.label is None:
        sentences.append(
            "no outcome was found: name its column in roles.label and its words in [label], or send outcomes in files "
            "of their own ([outcomes]); without them there is loading, quality, a ranking of unusual claims, no model"
        )
    elif parts.label.prevalence in (0.0, 1.0):
        sentences.append(
            f"the outcome '{parts.label.column}' is of one class only: nothing can be learnt; send claims of both"
        )
    if parts.id is None:
        sentences.append(
            "no column names each claim: name one in roles.id; without it a hash of the row does, so that a corrected "
            "claim counts as a new one"
        )
    if given.rows < FEW_ROWS:
        sentences.append(
            f"{given.rows:,} rows are too few to judge a model by (it takes about {FEW_ROWS}): send more claims"
        )
    return sentences


def _head(name: str, given: Table, missing: Sequence[str]) -> list[object]:
    of = f", told from a sample of {given.sampled:,} spread over the file" if given.sampled else ""
    about = "about " if given.sampled else ""
    lines: list[object] = [
        "#:schema ../docs/contract.schema.json",
        f"# A first contract, drafted by `make discover` from {comment(given.source)}:",
        f"# {about}{given.rows:,} rows of {len(given.facts)} columns, {given.how}{of}.",
        "# Each guess has its reason beside it. Look at the roles first; docs/contract.md explains every key.",
    ]
    if missing:
        lines += ["#", "# To know:", *(f"# - {comment(sentence)}" for sentence in missing)]
    return [*lines, "", Line("name", name), Line("title", name.replace("_", " ").capitalize())]


def _file(file: File, common: tuple[str, ...]) -> list[object]:
    usual = File()
    lines: list[object] = [
        Line(key, told)
        for key in ("delimiter", "quote", "encoding")
        if (told := getattr(file, key)) != getattr(usual, key)
    ]
    if common:
        lines.append(Line("na_values", common, f"each in {COMMON_MARKER} columns or more"))
    return ["", "[file]", *lines] if lines else []


_Made = Mapping[str, tuple[DType, str, bool, tuple[str, ...]]]


def _derived(facts: Sequence[Facts], parts: Parts, names: Mapping[str, str]) -> _Made:
    """Derived columns by name: dtype, SQL, whether it is nullable, and what to say of it."""
    made: dict[str, tuple[DType, str, bool, tuple[str, ...]]] = {}
    taken = {*names.values(), *RESERVED}
    if pieces := parts.pieces:
        columns = {
            key: quoted(names[header]) for key in ("year", "month", "day", "week") if (header := getattr(pieces, key))
        }
        says = ("Weeks of a month start on its 1st, 8th, 15th and 22nd day; the fifth is put on the 28th.",)
        made[_free(pieces.name, taken)] = ("date", pieces.sql.format(**columns), False, says if pieces.week else ())
    untouched = {*parts.pii, *(part.column for part in (parts.id, parts.label) if part)}
    for fact in facts:
        if fact.sql and fact.header not in untouched:
            dates = bool(parts.event_time and parts.event_time.column == fact.header)
            end = "_number" if fact.sql_dtype == "number" else "_time"
            stem = names[fact.header].encode()[: LONGEST_NAME - len(end)].decode(errors="ignore")
            sql = fact.sql.replace("{}", quoted(names[fact.header]))
            made[_free(stem + end, taken)] = (fact.sql_dtype, sql, has_gaps(fact) and not dates, ())
    return made


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_made"
    taken.add(name)
    return name


def _stands_for(header: str, names: Mapping[str, str], made: _Made) -> str:
    """The derived column that was made from this one alone, else the column itself."""
    for made_name, (_, sql, _, _) in made.items():
        if re.findall('"((?:[^"]|"")*)"', sql) == [names.get(header)]:
            return made_name
    return names[header]


def _roles(parts: Parts, names: Mapping[str, str], made: _Made) -> list[object]:
    lines: list[object] = ["", "[roles]"]
    for role in ("id", "event_time", "label", "amount", "claimant", "kind"):
        guess = getattr(parts, role)
        if guess is None:
            continue
        others = f"; candidates were also {', '.join(guess.others)}" if getattr(guess, "others", ()) else ""
        in_pieces = role == "event_time" and parts.pieces is not None
        column = next(iter(made)) if in_pieces else _stands_for(guess.column, names, made)
        lines.append(Line(role, column, guess.reason + others))
    if parts.maybe_label:
        lines.append(
            f"# label = {value(names[parts.maybe_label.column])} # perhaps: {comment(parts.maybe_label.reason)}"
        )
    for role in ("entities", "sensitive", "pii", "ignore"):
        guessed: dict[str, str] = getattr(parts, role)
        if guessed:
            lines.append(f"{role} = [")
            lines += [
                f"    {value(names[header])}, # {comment(why)}" for header, why in guessed.items() if header in names
            ]
            lines.append("]")
    return lines


def _label(parts: Parts) -> list[object]:
    if (label := parts.label) is None:
        return []
    return [
        "",
        "[label]",
        Line("fraud", label.fraud, f"{label.prevalence:.1%} of the claims"),
        Line("not_fraud", label.not_fraud),
        Line("delay_days", 0, "say how long after the event an outcome is usually known: the file does not tell"),
    ]


def _drift(facts: Sequence[Facts], parts: Parts) -> list[object]:
    for fact in facts:
        if parts.event_time and fact.header == parts.event_time.column and fact.span:
            days = (fact.span[1] - fact.span[0]).days + 1
            if days < SHORT_SPAN_DAYS:
                return ["", "[drift]", Line("window_days", 7, f"the file holds {days} days in all")]
    return []


def _format(fact: Facts, given: Table) -> tuple[str, str]:
    """Format of a date, and why, where its cells fit several."""
    first = next((form for form in fact.formats if form.startswith("%d")), "")
    month = next((form for form in fact.formats if form.startswith("%m")), "")
    if not (first and month):
        return (fact.formats or ("",))[0], ""
    others = {other.formats[0][:2] for other in given.facts if len(other.formats) == 1 and other.formats[0]}
    settled = others & {"%d", "%m"}
    if len(settled) == 1:
        chosen, why = first if settled == {"%d"} else month, "another column of the file settles it"
    elif given.file.delimiter == ";" or given.file.encoding == "latin-1":
        chosen, why = first, "where files look like this, the day comes first; look whether that is right"
    else:
        chosen, why = month, "a guess; look whether that is right"
    return chosen, f"could also be read as {first if chosen == month else month}: {why}"
