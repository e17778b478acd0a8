"""Let one step of a pipeline run ahead of the next: reading, cleaning and sending take turns on no core."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
DEPTH = 1
"""Items that wait; with those at hand on either side three stand in memory."""
_PATIENCE = 0.1
"""Seconds after which a waiting thread looks whether it was stopped."""


def ahead(items: Generator[T]) -> Generator[T]:
    """Make items in a thread of their own, a few before they are asked for.

    Compiled code lets go of Python's lock, so the thread works while this one waits for the database. What `items`
    raises is raised here, in its place; when this generator is closed, so is `items`.
    """
    ready: Queue[tuple[T | None, BaseException | None, bool]] = Queue(DEPTH)
    stopped = Event()

    def put(item: T | None, error: BaseException | None, *, last: bool) -> None:
        while not stopped.is_set():
            try:
                return ready.put((item, error, last), timeout=_PATIENCE)
            except Full:
                continue

    def work() -> None:
        try:
            with closing(items):
                for item in items:
                    put(item, None, last=False)
                    if stopped.is_set():
                        return
            put(None, None, last=True)
        except BaseException as error:
            put(None, error, last=True)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error, last = ready.get(timeout=_PATIENCE)
            except Empty:
                continue
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]  # only the last one is None
    finally:
        stopped.set()
        thread.join()
