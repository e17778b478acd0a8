"""Work that a signal must not wait for: a function in a child process, which tells what it finds on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar, cast

from shared.errors import ExitCode

R = TypeVar("R")
Message = tuple[str, Any]
"""What a child sends: ``told``, ``ended`` or ``failed``, and with what."""


def in_child(function: Callable[..., R], *args: object, heard: Callable[[Any], None] | None = None) -> R:
    """Call a function in a child process and wait for it.

    Compiled code holds back Python's signal handlers, so a long fit in this process would not hear SIGTERM. The child
    is ended when this process stops, politely or not.

    Parameters
    ----------
    function : callable
        Importable by name; its arguments and result are pickled.
    heard : callable, optional
        Called in this process with whatever the function passes, in the child, to the callable that it then gets as
        its keyword argument ``tell``: at once, and before the function returns.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(sender, function, args, heard is not None), daemon=True)
    try:
        with _undisturbed():
            child.start()
        sender.close()
        while True:
            kind, message = receiver.recv()
            if kind == "failed":
                raise message
            if kind == "ended":
                return cast(R, message)
            assert heard is not None
            heard(message)
    except EOFError:
        child.join()
        raise RuntimeError(
            f"the child process died with exit code {child.exitcode}; was there memory enough?"
        ) from None
    finally:
        if child.pid is not None:
            child.kill()
            child.join()
        receiver.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals to stop wait: a child stopped amid its start would complain of half a message."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(sender: Connection, function: Callable[..., object], args: tuple[object, ...], tells: bool) -> None:
    """Call the function in the child, and end with the parent, even if that is killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(ExitCode.KILLED)

    def send(kind: str, message: object) -> None:
        sender.send((kind, message))

    Thread(target=watch, daemon=True).start()
    try:
        if tells:
            send("ended", function(*args, tell=lambda found: send("told", found)))
        else:
            send("ended", function(*args))
    except Exception as error:
        send("failed", error)
