"""Decide which rows keep the contract: every cell comes as text, is cast strictly, and is held against its column."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType

import polars as pl

from shared.contract import POLARS_DTYPES, Column, Contract, Derived, Outcomes, Reference, headers

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")

LONGEST_ID = 255
"""Bytes of a claim's id, or of the source of an outcome."""

Check = tuple[str, pl.Expr, str]
"""Column, condition under which a row breaks it, and what to say then: never a value, which may be a person's."""


@dataclass(frozen=True)
class Cleaned:
    """Rows told apart.

    Attributes
    ----------
    good : polars.DataFrame
        Typed rows, ready to be stored; ``file_line`` among their columns.
    bad : polars.DataFrame
        ``file_line``, ``column_name`` (the first at fault), ``reason`` (of every column at fault).
    """

    good: pl.DataFrame
    bad: pl.DataFrame


def clean_claims(
    lines: pl.Series,
    cells: pl.DataFrame,
    contract: Contract,
    tables: Mapping[str, pl.DataFrame] = MappingProxyType({}),
    moment: datetime | None = None,
) -> Cleaned:
    """Hold claims against the contract.

    Parameters
    ----------
    lines : polars.Series
        Number of each row.
    cells : polars.DataFrame
        One Binary column a header of the sender; columns that the contract does not name are passed over.
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
    roles, columns = contract.roles, contract.columns
    typed = _typed(lines, cells, columns, contract.sources, contract.file.na_values)
    checks = [check for name, column in columns.items() for check in _checks(name, column)]
    if roles.label and contract.label:
        typed = typed.with_columns(
            _verdict(roles.label, contract.label.fraud, contract.label.not_fraud).alias(_VERDICT)
        )
        checks.append(_unjudged(roles.label))
    else:
        typed = typed.with_columns(pl.lit(None, pl.Boolean).alias(_VERDICT))
    sound = _split(typed, checks)
    joined, missing = _join(sound.good, contract.reference, tables)
    derived = _derive(joined, contract.derived).with_columns(_claim_id(joined, contract).alias(_ID))
    needed = [name for name, column in contract.derived.items() if not column.nullable]
    whole = _split(derived, [*missing, *(_made(name) for name in needed), _storable(roles.id or "the row", _ID)])
    event_time = pl.col(roles.event_time) if roles.event_time else pl.lit(moment)
    good = whole.good.select(
        "file_line",
        pl.col(_ID).alias("claim_id"),
        event_time.cast(POLARS_DTYPES["datetime"]).alias("event_time"),
        pl.col(_VERDICT).alias("is_fraud"),
        *(name for name in contract.stored if name not in ("claim_id", "event_time")),
    )
    return Cleaned(good, pl.concat([sound.bad, whole.bad]))


def keys(cells: pl.DataFrame, column: Column, name: str, na_values: tuple[str, ...]) -> pl.Series:
    """Different values of a column by which claims are joined to a reference table."""
    text = _decoded(cells[column.source or name]).alias("key").to_frame()
    known = text.select(_known(pl.col("key").str.strip_chars(), (*na_values, *column.na_values)))
    return known.to_series().drop_nulls().unique()


def _join(
    frame: pl.DataFrame, references: Mapping[str, Reference], tables: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, list[Check]]:
    """Add what reference tables tell, and say which claims have a key that a table they need does not know."""
    checks: list[Check] = []
    for table, reference in references.items():
        known = tables[table].with_columns(pl.lit(True).alias(_found(table)))
        frame = frame.join(known, left_on=_text(reference.key), right_on="key", how="left", maintain_order="left")
        if reference.required:
            absent = pl.col(_text(reference.key)).is_not_null() & pl.col(_found(table)).is_null()
            checks.append((reference.key, absent, f"not in the reference table '{table}'"))
    return frame, checks


def _claim_id(frame: pl.DataFrame, contract: Contract) -> pl.Expr | pl.Series:
    """The column that names a claim, else a hash of all that the contract knows of the row but its label."""
    if contract.roles.id:
        return pl.col(contract.roles.id).cast(pl.String)
    parts = [pl.col(_text(name)).fill_null("\x00") for name in contract.columns if name != contract.roles.label]
    rows = frame.select(pl.concat_str(parts, separator="\x1f")).to_series()
    return pl.Series([hashlib.sha256(row.encode()).hexdigest()[:32] for row in rows], dtype=pl.String)


def clean_reference(
    lines: pl.Series, cells: pl.DataFrame, reference: Reference, key: Column, na_values: tuple[str, ...]
) -> Cleaned:
    """Hold rows of a reference table against the contract.

    Parameters
    ----------
    key : Column
        As :func:`reference_key` gives it.

    Returns
    -------
    Cleaned
        ``good`` has ``file_line``, ``key`` and the table's columns.
    """
    columns = {reference.key: key, **reference.columns}
    typed = _typed(lines, cells, columns, headers(columns), na_values)
    checks = [check for name, column in columns.items() for check in _checks(name, column)]
    told = _split(typed, [*checks, _storable(reference.key, reference.key)])
    return Cleaned(told.good.select("file_line", pl.col(reference.key).alias("key"), *reference.columns), told.bad)


def clean_outcomes(lines: pl.Series, cells: pl.DataFrame, outcomes: Outcomes, na_values: tuple[str, ...]) -> Cleaned:
    """Hold outcomes, one row a decision, against the contract.

    Returns
    -------
    Cleaned
        ``good`` has ``file_line``, ``claim_id``, ``is_fraud``, ``decided_at``, ``known_at`` and ``source``.
    """
    columns = outcome_columns(outcomes)
    typed = _typed(lines, cells, columns, headers(columns), na_values)
    typed = typed.with_columns(_verdict("label", outcomes.fraud, outcomes.not_fraud).alias(_VERDICT))
    checks = [check for name, column in columns.items() for check in _checks(name, column)]
    checks += [_storable(name, name) for name in ("claim_id", "source") if name in columns]
    told = _split(typed, [*checks, _unjudged("label")])
    good = told.good.select(
        "file_line",
        "claim_id",
        pl.col(_VERDICT).alias("is_fraud"),
        "decided_at",
        known_at=pl.col("known_at")
        if "known_at" in columns
        else pl.col("decided_at") + pl.duration(days=outcomes.delay_days),
        source=pl.col("source").fill_null("file") if "source" in columns else pl.lit("file"),
    )
    return Cleaned(good, told.bad)


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


def _typed(
    lines: pl.Series,
    cells: pl.DataFrame,
    columns: Mapping[str, Column],
    sources: Mapping[str, str],
    na_values: tuple[str, ...],
) -> pl.DataFrame:
    """Beside ``file_line``: each column typed, its text, and whether that was UTF-8 at all."""
    # Series by Series, since `pl.col` would take some headers for patterns.
    decoded = [_decoded(cells[sources[name]]).alias(_text(name)) for name in columns]
    text = pl.DataFrame([lines.alias("file_line"), *decoded]).with_columns(
        expression
        for name, column in columns.items()
        for expression in (
            pl.col(_text(name)).is_null().alias(_garbled(name)),
            _known(pl.col(_text(name)).str.strip_chars(), (*na_values, *column.na_values)),
        )
    )
    return text.with_columns(_cast(pl.col(_text(name)), column).alias(name) for name, column in columns.items())


def _decoded(cells: pl.Series) -> pl.Series:
    """Text of a column's cells, null where one is not UTF-8."""
    try:
        return cells.cast(pl.String)
    except pl.exceptions.ComputeError:  # Polars refuses all cells for one such, strict or not: cell by cell then
        return pl.Series(map(_utf8, cells), dtype=pl.String)


def _utf8(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None


def _text(name: str) -> str:
    return f"{name}\ntext"


def _garbled(name: str) -> str:
    return f"{name}\ngarbled"


def _found(table: str) -> str:
    return f"{table}\nfound"


_VERDICT, _ID = "\nverdict", "\nid"
"""No column of a contract has a line break in its name, so these and those above are free."""


def _known(text: pl.Expr, na_values: tuple[str, ...]) -> pl.Expr:
    return pl.when(~text.is_in(["", *(value.strip() for value in na_values)])).then(text)


def _cast(text: pl.Expr, column: Column) -> pl.Expr:
    match column.dtype:
        case "boolean":
            lower = text.str.to_lowercase()
            return pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False)
        case "date" if column.format:
            return _within_calendar(text.str.to_date(column.format, strict=False))
        case "date":
            return _within_calendar(_with_long_year(text).str.to_date("%Y-%m-%d", strict=False))
        case "datetime" if column.format:
            moment = text.str.to_datetime(column.format, strict=False, time_unit="us")
            return _within_calendar(moment.dt.replace_time_zone("UTC"))
        case "datetime":
            return _within_calendar(_iso_datetime(_with_long_year(text)))
        case "category" | "text":
            return text
        case _:
            return text.cast(POLARS_DTYPES[column.dtype], strict=False)


def _with_long_year(text: pl.Expr) -> pl.Expr:
    """Leave out 24-01-01, which would be read as a day of the year 24."""
    return pl.when(text.str.slice(4, 1) == "-").then(text)


def _within_calendar(moment: pl.Expr) -> pl.Expr:
    """Leave out what neither Postgres nor Python can hold; a zone may push a moment out of its year."""
    return pl.when(moment.dt.year().is_between(1, 9999)).then(moment)


def _iso_datetime(text: pl.Expr) -> pl.Expr:
    """ISO 8601 with or without time and zone; without a zone it is UTC."""
    spaced = text.str.replace("T", " ", literal=True).str.replace("Z", "+00:00", literal=True)
    zoned = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us")
    plain = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce(zoned, plain.dt.replace_time_zone("UTC"), day.dt.replace_time_zone("UTC"))


def _checks(name: str, column: Column) -> list[Check]:
    value, text = pl.col(name), pl.col(_text(name))
    checks: list[Check] = [(name, pl.col(_garbled(name)), "not UTF-8")]
    if not column.nullable:
        checks.append((name, text.is_null() & ~pl.col(_garbled(name)), "missing"))
    if column.dtype in ("category", "text"):
        checks.append((name, text.str.contains("\x00", literal=True), "holds a NUL byte"))
    else:
        wanted = f"not a {column.dtype}" if column.dtype != "integer" else "not an integer"
        shape = f" of the form {column.format}" if column.format else ""
        checks.append((name, text.is_not_null() & value.is_null(), wanted + shape))
    if column.dtype == "number":
        checks.append((name, ~value.is_finite(), "not a finite number"))
    if column.min is not None:
        checks.append((name, value < column.min, f"below {_bound(column.min)}"))
    if column.max is not None:
        checks.append((name, value > column.max, f"above {_bound(column.max)}"))
    if column.levels:
        checks.append((name, ~value.is_in(column.levels), "not one of the levels"))
    return checks


def _bound(value: float | date) -> str:
    return str(value) if isinstance(value, date) else f"{value:.15g}"


def _storable(name: str, text: str) -> Check:
    # Indexed columns: Postgres refuses an entry of more than a third of a page.
    return name, pl.col(text).str.len_bytes() > LONGEST_ID, f"longer than {LONGEST_ID} bytes"


def _made(name: str) -> Check:
    return name, pl.col(name).is_null(), "cannot be made from this row"


def _verdict(label: str, fraud: tuple[str, ...], not_fraud: tuple[str, ...]) -> pl.Expr:
    text = pl.col(_text(label))
    return pl.when(text.is_in(fraud)).then(True).when(text.is_in(not_fraud)).then(False)


def _unjudged(label: str) -> Check:
    return label, pl.col(_text(label)).is_not_null() & pl.col(_VERDICT).is_null(), "neither fraud nor not fraud"


def _split(frame: pl.DataFrame, checks: list[Check]) -> Cleaned:
    # Conditions first, sentences only for the few rows that need them.
    broken = frame.select(pl.any_horizontal(condition.fill_null(False) for _, condition, _ in checks)).to_series()
    sentences = [pl.when(condition).then(pl.lit(f"{name}: {say}")) for name, condition, say in checks]
    bad = frame.filter(broken).select(
        "file_line",
        column_name=pl.coalesce(pl.when(condition).then(pl.lit(name)) for name, condition, _ in checks),
        reason=pl.concat_str(sentences, separator="; ", ignore_nulls=True),
    )
    return Cleaned(frame.filter(~broken), bad)


def _derive(frame: pl.DataFrame, derived: Mapping[str, Derived]) -> pl.DataFrame:
    """Add the derived columns, each null where it cannot be made."""
    made = []
    for name, column in derived.items():
        dtype = POLARS_DTYPES[column.dtype]
        made.append(_evaluate(frame, _sound(pl.sql_expr(column.sql).cast(dtype, strict=False), column)).alias(name))
    return frame.with_columns(made)


def _sound(value: pl.Expr, column: Derived) -> pl.Expr:
    """Hold what SQL made to what a cell of the dtype may be."""
    match column.dtype:
        case "number":
            return pl.when(value.is_finite()).then(value)
        case "category" | "text":
            return pl.when(value != "").then(value)
        case "date" | "datetime":
            return _within_calendar(value)
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
