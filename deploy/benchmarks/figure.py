"""What a benchmark tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


class MissingPartError(Exception):
    """What is to be measured is not there; the message says how to get it."""


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    value : float
        In `unit`; for a ratio, more is better.
    goal : float, optional
        The least that the value should be; None for a number that only explains another.
    how : str
        What was measured against what, in one sentence.
    at_most : bool
        The goal is a budget: the most that the value should be.
    """

    name: str
    value: float
    unit: str
    how: str
    goal: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal.

        >>> Figure("speed", 0.4, "x", "", goal=1.0).met, Figure("rows", 5, "rows", "").met
        (False, None)
        >>> Figure("size", 0.4, "MB", "", goal=1.0, at_most=True).met
        True
        """
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def record(self) -> dict[str, Any]:
        """Give the figure as it stands in the benchmark's JSON file."""
        return asdict(self) | {"met": self.met}
