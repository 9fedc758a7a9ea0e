"""Accounts, sign-in, grants, and the ledger that its subject can read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import argon2
import pytest

from infra.access import NotSignedIn, Tokens
from infra.ids import derived_id
from schemas.base import now
from schemas.coaching import AssignmentEnded, ClientAssigned
from schemas.people import GrantEnded, GrantGiven, PersonJoined, RecordSeen, SessionEnded
from schemas.risk import AlertClosed, AlertRaised
from services.people import model
from services.people.model import Person, Session
from tests.world import SECRET, Caller, World, an_id, password_of


@pytest.fixture
def ada(world: World) -> Caller:
    return world.joins("ada", "admin")


@pytest.fixture
def maya(world: World) -> Caller:
    return world.joins("maya", "client")


def a_person(**changed: Any) -> dict[str, Any]:
    return {
        "id": an_id(),
        "role": "client",
        "login": f"login-{an_id()}",
        "password": "ten letters and more",
        "display_name": "Maya",
        **changed,
    }


def sign_in(world: World, name: str) -> dict[str, Any]:
    answer = world.nobody().post("/auth/token", {"login": name, "password": password_of(name)})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json
    return tokens


def refresh(world: World, token: str) -> Any:
    return world.nobody().post("/auth/refresh", {"refresh_token": token})


# -- sign-in


@pytest.mark.usefixtures("maya")
def test_a_person_signs_in_and_the_token_says_who(world: World) -> None:
    tokens = sign_in(world, "maya")
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert tokens["person"] == {"id": "maya", "role": "client", "display_name": "Maya"}
    identity = Tokens(SECRET, "app").read(tokens["access_token"])
    assert (identity.person_id, identity.role) == ("maya", "client")
    session = Session.load(identity.session_id)
    assert session is not None
    assert session.person_id == "maya"


@pytest.mark.usefixtures("maya")
def test_a_wrong_password_and_an_unknown_login_are_answered_alike(world: World) -> None:
    wrong = world.nobody().post("/auth/token", {"login": "maya", "password": "not the password"})
    unknown = world.nobody().post("/auth/token", {"login": "nobody", "password": "not the password"})
    for answer in (wrong, unknown):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert wrong.json | {"instance": None} == unknown.json | {"instance": None}
    assert Session.raw().count_documents({}) == 0


@pytest.mark.usefixtures("maya")
def test_an_access_token_opens_no_service_by_itself(world: World) -> None:
    token = sign_in(world, "maya")["access_token"]
    answer = world.nobody().get("/me", headers={"X-Alongside-Identity": token})
    assert answer.status_code == 401
    with pytest.raises(NotSignedIn):
        Tokens(SECRET, "people").read(token)


def test_a_password_is_kept_as_a_strong_hash_and_nothing_else() -> None:
    hasher = argon2.PasswordHasher()
    assert (model.PasswordHasher().time_cost, model.PasswordHasher().memory_cost) == (
        hasher.time_cost,
        hasher.memory_cost,
    )
    assert hasher.memory_cost >= 65536
    assert hasher.time_cost >= 3
    assert model._NOBODY.startswith("$argon2id$")


@pytest.mark.usefixtures("maya")
def test_no_password_lies_in_the_store_or_on_the_log(world: World) -> None:
    kept = repr(list(Person.raw().find())) + repr(world.told)
    assert "maya" in kept
    assert password_of("maya") not in kept
    assert "Maya" not in kept, "the name is sealed"


@pytest.mark.usefixtures("maya")
def test_a_refresh_rotates_and_the_new_one_is_good(world: World) -> None:
    first = sign_in(world, "maya")
    second = refresh(world, first["refresh_token"])
    assert second.status_code == 200
    assert second.json["refresh_token"] != first["refresh_token"]
    assert second.json["person"] == first["person"]
    third = refresh(world, second.json["refresh_token"])
    assert third.status_code == 200
    assert Session.raw().count_documents({}) == 1, "one sign-in, one family"


@pytest.mark.usefixtures("maya")
def test_an_old_refresh_token_used_twice_ends_the_family(world: World) -> None:
    first = sign_in(world, "maya")
    second = refresh(world, first["refresh_token"]).json
    assert refresh(world, first["refresh_token"]).status_code == 401
    assert refresh(world, second["refresh_token"]).status_code == 401, "nobody knows who of the two is the thief"
    (ended,) = world.events(SessionEnded)
    assert ended.person_id == "maya"


@pytest.mark.usefixtures("maya")
def test_another_sign_in_of_the_same_person_goes_on(world: World) -> None:
    phone, desk = sign_in(world, "maya"), sign_in(world, "maya")
    refresh(world, phone["refresh_token"])
    refresh(world, phone["refresh_token"])
    assert refresh(world, desk["refresh_token"]).status_code == 200


@pytest.mark.usefixtures("maya")
@pytest.mark.parametrize("token", ["x", ".", "no-such-session.secret", "\U0001f600", "a" * 4096])
def test_a_made_up_refresh_token_answers_401(world: World, token: str) -> None:
    assert refresh(world, token).status_code == 401


@pytest.mark.usefixtures("maya")
def test_a_made_up_secret_of_a_real_session_ends_nothing(world: World) -> None:
    tokens = sign_in(world, "maya")
    session_id = tokens["refresh_token"].partition(".")[0]
    assert refresh(world, f"{session_id}.guessed").status_code == 401
    assert refresh(world, tokens["refresh_token"]).status_code == 200


@pytest.mark.usefixtures("maya")
def test_a_session_ends_by_itself(world: World) -> None:
    tokens = sign_in(world, "maya")
    Session.raw().update_many({}, {"$set": {"expires_at": now() - timedelta(seconds=1)}})
    assert refresh(world, tokens["refresh_token"]).status_code == 401


@pytest.mark.usefixtures("maya")
def test_after_signing_out_the_refresh_token_is_good_no_more(world: World) -> None:
    tokens = sign_in(world, "maya")
    session_id = Tokens(SECRET, "app").read(tokens["access_token"]).session_id
    identity = Tokens(SECRET, "people").sign("maya", "client", session_id, 60)
    for _ in range(2):
        answer = world.nobody().post("/auth/sign-out", headers={"X-Alongside-Identity": identity})
        assert (answer.status_code, answer.data) == (204, b"")
    assert refresh(world, tokens["refresh_token"]).status_code == 401
    (ended,) = world.events(SessionEnded)
    assert (ended.person_id, ended.session_id) == ("maya", session_id)


def test_signing_out_needs_a_sign_in(world: World) -> None:
    assert world.nobody().post("/auth/sign-out").status_code == 401
    assert world.caller("maya", "client").post("/auth/sign-out").status_code == 401, "of a session that never was"


def test_sign_in_with_firebase_that_is_not_set_up_says_so(world: World) -> None:
    assert world.nobody().post("/auth/firebase", {"id_token": "x"}).status_code == 501


# -- accounts


def test_an_admin_enrols_a_person_who_can_then_sign_in(world: World, ada: Caller) -> None:
    body = a_person(login="theo", password=password_of("theo"), display_name="Theo", timezone="Europe/London")
    answer = ada.post("/people", body)
    assert answer.status_code == 201
    assert answer.json == {
        "id": body["id"],
        "role": "client",
        "display_name": "Theo",
        "timezone": "Europe/London",
        "language": "en",
    }
    assert sign_in(world, "theo")["person"]["id"] == body["id"]
    assert [(e.person_id, e.role) for e in world.events(PersonJoined)][-1] == (body["id"], "client")


def test_enrolling_twice_answers_200_and_is_one_person(world: World, ada: Caller) -> None:
    body = a_person()
    first, again = ada.post("/people", body), ada.post("/people", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert len(world.events(PersonJoined, lambda event: event.person_id == body["id"])) == 1


def test_the_same_id_with_another_body_answers_409(ada: Caller) -> None:
    body = a_person()
    ada.post("/people", body)
    assert ada.post("/people", {**body, "display_name": "Another"}).status_code == 409
    assert ada.get(f"/people/{body['id']}").json["display_name"] == "Maya"


def test_a_login_that_is_taken_answers_409(ada: Caller) -> None:
    body = a_person()
    ada.post("/people", body)
    answer = ada.post("/people", {**body, "id": an_id()})
    assert answer.status_code == 409
    assert "login" in answer.json["detail"]


def test_a_login_that_was_taken_a_moment_ago_answers_409(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one was enrolled after we looked and before we wrote."""
    body = a_person()
    ada.post("/people", body)
    monkeypatch.setattr("pymongo.collection.Collection.find_one", lambda *_, **__: None)
    assert ada.post("/people", {**body, "id": an_id()}).status_code == 409


def test_a_firebase_account_that_is_taken_answers_409(ada: Caller) -> None:
    assert ada.post("/people", a_person(firebase_uid="uid-1")).status_code == 201
    answer = ada.post("/people", a_person(firebase_uid="uid-1"))
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"role": "king"}, "role"),
        ({"login": "Not A Login"}, "login"),
        ({"password": "short"}, "password"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "half \ud800"}, "display_name"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"language": "?"}, "language"),
        ({"grants": []}, "grants"),
    ],
    ids=str,
)
def test_a_wrong_account_answers_422_names_the_field_and_opens_nothing(
    ada: Caller, wrong: dict[str, Any], field: str
) -> None:
    answer = ada.post("/people", a_person(**wrong))
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert "short" not in answer.text
    assert Person.raw().count_documents({}) == 1


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "organiser"])
def test_only_an_admin_enrols_or_lists_people(world: World, role: str) -> None:
    assert world.caller("somebody", role).post("/people", a_person()).status_code == 404
    assert world.caller("somebody", role).get("/people").status_code == 404
    assert Person.raw().count_documents({}) == 0


def test_an_admin_lists_people_a_page_at_a_time_and_each_is_a_look(world: World, ada: Caller) -> None:
    world.join("client", "bea", "cy", "dee")
    first = ada.get("/people?limit=2").json
    assert [person["id"] for person in first["items"]] == ["ada", "bea"]
    second = ada.get(f"/people?limit=2&after={first['next']}").json
    assert [person["id"] for person in second["items"]] == ["cy", "dee"]
    assert second["next"] is None
    assert {look.subject_id for look in world.events(RecordSeen)} == {"bea", "cy", "dee"}


def test_an_admin_sees_accounts_and_no_clinical_record(world: World, ada: Caller, maya: Caller) -> None:
    maya.post("/check-ins", {"id": an_id(), "craving": 9})
    maya.post("/goals", {"id": "g", "text": "walk every day"})
    world.settle()
    assert ada.get("/people/maya").status_code == 200
    for path in ("/clients/maya/risk", "/check-ins?client_id=maya", "/goals?client_id=maya", "/goals/g"):
        assert ada.get(path).status_code == 404, path
    assert ada.get("/alerts").json["items"] == []
    for path in ("/caseload", "/referrals"):
        assert ada.get(path).status_code == 404, path


def test_me_is_who_is_asking(maya: Caller) -> None:
    assert maya.get("/me").json == {
        "id": "maya",
        "role": "client",
        "display_name": "Maya",
        "timezone": "UTC",
        "language": "en",
    }


@pytest.mark.usefixtures("ada")
def test_who_knows_whose_account(world: World) -> None:
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.join("supervisor", "ines")
    world.assign("maya", "sam")

    def knows(who: str, role: str, whom: str) -> bool:
        return world.caller(who, role).get(f"/people/{whom}").status_code == 200

    assert knows("sam", "coach", "maya"), "the coach, by the grant"
    assert knows("maya", "client", "sam"), "the client knows who is there"
    assert knows("rosa", "coach", "sam"), "staff know staff"
    assert knows("ada", "admin", "theo")
    assert not knows("rosa", "coach", "maya")
    assert not knows("theo", "client", "maya")
    assert not knows("theo", "client", "sam")
    assert not knows("ines", "supervisor", "maya")
    assert not knows("sam", "coach", "nobody")


def test_an_edit_needs_the_version_that_it_edits(maya: Caller) -> None:
    tag = maya.get("/people/maya").headers["ETag"]
    assert maya.patch("/people/maya", {"display_name": "May"}).status_code == 428
    edited = maya.patch("/people/maya", {"display_name": "May"}, headers={"If-Match": tag})
    assert (edited.status_code, edited.json["display_name"]) == (200, "May")
    assert edited.headers["ETag"] != tag
    assert maya.patch("/people/maya", {"display_name": "M"}, headers={"If-Match": tag}).status_code == 412
    assert maya.get("/me").json["display_name"] == "May"


def test_nobody_edits_another_person(ada: Caller, maya: Caller) -> None:
    tag = maya.get("/people/maya").headers["ETag"]
    answer = ada.patch("/people/maya", {"display_name": "Not Maya"}, headers={"If-Match": tag})
    assert answer.status_code == 404
    assert maya.get("/me").json["display_name"] == "Maya"


# -- grants


@pytest.fixture
def assigned(world: World) -> str:
    """Maya is with Sam; the id of the assignment."""
    world.join("client", "maya")
    world.join("coach", "sam", "rosa")
    return world.assign("maya", "sam")


def test_a_grant_follows_from_an_assignment_and_ends_with_it(world: World, assigned: str) -> None:
    (given,) = world.events(GrantGiven)
    assert (given.holder_id, given.subject_id, given.scope, given.until) == ("sam", "maya", "care", None)
    assert given.grant_id == derived_id(assigned, "care")
    for name in world.services:
        assert world.services[name].grants.allows("sam", "maya"), f"{name} has its own copy"
    for person in ("sam", "maya"):
        (shown,) = world.caller(person, "client").get("/grants").json["items"]
        assert shown == {"id": given.grant_id, "holder_id": "sam", "subject_id": "maya", "scope": "care", "until": None}

    world.caller("maya", "client").post(f"/assignments/{assigned}/end")
    (ended,) = world.events(GrantEnded)
    assert ended.grant_id == given.grant_id
    for name in world.services:
        assert not world.services[name].grants.allows("sam", "maya"), name
    assert world.caller("sam", "coach").get("/grants").json["items"] == []


@pytest.mark.usefixtures("assigned")
def test_others_see_none_of_it(world: World) -> None:
    assert world.caller("rosa", "coach").get("/grants").json["items"] == []


@pytest.mark.usefixtures("assigned")
def test_an_assignment_heard_twice_gives_one_grant(world: World) -> None:
    (event,) = world.events(ClientAssigned)
    world.publish(event)
    assert len(world.events(GrantGiven)) == 1


def test_an_end_that_is_heard_first_stays_the_end(world: World) -> None:
    ids = {"assignment_id": "a", "client_id": "maya", "coach_id": "sam"}
    world.publish(AssignmentEnded(id=an_id(), at=now(), version=2, **ids))
    world.settle()
    world.publish(ClientAssigned(id=an_id(), at=now(), version=1, **ids))
    world.settle()
    assert not world.services["risk"].grants.allows("sam", "maya")
    assert world.caller("sam", "coach").get("/grants").json["items"] == []


def an_alert_event(kind: type[Any], rung: str, tell: list[str], **more: Any) -> Any:
    ids = {"alert_id": "alert", "client_id": "maya"}
    return kind(id=an_id(), at=now(), version=1, band="high", rung=rung, tell=tell, **ids, **more)


def test_those_asked_to_stand_in_may_see_the_client_for_a_day_or_until_it_is_closed(world: World) -> None:
    raised = an_alert_event(AlertRaised, "cover", ["rosa", "ines"], due_at=now())
    world.publish(raised, raised)
    given = world.events(GrantGiven)
    assert sorted((grant.holder_id, grant.scope) for grant in given) == [("ines", "cover"), ("rosa", "cover")]
    assert {grant.until for grant in given} == {raised.at + timedelta(hours=24)}
    assert world.services["goals"].grants.allows("rosa", "maya")

    closed = an_alert_event(AlertClosed, "cover", ["sam", "rosa", "ines"], by="rosa")
    world.publish(closed, closed)
    assert sorted(grant.holder_id for grant in world.events(GrantEnded)) == ["ines", "rosa"]
    assert not world.services["goals"].grants.allows("rosa", "maya")


def test_the_coachs_own_rung_gives_no_cover(world: World) -> None:
    world.publish(an_alert_event(AlertRaised, "coach", ["sam"], due_at=now()))
    assert world.events(GrantGiven) == []


# -- the ledger


@pytest.mark.usefixtures("assigned")
def test_every_look_is_in_the_ledger_that_the_client_can_read(world: World) -> None:
    sam, maya = world.caller("sam", "coach"), world.caller("maya", "client")
    sam.get("/clients/maya/risk")
    sam.get("/goals?client_id=maya")
    sam.get("/people/maya")
    sam.get("/caseload")
    world.settle()
    entries = maya.get("/audit").json["items"]
    assert {(entry["viewer_id"], entry["what"]) for entry in entries} == {
        ("sam", "risk"),
        ("sam", "goals"),
        ("sam", "account"),
        ("sam", "caseload"),
    }
    assert all(entry["subject_id"] == "maya" for entry in entries)


def test_a_look_that_is_heard_twice_is_one_entry(world: World, maya: Caller) -> None:
    look = RecordSeen(id=an_id(), at=now(), version=1, viewer_id="sam", subject_id="maya", what="risk")
    world.publish(look, look)
    world.settle()
    assert len(maya.get("/audit").json["items"]) == 1


def test_an_admin_reads_the_ledger_of_a_client_and_that_is_a_look_too(world: World, ada: Caller, maya: Caller) -> None:
    assert ada.get("/audit?client_id=maya").status_code == 200
    world.settle()
    assert [(entry["viewer_id"], entry["what"]) for entry in maya.get("/audit").json["items"]] == [
        ("ada", "audit ledger")
    ]


@pytest.mark.usefixtures("assigned")
def test_nobody_else_reads_a_clients_ledger(world: World) -> None:
    for who, role in (("sam", "coach"), ("theo", "client"), ("ines", "supervisor"), ("ola", "organiser")):
        assert world.caller(who, role).get("/audit?client_id=maya").status_code == 404
