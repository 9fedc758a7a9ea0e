"""A bad day: a client's check-in reaches the right coach's screen and phone, and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.kafka.broker import Broker
from tests.app import App, Phone, a_check_in, a_device, a_rough_day, new_id, running, until
from tests.fcm import Fcm, fcm_standin

WORDS = "the willow by the canal, and nobody knows"
PEOPLE = ("maya", "theo", "sam", "rosa", "ines", "ola", "ada")


def pushes_to(fcm: Fcm, address: str) -> list[dict[str, str]]:
    return [message["data"] for message in fcm.messages if address in (message.get("fid"), message.get("token"))]


def open_alerts(phone: Phone) -> list[str]:
    return [alert["id"] for alert in phone.get("/v1/alerts?state=open").body["items"]]


def travel(app: App, fcm: Fcm) -> None:
    """The whole bad day, from the check-in to the closed alert, on whatever engines the app runs on."""
    phones = {login: app.phone(login).connect() for login in PEOPLE}
    maya, sam = phones["maya"], phones["sam"]
    device = a_device()
    assert sam.put(f"/v1/devices/{new_id()}", device).status == 200
    body = a_rough_day(note=WORDS, used={"what": WORDS, "days": 1})

    first = maya.post("/v1/check-ins", body)
    assert first.status == 201
    assert first.body["band"] in ("high", "urgent")
    assert first.body["cards"]
    hint = sam.wait_for("alert")
    assert hint["change"] == "raised"
    alert = hint["alert_id"]
    assert open_alerts(sam) == [alert]

    until(lambda: pushes_to(fcm, device["value"]), "the push to the coach's phone")
    for login, phone in phones.items():
        phone.settle()
        if login != "sam":
            assert phone.heard("alert") == [], login
            assert open_alerts(phone) == [], login
            assert phone.get(f"/v1/alerts/{alert}").status == 404, login
            assert phone.post(f"/v1/alerts/{alert}/acknowledge").status == 404, login
            assert phone.post(f"/v1/alerts/{alert}/close", {"outcome": "talked"}).status == 404, login
    (push,) = pushes_to(fcm, device["value"])
    assert push == {"v": "1", "kind": "alert", "ref": alert, "badge": push["badge"]}

    assert maya.post("/v1/check-ins", body).status == 200
    assert maya.post("/v1/check-ins", body).body == first.body
    assert maya.post("/v1/check-ins", {**body, "craving": 8}).status == 409
    assert open_alerts(sam) == [alert]

    conversation = app.talk(maya, sam)
    maya.send(conversation, f"{WORDS} (maya)")
    assert sam.wait_for("message")["text"] == f"{WORDS} (maya)"
    sam.send(conversation, f"{WORDS} (sam)")
    assert maya.wait_for("message", lambda message: message["sender_id"] == sam.id)["text"] == f"{WORDS} (sam)"

    acknowledged = sam.post(f"/v1/alerts/{alert}/acknowledge")
    assert (acknowledged.status, acknowledged.body["state"]) == (200, "acknowledged")
    assert acknowledged.body["acknowledged_by"] == sam.id
    assert sam.post(f"/v1/alerts/{alert}/acknowledge").status == 200
    sam.wait_for("alert", lambda told: told == {"alert_id": alert, "change": "acknowledged"})
    assert sam.post(f"/v1/alerts/{alert}/close", {"outcome": "talked"}).body["state"] == "closed"
    assert sam.post(f"/v1/alerts/{alert}/close", {"outcome": "talked"}).status == 200
    assert sam.post(f"/v1/alerts/{alert}/close", {"outcome": "met"}).status == 409
    assert sam.post(f"/v1/alerts/{alert}/acknowledge").status == 409
    sam.wait_for("alert", lambda told: told == {"alert_id": alert, "change": "closed"})
    assert open_alerts(sam) == []
    for word in WORDS.split():
        if len(word) > 3:
            assert not any(word.encode() in body for body in fcm.bodies), word


def test_a_bad_day_reaches_the_right_coach_and_nobody_else(app: App, fcm: Fcm) -> None:
    travel(app, fcm)


@pytest.mark.kafka
def test_the_same_bad_day_travels_over_a_real_kafka(tmp_path: Path, kafka_broker: Broker) -> None:
    with (
        fcm_standin() as fcm,
        running(tmp_path, fcm_endpoint=fcm.url, log_url=kafka_broker.url) as app,
    ):
        travel(app, fcm)


def test_a_steady_day_asks_nobody(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    assert client.post("/v1/check-ins", a_check_in()).body["band"] == "steady"
    client.post("/v1/check-ins", a_rough_day())
    coach.wait_for("alert")
    assert len(coach.heard("alert")) == len(open_alerts(coach)) == 1


def test_a_second_bad_check_in_joins_the_open_alert(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    client.post("/v1/check-ins", a_rough_day())
    alert = coach.wait_for("alert")["alert_id"]
    client.post("/v1/check-ins", a_rough_day(confidence=0, withdrawal=3))
    coach.wait_for("alert", lambda told: told == {"alert_id": alert, "change": "worsened"})
    assert open_alerts(coach) == [alert]
    assert coach.get(f"/v1/alerts/{alert}").body["band"] == "urgent"


def test_an_urgent_check_in_answers_with_words_that_help_now(app: App) -> None:
    client, _ = app.pair()
    answer = client.post("/v1/check-ins", a_rough_day(confidence=0, used={"what": "heroin", "days": 2})).body
    assert answer["band"] == "urgent"
    assert {"crisis", "overdose"} <= {card["kind"] for card in answer["cards"]}
    assert any(card["call"] for card in answer["cards"])


def test_what_the_log_and_the_parts_wrote_holds_no_word_of_a_person(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    word = "".join(sorted(new_id()))
    client.post("/v1/check-ins", a_rough_day(note=word))
    conversation = app.talk(client, coach)
    client.post(f"/v1/conversations/{conversation}/messages", {"client_message_id": new_id(), "text": word})
    coach.wait_for("message")
    kept = [path for path in app.data.rglob("*") if path.is_file() and path.name not in ("lock", "environment")]
    assert any(path.name.startswith("log.sqlite") for path in kept)
    assert [path.name for path in kept if word.encode() in path.read_bytes()] == []


def test_a_look_at_a_record_is_in_the_ledger_that_its_owner_reads(app: App) -> None:
    client, coach = app.pair()
    assert coach.get(f"/v1/check-ins?client_id={client.id}").status == 200

    def seen() -> list[str]:
        items = client.get("/v1/audit").body["items"]
        return [entry["what"] for entry in items if entry["viewer_id"] == coach.id]

    until(lambda: "check-ins" in seen(), "the look in the ledger")
    assert json.dumps(app.phone("rosa").get(f"/v1/audit?client_id={client.id}").status) == "404"
