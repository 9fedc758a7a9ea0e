"""The gateway's push in this process, on a store of its own. Nothing is sent by itself: a test says ``deliver()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import crowd, devices, post, push, service
from gateway.senders import RecordingSender
from infra.ids import new_id
from schemas.base import now
from schemas.chat import MessageSent
from schemas.people import GrantGiven
from tests.app import until
from tests.store import EmbeddedStore
from tests.world import settings_for


@contextmanager
def pushing(store_url: str, log: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[None]:
    """The gateway's push on a store of its own, in which nobody waits for the grace to pass."""
    service.load().open(settings_for(store_url, f"sqlite://{log}", **settings))
    service.prepare()
    monkeypatch.setattr(post, "GRACE", timedelta(0))
    monkeypatch.setattr(post, "_SWEEP_SECONDS", 0)
    monkeypatch.setattr(post, "POSTS", {lane: post.Post(lane, at_once) for lane, at_once in post.LANES.items()})
    yield
    for one in post.POSTS.values():
        one.close()
    service.store.client.drop_database(service.store.records.name)
    service.store.client.drop_database(service.store.keys.name)
    service.store.close()


@pytest.fixture
def sender(embedded_store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingSender]:
    """What records the pushes."""
    recording = RecordingSender()
    monkeypatch.setattr(post, "sender", lambda: recording)
    with pushing(embedded_store.url, tmp_path / "log.sqlite", monkeypatch):
        yield recording


def deliver() -> None:
    """Send until nothing is due and nothing is on its way."""
    due = {"$or": [{f"due.{lane}": {"$lte": now() + timedelta(milliseconds=1)}} for lane in post.LANES]}

    def step() -> bool:
        for one in post.POSTS.values():
            one.step(0.01)
        return not any(one.on_the_way for one in post.POSTS.values()) and not post.deliveries().count_documents(due)

    until(step, "everything that is due is sent")


def hear(event: Any) -> None:
    """Let the push hear an event, and nobody else in the gateway; and send what is due from it."""
    service.polls += 1
    for handler in service.handlers.get(type(event), ()):
        if handler.__module__ in (push.__name__, crowd.__name__):
            handler(event)
    deliver()


def make_due(**where: Any) -> None:
    """The time of what waits has come."""
    for lane in post.LANES:
        kept = {"state": "made", f"due.{lane}": {"$exists": True}, **where}
        post.deliveries().update_many(kept, {"$set": {f"due.{lane}": now()}})
    deliver()


def a_phone_of(person: str, device: str = "pocket", **fields: Any) -> str:
    """Keep a device; returns its address."""
    address = f"address-{new_id()}"
    body = {"kind": "fcm", "value": address, "timezone": "UTC", "quiet_hours": None, **fields}
    devices.keep_device(person, device, body)
    return address


def messages(
    from_seq: int, to_seq: int, sender: str = "maya", told_by: str = "gateway-1", conversation: str = "conversation"
) -> MessageSent:
    """Messages that are stored, between Maya and Sam."""
    conversations, kept = service.store.collection("conversations"), service.store.collection("messages")
    between = {"members": ["maya", "sam"], "owner": "maya", "kind": "direct"}
    conversations.update_one({"_id": conversation}, {"$set": between}, upsert=True)
    service.grants.keep(
        GrantGiven(id=new_id(), at=now(), version=1, grant_id="care", holder_id="sam", subject_id="maya", scope="care")
    )
    for seq in range(from_seq, to_seq + 1):
        id = f"{conversation}-{seq}"
        message = {"c": conversation, "seq": seq, "sender": sender, "cmid": id}
        kept.update_one({"_id": id}, {"$set": message}, upsert=True)
    return MessageSent(
        id=new_id(),
        at=now(),
        version=to_seq,
        conversation_id=conversation,
        from_seq=from_seq,
        to_seq=to_seq,
        senders=[sender],
        told_by=told_by,
        tell=["maya", "sam"],
    )


def unfold_all() -> None:
    """Make the deliveries of all that is told to many, and send them."""
    crowds = service.store.collection("crowds")
    while crowds.count_documents({"unfold_at": {"$lte": now()}}):
        crowd.unfold(0.01)
    deliver()
