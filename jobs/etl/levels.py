"""Categories without levels in the contract: what they have held so far, and what no earlier file brought."""

from __future__ import annotations

from collections.abc import Collection

from jobs.etl.changes import shown
from jobs.etl.store import Feed
from shared.clean import LONGEST_ID, Cleaned
from shared.contract import Contract
from shared.database import Database

MOST_LEVELS = 200
"""Different values up to which a column has levels, and not just text."""
MOST_EXAMPLES = 5


class Levels:
    """What a file's categories hold; call :meth:`meet` with each of its batches, then :meth:`learn`.

    A batch's different cells are known from cleaning, so that only a batch with one never seen is looked through.
    """

    def __init__(self, database: Database, feed: Feed, contract: Contract) -> None:
        self._database = database
        watched = _watched(feed, contract)
        self._known: dict[str, set[str]] = {name: set() for name in watched}
        stored = "SELECT column_name, level FROM levels WHERE column_name = ANY(%s)"
        for row in database.rows(stored, [[*watched]]) if watched else []:
            self._known[row["column_name"]].add(row["level"])
        self._new: dict[str, dict[str, None]] = {name: {} for name in watched}
        self._looked_at: dict[str, set[bytes]] = {name: {b""} for name in watched}

    def meet(self, cleaned: Cleaned) -> None:
        """Look at a batch's sound rows."""
        for name, looked_at in self._looked_at.items():
            different = cleaned.different.get(name)
            if different is None or self._is_many(name):
                continue
            unseen = set(different.to_list()) - looked_at
            if not unseen:
                continue
            held = {level for level in cleaned.good[name].unique() if level is not None}
            fresh = (level for level in held - self._known[name] if len(level.encode()) <= LONGEST_ID)
            self._new[name] |= dict.fromkeys(sorted(fresh)[: MOST_LEVELS + 1])
            # A cell of a row that was set aside may yet come in a sound one.
            sound = {cell for cell in unseen if cell.decode(errors="replace").strip() in held}
            looked_at.update(unseen if cleaned.bad.is_empty() else sound)

    def learn(self, file_id: int) -> list[str]:
        """Remember what was new, and say it; a column's first levels go without saying."""
        told = []
        for name, new in self._new.items():
            if not new:
                continue
            self._database.rows(
                "INSERT INTO levels (column_name, level, file_id) SELECT %s, level, %s FROM unnest(%s::text[]) level "
                "ON CONFLICT DO NOTHING",
                [name, file_id, [*new][: MOST_LEVELS + 1 - len(self._known[name])]],
            )
            if self._known[name] and not self._is_many(name):
                told.append(_sentence(name, new))
        return told

    def _is_many(self, name: str) -> bool:
        return len(self._known[name]) + len(self._new[name]) > MOST_LEVELS


def _watched(feed: Feed, contract: Contract) -> list[str]:
    columns = contract.reference[feed.name].columns if feed.name else contract.columns
    apart = {contract.roles.id, contract.roles.label} | contract.personal
    if feed.kind == "outcomes":
        return []
    return [
        name
        for name, column in columns.items()
        if column.dtype == "category" and not column.levels and name not in apart
    ]


def _sentence(name: str, new: Collection[str]) -> str:
    examples = ", ".join(map(shown, [*new][:MOST_EXAMPLES]))
    if len(new) == 1:
        return f"column {shown(name)} has a level never seen: {examples}"
    like = "such as " if len(new) > MOST_EXAMPLES else ""
    return f"column {shown(name)} has {len(new)} levels never seen: {like}{examples}"
