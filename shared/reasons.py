"""Decide what is told of a claim: its strongest reasons, how unusual each is among its peers, and a sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from shared.contract import Contract
from shared.features import Feature, Floats
from shared.peers import Peers, Places, kind_of, unusual
from shared.words import Value, Words, share, words_of

REASONS = 3
EVERYONE = "all claims"
Row = dict[str, Any]


@dataclass(frozen=True)
class Explainer:
    """Puts a model's contributions into words; one lasts for a run.

    Attributes
    ----------
    features : sequence of Feature
        The model's.
    contract : Contract
        What columns mean.
    peers : Peers
        What values are usual.
    """

    features: Sequence[Feature]
    contract: Contract
    peers: Peers
    _tables: dict[tuple[str | None, int], tuple[list[float], Places]] = field(default_factory=dict, repr=False)

    def explain(self, claims: pl.DataFrame, known: pl.DataFrame, contributions: Floats) -> list[str]:
        """Write the strongest reasons of each claim as JSON.

        Parameters
        ----------
        claims : polars.DataFrame
            Of n claims, the kind, where the contract names one.
        known : polars.DataFrame
            Values of the features, of shape (n, features).
        contributions : array of shape (n, features)
            Their shares in the log odds.

        Returns
        -------
        list of str
            For each claim a list of objects, the strongest first, at most `REASONS` and none whose share is zero:

            - ``feature``, and ``value``, null where it is unknown or, of a sensitive column, not shown;
            - ``direction`` (``raises`` or ``lowers``) and ``log_odds``;
            - ``unusual``: see :func:`shared.peers.unusual`; null where it cannot be known or is not shown;
            - ``peers``: whom the claim is compared with, such as ``claims of theft``, or ``all claims``;
            - ``text``: a sentence that says all this.
        """
        strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :REASONS]
        codes = self._codes(known, np.unique(strongest).tolist())
        kind = self._kind
        kinds = claims[kind].cast(pl.String).to_list() if kind is not None else [None] * known.height
        shares = np.take_along_axis(contributions, strongest, axis=1).tolist()
        return [
            json.dumps(
                [
                    self._reason(place, row[place], float(log_odds), codes[place][claim], kinds[claim])
                    for place, log_odds in zip(places, shares[claim], strict=True)
                    if log_odds != 0
                ]
            )
            for claim, (row, places) in enumerate(zip(known.iter_rows(), strongest.tolist(), strict=True))
        ]

    @cached_property
    def _kind(self) -> str | None:
        return kind_of(self.contract)

    @cached_property
    def _words(self) -> list[Words]:
        return [words_of(feature, self.contract) for feature in self.features]

    @cached_property
    def _places(self) -> dict[str, int]:
        """Place of each feature among the columns of its peers."""
        return {column.name: place for place, column in enumerate(self.peers.everyone.columns)}

    def _codes(self, known: pl.DataFrame, places: Sequence[int]) -> dict[int, list[int | None]]:
        """Bins of the claims' values in some features; None throughout for one whose peers nobody counted."""
        codes = dict[int, list[int | None]]()
        for place in places:
            name = self.features[place].name
            there = self._places.get(name)
            bins = None if there is None else self.peers.everyone.columns[there].bins
            codes[place] = [None] * known.height if bins is None else bins.codes(known[name]).tolist()
        return codes

    def _reason(self, place: int, value: Value, log_odds: float, code: int | None, kind: str | None) -> Row:
        feature, words = self.features[place], self._words[place]
        if kind not in self.peers.kinds or feature.sources == (self._kind,):
            kind = None  # of its own peers, every claim is of the same kind
        peers = EVERYONE if kind is None else f"claims of {kind}"
        told, direction = said(feature, value), "raises" if log_odds > 0 else "lowers"
        part, side = (None, 0) if code is None or words.hidden else self._unusual(kind, place, code)
        return {
            "feature": feature.name,
            "value": None if words.hidden else told,
            "direction": direction,
            "log_odds": round(log_odds, 4),
            "unusual": None if part is None else round(part, 4),
            "peers": peers,
            "text": sentence(words, told, direction, part, side, peers),
        }

    def _unusual(self, kind: str | None, place: int, code: int) -> tuple[float | None, int]:
        table = self._tables.get((kind, place))
        if table is None:
            there = self._places[self.features[place].name]
            counts = self.peers.everyone.columns[there].counts if kind is None else self.peers.kinds[kind][there]
            shares, sides = unusual(counts, ordered=self.features[place].kind != "category")
            table = self._tables[kind, place] = (shares.tolist(), sides)
        part = table[0][code]
        return (None if math.isnan(part) else part), table[1][code]


def sentence(words: Words, value: Value, direction: str, part: float | None, side: int, peers: str) -> str:
    """Say what a claim has, how unusual that is, and what it does to the probability.

    Parameters
    ----------
    part : float or None
        Share of the peers that are at least as unusual, from 0 to 1.
    side : int
        On which side of its peers' middle the value lies: -1, 0 or 1.

    >>> age = Words("Age of the vehicle", lambda value: f"{value:.0f} years")
    >>> sentence(age, 12.0, "raises", 0.05, 1, "claims of theft")
    'Age of the vehicle: 12 years, as high or higher in 5 % of claims of theft, which raises the fraud probability.'
    >>> sentence(age, None, "lowers", None, 0, "all claims")
    'Age of the vehicle is unknown, which lowers the fraud probability.'
    """
    if words.hidden:
        return f"{words.subject} {direction} the fraud probability; its value is not shown, as it is watched for bias."
    begun, ends = words.says(value), f"which {direction} the fraud probability."
    if part is None:
        return f"{begun}, {ends}"
    # Not "no claim": some may have come since the peers were counted, or not be in the sample of them.
    rare = peers.replace("all claims", "claims").replace("claims", "hardly any claim", 1)
    among = f"{share(part)} of {peers}" if part else rare
    if not (against := words.against(value, side)):
        return f"{begun}, as in {among}, {ends}"
    return f"{begun}, {against} in {among}, {ends}" if side else f"{begun}, as is usual among {peers}, {ends}"


def said(feature: Feature, value: Value) -> Value:
    """Name an ordered level, of which the model knows the rank."""
    return feature.levels[int(value)] if feature.kind == "ordered" and isinstance(value, float) else value
