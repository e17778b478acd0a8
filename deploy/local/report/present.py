"""What a database has: one that no stage has touched since the release before lacks what this release adds."""

from __future__ import annotations

from shared.database import Database


def present(database: Database, name: str) -> bool:
    """Whether there is a table, a view or a function of this name."""
    found = database.rows(
        "SELECT to_regclass(%(name)s) IS NOT NULL OR to_regproc(%(name)s) IS NOT NULL AS found", {"name": name}
    )
    return bool(found[0]["found"])
