"""The history of claims, computed in Postgres: what was known of whoever takes part in a claim before it happened.

Once a run, for all claims that are asked for, into the temporary table ``history``. Everything counts strictly earlier
moments, so neither the order of rows nor anything that comes later can change it:

- a claim is asked about at its event, or where a correction moved that, at the earlier of the two moments;
- other claims count as they were first sent, since that is how they were known: a correction changes no one's past;
- an outcome counts from when it was known, and never before its own claim's event: so no claim sees its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from shared.contract import Contract
from shared.database import Database, quoted
from shared.past import MOST_CLAIMS, PEERS_DAYS, SHARERS, WINDOW_DAYS, entities, of_entity, past_of, usual_amount

PRIOR_CLAIMS = 10
"""Claims of the usual share of fraud that are mixed into an entity's: with few outcomes it says little."""
LEAST_PEERS = 10
"""Earlier claims of a kind below which no amount is called usual."""
WORK_MEM = "32MB"
_TABLES = "pg_temp.asked, pg_temp.decided, pg_temp.history"
SENT = "FROM claims c WHERE c.revision = 1 AND c.known_at <= %(as_of)s"
"""Claims as they were first sent."""


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
    named = [f"pg_temp.e{place}" for place in range(len(entities(contract)))]
    with database.transaction():
        database.rows(f"SET LOCAL work_mem = '{WORK_MEM}'")
        database.rows("SET LOCAL jit = off")  # compiling costs more than it saves
        database.rows("SET LOCAL enable_nestloop = off")  # the planner cannot know how large these tables are
        database.rows(f"DROP TABLE IF EXISTS {', '.join([_TABLES, *named])}")
        for table, query in _tables(contract, rest):
            database.rows(f"CREATE TEMPORARY TABLE {table} AS {query}", parameters)
            database.rows(f"ANALYZE {table}")
        database.rows(f"DROP TABLE {', '.join(['pg_temp.asked', 'pg_temp.decided', *named])}")


def _tables(contract: Contract, rest: str) -> Iterator[tuple[str, str]]:
    """Each table's name and query; one after the other, so that no more than one needs memory."""
    roles, usual = contract.roles, usual_amount(contract)
    known = {f"e{place}": entity for place, entity in enumerate(entities(contract))}
    named = "".join(f", c.{quoted(entity)} AS {name}" for name, entity in known.items())
    yield "asked", _asked(contract, named, rest)
    yield "decided", decided(named)
    columns, joins = list[str](), list[str]()
    for name, entity in known.items():
        told = of_entity(contract, entity)
        yield name, _of_entity(name, entity, roles.claimant, told)
        joins.append(f"LEFT JOIN {name} ON {name}.entity = q.{name} AND {name}.at = q.at")
        expressions = of_counts(name, f"own_{name}.at")
        columns += [expressions[what] for what in told]
        if "claimants" in told:
            pairs = _pairs(name, entity, str(roles.claimant))
            joins.append(
                f"LEFT JOIN ({pairs}) own_{name} ON own_{name}.entity = q.{name} AND own_{name}.claimant = q.claimant"
            )
    if known and contract.labelled:
        joins.append(f"LEFT JOIN ({_USUAL_RATE}) u ON u.day = q.at::date")
    if usual:
        columns.append("k.usual")
        joins.append(f"LEFT JOIN ({_usual_amounts(contract)}) k ON k.kind = q.kind AND k.day = q.at::date")
    if contract.photos:
        columns.append("coalesce(r.photos_reused, 0)")
        joins.append("LEFT JOIN photos_reused_as_of(%(as_of)s) r ON r.claim_id = q.claim_id")
    assert len(columns) == len(past_of(contract))
    numbered = "".join(f", {column} AS h{place}" for place, column in enumerate(columns))
    yield "history", f"SELECT q.claim_id{numbered} FROM asked q {' '.join(joins)}"


def of_counts(name: str, own: str) -> dict[str, str]:
    """SQL of what :func:`shared.past.of_entity` names, over a claim ``q`` and the usual rate ``u.rate``.

    Parameters
    ----------
    name : str
        A row of what was known of the entity before ``q.at``: ``claims``, ``last``, ``known``, ``frauds``,
        ``claimants``; its ``at`` is null where there is no entity.
    own : str
        When the claim's own claimant was first seen with the entity.
    """
    return {
        # least() passes over what is unknown.
        "claims": f"CASE WHEN {name}.at IS NOT NULL THEN least({name}.claims, {MOST_CLAIMS}) END",
        "days": f"CASE WHEN {name}.last >= q.at - {days(WINDOW_DAYS)} "
        f"THEN extract(epoch FROM q.at - {name}.last) / 86400 END",
        # Of no outcome it is 1 to the last bit, whatever is usual on that day, and though nothing is: not a date.
        "rate": f"(coalesce({name}.frauds / nullif(u.rate, 0), 0) + {PRIOR_CLAIMS}) / ({name}.known + {PRIOR_CLAIMS})",
        "claimants": f"CASE WHEN {name}.at IS NOT NULL THEN "
        f"least({name}.claimants - coalesce(({own} < q.at)::int, 0), {SHARERS}) END",
    }


def usual_rate(frauds: str, known: str) -> str:
    """SQL of the usual share of fraud, from how many claims were frauds, and of how many the outcome was known."""
    return f"({frauds})::float8 / nullif({known}, 0)"


def usual_of(logs: str, peers: str) -> str:
    """SQL of a kind's usual amount, from the sum of :func:`log_of` over its claims and their number.

    The geometric mean: of amounts, it is near the median.
    """
    return f"CASE WHEN {peers} >= {LEAST_PEERS} THEN exp({logs} / {peers} / 1e6) END"


def log_of(amount: str) -> str:
    """SQL of an amount's logarithm in whole millionths, whose sum is the same in any order."""
    return f"(ln(c.{amount}) * 1e6)::bigint"


def _asked(contract: Contract, named: str, rest: str) -> str:
    roles = contract.roles
    others = {"claimant": roles.claimant, "kind": roles.kind}
    named += "".join(f", c.{quoted(column)} AS {name}" for name, column in others.items() if column)
    first = "SELECT f.event_time FROM claims f WHERE f.claim_id = c.claim_id AND f.revision = 1"
    at = f"CASE WHEN c.revision = 1 THEN c.event_time ELSE least(c.event_time, ({first})) END"
    return f"SELECT c.claim_id, {at} AS at{named} FROM claims_as_of(%(as_of)s) c {rest}"


def decided(named: str = "") -> str:
    """What changed when an outcome came to be known: one that is taken back counts as it stood until then."""
    changes = (
        "SELECT claim_id, known_at, (is_fraud IS NOT NULL)::int - (lag(is_fraud) OVER w IS NOT NULL)::int AS known, "
        "coalesce(is_fraud, false)::int - coalesce(lag(is_fraud) OVER w, false)::int AS frauds FROM outcomes "
        "WHERE known_at <= %(as_of)s WINDOW w AS (PARTITION BY claim_id ORDER BY known_at, outcome_id)"
    )
    return (
        f"SELECT greatest(o.known_at, c.event_time) AS at, o.known, o.frauds{named} FROM ({changes}) o "
        "JOIN claims c ON c.claim_id = o.claim_id AND c.revision = 1 AND c.known_at <= %(as_of)s "
        "WHERE (o.known, o.frauds) <> (0, 0)"
    )


def _of_entity(name: str, entity: str, claimant: str | None, told: Collection[str]) -> str:
    """What was known of each entity before each moment at which it is asked about."""
    wanted = f"IN (SELECT {name} FROM asked)"
    rows = [
        f"SELECT {name} AS entity, at, 0 AS claims, 0 AS known, 0 AS frauds, 0 AS claimants, true AS asked "
        f"FROM asked WHERE {name} IS NOT NULL GROUP BY {name}, at",
        f"SELECT c.{quoted(entity)}, c.event_time, 1, 0, 0, 0, false {SENT} AND c.{quoted(entity)} {wanted} "
        f"AND c.event_time >= (SELECT min(at) FROM asked) - {days(WINDOW_DAYS)}",
        f"SELECT {name}, at, 0, known, frauds, 0, false FROM decided WHERE {name} {wanted}",
    ]
    if "claimants" in told:
        rows.append(f"SELECT entity, at, 0, 0, 0, 1, false FROM ({_pairs(name, entity, str(claimant))}) pairs")
    # A row of the groups is a moment, so the row before is earlier.
    return (
        "SELECT entity, at, claims, last, known, frauds, claimants FROM (SELECT entity, at, bool_or(asked) AS asked, "
        "coalesce(sum(sum(claims)::int) OVER lately, 0) AS claims, max(max(at) FILTER (WHERE claims > 0)) OVER before "
        "AS last, coalesce(sum(sum(known)::int) OVER before, 0) AS known, "
        "coalesce(sum(sum(frauds)::int) OVER before, 0) AS frauds, "
        "coalesce(sum(sum(claimants)::int) OVER before, 0) AS claimants "
        f"FROM ({' UNION ALL '.join(rows)}) rows GROUP BY entity, at WINDOW "
        "before AS (PARTITION BY entity ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), "
        f"lately AS (PARTITION BY entity ORDER BY at RANGE BETWEEN {days(WINDOW_DAYS)} PRECEDING "
        "AND interval '1 microsecond' PRECEDING)) moments WHERE asked"
    )


def _pairs(name: str, entity: str, claimant: str) -> str:
    """When each claimant was first seen with each entity."""
    return (
        f"SELECT c.{quoted(entity)} AS entity, c.{quoted(claimant)} AS claimant, min(c.event_time) AS at {SENT} "
        f"AND c.{quoted(entity)} IN (SELECT {name} FROM asked) AND c.{quoted(claimant)} IS NOT NULL GROUP BY 1, 2"
    )


_USUAL_RATE = (
    f"SELECT day, {usual_rate('sum(sum(frauds)::int) OVER before', 'sum(sum(known)::int) OVER before')} AS rate "
    "FROM (SELECT at::date AS day, known, frauds FROM decided "
    "UNION ALL SELECT DISTINCT at::date, 0, 0 FROM asked) rows "
    "GROUP BY day WINDOW before AS (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
)


def _usual_amounts(contract: Contract) -> str:
    """Usual amount of each kind in the year before each day."""
    kind, amount = quoted(str(contract.roles.kind)), quoted(str(contract.roles.amount))
    usual = usual_of("sum(sum(logs)::bigint) OVER year", "sum(sum(peers)::int) OVER year")
    return (
        f"SELECT kind, day, {usual} AS usual FROM ("
        f"SELECT c.{kind} AS kind, c.event_time::date AS day, count(*) AS peers, sum({log_of(amount)}) AS logs "
        f"{SENT} AND c.{amount} > 0 "
        f"AND c.event_time >= (SELECT min(at)::date FROM asked) - {days(PEERS_DAYS)} GROUP BY 1, 2 "
        "UNION ALL SELECT DISTINCT kind, at::date, 0, 0 FROM asked) rows GROUP BY kind, day WINDOW year AS "
        f"(PARTITION BY kind ORDER BY day RANGE BETWEEN {days(PEERS_DAYS)} PRECEDING AND interval '1 day' PRECEDING)"
    )


def days(number: int) -> str:
    """So many days, in SQL."""
    return f"interval '{number} days'"
