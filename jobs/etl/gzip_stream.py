"""A file packed with gzip, unpacked as it is read."""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO

from jobs.etl.rows import UnreadableFileError

MAGIC = b"\x1f\x8b"
MOST_RATIO = 250
"""How many times its size a file may unpack to. Claims reach some tens; a bomb is near gzip's bound, about 1,030."""
ALWAYS_BYTES = 64 << 20
"""Bytes that any file may unpack to."""


class Unpacked:
    """The content of a gzip.

    Parameters
    ----------
    packed : BinaryIO
        The file, at its start.
    lenient : bool
        End where it is damaged, with all that came before, instead of raising.

    Raises
    ------
    UnreadableFileError
        By :meth:`read`, once all that could be unpacked was read, or at a bomb.
    """

    def __init__(self, packed: BinaryIO, *, lenient: bool = False) -> None:
        self._packed = packed
        self._content = gzip.GzipFile(fileobj=packed)
        self._size = 0
        self._lenient = lenient
        self._fault: UnreadableFileError | None = None

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, fewer only at the end."""
        content = bytearray()
        # Piece by piece, since a fault takes with it what the same call had unpacked before.
        while len(content) < size and self._fault is None:
            try:
                piece = self._content.read1(size - len(content))
            except EOFError:
                self._fault = UnreadableFileError("the gzip is cut off: send the whole file again")
            except (gzip.BadGzipFile, zlib.error):
                self._fault = UnreadableFileError("the gzip is damaged: send the file again")
            else:
                if not piece:
                    break
                content += piece
                self._size += len(piece)
                if self._size > max(MOST_RATIO * self._packed.tell(), ALWAYS_BYTES):
                    reason = f"the gzip unpacks to more than {MOST_RATIO} times its size: send it plain"
                    raise UnreadableFileError(reason, has_lines=False)
        if self._fault and not content and not self._lenient:
            raise self._fault
        return bytes(content)
