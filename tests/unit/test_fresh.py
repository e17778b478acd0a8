"""Which claims are new, and steps of a pipeline that run ahead of each other."""

from __future__ import annotations

from collections.abc import Generator
from threading import active_count

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.etl.fresh import Seen
from shared.ahead import ahead


@given(st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=12), max_size=12))
def test_whoever_came_before_is_seen(batches: list[list[str]]) -> None:
    """Each id is new the first time, and seen from then on."""
    seen, known = Seen(), set[str]()
    for batch in batches:
        expected = []
        for name in batch:
            expected.append(name in known)
            known.add(name)
        assert seen.add(pl.Series(batch, dtype=pl.String)).to_list() == expected


def test_items_come_in_order() -> None:
    """What is made ahead comes as it was made, all of it, and no thread is left."""
    before = active_count()
    assert list(ahead(number for number in range(100))) == list(range(100))
    assert active_count() == before


def test_an_error_comes_in_its_place() -> None:
    """Items made before an error are not lost, and the error is that of the maker."""

    def broken() -> Generator[int]:
        yield 1
        raise ValueError("two")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="two"):
        next(items)


def test_closing_stops_the_maker() -> None:
    """Who stops taking stops the making: the maker is closed, and its thread gone."""
    before, closed = active_count(), []

    def endless() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    items = ahead(endless())
    next(items)
    items.close()
    assert closed == [True]
    assert active_count() == before
