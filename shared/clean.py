"""Decide which rows keep the contract, and make of them what the tables hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

import polars as pl

from shared.cells import Judged, judge, judge_few, verdict, within_calendar
from shared.contract import Contract, headers
from shared.contract_parts import POLARS_DTYPES, Column, Derived, Outcomes, Reference
from shared.json_cells import Row
from shared.pseudonyms import Pseudonyms

LONGEST_ID = 255
"""Bytes of a claim's id, or of the source of an outcome."""
SLACK = timedelta(days=1)
"""By how much two dates may contradict each other: days have no hour, and local times are read as UTC."""

Cells = pl.DataFrame | Sequence[Row]
"""One Binary column a header of the sender; or, of a few rows, the objects that came."""
Fault = tuple[str, pl.Series]
"""Column, and what is wrong with it in each row, null where nothing is: never a value, which may be a person's."""


@dataclass(frozen=True)
class Cleaned:
    """Rows told apart.

    Attributes
    ----------
    good : polars.DataFrame
        Typed rows, ready to be stored; ``file_line`` among their columns.
    bad : polars.DataFrame
        ``file_line``, ``column_name`` (the first at fault), ``reason`` (of every column at fault).
    different : mapping of str to polars.Series
        Of some columns the different cells of all rows, as they came.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    different: Mapping[str, pl.Series] = field(default_factory=dict)
    _found: tuple[tuple[pl.Series, list[Fault]], ...] = ()

    def faults(self) -> Iterator[tuple[int, str, str]]:
        """Tell of the bad rows each fault by itself: line, column, and what is wrong with its cell."""
        for lines, faults in self._found:
            for name, fault in faults:
                broken = fault.is_not_null()
                for line, reason in zip(lines.filter(broken), fault.filter(broken), strict=True):
                    yield line, name, reason

    def counts(self) -> Counter[str]:
        """Count the rows at fault by column and what is wrong; a row with several faults counts under each."""
        counts: Counter[str] = Counter()
        for _, faults in self._found:
            for name, fault in faults:
                for reason, rows in fault.drop_nulls().alias("fault").value_counts().iter_rows():
                    counts[f"{name}: {reason}"] += rows
        return counts


def clean_claims(
    lines: pl.Series,
    cells: Cells,
    contract: Contract,
    pseudonyms: Pseudonyms | None = None,
    tables: Mapping[str, pl.DataFrame] = MappingProxyType({}),
    moment: datetime | None = None,
) -> Cleaned:
    """Hold claims against the contract.

    Parameters
    ----------
    lines : polars.Series
        Number of each row.
    cells : polars.DataFrame, or sequence of dict
        One Binary column a header of the sender, or objects with these as keys; what the contract does not name is
        passed over. Objects are for a few claims, which are judged faster so, and come to the same.
    pseudonyms : Pseudonyms, optional
        What personal columns are stored as; needed where the contract names any.
    tables : mapping of str to polars.DataFrame, optional
        Of each reference table of the contract the rows that the claims' keys name: ``key`` and its columns.
    moment : datetime, optional
        What stands for the time of the event where the contract names none.

    Returns
    -------
    Cleaned
        ``good`` has ``file_line``, ``claim_id``, ``event_time``, ``is_fraud`` (null where the file does not tell) and
        the columns that the contract stores.
    """
    roles = contract.roles
    judged = _judged(cells, contract.columns, contract.file.na_values)
    faults = _faults(judged)
    told = pl.Series([None], dtype=pl.Boolean).new_from_index(0, lines.len())
    if roles.label and contract.label:
        told, neither = verdict(judged[roles.label].text, contract.label.fraud, contract.label.not_fraud)
        faults += [(roles.label, neither)] if neither is not None else []
    texts = {reference.key: judged[reference.key].text for reference in contract.reference.values()}
    names = list(contract.columns) if roles.id is None else []
    frame = pl.DataFrame(
        [
            lines.alias("file_line"),
            told.alias(_VERDICT),
            *(column.value.alias(name) for name, column in judged.items()),
            *(judged[name].text.alias(_text(name)) for name in dict.fromkeys([*texts, *names])),
        ]
    )
    sound = _split(frame, faults)
    joined, absent = _join(sound.good, contract.reference, tables)
    derived = _derive(joined if roles.id else joined.with_columns(_hashes(joined, contract)), contract.derived)
    claim_id = pl.col(roles.id or _ID).cast(pl.String)
    needed = [name for name, column in contract.derived.items() if not column.nullable]
    unstorable = _unstorable(derived, {roles.id or "the row": claim_id})
    whole = _split(derived, [*absent, *_unmade(derived, needed), *unstorable])
    personal = [name for name in contract.personal if name in contract.columns or name in contract.derived]
    own = _pseudonymised(whole.good, personal, pseudonyms)
    event_time = pl.col(roles.event_time) if roles.event_time else pl.lit(moment)
    good = whole.good.select(
        pl.col("file_line"),
        own.get(roles.id or _ID, claim_id).alias("claim_id"),
        event_time.cast(POLARS_DTYPES["datetime"]).alias("event_time"),
        pl.col(_VERDICT).alias("is_fraud"),
        *(own.get(name, pl.col(name)) for name in contract.stored if name not in ("claim_id", "event_time")),
    )
    bad = pl.concat([sound.bad, whole.bad]) if sound._found else whole.bad
    return Cleaned(good, bad, _different(judged), sound._found + whole._found)


def clean_outcomes(
    lines: pl.Series, cells: pl.DataFrame, contract: Contract, pseudonyms: Pseudonyms | None = None
) -> Cleaned:
    """Hold outcomes, one row a decision, against the contract.

    Returns
    -------
    Cleaned
        ``good`` has ``file_line``, ``claim_id``, ``is_fraud``, ``decided_at``, ``known_at`` and ``source``.
    """
    outcomes = contract.outcomes
    assert outcomes is not None
    columns = outcome_columns(outcomes)
    judged = _judged(cells, columns, contract.file.na_values)
    told, neither = verdict(judged["label"].text, outcomes.fraud, outcomes.not_fraud)
    faults = _faults(judged) + ([("label", neither)] if neither is not None else [])
    frame = pl.DataFrame(
        [
            lines.alias("file_line"),
            told.alias("is_fraud"),
            *(judged[name].value.alias(name) for name in columns if name != "label"),
        ]
    )
    indexed = {name: pl.col(name) for name in columns if name in ("claim_id", "source")}
    sound = _split(frame, [*faults, *_unstorable(frame, indexed)])
    good = sound.good
    if contract.roles.id in contract.personal:
        good = good.with_columns(_pseudonymised(good, ["claim_id"], pseudonyms).values())
    good = good.select(
        "file_line",
        "claim_id",
        "is_fraud",
        "decided_at",
        known_at=pl.col("known_at")
        if "known_at" in columns
        else pl.col("decided_at") + pl.duration(days=outcomes.delay_days),
        source=pl.col("source").fill_null("file") if "source" in columns else pl.lit("file"),
    )
    return Cleaned(good, sound.bad)


def hold_dates(cleaned: Cleaned, contract: Contract, latest: datetime, events: pl.DataFrame) -> Cleaned:
    """Hold the dates of outcomes against the clock and the events of their claims.

    Parameters
    ----------
    cleaned : Cleaned
        As :func:`clean_outcomes` gives it.
    latest : datetime
        What lies after it has not happened yet.
    events : polars.DataFrame
        Of the claims that are known and dated, ``claim_id`` and ``event_time``.
    """
    assert contract.outcomes is not None
    frame = cleaned.good.join(events, on="claim_id", how="left", maintain_order="left")
    too_early = pl.col("decided_at") + SLACK < pl.col("event_time").dt.truncate("1d")
    wrong = [("decided_at", too_early, "lies before the event of the claim")]
    # What the contract reckons from the decision may well lie ahead.
    for name in ("decided_at", "known_at") if contract.outcomes.known_at else ("decided_at",):
        wrong.append((name, pl.col(name) - SLACK > latest, "lies in the future"))
    faults = [(name, frame.select(pl.when(is_so).then(pl.lit(says))).to_series()) for name, is_so, says in wrong]
    told = _split(frame, faults)
    return Cleaned(told.good.drop("event_time"), pl.concat([cleaned.bad, told.bad]))


def clean_reference(
    lines: pl.Series, cells: pl.DataFrame, contract: Contract, table: str, pseudonyms: Pseudonyms | None = None
) -> Cleaned:
    """Hold rows of a reference table against the contract.

    Returns
    -------
    Cleaned
        ``good`` has ``file_line``, ``key`` and the table's columns.
    """
    reference = contract.reference[table]
    columns = {reference.key: reference_key(reference, contract.columns), **reference.columns}
    judged = _judged(cells, columns, contract.file.na_values)
    values = [column.value.alias(name) for name, column in judged.items()]
    frame = pl.DataFrame([lines.alias("file_line"), *values])
    sound = _split(frame, [*_faults(judged), *_unstorable(frame, {reference.key: pl.col(reference.key)})])
    personal = [name for name in columns if name in contract.personal]
    good = sound.good.with_columns(_pseudonymised(sound.good, personal, pseudonyms).values())
    return Cleaned(
        good.select("file_line", pl.col(reference.key).alias("key"), *reference.columns), sound.bad, _different(judged)
    )


def keys(cells: Cells, contract: Contract, table: str) -> pl.Series:
    """Different values by which claims are joined to a reference table."""
    name = contract.reference[table].key
    judged = _judged(cells, {name: contract.columns[name]}, contract.file.na_values)
    return judged[name].text.drop_nulls().unique().alias("key")


def outcome_columns(outcomes: Outcomes) -> dict[str, Column]:
    """Columns of an outcomes file, by the name of the part they play."""
    columns = {
        "claim_id": Column(dtype="text", source=outcomes.id),
        "label": Column(dtype="text", source=outcomes.label),
        "decided_at": Column(dtype="datetime", source=outcomes.decided_at),
    }
    if outcomes.known_at:
        columns["known_at"] = Column(dtype="datetime", source=outcomes.known_at)
    if outcomes.source:
        columns["source"] = Column(dtype="text", source=outcomes.source, nullable=True)
    return columns


def reference_key(reference: Reference, columns: Mapping[str, Column]) -> Column:
    """The column of a reference table's files that holds its key."""
    return Column(dtype="text", source=reference.id or columns[reference.key].source or reference.key)


def _judged(cells: Cells, columns: Mapping[str, Column], na_values: tuple[str, ...]) -> dict[str, Judged]:
    if not isinstance(cells, pl.DataFrame):
        return judge_few(cells, columns, na_values)
    # Series by Series, since `pl.col` would take some headers for patterns.
    sources = headers(columns)
    return {name: judge(cells[sources[name]], column, na_values) for name, column in columns.items()}


def _faults(judged: Mapping[str, Judged]) -> list[Fault]:
    return [(name, column.fault) for name, column in judged.items() if column.fault is not None]


def _different(judged: Mapping[str, Judged]) -> dict[str, pl.Series]:
    return {name: column.different for name, column in judged.items() if column.different is not None}


def _text(name: str) -> str:
    return f"{name}\ntext"


def _found(table: str) -> str:
    return f"{table}\nfound"


_VERDICT, _ID = "\nverdict", "\nid"
"""No column of a contract has a line break in its name, so these and those above are free."""
_NOTHING = pl.DataFrame(schema={"file_line": pl.Int64, "column_name": pl.String, "reason": pl.String})


def _join(
    frame: pl.DataFrame, references: Mapping[str, Reference], tables: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, list[Fault]]:
    """Add what reference tables tell, and say which claims have a key that a table they need does not know."""
    faults: list[Fault] = []
    for table, reference in references.items():
        known = tables[table].with_columns(pl.lit(True).alias(_found(table)))
        frame = frame.join(known, left_on=_text(reference.key), right_on="key", how="left", maintain_order="left")
        if reference.required:
            absent = pl.col(_text(reference.key)).is_not_null() & pl.col(_found(table)).is_null()
            say = f"not in the reference table '{table}'"
            faults.append((reference.key, frame.select(pl.when(absent).then(pl.lit(say))).to_series()))
    return frame, faults


def _hashes(frame: pl.DataFrame, contract: Contract) -> pl.Series:
    """Name claims that have no id by a hash of all that the contract knows of the row but its label."""
    parts = [pl.col(_text(name)).fill_null("\x00") for name in contract.columns if name != contract.roles.label]
    rows = frame.select(pl.concat_str(parts, separator="\x1f")).to_series()
    return pl.Series(_ID, [hashlib.sha256(row.encode()).hexdigest()[:32] for row in rows], dtype=pl.String)


def _pseudonymised(frame: pl.DataFrame, columns: Sequence[str], pseudonyms: Pseudonyms | None) -> dict[str, pl.Series]:
    assert pseudonyms is not None or not columns
    return {name: pseudonyms.of(frame[name].cast(pl.String)) for name in columns} if pseudonyms else {}


def _unstorable(frame: pl.DataFrame, columns: Mapping[str, pl.Expr]) -> list[Fault]:
    # Indexed columns: Postgres refuses an entry of more than a third of a page.
    say = pl.lit(f"longer than {LONGEST_ID} bytes")
    return [
        (name, frame.select(pl.when(column.str.len_bytes() > LONGEST_ID).then(say)).to_series())
        for name, column in columns.items()
    ]


def _unmade(frame: pl.DataFrame, columns: Iterable[str]) -> list[Fault]:
    say = pl.lit("cannot be made from this row")
    return [
        (name, frame.select(pl.when(pl.col(name).is_null()).then(say)).to_series())
        for name in columns
        if frame[name].has_nulls()
    ]


def _split(frame: pl.DataFrame, faults: list[Fault]) -> Cleaned:
    faults = [(name, fault) for name, fault in faults if fault.null_count() < fault.len()]
    if not faults:
        return Cleaned(frame, _NOTHING)
    told = pl.DataFrame([fault.alias(str(place)) for place, (_, fault) in enumerate(faults)])
    said = [pl.lit(f"{name}: ") + pl.col(str(place)) for place, (name, _) in enumerate(faults)]
    named = [pl.when(pl.col(str(place)).is_not_null()).then(pl.lit(name)) for place, (name, _) in enumerate(faults)]
    broken = told.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    bad = told.filter(broken).select(
        column_name=pl.coalesce(named), reason=pl.concat_str(said, separator="; ", ignore_nulls=True)
    )
    lines = frame["file_line"]
    bad.insert_column(0, lines.filter(broken))
    return Cleaned(frame.filter(~broken), bad, _found=((lines, faults),))


def _derive(frame: pl.DataFrame, derived: Mapping[str, Derived]) -> pl.DataFrame:
    """Add the derived columns, each null where it cannot be made."""
    values = [_sound(column).alias(name) for name, column in derived.items()]
    try:
        return frame.with_columns(values)
    except pl.exceptions.PolarsError:  # one cannot be made from some row
        return frame.with_columns(_evaluate(frame, value) for value in values)


@lru_cache(maxsize=10_000)
def _sound(column: Derived) -> pl.Expr:
    """Hold what SQL makes to what a cell of the dtype may be."""
    value = pl.sql_expr(column.sql).cast(POLARS_DTYPES[column.dtype], strict=False)
    match column.dtype:
        case "number":
            return pl.when(value.is_finite()).then(value)
        case "category" | "text":
            return pl.when(value != "").then(value)
        case "date" | "datetime":
            return within_calendar(value)
        case _:
            return value


def _evaluate(frame: pl.DataFrame, value: pl.Expr) -> pl.Series:
    """Evaluate row by row's right: SQL casts are strict, so one bad row fails a batch; halve until it stands alone."""
    try:
        return frame.select(value).to_series()
    except pl.exceptions.PolarsError:
        if frame.height == 1:
            return frame.clear().select(value).to_series().extend_constant(None, 1)
        half = frame.height // 2
        return _evaluate(frame[:half], value).append(_evaluate(frame[half:], value))
