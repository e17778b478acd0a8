"""What each stage, and the console, may do in the database: each works as the role that bears its name.

It may do this and no more. Every table of a line of business and of what the lines share has its entry;
`Database.prepare` grants what is missing. Analysts have no right on any, and the console none on claims and what is
said of them: see :mod:`shared.access`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from shared.choreography import STAGES, Stage

Worker = Stage | Literal["console"]
WORKERS: tuple[Worker, ...] = (*STAGES, "console")

READ = "SELECT"
ADD = "SELECT, INSERT"
CHANGE = "SELECT, INSERT, UPDATE"
ALL = "SELECT, INSERT, UPDATE, DELETE"
ERASE = "SELECT, DELETE"
"""etl may delete from each table that has a ``claim_id``: `etl --forget` does."""

GRANTS: Mapping[str, Mapping[Worker, str]] = {
    "schema_versions": dict.fromkeys(WORKERS, READ),
    "job_runs": {**dict.fromkeys(STAGES, CHANGE), "console": READ},
    "access_log": {},  # functions alone write to it
    "people": {"console": CHANGE},
    "sessions": {"console": ALL},
    "api_keys": {"console": CHANGE},
    "api_answers": {"etl": ERASE},
    "oidc_requests": {"console": "SELECT, INSERT, DELETE"},
    "ingest_files": {"etl": CHANGE, "drift": READ},
    "claims": {**dict.fromkeys(STAGES, READ), "etl": ALL},
    "outcomes": {**dict.fromkeys(STAGES, READ), "etl": ALL},
    # Rows as they came, so with personal values in clear.
    "claims_quarantine": {"etl": ALL},
    "claim_photos": {"etl": ALL},
    "pictures": {"etl": ALL},
    "erasures": {"etl": ADD},
    "levels": {"etl": ADD},
    "pulled_rows": {"etl": "SELECT, INSERT, DELETE"},
    "reference_*": {"etl": ALL},
    "trials": {"train": ADD},
    "models": {"train": ADD, "evaluate": READ, "score": READ, "drift": READ, "console": READ},
    "model_history": {"evaluate": ADD, "score": READ, "drift": READ, "console": READ},
    "importance": {"evaluate": ADD, "drift": ADD, "console": READ},
    "bivariate": {"evaluate": ADD, "drift": ADD, "console": READ},
    "model_cards": {"evaluate": CHANGE, "console": READ},
    "decisions": {"etl": ERASE},
    "slice_examples": {"etl": ERASE, "evaluate": ADD},
    "predictions": {"etl": ERASE, "evaluate": READ, "score": ADD, "drift": READ},
    "anomalies": {"etl": ERASE, "score": ADD},
    "unscorable_claims": {"etl": ERASE, "score": ADD},
    "case_events": {"etl": ERASE},
    "case_locks": {"etl": ERASE},
    "cases": {"etl": ERASE},
    "cohorts": {"drift": ADD, "console": READ},
    "drift_metrics": {"train": READ, "score": READ, "drift": f"{ADD}, DELETE", "console": READ},
    "profile_edges": {"drift": ADD},
    "weekly_profiles": {"drift": f"{ADD}, DELETE", "console": READ},
    "stops": {"score": READ, "drift": ADD, "console": READ},
}
"""Privileges by table and who works with it; what is not named may not be done."""


def role(worker: Worker) -> str:
    """Role that a stage or the console works as; it can't log in, and belongs to the whole server.

    >>> role("etl")
    'claimsight_etl'
    """
    return f"claimsight_{worker}"


def granted(table: str) -> Mapping[Worker, str] | None:
    """Privileges on a table by who works with it; None where the table is not Claimsight's.

    >>> granted("reference_agents"), granted("a team's own")
    ({'etl': 'SELECT, INSERT, UPDATE, DELETE'}, None)
    """
    return GRANTS.get("reference_*" if table.startswith("reference_") else table)


def wanted(tables: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Role, table with its schema, and privilege, one of each at a time."""
    for schema, table in tables:
        for worker, privileges in (granted(table) or {}).items():
            for privilege in privileges.split(", "):
                yield role(worker), f'"{schema}"."{table}"', privilege


def statements(tables: Iterable[tuple[str, str]]) -> Iterator[str]:
    """SQL that lets each do what it may with these tables, given as schema and name, and nothing else."""
    ours = [(schema, table, found) for schema, table in tables if (found := granted(table)) is not None]
    everyone = ", ".join(map(role, WORKERS))
    for schema in sorted({schema for schema, *_ in ours}):
        yield f'GRANT USAGE ON SCHEMA "{schema}" TO {everyone}'
        # etl alone draws numbers of its own, for files.
        yield f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO {role("etl")}'
    for schema, table, found in ours:
        yield f'REVOKE ALL ON "{schema}"."{table}" FROM {everyone}'
        for worker, privileges in found.items():
            yield f'GRANT {privileges} ON "{schema}"."{table}" TO {role(worker)}'
