"""A client asks for whoever is on duty: is answered in turn, told honestly when nobody is there, never forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.coaching.rules import WEEKDAYS
from tests.app import App, Phone, a_device, new_id, running, until
from tests.fcm import fcm_standin

ALWAYS = {day: [{"start": "00:00", "end": "24:00"}] for day in WEEKDAYS}
AVAILABILITY = "/v1/me/availability"
WAITING = "/v1/conversations/waiting"


def ask(client: Phone, **headers: str) -> Any:
    """A client asks for whoever is on duty; the conversation as it was answered."""
    answer = client.post("/v1/conversations", {"id": new_id(), "with": "on-duty"}, **headers)
    assert answer.status == 201
    return answer.body


def shown(person: Phone, id: str) -> Any:
    return person.get(f"/v1/conversations/{id}")


def act(person: Phone, id: str, what: str, body: Any = None) -> Any:
    return person.post(f"/v1/conversations/{id}/{what}", body)


def hint(id: str, change: str) -> Any:
    return lambda told: told == {"conversation_id": id, "change": change}


def has(person: Phone, id: str) -> Any:
    return lambda: shown(person, id).status == 200


def test_nobody_comes_and_the_supervisor_hears_of_it_and_takes_it(tmp_path: Path) -> None:
    with fcm_standin() as fcm, running(tmp_path, waiting_seconds="1", fcm_endpoint=fcm.url) as app:
        maya, theo, sam, ines = (app.phone(login).connect() for login in ("maya", "theo", "sam", "ines"))
        device = a_device()
        ines.put("/v1/devices/pocket", device)
        began = ask(maya)
        id = began["id"]
        assert "do not know" in began["away"]["words"]
        assert began["away"]["expected_at"] is None
        assert any(card["call"] == "988" for card in began["away"]["cards"])
        maya.send(id, "is anybody there? willow")

        ines.wait_for("conversation", hint(id, "waiting"))
        until(lambda: any(device["value"] in sent.decode() for sent in fcm.bodies), "the supervisor's phone is woken")
        assert not any(b"willow" in sent for sent in fcm.bodies)
        (item,) = ines.get(WAITING).body["items"]
        assert (item["id"], item["client_id"]) == (id, maya.id)
        assert item["waited_seconds"] >= 1
        assert item["escalated_at"] > item["waiting_since"]
        (item,) = sam.get(WAITING).body["items"]
        assert (item["id"], item["client_id"]) == (id, None)
        for outsider in (theo, app.phone("ola"), app.phone("ada")):
            assert outsider.get(WAITING).status == 404
            for what, body in (("take", None), ("close", None), ("transfer", {"to": sam.id})):
                assert act(outsider, id, what, body).status == 404
        audit = lambda: app.phone("ada").get(f"/v1/audit?client_id={maya.id}").body["items"]  # noqa: E731
        until(
            lambda: any((look["viewer_id"], look["what"]) == (ines.id, "waiting") for look in audit()),
            "the look of the supervisor is in the ledger",
        )
        assert not [look for look in audit() if look["viewer_id"] == sam.id]

        taken = act(ines, id, "take")
        assert (taken.status, taken.body["state"], taken.body["with"]) == (200, "open", [maya.id])
        assert taken.body["away"] is None
        assert act(ines, id, "take").status == 200
        assert act(sam, id, "take").status == 409
        maya.wait_for("conversation", hint(id, "taken"))
        assert sam.get(WAITING).body == {"items": [], "next": None}
        ines.send(id, "I am here")
        assert maya.wait_for("message", lambda message: message["seq"] == 2)["sender_id"] == ines.id
        theo.settle()
        sam.settle()
        assert theo.heard("conversation") == sam.heard("conversation") == []


def test_hours_answer_and_do_not_disturb_says_when_again(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        maya, sam = app.phone("maya").connect(), app.phone("sam").connect()
        tag = sam.get(AVAILABILITY).headers["ETag"]
        quiet = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
        edit = {"zone": "Europe/London", "hours": ALWAYS, "do_not_disturb_until": quiet.isoformat()}
        assert sam.put(AVAILABILITY, edit).status == 428
        answer = sam.put(AVAILABILITY, edit, If_Match=tag)
        assert (answer.status, answer.body["on_duty"]) == (200, False)
        assert sam.put(AVAILABILITY, edit, If_Match=tag).status == 412

        def expected() -> Any:
            return ask(maya, Accept_Language="es-MX,es;q=0.9")["away"]

        until(lambda: expected()["expected_at"], "the gateway knows when sam is back")
        said = expected()
        assert datetime.fromisoformat(said["expected_at"]) == quiet
        assert "guardia" in said["words"]

        soon = datetime.now(UTC) + timedelta(seconds=2)
        assert sam.put(AVAILABILITY, {"do_not_disturb_until": soon.isoformat()}).status == 200
        # Nobody presses anything: the clock puts sam on duty, and sam is given who waited longest.
        sam.wait_for("conversation", lambda told: told["change"] == "taken")
        oldest = maya.get("/v1/conversations?limit=200").body["items"][-1]
        until(lambda: shown(maya, oldest["id"]).body["with"] == [sam.id], "the oldest is with sam")
        assert sam.get(AVAILABILITY).body["hours"] == ALWAYS


def test_a_conversation_is_handed_over_and_closed_and_what_frees_is_given_on(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        maya, theo, sam, rosa = (app.phone(login).connect() for login in ("maya", "theo", "sam", "rosa"))
        assert sam.put(AVAILABILITY, {"capacity": 1}, If_Match='"0"').status == 200
        assert sam.call("duty", {"on": True}) == {"ok": True}
        first = ask(maya)["id"]
        until(has(sam, first), "sam has maya")
        maya.send(first, "hello")
        sam.wait_for("message")
        second = ask(theo)
        assert second["state"] == "waiting"
        assert "in line" in second["away"]["words"]

        # To somebody who is not there nobody is handed over.
        for to in (rosa.id, sam.id, maya.id, "nobody"):
            refused = act(sam, first, "transfer", {"to": to})
            assert (refused.status, list(refused.body["errors"])) == (422, ["to"])
        assert rosa.put(AVAILABILITY, {"capacity": 0}, If_Match='"0"').status == 200
        assert rosa.call("duty", {"on": True}) == {"ok": True}
        until(lambda: act(sam, first, "transfer", {"to": rosa.id}).status == 204, "rosa is known to be on duty")
        for phone in (maya, sam, rosa):
            phone.wait_for("conversation", hint(first, "transferred"))
        rosa.wait_for("conversation", hint(first, "taken"))
        assert shown(sam, first).status == 404
        assert sam.call("message.sync", {"conversation_id": first})["problem"]["status"] == 404
        assert act(sam, first, "close").status == 404
        assert maya.get(f"/v1/conversations/{first}").body["with"] == [rosa.id]
        # Who handed over to whom stands between what was said before and after.
        for phone in (maya, rosa):
            mark = phone.wait_for("message", lambda message: message.get("kind") == "transferred")
            assert (mark["seq"], mark["sender_id"], mark["to"], mark["text"]) == (2, sam.id, rosa.id, None)
        maya.send(first, "and hello to you")
        assert rosa.wait_for("message", lambda message: "kind" not in message)["seq"] == 3
        assert shown(rosa, first).body["unread"] == 2
        sam.settle()
        assert [message["seq"] for message in sam.heard("message")] == [1]

        until(has(sam, second["id"]), "what has become free is given to theo")
        sam.told.clear()
        third = ask(maya)
        assert third["state"] == "waiting"
        closed = act(sam, second["id"], "close")
        assert (closed.status, closed.body["state"]) == (200, "closed")
        assert act(theo, second["id"], "close").body["state"] == "closed"
        theo.wait_for("conversation", hint(second["id"], "closed"))
        said = {"conversation_id": second["id"], "client_message_id": "m", "text": "still?"}
        assert theo.call("message.send", said)["problem"]["status"] == 409
        until(has(sam, third["id"]), "and then to the next")

        # A client may end what nobody has taken yet.
        fourth = ask(theo)["id"]
        assert act(theo, fourth, "close").body == {**shown(theo, fourth).body, "state": "closed"}
        assert act(rosa, fourth, "take").status == 404
        assert rosa.get(WAITING).body["items"] == []


def test_a_conversation_of_two_is_neither_taken_nor_handed_over_nor_closed_by_hand(app: App) -> None:
    client, coach = app.pair()
    id = app.talk(client, coach)
    assert act(client, id, "close").status == 409
    assert act(coach, id, "close").status == 409
    assert act(coach, id, "transfer", {"to": "somebody"}).status == 409
    assert act(coach, id, "take").status == 409
    assert shown(client, id).body["state"] == "open"
    assert shown(client, id).body["away"] is None


def test_a_wrong_hand_over_is_refused_by_its_field(app: App) -> None:
    coach = app.enrol("coach")
    for body in ({}, {"to": ""}, {"to": 3}, {"to": "rosa", "why": "x"}):
        assert act(coach, new_id(), "transfer", body).status == 422
    assert act(coach, new_id(), "transfer", {"to": "rosa"}).status == 404
