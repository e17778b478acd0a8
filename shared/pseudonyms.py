"""Pseudonyms: what personal values are stored as, so that they still join and nobody reads them."""

from __future__ import annotations

import hmac

import polars as pl

DIGITS = 32
"""Of a pseudonym, in hexadecimal: 128 bits, so that no two of 10^15 values are likely to share one."""
FEW = 100
"""Values up to which it takes longer to look for different ones than to hash each."""


class Pseudonyms:
    """A keyed hash: without the key nobody can look a value up by trying all there are.

    Parameters
    ----------
    key : bytes
        Secret, the same for every run; with another key, what comes does not join what is there.

    Notes
    -----
    HMAC with SHA-256 (RFC 2104), cut to its first 128 bits.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, values: pl.Series) -> pl.Series:
        """Pseudonyms of text values, null for null.

        >>> Pseudonyms(b"secret").of(pl.Series(["K1", None, "K1"])).to_list()
        ['ce122f8014608b640bc78ca76e0b8daa', None, 'ce122f8014608b640bc78ca76e0b8daa']
        """
        if values.len() <= FEW:
            return pl.Series(
                values.name, [None if value is None else self._of(value) for value in values], dtype=pl.String
            )
        different = values.drop_nulls().unique()
        made = pl.Series(map(self._of, different), dtype=pl.String)
        return values.replace_strict(different, made, default=None, return_dtype=pl.String)

    def _of(self, value: str) -> str:
        return hmac.digest(self._key, value.encode(), "sha256").hex()[:DIGITS]
