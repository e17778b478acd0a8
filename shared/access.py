"""What analysts may see of a line of business, and the entries that score makes of what it did.

The functions themselves stand in the migration ``line_0012``; what they disclose follows from the contract, by lists of
what may be seen: a column or a feature that nobody thought of stays out of reach.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shared.choreography import STAGES
from shared.contract import PHOTOS_REUSED, Contract
from shared.contract_parts import POSTGRES_TYPES
from shared.grants import role
from shared.offered import composed
from shared.past import entities, of_entity

if TYPE_CHECKING:
    from shared.database import Database
    from shared.job import Job

ANALYST = "claimsight_analyst"
"""Role of the people who look at claims and scores: it may call these functions, and has no right on any table."""
ASKS = (
    "ask(text, text, text)",
    *(f"{name}(bigint)" for name in ("worklist", "claim", "prediction_history", "performance")),
)
CONSOLE_CALLS: tuple[str, ...] = (
    "console_ask(text, text, text, text)",
    "api_ask(bigint, text, text)",
    "api_past(timestamptz, integer, jsonb)",
    "api_daily_sums(timestamptz)",
    "api_reference(text, text[])",
    "api_alerts(text, bigint, timestamptz, timestamptz, timestamptz, text, integer)",
    "api_decide(bigint, text, timestamptz, text, boolean, timestamptz)",
    "api_decisions(text, bigint, timestamptz, timestamptz, bigint, integer)",
    "api_check(text, bigint, timestamptz, integer, integer)",
    "api_begin(bigint, text, bytea)",
    "api_finish(bigint, text, text, integer, text)",
    "console_rollback(text, integer, text, timestamptz)",
    "console_queues(timestamptz, boolean, double precision[])",
    "console_feeds(timestamptz)",
    "console_quarantine(timestamptz)",
    "console_access_log(text, bigint, text, text, text, timestamptz, timestamptz, bigint, integer)",
    "console_worklist(timestamptz)",
    "console_worklist_stamp()",
    "console_why(text[], timestamptz)",
    "console_cases(timestamptz, bigint)",
    "console_read_worklist(text, bigint, jsonb, bigint)",
    "console_take(text, text)",
    "console_take_next(text, text[], timestamptz)",
    "console_renew(text, text)",
    "console_release(text, text)",
    "console_assign(text, text, text, text)",
    "console_snooze(text, text, timestamptz, text)",
    "console_escalate(text, text, text)",
    "console_claim(text, bigint, text, timestamptz)",
    "console_photo(text, bigint, text, text, boolean, timestamptz)",
    "console_related(text, bigint, text, timestamptz)",
    "console_decide(text, text, text, text, timestamptz)",
    "console_undo(text, text, timestamptz, bigint)",
    "console_case(text, bigint, text)",
)
"""Functions by which the console shows and changes what concerns a claim; each names the person who sits before it."""
SHARED_CALLS: Mapping[str, str] = {
    role("console"): "console_note(text, text, text, text, jsonb)",
    role("score"): "score_note(text, text, integer, text, jsonb, bigint)",
}
"""Functions of the schema that lines share, by which the console enters what is done about its people, and score what
it scored and exported."""
MOST_RELATED = 10
"""Claims that are told of one entity."""
CALLS: Mapping[str, tuple[str, ...]] = {
    ANALYST: ASKS,
    role("console"): CONSOLE_CALLS,
    **{role(stage): ("photos_reused_as_of(timestamptz)",) for stage in STAGES},
}
"""Functions that work with their owner's rights, by the role that may call them; Postgres would let everyone."""


def shown_columns(contract: Contract) -> list[str]:
    """Columns of a claim that analysts see: none that is sensitive, personal or ignored.

    Nor one that is made from a sensitive or personal one. The claim's id and time are shown beside them.
    """
    roles = contract.roles
    hidden = {roles.id, roles.event_time, *roles.ignore} | contract.made_from({*roles.sensitive, *roles.pii})
    return [name for name in contract.stored if name not in hidden]


def shown_features(contract: Contract) -> list[str]:
    """Features, as reasons call them, that are made from columns which analysts see, or count what was known before.

    Of a personal or ignored column its history is shown, which is a count or a rate; of a sensitive one not even that.
    """
    sensitive = contract.made_from(contract.roles.sensitive)
    histories = [of_entity(contract, entity) for entity in entities(contract) if entity not in sensitive]
    told = [name for history in histories for name, _ in history.values()]
    shown = shown_columns(contract)
    event = [name for name in (contract.roles.event_time,) if name and name not in sensitive]
    return [*shown, *composed(contract, [*shown, *event]), *told, *([PHOTOS_REUSED] if contract.photos else [])]


def bodies(contract: Contract) -> Iterator[tuple[str, str, str, str]]:
    """Name, argument, type and body of each function that discloses something."""
    roles, shown = contract.roles, shown_columns(contract)
    columns = ", ".join(f"($1).{_identifier(name)}" for name in shown)
    facts = f"SELECT to_jsonb(shown) FROM (SELECT {columns}) shown" if shown else "SELECT '{}'::jsonb"
    stake = f"($1).{_identifier(roles.amount)}::double precision" if roles.amount in shown else "NULL::double precision"
    sort = f"($1).{_identifier(roles.kind)}::text" if roles.kind in shown else "NULL::text"
    features = ", ".join(map(_literal, shown_features(contract)))
    # The kind names a claim's peers; where nobody is to see it, what is said of peers goes too.
    kind = "" if roles.kind in (None, *shown) else " - '{unusual,peers,text}'::text[]"
    reasons = (
        f"SELECT coalesce(jsonb_agg(reason{kind} ORDER BY place), '[]') FROM jsonb_array_elements($1) "
        f"WITH ORDINALITY AS listed (reason, place) WHERE reason ->> 'feature' = ANY (ARRAY[{features}]::text[])"
    )
    yield "claim_facts", f'claim "{contract.name}".claims', "jsonb", facts
    yield "claim_stake", f'claim "{contract.name}".claims', "double precision", f"SELECT {stake}"
    yield "claim_kind", f'claim "{contract.name}".claims', "text", f"SELECT {sort}"
    yield "shown_reasons", "reasons jsonb", "jsonb", reasons
    argument = f'claim "{contract.name}".claims, moment timestamptz'
    yield "related_to", argument, "TABLE (claim_id text, shares text[])", _related(contract)
    told = [f"{_literal(name)}, ($1).{_identifier(name)}::text" for name in related_entities(contract) if name in shown]
    yield "entity_values", f'claim "{contract.name}".claims', "jsonb", f"SELECT jsonb_build_object({', '.join(told)})"


def related_entities(contract: Contract) -> list[str]:
    """Entities by which claims are told to be related: none that is sensitive."""
    sensitive = contract.made_from(contract.roles.sensitive)
    return [entity for entity in entities(contract) if entity not in sensitive]


def _related(contract: Contract) -> str:
    """SQL of the claims that share an entity with one, the newest of each: of a busy agent not all can be shown."""
    parts, shared = [], []
    for entity in related_entities(contract):
        column = _identifier(entity)
        same = f"r.{column} = ($1).{column}"
        shared.append(f"CASE WHEN {same} THEN {_literal(entity)} END")
        if POSTGRES_TYPES[contract.dtype(entity)] == "text":  # looked up by a hash: see `shared.lookup`
            same += f" AND hashtextextended(r.{column}, 0) = hashtextextended(($1).{column}, 0)"
        parts.append(
            f'(SELECT r.claim_id FROM "{contract.name}".claims r WHERE r.revision = 1 AND {same} '
            f"AND r.{column} IS NOT NULL AND r.event_time <= $2 AND r.known_at <= $2 "
            f"AND r.claim_id <> ($1).claim_id ORDER BY r.event_time DESC LIMIT {MOST_RELATED})"
        )
    if not parts:
        return "SELECT NULL::text, NULL::text[] WHERE false"
    return (
        f"SELECT r.claim_id, array_remove(ARRAY[{', '.join(shared)}], NULL) FROM "
        f'({" UNION ".join(parts)}) found JOIN "{contract.name}".claims r USING (claim_id) WHERE r.revision = 1'
    )


def disclose(database: Database, contract: Contract) -> None:
    """Let the functions disclose what this contract says; where they do already, this asks for no right but to look.

    With them go those that look up the past of single claims.
    """
    from shared import lookup  # which asks by way of `shared.database`, and that by way of this module

    lookup.install(database, contract)
    stored = database.rows(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = to_regnamespace(%s)", [contract.name]
    )
    known = {row["proname"]: row["prosrc"] for row in stored}
    for name, argument, returns, body in bodies(contract):
        if known.get(name) != body:
            statement = (
                f'CREATE OR REPLACE FUNCTION "{contract.name}".{name}({argument}) RETURNS {returns} '
                f"LANGUAGE sql STABLE AS {_literal(body)}"
            )
            database.rows(statement.replace("%", "%%"))


def admit(database: Database, line: str) -> None:
    """Let each role call what it may of a line's functions and of those that lines share, if there is such a role."""
    calls = [(who, f'"{line}".{call}') for who, named in CALLS.items() for call in named]
    calls += [(who, f"claimsight.{call}") for who, call in SHARED_CALLS.items()]
    lacking = database.rows(
        "SELECT rolname, call FROM unnest(%s::text[], %s::text[]) AS wanted (who, call) JOIN pg_roles ON rolname = who "
        "WHERE NOT (has_function_privilege(rolname, call, 'EXECUTE') AND has_schema_privilege(rolname, %s, 'USAGE'))",
        [*map(list, zip(*calls, strict=True)), line],
    )
    for row in lacking:
        database.rows(f'GRANT USAGE ON SCHEMA "{line}" TO {row["rolname"]}')
        database.rows(f"GRANT EXECUTE ON FUNCTION {row['call']} TO {row['rolname']}")


def log_scoring(job: Job, version: int) -> None:
    """Enter that this run scored with a model; call it in the transaction of the run's first scores with that model.

    So no score stands without the entry, whenever the run is killed. How many they are says the ledger, by the run.
    """
    log_access(job, "score", "scores claims that the model had not scored", version, {})


def log_access(job: Job, action: str, purpose: str, version: int | None, detail: dict[str, object]) -> None:
    """Append an entry to ``access_log``; the table itself says who and when."""
    job.database.rows(
        "SELECT score_note(%s, %s, %s, %s, %s::jsonb, %s)",
        [job.contract.name, action, version, purpose, json.dumps(detail, default=str), job.run_id or None],
    )


def _identifier(name: str | None) -> str:
    return '"' + str(name).replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
