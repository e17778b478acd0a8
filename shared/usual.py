"""What is usual on a day: sums over all claims before it, which the past of a single claim is held against."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from shared.past import PEERS_DAYS

Row = tuple[date, str | None, int, int]
"""A day, a kind, and two sums of that day."""


@dataclass
class _Running:
    """Days in their order, and two sums until each begins; one more, for after the last."""

    days: list[date] = field(default_factory=list)
    totals: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def add(self, day: date, one: int, other: int) -> None:
        before = self.totals[-1]
        self.days.append(day)
        self.totals.append((before[0] + one, before[1] + other))

    def between(self, begin: date, end: date) -> tuple[int, int]:
        """Both sums from one day until before another."""
        first, last = (self.totals[bisect_left(self.days, day)] for day in (begin, end))
        return last[0] - first[0], last[1] - first[1]


@dataclass(frozen=True)
class Usual:
    """Sums in whole numbers, so exact; :meth:`of` makes them."""

    _of_kinds: Mapping[str | None, _Running]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Usual:
        """Take what ``daily_sums`` of :mod:`shared.lookup` tells.

        Parameters
        ----------
        rows : iterable of tuple
            In the order of their days. Without a kind: claims of which the outcome became known, and frauds among them.
            With one: claims of the kind, and the logarithms of their amounts, in millionths.
        """
        found = dict[str | None, _Running]()
        for day, kind, one, other in rows:
            found.setdefault(kind, _Running()).add(day, one, other)
        return cls(found)

    def before(self, day: date, kind: str | None) -> dict[str, int]:
        """Sums for a claim of a day: ``known`` and ``frauds`` of ever, ``peers`` and ``logs`` of its kind's last year.

        >>> usual = Usual.of([(date(2024, 1, 1), None, 4, 1), (date(2024, 1, 2), "hail", 2, 14_000_000)])
        >>> usual.before(date(2024, 1, 2), "hail"), usual.before(date(2024, 1, 3), "hail")["peers"]
        ({'known': 4, 'frauds': 1, 'peers': 0, 'logs': 0}, 2)
        """
        known, frauds = self._of_kinds.get(None, _Running()).between(date.min, day)
        peers, logs = 0, 0
        if kind is not None:
            begin = day - min(timedelta(days=PEERS_DAYS), day - date.min)
            peers, logs = self._of_kinds.get(kind, _Running()).between(begin, day)
        return {"known": known, "frauds": frauds, "peers": peers, "logs": logs}
