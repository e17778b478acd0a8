"""Dirt of the generated book: rows as a careless sender writes them, of every kind that etl must set aside."""

from __future__ import annotations

import numpy as np
import polars as pl

KINDS = (
    "impossible_date", "other_date_format", "negative_amount", "text_amount", "unknown_peril", "missing_claim_id",
    "missing_amount", "impossible_age", "missing_report", "time_for_hour", "field_too_few", "field_too_many",
    "duplicate", "invalid_utf8",
)  # fmt: skip
"""The kinds of dirty row, equally frequent."""

# Characters from Unicode's private use area cannot occur in the book: they mark where `csv_bytes` breaks the CSV, which
# no CSV writer would do by itself.
_LOST_FIELD, _EXTRA_FIELD, _BAD_BYTE = "\ue000", "\ue001", "\ue002"


def mangle(claims: pl.DataFrame, kinds: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """Turn claims into text and spoil each as its kind says.

    Parameters
    ----------
    claims : polars.DataFrame
        Clean claims of a week.
    kinds : polars.Series of str
        One of `KINDS` for each; null spares it.

    Returns
    -------
    polars.DataFrame
        ``Week.rows``: a repeated row stands at a random place.
    """
    twice = np.flatnonzero(kinds.eq_missing("duplicate"))
    places = rng.integers(0, len(claims) + 1, len(twice))
    order = np.insert(np.arange(len(claims)), places, twice)
    repeated = np.insert(np.zeros(len(claims), dtype=bool), places, True)
    kind = pl.col("kind")

    def spoil(column: str, *cases: tuple[str, pl.Expr]) -> pl.Expr:
        spoilt = pl.col(column)
        for name, value in cases:
            spoilt = pl.when(kind == name).then(value).otherwise(spoilt)
        return spoilt.alias(column)

    amount = pl.col("amount")
    return (
        claims.select(pl.all().cast(pl.String))
        .with_columns(kind=kinds)[order]
        .with_columns(kind=pl.when((kind != "duplicate") | pl.Series(repeated)).then(kind))
        .with_columns(
            spoil("claim_id", ("missing_claim_id", pl.lit(None))),
            spoil(
                "loss_on",
                ("impossible_date", pl.col("loss_on").str.head(4) + "-02-31"),
                ("other_date_format", pl.col("loss_on").str.replace(r"(\d+)-(\d+)-(\d+)", "$3/$2/$1")),
            ),
            spoil("peril", ("unknown_peril", pl.lit("earthquake"))),
            spoil(
                "amount",
                ("negative_amount", "-" + amount),
                ("text_amount", amount.str.replace(".", ",", literal=True) + " EUR"),
                ("missing_amount", pl.lit(None)),
            ),
            spoil("reported_on", ("missing_report", pl.lit(None))),
            spoil("driver_age", ("impossible_age", pl.lit("240"))),
            spoil("region", ("invalid_utf8", pl.col("region") + _BAD_BYTE)),
            spoil(
                "hour",
                ("time_for_hour", pl.col("hour") + ":30"),
                ("field_too_few", pl.lit(_LOST_FIELD)),
                ("field_too_many", pl.col("hour") + _EXTRA_FIELD + "0"),
            ),
        )
    )


def csv_bytes(rows: pl.DataFrame, *, header: bool = True) -> bytes:
    r"""Write a claims file, with the breaches of CSV and UTF-8 that its dirty rows call for.

    Parameters
    ----------
    rows : polars.DataFrame
        ``Week.rows``.
    header : bool
        Whether to begin with one: not for the second part of a file.

    Returns
    -------
    bytes
        The header and a line for each row, LF at the end of each, quoted as RFC 4180 has it where a cell needs it.

    Examples
    --------
    >>> import polars as pl
    >>> csv_bytes(pl.DataFrame({"claim_id": ["C1"], "kind": [None]}))
    b'claim_id\nC1\n'
    """
    text = rows.drop("kind").write_csv(include_header=header).encode()
    # 0xE9 is Latin-1's e acute, and no UTF-8 when an ASCII byte follows it
    for mark, instead in (("," + _LOST_FIELD, b""), (_EXTRA_FIELD, b","), (_BAD_BYTE, b"\xe9")):
        text = text.replace(mark.encode(), instead)
    return text
