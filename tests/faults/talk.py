"""People who chat and check in whatever happens, and what must be true of it in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import socketio
import urllib3

from tests.app import App, Phone, Told, a_check_in, a_rough_day

AHEAD = 8
ANSWER_SECONDS = 8.0
PAGE = 200
Message = dict[str, Any]


class Talker:
    """One side of a conversation, as a phone is: it sends ahead without waiting, sends again whatever was not
    acknowledged, and after each reconnect asks for what it missed behind the last number that it has.

    Attributes:
        acknowledged: client message id to the number it was acknowledged with, in the order of sending.
        refused: what was answered with 503 at least once, and so may stand behind what was said later.
        lives: what the socket was told, a list for each time that it was connected.
        history: the conversation as this phone knows it, without a gap.
        read: up to where the server acknowledged that it was read.
    """

    def __init__(self, phone: Phone, conversation: str) -> None:
        self.phone = phone
        self.conversation = conversation
        self.acknowledged: dict[str, int] = {}
        self.refused: set[str] = set()
        self.lives: list[list[Told]] = []
        self.history: list[Message] = []
        self.read = 0
        self.reconnects = 0
        self._answered: dict[str, Any] = {}

    def talk(self, stop: threading.Event, breath: float = 0.0) -> None:
        """Until told to stop, and then until everything that was said is acknowledged; ``breath`` seconds in between.

        Now and then it reads everything up to its own last message, and so leaves the newer ones unread.
        """
        number = 0
        waiting: list[str] = []
        while not stop.is_set() or waiting:
            while len(waiting) < AHEAD and not stop.is_set():
                number += 1
                waiting.append(f"{self.phone.id[:8]}-{number:06}")
            waiting = self._send(waiting)
            pause(breath)

    def finish(self) -> None:
        """Ask for what was missed, once nobody says anything more."""
        patiently(self._come_back)
        self._end_life()

    def unread(self) -> int:
        """How many messages of the other are behind what was read, by what this phone knows."""
        return sum(message["sender_id"] != self.phone.id for message in self.history[self.read :])

    def _send(self, waiting: list[str]) -> list[str]:
        """Say everything that waits, at once and in order; return what has to be said again."""
        self._answered = answered = {}
        try:
            if not self.phone.connected:
                self._come_back()
            for id in waiting:
                said = {"conversation_id": self.conversation, "client_message_id": id, "text": f"text of {id}"}
                self.phone.say("message.send", said, lambda answer, id=id: answered.__setitem__(id, answer))
            self._say_what_was_read()
        except GONE:
            pause()
        wait_while(lambda: len(answered) < len(waiting) and self.phone.connected)
        return [id for id in waiting if not self._is_acknowledged(id)]

    def _is_acknowledged(self, id: str) -> bool:
        answer = self._answered.get(id)
        if answer is None:
            return False
        if not answer["ok"]:
            assert answer["problem"]["status"] == 503, answer
            self.refused.add(id)
            return False
        number = answer["message"]["seq"]
        assert self.acknowledged.setdefault(id, number) == number
        return True

    def _say_what_was_read(self) -> None:
        number = max(self.acknowledged.values(), default=0)
        if number and number % 3 == 0:
            said = {"conversation_id": self.conversation, "seq": number}
            self.phone.say("conversation.read", said, lambda answer: answer["ok"] and self._was_read(number))

    def _was_read(self, number: int) -> None:
        self.read = max(self.read, number)

    def _come_back(self) -> bool:
        """Connect where that is needed, and miss nothing. Raises one of ``GONE``."""
        if not self.phone.connected:
            self._end_life()
            self.phone.connect()
            self.reconnects += 1
        self._catch_up()
        return True

    def _catch_up(self) -> None:
        """Take what was told, then ask for the rest."""
        self._take([told.data for told in tuple(self.phone.told) if told.event == "message"])
        while True:
            asked = {"conversation_id": self.conversation, "after": len(self.history), "limit": PAGE}
            answer = self.phone.call("message.sync", asked, seconds=ANSWER_SECONDS)
            if not answer["ok"]:
                raise socketio.exceptions.SocketIOError(answer["problem"]["title"])
            self._take(answer["messages"])
            if len(self.history) >= answer["last_seq"]:
                return

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message["seq"] <= len(self.history):
                assert message == self.history[message["seq"] - 1]
            elif message["seq"] == len(self.history) + 1:
                self.history.append(message)

    def _end_life(self) -> None:
        self.lives.append(list(self.phone.told))
        self.phone.told.clear()


@dataclass
class Crowd:
    """Pairs of a client and a coach; each two talk, and each client checks in."""

    talkers: list[Talker]
    days: list[list[dict[str, Any]]]
    broken: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def pairs(self) -> list[tuple[Talker, Talker]]:
        return list(zip(self.talkers[::2], self.talkers[1::2], strict=True))

    def progress(self) -> int:
        """How much was acknowledged; without bound once somebody broke, so that nobody waits for more."""
        return 10**9 if self.broken else sum(len(talker.acknowledged) for talker in self.talkers)

    def assert_whole(self) -> None:
        """Nothing lost, doubled or reordered, nothing in the numbers missing, and what is unread counted right."""
        assert self.progress() >= len(self.talkers)
        for mine, theirs in self.pairs:
            assert_conversation_is_whole(mine, theirs)
            for talker in (mine, theirs):
                assert_unread_is_right(talker)
        for (client, coach), kept in zip(self.pairs, self.days, strict=True):
            assert_check_ins_are_whole(client, coach, kept)

    def run(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            self.broken.append(error)
            self.stop.set()
            raise


@contextmanager
def talking(
    app: App, pairs: int, phone: Callable[[Phone], Phone] = lambda phone: phone, breath: float = 0.0
) -> Iterator[Crowd]:
    """New pairs who chat and check in meanwhile, and afterwards until all of it is acknowledged.

    ``phone`` may give each person another phone to talk with than the one they signed in on; ``breath`` are the seconds
    between two goes, where the test needs the machine for something else.
    """
    talkers: list[Talker] = []
    for _ in range(pairs):
        client, coach = app.pair()
        conversation = app.talk(client, coach)
        talkers += [Talker(phone(person), conversation) for person in (client, coach)]
    crowd = Crowd(talkers, [[] for _ in range(pairs)])
    acts: list[Callable[[], None]] = [lambda t=talker: t.talk(crowd.stop, breath) for talker in talkers]
    for (client_side, _), kept in zip(crowd.pairs, crowd.days, strict=True):
        acts.append(lambda c=client_side.phone, k=kept: check_in(c, crowd.stop, k))
    threads = [threading.Thread(target=crowd.run, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.stop.set()
        for thread in threads:
            thread.join(180)
    assert crowd.broken == []
    assert not any(thread.is_alive() for thread in threads)
    for talker in talkers:
        talker.finish()


def check_in(phone: Phone, stop: threading.Event, acknowledged: list[dict[str, Any]]) -> None:
    """Days good and bad, each sent again until it is taken."""
    number = 0
    while not stop.is_set():
        number += 1
        body = a_rough_day() if number % 5 == 1 else a_check_in()
        answer = patiently(lambda body=body: taken(phone, body))
        assert answer["id"] == body["id"]
        acknowledged.append(answer)
        pause()


def taken(phone: Phone, body: dict[str, Any]) -> Any:
    answer = phone.post("/v1/check-ins", body)
    assert answer.status in (200, 201, 503), answer
    if answer.status == 503:
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"] == "application/problem+json"
        return None
    return answer.body


GONE = (socketio.exceptions.SocketIOError, urllib3.exceptions.HTTPError, OSError)


def patiently(ask: Callable[[], Any], seconds: float = 90) -> Any:
    """What a phone does: ask again until there is an answer other than None."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (answer := ask()) is not None:
                return answer
        except GONE:
            pass
        assert time.monotonic() < deadline, "no answer for a very long time"
        pause()


def wait_while(condition: Callable[[], bool]) -> None:
    """As long as a phone waits for an answer."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while condition() and time.monotonic() < deadline:
        pause(0.002)


def pause(seconds: float = 0.05) -> None:
    time.sleep(seconds)


# -- what must be true in the end


def assert_conversation_is_whole(mine: Talker, theirs: Talker) -> None:
    messages = mine.history
    assert messages == theirs.history
    assert messages == pages(mine.phone, f"/v1/conversations/{mine.conversation}/messages", "0")
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


def assert_unread_is_right(talker: Talker) -> None:
    """What the server counts is what the phone counts; and nothing once all is read."""
    phone, id = talker.phone, talker.conversation
    found = shown(phone, id)
    cursor = found["cursors"].get(phone.id, {"delivered": 0, "read": 0})
    # The server may know more than it could acknowledge, and never less.
    assert talker.read <= cursor["read"] <= cursor["delivered"] <= found["last_seq"] == len(talker.history)
    talker.read = cursor["read"]
    assert found["unread"] == talker.unread()
    read = {"seq": found["last_seq"]}
    patiently(lambda: phone.post(f"/v1/conversations/{id}/read", read).status == 204 or None)
    assert shown(phone, id)["unread"] == 0


def shown(phone: Phone, conversation: str) -> dict[str, Any]:
    """A conversation as the list shows it."""
    (found,) = [one for one in pages(phone, "/v1/conversations", "") if one["id"] == conversation]
    return found


def pages(phone: Phone, path: str, after: str) -> list[Any]:
    """Everything that a list has, from behind ``after``."""
    found: list[Any] = []
    following: str | None = after
    while following is not None:
        query = f"{path}{'&' if '?' in path else '?'}limit={PAGE}" + (f"&after={following}" if following else "")
        page = patiently(lambda query=query: (a := phone.get(query)).status == 200 and a.body or None)
        found += page["items"]
        following = page["next"]
    return found


def assert_check_ins_are_whole(client: Talker, coach: Talker, kept: list[dict[str, Any]]) -> None:
    ids = [item["id"] for item in pages(client.phone, "/v1/check-ins", "")]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {answer["id"] for answer in kept}
    assert kept[0]["band"] == "high"
    alerts = pages(coach.phone, "/v1/alerts?state=open", "")
    (alert,) = [alert for alert in alerts if alert["client_id"] == client.phone.id]
    told = [told.data for life in coach.lives for told in life if told.event == "alert"]
    assert all(data["alert_id"] == alert["id"] for data in told)
