"""From an event to a sleeping device: whom it tells, which of their devices are asleep, and a delivery for each.

What leaves is the kind, an opaque id and a number; the words that a phone shows come from a fixed neutral list.
"""

from __future__ import annotations

from typing import cast

from gateway import chat_store, crowd, devices, post, service
from gateway.devices import Asleep, away, devices_of
from gateway.post import OVERRIDES, make
from gateway.senders import Kind
from infra.store import Store
from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.chat import MessageSent
from schemas.people import SessionEnded


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    for part in (chat_store, devices, post, crowd):
        part.make_indexes(store)
    store.collection("ended_sessions").create_index("at", expireAfterSeconds=86_400)


service.preparations.append(make_indexes)


def wake(event: Event) -> None:
    """Wake the devices of everybody whom the event tells."""
    hint = event.hint
    assert hint is not None
    kind = cast(Kind, hint.push)
    ref = str(getattr(event, hint.fields[-1]))
    people = getattr(event, "tell", ())
    if crowd.is_crowd(kind, people):
        crowd.gather(event, kind, ref, people)
    else:
        reached = devices_of(people)
        make(event.id, kind, ref, reached if kind in OVERRIDES else away(reached))


for _kind in EVENTS.values():
    if _kind.hint is not None and _kind.hint.push is not None:
        service.on(_kind)(wake)


_asleep = Asleep()


@service.on(MessageSent)
def wake_the_readers(event: MessageSent) -> None:
    """Whoever another wrote to, and whose device has not been told of these messages already."""
    readers = [person for person in event.tell if set(event.senders) - {person}]
    # Named by the messages and not by the event: what a takeover tells again is the same delivery.
    cause = f"{event.conversation_id}/{event.to_seq}"
    make(cause, "message", event.conversation_id, _asleep.of(readers, event.at), event.to_seq)


@service.on(SessionEnded)
def remember_the_end(event: SessionEnded) -> None:
    """So that an access token of the session opens nothing any more, in every gateway and after a restart."""
    ended = service.store.collection("ended_sessions")
    ended.update_one({"_id": event.session_id}, {"$set": {"at": event.at}}, upsert=True)
