"""Make log odds say how often claims like these turn out to be fraud, without changing their order."""

from __future__ import annotations

import numpy as np

from shared.features import Floats
from shared.model import Calibration

STEPS = 50
LEAST_SLOPE = 1e-3
"""Log odds a standard deviation of the score: at 0 all claims would be alike, and below it in reverse order."""


def platt(score: Floats, y: Floats, shift: Floats | float = 0.0) -> Calibration:
    """Fit slope and intercept of the log odds of fraud.

    Parameters
    ----------
    score : array of shape (n,)
        Log odds of claims that the model did not learn from, or any score of which more is worse; n above 0.
    y : array of shape (n,)
        1 for fraud.
    shift : array of shape (n,)
        How much likelier than to the model fraud had become by then, in log odds. It is not foretold for later claims:
        the past does not say which way the next one goes.

    Returns
    -------
    Calibration
        Its slope is above 0, so that the order of claims stays.

    Notes
    -----
    J. Platt, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers (1999), 61-74,
    with his targets, which keep few frauds from certainty; by Newton's method.

    >>> found = platt(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0]))
    >>> round(found.slope, 2), round(found.intercept, 2)
    (0.81, -0.41)
    """
    frauds = float(y.sum())
    target = np.where(y > 0, (frauds + 1) / (frauds + 2), 1 / (y.size - frauds + 2))
    middle, spread = float(score.mean()), float(score.std())
    slope = 1.0
    if spread > 0:
        slope = max(_newton(target, (score - middle) / spread, offset=shift)[1], LEAST_SLOPE) / spread
    # Once more for the intercept alone: it makes expected and actual frauds agree, also where the slope was held.
    (intercept,) = _newton(target, offset=slope * score + shift)
    return Calibration(slope, intercept)


def _newton(target: Floats, *columns: Floats, offset: Floats | float = 0.0) -> list[float]:
    """Coefficients of a logistic regression: the intercept and one a column."""
    matrix = np.column_stack([np.ones_like(target), *columns])
    found = np.zeros(matrix.shape[1])
    found[0] = np.log(target.mean() / (1 - target.mean())) - np.mean(offset)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(matrix @ found + offset)))
        gradient = matrix.T @ (target - p)
        curvature = (matrix * (p * (1 - p))[:, None]).T @ matrix + 1e-9 * np.eye(found.size)
        step = np.linalg.solve(curvature, gradient)
        found += np.clip(step, -1.0, 1.0)  # from afar a whole step overshoots
        if np.abs(step).max() < 1e-10:
            break
    return [float(value) for value in found]
