"""How usual values are among claims of the same kind: counts by bin and kind, free of claimant data.

Train writes them beside the model, so that a reason can tell how unusual a claim's value is among its peers. Those are
claims of the training window, whether or not their outcome is known: investigators choose by what is unusual.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from shared.contract import Contract
from shared.errors import ModelError
from shared.features import Bins, Feature, Floats, sources, values
from shared.levels import FIRST_BIN
from shared.profile import Column, Counts, Profile

PEERS = "peers.json"
LEAST_PEERS = 100
"""Claims of a kind from which they are its peers; of fewer, all claims are."""
MOST_BINS = 100
"""Of a number: so many that they tell apart what is usual in a kind, whose claims may all lie in a tenth of them."""
TAILS = (0.001, 0.002, 0.005)
"""Quantiles at which bins end beside the hundredths, and at as much from the top."""
LEAST_IN_BIN = 20
"""Claims of a bin of a number, so that no end is one claim's own value."""
SINGLE_VALUES = 32
"""Values up to which each has a bin of its own."""
Places = tuple[int, ...]


@dataclass(frozen=True)
class Peers:
    """Reference claims by bin of each feature: all of them, and those of each kind that has enough.

    Counts add up over windows of the same bins.

    Attributes
    ----------
    everyone : Profile
        Of all claims.
    kinds : mapping
        By level of the contract's ``roles.kind``, the counts of each column of `everyone`, in its order.
    """

    everyone: Profile
    kinds: Mapping[str, Sequence[Places]] = field(default_factory=dict)

    @classmethod
    def of(cls, claims: pl.DataFrame, features: Sequence[Feature], kind: str | None) -> Self:
        """Count claims.

        Parameters
        ----------
        claims : polars.DataFrame
            The features' source columns, and the kind.
        kind : str or None
            Column that parts them into kinds.
        """
        levels, codes = _levels(claims, kind)
        columns, by_level = [], list[Counts]()
        for feature in features:
            known = values(claims, [feature])[feature.name]  # one by one, so that all together need no memory
            bins = _bins(feature, known)
            within = bins.codes(known)
            counts = np.bincount(codes * bins.size + within, minlength=(len(levels) + 1) * bins.size)
            by_level.append(counts.reshape(-1, bins.size))
            columns.append(Column(feature.name, bins, tuple(by_level[-1].sum(axis=0).tolist())))
        return cls(
            Profile(tuple(columns)),
            {
                level: tuple(tuple(counts[place].tolist()) for counts in by_level)
                for place, level in enumerate(levels, start=1)
            },
        )

    def as_document(self) -> dict[str, Any]:
        """Write it ready for JSON; :meth:`of_document` reads it."""
        return {"columns": self.everyone.as_document(), "kinds": dict(self.kinds)}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_document` wrote; ValueError if its parts do not fit each other."""
        everyone = Profile.of_document(document["columns"])
        kinds = {
            level: tuple(tuple(map(index, part)) for part in counts) for level, counts in document["kinds"].items()
        }
        sizes = [column.bins.size for column in everyone.columns]
        if any(sizes != list(map(len, counts)) for counts in kinds.values()):
            raise ValueError("the counts of its peers do not fit their bins")
        return cls(everyone, kinds)


def load(folder: Path) -> Peers:
    """Read the peers beside a model; of one that was trained before there were any, all claims of its profile.

    Raises
    ------
    ModelError
        They cannot be read.
    """
    try:
        if (folder / PEERS).exists():
            return Peers.of_document(json.loads((folder / PEERS).read_text()))
        return Peers(Profile.of_document(json.loads((folder / "profile.json").read_text())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model {folder}: its peers cannot be read ({error}); train a new one") from error


def kind_of(contract: Contract) -> str | None:
    """Column that parts claims into kinds; None where there is none, or where nobody is to see it."""
    kind, roles = contract.roles.kind, contract.roles
    return kind if kind in contract.stored and kind not in contract.personal and kind not in roles.sensitive else None


def looked_at(features: Iterable[Feature], contract: Contract) -> list[str]:
    """Columns of a claim that its features and its kind are read from."""
    kind = kind_of(contract)
    return [*sources(features), *([kind] if kind else [])]


def unusual(counts: Sequence[int], *, ordered: bool) -> tuple[Floats, Places]:
    """Tell for each bin how unusual a value in it is.

    Parameters
    ----------
    counts : sequence of int
        Peers by bin.
    ordered : bool
        Whether the bins have an order, as those of numbers and ordered levels do.

    Returns
    -------
    shares : array of shape (bins,)
        Where bins have no order, and for what is unknown: share of the peers in the bin. Else, with the bin that holds
        the median of the known values in the middle: share of the peers whose value lies in the bin or beyond it, on
        its side of the middle; in the middle itself the smaller of both. NaN without peers.
    sides : tuple of int
        -1 for a bin below the middle, 1 for one above, and 0 for it and where there is no order.

    Examples
    --------
    Of ten peers one is unknown; of those known, the middle one lies in the second bin:

    >>> shares, sides = unusual([0, 1, 3, 4, 2], ordered=True)
    >>> shares.tolist(), sides
    ([0.0, 0.1, 0.3, 0.6, 0.2], (0, 0, -1, 0, 1))
    >>> unusual([0, 0, 0], ordered=True)[0].tolist()
    [nan, nan, nan]
    """
    every = np.asarray(counts, dtype=float)
    total = every.sum() or np.nan
    if not ordered:
        return every / total, (0,) * every.size
    known = every[FIRST_BIN:]
    up_to, from_on = known.cumsum(), known[::-1].cumsum()[::-1]
    middle = int(np.searchsorted(up_to, known.sum() / 2))
    side = np.sign(np.arange(known.size) - middle)
    beyond = np.select([side < 0, side > 0], [up_to, from_on], np.minimum(up_to, from_on))
    return np.concatenate([every[:FIRST_BIN], beyond]) / total, (0,) * FIRST_BIN + tuple(side.tolist())


def _levels(claims: pl.DataFrame, kind: str | None) -> tuple[list[str], Counts]:
    """Levels of the kinds that have enough claims, and each claim's place among them from 1 on; 0 for any other."""
    if kind is None:
        return [], np.zeros(claims.height, dtype=np.int64)
    kinds = claims[kind].cast(pl.String).alias("kind")
    frequent = kinds.drop_nulls().value_counts().filter(pl.col("count") >= LEAST_PEERS)
    levels = frequent["kind"].sort().to_list()
    places = {level: place for place, level in enumerate(levels, start=1)}
    return levels, kinds.replace_strict(places, default=0, return_dtype=pl.Int64).to_numpy()


def _bins(feature: Feature, column: pl.Series) -> Bins:
    """Bins that tell tails apart, which the tenths of the profile that drift goes by do not."""
    numbers = column.drop_nulls()
    if feature.kind == "category" or numbers.n_unique() <= SINGLE_VALUES:
        return Bins.of(feature, column, SINGLE_VALUES)
    tails = [tail for tail in TAILS if tail * len(numbers) >= LEAST_IN_BIN]
    steps = np.linspace(0, 1, max(2, min(MOST_BINS, len(numbers) // LEAST_IN_BIN)) + 1)[1:-1]
    ends = np.quantile(numbers.to_numpy(), [*tails, *steps, *(1 - tail for tail in tails)])
    return Bins(edges=tuple(float(end) for end in np.unique(ends)))
