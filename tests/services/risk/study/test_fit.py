"""The fit: signs that hold, nobody judged by themselves, and the same numbers as the live score."""

from __future__ import annotations

from datetime import date

import pytest

np = pytest.importorskip("numpy", reason="needs alongside[fit]")
pytest.importorskip("sklearn", reason="needs alongside[fit]")

from sklearn.linear_model import LogisticRegression  # noqa: E402

from services.risk.score import HORIZONS, INPUTS, Model, Record, features  # noqa: E402
from services.risk.study.files import Trial  # noqa: E402
from services.risk.study.fit import (  # noqa: E402
    CannotFit,
    Data,
    Fitted,
    coefficients,
    cross_fitted,
    data_of,
    fit,
    fold_of,
    scaled_apart,
    without_scaling,
)
from services.risk.study.making import make  # noqa: E402
from services.risk.study.panel import Row  # noqa: E402

ON = date(2025, 11, 25)


@pytest.fixture(scope="module")
def data(rows: list[Row]) -> Data:
    return data_of(rows)


def random_columns(weeks: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    columns = random.normal(size=(weeks, 3)) * [1, 5, 0.1] + [0, 2, 1]
    log_odds = 0.8 * columns[:, 0] - 0.2 * columns[:, 1] + 4 * columns[:, 2] - 3
    lapsed = random.random(weeks) < 1 / (1 + np.exp(-log_odds))
    return columns, lapsed[:, None], random.integers(1, 4, weeks).astype(float)


def test_where_no_sign_binds_it_is_the_logistic_regression_of_sklearn() -> None:
    columns, lapsed, weights = random_columns()
    found, intercepts = coefficients(columns, lapsed, weights, [1, -1, 1])
    center = np.average(columns, axis=0, weights=weights)
    spread = np.sqrt(np.average((columns - center) ** 2, axis=0, weights=weights))
    theirs = LogisticRegression(C=1 / 20, tol=1e-12, max_iter=10_000)
    theirs.fit((columns - center) / spread, lapsed[:, 0], sample_weight=weights)
    assert found == pytest.approx(theirs.coef_[0] / spread, rel=1e-5)
    assert intercepts[0] == pytest.approx(theirs.intercept_[0] - (theirs.coef_[0] / spread) @ center, rel=1e-5)


def test_a_sign_holds_against_the_data_and_leaves_zero() -> None:
    columns, lapsed, weights = random_columns()
    found, _ = coefficients(columns, lapsed, weights, [-1, -1, 1])
    alone, _ = coefficients(columns[:, 1:], lapsed, weights, [-1, 1])
    assert found[0] == 0
    assert found[1:] == pytest.approx(alone)


def test_every_coefficient_has_its_sign_and_longer_without_use_never_scores_higher(data: Data) -> None:
    signs = np.array(list(INPUTS.values()))
    for opposite in (data, data._replace(lapsed=~data.lapsed)):
        found = without_scaling(opposite)
        assert (found.coefficients * signs >= 0).all()
        steps = []
        for since in range(180):
            record = Record(use=[-200, -since], other=list(range(-200, 1)), kept=[0], withdrawal=[(0, 2)])
            steps.append(float(found.log_odds(np.array([list(features(record, 0).values())]))[0]))
        assert all(later <= earlier + 1e-12 for earlier, later in zip(steps, steps[1:], strict=False))


def test_nobody_is_scored_by_a_fit_that_knew_what_came_to_them(data: Data) -> None:
    before = cross_fitted(data)
    person = data.person == data.person[0]
    assert 5 < person.sum() < 50
    changed = data._replace(lapsed=np.where(person[:, None], ~data.lapsed, data.lapsed))
    after = cross_fitted(changed)
    assert after[person] == pytest.approx(before[person], abs=1e-12)
    others = (fold_of(data.person) != fold_of(data.person)[0]) & ~person
    assert (np.abs(after - before)[others] > 1e-9).all()
    # So with the scaling.
    assert scaled_apart(changed, before)[person] == pytest.approx(scaled_apart(data, before)[person], abs=1e-12)


def test_a_persons_fold_does_not_depend_on_who_else_is_there(data: Data) -> None:
    assert (fold_of(data.person)[::-1] == fold_of(data.person[::-1])).all()
    assert set(fold_of(data.person).tolist()) == set(range(5))


def test_the_order_of_the_rows_changes_nothing(data: Data) -> None:
    order = np.random.default_rng(1).permutation(len(data.since))
    one, other = fit(data), fit(data.among(order))
    assert other.coefficients == pytest.approx(one.coefficients, abs=1e-9)
    assert other.platt == pytest.approx(one.platt, abs=1e-9)


def test_a_trial_counts_the_same_however_many_weeks_it_has(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    # The ridge is the one thing that weighs less when there is more of everything.
    monkeypatch.setattr("services.risk.study.fit.RIDGE", 1e-6)
    south = np.flatnonzero(data.trial == "south")
    twice = data.among(np.r_[np.arange(len(data.since)), south])
    one, other, alone = (without_scaling(some) for some in (data, twice, data.among(south)))
    assert other.coefficients == pytest.approx(one.coefficients, rel=1e-4, abs=1e-4)
    assert other.coefficients != pytest.approx(alone.coefficients, rel=1e-2)


def test_probabilities_are_scaled_to_what_came(data: Data) -> None:
    fitted = fit(data)
    p = fitted.p(fitted.log_odds(data.inputs))
    assert p.mean(axis=0) == pytest.approx(data.lapsed.mean(axis=0), abs=0.05)
    assert (p[:, 0] <= p[:, 1]).all()


def test_the_later_horizon_is_never_under_the_earlier_even_where_scalings_cross() -> None:
    crossing = Fitted(0.0, np.zeros(8), np.array([[2.0, 0.0], [0.5, 0.0]]))
    p = crossing.p(np.array([-3.0, 0.0, 3.0]))
    assert (p[:, 1] >= p[:, 0]).all()
    assert p[2, 1] == p[2, 0] > p[0, 1] > p[0, 0]


@pytest.mark.parametrize("lapsed", [True, False])
def test_without_both_outcomes_there_is_no_fit(data: Data, lapsed: bool) -> None:
    with pytest.raises(CannotFit, match="weeks with a lapse and weeks without one"):
        fit(data._replace(lapsed=np.full_like(data.lapsed, lapsed)))


def test_without_a_decision_day_there_is_no_fit() -> None:
    with pytest.raises(CannotFit, match="Nobody here has a decision day"):
        make([Trial("empty", {}, (), {})], ON)


def largest_difference(document: dict, trials: list[Trial], rows: list[Row]) -> float:
    """Between the arrays of the fit and the score of the live service, over all rows: log-odds and probabilities."""
    model = Model.of(document)
    people = {(trial.name, who): person.record for trial in trials for who, person in trial.people.items()}
    fitted = fit(data_of(rows))
    log_odds = fitted.log_odds(data_of(rows).inputs)
    p = fitted.p(log_odds)
    largest = 0.0
    for row, theirs, probabilities in zip(rows, log_odds.tolist(), p.tolist(), strict=True):
        ours = model.score(people[row.trial, row.who], row.day)
        differences = [
            abs(ours.p[horizon] - probability) for horizon, probability in zip(HORIZONS, probabilities, strict=True)
        ]
        largest = max(largest, abs(ours.log_odds - theirs), *differences)
    return largest


def test_the_live_score_is_the_fit_to_nine_digits(trials: list[Trial], rows: list[Row]) -> None:
    assert largest_difference(make(trials, ON), trials, rows) < 1e-9


def test_a_model_file_as_arrays_is_the_fit_again(trials: list[Trial], rows: list[Row]) -> None:
    one, other = fit(data_of(rows)), Fitted.of(Model.of(make(trials, ON)))
    assert other.coefficients == pytest.approx(one.coefficients, abs=1e-12)
    assert other.intercept == pytest.approx(one.intercept, abs=1e-12)
    assert (other.platt == one.platt).all()


def test_the_same_people_give_the_same_file(trials: list[Trial]) -> None:
    assert make(trials, ON) == make(trials, ON)


# The shipped model, where its data are


@pytest.fixture(scope="module")
def shipped() -> dict:
    return dict(Model.read().document)


def same(one: object, other: object) -> bool:
    """Alike to the last digits, which may differ from one machine's arithmetic to the next."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return one == pytest.approx(other, rel=1e-7, abs=1e-7)
    return one == other


def test_the_shipped_model_is_what_the_fit_gives_on_its_data(
    real: list[Trial], real_rows: list[Row], shipped: dict
) -> None:
    made = make(real, date.fromisoformat(shipped["date"]))
    wrong = [key for key in made if not same(made[key], shipped[key])]
    assert (wrong, list(made)) == ([], list(shipped))
    assert largest_difference(shipped, real, real_rows) < 1e-9


def test_the_figures_of_the_shipped_model_are_those_of_its_panel(real_rows: list[Row], shipped: dict) -> None:
    """Counted anew by sklearn's folds and measures, as somebody else would."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    data = data_of(real_rows)
    log_odds = np.zeros(len(data.since))
    for train, out in GroupKFold(5, shuffle=True, random_state=0).split(data.inputs, groups=data.person):
        log_odds[out] = without_scaling(data.among(train)).log_odds(data.inputs[out])
    rival = -np.minimum(data.since, 10_000)
    for place, horizon in enumerate(HORIZONS):
        said, lapsed = shipped["figures"]["folds"][str(horizon)], data.lapsed[:, place]
        month = data.after_a_month
        assert roc_auc_score(lapsed, rival) == pytest.approx(said["rival_auc"], abs=1e-4)
        assert roc_auc_score(lapsed[month], rival[month]) == pytest.approx(said["rival_auc_after_28_days"], abs=1e-4)
        # Other folds, so not the same digits.
        assert roc_auc_score(lapsed, log_odds) == pytest.approx(said["auc"], abs=0.002)
        assert roc_auc_score(lapsed[month], log_odds[month]) == pytest.approx(said["auc_after_28_days"], abs=0.01)


@pytest.mark.parametrize("horizon", ["7", "14"])
def test_the_shipped_model_beats_the_rival_in_each_trial_it_was_not_fitted_on(horizon: str, shipped: dict) -> None:
    across = shipped["figures"]["across"]
    assert [one["tried_on"] for one in across] == ["27", "30"]
    for one in (*across, shipped["figures"]["folds"]):
        figures = one[horizon]
        assert figures["auc"] > figures["rival_auc"]
        assert figures["auc_after_28_days"] > figures["rival_auc_after_28_days"]
        assert figures["calibration_error"] <= 0.05
        assert figures["calibration_error_equal_width"] <= 0.05
