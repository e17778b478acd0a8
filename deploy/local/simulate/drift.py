"""What may change in a generated book from a week on, and how one asks for it: ``covariate@60,concept@80``.

========== ==============================================================================================
kind       from its week on
========== ==============================================================================================
covariate  half of the claims come from a portfolio taken over: sold online, younger drivers, dearer cars
concept    collisions are no longer staged, and glass is claimed that never broke
nulls      seven in ten cells of ``garage_id`` and ``police_report`` are empty
units      ``amount`` is in cents: a hundred times as large
delay      outcomes come 16 to 30 weeks after the report, not 2 to 16
selection  investigators go by the amount alone; their random share stays
========== ==============================================================================================

Up to that week, a book with a drift is the book without it, byte for byte; a drift changes nothing but what it names
and what follows from that.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Kind = Literal["covariate", "concept", "nulls", "units", "delay", "selection"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def read_drifts(text: str, weeks: int) -> tuple[dict[Kind, int], list[str]]:
    """Read which drifts are asked for.

    Parameters
    ----------
    text : str
        ``kind@week``, several separated by commas or spaces; may be empty.
    weeks : int
        Weeks of the book. The first is week 1.

    Returns
    -------
    drifts : dict of str to int
        Week of each kind.
    problems : list of str
        Everything wrong with the text, one sentence each.

    Examples
    --------
    >>> read_drifts("covariate@60, units@80", 104)
    ({'covariate': 60, 'units': 80}, [])
    >>> read_drifts("units", 104)[1]
    ["drift 'units' is not like covariate@60"]
    """
    drifts: dict[Kind, int] = {}
    problems = []
    for asked in re.split(r"[,\s]+", text.strip()) if text.strip() else ():
        name, _, week = asked.partition("@")
        kind = next((kind for kind in KINDS if kind == name), None)
        if not re.fullmatch(r"[0-9]{1,6}", week, re.ASCII):
            problems.append(f"drift {asked!r} is not like covariate@60")
        elif kind is None:
            problems.append(f"drift {name!r} is none of {', '.join(KINDS)}")
        elif kind in drifts:
            problems.append(f"drift {name!r} is asked for twice")
        elif not 1 <= int(week) <= weeks:
            problems.append(f"drift {asked!r} is not in weeks 1 to {weeks}")
        else:
            drifts[kind] = int(week)
    return drifts, problems
