"""The log broker, a real Kafka, dies or is cut off: people go on, and what the log has to tell is told afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.kafka.broker import Broker
from tests.app import App, Phone, a_check_in, a_device, a_rough_day, new_id, until
from tests.faults.talk import pages, pause, shown
from tests.fcm import Fcm

CUT_SECONDS = 30.0
"""For how long the broker is cut off: longer than a record is tried, and than a member of a group is waited for."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@contextmanager
def cut_off(broker: Broker) -> Iterator[None]:
    broker.suspend()
    try:
        yield
    finally:
        broker.resume()


def test_a_broker_that_is_cut_off_for_half_a_minute_loses_and_doubles_nothing(
    kafka_app: App, broker: Broker, fcm: Fcm
) -> None:
    client, coach = kafka_app.pair()
    other, sleeping = kafka_app.pair()
    device, id = a_device(), new_id()
    assert sleeping.put(f"/v1/devices/{id}", device).status == 200
    for phone in (client, coach, other):
        phone.connect()
    here, there = kafka_app.talk(client, coach), kafka_app.talk(other, sleeping)
    said = 0
    with cut_off(broker):
        ends = time.monotonic() + CUT_SECONDS
        while time.monotonic() < ends:
            said += 1
            assert client.send(here, f"here {said}")["seq"] == said
            coach.wait_for("message", lambda message, number=said: message["seq"] == number)
            assert other.send(there, f"there {said}")["seq"] == said
            pause(0.2)
        assert client.post("/v1/check-ins", a_rough_day()).status == 201
        assert coach.call("conversation.read", {"conversation_id": here, "seq": said}) == {"ok": True}
        assert coach.heard("alert") == client.heard("cursor") == pushes_to(fcm, device["value"]) == []
    assert said > 20

    (alert,) = coach.get("/v1/alerts?state=open").body["items"]
    coach.wait_for("alert", lambda told: told == {"alert_id": alert["id"], "change": "raised"}, seconds=60)
    client.wait_for("cursor", lambda cursor: (cursor["person_id"], cursor["read"]) == (coach.id, said), seconds=60)
    until(lambda: last_badge(fcm, device["value"]) == said, "the phone that was not connected is woken", 60)
    for phone in (client, coach):
        assert [message["seq"] for message in phone.heard("message")] == list(range(1, said + 1))
    assert (shown(coach, here)["unread"], shown(sleeping, there)["unread"]) == (0, said)
    deliveries = pages(sleeping, f"/v1/deliveries?device={id}", "")
    assert {delivery["state"] for delivery in deliveries} == {"sent"}
    assert len(pushes_to(fcm, device["value"])) == len(deliveries) <= said


def test_a_log_broker_that_is_down_keeps_nobody_from_checking_in(kafka_app: App, broker: Broker) -> None:
    client, coach = kafka_app.pair()
    client.connect()
    coach.connect()
    conversation = kafka_app.talk(client, coach)
    broker.kill()
    days = [a_rough_day(), a_check_in(), a_rough_day(confidence=0, withdrawal=3)]
    assert [client.post("/v1/check-ins", day).status for day in days] == [201, 201, 201]
    assert client.send(conversation, "are you there?")["seq"] == 1
    assert coach.wait_for("message")["text"] == "are you there?"
    ready = until(lambda: (a := client.get("/readyz")).status == 503 and a, "/readyz says it")
    assert ready.body["checks"]["log"] != "ok"
    assert ready.body["checks"]["store"] == "ok"
    (alert,) = coach.get("/v1/alerts?state=open").body["items"]
    broker.start()
    coach.wait_for("alert", lambda told: told == {"alert_id": alert["id"], "change": "raised"}, seconds=60)
    coach.wait_for("alert", lambda told: told == {"alert_id": alert["id"], "change": "worsened"}, seconds=60)
    until(lambda: client.get("/readyz").status == 200, "ready again", 60)
    assert len(client.get("/v1/check-ins").body["items"]) == 3
    assert len(coach.get("/v1/alerts?state=open").body["items"]) == 1
    follow_up(kafka_app, client, coach, conversation)


def follow_up(app: App, client: Phone, coach: Phone, conversation: str) -> None:
    """Everything goes on as if nothing had been."""
    assert coach.call("conversation.read", {"conversation_id": conversation, "seq": 1}) == {"ok": True}
    client.wait_for("cursor", lambda cursor: cursor["read"] == 1)
    network = new_id()
    ola = app.phone("ola")
    assert ola.post("/v1/networks", {"id": network, "name": "River"}).status == 201
    assert client.post(f"/v1/networks/{network}/join").status == 200
    assert ola.post(f"/v1/networks/{network}/notices", {"id": new_id(), "title": "t", "body": "b"}).status == 201
    client.wait_for("notice")


def pushes_to(fcm: Fcm, address: str) -> list[dict[str, str]]:
    """What was pushed to an address, oldest first."""
    return [message["data"] for message in fcm.messages if address in (message.get("fid"), message.get("token"))]


def last_badge(fcm: Fcm, address: str) -> int:
    """The number that the phone shows now."""
    pushes = pushes_to(fcm, address)
    return int(pushes[-1]["badge"]) if pushes else 0
