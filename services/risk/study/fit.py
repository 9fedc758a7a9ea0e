"""Fitting: one logistic model with monotone signs, and its scaling for each horizon. Needs numpy and scipy.

The same eight numbers that the live service reads (``score.features``) are the columns. Both horizons are fitted
together: they ask the same question, and two answers that may differ only by a scaling cannot contradict each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from services.risk.score import HORIZONS, INPUTS
from services.risk.study.measure import Bools, Floats
from services.risk.study.panel import MONTH, Row

NAMES = tuple(INPUTS)
FOLDS = 5
# Enough to keep a coefficient finite where an input is hardly ever there; the figures are the same from 1 to 100.
RIDGE = 20.0
# These two weigh more the longer somebody is without use. Nobody may score higher for having gone longer without,
# whatever else is so: the coefficient of the time without use is held to at least this much of the sum of theirs, which
# is where the slope of ``since / (MONTH + since)`` against ``log(1 + since)`` is greatest.
_GROW_WITH_TIME = ("other_substances", "withdrawal")
_SLOPE = MONTH / (4 * (MONTH - 1))


class CannotFit(ValueError):
    """These data do not hold what a fit needs; the words say what."""


class Data(NamedTuple):
    """A panel as arrays. ``inputs``: (weeks, inputs); ``lapsed``: (weeks, horizons)."""

    inputs: Floats
    lapsed: Bools
    since: Floats
    person: np.ndarray[tuple[int], np.dtype[np.str_]]
    trial: np.ndarray[tuple[int], np.dtype[np.str_]]

    def among(self, rows: Bools) -> Data:
        return Data(self.inputs[rows], self.lapsed[rows], self.since[rows], self.person[rows], self.trial[rows])

    @property
    def after_a_month(self) -> Bools:
        return self.since >= MONTH


class Fitted(NamedTuple):
    """Log-odds are ``intercept + inputs @ coefficients`` on the inputs as they are; ``platt``: a row a horizon."""

    intercept: float
    coefficients: Floats
    platt: Floats

    def log_odds(self, inputs: Floats) -> Floats:
        found: Floats = self.intercept + inputs @ self.coefficients
        return found

    def p(self, log_odds: Floats) -> Floats:
        """(weeks, horizons), the later horizon never under the earlier."""
        scaled = log_odds[:, None] * self.platt[:, 0] + self.platt[:, 1]
        found: Floats = np.maximum.accumulate(probability(scaled), axis=1)
        return found


def data_of(rows: Sequence[Row]) -> Data:
    return Data(
        np.array([row.inputs for row in rows], float).reshape(len(rows), len(NAMES)),
        np.array([row.lapsed for row in rows], bool).reshape(len(rows), len(HORIZONS)),
        np.array([row.since for row in rows], float),
        np.array([row.person for row in rows], str),
        np.array([row.trial for row in rows], str),
    )


def fit(data: Data) -> Fitted:
    """The model of these people, scaled by scores that were given to each person by a fit without that person.

    Raises CannotFit.
    """
    return _without_scaling(data)._replace(platt=scale(data, cross_fitted(data)))


def cross_fitted(data: Data) -> Floats:
    """For each week the log-odds that a fit on the people of the other folds gives it."""
    folds = fold_of(data.person)
    found = np.zeros(len(data.since))
    for fold in range(FOLDS):
        out = folds == fold
        found[out] = _without_scaling(data.among(~out)).log_odds(data.inputs[out])
    return found


def scale(data: Data, log_odds: Floats) -> Floats:
    """Platt's scaling: for each horizon the slope and intercept that make these log-odds most likely."""
    weights = _weights(data)
    column = log_odds[:, None]
    rows = []
    for horizon in range(len(HORIZONS)):
        slope, intercepts = _most_likely(column, data.lapsed[:, [horizon]], weights, ridge=0)
        rows.append([slope[0], intercepts[0]])
    return np.array(rows)


def scaled_apart(data: Data, log_odds: Floats) -> Floats:
    """(weeks, horizons): probabilities of cross-fitted scores, scaled by the people of the other folds."""
    folds = fold_of(data.person)
    found = np.zeros(data.lapsed.shape)
    for fold in range(FOLDS):
        out = folds == fold
        platt = scale(data.among(~out), log_odds[~out])
        found[out] = Fitted(0, np.zeros(len(NAMES)), platt).p(log_odds[out])
    return found


def fold_of(person: np.ndarray[tuple[int], np.dtype[np.str_]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """By the person's name alone: the same whoever else is there."""
    names, place = np.unique(person, return_inverse=True)
    folds = [int(hashlib.sha256(name.encode()).hexdigest(), 16) % FOLDS for name in names.tolist()]
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = np.array(folds, dtype=np.int64)[place]
    return found


def probability(log_odds: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))
    return found


def coefficients(inputs: Floats, lapsed: Bools, weights: Floats, signs: Sequence[int]) -> tuple[Floats, Floats]:
    """Coefficients with the signs asked for, and an intercept for each horizon, of the inputs as they are."""
    center = np.average(inputs, axis=0, weights=weights)
    spread = np.sqrt(np.average((inputs - center) ** 2, axis=0, weights=weights))
    spread[spread < 1e-12] = 1.0
    directed = (inputs - center) / spread * signs
    found, intercepts = _most_likely(directed, lapsed, weights, RIDGE, rising=True)
    found = found * signs / spread
    return found, intercepts - found @ center


def likely_on_top(base: Floats, columns: Floats, lapsed: Bools, ridge: float) -> Floats:
    """Coefficients of zero or more for what ``columns`` add to log-odds (rows, horizons) that are given.

    Raises CannotFit.
    """
    weights = np.ones(len(columns))
    return _most_likely(columns, lapsed, weights, ridge, rising=True, base=base)[0]


def _without_scaling(data: Data) -> Fitted:
    if not len(data.since) or not all(0 < share < 1 for share in data.lapsed.mean(axis=0)):
        raise CannotFit("There must be weeks with a lapse and weeks without one, at both horizons and in each fold.")
    columns = data.inputs.copy()
    time, growing = NAMES.index("time_without_use"), [NAMES.index(name) for name in _GROW_WITH_TIME]
    columns[:, growing] -= _SLOPE * columns[:, [time]]
    found, intercepts = coefficients(columns, data.lapsed, _weights(data), [INPUTS[name] for name in NAMES])
    found[time] -= _SLOPE * found[growing].sum()
    return Fitted(float(intercepts[0]), found, np.array([[1.0, 0.0]] * len(HORIZONS)))


def _weights(data: Data) -> Floats:
    """Each trial counts the same, however many people it had: what travels is asked of trials, not of weeks."""
    trials, place, counts = np.unique(data.trial, return_inverse=True, return_counts=True)
    found: Floats = len(data.since) / (len(trials) * counts[place])
    return found


def _most_likely(
    columns: Floats,
    lapsed: Bools,
    weights: Floats,
    ridge: float,
    rising: bool = False,
    base: Floats | float = 0.0,
) -> tuple[Floats, Floats]:
    """Coefficients (none negative if ``rising``) and intercepts, on top of ``base``: those that make what came most
    likely, less ``ridge / 2`` times the squares of the coefficients.

    A search within the bounds finds which coefficients are zero; Newton's steps on the others then make the result
    exact, so that it is the same on every machine.
    """
    width, horizons = columns.shape[1], lapsed.shape[1]

    def downhill(at: Floats) -> tuple[float, Floats]:
        log_odds = base + (columns @ at[:width])[:, None] + at[width:]
        loss = float((weights[:, None] * (np.logaddexp(0, log_odds) - lapsed * log_odds)).sum())
        error = weights[:, None] * (probability(log_odds) - lapsed)
        slope = np.r_[columns.T @ error.sum(axis=1) + ridge * at[:width], error.sum(axis=0)]
        return (loss + ridge / 2 * float(at[:width] @ at[:width])) / len(columns), slope / len(columns)

    bounds = [(0 if rising else None, None)] * width + [(None, None)] * horizons
    options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-9}
    at: Floats = minimize(downhill, np.zeros(width + horizons), jac=True, bounds=bounds, options=options).x
    free = np.r_[at[:width] > 1e-7 if rising else np.ones(width, bool), np.ones(horizons, bool)]
    at[~free] = 0
    for _ in range(8):
        curvature = _curvature(columns, weights, ridge, at, base)[np.ix_(free, free)]
        at[free] -= np.linalg.solve(curvature, downhill(at)[1][free])
    slope = downhill(at)[1]
    at_the_top = np.abs(slope[free]).max() < 1e-9 and (slope[~free] > -1e-6).all()
    if not at_the_top or (rising and (at[:width] < 0).any()):
        raise CannotFit("The likelihood has no clear top: too few lapses, or inputs that say the same.")
    return at[:width], at[width:]


def _curvature(columns: Floats, weights: Floats, ridge: float, at: Floats, base: Floats | float) -> Floats:
    width = columns.shape[1]
    p = probability(base + (columns @ at[:width])[:, None] + at[width:])
    bend = weights[:, None] * p * (1 - p)
    across = columns.T @ bend
    found: Floats = np.block(
        [
            [columns.T @ (bend.sum(axis=1)[:, None] * columns) + ridge * np.eye(width), across],
            [across.T, np.diag(bend.sum(axis=0))],
        ]
    ) / len(columns)
    return found
