"""Decode photos in child processes that may neither hang nor eat the machine, and that know no secret.

::

    python -m jobs.etl.decode

A child reads photos from its standard input and answers on its standard output, one after the other, until its input
ends; that is when its parent is gone, too. It starts with an empty environment, and its answers are not pickled: a
decoder that a photo has taken over finds no password and has no say in its parent.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Timer
from typing import IO, Self, TypeVar

from jobs.etl.photos import Photo, UnfitPhotoError, normalise

CPU_SECONDS = 10
"""For one photo; one of 50 megapixels takes about three."""
WALL_SECONDS = 30
MEMORY = 768 * 1024 * 1024
"""Bytes of address space of a child; a WebP of 50 megapixels takes about 600 MB."""
R = TypeVar("R")
_LENGTH = struct.Struct(">Q")
_READY = b"+"


class Decoder:
    """One child process, started when it is needed and replaced when it dies or hangs."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def decode(self, content: bytes) -> Photo:
        """Have a photo decoded.

        Raises
        ------
        UnfitPhotoError
            It cannot be decoded, or not within the limits.
        """
        child = self._child or self._start()
        assert child.stdin is not None and child.stdout is not None
        watch = Timer(WALL_SECONDS, child.kill)
        watch.start()
        try:
            _send(child.stdin, content)
            answer = _receive(child.stdout)
        except (BrokenPipeError, EOFError):
            raise UnfitPhotoError(_died(self._end())) from None
        finally:
            watch.cancel()
        head, _, pictures = answer.partition(b"\n")
        told = json.loads(head)
        if "reason" in told:
            raise UnfitPhotoError(told["reason"])
        cut = told.pop("cut")
        return Photo(**told, photo=pictures[:cut], thumbnail=pictures[cut:])

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
            self._child.wait()  # so that its seconds count as ours

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-m", "jobs.etl.decode"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": ":".join(sys.path)},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        self._child = child
        if self._closed:
            child.kill()
        assert child.stdout is not None
        if child.stdout.read(1) != _READY:  # else each photo would be blamed for it
            raise RuntimeError(f"the decoder of photos does not start: exit code {self._end()}")
        return child

    def _end(self) -> int:
        child, self._child = self._child, None
        assert child is not None
        child.kill()
        return child.wait()


class Decoders:
    """Several of them, each used by one thread at a time; on leaving the context all are ended at once."""

    def __init__(self, count: int) -> None:
        self._all = [Decoder() for _ in range(count)]
        self._idle = SimpleQueue[Decoder]()
        for decoder in self._all:
            self._idle.put(decoder)
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self._all:
            decoder.close()
        self._threads.shutdown(cancel_futures=True)

    def submit(self, function: Callable[[Decoder], R]) -> Future[R]:
        """Call a function in a thread, with a decoder that is its own meanwhile."""
        return self._threads.submit(self._lend, function)

    def _lend(self, function: Callable[[Decoder], R]) -> R:
        decoder = self._idle.get()
        try:
            return function(decoder)
        finally:
            self._idle.put(decoder)


def _died(exit_code: int) -> str:
    if -exit_code in (signal.SIGKILL, signal.SIGXCPU):
        return f"takes more than {CPU_SECONDS} s or too much memory to decode"
    return "makes the decoder crash"


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    content = pipe.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _answer(content: bytes) -> bytes:
    try:
        kept = normalise(content)
    except UnfitPhotoError as error:
        return json.dumps({"reason": str(error)}).encode()
    head = {"width": kept.width, "height": kept.height, "phash": kept.phash, "cut": len(kept.photo)}
    return json.dumps(head).encode() + b"\n" + kept.photo + kept.thumbnail


def _serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    while True:
        try:
            content = _receive(sys.stdin.buffer)
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_SECONDS, most))
        _send(sys.stdout.buffer, _answer(content))


if __name__ == "__main__":
    _serve()
