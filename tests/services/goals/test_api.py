"""Goals that are the client's own and agreed together."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.goals import GoalAgreed, GoalCompleted, GoalProposed
from schemas.people import RecordSeen
from services.goals.model import Goal
from tests.world import Caller, World, an_id


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


@pytest.fixture
def sam(cast: World) -> Caller:
    return cast.caller("sam", "coach")


def a_goal(**changed: Any) -> dict[str, Any]:
    return {"id": an_id(), "text": "walk by the sea every morning", **changed}


def proposed(caller: Caller, **changed: Any) -> str:
    body = a_goal(**changed)
    assert caller.post("/goals", body).status_code == 201
    goal_id: str = body["id"]
    return goal_id


def test_a_client_proposes_and_the_coach_hears(cast: World, maya: Caller) -> None:
    body = a_goal()
    answer = maya.post("/goals", body)
    assert answer.status_code == 201
    assert (answer.json["client_id"], answer.json["state"], answer.json["text"]) == ("maya", "proposed", body["text"])
    assert (answer.json["proposed_by"], answer.json["agreed_by"]) == ("maya", None)
    (told,) = cast.events(GoalProposed)
    assert (told.goal_id, told.by, told.tell) == (body["id"], "maya", ["sam"])


def test_a_coach_proposes_for_a_client_of_their_own_and_the_client_hears(cast: World, sam: Caller) -> None:
    proposed(sam, client_id="maya")
    (told,) = cast.events(GoalProposed)
    assert (told.client_id, told.by, told.tell) == ("maya", "sam", ["maya"])


def test_a_repeat_answers_200_and_another_body_409(cast: World, maya: Caller) -> None:
    body = a_goal()
    first, again = maya.post("/goals", body), maya.post("/goals", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert maya.post("/goals", {**body, "text": "something else"}).status_code == 409
    assert len(cast.events(GoalProposed)) == 1
    assert maya.get(f"/goals/{body['id']}").json["text"] == body["text"]


def test_an_id_of_somebody_elses_goal_answers_404(cast: World, maya: Caller) -> None:
    body = a_goal()
    maya.post("/goals", body)
    assert cast.caller("theo", "client").post("/goals", body).status_code == 404


@pytest.mark.parametrize(
    ("who", "role"), [("rosa", "coach"), ("theo", "client"), ("ada", "admin"), ("ines", "supervisor")]
)
def test_nobody_else_proposes_sees_or_touches(cast: World, maya: Caller, who: str, role: str) -> None:
    goal = proposed(maya)
    stranger = cast.caller(who, role)
    assert stranger.post("/goals", a_goal(client_id="maya")).status_code == 404
    assert stranger.get("/goals?client_id=maya").status_code == 404
    assert stranger.get(f"/goals/{goal}").status_code == 404
    assert stranger.patch(f"/goals/{goal}", {"text": "x"}, headers={"If-Match": '"1"'}).status_code == 404
    for act in ("agree", "complete"):
        assert stranger.post(f"/goals/{goal}/{act}").status_code == 404
    assert maya.get(f"/goals/{goal}").json["state"] == "proposed"
    assert Goal.raw().count_documents({}) == 1


def test_the_other_one_agrees_and_the_client_completes(cast: World, maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    agreed = sam.post(f"/goals/{goal}/agree")
    assert (agreed.status_code, agreed.json["state"], agreed.json["agreed_by"]) == (200, "agreed", "sam")
    completed = maya.post(f"/goals/{goal}/complete")
    assert (completed.status_code, completed.json["state"]) == (200, "completed")
    (told_agreed,), (told_completed,) = cast.events(GoalAgreed), cast.events(GoalCompleted)
    assert (told_agreed.by, told_agreed.tell) == ("sam", ["maya"])
    assert (told_completed.by, told_completed.tell) == ("maya", ["sam"])
    assert told_agreed.version < told_completed.version


def test_each_act_said_twice_is_told_once(cast: World, maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    for _ in range(2):
        assert sam.post(f"/goals/{goal}/agree").status_code == 200
    for _ in range(2):
        assert maya.post(f"/goals/{goal}/complete").status_code == 200
    assert len(cast.events(GoalAgreed)) == len(cast.events(GoalCompleted)) == 1


def test_nobody_agrees_with_oneself(maya: Caller, sam: Caller) -> None:
    assert maya.post(f"/goals/{proposed(maya)}/agree").status_code == 409
    theirs = proposed(sam, client_id="maya")
    assert sam.post(f"/goals/{theirs}/agree").status_code == 409
    assert maya.post(f"/goals/{theirs}/agree").status_code == 200


def test_a_goal_of_one_coach_is_not_agreed_by_another_without_the_client(cast: World, sam: Caller) -> None:
    goal = proposed(sam, client_id="maya")
    cast.assign("maya", "rosa")
    assert cast.caller("rosa", "coach").post(f"/goals/{goal}/agree").status_code == 409


def test_a_goal_is_not_completed_before_it_is_agreed_nor_agreed_after(maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    assert maya.post(f"/goals/{goal}/complete").status_code == 409
    sam.post(f"/goals/{goal}/agree")
    maya.post(f"/goals/{goal}/complete")
    assert sam.post(f"/goals/{goal}/agree").status_code == 409


def test_only_the_client_completes(maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    sam.post(f"/goals/{goal}/agree")
    assert sam.post(f"/goals/{goal}/complete").status_code == 404
    assert maya.get(f"/goals/{goal}").json["state"] == "agreed"


def test_a_goal_is_reworded_until_it_is_agreed(maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    tag = {"If-Match": maya.get(f"/goals/{goal}").headers["ETag"]}
    assert sam.patch(f"/goals/{goal}", {"text": "walk twice a week"}).status_code == 428
    assert sam.patch(f"/goals/{goal}", {"text": "walk twice a week"}, headers=tag).json["text"] == "walk twice a week"
    assert maya.patch(f"/goals/{goal}", {"text": "never mind"}, headers=tag).status_code == 412
    sam.post(f"/goals/{goal}/agree")
    tag = {"If-Match": maya.get(f"/goals/{goal}").headers["ETag"]}
    assert maya.patch(f"/goals/{goal}", {"text": "something else"}, headers=tag).status_code == 409
    assert maya.get(f"/goals/{goal}").json["text"] == "walk twice a week"


def test_a_coach_names_whose_goal_it_would_be_and_has_none_of_their_own(sam: Caller) -> None:
    assert sam.post("/goals", a_goal()).status_code == 404
    assert sam.post("/goals", a_goal(client_id="sam")).status_code == 404
    assert Goal.raw().count_documents({}) == 0


def test_goals_are_listed_for_the_client_and_the_coach_a_page_at_a_time(maya: Caller, sam: Caller) -> None:
    goals = [proposed(maya) for _ in range(3)]
    first = sam.get("/goals?client_id=maya&limit=2").json
    second = sam.get(f"/goals?client_id=maya&limit=2&after={first['next']}").json
    assert [goal["id"] for goal in first["items"] + second["items"]] == sorted(goals, reverse=True)
    assert second["next"] is None
    assert len(maya.get("/goals").json["items"]) == 3
    assert sam.get("/goals").json["items"] == []


def test_a_look_by_the_coach_is_written_down(cast: World, maya: Caller, sam: Caller) -> None:
    goal = proposed(maya)
    cast.settle()
    cast.told.clear()
    sam.get(f"/goals/{goal}")
    maya.get(f"/goals/{goal}")
    assert [(look.viewer_id, look.subject_id, look.what) for look in cast.events(RecordSeen)] == [
        ("sam", "maya", "goal")
    ]


def test_the_words_of_a_goal_lie_sealed_and_go_with_the_key(cast: World, maya: Caller) -> None:
    goal = proposed(maya, text="see the aurora")
    assert "aurora" not in repr(list(Goal.raw().find())) + repr(cast.told)
    cast.services["goals"].vault.destroy("maya")
    assert maya.get(f"/goals/{goal}").status_code == 404


def test_when_the_assignment_ends_the_coach_sees_the_goals_no_more(cast: World) -> None:
    goal = proposed(cast.caller("theo", "client"))
    assignment = cast.assign("theo", "rosa")
    rosa = cast.caller("rosa", "coach")
    assert rosa.get(f"/goals/{goal}").status_code == 200
    rosa.post(f"/assignments/{assignment}/end")
    cast.settle()
    assert rosa.get(f"/goals/{goal}").status_code == 404
    assert rosa.post(f"/goals/{goal}/agree").status_code == 404
