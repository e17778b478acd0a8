"""Figures and moments in words, for the report."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from markupsafe import Markup

UNTOLD = "\u2013"
"""Stands for a number that is not known: a dash."""


def count(number: float | None) -> str:
    """Write a count.

    >>> count(12345), count(0)
    ('12,345', '0')
    """
    return UNTOLD if number is None else f"{number:,.0f}"


def figure(number: float | None, digits: int = 3) -> str:
    """Write a number to some significant figures, a whole one in full.

    >>> figure(3.4159), figure(0.05), figure(1234.5), figure(1234.0), figure(float("nan")) == UNTOLD
    ('3.42', '0.0500', '1,230', '1,234', True)
    """
    if number is None or not math.isfinite(number):
        return UNTOLD
    if number == round(number):
        return f"{number:,.0f}"
    rounded = float(f"{number:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:#.{digits}g}".rstrip(".")


def share(number: float | None) -> str:
    """Write a share as a percentage, to two significant figures or whole; the space does not break.

    >>> share(0.3417).split(), share(0.05).split()
    (['34', '%'], ['5', '%'])
    """
    if number is None or not math.isfinite(number):
        return UNTOLD
    percent = 100 * number
    return f"{percent:.0f}\u202f%" if percent == 0 or abs(percent) >= 9.95 else f"{percent:.2g}\u202f%"


def day(moment: datetime | str | None) -> Markup:
    """Write the day of a moment, as ISO 8601, in a piece that no line break divides."""
    if moment is None:
        return Markup(UNTOLD)
    return Markup("<time>{}</time>").format(moment.date().isoformat() if isinstance(moment, datetime) else moment)


def words_of(name: str) -> str:
    """Write a name of the code for people: without underscores."""
    return name.replace("_", " ")


def age(length: timedelta | None) -> str:
    """Write how old something is, in whole hours or days.

    >>> age(timedelta(minutes=20)), age(timedelta(hours=30)), age(timedelta(days=12.5)), age(None)
    ('under an hour', '30 hours', '12 days', 'never')
    """
    if length is None:
        return "never"
    hours = int(length / timedelta(hours=1))
    if hours < 1:
        return "under an hour"
    number, unit = (hours, "hour") if hours < 48 else (length.days, "day")
    return f"{number:,} {unit}{'s' if number > 1 else ''}"


def duration(days: float | None) -> str:
    """Write how long something takes, in the unit that tells it best.

    >>> duration(0.00001), duration(0.02), duration(1.5), duration(40), duration(None) == UNTOLD
    ('0.86\u202fs', '29\u202fmin', '36\u202fh', '40 days', True)
    """
    if days is None or not math.isfinite(days):
        return UNTOLD
    seconds = days * 86_400
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{figure(seconds / unit, 2)}\u202f{name}"
    return f"{figure(days, 2)} days"


def seconds(number: float | None) -> str:
    """Write how long something takes that is told in seconds, as :func:`duration`.

    >>> seconds(90), seconds(None) == UNTOLD
    ('90\u202fs', True)
    """
    return duration(None if number is None else number / 86_400)


def mebibytes(size: float | None) -> str:
    """Write a size in bytes as mebibytes.

    >>> mebibytes(3 << 20).split()
    ['3', 'MiB']
    """
    return UNTOLD if size is None else f"{size / (1 << 20):,.0f}\u202fMiB"


def usd(amount: float | None) -> str:
    """Write an amount of money, to a hundredth of a cent where it is small.

    >>> usd(12.345), usd(0.00123)
    ('12.35', '0.0012')
    """
    return UNTOLD if amount is None else f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"
