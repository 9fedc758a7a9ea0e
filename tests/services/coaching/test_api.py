"""Duty, referrals, assignments and the caseload."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from schemas.coaching import AssignmentEnded, ClientAssigned, CoachWentOffDuty, CoachWentOnDuty
from schemas.people import GrantGiven, RecordSeen
from services.coaching.model import Assignment, Referral
from tests.world import Caller, World, an_id


@pytest.fixture
def cast(world: World) -> World:
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.join("supervisor", "ines")
    return world


@pytest.fixture
def ines(cast: World) -> Caller:
    return cast.caller("ines", "supervisor")


@pytest.fixture
def sam(cast: World) -> Caller:
    return cast.caller("sam", "coach")


@pytest.fixture
def maya(cast: World) -> Caller:
    return cast.caller("maya", "client")


def an_assignment(client: str = "maya", coach: str = "sam") -> dict[str, str]:
    return {"id": an_id(), "client_id": client, "coach_id": coach}


# -- duty


def test_a_coach_goes_on_and_off_duty_and_each_is_told_once(cast: World, sam: Caller) -> None:
    assert sam.get("/me/availability").json["on_duty"] is False
    for on_duty in (True, True, False, False, True):
        answer = sam.put("/me/availability", {"on_duty": on_duty})
        assert (answer.status_code, answer.json["on_duty"]) == (200, on_duty)
        assert sam.get("/me/availability").json == answer.json
    assert [event.coach_id for event in cast.events(CoachWentOnDuty)] == ["sam", "sam"]
    assert len(cast.events(CoachWentOffDuty)) == 1


def test_everybody_sees_the_coaches_and_who_is_on_duty(cast: World, maya: Caller) -> None:
    cast.on_duty("rosa")
    assert maya.get("/coaches").json["items"] == [{"id": "rosa", "on_duty": True}, {"id": "sam", "on_duty": False}]


@pytest.mark.parametrize("body", [{}, {"on_duty": "yes"}, {"on_duty": 1}, {"on_duty": None}, {"on": True}], ids=str)
def test_a_wrong_availability_changes_nothing(world: World, body: dict[str, Any]) -> None:
    sam = world.caller("sam", "coach")
    before = sam.get("/me/availability").json
    assert sam.put("/me/availability", body).status_code == 422
    assert sam.get("/me/availability").json == before


@pytest.mark.parametrize("role", ["client", "supervisor", "admin", "organiser"])
def test_only_coaches_have_duty(world: World, role: str) -> None:
    assert world.caller("somebody", role).put("/me/availability", {"on_duty": True}).status_code == 404
    assert world.caller("somebody", role).get("/caseload").status_code == 404


# -- assignments


def test_a_supervisor_assigns_and_the_grant_follows(cast: World, ines: Caller) -> None:
    body = an_assignment()
    answer = ines.post("/assignments", body)
    assert answer.status_code == 201
    assert {**body, "state": "active"}.items() <= answer.json.items()
    (assigned,) = cast.events(ClientAssigned)
    assert (assigned.client_id, assigned.coach_id) == ("maya", "sam")

    again = ines.post("/assignments", body)
    assert again.status_code == 200
    (grant,) = again.json["grants"]
    assert (grant["holder_id"], grant["subject_id"], grant["scope"], grant["until"]) == ("sam", "maya", "care", None)
    assert len(cast.events(ClientAssigned)) == 1
    assert len(cast.events(GrantGiven)) == 1


def test_an_assignment_waits_for_its_grants_and_answers_with_them(
    cast: World, ines: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.coaching.api.GRANTS_WITHIN_SECONDS", 30)
    over = threading.Event()

    def live() -> None:
        while not over.is_set():
            cast.settle()

    living = threading.Thread(target=live)
    living.start()
    try:
        answer = ines.post("/assignments", an_assignment())
    finally:
        over.set()
        living.join()
    assert answer.status_code == 201
    assert [grant["holder_id"] for grant in answer.json["grants"]] == ["sam"]


def test_while_the_log_is_away_an_assignment_is_made_all_the_same(ines: Caller) -> None:
    answer = ines.post("/assignments", an_assignment())
    assert (answer.status_code, answer.json["grants"]) == (201, [])


def test_the_same_id_with_another_body_answers_409(ines: Caller) -> None:
    body = an_assignment()
    assert ines.post("/assignments", body).status_code == 201
    assert ines.post("/assignments", {**body, "coach_id": "rosa"}).status_code == 409
    kept = Assignment.load(body["id"])
    assert kept is not None
    assert kept.coach_id == "sam"


def test_another_supervisor_cannot_take_an_id_that_was_used(cast: World, ines: Caller) -> None:
    body = an_assignment()
    ines.post("/assignments", body)
    assert cast.caller("otto", "supervisor").post("/assignments", body).status_code == 409


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"client_id": "sam"}, "client_id"),
        ({"coach_id": "maya"}, "coach_id"),
        ({"coach_id": "ines"}, "coach_id"),
    ],
    ids=str,
)
def test_only_a_client_is_assigned_and_only_to_a_coach(ines: Caller, wrong: dict[str, str], field: str) -> None:
    answer = ines.post("/assignments", {**an_assignment(), **wrong})
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert Assignment.raw().count_documents({}) == 0


def test_somebody_who_is_not_there_is_not_assigned(ines: Caller) -> None:
    answer = ines.post("/assignments", an_assignment(client="nobody"))
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["client_id"])


@pytest.mark.parametrize("role", ["client", "admin", "organiser"])
def test_other_roles_assign_nobody(cast: World, role: str) -> None:
    assert cast.caller("maya", role).post("/assignments", an_assignment()).status_code == 404
    assert Assignment.raw().count_documents({}) == 0


def test_a_coach_cannot_take_on_a_client_who_did_not_ask(sam: Caller) -> None:
    assert sam.post("/assignments", an_assignment()).status_code == 404
    assert Assignment.raw().count_documents({}) == 0


def test_a_coach_takes_on_a_client_who_asked_for_oneself_and_for_nobody_else(
    cast: World, maya: Caller, sam: Caller
) -> None:
    referral = {"id": an_id(), "coach_id": "sam"}
    assert maya.post("/referrals", referral).status_code == 201
    assert sam.post("/assignments", an_assignment(coach="rosa")).status_code == 404
    assert cast.caller("rosa", "coach").post("/assignments", an_assignment(coach="rosa")).status_code == 404
    assert sam.post("/assignments", an_assignment()).status_code == 201
    assert [asked["state"] for asked in maya.get("/referrals").json["items"]] == ["taken"]
    assert sam.get("/referrals").json["items"] == []


def test_any_coach_may_take_on_a_client_who_asked_for_anybody(cast: World, maya: Caller) -> None:
    maya.post("/referrals", {"id": an_id()})
    rosa = cast.caller("rosa", "coach")
    assert rosa.post("/assignments", an_assignment(coach="rosa")).status_code == 201
    assert rosa.post("/assignments", an_assignment(coach="rosa")).status_code == 404, "the asking was answered"


@pytest.mark.parametrize("asked_for", ["sam", None])
def test_a_referral_is_taken_when_a_supervisor_assigns_whom_it_asked_for(
    maya: Caller, ines: Caller, asked_for: str | None
) -> None:
    maya.post("/referrals", {"id": an_id(), "coach_id": asked_for})
    ines.post("/assignments", an_assignment())
    assert [asked["state"] for asked in maya.get("/referrals").json["items"]] == ["taken"]


@pytest.mark.parametrize(("who", "role"), [("ines", "supervisor"), ("sam", "coach"), ("maya", "client")])
def test_a_supervisor_or_either_of_the_two_ends_it_once(cast: World, who: str, role: str) -> None:
    assignment = cast.assign("maya", "sam")
    for _ in range(2):
        answer = cast.caller(who, role).post(f"/assignments/{assignment}/end")
        assert (answer.status_code, answer.json["state"], answer.json["grants"]) == (200, "ended", [])
    assert len(cast.events(AssignmentEnded)) == 1
    assert cast.caller("sam", "coach").get("/caseload").json["items"] == []


@pytest.mark.parametrize(("who", "role"), [("rosa", "coach"), ("theo", "client"), ("ada", "admin")])
def test_nobody_else_ends_it_or_learns_of_it(cast: World, who: str, role: str) -> None:
    assignment = cast.assign("maya", "sam")
    assert cast.caller(who, role).post(f"/assignments/{assignment}/end").status_code == 404
    assert cast.events(AssignmentEnded) == []


def test_the_caseload_holds_a_coachs_own_clients_and_is_a_look_at_each(cast: World, sam: Caller) -> None:
    mine, theirs = cast.assign("maya", "sam"), cast.assign("theo", "rosa")
    (item,) = sam.get("/caseload").json["items"]
    assert (item["assignment_id"], item["client_id"]) == (mine, "maya")
    assert [i["assignment_id"] for i in cast.caller("rosa", "coach").get("/caseload").json["items"]] == [theirs]
    looks = cast.events(RecordSeen, lambda seen: seen.what == "caseload")
    assert sorted((look.viewer_id, look.subject_id) for look in looks) == [("rosa", "theo"), ("sam", "maya")]


# -- referrals


def test_asking_for_a_coach_answers_201_200_and_409(maya: Caller) -> None:
    body = {"id": an_id(), "coach_id": "sam"}
    first = maya.post("/referrals", body)
    assert (first.status_code, first.json["state"], first.json["client_id"]) == (201, "open", "maya")
    again = maya.post("/referrals", body)
    assert (again.status_code, again.json) == (200, first.json)
    assert maya.post("/referrals", {"id": body["id"]}).status_code == 409
    assert Referral.raw().count_documents({}) == 1


def test_another_clients_id_is_not_a_way_to_their_referral(cast: World, maya: Caller) -> None:
    body = {"id": an_id(), "coach_id": "sam"}
    maya.post("/referrals", body)
    answer = cast.caller("theo", "client").post("/referrals", body)
    assert answer.status_code == 409
    assert "maya" not in answer.text


def test_asking_for_somebody_who_is_no_coach_names_the_field(maya: Caller) -> None:
    answer = maya.post("/referrals", {"id": an_id(), "coach_id": "theo"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["coach_id"])


def test_a_referral_is_seen_by_its_client_the_coach_it_names_and_a_supervisor(cast: World, maya: Caller) -> None:
    named, open_to_all = {"id": an_id(), "coach_id": "sam"}, {"id": an_id()}
    maya.post("/referrals", named)
    cast.caller("theo", "client").post("/referrals", open_to_all)

    def seen_by(who: str, role: str) -> set[str]:
        return {asked["id"] for asked in cast.caller(who, role).get("/referrals").json["items"]}

    assert seen_by("maya", "client") == {named["id"]}
    assert seen_by("theo", "client") == {open_to_all["id"]}
    assert seen_by("sam", "coach") == {named["id"], open_to_all["id"]}
    assert seen_by("rosa", "coach") == {open_to_all["id"]}
    assert seen_by("ines", "supervisor") == {named["id"], open_to_all["id"]}
    assert cast.caller("ada", "admin").get("/referrals").status_code == 404
    looks = cast.events(RecordSeen, lambda seen: seen.what == "referral")
    assert {(look.viewer_id, look.subject_id) for look in looks} == {
        ("sam", "maya"),
        ("sam", "theo"),
        ("rosa", "theo"),
        ("ines", "maya"),
        ("ines", "theo"),
    }
