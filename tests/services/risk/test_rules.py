"""What a check-in says, judged without any machinery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.risk import Band, NewCheckIn, Used
from services.risk.rules import BANDS, judge, worse
from tests.services.risk.mothers import UNKIND, said

scale = st.none() | st.integers(0, 10)
days = st.builds(Used, what=st.sampled_from(["wine", "heroin"]), days=st.integers(0, 366))
check_ins = st.builds(
    NewCheckIn,
    id=st.just("c"),
    craving=st.integers(0, 10),
    at=st.none(),
    confidence=scale,
    mood=scale,
    hungry=scale,
    angry=scale,
    lonely=scale,
    tired=scale,
    sleep_hours=st.none() | st.floats(0, 24),
    risky_situation=st.none() | st.booleans() | st.integers(0, 10),
    used=st.none() | days,
    medication_taken=st.none() | st.booleans(),
    withdrawal=st.none() | st.integers(0, 3),
    note=st.none(),
)
UP = ("craving", "hungry", "angry", "lonely", "tired", "withdrawal")
DOWN = ("confidence", "mood", "sleep_hours")


def heavier(check_in: NewCheckIn, field: str) -> NewCheckIn:
    """The same day, with one answer as heavy as it can be."""
    heaviest: dict[str, Any] = {
        **dict.fromkeys(UP, 10),
        "withdrawal": 3,
        **dict.fromkeys(DOWN, 0),
        "risky_situation": 10,
        "used": Used(what="wine", days=366),
        "medication_taken": False,
    }
    return replace(check_in, **{field: heaviest[field]})


def one_step_heavier(check_in: NewCheckIn, field: str) -> NewCheckIn:
    value = getattr(check_in, field)
    if value is None or isinstance(value, bool):
        return check_in
    limit = 3 if field == "withdrawal" else 10
    return replace(check_in, **{field: min(limit, value + 1) if field in UP else max(0, value - 1)})


@settings(max_examples=300)
@given(check_ins, st.sampled_from([*UP, *DOWN, "risky_situation", "used", "medication_taken"]))
def test_the_heaviest_answer_never_lowers_the_band(check_in: NewCheckIn, field: str) -> None:
    assert not worse(judge(check_in, True).band, judge(heavier(check_in, field), True).band)


@settings(max_examples=300)
@given(check_ins, st.sampled_from([*UP, *DOWN]))
def test_one_step_heavier_never_lowers_the_band(check_in: NewCheckIn, field: str) -> None:
    assert not worse(judge(check_in, True).band, judge(one_step_heavier(check_in, field), True).band)


@given(check_ins)
def test_a_day_that_is_not_steady_says_why(check_in: NewCheckIn) -> None:
    verdict = judge(check_in, True)
    assert verdict.band in BANDS
    assert bool(verdict.reasons) or verdict.band == "steady"
    assert len(set(verdict.reasons)) == len(verdict.reasons)


@given(check_ins)
def test_what_was_left_unsaid_is_never_held_against_anybody(check_in: NewCheckIn) -> None:
    unsaid = NewCheckIn(id="c", craving=check_in.craving)
    for name in (*UP[1:], *DOWN, "risky_situation", "used", "medication_taken"):
        told = getattr(check_in, name)
        best = {**dict.fromkeys(UP, 0), **dict.fromkeys(DOWN, 10), "medication_taken": True, "used": None}
        if told is not None and name in best:
            assert judge(replace(unsaid, **{name: best[name]}), True).band == judge(unsaid, True).band


@pytest.mark.parametrize(
    ("answers", "band"),
    [
        ({"craving": 0}, "steady"),
        ({"craving": 5}, "steady"),
        ({"craving": 7}, "watch"),
        ({"craving": 9}, "high"),
        ({"craving": 10}, "high"),
        ({"used": {"what": "wine"}}, "high"),
        ({"used": {"what": "wine", "days": 0}}, "steady"),
        ({"confidence": 2}, "high"),
        ({"confidence": 4}, "watch"),
        ({"craving": 9, "confidence": 2}, "urgent"),
        ({"craving": 9, "used": {"what": "wine"}}, "urgent"),
        ({"risky_situation": True}, "watch"),
        ({"risky_situation": 7}, "steady"),
        ({"medication_taken": False, "sleep_hours": 3}, "watch"),
        ({"withdrawal": 3, "mood": 1}, "high"),
        ({"hungry": 8, "angry": 9, "lonely": 10, "tired": 10}, "steady"),
    ],
    ids=str,
)
def test_a_day_has_the_band_that_its_steps_add_up_to(answers: dict[str, Any], band: Band) -> None:
    assert judge(said(**answers), True).band == band


def test_the_weightiest_reason_comes_first() -> None:
    reasons = judge(said(craving=9, sleep_hours=2, used={"what": "wine", "days": 3}), True).reasons
    assert reasons[0].startswith("You told us about a lapse")
    assert reasons[-1] == "You slept little"


def test_the_feeling_that_is_named_is_the_strongest() -> None:
    assert judge(said(hungry=8, lonely=9), True).reasons == ["You are very lonely"]


def test_no_reason_speaks_unkindly() -> None:
    for reason in judge(said(craving=10, confidence=0, mood=0, used={"what": "wine", "days": 9}), True).reasons:
        assert not UNKIND.search(reason)
