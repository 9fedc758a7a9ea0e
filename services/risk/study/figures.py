"""The figures of a model: how well it tells weeks apart, and how far its probabilities hold. Needs numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.risk.score import HORIZONS
from services.risk.study.fit import Data, cross_fitted, fit, scaled_apart
from services.risk.study.measure import Floats, auc, brier, calibration_error

DIGITS = 4


def summary(data: Data, log_odds: Floats, p: Floats) -> dict[str, dict[str, float]]:
    """For each horizon the figures of one way of scoring these weeks. The rival is days since the last use, alone."""
    month = data.after_a_month
    found = {}
    for place, horizon in enumerate(HORIZONS):
        lapsed = data.lapsed[:, place]
        found[str(horizon)] = {
            "auc": auc(log_odds, lapsed),
            "rival_auc": auc(-data.since, lapsed),
            "auc_after_28_days": auc(log_odds[month], lapsed[month]),
            "rival_auc_after_28_days": auc(-data.since[month], lapsed[month]),
            "calibration_error": calibration_error(p[:, place], lapsed),
            "calibration_error_equal_width": calibration_error(p[:, place], lapsed, "width"),
            "brier": brier(p[:, place], lapsed),
            "said": float(p[:, place].mean()),
            "came": float(lapsed.mean()),
        }
    return found


def folds(data: Data) -> tuple[Floats, Floats]:
    """Log-odds and probabilities of each week, from fits and scalings on the people of the other folds."""
    log_odds = cross_fitted(data)
    return log_odds, scaled_apart(data, log_odds)


def across(data: Data) -> list[dict[str, Any]]:
    """For each trial: fitted on all the others, tried on it, nothing fitted again. Empty for a single trial."""
    names = np.unique(data.trial).tolist()
    found: list[dict[str, Any]] = []
    for name in names if len(names) > 1 else []:
        here = data.trial == name
        model, tried = fit(data.among(~here)), data.among(here)
        log_odds = model.log_odds(tried.inputs)
        others = [other for other in names if other != name]
        found.append({"fitted_on": others, "tried_on": name, **summary(tried, log_odds, model.p(log_odds))})
    return found


def rounded(value: Any) -> Any:
    """The same with every figure at four digits; what is not a number becomes None, which JSON has."""
    if isinstance(value, float):
        return round(value, DIGITS) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value
