"""Codes of a category's levels, found by their hashes: three times as fast as by Polars' cast to an Enum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Float32s = NDArray[np.float32]

UNSEEN, MISSING, FIRST_BIN = 0, 1, 2
"""Codes of a level that has none of its own, of none, and of the first level."""
_SPREAD = 8
"""Slots a level at least."""
_BITS = 12
"""Bits of a hash up to which more slots are made, until each level has one of its own."""


@dataclass(frozen=True)
class LevelCodes:
    """What a string becomes: `UNSEEN`, `MISSING` for null, or a level's place from `FIRST_BIN` on.

    Two strings are taken for the same if their hashes of 64 bits are, which Polars makes anew in every process.

    Attributes
    ----------
    shift : int
        How many bits of a hash are below those that tell its slot.
    hashes, codes : array of shape (slots,)
        Of the level in each slot; 0 and `UNSEEN` where there is none.
    others : LevelCodes, optional
        Of levels whose slot another one took.
    """

    shift: np.uint64
    hashes: Hashes
    codes: Float32s
    others: LevelCodes | None

    @classmethod
    def of(cls, levels: Sequence[str]) -> Self:
        """Give the levels their codes."""
        hashes = pl.Series([*levels, None], dtype=pl.String).hash().to_numpy()
        return cls._of(hashes, np.array([*range(FIRST_BIN, FIRST_BIN + len(levels)), MISSING], np.float32))

    @classmethod
    def _of(cls, hashes: Hashes, codes: Float32s) -> Self:
        least = int(_SPREAD * hashes.size - 1).bit_length()
        widths = range(least, max(least, _BITS) + 1)
        bits = max(widths, key=lambda bits: np.unique(hashes >> np.uint64(64 - bits)).size)  # of the best, the least
        shift = np.uint64(64 - bits)
        slots, taken = np.unique(hashes >> shift, return_index=True)
        table = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.float32)
        table[0][slots], table[1][slots] = hashes[taken], codes[taken]
        left = np.delete(hashes, taken), np.delete(codes, taken)
        return cls(shift, *table, cls._of(*left) if left[0].size else None)

    def __call__(self, hashes: Hashes, out: Float32s | None = None) -> Float32s:
        """Give the codes of strings by their hashes, both of shape (n,); in `out`, if it is given."""
        slots = (hashes >> self.shift).view(np.intp)
        codes = self.codes.take(slots, out=out, mode="clip")  # all are within; to clip costs less than to check
        strange = self.hashes.take(slots, mode="clip") != hashes
        if strange.any():
            codes[strange] = UNSEEN if self.others is None else self.others(hashes[strange])
        return codes


@lru_cache(maxsize=1000)
def codes_by(levels: tuple[str, ...]) -> LevelCodes:
    """Give the codes of these levels; made once, since for a few claims making them costs more than using them."""
    return LevelCodes.of(levels)
