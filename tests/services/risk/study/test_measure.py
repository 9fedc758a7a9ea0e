"""The measures against somebody else's, and against cases that can be counted by hand."""

from __future__ import annotations

import math

import pytest

np = pytest.importorskip("numpy", reason="needs alongside[fit]")
pytest.importorskip("sklearn", reason="needs alongside[fit]")

from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve  # noqa: E402

from services.risk.study.measure import (  # noqa: E402
    Ranked,
    Resampling,
    auc,
    brier,
    calibration_error,
    interval,
    operating_points,
    reliability,
    roc,
)

RANDOM = np.random.default_rng(5)
P = np.round(RANDOM.random(500), 2)
CAME = RANDOM.random(500) < P
WHO = np.array([f"p{number // 7}" for number in range(500)])
EVERYBODY = np.ones(500, bool)


def test_the_auc_is_sklearns_with_ties_and_with_weights() -> None:
    assert auc(P, CAME) == pytest.approx(roc_auc_score(CAME, P), abs=1e-12)
    weights = RANDOM.integers(0, 4, (500, 3)).astype(float)
    expected = [roc_auc_score(CAME, P, sample_weight=column) for column in weights.T]
    assert Ranked(P, CAME).auc(weights) == pytest.approx(expected, abs=1e-12)


def test_an_infinite_score_is_the_lowest_or_highest_like_any_other() -> None:
    assert auc(np.array([-math.inf, -math.inf, -3.0, -1.0]), np.array([False, False, True, True])) == 1


def test_there_is_no_auc_of_one_outcome() -> None:
    assert math.isnan(auc(np.array([1.0, 2.0]), np.array([True, True])))


def test_resampling_draws_people_and_the_first_is_everybody_once() -> None:
    draws = Resampling(WHO, times=200).aucs(P, CAME, EVERYBODY)
    assert len(draws) == 201
    assert draws[0] == auc(P, CAME)
    found = interval(draws)
    assert found.low < found.value < found.high
    # One person alone is drawn always: nothing varies.
    assert interval(Resampling(np.full(500, "a"), times=20).aucs(P, CAME, EVERYBODY))[1:] == (draws[0], draws[0])


def test_resampling_is_the_same_each_time_and_paired() -> None:
    one, other = (Resampling(WHO, times=50).aucs(P, CAME, EVERYBODY) for _ in range(2))
    assert (one == other).all()
    assert interval(one - other) == (0, 0, 0)


def test_the_brier_score_is_sklearns() -> None:
    assert brier(P, CAME) == pytest.approx(brier_score_loss(CAME, P), abs=1e-12)


def test_calibration_error_counts_by_hand() -> None:
    said = np.array([0.25] * 10 + [0.75] * 10)
    came = np.array([True] * 5 + [False] * 5 + [True] * 10)
    assert calibration_error(said, came, "width") == pytest.approx(0.25)
    assert [(one["weeks"], one["said"], one["came"]) for one in reliability(said, came, "width")] == [
        (10, 0.25, 0.5),
        (10, 0.75, 1.0),
    ]
    assert len(reliability(P, CAME)) == 10
    assert calibration_error(np.full(500, CAME.mean()), CAME, "width") == pytest.approx(0)


def test_each_cut_reaches_the_sensitivity_that_it_is_for_and_no_higher_one_does() -> None:
    points = operating_points(P, CAME, caseload=30)
    assert [point["sensitivity"] for point in points] == [wanted / 100 for wanted in range(95, 0, -5)]
    for point in points:
        flagged = point["cut"] <= P
        assert flagged[CAME].mean() >= point["sensitivity"] > (point["cut"] < P)[CAME].mean()
        assert point["specificity"] == pytest.approx((~flagged)[~CAME].mean())
        assert point["flagged"] == pytest.approx(flagged.mean())
        assert point["alerts_per_coach_day"] == pytest.approx(30 * flagged.mean() / 7)


def test_the_roc_curve_lies_on_sklearns() -> None:
    false, hits, _ = roc_curve(CAME, P, drop_intermediate=False)
    corners = set(zip(false.round(9).tolist(), hits.round(9).tolist(), strict=True))
    curve = roc(P, CAME, points=50)
    assert {(round(x, 9), round(y, 9)) for x, y in curve} <= corners
    assert (curve[0], curve[-1]) == ((0, 0), (1, 1))
