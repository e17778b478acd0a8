"""Work that a signal must not wait for: a function in a child process, which tells what it finds on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar, cast

import polars as pl

from shared.errors import ExitCode

R = TypeVar("R")
STOPPING = (signal.SIGTERM, signal.SIGINT)
PIECE = 50_000
"""Rows of a frame that are sent at once: pickled whole, it would stand in memory three times here and twice there."""


def in_child(function: Callable[..., R], *args: object, heard: Callable[[Any], None] | None = None) -> R:
    """Call a function in a child process and wait for it.

    Compiled code holds back Python's signal handlers, so a long fit in this process would not hear SIGTERM. The child
    is ended when this process stops, politely or not.

    Parameters
    ----------
    function : callable
        Importable by name; its arguments and result are pickled, frames piece by piece.
    heard : callable, optional
        Called in this process with whatever the function passes, in the child, to the callable that it then gets as
        its keyword argument ``tell``: at once, and before the function returns.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_answer, args=(there, function, heard is not None), daemon=True)
    try:
        with _undisturbed():
            child.start()
        there.close()
        _send(here, args)
        while True:
            kind, message = here.recv()
            if kind == "failed":
                raise message
            if kind == "ended":
                return cast(R, message)
            assert heard is not None
            heard(message)
    except (EOFError, ConnectionError):
        child.join()
        raise RuntimeError(
            f"the child process died with exit code {child.exitcode}; was there memory enough?"
        ) from None
    finally:
        if child.pid is not None:
            child.kill()
            child.join()
        here.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals to stop wait: a child stopped amid its start would complain of half a message."""
    # The mask is this thread's, and the child's; a library's thread may take the signal all the same, so it is noted.
    came: list[int] = []
    before = {stopping: signal.signal(stopping, lambda number, _: came.append(number)) for stopping in STOPPING}
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        for stopping, handler in before.items():
            signal.signal(stopping, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for number in came[:1]:
            signal.raise_signal(number)


def _send(out: Connection, args: Iterable[object]) -> None:
    for argument in args:
        if isinstance(argument, pl.DataFrame):
            for rows in argument.iter_slices(PIECE):
                out.send(("rows", rows))
            out.send(("frame", argument.clear()))
        else:
            out.send(("value", argument))
    out.send(("call", None))


def _received(inbox: Connection) -> Iterator[object]:
    pieces: list[pl.DataFrame] = []
    while (message := inbox.recv())[0] != "call":
        match message:
            case "rows", rows:
                pieces.append(rows)
            case "frame", empty:
                yield pl.concat([empty, *pieces])
                pieces = []
            case "value", value:
                yield value


def _answer(parents: Connection, function: Callable[..., object], tells: bool) -> None:
    """Call the function in the child, and end with the parent, even if that is killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(ExitCode.KILLED)

    def send(kind: str, message: object) -> None:
        parents.send((kind, message))

    Thread(target=watch, daemon=True).start()
    told: dict[str, Any] = {"tell": lambda found: send("told", found)} if tells else {}
    try:
        send("ended", function(*_received(parents), **told))
    except Exception as error:
        send("failed", error)
