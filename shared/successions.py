"""Which model was live when, by the table ``model_history``.

Which champions led to the present one says the function ``succession_as_of`` of the database, for evaluate and the
console alike.
"""

from __future__ import annotations

ENTRIES = """
SELECT entry_id, model_version, alias, action, actor, reason, as_of,
       CASE WHEN alias = 'champion'
            THEN lead(as_of) OVER (PARTITION BY alias ORDER BY as_of, entry_id) END AS live_until
FROM model_history WHERE as_of <= %s ORDER BY as_of, entry_id
"""
"""Every entry known by a moment, in order; a champion's ``live_until`` is null for the one that still stands."""
SUCCESSION = "SELECT succession_as_of(%s) AS versions"
"""Versions that led to the champion of a moment, which is the last; going back takes off what it went back from."""
