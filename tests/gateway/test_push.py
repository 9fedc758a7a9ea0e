"""From an event to a device: made once, sent once, and never held back for a phone that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import push, service
from gateway.senders import RecordingSender
from infra.ids import new_id
from schemas.base import now
from schemas.chat import MessageSent
from schemas.risk import AlertRaised
from tests.store import EmbeddedStore
from tests.world import settings_for


@pytest.fixture
def sender(embedded_store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingSender]:
    service.load().open(settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
    service.prepare()
    recording = RecordingSender()
    monkeypatch.setattr(push, "_sender", lambda: recording)
    yield recording
    service.store.client.drop_database(service.store.records.name)
    service.store.client.drop_database(service.store.keys.name)
    service.store.close()


def a_phone_of(person: str, device: str = "pocket", **fields: Any) -> str:
    """Keep a device; returns its address."""
    address = f"address-{new_id()}"
    body = {"kind": "fcm", "value": address, "timezone": "UTC", "quiet_hours": None, **fields}
    push.keep_device(person, device, body)
    return address


def messages(from_seq: int, to_seq: int, sender: str = "maya", told_by: str = "gateway-1") -> MessageSent:
    return MessageSent(
        id=new_id(),
        at=now(),
        version=to_seq,
        conversation_id="conversation",
        from_seq=from_seq,
        to_seq=to_seq,
        senders=[sender],
        told_by=told_by,
        tell=["maya", "sam"],
    )


def an_alert(tell: list[str]) -> AlertRaised:
    return AlertRaised(
        id=new_id(),
        at=now(),
        version=1,
        alert_id="alert",
        client_id="maya",
        band="high",
        rung="coach",
        tell=tell,
        due_at=now(),
    )


def connected(person: str, device: str = "pocket", pulse: datetime | None = None) -> None:
    """The device holds a socket on a gateway whose last pulse was then."""
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": pulse or now()}}, upsert=True)
    service.store.collection("connections").insert_one(
        {"_id": new_id(), "gateway": "gateway-1", "device": f"{person}/{device}"}
    )


def addresses(sender: RecordingSender) -> list[str]:
    return [target.value for _, target in sender.sent]


def states(person: str) -> list[str]:
    return [delivery["state"] for delivery in service.store.collection("deliveries").find({"person": person})]


def test_a_message_wakes_the_reader_and_not_its_author(sender: RecordingSender) -> None:
    a_phone_of("maya")
    theirs = a_phone_of("sam")
    push.wake_the_readers(messages(1, 1))
    assert addresses(sender) == [theirs]
    assert (sender.sent[0][0].kind, sender.sent[0][0].ref) == ("message", "conversation")
    assert states("sam") == ["sent"]


def test_an_event_heard_twice_is_pushed_once(sender: RecordingSender) -> None:
    a_phone_of("sam")
    event = an_alert(["sam"])
    for _ in range(3):
        push.wake(event)
        push.wake_the_readers(messages(1, 1))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert", "message"]


def test_messages_told_late_do_not_wake_a_device_that_was_told_of_newer_ones(sender: RecordingSender) -> None:
    a_phone_of("sam")
    push.wake_the_readers(messages(2, 3))
    push.wake_the_readers(messages(1, 1))
    assert len(sender.sent) == 1


def test_a_connected_device_is_not_woken_by_a_message_but_by_an_alert(sender: RecordingSender) -> None:
    a_phone_of("sam")
    connected("sam")
    push.wake_the_readers(messages(1, 1))
    assert sender.sent == []
    push.wake(an_alert(["sam"]))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]


def test_a_device_on_a_gateway_without_a_pulse_counts_as_away(sender: RecordingSender) -> None:
    a_phone_of("sam")
    connected("sam", pulse=now() - timedelta(minutes=1))
    push.wake_the_readers(messages(1, 1))
    assert len(sender.sent) == 1


def test_what_is_told_again_for_a_gateway_that_died_wakes_the_phone_that_had_been_on_it(
    sender: RecordingSender,
) -> None:
    """While its last pulse is fresh the dead gateway's phones seem connected. The takeover tells again for them."""
    theirs = a_phone_of("sam")
    connected("sam")
    push.wake_the_readers(messages(1, 1))
    assert sender.sent == []
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": now() - timedelta(minutes=1)}})
    push.wake_the_readers(messages(1, 1, told_by="nobody"))
    assert addresses(sender) == [theirs]


def test_quiet_hours_defer_a_message_and_never_an_alert(sender: RecordingSender) -> None:
    moment = now()
    quiet = {"start": f"{moment - timedelta(hours=1):%H:%M}", "end": f"{moment + timedelta(hours=1):%H:%M}"}
    a_phone_of("sam", quiet_hours=quiet)
    push.wake_the_readers(messages(1, 1))
    push.send_what_is_due(now())
    assert sender.sent == []
    assert states("sam") == ["made"]
    push.wake(an_alert(["sam"]))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]
    service.store.collection("deliveries").update_many({"state": "made"}, {"$set": {"due_at": moment}})
    push.send_what_is_due(now())
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert", "message"]


@pytest.mark.parametrize(
    ("zone", "start", "end", "moment", "due"),
    [
        ("UTC", "22:00", "07:00", "2026-01-10T21:59", "2026-01-10T21:59"),
        ("UTC", "22:00", "07:00", "2026-01-10T22:00", "2026-01-11T07:00"),
        ("UTC", "22:00", "07:00", "2026-01-11T03:00", "2026-01-11T07:00"),
        ("UTC", "22:00", "07:00", "2026-01-11T07:00", "2026-01-11T07:00"),
        ("UTC", "13:00", "15:00", "2026-01-11T14:00", "2026-01-11T15:00"),
        ("UTC", "13:00", "15:00", "2026-01-11T15:00", "2026-01-11T15:00"),
        ("America/New_York", "22:00", "07:00", "2026-01-11T03:30", "2026-01-11T12:00"),
        # The night in which the clock goes forward is an hour shorter.
        ("Europe/London", "22:00", "07:00", "2026-03-28T23:00", "2026-03-29T06:00"),
        # The end does not exist on this night: the gap is passed over.
        ("Europe/London", "22:00", "01:30", "2026-03-28T23:00", "2026-03-29T01:30"),
    ],
)
def test_quiet_hours_are_kept_on_the_clock_of_the_device(
    zone: str, start: str, end: str, moment: str, due: str
) -> None:
    device = {"timezone": zone, "quiet_hours": {"start": start, "end": end}}
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert push.after_quiet_hours(at, device) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_a_delivery_that_a_crash_left_is_sent_by_one_worker_alone(sender: RecordingSender) -> None:
    theirs = a_phone_of("sam")
    devices = list(service.store.collection("devices").find())
    push._make_deliveries("cause", "alert", "alert", devices)
    push.send_what_is_due(now())
    push.send_what_is_due(now())
    assert addresses(sender) == [theirs]


def test_a_device_that_is_gone_is_forgotten(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "gone", "UNREGISTERED")
    push.wake(an_alert(["sam"]))
    assert states("sam") == ["failed"]
    assert service.store.collection("devices").count_documents({}) == 0


def test_a_push_that_did_not_get_through_is_tried_again(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "later", "503", retry_after=5.0)
    push.wake(an_alert(["sam"]))
    (delivery,) = service.store.collection("deliveries").find()
    assert delivery["state"] == "made"
    assert timedelta(seconds=3) < delivery["due_at"] - now() <= timedelta(seconds=5)
    push.send_what_is_due(now())
    assert len(sender.sent) == 1
    sender.answer("sam/pocket", "sent")
    service.store.collection("deliveries").update_many({}, {"$set": {"due_at": now()}})
    push.send_what_is_due(now())
    assert (len(sender.sent), states("sam")) == (2, ["sent"])


def test_a_push_that_never_gets_through_ends_as_failed(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "later", "503")
    push.wake(an_alert(["sam"]))
    for _ in range(push.TRIES + 3):
        service.store.collection("deliveries").update_many({}, {"$set": {"due_at": now()}})
        push.send_what_is_due(now())
    assert (len(sender.sent), states("sam")) == (push.TRIES, ["failed"])


def test_an_address_belongs_to_whoever_signed_in_on_the_device_last(sender: RecordingSender) -> None:
    address = a_phone_of("maya")
    push.keep_device("sam", "pocket", {"kind": "fcm", "value": address, "timezone": "UTC", "quiet_hours": None})
    push.wake(an_alert(["maya"]))
    assert sender.sent == []
    push.wake(an_alert(["sam"]))
    assert addresses(sender) == [address]


def test_an_address_is_kept_sealed(sender: RecordingSender) -> None:
    address = a_phone_of("sam")
    (kept,) = service.store.collection("devices").find()
    assert address.encode() not in bytes(kept["value"])
    assert address not in str({name: value for name, value in kept.items() if name != "value"})
    push.wake(an_alert(["sam"]))
    assert addresses(sender) == [address]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), count=st.integers(1, 6))
def test_doubled_and_reordered_events_push_each_thing_once_and_nothing_old(
    sender: RecordingSender, chance: Random, count: int
) -> None:
    a_phone_of("maya")
    theirs = a_phone_of("sam")
    conversation = new_id()
    events = [replace(messages(number, number), conversation_id=conversation) for number in range(1, count + 1)]
    records = events * 3
    chance.shuffle(records)
    for event in records:
        push.wake_the_readers(event)
    heard = [event.to_seq for event in records]
    records_high = [seq for at, seq in enumerate(heard) if seq > max(heard[:at], default=0)]
    assert [pushed.ref for pushed, target in sender.sent if target.value == theirs] == [conversation] * len(
        records_high
    )
    assert set(states("sam")) == {"sent"}
    assert states("maya") == []


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_clock_that_is_minutes_apart_makes_nobody_seem_away_or_here(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    a_phone_of("sam")
    connected("sam")
    monkeypatch.setattr(push, "now", lambda: now() + timedelta(minutes=minutes))
    push.wake_the_readers(messages(1, 1))
    assert sender.sent == []
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": now() - timedelta(minutes=1)}})
    push.wake_the_readers(messages(2, 2))
    assert len(sender.sent) == 1
