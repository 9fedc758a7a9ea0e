"""The weeks behind a client as a band and in words; and what a lapse is by the client's own aim."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.settings import BadSettings, Settings
from schemas.base import now
from schemas.fields import written
from schemas.risk import AlertRaised
from services.risk import service as risk
from services.risk.aim_rules import Aim
from services.risk.diary_rules import Diary
from services.risk.outlook import WORDS, cuts, model_of, outlook, record_of, recovers_from
from services.risk.rules import STEADY, worse
from services.risk.score import INPUTS, BadModel
from tests.world import Caller, World, an_id, settings_for

SETTINGS = settings_for("mongodb://nowhere", "sqlite:///nowhere")
ABSTINENT = Aim("abstinence", frozenset({"opioids"}))
TODAY = 740_000


def a_diary(days: int = 90, used: tuple[int, ...] = (), kind: Any = "opioids", every: int = 7) -> Diary:
    """In touch each ``every`` days for ``days`` days up to today; ``used`` so many days ago."""
    diary = Diary(kept=set(range(TODAY - days, TODAY + 1, every)) | {TODAY})
    if used:
        diary.used[kind] = {TODAY - ago for ago in used}
    return diary


def behind(diary: Diary, aim: Aim | None = ABSTINENT, with_settings: Settings = SETTINGS, **answers: Any) -> Any:
    return outlook(with_settings, record_of(diary, aim), recovers_from(diary, aim), TODAY, answers)


def test_the_model_says_nothing_about_less_than_four_weeks() -> None:
    assert behind(a_diary(27, (0, 1, 2, 3, 4))) == STEADY
    assert behind(a_diary(28, (0, 1, 2, 3, 4))) != STEADY


def test_the_model_says_nothing_about_people_whom_it_was_not_fitted_on() -> None:
    drinker = Aim("abstinence", frozenset({"alcohol"}))
    assert behind(a_diary(90, tuple(range(60)), "alcohol"), drinker) == STEADY
    assert behind(a_diary(90, tuple(range(60)), "alcohol"), None) == STEADY
    assert behind(a_diary(90, tuple(range(60))), None) != STEADY, "whose aim is not known has told of opioids"


def refitted(tmp_path: Path, *substances: str) -> Settings:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({**model_of(SETTINGS).document, "substances": substances}))
    return replace(SETTINGS, risk_model=str(path))


def test_a_model_of_an_operators_own_speaks_of_those_whom_it_was_fitted_on(tmp_path: Path) -> None:
    drinker, own = Aim("abstinence", frozenset({"alcohol"})), refitted(tmp_path, "alcohol", "sedatives")
    assert behind(a_diary(90, tuple(range(91)), "alcohol"), drinker, own).band == "high"
    assert behind(a_diary(90, tuple(range(91))), ABSTINENT, own) == STEADY


def test_a_model_about_a_substance_that_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="^own.json: substances: opiods is none of opioids, alcohol"):
        model_of(refitted(tmp_path, "opiods"))


def test_a_stretch_without_use_is_steady_and_daily_use_is_high() -> None:
    assert behind(a_diary(90, (89,))).band == "steady"
    found = behind(a_diary(90, tuple(range(91))))
    assert found.band == "high"
    assert found.reasons[0] in WORDS.values()


@pytest.mark.parametrize("days", [1, 3, 10, 30, 80])
def test_the_score_alone_never_says_urgent(days: int) -> None:
    heaviest = {"craving": 10, "confidence": 0, "mood": 0, "risky_situation": 10, "tired": 10}
    assert not worse(behind(a_diary(90, tuple(range(days))), **heaviest).band, "high")


def test_a_setting_moves_the_cuts() -> None:
    diary = a_diary(90, (2, 9, 16, 23, 40))
    eager = replace(SETTINGS, bands={"high": 0.95})
    calm = replace(SETTINGS, bands={"high": 0.05})
    assert (behind(diary, with_settings=eager).band, behind(diary, with_settings=calm).band) == ("high", "steady")


def test_a_heavier_band_has_the_higher_cut() -> None:
    found = cuts(model_of(SETTINGS), SETTINGS.bands)
    assert [name for _, name in found] == ["high", "watch"]
    assert found[0][0] > found[1][0]


def test_assumed_steps_are_switched_off_by_a_setting() -> None:
    plain = replace(SETTINGS, assumed_steps=False)
    diary = a_diary(90, (3, 10, 17))
    heavy = {"craving": 8, "confidence": 2, "risky_situation": 8}
    with_them, without = behind(diary, **heavy), behind(diary, with_settings=plain, **heavy)
    assert without == behind(diary, with_settings=plain)
    assert worse(with_them.band, without.band)


answers = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 10) for name in ("confidence", "mood", "risky_situation", "tired")}
)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 120), max_size=40), answers, st.integers(0, 9))
def test_more_craving_never_lowers_the_outlook(used: set[int], answers: dict[str, int], craving: int) -> None:
    diary = a_diary(120, tuple(used))
    calmer, stronger = (behind(diary, craving=felt, **answers) for felt in (craving, craving + 1))
    assert not worse(calmer.band, stronger.band)


def test_there_are_kind_words_for_every_input() -> None:
    assert set(WORDS) == set(INPUTS)
    for words in WORDS.values():
        assert not any(label in words.casefold() for label in ("addict", "relaps", "abus", "clean", "dirty", "fail"))


def test_use_within_a_moderate_aim_is_no_use_to_the_score() -> None:
    moderate = Aim("moderation", frozenset({"opioids"}), 2)
    assert record_of(a_diary(90, (1, 4)), moderate).use == []
    assert len(record_of(a_diary(90, (1, 2, 4)), moderate).use) == 1
    assert record_of(a_diary(90, (1, 4), "cannabis"), moderate).other == [TODAY - 4, TODAY - 1]


# -- the operator's settings


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"risk_model": "/nowhere/model.json"}, r"ALONGSIDE_RISK_MODEL: .*/nowhere/model\.json"),
        ({"risk_model": __file__}, "ALONGSIDE_RISK_MODEL: test_outlook.py is not JSON"),
        ({"bands": {"watch": 0.99, "high": 0.4}}, "ALONGSIDE_BANDS: sensitivity must be 0.05 to 0.95, not 0.99"),
    ],
)
def test_a_model_or_a_cut_that_cannot_be_used_is_told_at_the_start(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        risk.load().open(replace(SETTINGS, **changed))


def test_what_cannot_be_used_is_told_all_at_once() -> None:
    with pytest.raises(BadSettings) as refused:
        risk.load().open(replace(SETTINGS, risk_model="/nowhere", instruments="/nowhere"))
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "ALONGSIDE_INSTRUMENTS",
        "ALONGSIDE_RISK_MODEL",
    ]


# -- over HTTP


@pytest.fixture
def maya(world: World) -> Caller:
    world.join("client", "maya")
    world.join("coach", "sam")
    world.assign("maya", "sam")
    return world.caller("maya", "client")


def days_ago(days: float) -> str:
    moment: datetime = now() - timedelta(days=days)
    return written(moment)


def test_weeks_of_use_raise_one_alert_that_says_why_and_not_another_the_next_day(world: World, maya: Caller) -> None:
    sam = world.caller("sam", "coach")
    for week in range(8, 0, -1):
        used = {"what": "heroin", "days": 7}
        maya.post("/check-ins", {"id": an_id(), "craving": 2, "at": days_ago(7 * week - 6), "used": used})
        world.settle()
        for alert in sam.get("/alerts?state=open").json["items"]:
            sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"})
    raised = len(world.events(AlertRaised))
    answer = maya.post("/check-ins", {"id": an_id(), "craving": 2, "at": days_ago(0)})
    assert answer.json["band"] == "high", "eight weeks of use are behind, though today is calm"
    assert set(answer.json["reasons"]) <= set(WORDS.values())
    assert len(world.events(AlertRaised)) == raised, "a coach looked at it within these seven days"
    assert answer.json["cards"][-1]["title"] == "Nobody is on duty right now", "nobody is asked, and that much is known"


def test_a_moderate_aim_makes_use_within_it_no_lapse(world: World, maya: Caller) -> None:
    aim = {"aim": "moderation", "substances": ["alcohol"], "days_per_week": 2}
    assert maya.put("/sobriety", aim).status_code in (200, 201)
    world.settle()
    within = maya.post("/check-ins", {"id": an_id(), "craving": 1, "used": {"what": "two beers", "days": 2}})
    assert (within.json["band"], within.json["reasons"]) == ("steady", [])
    beyond = maya.post("/check-ins", {"id": an_id(), "craving": 1, "used": {"what": "wine", "days": 4}})
    assert beyond.json["band"] == "high"
    assert beyond.json["reasons"][0].startswith("You told us about a lapse")


def test_with_abstinence_any_use_of_it_is_a_lapse(world: World, maya: Caller) -> None:
    assert maya.put("/sobriety", {"aim": "abstinence", "substances": ["alcohol"]}).status_code in (200, 201)
    world.settle()
    assert maya.post("/check-ins", {"id": an_id(), "craving": 1, "used": {"what": "a beer"}}).json["band"] == "high"


def test_everybody_signed_in_reads_what_the_model_is(maya: Caller) -> None:
    answer = maya.get("/reports/model")
    assert answer.status_code == 200
    assert (answer.json["people"], answer.json["person_weeks"]) == (1478, 26889)
    assert [band["band"] for band in answer.json["bands"]] == ["watch", "high"]
    for band in answer.json["bands"]:
        assert band["sensitivity"] >= band["wanted_sensitivity"]
        assert band["alerts_per_coach_day"] == pytest.approx(answer.json["caseload"] * band["flagged"] / 7)
    assert answer.json["assumed"] == ["confidence", "craving", "risky_situation", "mood", "halt"]
    assert "No claim for alcohol, " in answer.json["about"]
