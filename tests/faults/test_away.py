"""A part or the store is away for a while: people are told so, nothing is half done, and all goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.app import Answer, App, Phone, a_rough_day, new_id, until


def assert_away(answer: Answer) -> None:
    """503 as the contract has it: come back soon, not in a minute."""
    assert answer.status == 503, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == 503
    assert answer.body["instance"] == answer.headers["X-Request-Id"]
    assert 0 < int(answer.headers["Retry-After"]) <= 5


def statuses(phone: Phone, path: str, body: Any, count: int) -> set[int]:
    return {phone.post(path, body).status for _ in range(count)}


def at_once(*asks: Callable[[], Any]) -> list[Any]:
    """What each was answered, asked all at the same time: nobody waits for somebody else's patience."""
    with ThreadPoolExecutor(len(asks)) as pool:
        return [asked.result(60) for asked in [pool.submit(ask) for ask in asks]]


def test_a_part_that_is_down_answers_503_and_crisis_cards_and_goes_on(app: App) -> None:
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
    # Whoever asks for help is answered, if with less.
    helped, lines = at_once(lambda: client.get("/v1/help"), lambda: client.get("/v1/crisis-lines"))
    assert (helped.status, lines.status) == (200, 200)
    assert (helped.body["plan"], helped.body["cards"][0]["call"]) == ("unreachable", "911")
    assert lines.body["items"][0]["call"] == "911"
    # The others do not notice.
    goal = {"id": new_id(), "text": "walk"}
    assert client.post("/v1/goals", goal).status == 201
    risk.kill()
    until(lambda: client.post("/v1/check-ins", day).status in (200, 201), "risk is back")
    alert = coach.wait_for("alert")["alert_id"]
    assert [item["id"] for item in coach.get("/v1/alerts?state=open").body["items"]] == [alert]
    assert [item["id"] for item in client.get("/v1/check-ins").body["items"]] == [day["id"]]


@pytest.mark.parametrize("part", ["goals", "risk"])
def test_a_part_that_was_killed_answers_503_at_once(app: App, part: str) -> None:
    path = {"goals": "/v1/goals", "risk": "/v1/check-ins"}[part]
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
def test_a_store_that_is_away_is_said_so_and_nothing_is_half_done(app: App, how: str) -> None:
    client, coach = app.pair()
    client.connect()
    coach.connect()
    conversation = app.talk(client, coach)
    client.send(conversation, "before", "m1")
    day = a_rough_day()
    goal = {"id": new_id(), "text": "walk"}
    said = {"conversation_id": conversation, "client_message_id": "m2", "text": "while it was away"}
    asked = {"conversation_id": conversation, "after": 0, "limit": 10}
    store = app.part("store")
    runner = psutil.Process(store.ppid())
    if how == "frozen":
        store.suspend()
    else:
        runner.suspend()
        store.kill()
    try:
        sent, synced, ready, helped, *refused = at_once(
            lambda: client.call("message.send", said, seconds=40),
            lambda: coach.call("message.sync", asked, seconds=40),
            lambda: client.get("/readyz"),
            lambda: client.get("/v1/help"),
            lambda: client.post("/v1/check-ins", day),
            lambda: client.post("/v1/goals", goal),
            lambda: client.get("/v1/conversations"),
        )
    finally:
        (store if how == "frozen" else runner).send_signal(signal.SIGCONT)
    assert (sent["ok"], sent["problem"]["status"]) == (False, 503)
    assert synced["problem"]["status"] == 503
    assert ready.status == 503
    assert ready.body["checks"]["store"] != "ok"
    assert (helped.status, helped.body["plan"], helped.body["cards"][0]["kind"]) == (200, "unreachable", "crisis")
    for answer in refused:
        assert_away(answer)
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
