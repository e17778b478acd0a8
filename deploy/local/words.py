"""Figures and moments in words, for the report."""

from __future__ import annotations

import math
from datetime import datetime

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
