"""A part, the store or the log is away for a while: people are told so, nothing is half done, and all goes on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.app import Answer, App, Phone, a_check_in, a_rough_day, new_id, running, until
from tests.kafka import running_broker


def assert_away(answer: Answer) -> None:
    """503 as the contract has it: come back soon, not in a minute."""
    assert answer.status == 503, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == 503
    assert answer.body["instance"] == answer.headers["X-Request-Id"]
    assert 0 < int(answer.headers["Retry-After"]) <= 5


def statuses(phone: Phone, path: str, body: Any, count: int) -> set[int]:
    return {phone.post(path, body).status for _ in range(count)}


def test_a_part_that_is_down_answers_503_and_crisis_cards_and_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, restart=True) as app:
        client, coach = app.pair()
        coach.connect()
        day = a_rough_day()
        risk = app.part("risk")
        # Down for as long as it takes: the runner would start a killed one again at once.
        risk.suspend()
        answer = client.post("/v1/check-ins", day)
        assert_away(answer)
        assert {"crisis"} <= {card["kind"] for card in answer.body["cards"]}
        assert any(card["call"] for card in answer.body["cards"])
        # The others do not notice.
        goal = {"id": new_id(), "text": "walk"}
        assert client.post("/v1/goals", goal).status == 201
        risk.kill()
        until(lambda: client.post("/v1/check-ins", day).status in (200, 201), "risk is back")
        alert = coach.wait_for("alert")["alert_id"]
        assert [item["id"] for item in coach.get("/v1/alerts?state=open").body["items"]] == [alert]
        assert [item["id"] for item in client.get("/v1/check-ins").body["items"]] == [day["id"]]


@pytest.mark.parametrize("part", ["goals", "risk"])
def test_a_part_that_was_killed_answers_503_at_once(tmp_path: Path, part: str) -> None:
    path = {"goals": "/v1/goals", "risk": "/v1/check-ins"}[part]
    with running(tmp_path, restart=True) as app:
        client = app.phone("maya")
        runner = psutil.Process(app.part(part).ppid())
        runner.suspend()
        try:
            app.part(part).kill()
            answer = client.get(path)
            assert_away(answer)
            assert client.get("/v1/me").status == 200
        finally:
            runner.resume()
        until(lambda: client.get(path).status == 200, f"{part} is back")


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_store_that_is_away_is_said_so_and_nothing_is_half_done(tmp_path: Path, how: str) -> None:
    with running(tmp_path, restart=True) as app:
        client, coach = app.pair()
        client.connect()
        coach.connect()
        conversation = app.talk(client, coach)
        client.send(conversation, "before", "m1")
        day = a_rough_day()
        goal = {"id": new_id(), "text": "walk"}
        store = app.part("store")
        runner = psutil.Process(store.ppid())
        if how == "frozen":
            store.suspend()
        else:
            runner.suspend()
            store.kill()
        try:
            said = {"conversation_id": conversation, "client_message_id": "m2", "text": "while it was away"}
            answer = client.call("message.send", said, seconds=40)
            assert (answer["ok"], answer["problem"]["status"]) == (False, 503)
            asked = {"conversation_id": conversation, "after": 0, "limit": 10}
            assert client.call("message.sync", asked, seconds=40)["problem"]["status"] == 503
            assert_away(client.post("/v1/check-ins", day))
            assert_away(client.post("/v1/goals", goal))
            assert_away(client.get("/v1/conversations"))
            ready = client.get("/readyz")
            assert ready.status == 503
            assert ready.body["checks"]["store"] != "ok"
        finally:
            (store if how == "frozen" else runner).send_signal(signal.SIGCONT)
        until(lambda: client.get("/readyz").status == 200, "the store is back", 60)
        until(lambda: client.post("/v1/check-ins", day).status in (200, 201), "risk is back", 60)
        until(lambda: client.post("/v1/goals", goal).status in (200, 201), "goals is back", 60)
        assert statuses(client, "/v1/check-ins", day, 2) == {200}
        alert = coach.wait_for("alert")["alert_id"]
        assert [item["id"] for item in coach.get("/v1/alerts?state=open").body["items"]] == [alert]
        # What was refused is sent again under its id, and the other side is told, whether or not it had been stored.
        assert client.send(conversation, "while it was away", "m2")["seq"] == 2
        coach.wait_for("message", lambda message: message["client_message_id"] == "m2")
        assert client.send(conversation, "after", "m3")["seq"] == 3
        coach.wait_for("message", lambda message: message["seq"] == 3)
        assert [message["seq"] for message in coach.heard("message")] == [1, 2, 3]


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_a_log_broker_that_is_down_keeps_nobody_from_checking_in(tmp_path: Path) -> None:
    with running_broker(tmp_path / "kafka") as broker, running(tmp_path / "app", log_url=broker.url) as app:
        client, coach = app.pair()
        client.connect()
        coach.connect()
        conversation = app.talk(client, coach)
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
        follow_up(app, client, coach, conversation)


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
