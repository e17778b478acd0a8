"""Levels and their codes."""

from __future__ import annotations

import polars as pl
import pytest

from shared.levels import FIRST_BIN, MISSING, UNSEEN, LevelCodes


@pytest.mark.parametrize("count", [0, 1, 12, 300, 20_000])
def test_each_level_has_a_code_of_its_own(count: int) -> None:
    """However many there are, and whichever of them share a slot, each level has its place, and no other string one."""
    levels = [f"level {place}" for place in range(count)]
    column = pl.Series([*levels, None, "", *(f"other {place}" for place in range(count))], dtype=pl.String)
    codes = LevelCodes.of(levels)(column.hash().to_numpy()).tolist()
    assert codes == [*range(FIRST_BIN, FIRST_BIN + count), MISSING, UNSEEN, *[UNSEEN] * count]


def test_levels_that_share_a_slot_are_told_apart() -> None:
    """Among many levels some share a slot; those are looked up once more."""
    assert LevelCodes.of([f"level {place}" for place in range(300)]).others is not None
