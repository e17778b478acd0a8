"""The history of claims, computed in Postgres: what was known of whoever takes part in a claim before it happened.

Once a run, for all claims that are asked for, into the temporary table ``history``. Everything counts strictly earlier
moments, so neither the order of rows nor anything that comes later can change it:

- a claim is asked about at its event, or where a correction moved that, at the earlier of the two moments;
- other claims count as they were first sent, since that is how they were known: a correction changes no one's past;
- an outcome counts from when it was known, and never before its own claim's event: so no claim sees its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.contract import Contract
from shared.database import Database, quoted
from shared.past import SHARERS, entities, of_entity, past_of, usual_amount

YEAR = "interval '365 days'"
PRIOR_CLAIMS = 10
"""Claims of the usual share of fraud that are mixed into an entity's: with few outcomes it says little."""
LEAST_PEERS = 10
"""Earlier claims of a kind below which no amount is called usual."""
WORK_MEM = "64MB"
_BEFORE = "ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"  # moments are grouped, so a row is a moment


def remember(database: Database, contract: Contract, rest: str, parameters: dict[str, Any]) -> None:
    """Make ``history``: a row a claim that is asked for, with ``claim_id`` and a column for each of `past_of`.

    The columns are called ``h0``, ``h1`` and so on: names of Postgres are too short for theirs.

    Parameters
    ----------
    rest : str
        What follows ``FROM claims_as_of(%(as_of)s) c`` in the query of the claims that are asked for.
    parameters : dict
        Of the query; ``as_of``, the clock, is among them.
    """
    with database.transaction():
        database.rows(f"SET LOCAL work_mem = '{WORK_MEM}'")
        database.rows("SET LOCAL jit = off")  # compiling costs more than it saves
        database.rows("SET LOCAL enable_nestloop = off")  # no table here has statistics that tell its size
        database.rows("DROP TABLE IF EXISTS pg_temp.asked, pg_temp.decided, pg_temp.history")
        for table, query in _tables(contract, rest):
            database.rows(f"CREATE TEMPORARY TABLE {table} AS {query}", parameters)
            database.rows(f"ANALYZE {table}")
        database.rows("DROP TABLE asked, decided")


def _tables(contract: Contract, rest: str) -> Iterator[tuple[str, str]]:
    roles = contract.roles
    known = {f"e{place}": quoted(entity) for place, entity in enumerate(entities(contract))}
    named = "".join(f", c.{column} AS {name}" for name, column in known.items())
    others = {"claimant": roles.claimant, "kind": roles.kind if usual_amount(contract) else None}
    shown = named + "".join(f", c.{quoted(column)} AS {name}" for name, column in others.items() if column)
    yield (
        "asked",
        "SELECT c.claim_id, CASE WHEN c.revision = 1 THEN c.event_time ELSE least(c.event_time, (SELECT f.event_time "
        "FROM claims f WHERE f.claim_id = c.claim_id AND f.revision = 1)) END AS at"
        f"{shown} FROM claims_as_of(%(as_of)s) c {rest}",
    )
    # A decision that is taken back counts as it stood until then: each row is what changed.
    yield (
        "decided",
        f"SELECT greatest(o.known_at, c.event_time) AS at, o.known, o.frauds{named} FROM (SELECT claim_id, known_at, "
        "(lag(is_fraud) OVER w IS NULL)::int AS known, "
        "is_fraud::int - coalesce(lag(is_fraud) OVER w, false)::int AS frauds FROM outcomes "
        "WHERE known_at <= %(as_of)s WINDOW w AS (PARTITION BY claim_id ORDER BY known_at, outcome_id)) o "
        "JOIN claims c ON c.claim_id = o.claim_id AND c.revision = 1 AND c.known_at <= %(as_of)s "
        "WHERE (o.known, o.frauds) <> (0, 0)",
    )
    columns, joins = list[str](), list[str]()
    for place, entity in enumerate(entities(contract)):
        told, name = of_entity(contract, entity), f"e{place}"
        expressions = {
            "claims": f"{name}.claims",
            "days": f"extract(epoch FROM q.at - {name}.last) / 86400",
            "frauds": f"{name}.frauds",
            "rate": f"({name}.frauds + {PRIOR_CLAIMS} * u.rate) / ({name}.known + {PRIOR_CLAIMS}) / nullif(u.rate, 0)",
            "claimants":  # of no garage, least() would say 10
            f"CASE WHEN {name}.at IS NOT NULL THEN least({name}.claimants - coalesce((p{place}.at < q.at)::int, 0), {SHARERS}) END",
        }
        columns += [expressions[what] for what in told]
        joins.append(
            f"LEFT JOIN ({_of_entity(name, known[name], roles.claimant, told)}) {name} "
            f"ON {name}.entity = q.{name} AND {name}.at = q.at"
        )
        if "claimants" in told:
            joins.append(
                f"LEFT JOIN ({_pairs(name, known[name], roles.claimant)}) p{place} "
                f"ON p{place}.entity = q.{name} AND p{place}.claimant = q.claimant"
            )
    if entities(contract) and contract.labelled:
        joins.append(f"LEFT JOIN ({_USUAL_RATE}) u ON u.day = q.at::date")
    if usual_amount(contract):
        columns.append("k.usual")
        joins.append(
            f"LEFT JOIN ({_usual_amounts(quoted(str(roles.kind)), quoted(str(roles.amount)))}) k ON k.kind = q.kind AND k.day = q.at::date"
        )
    if contract.photos:
        columns.append("coalesce(r.photos_reused, 0)")
        joins.append("LEFT JOIN photos_reused_as_of(%(as_of)s) r ON r.claim_id = q.claim_id")
    assert len(columns) == len(past_of(contract))
    numbered = "".join(f", {column} AS h{place}" for place, column in enumerate(columns))
    yield "history", f"SELECT q.claim_id{numbered} FROM asked q {' '.join(joins)}"


_FIRST_SENT = "FROM claims c WHERE c.revision = 1 AND c.known_at <= %(as_of)s"


def _of_entity(name: str, column: str, claimant: str | None, told: Any) -> str:
    """What is known of each entity at each moment at which it is asked about."""
    wanted = f"AND c.{column} IN (SELECT {name} FROM asked)"
    rows = [
        f"SELECT c.{column} AS entity, c.event_time AS at, 1 AS claims, 0 AS known, 0 AS frauds, 0 AS claimants {_FIRST_SENT} {wanted}",
        f"SELECT DISTINCT {name}, at, 0, 0, 0, 0 FROM asked WHERE {name} IS NOT NULL",
        f"SELECT {name}, at, 0, known, frauds, 0 FROM decided WHERE {name} IN (SELECT {name} FROM asked)",
    ]
    if "claimants" in told:
        rows.append(f"SELECT entity, at, 0, 0, 0, 1 FROM ({_pairs(name, column, claimant)}) pairs")
    return (
        "SELECT entity, at, coalesce(sum(sum(claims)::int) OVER year, 0) AS claims, "
        "max(max(at) FILTER (WHERE claims > 0)) OVER before AS last, coalesce(sum(sum(known)::int) OVER before, 0) AS known, "
        "coalesce(sum(sum(frauds)::int) OVER before, 0) AS frauds, coalesce(sum(sum(claimants)::int) OVER before, 0) AS claimants "
        f"FROM ({' UNION ALL '.join(rows)}) rows GROUP BY entity, at "
        f"WINDOW before AS (PARTITION BY entity {_BEFORE}), year AS (PARTITION BY entity ORDER BY at "
        f"RANGE BETWEEN {YEAR} PRECEDING AND interval '1 microsecond' PRECEDING)"
    )


def _pairs(name: str, column: str, claimant: str | None) -> str:
    """When each claimant was first seen with each entity."""
    who = quoted(str(claimant))
    return (
        f"SELECT c.{column} AS entity, c.{who} AS claimant, min(c.event_time) AS at {_FIRST_SENT} "
        f"AND c.{column} IN (SELECT {name} FROM asked) AND c.{who} IS NOT NULL GROUP BY 1, 2"
    )


_USUAL_RATE = (
    f"SELECT day, sum(sum(frauds)::int) OVER before / nullif(sum(sum(known)::int) OVER before, 0)::float8 AS rate "
    "FROM (SELECT at::date AS day, known, frauds FROM decided UNION ALL SELECT DISTINCT at::date, 0, 0 FROM asked) rows "
    f"GROUP BY day WINDOW before AS ({_BEFORE.replace('BY at', 'BY day')})"
)


def _usual_amounts(kind: str, amount: str) -> str:
    """Geometric mean of the amounts of each kind in the year before each day: of amounts, it is near the median."""
    return (
        f"SELECT kind, day, CASE WHEN sum(sum(peers)::int) OVER year >= {LEAST_PEERS} THEN "
        "exp(sum(sum(logs)::bigint) OVER year / sum(sum(peers)::int) OVER year / 1e6) END AS usual FROM ("
        f"SELECT c.{kind} AS kind, c.event_time::date AS day, count(*) AS peers, sum((ln(c.{amount}) * 1e6)::bigint) AS logs "
        f"{_FIRST_SENT} AND c.{amount} > 0 GROUP BY 1, 2 "
        "UNION ALL SELECT DISTINCT kind, at::date, 0, 0 FROM asked) rows GROUP BY kind, day "
        f"WINDOW year AS (PARTITION BY kind ORDER BY day RANGE BETWEEN {YEAR} PRECEDING AND interval '1 day' PRECEDING)"
    )
