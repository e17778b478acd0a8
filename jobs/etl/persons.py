"""Whom a row speaks of, and those who were erased: nothing that comes later brings them back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from jobs.etl.rows import Batch
from jobs.etl.store import Feed
from shared.cells import judge
from shared.clean import outcome_columns
from shared.contract import Contract
from shared.contract_parts import Column
from shared.errors import ConfigError
from shared.job import Job
from shared.pseudonyms import Pseudonyms

ERASED = "the claimant was erased"
"""Reason of a row that is set aside without its content."""


def pseudonyms_of(job: Job) -> Pseudonyms | None:
    """What this line's personal columns are stored as; None where it has none.

    Raises
    ------
    ConfigError
        It has, and there is no key.
    """
    if not job.contract.personal:
        return None
    if job.settings.pseudonym_key is None:
        raise ConfigError(
            "CLAIMSIGHT_PSEUDONYM_KEY is not set, and the contract names personal columns: "
            f"{', '.join(sorted(job.contract.personal))}; see .env.example"
        )
    return Pseudonyms(job.settings.pseudonym_key.get_secret_value().encode())


def value_of(cells: pl.Series, column: Column, contract: Contract) -> pl.Series:
    """What cells of Binary mean, as text: their value, or what stands there where it is none; null where unknown."""
    judged = judge(cells, column, contract.file.na_values)
    return judged.value.cast(pl.String).fill_null(judged.text)


@dataclass(frozen=True)
class Naming:
    """Where the rows of a feed name a claimant, and a claim: header and column, None where they do not."""

    claimant: tuple[str, Column] | None
    claim: tuple[str, Column] | None

    @classmethod
    def of(cls, feed: Feed, contract: Contract) -> Naming:
        """Find out how the rows of a feed name them."""
        roles, columns, sources = contract.roles, contract.columns, contract.sources
        match feed.kind:
            case "claims":
                found = [
                    (sources[name], columns[name]) if name in columns else None for name in (roles.claimant, roles.id)
                ]
                return cls(*found)
            case "outcomes":
                assert contract.outcomes is not None
                return cls(None, (contract.outcomes.id, outcome_columns(contract.outcomes)["claim_id"]))
            case "reference":
                reference = contract.reference[feed.name]
                if reference.key != roles.claimant:
                    return cls(None, None)
                return cls((feed.headers(contract)[0], columns[reference.key]), None)


class Persons:
    """Some claimants and their claims, known by nothing but their pseudonyms.

    Parameters
    ----------
    claimants, claims : iterable of str
        Pseudonyms of the claimants, and of the ids of claims.
    """

    def __init__(
        self, claimants: Iterable[str], claims: Iterable[str], contract: Contract, pseudonyms: Pseudonyms
    ) -> None:
        self._claimants = pl.Series(list(claimants), dtype=pl.String)
        self._claims = pl.Series(list(claims), dtype=pl.String)
        self._contract, self._pseudonyms = contract, pseudonyms

    def named_by(self, cells: pl.DataFrame, feed: Feed) -> pl.Series:
        """Tell of each row whether it speaks of one of them.

        A row that names a claimant is judged by that alone, so that a claim which was another's all along may come
        once its sender has put that right; the others by the claim.
        """
        naming = Naming.of(feed, self._contract)
        nobody = pl.Series([None], dtype=pl.String).new_from_index(0, cells.height)
        claimant, claim = (
            value_of(cells[place[0]], place[1], self._contract) if place and place[0] in cells.columns else nobody
            for place in (naming.claimant, naming.claim)
        )
        # The id counts where no claimant is named, and only there is it worth its hash.
        claim = claim.zip_with(claimant.is_null(), nobody)
        return self._are(claimant, self._claimants) | self._are(claim, self._claims)

    def own(self, claim_ids: pl.Series) -> pl.Series:
        """Tell of each claim's id, as its sender writes it, whether the claim was one of theirs."""
        return self._are(claim_ids, self._claims)

    def named_in(self, line: str) -> bool:
        """Whether a line that is no row holds one of them, between two delimiters or as a word.

        Those who are known by their pseudonyms only cannot be looked for otherwise.
        """
        pieces = {piece.strip(" \t\"'") for piece in re.split(self._delimiters, line)} | set(re.findall(r"\w+", line))
        found = self._pseudonyms.of(pl.Series(list(pieces), dtype=pl.String))
        return bool(found.is_in(pl.concat([self._claimants, self._claims]).implode()).any())

    def without_content(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Take the content from lines that are no rows and name one of them.

        Parameters
        ----------
        lines : polars.DataFrame
            ``reason`` and ``raw`` among its columns.
        """
        named = pl.Series(map(self.named_in, lines["raw"]), dtype=pl.Boolean)
        return lines.with_columns(
            reason=pl.when(named).then(pl.lit(ERASED)).otherwise("reason"), raw=pl.when(~named).then("raw")
        )

    def taken_from(self, batch: Batch, feed: Feed) -> Batch:
        """Take their rows from a batch: they stand among its broken lines then, without content."""
        theirs = self.named_by(batch.cells, feed)
        gone = (
            batch.lines.filter(theirs)
            .to_frame("file_line")
            .with_columns(reason=pl.lit(ERASED), raw=pl.lit(None, pl.String))
        )
        broken = pl.concat([self.without_content(batch.broken), gone.cast(batch.broken.schema)])
        return Batch(batch.lines.filter(~theirs), batch.cells.filter(~theirs), broken)

    @property
    def _delimiters(self) -> str:
        return f"[,;|:{{}}\\[\\]{re.escape(self._contract.file.delimiter)}]"

    def _are(self, values: pl.Series, known: pl.Series) -> pl.Series:
        return self._pseudonyms.of(values).is_in(known.implode()).fill_null(value=False)


def erased(job: Job) -> Persons | None:
    """Whoever was erased; None where nobody was.

    Raises
    ------
    ConfigError
        Somebody was, and the contract no longer tells by what rows would bring them back.
    """
    rows = job.database.rows("SELECT claimant, claims FROM erasures")
    if not rows:
        return None
    pseudonyms = pseudonyms_of(job)
    if pseudonyms is None or job.contract.roles.claimant is None:
        raise ConfigError(
            f"contract {job.contract.name}: claimants were erased, and without roles.claimant their rows would come "
            "back; name their column again"
        )
    claims = {claim for row in rows for claim in row["claims"]}
    return Persons({row["claimant"] for row in rows}, claims, job.contract, pseudonyms)
