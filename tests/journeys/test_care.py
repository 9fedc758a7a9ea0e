"""Who is asked when nobody answers, who takes a conversation, and what is agreed and announced."""

from __future__ import annotations

from pathlib import Path

from tests.app import App, a_device, a_rough_day, new_id, running, until
from tests.fcm import Fcm


def test_an_alert_that_nobody_answers_climbs_from_coach_to_cover_to_supervisor(tmp_path: Path) -> None:
    with running(tmp_path, alert_seconds_high="2", alert_seconds_urgent="2") as app:
        maya, sam, rosa, ines = (app.phone(login).connect() for login in ("maya", "sam", "rosa", "ines"))
        theo = app.phone("theo").connect()
        assert rosa.call("duty", {"on": True}) == {"ok": True}
        maya.post("/v1/check-ins", a_rough_day())
        alert = sam.wait_for("alert", lambda told: told["change"] == "raised")["alert_id"]
        assert rosa.heard("alert") == ines.heard("alert") == []
        assert rosa.get(f"/v1/alerts/{alert}").status == 404
        escalated = {"alert_id": alert, "change": "escalated"}
        rosa.wait_for("alert", lambda told: told == escalated)
        assert rosa.get(f"/v1/alerts/{alert}").body["rung"] in ("cover", "supervisor")
        ines.wait_for("alert", lambda told: told == escalated)
        first = [next(told.at for told in p.told if told.event == "alert") for p in (sam, rosa, ines)]
        assert first == sorted(first)
        assert ines.get(f"/v1/alerts/{alert}").body["rung"] == "supervisor"
        # Whoever stands in may see the client and talk with her, for now.
        until(lambda: rosa.get(f"/v1/clients/{maya.id}/risk").status == 200, "the grant of the cover")
        assert rosa.post(f"/v1/alerts/{alert}/acknowledge").body["acknowledged_by"] == rosa.id
        for phone in (sam, rosa, ines):
            phone.wait_for("alert", lambda told: told == {"alert_id": alert, "change": "acknowledged"})
        assert sam.post(f"/v1/alerts/{alert}/acknowledge").status == 409
        assert rosa.post(f"/v1/alerts/{alert}/close", {"outcome": "talked"}).status == 200
        until(lambda: rosa.get(f"/v1/clients/{maya.id}/risk").status == 404, "the cover ends with the alert")
        theo.settle()
        assert theo.heard("alert") == []


def test_an_alert_of_a_client_without_a_coach_goes_to_somebody(app: App) -> None:
    ines = app.phone("ines").connect()
    client = app.enrol("client")
    assert client.post("/v1/check-ins", a_rough_day()).status == 201
    alert = ines.wait_for(
        "alert", lambda told: ines.get(f"/v1/alerts/{told['alert_id']}").body["client_id"] == client.id
    )
    assert ines.get(f"/v1/alerts/{alert['alert_id']}").body["rung"] in ("cover", "supervisor")
    assert ines.post(f"/v1/alerts/{alert['alert_id']}/close", {"outcome": "talked"}).status == 200


def test_a_conversation_with_whoever_is_on_duty_waits_and_is_taken_once(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        maya, sam, rosa = (app.phone(login).connect() for login in ("maya", "sam", "rosa"))
        conversation = new_id()
        asked = maya.post("/v1/conversations", {"id": conversation, "with": "on-duty"})
        assert (asked.status, asked.body["state"], asked.body["with"]) == (201, "waiting", [])
        assert asked.body["waiting_since"]
        maya.send(conversation, "is anybody there?")
        assert rosa.get(f"/v1/conversations/{conversation}").status == 404
        assert rosa.call("duty", {"on": True}) == {"ok": True}
        taken = {"conversation_id": conversation, "change": "taken"}
        maya.wait_for("conversation", lambda told: told == taken)
        rosa.wait_for("conversation", lambda told: told == taken)
        until(lambda: rosa.get(f"/v1/conversations/{conversation}").status == 200, "rosa is in")
        missed = rosa.call("message.sync", {"conversation_id": conversation, "after": 0})["messages"]
        assert [message["text"] for message in missed] == ["is anybody there?"]
        rosa.send(conversation, "I am here")
        assert maya.wait_for("message", lambda message: message["seq"] == 2)["text"] == "I am here"
        assert sam.call("duty", {"on": True}) == {"ok": True}
        assert maya.get(f"/v1/conversations/{conversation}").body["with"] == [rosa.id]
        assert sam.get(f"/v1/conversations/{conversation}").status == 404
        assert rosa.call("duty", {"on": False}) == {"ok": True}
        assert rosa.get("/v1/me/availability").body["on_duty"] is False


def test_a_goal_is_proposed_agreed_and_completed_by_the_two_whom_it_concerns(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    client.connect()
    goal = {"id": new_id(), "text": "walk to the river every day"}
    assert client.post("/v1/goals", goal).status == 201
    assert client.post("/v1/goals", goal).status == 200
    assert client.post("/v1/goals", {**goal, "text": "another"}).status == 409
    coach.wait_for("goal", lambda told: told["goal_id"] == goal["id"])
    assert app.phone("rosa").post(f"/v1/goals/{goal['id']}/agree").status == 404
    assert coach.post(f"/v1/goals/{goal['id']}/agree").body["state"] == "agreed"
    client.wait_for("goal", lambda told: told == {"goal_id": goal["id"], "change": "agreed"})
    assert coach.post(f"/v1/goals/{goal['id']}/complete").status == 404
    assert client.post(f"/v1/goals/{goal['id']}/complete").body["state"] == "completed"
    coach.wait_for("goal", lambda told: told == {"goal_id": goal["id"], "change": "completed"})


def test_an_edit_of_a_goal_names_the_version_that_it_edits(app: App) -> None:
    client, _ = app.pair()
    goal = {"id": new_id(), "text": "walk"}
    tag = client.post("/v1/goals", goal).headers["ETag"]
    path = f"/v1/goals/{goal['id']}"
    assert client.patch(path, {"text": "run"}).status == 428
    edited = client.patch(path, {"text": "run"}, If_Match=tag)
    assert (edited.status, edited.body["text"]) == (200, "run")
    assert client.patch(path, {"text": "fly"}, If_Match=tag).status == 412
    assert client.get(path).body["text"] == "run"


def test_a_notice_reaches_the_sockets_and_devices_of_the_members_and_of_nobody_else(app: App, fcm: Fcm) -> None:
    ola = app.phone("ola").connect()
    theo, maya = app.enrol("client").connect(), app.enrol("client").connect()
    address = a_device()
    theo.put("/v1/devices/pocket", address)
    network, notice = new_id(), new_id()
    assert ola.post("/v1/networks", {"id": network, "name": "River"}).status == 201
    assert theo.post(f"/v1/networks/{network}/join").body["joined"] is True
    body = {"id": notice, "title": "A walk on Sunday", "body": "At the weir, at ten"}
    assert theo.post(f"/v1/networks/{network}/notices", body).status == 404
    assert ola.post(f"/v1/networks/{network}/notices", body).status == 201
    assert ola.post(f"/v1/networks/{network}/notices", body).status == 200
    assert theo.wait_for("notice") == {"network_id": network, "notice_id": notice}
    until(lambda: any(address["value"] in sent.decode() for sent in fcm.bodies), "the push")
    (push,) = [m["data"] for m in fcm.messages if address["value"] in (m.get("fid"), m.get("token"))]
    assert (push["kind"], push["ref"]) == ("notice", notice)
    assert not any(b"weir" in sent or b"Sunday" in sent for sent in fcm.bodies)
    assert [n["id"] for n in theo.get(f"/v1/networks/{network}/notices").body["items"]] == [notice]
    maya.settle()
    assert maya.heard("notice") == []
    assert maya.get(f"/v1/networks/{network}/notices").status == 404


def test_after_a_stop_and_a_start_everything_acknowledged_is_there(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        maya, sam = app.phone("maya").connect(), app.phone("sam")
        conversation = app.talk(maya, sam)
        sent = [maya.send(conversation, f"message {number}") for number in range(20)]
        day = a_rough_day()
        first = maya.post("/v1/check-ins", day).body
        goal = {"id": new_id(), "text": "walk"}
        maya.post("/v1/goals", goal)
        # Everything below is acknowledged in the moment of the stop, and nothing was waited for.
        assert app.stop() == 0
        assert "Traceback" not in app.log()
        app.start()
        maya, sam = app.phone("maya"), app.phone("sam").connect()
        assert maya.get(f"/v1/conversations/{conversation}/messages").body["items"] == sent
        assert maya.post("/v1/check-ins", day).status == 200
        assert maya.post("/v1/check-ins", day).body == first
        (alert,) = sam.get("/v1/alerts?state=open").body["items"]
        assert alert["client_id"] == maya.id
        until(lambda: sam.get(f"/v1/goals/{goal['id']}").status == 200, "the goal")
        assert maya.connect().send(conversation, "and on")["seq"] == 21
        assert sam.wait_for("message")["seq"] == 21
        assert app.stop() == 0
