"""What a client aims at: the client's own choice, with all that was chosen before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from schemas.base import now
from schemas.goals import AimChosen
from schemas.people import RecordSeen
from services.goals import model
from services.goals.model import Aim
from services.risk.aim_handlers import aim_of, know_the_aim
from tests.world import Caller, World

LESS = {"aim": "moderation", "substances": ["alcohol", "cannabis"], "days_per_week": 2, "since": "2026-01-05"}
NONE = {"aim": "abstinence", "substances": ["opioids"], "days_per_week": None, "since": None}


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam, and Theo and Rosa who have nothing to do with her."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.assign("maya", "sam")
    return world


@pytest.fixture
def maya(cast: World) -> Caller:
    return cast.caller("maya", "client")


def tag(answer: Any) -> dict[str, str]:
    return {"If-Match": answer.headers["ETag"]}


def chosen(answer: Any) -> dict[str, Any]:
    return {name: answer.json[name] for name in NONE}


def test_before_the_first_choice_there_is_no_aim_and_no_history(maya: Caller) -> None:
    answer = maya.get("/sobriety")
    assert answer.status_code == 200
    assert answer.json == {
        "client_id": "maya",
        "aim": None,
        "substances": [],
        "days_per_week": None,
        "since": None,
        "chosen_at": None,
        "history": [],
    }


def test_a_client_chooses_moderation_and_whoever_cares_is_named_in_the_event(cast: World, maya: Caller) -> None:
    answer = maya.put("/sobriety", LESS)
    assert (answer.status_code, chosen(answer)) == (200, LESS)
    assert maya.get("/sobriety").json == answer.json
    (told,) = cast.events(AimChosen)
    assert (told.client_id, told.aim, told.substances, told.days_per_week, told.tell) == (
        "maya",
        "moderation",
        ["alcohol", "cannabis"],
        2,
        ["sam"],
    )


def test_another_aim_keeps_all_that_were_chosen_before(maya: Caller) -> None:
    first = maya.put("/sobriety", LESS)
    second = maya.put("/sobriety", NONE, headers=tag(first))
    third = maya.put("/sobriety", {**LESS, "days_per_week": 0}, headers=tag(second))
    assert chosen(third)["days_per_week"] == 0
    history = maya.get("/sobriety").json["history"]
    assert [{name: choice[name] for name in NONE} for choice in history] == [NONE, LESS]
    assert [choice["chosen_at"] for choice in history] == [second.json["chosen_at"], first.json["chosen_at"]]


def test_an_edit_names_what_it_edits(maya: Caller) -> None:
    first = maya.put("/sobriety", LESS)
    assert maya.put("/sobriety", NONE).status_code == 428
    assert maya.put("/sobriety", NONE, headers=tag(first)).status_code == 200
    assert maya.put("/sobriety", LESS, headers=tag(first)).status_code == 412
    assert chosen(maya.get("/sobriety")) == NONE


def test_a_first_choice_that_names_a_version_must_name_the_right_one(maya: Caller) -> None:
    before = maya.get("/sobriety")
    assert maya.put("/sobriety", LESS, headers={"If-Match": '"3"'}).status_code == 412
    assert maya.put("/sobriety", LESS, headers=tag(before)).status_code == 200


def test_of_two_phones_that_choose_at_once_one_wins_and_the_other_is_told(cast: World, maya: Caller) -> None:
    both = Barrier(2)
    before = tag(maya.put("/sobriety", LESS))
    door = cast.door("goals").application

    def choose(days: int) -> int:
        both.wait()
        with door.test_client() as phone:
            signed = {"X-Alongside-Identity": cast.signed(maya, "goals"), **before}
            return phone.put("/v1/sobriety", json={**LESS, "days_per_week": days}, headers=signed).status_code

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(choose, (3, 4))) == [200, 412]
    assert len(maya.get("/sobriety").json["history"]) == 1
    assert len(cast.events(AimChosen)) == 2


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"aim": "sobriety"}, "aim"),
        ({"aim": None}, "aim"),
        ({"substances": []}, "substances"),
        ({"substances": ["alcohol", "alcohol"]}, "substances"),
        ({"substances": ["wine"]}, "substances"),
        ({"substances": "alcohol"}, "substances"),
        ({"days_per_week": None}, "days_per_week"),
        ({"days_per_week": 8}, "days_per_week"),
        ({"days_per_week": -1}, "days_per_week"),
        ({"days_per_week": 1.5}, "days_per_week"),
        ({"aim": "abstinence"}, "days_per_week"),
        ({"since": "2026-02-30"}, "since"),
        ({"since": (now() + timedelta(days=3)).date().isoformat()}, "since"),
        ({"note": "x"}, "note"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(maya: Caller, changed: dict[str, Any], field: str) -> None:
    answer = maya.put("/sobriety", {**LESS, **changed})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert Aim.raw().count_documents({}) == 0


def test_the_day_may_be_tomorrow_because_somewhere_it_is(maya: Caller) -> None:
    tomorrow = (now() + timedelta(days=1)).date().isoformat()
    assert maya.put("/sobriety", {**NONE, "since": tomorrow}).status_code == 200


@pytest.mark.parametrize("missing", ["aim", "substances"])
def test_the_kind_and_the_substances_are_asked_for(maya: Caller, missing: str) -> None:
    answer = maya.put("/sobriety", {name: value for name, value in NONE.items() if name != missing})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [missing])


def test_the_coach_sees_the_aim_and_the_look_is_written_down(cast: World, maya: Caller) -> None:
    maya.put("/sobriety", LESS)
    cast.settle()
    cast.told.clear()
    answer = cast.caller("sam", "coach").get("/sobriety?client_id=maya")
    assert (answer.status_code, chosen(answer)) == (200, LESS)
    maya.get("/sobriety")
    assert [(look.viewer_id, look.subject_id, look.what) for look in cast.events(RecordSeen)] == [
        ("sam", "maya", "aim")
    ]


@pytest.mark.parametrize(
    ("who", "role"), [("rosa", "coach"), ("theo", "client"), ("ada", "admin"), ("ines", "supervisor")]
)
def test_nobody_else_sees_it(cast: World, maya: Caller, who: str, role: str) -> None:
    maya.put("/sobriety", LESS)
    assert cast.caller(who, role).get("/sobriety?client_id=maya").status_code == 404


def test_nobody_chooses_for_a_client_not_even_the_coach(cast: World) -> None:
    assert cast.caller("sam", "coach").put("/sobriety", LESS).status_code == 404
    assert cast.caller("sam", "coach").put("/sobriety", {**LESS, "client_id": "maya"}).status_code in (404, 422)
    assert Aim.raw().count_documents({}) == 0


def test_when_so_many_are_kept_that_no_more_can_be_it_is_said(maya: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "AIMS_MOST", 2)
    answer = maya.put("/sobriety", LESS)
    answer = maya.put("/sobriety", NONE, headers=tag(answer))
    assert maya.put("/sobriety", LESS, headers=tag(answer)).status_code == 409
    assert chosen(maya.get("/sobriety")) == NONE


def test_risk_knows_the_newest_aim_however_late_and_often_an_older_one_is_heard(cast: World, maya: Caller) -> None:
    assert aim_of("maya") is None
    first = maya.put("/sobriety", LESS)
    maya.put("/sobriety", NONE, headers=tag(first))
    cast.settle()
    older, newer = cast.events(AimChosen)
    for event in (newer, older, older):
        know_the_aim(event)
    assert aim_of("maya") == ("abstinence", frozenset({"opioids"}), None)
    assert aim_of("theo") is None
