"""Guess which part each column plays, each guess with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.etl.discover.facts import Cells, Facts
from jobs.etl.discover.personal import personal_shape
from jobs.etl.discover.words import FRAUD, LEGIT_HEADER, NOT_FRAUD, UNDECIDED, weigh, words_of

ENOUGH = {
    "id": 3, "event_time": 1, "label": 5, "amount": 3, "claimant": 6, "entity": 5, "kind": 5, "pii": 5, "sensitive": 4,
}  # fmt: skip
"""Weight from which a header is taken for a part."""
FEW, REPEATED, KINDS = 5, 0.95, 50
"""Different values, in all, that only sort claims; those a claim up to which a column has a history; sorts at most."""
ID_SHARE, FILLED = 0.99, 0.95
"""Share of different values among an id's, and of filled cells of a date, below which a column cannot play the part."""


@dataclass(frozen=True)
class Guess:
    """A column and why it plays a part."""

    column: str
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pieces:
    """A date in pieces: headers of its year, month, and day or week of the month."""

    name: str
    year: str
    month: str
    day: str | None
    week: str | None
    named_months: bool
    reason: str

    @property
    def sql(self) -> str:
        """Expression that makes the date; ``{year}`` and the like are the columns."""
        month = "LEFT({month}, 3)" if self.named_months else "{month}"
        # Weeks of a month start on its 1st, 8th, 15th and 22nd day; the fifth, which February lacks, on the 28th.
        day = "{day}" if self.day else "LEAST({week} * 7 - 6, 28)" if self.week else "1"
        return f"DATE(CONCAT_WS('-', {{year}}, {month}, {day}), '%Y-{'%b' if self.named_months else '%m'}-%d')"


@dataclass(frozen=True)
class LabelGuess:
    """The outcome's column, and which of its words mean what."""

    column: str
    fraud: tuple[str, ...]
    not_fraud: tuple[str, ...]
    undecided: tuple[str, ...]
    reason: str
    prevalence: float


@dataclass(frozen=True)
class Parts:
    """Who plays what; headers, but for the event time, which may be the name of a derived column."""

    id: Guess | None = None
    event_time: Guess | None = None
    pieces: Pieces | None = None
    label: LabelGuess | None = None
    maybe_label: Guess | None = None
    amount: Guess | None = None
    claimant: Guess | None = None
    kind: Guess | None = None
    entities: dict[str, str] = field(default_factory=dict)
    pii: dict[str, str] = field(default_factory=dict)
    sensitive: dict[str, str] = field(default_factory=dict)
    ignore: dict[str, str] = field(default_factory=dict)


def guess_parts(table: Sequence[tuple[Cells, Facts]], repeating: str | None = None) -> Parts:
    """Guess the part of each column of a file, in the file's order.

    Parameters
    ----------
    repeating : str, optional
        A column that is no id though it looks like one in the rows at hand.
    """
    facts = [fact for _, fact in table]
    label, maybe = _label(table)
    rest = [fact for fact in facts if label is None or fact.header != label.column]
    ident = _id([fact for fact in rest if fact.header != repeating])
    rest = [fact for fact in rest if ident is None or fact.header != ident.column]
    pieces = _pieces(rest)
    event_time = _event_time(rest)
    if pieces and (event_time is None or weigh("event_time", event_time.column)[0] < ENOUGH["event_time"] + 2):
        others = (event_time.column, *event_time.others) if event_time else ()
        event_time = Guess(pieces.name, pieces.reason, others)
    else:
        pieces = None
    claimant = _claimant(rest)
    taken = {event_time.column if event_time else None}
    pii = {
        cells.header: why
        for cells, fact in table
        if fact in rest and fact.header not in taken and (why := _pii(cells, fact))
    }
    if claimant:
        pii.setdefault(claimant.column, "names the claimant")
    amount = _amount([fact for fact in rest if fact.header not in pii])
    return Parts(
        ident,
        event_time,
        pieces,
        label,
        maybe,
        amount,
        claimant,
        _kind([fact for fact in rest if fact.header not in pii]) if amount and event_time else None,
        {fact.header: why for fact in rest if event_time and (why := _entity(fact, claimant))},
        pii,
        {fact.header: why for fact in rest if fact.header not in pii and (why := _sensitive(fact))},
        {fact.header: why for fact in rest if fact.header not in pii and (why := _ignored(fact))},
    )


def _says(found: tuple[str, ...]) -> str:
    return f"its header says {', '.join(repr(word) for word in dict.fromkeys(found))}"


def _others(ranked: list[tuple[float, Facts]]) -> tuple[str, ...]:
    return tuple(fact.header for _, fact in ranked[1:4])


def _id(facts: list[Facts]) -> Guess | None:
    ranked = []
    for place, fact in enumerate(facts):
        score, found = weigh("id", fact.header)
        if fact.dtype not in ("integer", "category", "text") or fact.free_text or fact.filled < ID_SHARE * fact.rows:
            continue
        unique = fact.distinct == fact.filled
        if score < ENOUGH["id"] or fact.rows < 1 or fact.distinct < (ID_SHARE if score >= 7 else 1) * fact.filled:
            continue
        ranked.append((score + unique + 1 / (place + 1), fact, found))
    if not ranked:
        return None
    ranked.sort(key=lambda one: -one[0])
    _, best, found = ranked[0]
    differs = (
        "differs in each row" if best.distinct == best.filled else f"repeats in {best.filled - best.distinct:,} rows"
    )
    return Guess(best.header, f"{differs}; {_says(found)}", tuple(fact.header for _, fact, _ in ranked[1:4]))


def _event_time(facts: list[Facts]) -> Guess | None:
    ranked: list[tuple[float, Facts]] = []
    for fact in facts:
        dated = fact.dtype in ("date", "datetime") or fact.sql_dtype in ("date", "datetime")
        score = weigh("event_time", fact.header)[0]
        if dated and score > -2 and fact.filled >= FILLED * fact.rows and fact.filled and not fact.constant:
            ranked.append((score, fact))
    ranked.sort(key=lambda one: -one[0])
    if not ranked or (ranked[0][0] < ENOUGH["event_time"] and len(ranked) > 1):
        return None
    best = ranked[0][1]
    found = weigh("event_time", best.header)[1]
    return Guess(best.header, _says(found) if found else "the only date there is", _others(ranked))


def _pieces(facts: list[Facts]) -> Pieces | None:
    """A year, a month, and a day or week of it, whose headers have the rest in common."""
    groups: dict[str, dict[str, Facts]] = {}
    for fact in facts:
        said = words_of(fact.header)
        for piece, pattern, fits in _PIECES:
            if re.search(pattern, said) and fits(fact):
                base = " ".join(re.sub(pattern, " ", said).split())
                groups.setdefault(base, {}).setdefault(piece, fact)
                break
    whole = {base: group for base, group in groups.items() if {"year", "month"} <= group.keys()}
    # Without a word of its own, or with one of a loss, rather than of a birth or a policy.
    ranked = sorted(whole, key=lambda base: -weigh("event_time", base)[0])
    if not ranked or weigh("event_time", ranked[0])[0] < 0:
        return None
    base, group = ranked[0], whole[ranked[0]]
    day, week = group.get("day"), group.get("week")
    finest = "date" if day else "week" if week else "month"
    used = [part.header for part in (group["year"], group["month"], day or week) if part]
    reason = f"a date in pieces: {', '.join(used)}" + ("" if day else f"; the first day of the {finest}")
    named = group["month"].dtype != "integer"
    name = "_".join([*(base.split() or ["event"]), finest])
    return Pieces(
        name, group["year"].header, group["month"].header, day.header if day else None,
        week.header if week and not day else None, named, reason,
    )  # fmt: skip


def _within(low: float, high: float) -> Callable[[Facts], bool]:
    def fits(fact: Facts) -> bool:
        return fact.dtype == "integer" and fact.range is not None and low <= fact.range[0] <= fact.range[1] <= high

    return fits


def _is_month(fact: Facts) -> bool:
    names = re.compile("jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", re.IGNORECASE)
    worded = bool(fact.levels) and all(names.match(level) for level in fact.levels)
    return worded or _within(1, 12)(fact)


_PIECES = (
    ("year", r"\b(year|jahr|yr|annee|anio)\b", _within(1900, 2100)),
    ("week", r"\bweek of month\b", _within(1, 5)),
    ("month", r"\b(month|monat|mois|mes)\b", _is_month),
    ("day", r"\b(day of month|day|tag|jour|dia)\b", _within(1, 31)),
)


def _label(table: Sequence[tuple[Cells, Facts]]) -> tuple[LabelGuess | None, Guess | None]:
    ranked = []
    for cells, fact in table:
        score, found = weigh("label", fact.header)
        if cells.values.height > _MOST_WORDS:
            continue
        decided = cells.values.filter(
            ~cells.values["value"].is_in(fact.unknown)
            & ~cells.values["value"].str.to_lowercase().is_in(list(UNDECIDED))
        )
        words = {value: count for value, count, _ in decided.iter_rows()}
        kinds = {_verdict(value) for value in words}
        if 1 <= len(words) <= 2 or (len(words) <= 8 and None not in kinds and len(kinds) == 2):
            ranked.append((score, len(words) > 1, words, found, cells, fact))
    ranked.sort(key=lambda one: (-one[0], not one[1]))
    if ranked and ranked[0][0] >= ENOUGH["label"]:
        return _judged(*ranked[0][2:]), None
    decisions = (
        r"\b(claim|case|investigation) (status|result|state)\b|\b(decision|approved|denied|rejected|genehmigt)\b"
    )
    for _, binary, _, _, _, fact in ranked:
        if binary and re.search(decisions, words_of(fact.header)):
            return None, Guess(fact.header, "two values, and its header speaks of a decision, though not of fraud")
    return None, None


def _verdict(word: str) -> bool | None:
    lower = word.lower()
    return True if lower in FRAUD else False if lower in NOT_FRAUD else None


def _judged(words: dict[str, int], found: tuple[str, ...], cells: Cells, fact: Facts) -> LabelGuess:
    legit = LEGIT_HEADER.search(words_of(fact.header)) is not None
    verdicts = {word: _verdict(word) for word in words}
    reason = _says(found)
    if len(words) == 2 and len({*verdicts.values()} & {True, False}) < 2:
        told = next((word for word, verdict in verdicts.items() if verdict is not None), None)
        rarer = min(words, key=words.__getitem__)
        if told is None:
            verdicts = {word: word == rarer for word in words}
            reason += "; which of its words means fraud is a guess: the rarer one"
        else:
            verdicts = {word: verdicts[told] if word == told else not verdicts[told] for word in words}
    elif len(words) == 1:
        only = next(iter(words))
        verdicts = {only: bool(verdicts[only])}
        pair = next((pair for pair in _OPPOSITE if only in pair), (only, "0" if verdicts[only] else "1"))
        verdicts |= {word: not verdicts[only] for word in pair if word != only}
    if legit:
        verdicts = {word: not verdict for word, verdict in verdicts.items()}
        reason += "; its header speaks of no fraud, so yes means none"
    fraud = tuple(sorted(word for word, verdict in verdicts.items() if verdict))
    undecided = tuple(value for value in cells.values["value"] if value not in words and value not in fact.unknown)
    total = sum(words.values())
    prevalence = sum(words.get(word, 0) for word in fraud) / total
    if 0.5 < prevalence < 1:
        reason += "; more than half are fraud, so look whether the words are the right way round"
    return LabelGuess(fact.header, fraud, tuple(sorted(set(verdicts) - set(fraud))), undecided, reason, prevalence)


_MOST_WORDS = 20
_OPPOSITE = (
    ("1", "0"),
    ("Y", "N"),
    ("y", "n"),
    ("Yes", "No"),
    ("yes", "no"),
    ("YES", "NO"),
    ("True", "False"),
    ("true", "false"),
)


def _amount(facts: list[Facts]) -> Guess | None:
    ranked = []
    for fact in facts:
        score, found = weigh("amount", fact.header)
        is_number = fact.dtype in ("integer", "number") or (fact.sql and fact.sql_dtype == "number")
        if is_number and score >= ENOUGH["amount"] and (fact.distinct > 2 or fact.rows <= 2) and not _tiny(fact):
            ranked.append((score, fact.range[1] if fact.range else 0.0, fact, found))
    if not ranked:
        return None
    ranked.sort(key=lambda one: (-one[0], -one[1]))
    _, _, best, found = ranked[0]
    return Guess(best.header, _says(found), tuple(fact.header for _, _, fact, _ in ranked[1:4]))


def _tiny(fact: Facts) -> bool:
    return fact.rows > 2 and fact.range is not None and fact.range[1] < 50


def _claimant(facts: list[Facts]) -> Guess | None:
    ranked = []
    for fact in facts:
        score, found = weigh("claimant", fact.header)
        if score >= ENOUGH["claimant"] and fact.dtype in ("integer", "category", "text") and fact.distinct > 2:
            ranked.append((score, fact, found))
    ranked.sort(key=lambda one: -one[0])
    return Guess(ranked[0][1].header, _says(ranked[0][2])) if ranked else None


def _kind(facts: list[Facts]) -> Guess | None:
    ranked = []
    for fact in facts:
        score, found = weigh("kind", fact.header)
        if score >= ENOUGH["kind"] and fact.dtype in ("category", "text") and 2 <= fact.distinct <= KINDS:
            ranked.append((score, fact, found))
    ranked.sort(key=lambda one: -one[0])
    return Guess(ranked[0][1].header, _says(ranked[0][2])) if ranked else None


def _entity(fact: Facts, claimant: Guess | None) -> str:
    """Why a column names who or what has a history, or nothing."""
    names = fact.dtype in ("category", "text", "integer") and not fact.free_text and not fact.sql
    if not names or not FEW < fact.distinct <= REPEATED * fact.filled:
        return ""
    if claimant and fact.header == claimant.column:
        return "claims of one claimant"
    score, found = weigh("entity", fact.header)
    return f"may stand in several claims; {_says(found)}" if score >= ENOUGH["entity"] else ""


def _pii(cells: Cells, fact: Facts) -> str:
    """Why a column is personal, or nothing."""
    if fact.dtype not in ("number", "boolean", "date") and (shape := personal_shape(cells.values["value"])):
        return f"its cells look like {shape}"
    score, found = weigh("pii", fact.header)
    born = fact.dtype in ("date", "datetime") and weigh("born", fact.header)[0] > 0
    is_answer = fact.dtype == "boolean" or fact.levels == ("0", "1")  # such as whether there is a telephone
    is_other_date = fact.dtype in ("date", "datetime") and not born
    return _says(found) if score >= ENOUGH["pii"] and not is_answer and not is_other_date else ""


def _sensitive(fact: Facts) -> str:
    score, found = weigh("sensitive", fact.header)
    return _says(found) if score >= ENOUGH["sensitive"] and not fact.constant else ""


def _ignored(fact: Facts) -> str:
    if not fact.filled:
        return "empty"
    if fact.constant:
        return "says the same of every claim"
    if fact.free_text:
        return "free text, which may hold names"
    if fact.sql:
        return "stands below in another form"
    running = fact.dtype == "integer" and fact.distinct == fact.filled and fact.rows > 1
    if running and re.search(r"\b(unnamed|index|row)\b", words_of(fact.header)):
        return "numbers the rows of the file"
    return ""
