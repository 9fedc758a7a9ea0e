"""The log doubles and reorders: sockets are told each message once and in order, and what holds in the end is right."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.chat_store import ChatStore
from gateway.live import Live
from gateway.teller import _outgoing
from gateway.wire import Outbox
from infra.access import Grants, Identity, Tokens
from infra.ids import new_id
from infra.log import Record
from infra.store import Store
from infra.vault import Vault
from schemas.base import Event, now
from schemas.people import GrantEnded, GrantGiven, SessionEnded
from tests.gateway.test_chat import CLIENT, COACH, a_conversation
from tests.gateway.test_chat import store as store
from tests.world import SECRET, VAULT_KEY


class Process:
    """A gateway process without its loops: a test hears and tells by itself."""

    def __init__(self, store: Store) -> None:
        self.sockets: dict[str, Any] = {}
        server = SimpleNamespace(
            on=lambda *_: None,
            eio=SimpleNamespace(sockets=self.sockets),
            manager=SimpleNamespace(eio_sid_from_sid=lambda sid, _: sid),
        )
        self.store = ChatStore(store, Vault(store, VAULT_KEY))
        collections = [store.collection(name) for name in ("pulses", "connections", "ended_sessions")]
        log: Any = None
        self.live = Live(server, Tokens(SECRET, "app"), self.store, Grants(store), log, *collections, lambda *_: None)

    def connect(self, person: Identity) -> Outbox:
        sid = new_id()
        self.sockets[sid] = SimpleNamespace(queue=Outbox())
        self.live._people[sid] = person
        self.live._welcome(sid, person, None)
        outbox: Outbox = self.sockets[sid].queue
        return outbox

    def send(self, person: Identity, conversation: str, id: str) -> None:
        with gevent.Timeout(20):
            self.live.chat.send(self.live.chat.message(person, conversation, id, "hello"))

    def told(self) -> list[Event]:
        """What it has to tell the log, taken from it."""
        teller = self.live.teller
        spans, teller._spans = teller._spans, {}
        events, teller._events = teller._events, []
        return [*(span.event() for span in spans.values()), *events]

    def hear(self, event: Event) -> None:
        out = _outgoing(event)
        self.live._hear(Record(out.topic, 0, 0, out.key, out.value, out.headers, 0))


def frames(outbox: Outbox, name: str) -> list[Any]:
    """The data of the events of one name that wait in an outbox that was never opened."""
    found, data = [], bytes(outbox._waiting)
    while data:
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        text, data = data[head : head + size].decode(), data[head + size :]
        event, said = json.loads(text[2:])
        found += [said] * (event == name)
    return found


def grants(client: str, coach: str, given: list[bool]) -> list[Event]:
    """The life of one grant: given, ended, given again."""
    same: dict[str, Any] = {"grant_id": new_id(), "holder_id": coach, "subject_id": client, "scope": "care"}
    return [
        (GrantGiven if on else GrantEnded)(id=new_id(), at=now(), version=version, **same)
        for version, on in enumerate(given, 1)
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.tuples(st.sampled_from([CLIENT, COACH]), st.integers(1, 4)), min_size=1, max_size=5),
    given_=st.lists(st.booleans(), min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_each_socket_is_told_each_message_once_and_in_order(
    store: Store, said: list[tuple[Identity, int]], given_: list[bool], chance: Any
) -> None:
    rosa = Identity(new_id(), "coach", "session", 2e9)
    conversation = a_conversation(store, members=["maya", "sam", rosa.person_id])
    here, there = Process(store), Process(store)
    mine, theirs, hers = (there.connect(person) for person in (CLIENT, COACH, rosa))
    events: list[Event] = []
    count = 0
    for person, number in said:
        for _ in range(number):
            count += 1
            here.send(person, conversation, f"m{count}")
        here.live.move_cursor(person, conversation, count, read=True)
        here.live._typing(person, {"conversation_id": conversation, "on": True})
        events += here.told()
    changes = grants("maya", rosa.person_id, given_)
    records = [*events, *changes] * 2
    chance.shuffle(records)
    for event in records:
        there.hear(event)

    for outbox in (mine, theirs):
        assert [message["seq"] for message in frames(outbox, "message")] == list(range(1, count + 1))
    numbers = [message["seq"] for message in frames(hers, "message")]
    assert numbers == sorted(set(numbers))
    # Whoever asks now is answered by what holds, whatever came last.
    known = there.live.chat.conversation(conversation)
    assert known is not None
    assert (rosa.person_id in there.live.chat.readers(known)) == given_[-1]
    kept = there.store.conversation(conversation)
    assert kept is not None
    for person in (CLIENT, COACH):
        cursor = max((c for c in frames(mine, "cursor") if c["person_id"] == person.person_id), default=None, key=_read)
        read = cursor["read"] if cursor else 0
        unread = [m for m in there.store.after(conversation, read, 1000) if m["sender"] != person.person_id]
        assert there.store.unread(kept, person.person_id) == len(unread)


def _read(cursor: dict[str, Any]) -> int:
    return int(cursor["read"])


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_session_that_ended_has_ended_however_often_it_is_told(store: Store, times: int) -> None:
    process = Process(store)
    event = SessionEnded(id=new_id(), at=now(), version=1, session_id="over", person_id="maya")
    for _ in range(times):
        process.hear(event)
    assert process.live.ended("over")
    assert not process.live.ended("another")
