"""How good a score is: discrimination, calibration, and how sure one can be with so many people. Needs numpy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 10
RESAMPLES = 400


class Interval(NamedTuple):
    """A figure, and where 95% of people-resamples put it."""

    value: float
    low: float
    high: float


class Ranked:
    """Scores sorted once, so that the AUC of many resamples is cheap."""

    def __init__(self, score: Floats, happened: Bools) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._happened = happened[self._order]

    def auc(self, weights: Floats) -> Floats:
        """One AUC for each column of ``weights`` (rows, resamples); ties count half. NaN with one outcome only.

        How likely a week before a lapse scores over a week before none, both drawn with their weights.
        """
        ordered = weights[self._order]
        lapses = np.add.reduceat(np.where(self._happened[:, None], ordered, 0), self._starts, axis=0)
        others = np.add.reduceat(np.where(self._happened[:, None], 0, ordered), self._starts, axis=0)
        below = np.cumsum(others, axis=0) - others / 2
        pairs = lapses.sum(axis=0) * others.sum(axis=0)
        with np.errstate(invalid="ignore"):
            found: Floats = (lapses * below).sum(axis=0) / pairs
        return found


def auc(score: Floats, happened: Bools) -> float:
    """Area under the ROC curve; NaN when only one outcome is there."""
    return float(Ranked(score, happened).auc(np.ones((len(score), 1)))[0])


class Resampling:
    """People drawn with replacement, the same draws for every figure, so that differences are paired."""

    def __init__(self, people: NDArray[np.str_], times: int = RESAMPLES, seed: int = 20251125) -> None:
        names, self._of = np.unique(people, return_inverse=True)
        random = np.random.default_rng(seed)
        draws = random.integers(0, len(names), (times, len(names)))
        # The first column is everybody once: the figure itself.
        counts = [np.ones(len(names)), *(np.bincount(draw, minlength=len(names)) for draw in draws)]
        self._counts: Floats = np.column_stack(counts).astype(float)

    def aucs(self, score: Floats, happened: Bools, among: Bools) -> Floats:
        """The AUC among some rows: of all people first, then of each resample."""
        return Ranked(score[among], happened[among]).auc(self._counts[self._of[among]])


def interval(values: Floats) -> Interval:
    """Of what ``Resampling.aucs`` gave, or a difference of two such."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(drawn, (2.5, 97.5)) if len(drawn) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def brier(p: Floats, happened: Bools) -> float:
    return float(np.mean((p - happened) ** 2))


def reliability(p: Floats, happened: Bools, equal: str = "count") -> list[dict[str, Any]]:
    """What was said beside what came, in ``BINS`` bins of equal count, or of equal width without the empty ones."""
    if equal == "count":
        bins = np.array_split(np.argsort(p, kind="stable"), BINS)
    else:
        places = np.minimum((p * BINS).astype(int), BINS - 1)
        bins = [np.flatnonzero(places == place) for place in range(BINS)]
    return [
        {"weeks": len(rows), "said": float(p[rows].mean()), "came": float(happened[rows].mean())}
        for rows in bins
        if len(rows)
    ]


def calibration_error(p: Floats, happened: Bools, equal: str = "count") -> float:
    """Expected calibration error: the mean distance between what was said and what came, over the bins."""
    bins = reliability(p, happened, equal)
    return sum(one["weeks"] * abs(one["said"] - one["came"]) for one in bins) / len(p)


def operating_points(p: Floats, happened: Bools, caseload: int) -> list[dict[str, float]]:
    """For sensitivities .95 to .05: the highest cut that reaches it, and what it costs.

    ``alerts_per_coach_day`` counts every flagged week once: caseload * share flagged / 7.
    """
    lapses = np.sort(p[happened])[::-1]
    points = []
    for wanted in range(95, 0, -5):
        cut = float(lapses[int(np.ceil(wanted / 100 * len(lapses))) - 1])
        flagged = p >= cut
        points.append(
            {
                "sensitivity": wanted / 100,
                "cut": cut,
                "specificity": float(1 - flagged[~happened].mean()),
                "flagged": float(flagged.mean()),
                "alerts_per_coach_day": caseload * float(flagged.mean()) / 7,
            }
        )
    return points


def roc(p: Floats, happened: Bools, points: int = 200) -> list[tuple[float, float]]:
    """(1 - specificity, sensitivity) along the curve, from (0, 0) to (1, 1)."""
    order = np.argsort(-p, kind="stable")
    hits, false = np.cumsum(happened[order]), np.cumsum(~happened[order])
    ends = np.flatnonzero(np.r_[p[order][1:] != p[order][:-1], True])
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, points).astype(int))]
    curve = [(float(false[end] / false[-1]), float(hits[end] / hits[-1])) for end in kept]
    return [(0.0, 0.0), *curve]
