"""Today's answers: assumed steps, until an operator's own records are enough to fit them. Needs numpy and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.risk.score import ANSWERS, HORIZONS, Answer, Model
from services.risk.study.files import Trial
from services.risk.study.fit import likely_on_top
from services.risk.study.measure import Bools, Floats
from services.risk.study.panel import row_at

# Of 0 to 10, from which weight on a step is taken.
STARTS = (4, 6, 8)
# What each answer adds at most while nobody knows: in the order that Wyant 2025 found, past use being in the history
# already. Nothing that is assumed lowers a score: it may call for attention, and never call it off.
ASSUMED = {"confidence": 0.7, "craving": 0.5, "risky_situation": 0.4, "mood": 0.1, "halt": 0.1}
ASSUMED_SHARES = (0.25, 0.5, 1.0)
# Neither what is assumed nor what is fitted moves the log-odds by more than this, in either direction.
LIMIT = 2.5
# An answer is fitted when at least so many people gave it, so often, with so many lapses in the 7 days after.
LEAST_PEOPLE, LEAST_ANSWERS, LEAST_LAPSES = 100, 1000, 100
_RIDGE = 20.0


def assumed() -> dict[str, Any]:
    """The section ``today`` of a model that was fitted without any answers."""
    steps = {
        name: [[0, 0.0], *([start, most * share] for start, share in zip(STARTS, ASSUMED_SHARES, strict=True))]
        for name, most in ASSUMED.items()
    }
    return {"limit": LIMIT, "answers": [{"name": name, "status": "assumed", "steps": steps[name]} for name in ANSWERS]}


def fitted(model: Model, trials: Sequence[Trial]) -> dict[str, Any]:
    """The section ``today``, with the answers of which there is enough fitted on top of the history's score.

    An answer moves the score from what the history says: by steps that only rise with its weight, and that come to zero
    over all who answered, so that the whole stays calibrated. The rest stays assumed. Raises CannotFit.
    """
    section = assumed()
    base, weights, lapsed, people = _gathered(model, trials)
    known = np.isfinite(weights)
    enough = [
        place
        for place in range(len(ANSWERS))
        if known[:, place].sum() >= LEAST_ANSWERS
        and len(np.unique(people[known[:, place]])) >= LEAST_PEOPLE
        and lapsed[known[:, place], 0].sum() >= LEAST_LAPSES
    ]
    if not enough:
        return section
    # (rows, answers, steps); not answered is no step, and counts as the average through the centring below.
    taken = np.nan_to_num(weights[:, enough, None], nan=-1.0) >= np.array(STARTS)
    centered = np.where(known[:, enough, None], taken - _average(taken, known[:, enough]), 0.0)
    rises = likely_on_top(base, centered.reshape(len(base), -1), lapsed, _RIDGE).reshape(len(enough), len(STARTS))
    for place, rise, average in zip(enough, rises, _average(taken, known[:, enough]), strict=True):
        lightest = -float(rise @ average)
        adds = [lightest, *(lightest + np.cumsum(rise)).tolist()]
        section["answers"][place]["status"] = "fitted"
        section["answers"][place]["steps"] = [[start, add] for start, add in zip((0, *STARTS), adds, strict=True)]
    return section


def _average(taken: Bools, known: Bools) -> Floats:
    """(answers, steps): the share of those who answered that took the step."""
    found: Floats = (taken * known[:, :, None]).sum(axis=0) / known.sum(axis=0)[:, None]
    return found


def _gathered(model: Model, trials: Sequence[Trial]) -> tuple[Floats, Floats, Bools, np.ndarray[Any, Any]]:
    """Of each day with answers that was followed for two weeks: the history's log-odds at each horizon, the weight of
    each answer (NaN: not given), what came, and who it was."""
    whole = [Answer(name, "assumed", tuple((weight, weight) for weight in range(11))) for name in ANSWERS]
    base, weights, lapsed, people = [], [], [], []
    for trial in trials:
        for who, day, given in trial.today:
            person = trial.people.get(who)
            if person is None or not person.record.kept or person.record.kept[-1] < day + max(HORIZONS):
                continue
            row = row_at(trial.name, who, person.record, day)
            log_odds = model.score(person.record, day).log_odds
            base.append([slope * log_odds + start for slope, start in (model.platt[horizon] for horizon in HORIZONS)])
            weights.append([one.add(given[one.name]) if one.name in given else np.nan for one in whole])
            lapsed.append(row.lapsed)
            people.append(row.person)
    return (
        np.array(base, float).reshape(-1, len(HORIZONS)),
        np.array(weights, float).reshape(-1, len(ANSWERS)),
        np.array(lapsed, bool).reshape(-1, len(HORIZONS)),
        np.array(people, str),
    )
