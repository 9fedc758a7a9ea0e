"""What is done about an alert, by whom it can be, and what is written down of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.base import now
from schemas.fields import written
from schemas.people import GrantGiven
from schemas.risk import AlertClosed, AlertEscalated, AlertHandedOver, AlertWorsened, OnCallNamed
from services.risk.check_in_model import Archive
from services.risk.model import MOVED_FROM, Course
from tests.services.risk.mothers import a_check_in, a_desperate_day, a_rough_day
from tests.world import Caller, World, an_id


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam; Rosa and Kim are coaches too, Ines and Otto supervise. Nobody is on duty."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa", "kim")
    world.join("supervisor", "ines", "otto")
    world.assign("maya", "sam")
    return world


def the_alert(world: World, day: dict[str, Any] | None = None, client: str = "maya") -> Any:
    """A bad day; the alert in the store."""
    assert world.caller(client, "client").post("/check-ins", day or a_rough_day()).status_code == 201
    world.settle()
    course = Course.load(client)
    assert course is not None
    return course.open_alert()


def pass_over(world: World, client: str = "maya") -> AlertEscalated:
    """Let the clock run out once; what was told."""
    course = Course.load(client)
    assert course is not None
    alert = course.open_alert()
    assert alert is not None
    world.tick(alert.next_at + timedelta(milliseconds=1))
    return world.events(AlertEscalated)[-1]


def steps(caller: Caller, alert_id: str) -> list[tuple[str, str | None, list[str]]]:
    trail = caller.get(f"/alerts/{alert_id}/trail").json["items"]
    return [(step["what"], step["by"], step["to"]) for step in trail]


# -- handing over


def test_an_alert_is_handed_to_another_coach_who_gets_a_clock_and_a_grant(
    cast: World, maya: Caller, sam: Caller
) -> None:
    alert = the_alert(cast)
    sam.post(f"/alerts/{alert.id}/acknowledge")
    answer = sam.post(f"/alerts/{alert.id}/hand-over", {"to": "kim"})
    assert (answer.status_code, answer.json["state"], answer.json["rung"]) == (200, "open", "cover")
    (told,) = cast.events(AlertHandedOver)
    assert (told.by, told.tell) == ("sam", ["kim"])
    assert [grant.holder_id for grant in cast.events(GrantGiven, lambda grant: grant.scope == "cover")] == ["kim"]
    kim = cast.caller("kim", "coach")
    assert kim.get("/clients/maya/risk").status_code == 200
    assert kim.post(f"/alerts/{alert.id}/acknowledge").json["acknowledged_by"] == "kim"
    assert maya.get("/clients/maya/risk").json["answered"] is True


def test_whoever_it_was_handed_to_and_does_not_answer_is_passed_over(cast: World, sam: Caller) -> None:
    alert = the_alert(cast)
    sam.post(f"/alerts/{alert.id}/hand-over", {"to": "kim"})
    told = pass_over(cast)
    assert (told.rung, told.tell) == ("supervisor", ["ines", "otto"])


@pytest.mark.parametrize("to", ["sam", "maya", "theo", "nobody"])
def test_it_is_handed_to_another_coach_or_a_supervisor_only(cast: World, sam: Caller, to: str) -> None:
    alert = the_alert(cast)
    answer = sam.post(f"/alerts/{alert.id}/hand-over", {"to": to})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["to"])
    assert cast.events(AlertHandedOver) == []


def test_a_closed_alert_is_not_handed_over(cast: World, sam: Caller) -> None:
    alert = the_alert(cast)
    sam.post(f"/alerts/{alert.id}/close", {"outcome": "talked"})
    assert sam.post(f"/alerts/{alert.id}/hand-over", {"to": "kim"}).status_code == 409


def test_whoever_was_not_asked_hands_nothing_over(cast: World) -> None:
    alert = the_alert(cast)
    rosa = cast.caller("rosa", "coach")
    assert rosa.post(f"/alerts/{alert.id}/hand-over", {"to": "kim"}).status_code == 404


# -- closing


def test_closing_keeps_the_kind_of_contact_and_of_support(cast: World, sam: Caller) -> None:
    alert = the_alert(cast)
    closing = {"outcome": "talked", "contact": "phone", "support": ["emotional", "instrumental"]}
    answer = sam.post(f"/alerts/{alert.id}/close", closing)
    assert {name: answer.json[name] for name in closing} == closing


@pytest.mark.parametrize("wrong", [{"contact": "pigeon"}, {"support": ["money"]}, {"support": "emotional"}])
def test_an_unknown_kind_of_contact_or_support_is_refused_by_name(
    cast: World, sam: Caller, wrong: dict[str, Any]
) -> None:
    alert = the_alert(cast)
    answer = sam.post(f"/alerts/{alert.id}/close", {"outcome": "talked", **wrong})
    assert (answer.status_code, list(answer.json["errors"])) == (422, list(wrong))


def test_an_urgent_alert_in_which_nobody_was_reached_stays_open(cast: World, sam: Caller) -> None:
    alert = the_alert(cast, a_desperate_day())
    answer = sam.post(f"/alerts/{alert.id}/close", {"outcome": "no_answer"})
    assert answer.status_code == 409
    assert "Hand it over" in answer.json["detail"]
    assert cast.events(AlertClosed) == []
    assert sam.post(f"/alerts/{alert.id}/close", {"outcome": "emergency"}).status_code == 200


# -- the last rung


def test_the_on_call_contact_is_asked_last_and_then_everybody_again(cast: World, ines: Caller) -> None:
    to_choose_from = {"supervisors": ["ines", "otto"]}
    assert ines.get("/on-call").json == {"people": [], **to_choose_from}
    answer = ines.put("/on-call", {"people": ["kim"]}, headers={"If-Match": '"0"'})
    assert answer.json == {"people": ["kim"], **to_choose_from}
    (named,) = cast.events(OnCallNamed)
    assert (named.by, named.people) == ("ines", ["kim"])
    the_alert(cast)
    assert pass_over(cast).rung == "supervisor"
    last = pass_over(cast)
    assert (last.rung, last.tell) == ("on_call", ["kim"])
    again = pass_over(cast)
    assert (again.rung, again.tell) == ("on_call", ["sam", "ines", "otto", "kim"])


def test_the_on_call_contact_is_named_by_a_supervisor_who_has_read_the_latest(cast: World, ines: Caller) -> None:
    assert cast.caller("sam", "coach").put("/on-call", {"people": ["sam"]}).status_code == 404
    assert ines.put("/on-call", {"people": ["kim"]}).status_code == 428
    tag = ines.get("/on-call").headers["ETag"]
    assert ines.put("/on-call", {"people": ["kim"]}, headers={"If-Match": tag}).status_code == 200
    assert ines.put("/on-call", {"people": ["rosa"]}, headers={"If-Match": tag}).status_code == 412
    assert cast.caller("sam", "coach").get("/on-call").json["people"] == ["kim"]


@pytest.mark.parametrize("people", [["maya"], ["nobody"], ["kim", "kim"]])
def test_only_those_who_answer_alerts_are_on_call(ines: Caller, people: list[str]) -> None:
    answer = ines.put("/on-call", {"people": people}, headers={"If-Match": '"0"'})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["people"])


# -- what is written down


def test_a_desperate_day_after_somebody_acknowledged_asks_again_and_a_rough_one_does_not(
    cast: World, maya: Caller, sam: Caller
) -> None:
    maya.post("/check-ins", a_desperate_day())
    (alert,) = sam.get("/alerts?state=open").json["items"]
    sam.post(f"/alerts/{alert['id']}/acknowledge")
    for day, state in ((a_rough_day, "acknowledged"), (a_desperate_day, "open"), (a_desperate_day, "open")):
        maya.post("/check-ins", day())
        assert sam.get(f"/alerts/{alert['id']}").json["state"] == state
    assert [step[0] for step in steps(sam, alert["id"])] == ["raised", "acknowledged", "joined", "worsened", "joined"]
    cast.settle()
    (told,) = cast.events(AlertWorsened)
    assert told.tell == ["sam"]
    assert told.due_at is not None


def test_every_step_is_in_the_trail(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast)
    maya.post("/check-ins", a_rough_day())
    sam.post(f"/alerts/{alert.id}/acknowledge")
    maya.post("/check-ins", a_desperate_day())
    pass_over(cast)
    sam.post(f"/alerts/{alert.id}/hand-over", {"to": "kim"})
    sam.post(f"/alerts/{alert.id}/close", {"outcome": "met"})
    assert steps(sam, alert.id) == [
        ("raised", None, ["sam"]),
        ("joined", None, []),
        ("acknowledged", "sam", []),
        ("worsened", None, ["sam"]),
        ("asked", None, ["ines", "otto"]),
        ("handed_over", "sam", ["kim"]),
        ("closed", "sam", []),
    ]
    assert cast.caller("rosa", "coach").get(f"/alerts/{alert.id}/trail").status_code == 404


def test_an_alert_that_was_closed_long_ago_leaves_the_course_and_is_still_read(
    cast: World, maya: Caller, sam: Caller
) -> None:
    old = the_alert(cast)
    sam.post(f"/alerts/{old.id}/close", {"outcome": "talked"})
    shown = sam.get(f"/alerts/{old.id}").json
    Course.raw().update_one({"_id": "maya"}, {"$set": {"alerts.0.closed_at": now() - timedelta(days=31)}})
    newer = the_alert(cast)
    for _ in range(MOVED_FROM):
        maya.post("/check-ins", a_check_in())
    course = Course.load("maya")
    assert course is not None
    assert [alert.id for alert in course.alerts] == [newer.id]
    assert (now() - timedelta(days=31)).toordinal() in course.diary().kept, "the contact that came of it still counts"
    assert sam.get(f"/alerts/{old.id}").json == shown
    assert steps(sam, old.id)[-1] == ("closed", "sam", [])
    assert [item["id"] for item in sam.get("/alerts").json["items"]] == [newer.id, old.id]
    assert [item["id"] for item in sam.get("/alerts?state=closed").json["items"]] == [old.id]
    page = sam.get("/alerts?limit=1").json
    assert [item["id"] for item in sam.get(f"/alerts?after={page['next']}").json["items"]] == [old.id]
    assert sam.post(f"/alerts/{old.id}/acknowledge").status_code == 409
    assert cast.caller("rosa", "coach").get(f"/alerts/{old.id}").status_code == 404


# -- how much is asked of whom


def test_a_supervisor_sees_the_load_of_every_coach_and_a_coach_their_own(
    cast: World, maya: Caller, sam: Caller, ines: Caller
) -> None:
    cast.on_duty("rosa")
    first = the_alert(cast)
    sam.post(f"/alerts/{first.id}/close", {"outcome": "talked"})
    the_alert(cast)
    seen = {item["coach_id"]: item for item in ines.get("/alerts/load").json["items"]}
    assert set(seen) == {"sam", "rosa", "kim"}
    assert seen["sam"] == {
        "coach_id": "sam", "on_duty": False, "open": 1, "day": 2, "week": 2, "budget": 6, "over": False,
    }  # fmt: skip
    assert (seen["rosa"]["on_duty"], seen["rosa"]["day"]) == (True, 0)
    assert sam.get("/alerts/load").json["items"] == [seen["sam"]]
    assert maya.get("/alerts/load").status_code == 404


def test_a_coach_beyond_the_budget_is_asked_to_cover_after_one_who_is_not(cast: World) -> None:
    for _ in range(cast.settings.alert_budget):
        alert = the_alert(cast)
        cast.caller("sam", "coach").post(f"/alerts/{alert.id}/hand-over", {"to": "kim"})
        cast.caller("kim", "coach").post(f"/alerts/{alert.id}/close", {"outcome": "talked"})
    cast.on_duty("kim", "rosa")
    cast.assign("theo", "rosa")
    the_alert(cast, client="theo")
    the_alert(cast)
    assert pass_over(cast).tell == ["rosa"], "kim has none open, but a full day"


# -- corrections and contests


def test_a_correction_takes_the_place_of_a_check_in_and_both_are_read(maya: Caller, sam: Caller, cast: World) -> None:
    day = a_rough_day()
    maya.post("/check-ins", day)
    better = {"id": an_id(), "craving": 2}
    answer = maya.post(f"/check-ins/{day['id']}/correct", better)
    assert (answer.status_code, answer.json["band"]) == (201, "steady")
    assert maya.post(f"/check-ins/{day['id']}/correct", better).status_code == 200
    cast.settle()
    for reader in (maya, sam):
        items = {item["id"]: item for item in reader.get("/check-ins?client_id=maya").json["items"]}
        assert (items[day["id"]]["corrected_by"], items[better["id"]]["corrects"]) == (better["id"], day["id"])
        assert items[better["id"]]["at"] == items[day["id"]]["at"], "it speaks of the same time"
    assert maya.get("/clients/maya/risk").json["band"] == "steady"
    assert len(sam.get("/alerts?state=open").json["items"]) == 1, "a human decides what it was"


def test_only_ones_own_recent_check_in_is_corrected_or_contested(cast: World, maya: Caller) -> None:
    day = a_rough_day()
    maya.post("/check-ins", day)
    theo = cast.caller("theo", "client")
    for path, body in (("correct", {"id": an_id(), "craving": 2}), ("contest", {"words": "no"})):
        assert theo.post(f"/check-ins/{day['id']}/{path}", body).status_code == 404
        assert maya.post(f"/check-ins/unknown/{path}", body).status_code == 404


def test_a_correction_is_repeated_safely_also_when_both_are_in_the_archive(maya: Caller) -> None:
    start = now() - timedelta(days=100)
    first, better = a_check_in(at=written(start)), a_check_in(craving=2)
    correct = f"/check-ins/{first['id']}/correct"
    maya.post("/check-ins", first)
    assert maya.post(correct, better).status_code == 201
    for day in range(MOVED_FROM + 2):
        assert maya.post("/check-ins", a_check_in(at=written(start + timedelta(days=day + 1)))).status_code == 201
    assert Archive.find("maya", better["id"]) is not None, "what is tried is in the archive"
    assert (maya.post(correct, better).status_code, maya.post(correct, a_check_in()).status_code) == (200, 409)
    assert maya.post(f"/check-ins/{first['id']}/contest", {"words": "no"}).status_code == 409


def test_a_check_in_that_is_there_already_corrects_no_other(maya: Caller) -> None:
    """To say yes would be to say that something was corrected."""
    one, other = a_check_in(), a_check_in(at=written(now()))
    for day in (one, other):
        assert maya.post("/check-ins", day).status_code == 201
    for target in (one, other):
        assert maya.post(f"/check-ins/{target['id']}/correct", other).status_code == 409
    items = maya.get("/check-ins").json["items"]
    assert [(item["corrects"], item["corrected_by"]) for item in items] == [(None, None)] * 2


def test_a_band_is_contested_in_the_clients_own_words_which_the_coach_sees(
    cast: World, maya: Caller, sam: Caller
) -> None:
    day = a_rough_day()
    alert = the_alert(cast, day)
    answer = maya.post(f"/check-ins/{day['id']}/contest", {"words": "it was hay fever"})
    assert (answer.status_code, answer.json["contested"]) == (200, "it was hay fever")
    cast.settle()
    assert sam.get("/clients/maya/risk").json["contested"] == "it was hay fever"
    (shown,) = sam.get("/alerts").json["items"]
    assert (shown["contested"], shown["state"]) == (True, "open"), "it stays beside the alert, and closes nothing"
    assert ("contested", "maya", []) in steps(sam, alert.id)
    assert "hay fever" not in repr(Course.raw().find_one({"_id": "maya"})) + repr(cast.told)


def test_how_today_is_beside_the_persons_own_last_week(maya: Caller) -> None:
    for days in (5, 3, 1):
        at = (now() - timedelta(days=days)).isoformat()
        maya.post("/check-ins", {"id": an_id(), "craving": 1, "mood": 8, "at": at})
    answer = maya.post("/check-ins", {"id": an_id(), "craving": 5, "mood": 5, "confidence": 4})
    assert answer.json["compared"] == [
        "Your craving is higher than in your own last week",
        "Your mood is lower than in your own last week",
    ]
    assert maya.get("/clients/maya/risk").json["compared"] == answer.json["compared"]
