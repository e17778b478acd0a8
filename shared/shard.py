"""Shards: which claims of a line a run works on, so that several can work on it side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from shared.choreography import Stage
from shared.draws import SLOT, SLOTS

DIVIDED: frozenset[Stage] = frozenset({"score"})
"""Stages whose runs may have a shard each; of the others there is one at a time for a line."""


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a line's claims, which a hash of their ids tells apart: so for ever the same.

    Attributes
    ----------
    place : int
        From 0 to below `of`.
    of : int
        How many parts there are: a power of two up to `SLOTS`.
    """

    place: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``place/of``.

        Raises
        ------
        ValueError
            It is none; the message says what would be one.

        >>> Shard.parse("3/4")
        Shard(place=3, of=4)
        """
        found = re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})", text)
        if found is None:
            raise ValueError(f"{text!r} is not I/N, such as 0/4")
        place, of = map(int, found.groups())
        if of not in COUNTS:
            raise ValueError(f"{text!r}: claims are divided by {', '.join(map(str, COUNTS))}, not by {of}")
        if place >= of:
            raise ValueError(f"{text!r}: the shards of {of} are 0/{of} to {of - 1}/{of}")
        return cls(place, of)

    def __str__(self) -> str:
        return f"{self.place}/{self.of}"

    @property
    def slots(self) -> range:
        """Slots of the claims that belong to it.

        >>> Shard(1, 4).slots, Shard().slots
        (range(4, 8), range(0, 16))
        """
        width = SLOTS // self.of
        return range(self.place * width, (self.place + 1) * width)

    @property
    def condition(self) -> str:
        """SQL over a claim ``c``: whether it belongs to it.

        >>> Shard().condition
        'true'
        """
        return f"({SLOT}) BETWEEN {self.slots[0]} AND {self.slots[-1]}" if self.of > 1 else "true"

    def overlaps(self, other: Shard) -> bool:
        """Whether a claim may belong to both.

        >>> Shard(0, 2).overlaps(Shard(1, 4)), Shard(0, 2).overlaps(Shard(2, 4))
        (True, False)
        """
        return not set(self.slots).isdisjoint(other.slots)


COUNTS = tuple(1 << power for power in range(SLOTS.bit_length()))
"""How many shards there may be."""
WHOLE = Shard()
"""All claims of the line."""
