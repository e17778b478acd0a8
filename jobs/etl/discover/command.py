"""From a claims file never seen before to a first contract, which loads and keeps the file it came from."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import NoReturn

from jobs.etl.discover.draft import Draft, Table, draft
from jobs.etl.discover.facts import Cells, facts_of
from jobs.etl.discover.roles import ID_SHARE, Guess, Parts, guess_parts
from jobs.etl.discover.sample import Sample, as_text, count_distinct, take
from shared.arguments import Parser
from shared.clean import clean_claims
from shared.contract import Contract, load
from shared.errors import ClaimsightError, ConfigError, DataError, ExitCode
from shared.pseudonyms import Pseudonyms

CONTRACTS = Path("contracts")
TOLERANCES = 0.005, 0.0
"""Share of a column's cells that may be of another kind than the rest: the second where the first costs many rows."""
MANY_ASIDE = 0.05
REASONS = 5
"""Reasons for which most rows are set aside, to show."""
_NAMELESS = "a column without a header is passed over: name it in the file if it matters"
_REFUSED = (
    "  ! that is more than file.reject_limit allows: etl would refuse the file; mend the file, or raise the limit"
)


@dataclass(frozen=True)
class Proof:
    """What etl would make of the rows that were read.

    Attributes
    ----------
    aside : int
        Rows that it would set aside.
    reasons : list of (str, int)
        Most frequent first; a row may have several.
    """

    rows: int
    aside: int
    reasons: list[tuple[str, int]]


def main() -> NoReturn:
    """Discover what the command line names."""
    parser = Parser(prog="python -m jobs.etl", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--discover", type=Path, metavar="FILE", required=True, help="claims: CSV, JSON lines or Parquet"
    )
    parser.add_argument("--name", help="of the line of business, a-z, 0-9 and _ (default: from the file's name)")
    arguments = parser.parse_args()
    try:
        print(discover(arguments.discover, arguments.name))
    except ClaimsightError as error:
        print(f"claimsight: {'; '.join(error.problems)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"claimsight: {error.filename}: {error.strerror}; give this user access or name another", file=sys.stderr)
        sys.exit(ExitCode.CONFIG)
    sys.exit(ExitCode.OK)


def discover(path: Path, name: str | None = None, folder: Path = CONTRACTS) -> str:
    """Draft a contract for a file, prove it on the file, and write it.

    Returns
    -------
    str
        Summary for the terminal; nothing of a personal column's cells is in it.

    Raises
    ------
    ConfigError
        There is no such file, the name is none, or there is such a contract already.
    DataError
        The file is no table of claims.
    """
    name = _name(path, name)
    target = folder / f"{name}.toml"
    if target.exists():
        raise ConfigError(f"{target} is there already and is left as it is: give another NAME=, or remove it first")
    sample = take(path)
    for tolerance in TOLERANCES:
        parts, made = _draft(sample, name, tolerance)
        contract = _loaded(made)
        proof = _prove(sample, contract)
        if proof.aside <= MANY_ASIDE * proof.rows:
            break
    folder.mkdir(parents=True, exist_ok=True)
    with target.open("x", encoding="utf-8") as file:
        file.write(made.toml)
    return _summary(target, sample, parts, made, contract, proof)


def _name(path: Path, name: str | None) -> str:
    if name is not None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise ConfigError("NAME: 1 to 40 of a-z, 0-9 and _, the first a letter")
        return name
    stem = path.name.split(".")[0].lower()
    plain = re.sub(r"[^a-z0-9]+", "_", stem).strip("_").lstrip("0123456789_")[:40].strip("_")
    taken = plain in ("", "claimsight", "index", "public", "information_schema") or plain.startswith("pg_")
    return f"claims_{plain}".rstrip("_")[:40] if taken else plain


def _draft(sample: Sample, name: str, tolerance: float) -> tuple[Parts, Draft]:
    table = [
        (cells, facts_of(cells, tolerance))
        for header in sample.cells.columns
        if header.strip()
        for cells in [Cells.of(header, as_text(sample.cells[header]))]
    ]
    if not table:
        raise DataError(f"{sample.path}: no column has a name: add a first line that names the columns")
    parts = guess_parts(table)
    if len(table) == 1 and parts.label:
        raise DataError(f"{sample.path}: it holds an outcome and nothing else; send what is known of the claims, too")
    if parts.id and not sample.whole:
        known = _counted(sample, parts.id)
        parts = replace(parts, id=known) if known else guess_parts(table, repeating=parts.id.column)
    file = sample.file.delimiter if sample.kind == "CSV" else ""
    how = f"{sample.kind} separated by {file!r}" if file else sample.kind
    given = Table(
        sample.path.name,
        sample.file,
        [fact for _, fact in table],
        sample.rows,
        0 if sample.whole else sample.cells.height,
        how,
        sample.notes if len(table) == sample.cells.width else (*sample.notes, _NAMELESS),
    )
    return parts, draft(name, given, parts)


def _counted(sample: Sample, guess: Guess) -> Guess | None:
    """Hold the id against all rows of the file: that a sample has no value twice says little. None if it is no id."""
    counted = count_distinct(sample, guess.column)
    if counted is None:
        return replace(guess, reason=f"{guess.reason} (in a sample of {sample.cells.height:,} rows)")
    rows, distinct = counted
    if distinct < ID_SHARE * rows:
        return None
    told = "differs in each" if distinct == rows else f"repeats in {rows - distinct:,}"
    return replace(guess, reason=f"{told} of all {rows:,} rows;{guess.reason.partition(';')[2]}")


def _loaded(made: Draft) -> Contract:
    with tempfile.TemporaryDirectory(prefix="claimsight-discover-") as folder:
        path = Path(folder) / "draft.toml"
        path.write_text(made.toml, encoding="utf-8")
        return load(path)


def _prove(sample: Sample, contract: Contract) -> Proof:
    """Clean the rows that were read, as etl will."""
    # Nothing is stored, so any key will do for its pseudonyms, and any moment for the time of the event.
    key, moment = Pseudonyms(b"none"), datetime(2000, 1, 1, tzinfo=UTC)
    cleaned = clean_claims(sample.lines, sample.cells, contract, key, moment=moment)
    reasons = Counter(reason for told in cleaned.bad["reason"] for reason in told.split("; "))
    repeated = cleaned.good.height - cleaned.good["claim_id"].n_unique()
    reasons.update({f"{contract.roles.id or 'the whole row'}: repeats an earlier row": repeated})
    reasons.update({"no row of the header's number of fields": sample.broken})
    return Proof(
        sample.cells.height + sample.broken,
        cleaned.bad.height + repeated + sample.broken,
        [(reason, count) for reason, count in reasons.most_common(REASONS) if count],
    )


def _summary(target: Path, sample: Sample, parts: Parts, made: Draft, contract: Contract, proof: Proof) -> str:
    of = "" if sample.whole else f" (about {sample.rows:,} in the file)"
    dtypes = Counter(column.dtype for column in contract.columns.values())
    lines = [
        f"{sample.path}: {sample.kind}, {sample.cells.height:,} rows read{of}, {sample.cells.width} columns: "
        + ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common()),
        "",
        *(f"  {role:<11} {made.roles.get(role, 'none found')}" for role in ("id", "event_time", "label", "amount")),
        *(
            f"  {role:<11} {told}"
            for role, told in made.roles.items()
            if role not in ("id", "event_time", "label", "amount")
        ),
        "",
        *(f"  ! {sentence}" for sentence in made.missing),
        f"etl would keep {proof.rows - proof.aside:,} of these {proof.rows:,} rows"
        + (" and set aside:" if proof.reasons else "."),
        *(f"  {count:>7,}  {reason}" for reason, count in proof.reasons),
        *([_REFUSED] if proof.aside > contract.file.reject_limit * proof.rows else []),
        "",
        f"Written: {target}. Look at its roles, then:",
        f"  make run CONTRACT={quote(str(target))} DATA={quote(str(sample.path))}",
    ]
    return "\n".join(lines)
