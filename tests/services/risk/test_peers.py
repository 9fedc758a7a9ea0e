"""Asking people who offered: the first to say yes is the one, and nobody is named before."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from infra.access import TALKING
from infra.ids import derived_id
from schemas.base import now
from schemas.peers import PeerAccepted, PeersAsked, PeerTalkEnded
from schemas.people import GrantEnded, GrantGiven, RecordSeen
from services.risk import service
from services.risk.peers_model import OPEN, REST, TALK, Peer, PeerAsk
from tests.services.risk.mothers import a_plan, a_rough_day
from tests.world import Caller, World, an_id

PEERS = ("pia", "per", "paz", "pol")


@pytest.fixture
def cast(world: World) -> World:
    """Maya and Theo, and four who have been where they are; Pia, Per and Paz offered, Pol did not."""
    world.join("client", "maya", "theo", *PEERS)
    world.join("coach", "sam")
    world.assign("maya", "sam")
    for name, area in (("pia", "SW1A 1"), ("per", "SW1"), ("paz", "E1")):
        offer(world.caller(name, "client"), area)
    return world


@pytest.fixture
def pia(cast: World) -> Caller:
    return cast.caller("pia", "client")


@pytest.fixture
def per(cast: World) -> Caller:
    return cast.caller("per", "client")


def offer(caller: Caller, area: str = "SW1A", *languages: str) -> None:
    answer = caller.put("/me/peer-support", {"on": True, "area": area, "languages": list(languages)})
    assert answer.status_code == 200, answer.text


def ask(caller: Caller, **body: Any) -> str:
    """The id of what was asked."""
    id = an_id()
    answer = caller.post("/help/peers", {"id": id, **body})
    assert answer.status_code == 201, answer.text
    return id


def asked_of(caller: Caller) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = caller.get("/help/asked").json["items"]
    return items


def later(ask_id: str, by: timedelta) -> None:
    """As if so much time had gone by for an ask."""
    kept = PeerAsk.raw().find_one({"_id": ask_id})
    assert kept is not None
    moments = {name: kept[name] - by for name in ("asked_at", "until", "accepted_at") if kept.get(name)}
    PeerAsk.raw().update_one({"_id": ask_id}, {"$set": moments})


# -- offering


def test_an_offer_is_read_back_by_whoever_made_it_and_sealed(cast: World, pia: Caller) -> None:
    offer(pia, "Quicksilver Road", "en", "es-MX")
    said = {"on": True, "area": "Quicksilver Road", "languages": ["en", "es-MX"]}
    assert pia.get("/me/peer-support").json == said
    kept = repr(list(Peer.raw().find())) + json.dumps([event.dump() for event in cast.told])
    assert "pia" in kept
    assert "Quicksilver" not in kept


def test_an_offer_that_is_taken_back_keeps_no_place(pia: Caller) -> None:
    assert pia.put("/me/peer-support", {"on": False}).json == {"on": False, "area": None, "languages": []}
    kept = Peer.raw().find_one({"_id": "pia"})
    assert kept is not None
    assert kept.get("offer") is None
    assert pia.get("/me/peer-support").json["on"] is False


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"on": True}, "area"),
        ({"on": True, "area": None}, "area"),
        ({"on": True, "area": ""}, "area"),
        ({"on": True, "area": "x" * 61}, "area"),
        ({"on": True, "area": "x", "languages": ["English please"]}, "languages"),
        ({"on": True, "area": "x", "languages": ["en"] * 11}, "languages"),
        ({"area": "x"}, "on"),
        ({"on": "yes", "area": "x"}, "on"),
        ({"on": True, "area": "x", "street": "y"}, "street"),
    ],
    ids=str,
)
def test_a_wrong_offer_answers_422_and_names_the_field(cast: World, wrong: dict[str, Any], field: str) -> None:
    pol = cast.caller("pol", "client")
    answer = pol.put("/me/peer-support", wrong)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert pol.get("/me/peer-support").json["on"] is False


@pytest.mark.parametrize(("role", "status"), [("coach", 200), ("organiser", 200), ("supervisor", 404), ("admin", 404)])
def test_clients_coaches_and_organisers_may_offer(cast: World, role: str, status: int) -> None:
    other = cast.caller("sam", role)
    assert other.put("/me/peer-support", {"on": True, "area": "x"}).status_code == status
    assert other.get("/me/peer-support").status_code == status


# -- asking


def test_up_to_three_are_asked_the_nearest_first_and_told_by_the_event(cast: World, maya: Caller) -> None:
    offer(cast.caller("pol", "client"), "Leeds")
    id = an_id()
    answer = maya.post("/help/peers", {"id": id, "area": "SW1A 1AA"})
    assert (answer.status_code, answer.json["asked"], answer.json["accepted_by"]) == (201, 3, None)
    assert answer.json["cards"][0]["kind"] == "peers"
    assert "pia" not in answer.text, "who was asked is theirs to say"
    (told,) = cast.events(PeersAsked)
    assert (told.ask_id, told.client_id) == (id, "maya")
    assert told.tell[:2] == ["pia", "per"]
    assert len(told.tell) == 3


def test_nobody_is_asked_for_themselves_and_an_offer_that_was_taken_back_is_none(cast: World, pia: Caller) -> None:
    cast.caller("paz", "client").put("/me/peer-support", {"on": False})
    ask(pia)
    assert cast.events(PeersAsked)[0].tell == ["per"]


def test_where_nobody_offered_nobody_is_claimed_to_have_been_asked(world: World) -> None:
    maya = world.caller("maya", "client")
    answer = maya.post("/help/peers", {"id": an_id()})
    assert (answer.status_code, answer.json["asked"]) == (201, 0)
    assert answer.json["cards"][0]["title"] == "Nobody who offered can be asked right now"
    assert world.events(PeersAsked) == []
    assert maya.post("/help/peers", {"id": an_id()}).status_code == 201, "it may be tried again"


def test_a_repeat_is_the_same_ask_and_another_body_or_person_is_refused(cast: World, maya: Caller) -> None:
    body = {"id": an_id(), "area": "SW1A"}
    first, again = maya.post("/help/peers", body), maya.post("/help/peers", body)
    assert (first.status_code, again.status_code, again.json) == (201, 200, first.json)
    assert maya.post("/help/peers", {**body, "area": "E1"}).status_code == 409
    assert cast.caller("theo", "client").post("/help/peers", body).status_code == 409
    assert len(cast.events(PeersAsked)) == 1


def test_while_somebody_may_still_answer_nobody_else_is_bothered(maya: Caller) -> None:
    first = ask(maya)
    assert maya.post("/help/peers", {"id": an_id()}).status_code == 409
    later(first, OPEN)
    ask(maya)


def test_when_all_have_declined_others_may_be_asked_and_those_not_for_an_hour(cast: World, maya: Caller) -> None:
    id = ask(maya)
    offer(cast.caller("pol", "client"), "Leeds")
    for name in ("pia", "per", "paz"):
        assert cast.caller(name, "client").post(f"/help/peers/{id}/decline").status_code == 200
    second = ask(maya)
    assert cast.events(PeersAsked)[-1].tell == ["pol"]
    cast.caller("pol", "client").post(f"/help/peers/{second}/decline")
    Peer.raw().update_many({}, {"$set": {"declined_at": now() - REST}})
    ask(maya)
    assert len(cast.events(PeersAsked)[-1].tell) == 3


def test_an_erased_person_is_not_asked(cast: World, maya: Caller) -> None:
    service.vault.destroy("pia")
    ask(maya, area="SW1A 1")
    assert set(cast.events(PeersAsked)[0].tell) == {"per", "paz"}


def test_where_somebody_asks_from_is_kept_nowhere(cast: World, maya: Caller) -> None:
    ask(maya, area="Quicksilver Road")
    cast.settle()
    kept = [list(service.store.collection(name).find()) for name in service.store.records.list_collection_names()]
    assert "peer_asks" in service.store.records.list_collection_names()
    assert "Quicksilver" not in repr(kept)
    assert "Quicksilver" not in json.dumps([event.dump() for event in cast.told])


@pytest.mark.parametrize("role", ["coach", "supervisor", "organiser", "admin"])
def test_only_a_client_asks(cast: World, role: str) -> None:
    assert cast.caller("sam", role).post("/help/peers", {"id": an_id()}).status_code == 404


# -- answering


def test_who_asks_is_shown_to_nobody_before_they_have_said_yes(
    cast: World, maya: Caller, pia: Caller, per: Caller
) -> None:
    id = ask(maya)
    for peer in (pia, per):
        (item,) = asked_of(peer)
        assert (item["id"], item["state"], item["client_id"]) == (id, "open", None)
        assert "maya" not in peer.get("/help/asked").text
    accepted = pia.post(f"/help/peers/{id}/accept")
    assert (accepted.status_code, accepted.json["state"], accepted.json["client_id"]) == (200, "accepted", "maya")
    assert asked_of(pia)[0]["client_id"] == "maya"
    (item,) = asked_of(per)
    assert (item["state"], item["client_id"]) == ("taken", None)
    shown = maya.get(f"/help/peers/{id}").json
    assert shown["accepted_by"] == "pia"
    assert shown["cards"][0]["title"] == "Somebody who was asked said yes"
    looks = cast.events(RecordSeen, lambda seen: seen.what == "asked peers")
    assert {(look.viewer_id, look.subject_id) for look in looks} == {("pia", "maya")}


def test_the_first_to_accept_is_the_one_and_the_others_are_told_so(cast: World, maya: Caller) -> None:
    id = ask(maya)
    together = Barrier(3)

    def accept(name: str) -> tuple[str, int]:
        together.wait()
        return name, int(cast.caller(name, "client").post(f"/help/peers/{id}/accept").status_code)

    with ThreadPoolExecutor(3) as pool:
        answers = dict(racing.result() for racing in [pool.submit(accept, name) for name in ("pia", "per", "paz")])
    assert sorted(answers.values()) == [200, 409, 409]
    (accepted,) = cast.events(PeerAccepted)
    assert answers[accepted.peer_id] == 200
    assert (accepted.ask_id, accepted.client_id, accepted.tell) == (id, "maya", ["maya"])
    assert [grant.holder_id for grant in cast.events(GrantGiven, lambda grant: grant.scope == "peer")] == [
        accepted.peer_id
    ]


def test_accepting_twice_says_it_once(cast: World, maya: Caller, pia: Caller) -> None:
    id = ask(maya)
    first, again = pia.post(f"/help/peers/{id}/accept"), pia.post(f"/help/peers/{id}/accept")
    assert (again.status_code, again.json) == (200, first.json)
    assert len(cast.events(PeerAccepted)) == 1
    assert pia.post(f"/help/peers/{id}/decline").status_code == 409


def test_who_declined_may_think_again_while_it_is_open(maya: Caller, pia: Caller) -> None:
    id = ask(maya)
    assert pia.post(f"/help/peers/{id}/decline").json["state"] == "declined"
    assert pia.post(f"/help/peers/{id}/decline").json["state"] == "declined"
    assert pia.post(f"/help/peers/{id}/accept").json["state"] == "accepted"


def test_after_its_time_nobody_accepts(cast: World, maya: Caller, pia: Caller) -> None:
    id = ask(maya)
    later(id, OPEN)
    assert asked_of(pia)[0]["state"] == "over"
    assert pia.post(f"/help/peers/{id}/accept").status_code == 409
    assert cast.events(PeerAccepted) == []


def test_whoever_was_not_asked_finds_nothing(cast: World, maya: Caller) -> None:
    id = ask(maya)
    others = [("theo", "client"), ("pol", "client"), ("sam", "coach"), ("maya", "client"), ("ada", "admin")]
    for name, role in others:
        other = cast.caller(name, role)
        assert asked_of(other) == []
        for act in ("accept", "decline"):
            assert other.post(f"/help/peers/{id}/{act}").status_code == 404
            assert other.post(f"/help/peers/nothing/{act}").status_code == 404
    for name in ("theo", "pia"):
        assert cast.caller(name, "client").get(f"/help/peers/{id}").status_code == 404


# -- what it opens


def test_accepting_opens_a_talk_for_a_day_and_no_record(cast: World, maya: Caller, pia: Caller) -> None:
    maya.put("/safety-plan", a_plan())
    maya.put("/safety-plan/sharing", {"coach": True, "people": []})
    maya.post("/check-ins", a_rough_day())
    maya.post("/goals", {"id": an_id(), "text": "walk"})
    id = ask(maya)
    pia.post(f"/help/peers/{id}/accept")
    (given,) = cast.events(GrantGiven, lambda grant: grant.scope == "peer")
    assert (given.holder_id, given.subject_id) == ("pia", "maya")
    assert given.grant_id == derived_id(id, "pia", "peer")
    (accepted,) = cast.events(PeerAccepted)
    assert given.until == accepted.at + TALK
    assert cast.services["goals"].grants.allows("pia", "maya", TALKING)
    for path in (
        "/check-ins?client_id=maya",
        "/clients/maya/risk",
        "/clients/maya/safety-plan",
        "/goals?client_id=maya",
        "/people/maya",
        "/audit?client_id=maya",
    ):
        assert pia.get(path).status_code == 404, path
    assert pia.get("/alerts").json["items"] == []

    cast.tick(now() + TALK + timedelta(minutes=1))
    assert [grant.grant_id for grant in cast.events(GrantEnded)] == [given.grant_id]
    assert not cast.services["goals"].grants.allows("pia", "maya", TALKING)
    later(id, TALK)
    (item,) = asked_of(pia)
    assert (item["state"], item["client_id"]) == ("over", None), "whom one talked with is not kept on show"


@pytest.mark.parametrize("by", ["maya", "pia"])
def test_either_ends_it_before_its_time_and_the_talk_is_closed(cast: World, maya: Caller, pia: Caller, by: str) -> None:
    id = ask(maya, area="SW1A 1")
    assert maya.post(f"/help/peers/{id}/end").status_code == 409, "nobody has accepted it"
    pia.post(f"/help/peers/{id}/accept")
    cast.settle()
    for _ in range(2):
        assert cast.caller(by, "client").post(f"/help/peers/{id}/end").status_code == 204
    (told,) = cast.events(PeerTalkEnded)
    assert (told.by, told.tell) == (by, ["maya", "pia"])
    assert [grant.holder_id for grant in cast.events(GrantEnded)] == ["pia"]
    (item,) = asked_of(pia)
    assert (item["state"], item["client_id"]) == ("over", None)
    ask(maya)
    asked_again = "pia" in cast.events(PeersAsked)[-1].tell
    assert asked_again == (by == "pia"), "with whom she ended it she is not brought together again"


@pytest.mark.parametrize("name", ["per", "theo", "sam"])
def test_nobody_else_ends_it(cast: World, maya: Caller, pia: Caller, name: str) -> None:
    id = ask(maya)
    pia.post(f"/help/peers/{id}/accept")
    assert cast.caller(name, "client").post(f"/help/peers/{id}/end").status_code == 404
    assert asked_of(pia)[0]["state"] == "accepted"


def test_help_says_that_peers_can_be_asked_where_some_have_offered(cast: World, maya: Caller) -> None:
    def kinds(caller: Caller) -> list[str]:
        return [card["kind"] for card in caller.get("/help").json["cards"]]

    assert "peers" in kinds(maya)
    assert "peers" not in kinds(cast.caller("sam", "coach")), "only a client asks"
    for name in ("pia", "per", "paz"):
        cast.caller(name, "client").put("/me/peer-support", {"on": False})
    assert "peers" not in kinds(maya)
