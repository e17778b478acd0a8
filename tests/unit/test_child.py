"""Work in a child process: what it tells, gives back and fails with."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shared import child
from shared.child import in_child
from shared.errors import DataError


def count(to: int, tell: Callable[[int], None] = lambda _: None) -> int:
    for number in range(to):
        tell(number)
    return os.getpid()


def fail(_: int, tell: Callable[[str], None] = lambda _: None) -> None:
    tell("before")
    raise DataError("the file is not there")


def die(code: int) -> None:
    os._exit(code)


def test_what_is_told_is_heard_in_order_and_in_this_process() -> None:
    """Each thing told is heard as it comes, in the process that waits; then comes the result."""
    heard: list[tuple[int, int]] = []
    other = in_child(count, 3, heard=lambda number: heard.append((number, os.getpid())))
    assert heard == [(number, os.getpid()) for number in range(3)]
    assert other != os.getpid()
    assert in_child(count, 3) != other


def test_a_signal_that_another_thread_takes_waits_too() -> None:
    """A signal amid a child's start is heard after it, whichever thread the system gives it to."""
    heard, ended = list[int](), threading.Event()
    waiting = threading.Thread(target=ended.wait)
    waiting.start()
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with child._undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)  # only the other thread does not block it
            for _ in range(1000):
                pass
            assert not heard
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        ended.set()
        waiting.join()


def seen(claims: pl.DataFrame, number: int, none: pl.DataFrame) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    return claims, number, none


def test_frames_arrive_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is sent in pieces and arrives whole, in its order; so does one without rows."""
    monkeypatch.setattr(child, "PIECE", 7)
    claims = pl.DataFrame({"x": range(20), "y": ["a", None] * 10})
    found, number, none = in_child(seen, claims, 5, claims.clear())
    assert_frame_equal(found, claims)
    assert number == 5
    assert_frame_equal(none, claims.clear())


def test_an_error_comes_through_after_what_was_told() -> None:
    """What the child raises is raised here, with what it told heard before."""
    heard: list[str] = []
    with pytest.raises(DataError, match="not there"):
        in_child(fail, 1, heard=heard.append)
    assert heard == ["before"]


def test_a_hearer_that_fails_ends_the_child() -> None:
    """An error of the hearer's own is raised, and the child does not go on alone."""

    def refuse(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        in_child(count, 1000, heard=refuse)


def test_a_child_that_dies_is_told_by_its_exit_code() -> None:
    """A child that was killed is an error that says so."""
    with pytest.raises(RuntimeError, match="exit code 3"):
        in_child(die, 3)
