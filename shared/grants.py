"""What each stage may do in the database: a stage works as the role that bears its name, which may do this and no more.

Every table of a line of business and of what the lines share has its entry; `Database.prepare` grants what is missing.
Analysts have no right on any: see :mod:`shared.access`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shared.choreography import STAGES, Stage

READ = "SELECT"
ADD = "SELECT, INSERT"
CHANGE = "SELECT, INSERT, UPDATE"
ALL = "SELECT, INSERT, UPDATE, DELETE"
ERASE = "SELECT, DELETE"
"""etl may delete from each table that has a ``claim_id``: `etl --forget` does."""

GRANTS: Mapping[str, Mapping[Stage, str]] = {
    "schema_versions": dict.fromkeys(STAGES, READ),
    "job_runs": dict.fromkeys(STAGES, CHANGE),
    "access_log": {"score": "INSERT"},
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
    "models": {"train": ADD, "evaluate": READ, "score": READ, "drift": READ},
    "model_history": {"evaluate": ADD, "score": READ, "drift": READ},
    "importance": {"evaluate": ADD, "drift": ADD},
    "bivariate": {"evaluate": ADD, "drift": ADD},
    "model_cards": {"evaluate": CHANGE},
    "slice_examples": {"etl": ERASE, "evaluate": ADD},
    "predictions": {"etl": ERASE, "evaluate": READ, "score": ADD, "drift": READ},
    "anomalies": {"etl": ERASE, "score": ADD},
    "unscorable_claims": {"etl": ERASE, "score": ADD},
    "cohorts": {"drift": ADD},
    "drift_metrics": {"train": READ, "score": READ, "drift": f"{ADD}, DELETE"},
    "profile_edges": {"drift": ADD},
    "weekly_profiles": {"drift": f"{ADD}, DELETE"},
    "stops": {"score": READ, "drift": ADD},
}
"""Privileges by table and stage; what is not named may not be done."""


def role(stage: Stage) -> str:
    """Role that a stage works as; it can't log in, and belongs to the whole server.

    >>> role("etl")
    'claimsight_etl'
    """
    return f"claimsight_{stage}"


def granted(table: str) -> Mapping[Stage, str]:
    """Privileges on a table by stage; none on one that is not Claimsight's.

    >>> granted("reference_agents"), granted("a team's own")
    ({'etl': 'SELECT, INSERT, UPDATE, DELETE'}, {})
    """
    return GRANTS.get("reference_*" if table.startswith("reference_") else table, {})


def wanted(tables: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Role, table with its schema, and privilege, one of each at a time."""
    for schema, table in tables:
        for stage, privileges in granted(table).items():
            for privilege in privileges.split(", "):
                yield role(stage), f'"{schema}"."{table}"', privilege


def statements(tables: Iterable[tuple[str, str]]) -> Iterator[str]:
    """SQL that lets each stage do what it may with these tables, given as schema and name, and nothing else."""
    tables = [(schema, table) for schema, table in tables if granted(table)]
    everyone = ", ".join(map(role, STAGES))
    for schema in sorted({schema for schema, _ in tables}):
        yield f'GRANT USAGE ON SCHEMA "{schema}" TO {everyone}'
        # etl alone draws numbers of its own, for files.
        yield f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO {role("etl")}'
    for schema, table in tables:
        yield f'REVOKE ALL ON "{schema}"."{table}" FROM {everyone}'
        for stage, privileges in granted(table).items():
            yield f'GRANT {privileges} ON "{schema}"."{table}" TO {role(stage)}'
