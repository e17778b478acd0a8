"""The refused challenger that scores beside the champion: which one it is, and what it may decide.

Each prediction tells the arm in which its claim stands. The row decides whose variant that is; any other is a shadow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.champion import Champion, Judged
from shared.contract import Contract
from shared.database import Database

PROOF = frozenset(
    {
        "frauds in the judged window",
        "recall at 20 percent",
        "lift of the top decile, lower bound",
        "average precision less the champion's, lower bound",
    }
)
"""Gates that ask for proof, which a trial may bring. Any other says that the model does harm: a leak, a bias, wrong
probabilities, too slow or too large to use, or reasons unlike the champion's."""

CONTENDER = (
    "SELECT h.model_version AS version, h.threshold, h.metrics, h.gates, h.as_of AS refused_at, m.family, "
    "m.artifact_uri, m.files_sha256, m.train_end, m.judged_share "
    "FROM model_history h JOIN models m USING (model_version) "
    "WHERE h.alias = 'refused' AND h.as_of <= %(as_of)s AND h.model_version > %(standing)s "
    # Judged on no claims, it has no threshold to flag by.
    "AND h.threshold IS NOT NULL AND NOT EXISTS (SELECT FROM model_history p WHERE p.alias = 'champion' "
    "AND p.model_version = h.model_version AND p.as_of <= %(as_of)s) "
    "ORDER BY h.model_version DESC, h.entry_id DESC LIMIT 1"
)
"""The newest refused model that is newer than the one that stands and never was champion itself."""


@dataclass(frozen=True)
class Contender(Judged):
    """A refused challenger.

    Attributes
    ----------
    refused_at : datetime
        By the clock of the run that judged it.
    harmless : bool
        Whether it was refused for want of proof alone, so that it may decide about claims.
    """

    refused_at: datetime
    harmless: bool

    def share(self, contract: Contract) -> float:
        """Share of the claimants of whose claims it decides, from 0 to 0.5."""
        return contract.challenger.share if self.harmless else 0.0


def contender(database: Database, standing: Champion, as_of: datetime) -> Contender | None:
    """Look up the newest refused model that is newer than the champion and never was champion itself; None without."""
    found = database.rows(CONTENDER, {"as_of": as_of, "standing": standing.version})
    if not found:
        return None
    row = found[0]
    gates = row.pop("gates")
    return Contender(**row, harmless=is_harmless(gates))


def is_harmless(gates: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a model with these gates was refused for want of proof alone.

    >>> is_harmless([{"name": "recall at 20 percent", "passed": False}]), is_harmless([{"name": "x", "passed": False}])
    (True, False)
    """
    return all(gate["passed"] or gate["name"] in PROOF for gate in gates)
