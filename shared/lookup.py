"""The past of single claims, looked up: value for value what :mod:`shared.history` computes in bulk.

Both tell of a claim what was known before it; the formulas are history's. What differs is how the counts are come by.
Usual rates and amounts are of all claims: who asks keeps the sums of each day, and hands those before a claim's over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shared.contract import Contract
from shared.contract_parts import POSTGRES_TYPES
from shared.database import Database, quoted
from shared.history import SENT, days, decided, log_of, of_counts, usual_of, usual_rate
from shared.past import WINDOW_DAYS, entities, of_entity, past_of, usual_amount

PAST = "past_of_claims(moment timestamptz, asked jsonb)"
DAYS = "daily_sums(moment timestamptz)"
_INDEX = "claims_by_"
_RETURNS = {
    PAST: "TABLE (place integer, at timestamptz, past double precision[])",
    DAYS: "TABLE (day date, kind text, one bigint, other bigint)",
}


def install(database: Database, contract: Contract) -> None:
    """Make functions and indexes as this contract wants them; where they are so, this asks for no right but to look."""
    stored = {
        row["proname"]: row["prosrc"]
        for row in database.rows(
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = to_regnamespace(%s)", [contract.name]
        )
    }
    for signature, body in functions(contract):
        if stored.get(signature.partition("(")[0]) != body:
            database.rows(_creation(contract.name, signature, body).replace("%", "%%"))
    _index(database, contract)


def functions(contract: Contract) -> Iterator[tuple[str, str]]:
    """Signature and body of each function that depends on the contract.

    ``past_of_claims`` takes a list of claims, each with ``place``, ``claim_id``, ``event_time``, the values of its
    entities as ``e0``, ``e1`` and so on, its ``claimant``, and what :class:`shared.usual.Usual` says of its day. It
    gives of each the moment before which its past is looked at, and the columns of :func:`shared.past.past_of`. That
    moment is the event, or, of a claim that is stored with an earlier one, that; so its own row never counts.

    ``daily_sums`` gives what :class:`shared.usual.Usual` is made of.
    """
    yield PAST, _body(_past(contract))
    yield DAYS, _body(_daily(contract))


def _past(contract: Contract) -> str:
    roles = contract.roles
    known = {f"e{place}": entity for place, entity in enumerate(entities(contract))}
    typed = "".join(f", {name} {POSTGRES_TYPES[contract.dtype(entity)]}" for name, entity in known.items())
    columns, joins = list[str](), list[str]()
    for name, entity in known.items():
        told = of_entity(contract, entity)
        columns += [of_counts(name, f"{name}.own")[what] for what in told]
        claimant = quoted(str(roles.claimant)) if "claimants" in told else None
        joins.append(
            f"LEFT JOIN LATERAL ({_of_entity(contract, name, entity, claimant)}) {name} ON q.{name} IS NOT NULL"
        )
    if usual_amount(contract):
        columns.append(usual_of("q.logs", "q.peers"))
    if contract.photos:
        columns.append(f"({_PHOTOS_REUSED})")
    assert len(columns) == len(past_of(contract))
    listed = ", ".join(f"({column})::float8" for column in columns)
    first = f"SELECT c.event_time {SENT} AND c.claim_id = r.claim_id"
    return (
        f"SELECT q.place, q.at, ARRAY[{listed}]::float8[] FROM (SELECT r.*, least(r.event_time, ({first})) AS at "
        "FROM jsonb_to_recordset(past_of_claims.asked) AS r (place integer, claim_id text, event_time timestamptz, "
        # OFFSET 0: else Postgres would put the look for the first event into each place that asks for the moment.
        f"claimant text, known bigint, frauds bigint, peers bigint, logs numeric{typed}) OFFSET 0) q "
        f"CROSS JOIN LATERAL (SELECT {usual_rate('q.frauds', 'q.known')} AS rate) u {' '.join(joins)}"
    )


def _of_entity(contract: Contract, name: str, entity: str, claimant: str | None) -> str:
    """What was known of one entity before one moment; an outcome that came first counts as it stood then."""
    outcome = (
        "SELECT o.is_fraud FROM outcomes o WHERE o.claim_id = c.claim_id AND o.known_at < q.at "
        "AND o.known_at <= %(as_of)s ORDER BY o.known_at DESC, o.outcome_id DESC LIMIT 1"
    )
    joined = f" LEFT JOIN LATERAL ({outcome}) o ON true WHERE " if contract.labelled else " WHERE "
    wanted = f"c.{quoted(entity)} = q.{name} AND c.event_time < q.at"
    if _is_text(contract, entity):
        wanted += f" AND {_hashed(f'c.{quoted(entity)}')} = {_hashed(f'q.{name}')}"
    columns = [
        "q.at",
        f"count(*) FILTER (WHERE c.event_time >= q.at - {days(WINDOW_DAYS)}) AS claims",
        "max(c.event_time) AS last",
    ]
    if contract.labelled:
        columns += ["count(o.is_fraud) AS known", "count(*) FILTER (WHERE o.is_fraud) AS frauds"]
    if claimant:
        columns += [
            f"count(DISTINCT c.{claimant}) AS claimants",
            f"min(c.event_time) FILTER (WHERE c.{claimant} = q.claimant) AS own",
        ]
    return f"SELECT {', '.join(columns)} {SENT.replace(' WHERE ', joined)} AND {wanted}"


_PHOTOS_REUSED = (
    "SELECT count(DISTINCT s.picture_id) FROM claim_photos s "
    "WHERE s.claim_id = q.claim_id AND (s.known_at IS NULL OR s.known_at <= %(as_of)s) "
    "AND (SELECT r.repeated FROM pictures r WHERE r.picture_id = s.picture_id) "
    "AND EXISTS (SELECT FROM claim_photos p JOIN claims_as_of(%(as_of)s) c USING (claim_id) "
    "WHERE p.picture_id = s.picture_id AND p.claim_id <> q.claim_id AND c.event_time <= q.event_time "
    "AND (p.known_at IS NULL OR p.known_at <= %(as_of)s))"
)
"""Pictures of a claim that another showed which happened no later; its photos may be there before it is."""


def _daily(contract: Contract) -> str:
    roles, parts = contract.roles, list[str]()
    if entities(contract) and contract.labelled:
        parts.append(f"SELECT at::date, NULL, sum(known)::bigint, sum(frauds)::bigint FROM ({decided()}) d GROUP BY 1")
    if usual_amount(contract):
        kind, amount = quoted(str(roles.kind)), quoted(str(roles.amount))
        parts.append(
            f"SELECT c.event_time::date, c.{kind}::text, count(*), sum({log_of(amount)})::bigint {SENT} "
            f"AND c.{amount} > 0 AND c.{kind} IS NOT NULL GROUP BY 1, 2"
        )
    return (
        f"{' UNION ALL '.join(parts)} ORDER BY 1"
        if parts
        else "SELECT NULL::date, NULL, 0::bigint, 0::bigint WHERE false"
    )


def _body(query: str) -> str:
    """Body in PL/pgSQL, which keeps its plan for as long as the session lasts."""
    return f"#variable_conflict use_column\nBEGIN RETURN QUERY {query % {'as_of': 'moment'}}; END"


def _creation(line: str, signature: str, body: str) -> str:
    # An entity has few of all claims: whatever the statistics say, or lack, its own are looked up.
    planned = "jit = off SET plan_cache_mode = force_generic_plan"
    planned += " SET enable_seqscan = off" if signature == PAST else ""
    return (
        f'CREATE OR REPLACE FUNCTION "{line}".{signature} RETURNS {_RETURNS[signature]} LANGUAGE plpgsql STABLE '
        f"SET search_path = \"{line}\", pg_temp SET timezone = 'UTC' SET {planned} AS $body${body}$body$"
    )


def _index(database: Database, contract: Contract) -> None:
    """Let each entity's claims be looked up; what another contract wanted goes."""
    wanted = dict[str, str]()
    for entity in entities(contract):
        name = quoted(entity)
        key = f"{_hashed(name) if _is_text(contract, entity) else name}, event_time"
        index = f"({key}) WHERE revision = 1 AND {name} IS NOT NULL"
        wanted[_INDEX + hashlib.sha256(index.encode()).hexdigest()[:12]] = index
    found = database.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'i' AND relnamespace = to_regnamespace(%s) "
        "AND starts_with(relname, %s)",
        [contract.name, _INDEX],
    )
    there = {row["relname"] for row in found}
    for name in sorted(there - wanted.keys()):
        database.rows(f'DROP INDEX "{contract.name}".{name}')
    for name in sorted(wanted.keys() - there):
        database.rows(f'CREATE INDEX {name} ON "{contract.name}".claims {wanted[name]}')


def _is_text(contract: Contract, entity: str) -> bool:
    """Whether it is looked up by a hash: of a text an index is larger, slower to fill, and bounded in length."""
    return POSTGRES_TYPES[contract.dtype(entity)] == "text"


def _hashed(text: str) -> str:
    return f"hashtextextended({text}, 0)"
