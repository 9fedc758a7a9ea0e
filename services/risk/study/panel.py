"""The panel: who is judged on which days, what was known by then, and what came after."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from services.risk.score import HORIZONS, Record, features
from services.risk.study.files import Trial

FEWEST_CONTACTS = 3
FIRST_DAY, STEP, LAST_DAY = 28, 7, 200
# "After a month": so many days without use, the day of decision included.
MONTH = 28


class Row(NamedTuple):
    """One person-week.

    Attributes:
        trial, who, day: what it is about; ``who`` is a person within the trial.
        inputs: in the order of ``score.INPUTS``.
        since: days since the last use, infinite when none is known. Alone, it is the rival.
        lapsed: by horizon, in the order of ``HORIZONS``: whether there was use in so many days after ``day``.
    """

    trial: str
    who: str
    day: int
    inputs: tuple[float, ...]
    since: float
    lapsed: tuple[bool, bool]

    @property
    def person(self) -> str:
        """Somebody, across trials."""
        return f"{self.trial}/{self.who}"


def decision_days(record: Record) -> range:
    """Weekly from day 28 on, to two weeks before the last contact or day 200; none with fewer than three contacts.

    Which days there are depends on how long somebody came, so these are observed weeks only. What is known on
    each of them does not: see ``score.features``.
    """
    if len(record.kept) < FEWEST_CONTACTS:
        return range(0)
    return range(FIRST_DAY, min(record.kept[-1], LAST_DAY) - max(HORIZONS) + 1, STEP)


def rows_of(trials: Iterable[Trial]) -> list[Row]:
    """Every person-week, trial by trial and person by person, in the order of the files."""
    return [
        row_at(trial.name, who, person.record, day)
        for trial in trials
        for who, person in trial.people.items()
        for day in decision_days(person.record)
    ]


def row_at(trial: str, who: str, record: Record, day: int) -> Row:
    place = bisect_right(record.use, day)
    since = day - record.use[place - 1] if place else math.inf
    until = record.use[place] - day if place < len(record.use) else math.inf
    inputs = tuple(features(record, day).values())
    return Row(trial, who, day, inputs, since, (until <= HORIZONS[0], until <= HORIZONS[1]))
