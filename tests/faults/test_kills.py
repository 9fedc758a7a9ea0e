"""Parts are killed at random while people talk and check in: nothing acknowledged is lost, doubled or reordered."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import socketio
import urllib3

from tests.app import App, Phone, Told, a_check_in, a_rough_day, running, until

KILLS = int(os.environ.get("ALONGSIDE_FAULT_KILLS", "10"))
SEED = int(os.environ.get("ALONGSIDE_FAULT_SEED", "7"))
PAIRS = 3
AHEAD = 8
VICTIMS = ("gateway", "store", "risk", "push", "gateway", "store")


class Talker:
    """One side of a conversation: sends ahead without waiting, and sends again whatever was not acknowledged.

    Attributes:
        acknowledged: client message id to the number it was acknowledged with, in the order of sending.
        refused: what was answered with 503 at least once, and so may stand behind what was said later.
        lives: what the socket was told, a list for each time that it was connected.
    """

    def __init__(self, phone: Phone, conversation: str) -> None:
        self.phone = phone
        self.conversation = conversation
        self.acknowledged: dict[str, int] = {}
        self.lives: list[list[Told]] = []
        self.reconnects = 0
        self.refused: set[str] = set()
        self._answered: dict[str, Any] = {}

    def talk(self, stop: threading.Event) -> None:
        """Until told to stop, and then until everything that was said is acknowledged."""
        number = 0
        waiting: list[str] = []
        while not stop.is_set() or waiting:
            while len(waiting) < AHEAD and not stop.is_set():
                number += 1
                waiting.append(f"{self.phone.id[:8]}-{number:06}")
            waiting = self._send(waiting)

    def missed(self) -> list[dict[str, Any]]:
        """The whole conversation, asked for page by page as a phone does after a reconnect."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            said = {"conversation_id": self.conversation, "after": after, "limit": 200}
            answer = patiently(lambda said=said: self._sync(said))
            found += answer["messages"]
            if not answer["messages"]:
                return found

    def _sync(self, said: dict[str, Any]) -> Any:
        self._stay_connected()
        answer = self.phone.call("message.sync", said, seconds=5)
        return answer if answer["ok"] else None

    def _send(self, waiting: list[str]) -> list[str]:
        """Say everything that waits, at once and in order; return what has to be said again."""
        self._answered = {}
        try:
            self._stay_connected()
            for id in waiting:
                said = {"conversation_id": self.conversation, "client_message_id": id, "text": f"text of {id}"}
                self.phone.say("message.send", said, lambda answer, id=id: self._answered.__setitem__(id, answer))
        except (socketio.exceptions.SocketIOError, OSError):
            pause()
        deadline = time.monotonic() + 8
        while len(self._answered) < len(waiting) and self.phone.connected and time.monotonic() < deadline:
            pause(0.002)
        left = []
        for id in waiting:
            answer = self._answered.get(id)
            if answer is not None and answer["ok"]:
                assert self.acknowledged.setdefault(id, answer["message"]["seq"]) == answer["message"]["seq"]
            else:
                if answer is not None:
                    assert answer["problem"]["status"] == 503, answer
                    self.refused.add(id)
                left.append(id)
        return left

    def _stay_connected(self) -> None:
        if not self.phone.connected:
            self._keep_life()
            self.phone.connect()
            self.reconnects += 1

    def _keep_life(self) -> None:
        self.lives.append(list(self.phone.told))
        self.phone.told.clear()

    def finish(self) -> None:
        self._keep_life()


def check_in(phone: Phone, stop: threading.Event, acknowledged: list[dict[str, Any]]) -> None:
    """Days good and bad, each sent again until it is taken."""
    number = 0
    while not stop.is_set():
        number += 1
        body = a_rough_day() if number % 5 == 1 else a_check_in()
        answer = patiently(lambda body=body: taken(phone, body))
        assert answer["id"] == body["id"]
        acknowledged.append(answer)
        pause(0.05)


def taken(phone: Phone, body: dict[str, Any]) -> Any:
    answer = phone.post("/v1/check-ins", body)
    assert answer.status in (200, 201, 503), answer
    if answer.status == 503:
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"] == "application/problem+json"
        return None
    return answer.body


def patiently(ask: Callable[[], Any], seconds: float = 90) -> Any:
    """What a phone does: ask again until there is an answer other than None."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (answer := ask()) is not None:
                return answer
        except (socketio.exceptions.SocketIOError, urllib3.exceptions.HTTPError, OSError):
            pass
        assert time.monotonic() < deadline, "no answer for a very long time"
        pause()


def pause(seconds: float = 0.05) -> None:
    time.sleep(seconds)


def kill_parts(app: App, progress: Callable[[], int]) -> None:
    """One after the other, each when the one before is back and people get on again."""
    chance = random.Random(SEED)
    for _ in range(KILLS):
        name = chance.choice(VICTIMS)
        victim = app.part(name)
        victim.kill()
        before = progress()
        until(lambda v=victim: not v.is_running() or v.status() == psutil.STATUS_ZOMBIE, "it is dead")
        until(lambda n=name, v=victim: app.part(n).pid != v.pid, f"{name} was started again")
        until(lambda b=before: progress() >= b + 20, f"people get on after {name} was killed", 90)


@pytest.mark.timeout(180 + 30 * KILLS)
def test_kills_at_random_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    with running(tmp_path, restart=True) as app:
        pairs = [app.pair() for _ in range(PAIRS)]
        conversations = [app.talk(client, coach) for client, coach in pairs]
        talkers = [
            Talker(phone, conversation)
            for (client, coach), conversation in zip(pairs, conversations, strict=True)
            for phone in (client, coach)
        ]
        days: list[list[dict[str, Any]]] = [[] for _ in pairs]
        stop = threading.Event()
        broken: list[BaseException] = []
        acts: list[Callable[[], None]] = [lambda t=talker: t.talk(stop) for talker in talkers]
        for (client, _), kept in zip(pairs, days, strict=True):
            acts.append(lambda c=client, k=kept: check_in(c, stop, k))
        threads = [threading.Thread(target=guarded(act, broken, stop)) for act in acts]
        for thread in threads:
            thread.start()
        try:
            kill_parts(app, lambda: 10**9 if broken else sum(len(talker.acknowledged) for talker in talkers))
        finally:
            stop.set()
            for thread in threads:
                thread.join(120)
        assert broken == []
        for talker in talkers:
            talker.finish()
        assert_conversations_are_whole(talkers)
        for (client, coach), kept in zip(pairs, days, strict=True):
            assert_check_ins_are_whole(client, coach, kept)
        assert sum(talker.reconnects for talker in talkers) > len(talkers)
        assert "Traceback" not in app.log()


def guarded(act: Callable[[], None], broken: list[BaseException], stop: threading.Event) -> Callable[[], None]:
    """A thread's failure is the test's."""

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001
            broken.append(error)
            stop.set()

    return run


def assert_conversations_are_whole(talkers: list[Talker]) -> None:
    for mine, theirs in zip(talkers[::2], talkers[1::2], strict=True):
        messages = mine.missed()
        assert messages == theirs.missed()
        assert messages == by_rest(mine)
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        by_id = {message["client_message_id"]: message for message in messages}
        assert len(by_id) == len(messages)
        for talker in (mine, theirs):
            kept = [m for m in messages if m["sender_id"] == talker.phone.id]
            # A phone says everything until it is acknowledged, so there is nothing else, and all of it once.
            assert {m["client_message_id"]: m["seq"] for m in kept} == talker.acknowledged
            in_order = [m["client_message_id"] for m in kept if m["client_message_id"] not in talker.refused]
            assert in_order == sorted(in_order)
            assert all(m["text"] == f"text of {m['client_message_id']}" for m in kept)
            for life in talker.lives:
                told = [t.data for t in life if t.event == "message"]
                numbers = [message["seq"] for message in told]
                assert numbers == sorted(set(numbers)), "told twice, or out of order"
                assert all(message == messages[message["seq"] - 1] for message in told)


def by_rest(talker: Talker) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        path = f"/v1/conversations/{talker.conversation}/messages?after={after}&limit=200"
        page = patiently(lambda path=path: (a := talker.phone.get(path)).status == 200 and a.body or None)
        found += page["items"]
        after = page["next"]
    return found


def assert_check_ins_are_whole(client: Phone, coach: Phone, kept: list[dict[str, Any]]) -> None:
    found: list[dict[str, Any]] = []
    after = ""
    while after is not None:
        path = f"/v1/check-ins?limit=200{after and '&after=' + after}"
        page = patiently(lambda path=path: (a := client.get(path)).status == 200 and a.body or None)
        found += page["items"]
        after = page["next"]
    ids = [item["id"] for item in found]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {answer["id"] for answer in kept}
    assert kept[0]["band"] == "high"
    alerts = patiently(lambda: (a := coach.get("/v1/alerts?state=open")).status == 200 and a.body or None)["items"]
    (alert,) = [alert for alert in alerts if alert["client_id"] == client.id]
    told = [t.data for t in coach.told if t.event == "alert"]
    assert all(data["alert_id"] == alert["id"] for data in told)


def test_a_message_that_was_being_written_when_the_gateway_died_is_there_once(tmp_path: Path) -> None:
    with running(tmp_path, restart=True) as app:
        client, coach = app.pair()
        talker = Talker(client, app.talk(client, coach))
        for _ in range(3):
            client.connect()
            for number in range(50):
                id = f"burst-{number}"
                said = {"conversation_id": talker.conversation, "client_message_id": id, "text": id}
                client.say("message.send", said)
            app.part("gateway").kill()
            until(lambda: not client.connected, "the socket is closed")
            patiently(lambda: client.get("/v1/me").status == 200 or None)
        patiently(lambda: client.connect())
        for number in range(50):
            client.send(talker.conversation, f"burst-{number}", f"burst-{number}")
        messages = talker.missed()
        assert [message["seq"] for message in messages] == list(range(1, 51))
        assert {message["client_message_id"] for message in messages} == {f"burst-{n}" for n in range(50)}
