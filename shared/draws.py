"""Lots that are drawn for claims: by a hash of the claim's id, so the same for ever and whatever stands beside it.

Each is SQL over a claim ``c`` and gives a whole number from 0 to below `DRAWS`. They have seeds of their own: with one
for both, every audited claim would judge models, and none be learnt from.
"""

from __future__ import annotations

DRAWS = 1 << 32
AUDIT_DRAW = "hashtextextended(c.claim_id, 0) & 4294967295"
"""Lot for the audit sample: the lowest are reviewed though nobody suspects them."""
SPLIT_DRAW = "hashtextextended(c.claim_id, 1) & 4294967295"
"""Where no column dates the claims: those below ``judged_share * DRAWS`` judge, and only the others are learnt from."""


def arm_draw(claimant: str | None) -> str:
    """Lot for the arm of a trial, of the claimant: all claims of a person stand in one arm; or else of the claim.

    Parameters
    ----------
    claimant : str or None
        Column that holds who claims, quoted; None where the contract names none.

    >>> arm_draw(None)
    'hashtextextended(c.claim_id, 2) & 4294967295'
    """
    drawn = "c.claim_id" if claimant is None else f"coalesce(c.{claimant}, c.claim_id)"
    return f"hashtextextended({drawn}, 2) & 4294967295"
