"""From folders to a model file. Needs numpy and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from schemas.substances import SUBSTANCES, Substance
from services.risk.score import HORIZONS, INPUTS, Model
from services.risk.study import today
from services.risk.study.figures import across, folds, rounded, summary
from services.risk.study.files import Trial
from services.risk.study.fit import CannotFit, Data, data_of, fit
from services.risk.study.measure import operating_points
from services.risk.study.panel import rows_of

# The caseload at which alerts are counted.
CASELOAD = 30


def make(trials: Sequence[Trial], on: date, substances: Sequence[Substance] = ("opioids",)) -> dict[str, Any]:
    """The model file's content, fitted on these people, who recover from ``substances``. Raises CannotFit."""
    data = data_of(rows_of(trials))
    if not len(data.since):
        raise CannotFit("Nobody here has a decision day: three kept contacts, and the last on day 42 or later.")
    fitted = fit(data)
    center, spread = data.inputs.mean(axis=0), data.inputs.std(axis=0)
    spread[spread < 1e-12] = 1.0
    log_odds, p = folds(data)
    document: dict[str, Any] = {
        "about": _about(substances),
        "substances": list(substances),
        "date": on.isoformat(),
        "people": len(np.unique(data.person)),
        "person_weeks": len(data.since),
        "data": [_source(trial, data) for trial in trials],
        "intercept": fitted.intercept + float(center @ fitted.coefficients),
        "inputs": [
            {
                "name": name,
                "sign": sign,
                "coefficient": float(b * scale),
                "center": float(middle),
                "scale": float(scale),
            }
            for (name, sign), b, middle, scale in zip(INPUTS.items(), fitted.coefficients, center, spread, strict=True)
        ],
        "platt": {
            str(horizon): {"slope": float(slope), "intercept": float(base)}
            for horizon, (slope, base) in zip(HORIZONS, fitted.platt, strict=True)
        },
        "today": today.assumed(),
        "caseload": CASELOAD,
        "operating_points": {
            str(horizon): operating_points(p[:, place], data.lapsed[:, place], CASELOAD)
            for place, horizon in enumerate(HORIZONS)
        },
        "figures": rounded({"folds": summary(data, log_odds, p), "across": across(data)}),
    }
    if any(trial.today for trial in trials):
        document["today"] = today.fitted(Model.of(document), trials)
    return document


def _about(substances: Sequence[Substance]) -> str:
    others = [kind for kind in SUBSTANCES if kind not in (*substances, "other")]
    return (
        f"Fitted on observed weeks of people in treatment for dependence on {_listed(substances, 'and')}, in the trials"
        f" that data names. No claim for {_listed([*others, 'people not in care'], 'or for')} until an operator's own"
        " data says so."
    )


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _source(trial: Trial, data: Data) -> dict[str, Any]:
    here = data.trial == trial.name
    return {
        "name": trial.name,
        "people": len(np.unique(data.person[here])),
        "person_weeks": int(here.sum()),
        "files": dict(trial.fingerprints),
    }
