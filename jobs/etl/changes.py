"""Decide what is new in a sender's header, and say it in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

ALIKE = 0.6
"""Ratio of difflib from which two names look like one: what its own documentation calls a close match."""
MOST_CHANGES = 20
"""Sentences about one header."""
MOST_PAIRS = 10_000
"""Pairs of names that are compared, in about 0.2 s; a header that changed more is another one."""
MOST_CHARACTERS = 80
"""Of a name in a sentence."""


def header_changes(before: Sequence[str], after: Sequence[str], wanted: Collection[str]) -> list[str]:
    """Tell what is new in a header.

    Parameters
    ----------
    before, after : sequence of str
        Columns of an earlier file and of this one, as the sender names them.
    wanted : collection of str
        Those that the contract names.

    Returns
    -------
    list of str
        A sentence a change, at most :data:`MOST_CHANGES` and one that says how many more there are.

    Examples
    --------
    >>> header_changes(["id", "sex"], ["gender", "id"], ["id", "sex"])
    ["column 'gender' is new; the contract does not name it", "column 'sex' is gone; the contract needs it"]
    >>> header_changes(["id", "sex", "age"], ["id", "gender", "age"], ["id", "sex", "age"])
    ["column 'sex' is gone; was it renamed to 'gender'? The contract needs it"]
    >>> header_changes(["id", "age"], ["age", "id"], [])
    ['columns stand in another order']
    """
    had, has = set(before), set(after)
    gone = [name for name in before if name not in has]
    now_called = renamed(gone, before, after)
    told = [
        f"column {shown(name)} is new; the contract {'names' if name in wanted else 'does not name'} it"
        for name in after
        if name not in had and name not in now_called.values()
    ]
    for name in gone:
        role = "the contract needs it" if name in wanted else "the contract does not name it"
        if name in now_called:
            role = f"was it renamed to {shown(now_called[name])}? {role.capitalize()}"
        told.append(f"column {shown(name)} is gone; {role}")
    if [name for name in before if name in has] != [name for name in after if name in had]:
        told.append("columns stand in another order")
    more = len(told) - MOST_CHANGES
    return [*told[:MOST_CHANGES], f"and {more} more changes of its columns"] if more > 0 else told


def renamed(gone: Sequence[str], before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    """Guess under which names columns go on: those that look alike, then those at the same place.

    Parameters
    ----------
    gone : sequence of str
        Columns of `before` that `after` lacks.

    Returns
    -------
    dict of str to str
        New name by the old one, for those that have a likely one.

    Examples
    --------
    >>> renamed(["Sex", "date"], ["id", "Sex", "date"], ["id", "loss date", "sex"])
    {'Sex': 'sex', 'date': 'loss date'}
    >>> renamed(["sex"], ["id", "sex", "age"], ["id", "gender", "age"])
    {'sex': 'gender'}
    """
    had, has = set(before), set(after)
    new = [name for name in after if name not in had]
    if len(gone) * len(new) > MOST_PAIRS:
        return {}
    pairs = ((_likeness(old, name), old, name) for old in gone for name in new)
    found: dict[str, str] = {}
    for likeness, old, name in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness >= ALIKE and old not in found and name not in found.values():
            found[old] = name
    gaps = dict(_gaps(after, had | set(found.values())))
    for around, names in _gaps(before, has | found.keys()):
        there = gaps.get((found.get(around[0], around[0]), found.get(around[1], around[1])), [])
        if len(names) == len(there):
            found |= {old: name for old, name in zip(names, there, strict=True) if old in gone}
    return found


def shown(text: str) -> str:
    r"""Quote a sender's text, cut where it is long.

    >>> shown("a'b"), len(shown("x" * 10_000))
    ('"a\'b"', 82)
    """
    return repr(text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "\u2026")


def _likeness(one: str, other: str) -> float:
    plain = [re.sub(r"[\W_]", "", name.lower()) for name in (one, other)]
    return SequenceMatcher(None, plain[0], plain[1]).ratio()


def _gaps(names: Sequence[str], kept: Collection[str]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Names between those that are kept, with the two around them."""
    places = [-1, *(place for place, name in enumerate(names) if name in kept), len(names)]
    for left, right in pairwise(places):
        if right - left > 1:
            around = (names[left] if left >= 0 else "", names[right] if right < len(names) else "")
            yield around, list(names[left + 1 : right])
