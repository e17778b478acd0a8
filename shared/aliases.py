"""What MLflow's store says of its aliases, asked without importing MLflow, which takes seconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

_SQLITE = "sqlite:///"


def stored_aliases(tracking_uri: str, line: str) -> dict[str, int] | None:
    """Version by alias of a line's registered model, or None: MLflow itself has to be asked.

    Only a store on SQLite can be looked at, as that of a run on one machine is: there evaluate starts often.
    """
    if not tracking_uri.startswith(_SQLITE):
        return None
    try:
        store = sqlite3.connect(f"file:{quote(tracking_uri.removeprefix(_SQLITE))}?mode=ro", uri=True)
        with closing(store):
            query = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
            return {alias: int(version) for alias, version in store.execute(query, [line])}
    except sqlite3.Error:  # not there yet, or of another version of MLflow
        return None
