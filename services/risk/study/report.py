"""What a report says, as numbers. Needs numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from services.risk.score import HORIZONS, Model
from services.risk.study.figures import across, folds, rounded, summary
from services.risk.study.files import COLUMNS, Person, Trial
from services.risk.study.fit import CannotFit, Data, Fitted, data_of, probability
from services.risk.study.making import CASELOAD
from services.risk.study.measure import (
    RESAMPLES,
    Bools,
    Floats,
    Resampling,
    auc,
    brier,
    calibration_error,
    interval,
    operating_points,
    reliability,
    roc,
)
from services.risk.study.panel import rows_of
from services.risk.study.tried import tried

# With fewer, an interval says nothing.
LEAST_PEOPLE, LEAST_LAPSES = 20, 10


def examine(trials: Sequence[Trial], model: Model) -> dict[str, Any]:
    """The content of ``report.json``.

    On people whom the model was fitted on, each is scored by fits on others (five folds), so that nobody is asked about
    whom the answer was known; on anybody else, by the model as it is. Raises CannotFit.
    """
    rows = rows_of(trials)
    data = data_of(rows)
    if not len(data.since) or not all(0 < share < 1 for share in data.lapsed.mean(axis=0)):
        raise CannotFit("There must be decision days with a lapse after them and decision days without one.")
    seen = any(
        _prints(trial.fingerprints) == _prints(source["files"]) for trial in trials for source in model.document["data"]
    )
    if seen:
        log_odds, p = folds(data)
    else:
        fitted = Fitted.of(model)
        log_odds = fitted.log_odds(data.inputs)
        p = fitted.p(log_odds)
    draws = Resampling(data.person)
    everybody = np.ones(len(data.since), bool)
    facts = {f"{trial.name}/{who}": person for trial in trials for who, person in trial.people.items()}
    found: dict[str, Any] = {
        "model": {name: model.document[name] for name in ("date", "people", "person_weeks", "data")},
        "seen": seen,
        "trials": [_about(trial, data) for trial in trials],
        "resamples": RESAMPLES,
        "caseload": CASELOAD,
        "after_28_days": _compared(data, log_odds, draws, data.after_a_month),
        "all_weeks": _compared(data, log_odds, draws, everybody),
        "roc": _by_horizon(lambda place: _curves(data, p, place)),
        "operating_points": _by_horizon(lambda place: operating_points(p[:, place], data.lapsed[:, place], CASELOAD)),
        "calibration": _by_horizon(lambda place: _calibration(data, probability(log_odds), p, place)),
        "subgroups": _subgroups(data, log_odds, p, draws, facts),
        "by_trial": [
            {"trial": trial.name, **summary(data.among(here), log_odds[here], p[here])}
            for trial in trials
            for here in [data.trial == trial.name]
            if len(trials) > 1 and here.any()
        ],
        "across": across(data),
        "tried": tried(trials, rows, data),
        "today": model.document["today"],
    }
    return rounded(found)


def _prints(files: Mapping[str, str]) -> list[str | None]:
    """What tells one trial's five files from another's."""
    return [files.get(name) for name in COLUMNS]


def _about(trial: Trial, data: Data) -> dict[str, Any]:
    here = data.trial == trial.name
    return {
        "name": trial.name,
        "people": len(np.unique(data.person[here])),
        "person_weeks": int(here.sum()),
        "after_28_days": int((here & data.after_a_month).sum()),
        "lapsed": {str(horizon): float(data.lapsed[here, place].mean()) for place, horizon in enumerate(HORIZONS)}
        if here.any()
        else {},
        "files": dict(trial.fingerprints),
    }


def _by_horizon(of: Callable[[int], Any]) -> dict[str, Any]:
    return {str(horizon): of(place) for place, horizon in enumerate(HORIZONS)}


def _compared(data: Data, log_odds: Floats, draws: Resampling, among: Bools) -> dict[str, Any]:
    """The model's AUC among some weeks beside the rival's, and the difference, each with its interval."""

    def at(place: int) -> dict[str, Any]:
        lapsed = data.lapsed[:, place]
        ours, rivals = draws.aucs(log_odds, lapsed, among), draws.aucs(-data.since, lapsed, among)
        return {
            "weeks": int(among.sum()),
            "people": len(np.unique(data.person[among])),
            "lapses": int(lapsed[among].sum()),
            "auc": interval(ours),
            "rival_auc": interval(rivals),
            "difference": interval(ours - rivals),
        }

    return _by_horizon(at)


def _curves(data: Data, p: Floats, place: int) -> dict[str, Any]:
    lapsed = data.lapsed[:, place]
    return {"model": roc(p[:, place], lapsed), "rival": roc(-data.since, lapsed)}


def _calibration(data: Data, unscaled: Floats, p: Floats, place: int) -> dict[str, Any]:
    """Before scaling both horizons have the same probability: the model's own."""
    lapsed = data.lapsed[:, place]
    return {
        stage: {
            "brier": brier(said, lapsed),
            "calibration_error": calibration_error(said, lapsed),
            "calibration_error_equal_width": calibration_error(said, lapsed, "width"),
            "bins": reliability(said, lapsed),
        }
        for stage, said in (("before", unscaled), ("after", p[:, place]))
    }


def _subgroups(
    data: Data, log_odds: Floats, p: Floats, draws: Resampling, facts: Mapping[str, Person]
) -> list[dict[str, Any]]:
    """For each question (sex, race, ethnicity, age) its groups, and the largest difference between two of them."""
    found = []
    trials = np.unique(data.trial).tolist() if len(np.unique(data.trial)) > 1 else []
    for question, group_of in _QUESTIONS.items():
        groups = np.array([group_of(facts[person]) for person in data.person.tolist()])
        names = [name for name in dict.fromkeys(sorted(groups.tolist())) if name]
        members = {name: groups == name for name in names}
        found.append(
            {
                "question": question,
                "not_known": len(np.unique(data.person[groups == ""])),
                "groups": [{"group": name, **_group(data, log_odds, p, draws, here)} for name, here in members.items()],
                "difference": _differences(data, log_odds, draws, members),
                "within": [
                    {
                        "trial": trial,
                        **_differences(
                            data,
                            log_odds,
                            draws,
                            {name: here & (data.trial == trial) for name, here in members.items()},
                        ),
                    }
                    for trial in trials
                ],
            }
        )
    return found


def _group(data: Data, log_odds: Floats, p: Floats, draws: Resampling, here: Bools) -> dict[str, Any]:
    def at(place: int) -> dict[str, Any]:
        lapsed, month = data.lapsed[:, place], here & data.after_a_month
        return {
            "lapses": int(lapsed[here].sum()),
            "auc": interval(draws.aucs(log_odds, lapsed, here)) if _enough(data, here, place) else None,
            "rival_auc": auc(-data.since[here], lapsed[here]),
            "auc_after_28_days": interval(draws.aucs(log_odds, lapsed, month)) if _enough(data, month, place) else None,
            "said": float(p[here, place].mean()),
            "came": float(lapsed[here].mean()),
        }

    return {"people": len(np.unique(data.person[here])), "weeks": int(here.sum()), **_by_horizon(at)}


def _differences(data: Data, log_odds: Floats, draws: Resampling, members: Mapping[str, Bools]) -> dict[str, Any]:
    return _by_horizon(lambda place: _spread(data, log_odds, draws, members, place))


def _spread(
    data: Data, log_odds: Floats, draws: Resampling, members: Mapping[str, Bools], place: int
) -> dict[str, Any] | None:
    """The AUC of the group that the model serves best less that of the one it serves worst."""
    lapsed = data.lapsed[:, place]
    aucs = {name: draws.aucs(log_odds, lapsed, here) for name, here in members.items() if _enough(data, here, place)}
    if len(aucs) < 2:
        return None
    best, worst = (choose(aucs, key=lambda name: aucs[name][0]) for choose in (max, min))
    return {"best": best, "worst": worst, "auc": interval(aucs[best] - aucs[worst])}


def _enough(data: Data, here: Bools, place: int) -> bool:
    lapses = int(data.lapsed[here, place].sum())
    return len(np.unique(data.person[here])) >= LEAST_PEOPLE and LEAST_LAPSES <= lapses <= here.sum() - LEAST_LAPSES


def _age(person: Person) -> str:
    if person.age is None:
        return ""
    return next(
        words for most, words in ((30, "29 or under"), (45, "30 to 44"), (200, "45 or over")) if person.age < most
    )


_QUESTIONS: Mapping[str, Callable[[Person], str]] = {
    "sex": lambda person: {"Yes": "men", "No": "women"}.get(person.is_male, ""),
    "race": lambda person: "" if "missing" in person.race.lower() else person.race,
    "ethnicity": lambda person: {"Yes": "Hispanic", "No": "not Hispanic"}.get(person.is_hispanic, ""),
    "age": _age,
}
