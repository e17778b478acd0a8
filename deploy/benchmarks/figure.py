"""What a benchmark tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
    """

    name: str
    value: float
    unit: str
    how: str
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal.

        >>> Figure("speed", 0.4, "x", "", goal=1.0).met, Figure("rows", 5, "rows", "").met
        (False, None)
        """
        return None if self.goal is None else self.value >= self.goal

    def record(self) -> dict[str, Any]:
        """Give the figure as it stands in the benchmark's JSON file."""
        return asdict(self) | {"met": self.met}
