"""What else a record holds, and what it would bring: why the model has the inputs it has. Needs numpy and scipy."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from services.risk.score import INPUTS, LOOK_BACK, Record, between, days_since
from services.risk.study.files import Trial
from services.risk.study.fit import Data, without_scaling
from services.risk.study.measure import Floats, Resampling, auc, interval
from services.risk.study.panel import Row


class Candidate(NamedTuple):
    """An input that the model does not have: the direction that it may have, and its value at the end of a day."""

    words: str
    sign: int
    value: Callable[[Record, int], float]


def candidates() -> Sequence[Candidate]:
    return (
        Candidate("days with medication, of the last 28", -1, lambda r, day: _count(r.medication, day, 28)),
        Candidate("no medication in the last 35 days", 1, lambda r, day: float(not _count(r.medication, day, 35))),
        Candidate("medication overdue by the person's own rhythm, days", 1, _overdue),
        Candidate("contacts kept, of the last 28 days, at most 4", -1, lambda r, day: min(_count(r.kept, day, 28), 4)),
        Candidate("a contact missed in the last 28 days", 1, lambda r, day: float(_count(r.missed, day, 28) > 0)),
        Candidate("days since the last contact, not fading", 1, lambda r, day: days_since(r.kept, day, 14)),
        Candidate("days with use, of the last 28", 1, lambda r, day: math.log1p(_count(r.use, day, 28))),
        Candidate("days with use before the last 28", 1, _use_before),
        Candidate("days with other substances, of the last 28", 1, lambda r, day: math.log1p(_count(r.other, day, 28))),
        Candidate("highest withdrawal of the last 28 days", 1, _worst_withdrawal),
    )


def tried(trials: Sequence[Trial], rows: Sequence[Row], data: Data) -> list[dict[str, Any]]:
    """What each input brings and each candidate would bring, on each trial, fitted on the others.

    ``change``: of the AUC at 7 days over all weeks and after 28 days without use, the latter with its interval from
    resampling people; with the input less without it. Empty for a single trial.
    """
    names = np.unique(data.trial).tolist()
    if len(names) < 2:
        return []
    people = {(trial.name, who): person.record for trial in trials for who, person in trial.people.items()}
    places = [_Place(data, name) for name in names]
    found = []
    for column, name in enumerate(INPUTS):
        less = data.inputs.copy()
        less[:, column] = 0
        change = [place.change(data, data._replace(inputs=less)) for place in places]
        found.append({"what": "input", "name": name, "change": change})
    for candidate in candidates():
        values = [candidate.value(people[row.trial, row.who], row.day) for row in rows]
        more = data._replace(inputs=np.column_stack([data.inputs, values]))
        change = [place.change(more, data, candidate.sign) for place in places]
        found.append({"what": "candidate", "name": candidate.words, "change": change})
    return found


class _Place:
    """One trial, at which models fitted on the others are tried."""

    def __init__(self, data: Data, name: str) -> None:
        self._name = name
        self._here = data.trial == name
        self._lapsed, self._month = data.lapsed[self._here, 0], data.after_a_month[self._here]
        self._draws = Resampling(data.person[self._here])

    def change(self, more: Data, less: Data, sign: int | None = None) -> dict[str, Any]:
        """Of the AUC, from one panel's inputs to the other's; ``sign``: of the candidate that ``more`` has."""
        with_it, without = self._scores(more, [] if sign is None else [sign]), self._scores(less, [])
        return {
            "tried_on": self._name,
            "auc": auc(with_it, self._lapsed) - auc(without, self._lapsed),
            "auc_after_28_days": interval(self._after(with_it) - self._after(without)),
        }

    def _scores(self, data: Data, signs: Sequence[int]) -> Floats:
        return without_scaling(data.among(~self._here), signs).log_odds(data.inputs[self._here])

    def _after(self, scores: Floats) -> Floats:
        return self._draws.aucs(scores, self._lapsed, self._month)


def _count(days: Sequence[int], day: int, length: int) -> int:
    return len(between(days, day - length + 1, day))


def _overdue(record: Record, day: int) -> float:
    """Days since the last medication beyond the usual distance between two, be it a day or a month."""
    taken = between(record.medication, day - LOOK_BACK + 1, day)
    if not taken:
        return 0.0
    gaps = sorted(later - earlier for earlier, later in zip(taken, taken[1:], strict=False))
    usual = gaps[len(gaps) // 2] if gaps else 28
    return float(min(max(day - taken[-1] - usual, 0), 14))


def _use_before(record: Record, day: int) -> float:
    return math.log1p(len(between(record.use, day - LOOK_BACK + 1, day - 28)))


def _worst_withdrawal(record: Record, day: int) -> float:
    days = [on for on, _ in record.withdrawal]
    levels = record.withdrawal[bisect_left(days, day - 27) : bisect_right(days, day)]
    return float(max((level for _, level in levels), default=0))
