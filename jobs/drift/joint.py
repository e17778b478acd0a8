"""How well a classifier tells two samples of claims apart by all columns together.

What moves only in how columns go with each other is seen here, and many small shifts add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.drift.limits import FEWEST_WINDOWS
from shared.distances import NORMAL, shift_of_auc
from shared.features import Floats
from shared.metrics import roc_auc

Rows = NDArray[np.float32]
MOST_CLAIMS = 5000
"""Claims of each side that are looked at: with so many, chance moves the AUC by 0.006."""
FOLDS = 2
ROUNDS = 20
MOST_WINDOWS = 12
"""Windows of the reference that are held against its rest at most; each costs two fits."""
PARAMETERS = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "tree_method": "hist", "max_bin": 64}
"""Trees that see two or three columns at once, few enough that a fit takes a tenth of a second."""


def auc(reference: Rows, window: Rows, threads: int) -> float:
    """Area under the ROC curve of trees that tell a window's claims from the reference's, on claims new to them.

    Parameters
    ----------
    reference, window : arrays of shape (claims, features), float32
        As :func:`shared.parts.laid_out` makes them, in an order that means nothing; each at least of two claims.

    Returns
    -------
    float
        0.5 where nothing tells them apart, on average and whatever their size.

    Notes
    -----
    D. Lopez-Paz and M. Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017; with the AUC in place of the accuracy,
    so that it does not matter how many claims each side has.
    """
    import xgboost

    rows = np.concatenate([reference, window])
    y = np.repeat([0.0, 1.0], [len(reference), len(window)])
    fold = np.arange(len(rows)) % FOLDS
    found = []
    for held in range(FOLDS):
        learnt = xgboost.DMatrix(rows[fold != held], label=y[fold != held], nthread=threads)
        trees = xgboost.train({**PARAMETERS, "nthread": threads}, learnt, ROUNDS)
        p = trees.inplace_predict(rows[fold == held])
        found.append(roc_auc(y[fold == held], p.astype(float)))
    return float(np.mean(found))


def past_aucs(reference: Rows, week: NDArray[np.int64], length: int, threads: int) -> Floats:
    """:func:`auc` of some windows of the reference against the rest of it, evenly spread and without a week in common.

    Parameters
    ----------
    week : array of shape (claims,)
        Which week each claim is of.
    length : int
        Weeks of a window.
    """
    first, last = int(week.min()), int(week.max())
    starts = range(first, last - length + 2, length)
    chosen = [starts[place] for place in np.unique(np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int))]
    found = []
    for start in chosen:
        within = (week >= start) & (week < start + length)
        if min(within.sum(), (~within).sum()) >= FOLDS * 10:
            found.append(auc(reference[~within], reference[within], threads))
    return np.asarray(found)


def limit(past: Sequence[float], claims: tuple[int, int], rate: float) -> float:
    """Effect size from where all columns together have shifted; see :func:`shared.distances.shift_of_auc`.

    Parameters
    ----------
    past : sequence of float
        AUCs of the reference's own windows; with few, chance alone tells.
    claims : tuple of int
        Of the two sides.

    Notes
    -----
    Under the null an AUC has variance ``(m + n + 1) / (12 m n)``: H. B. Mann and D. R. Whitney, On a Test of Whether
    one of Two Random Variables is Stochastically Larger than the Other, Annals of Mathematical Statistics 18 (1947).
    """
    m, n = claims
    z = NORMAL.inv_cdf(1 - rate)
    chance = 0.5 + z * ((m + n + 1) / (12 * m * n)) ** 0.5
    if len(past) < FEWEST_WINDOWS:
        return shift_of_auc(chance)
    told = float(np.mean(past)) + z * float(np.std(past, ddof=1)) * (1 + 1 / len(past)) ** 0.5
    return shift_of_auc(max(chance, told))
