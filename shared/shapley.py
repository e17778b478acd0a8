"""Exact Shapley values of trees, looked up in tables: several times as fast as XGBoost's recursion.

What a leaf gives a claim is its value times a factor for each feature on its path: of a feature that is known, 1 if the
claim goes that way at all its splits and else 0; of one that is not, the share of the training claims that went so
(path-dependent TreeSHAP: S. Lundberg et al., Consistent Individualized Feature Attribution for Tree Ensembles, 2018).
So what a feature adds at a leaf depends on nothing but which features of the path the claim agrees with: of six there
are 64 answers, worked out once (J. Yang, Fast TreeSHAP, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MOST = 6
"""Different features on a path, at most: each one more doubles the answers."""
TOGETHER = 128
"""Claims that are looked up together: so few that what is made on the way stays in the processor's cache."""
WORKED_OUT = 2048
"""Leaves whose answers are worked out at once, for memory's sake."""

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class _Nodes:
    """Nodes of all trees in one row; a leaf has no left one, a root no parent: -1. Its limit is a leaf's value."""

    parent: Places
    left: Places
    feature: Places
    limit: Singles
    cover: Floats

    @classmethod
    def of(cls, trees: Sequence[dict[str, Any]]) -> Self:
        """Read what XGBoost wrote."""
        sizes = [len(tree["parents"]) for tree in trees]
        first = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)

        def joined(name: str) -> Any:
            return np.concatenate([tree[name] for tree in trees])

        left, parent = joined("left_children"), joined("parents")
        return cls(
            parent=np.where((parent < 0) | (parent >= left.size), -1, parent + first),
            left=np.where(left < 0, -1, left + first),
            feature=joined("split_indices").astype(np.intp),
            limit=joined("split_conditions").astype(np.float32),
            cover=joined("sum_hessian").astype(float),
        )


@dataclass(frozen=True)
class Step:
    """What stands one step nearer to the root on the path of each leaf; arrays of shape (leaves,).

    Attributes
    ----------
    node : array
        Place among the nodes that are asked.
    left : array
        Whether the path goes left there.
    bit : array
        What stands for the node's feature in a pattern; 0 where the path has ended.
    """

    node: Places
    left: NDArray[np.bool_]
    bit: NDArray[np.uint8]


@dataclass(frozen=True)
class Answers:
    """What a feature adds at the leaves on whose path it is.

    Attributes
    ----------
    leaf : array of shape (pairs,)
    by_pattern : array of shape (pairs, patterns)
        In log odds. The bits of a pattern stand for the features on the leaf's path that a claim does not agree with.
    first : array of shape (pairs,)
        Where in `by_pattern` each leaf's row begins.
    """

    leaf: Places
    by_pattern: Floats
    first: Places

    @classmethod
    def of(cls, leaf: Places, by_pattern: Floats) -> Self:
        """Number the rows."""
        return cls(leaf, by_pattern, np.arange(leaf.size) * by_pattern.shape[1])


@dataclass(frozen=True)
class Shapley:
    """The tables of some trees.

    Attributes
    ----------
    asks, limit : array of shape (nodes,)
        The feature that each inner node asks for; a claim goes left whose value is below the limit.
    steps : list of Step
        From the leaves' parents to the roots.
    leaves : int
    answers : list of Answers
        One a feature.
    """

    asks: Places
    limit: Singles
    steps: list[Step]
    leaves: int
    answers: list[Answers]

    @classmethod
    def of(cls, trees: Sequence[dict[str, Any]], features: int) -> Self | None:
        """Make the tables.

        Parameters
        ----------
        trees : sequence of dict
            As XGBoost writes them in a model's JSON.
        features : int
            Number of the model's features.

        Returns
        -------
        Shapley or None
            None where a path has more than `MOST` different features.
        """
        nodes = _Nodes.of(trees)
        (leaves,), (inner,) = np.nonzero(nodes.left < 0), np.nonzero(nodes.left >= 0)
        climbed = _climb(nodes, leaves, np.searchsorted(inner, np.arange(nodes.left.size)))
        if climbed is None:
            return None
        steps, on_path, shares = climbed
        value, most = nodes.limit[leaves].astype(float), int((on_path >= 0).sum(axis=1).max())
        parts = [slice(start, start + WORKED_OUT) for start in range(0, leaves.size, WORKED_OUT)]
        answers = np.concatenate([_answers(value[part], shares[part, :most]) for part in parts], axis=1)
        pairs = (np.nonzero(on_path == feature) for feature in range(features))
        return cls(
            asks=nodes.feature[inner],
            limit=nodes.limit[inner],
            steps=steps,
            leaves=leaves.size,
            answers=[Answers.of(leaf, answers[place, leaf]) for leaf, place in pairs],
        )

    def values(self, rows: Singles, threads: int = 1) -> Floats:
        """Give what each feature adds to the log odds of claims.

        Parameters
        ----------
        rows : array of shape (n, features)
            As :func:`shared.parts.laid_out` lays claims out; none is NaN.

        Returns
        -------
        array of shape (n, features)
        """
        found = np.empty(rows.shape)

        def look_up(start: int) -> None:
            columns = rows[start : start + TOGETHER].T
            left = columns.take(self.asks, axis=0) < self.limit[:, None]
            pattern = np.zeros((self.leaves, columns.shape[1]), np.uint8)
            for step in self.steps:
                pattern |= (left.take(step.node, axis=0) != step.left[:, None]) * step.bit[:, None]
            for feature, answers in enumerate(self.answers):
                places = pattern.take(answers.leaf, axis=0) + answers.first[:, None]
                found[start : start + TOGETHER, feature] = answers.by_pattern.take(places, mode="clip").sum(axis=0)

        starts = range(0, len(rows), TOGETHER)
        if threads == 1:  # a pool costs as much as a claim
            for start in starts:
                look_up(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(look_up, starts))  # if this is broken off, what has not begun is dropped
        return found


def _climb(nodes: _Nodes, leaves: Places, asked: Places) -> tuple[list[Step], Places, Floats] | None:
    """Go from all leaves to their roots.

    Parameters
    ----------
    asked : array of shape (nodes,)
        Place of each inner node among those.

    Returns
    -------
    tuple or None
        The steps; the features on each path in the order in which they are met, of shape (leaves, `MOST`), -1 where
        there is no more; for each of them the share of the training claims at its nodes that goes this way. None where
        a path has too many.
    """
    on_path = np.full((leaves.size, MOST), -1)
    shares = np.ones(on_path.shape)
    steps, reached = list[Step](), leaves.copy()
    while (rows := np.flatnonzero(nodes.parent[reached] >= 0)).size:
        child, node = reached[rows], nodes.parent[reached[rows]]
        fits = (on_path[rows] == nodes.feature[node][:, None]) | (on_path[rows] < 0)
        if not fits.any(axis=1).all():
            return None
        place = fits.argmax(axis=1)
        on_path[rows, place] = nodes.feature[node]
        shares[rows, place] *= nodes.cover[child] / nodes.cover[node]
        step = Step(np.zeros_like(leaves), np.zeros(leaves.size, bool), np.zeros(leaves.size, np.uint8))
        step.node[rows], step.left[rows], step.bit[rows] = asked[node], nodes.left[node] == child, 1 << place
        steps.append(step)
        reached[rows] = node
    return steps, on_path, shares


def _answers(value: Floats, shares: Floats) -> Floats:
    """Work out what each feature of a path adds, of shape (features of a path, leaves, patterns).

    It is the integral over t from 0 to 1 of (known - share) times the product of t * known + (1 - t) * share of the
    other features (G. Owen, Multilinear Extensions of Games, 1972): of a polynomial, so that Gauss' rule is exact.
    """
    most = shares.shape[1]
    known = 1.0 - (np.arange(1 << most) >> np.arange(most)[:, None] & 1)[:, None, :]
    share = shares.T[:, :, None]
    added = np.zeros((most, len(value), 1 << most))
    for point, weight in zip(*np.polynomial.legendre.leggauss(most // 2 + 1), strict=True):
        t = (point + 1) / 2
        factors = t * known + (1 - t) * share
        for place in range(most):
            added[place] += weight / 2 * np.delete(factors, place, axis=0).prod(axis=0)
    return added * (known - share) * value[:, None]
