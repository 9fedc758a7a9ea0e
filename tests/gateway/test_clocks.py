"""Gateway processes whose clocks are minutes apart: nobody is taken for dead, and no order depends on a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

import gateway.chat_store
import gateway.presence
import gateway.teller
from gateway.presence import STALE
from gateway.teller import NOBODY, Teller
from infra.store import Store
from schemas.base import Event, now
from schemas.chat import MessageSent, PresenceChanged
from tests.gateway.test_chat import CLIENT, COACH, Desk, a_conversation
from tests.gateway.test_chat import store as store

APART = [timedelta(minutes=-7), timedelta(minutes=7)]


class Clock:
    """The clock of whoever acts right now."""

    def __init__(self) -> None:
        self._apart = timedelta(0)

    def __call__(self) -> Any:
        return now() + self._apart

    @contextmanager
    def of(self, process: Process) -> Iterator[None]:
        self._apart = process.apart
        try:
            yield
        finally:
            self._apart = timedelta(0)


class Process:
    """A gateway process without its loops, on a clock of its own."""

    def __init__(self, id: str, store: Store, clock: Clock, apart: timedelta) -> None:
        self.id = id
        self.apart = apart
        self._clock = clock
        self._store = store
        self.desk = Desk(store)
        log: Any = None
        with clock.of(self):
            self.teller = Teller(
                id, log, self.desk.store, self.desk.chat, store.collection("pulses"), store.collection("connections")
            )

    def beat(self) -> None:
        """One round of what a living process does every two seconds."""
        with self._clock.of(self):
            self.teller._take_over(self.teller._pulse(), everybody=False)

    def die(self) -> None:
        """No pulse for a while, by a clock that is right for everybody: the store's."""
        pulses = self._store.collection("pulses")
        pulse = pulses.find_one({"_id": self.id})
        assert pulse is not None
        pulses.update_one({"_id": self.id}, {"$set": {"at": pulse["at"] - 2 * STALE}})

    def connect(self, person_id: str) -> None:
        with self._clock.of(self):
            self.teller.presence.connected(f"{self.id}-{person_id}", person_id, "pocket")

    def send(self, *arguments: Any) -> int:
        with self._clock.of(self):
            return int(self.desk.send(*arguments)[0]["seq"])

    def connections(self) -> int:
        return self._store.collection("connections").count_documents({"gateway": self.id})

    def told(self) -> list[Event]:
        """What it has to tell the log, taken from it."""
        spans, self.teller._spans = self.teller._spans, {}
        events, self.teller._events = self.teller._events, []
        return [*(span.event() for span in spans.values()), *events]


@pytest.fixture
def start(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, timedelta], Process]:
    clock = Clock()
    for module in (gateway.chat_store, gateway.teller, gateway.presence):
        monkeypatch.setattr(module, "now", clock)
    for name in ("pulses", "connections"):
        store.collection(name).delete_many({})
    return lambda id, apart: Process(id, store, clock, apart)


Start = Callable[[str, timedelta], Process]


@pytest.mark.parametrize("apart", APART, ids=str)
def test_a_living_process_is_taken_for_dead_by_nobody(start: Start, apart: timedelta) -> None:
    right, other = start("right", timedelta(0)), start("other", apart)
    for process in (right, other):
        process.beat()
        process.connect("maya")
    for _ in range(3):
        right.beat()
        other.beat()
    assert (right.connections(), other.connections()) == (1, 1)
    right.teller.presence.disconnected("right-maya")
    right.teller.presence.left("maya")
    other.teller.presence.left("maya")
    assert [event for process in (right, other) for event in process.told()] == []


@pytest.mark.parametrize("apart", APART, ids=str)
@pytest.mark.parametrize("dead", ["right", "other"])
def test_a_process_that_died_is_taken_over_at_once(start: Start, apart: timedelta, dead: str) -> None:
    processes = {"right": start("right", timedelta(0)), "other": start("other", apart)}
    gone, left = processes.pop(dead), processes.popitem()[1]
    conversation = a_conversation(gone._store)
    gone.beat()
    gone.connect("maya")
    left.beat()
    assert gone.send(CLIENT, conversation, "m1") == 1
    gone.die()
    left.beat()
    assert gone.connections() == 0
    events = left.told()
    (sent,) = [event for event in events if isinstance(event, MessageSent) and event.conversation_id == conversation]
    assert (sent.from_seq, sent.to_seq, sent.told_by) == (1, 1, NOBODY)
    assert [event.on for event in events if isinstance(event, PresenceChanged)] == [False]


@pytest.mark.parametrize("apart", APART, ids=str)
def test_numbers_and_order_do_not_depend_on_a_clock(start: Start, apart: timedelta) -> None:
    right, other = start("right", timedelta(0)), start("other", apart)
    conversation = a_conversation(right._store)
    other.beat()
    for number in range(1, 11):
        process, person = (right, CLIENT) if number % 3 else (other, COACH)
        assert process.send(person, conversation, f"m{number}") == number
        assert process.send(person, conversation, f"m{number}") == number
    found = right.desk.all(conversation)
    assert [message["cmid"] for message in found] == [f"m{number}" for number in range(1, 11)]
    assert [message["at"] for message in found] != sorted(message["at"] for message in found)
    # Nor does what is told again for a process that died.
    other.die()
    right.beat()
    spans = [
        event for event in right.told() if isinstance(event, MessageSent) and event.conversation_id == conversation
    ]
    (span,) = spans
    # Those of its own, and of a slow clock's past also what others wrote meanwhile, from the first to the last.
    assert (span.from_seq, span.to_seq) == ((3, 9) if apart > timedelta(0) else (1, 10))
