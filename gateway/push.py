"""From an event to a sleeping device. Every delivery is a record first and is sent from it, so a kill loses none.

What leaves is the kind, an opaque id and a number; the words that a phone shows come from a fixed neutral list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from gateway import chat_store, service
from gateway.chat_store import DUPLICATE_KEY, ChatStore
from gateway.senders import Kind, Outcome, Push, Sender, Target, open_sender
from infra import telemetry
from infra.ids import derived_id
from infra.store import Raw, Store, clock_of, keep_newer
from schemas.base import Event, now
from schemas.catalogue import EVENTS
from schemas.chat import MessageSent
from schemas.people import SessionEnded

LEASE = timedelta(seconds=30)
BATCH = 200
LATER_MOST = timedelta(hours=1)
TRIES = 12
FRESH = timedelta(seconds=15)
# An alert is never deferred and never held back because a device seems to be connected.
OVERRIDES = ("alert",)


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    chat_store.make_indexes(store)
    store.collection("devices").create_index("person")
    store.collection("devices").create_index("value_hash")
    store.collection("deliveries").create_index([("state", ASCENDING), ("due_at", ASCENDING)])
    store.collection("deliveries").create_index([("person", ASCENDING), ("_id", ASCENDING)])
    store.collection("deliveries").create_index("at", expireAfterSeconds=30 * 86_400)
    store.collection("ended_sessions").create_index("at", expireAfterSeconds=86_400)
    store.collection("connections").create_index("device")
    store.collection("connections").create_index("person")


service.preparations.append(make_indexes)


# -- what is heard


def wake(event: Event) -> None:
    """Wake the devices of everybody whom the event tells."""
    hint = event.hint
    assert hint is not None
    assert hint.push is not None
    ref = str(getattr(event, hint.fields[-1]))
    devices = _devices_of(getattr(event, "tell", ()))
    if hint.push not in OVERRIDES:
        devices = _away(devices)
    _send_now(_make_deliveries(event.id, hint.push, ref, devices))  # type: ignore[arg-type]


for _kind in EVENTS.values():
    if _kind.hint is not None and _kind.hint.push is not None:
        service.on(_kind)(wake)


@service.on(MessageSent)
def wake_the_readers(event: MessageSent) -> None:
    """Whoever another wrote to, and whose device has not been told of these messages already."""
    readers = [person for person in event.tell if set(event.senders) - {person}]
    devices = _not_woken_yet(_away(_devices_of(readers)), event)
    # Named by the messages and not by the event: what a takeover tells again is the same delivery.
    made = _make_deliveries(f"{event.conversation_id}/{event.to_seq}", "message", event.conversation_id, devices)
    # Marked once the deliveries are there, so that a kill in between makes them at the next hearing.
    for device in devices:
        keep_newer(_woken(), _mark(device, event), event.to_seq, {})
    _send_now(made)


def _not_woken_yet(devices: list[Raw], event: MessageSent) -> list[Raw]:
    if not devices:
        return []
    marks = {_mark(device, event): device for device in devices}
    woken = {mark["_id"] for mark in _woken().find({"_id": {"$in": list(marks)}, "version": {"$gte": event.to_seq}})}
    return [device for mark, device in marks.items() if mark not in woken]


def _mark(device: Raw, event: MessageSent) -> str:
    return f"{device['_id']}/{event.conversation_id}"


def _woken() -> Collection[Raw]:
    """Up to which message a device was woken, by device and conversation."""
    return service.store.collection("messages_pushed")


@service.on(SessionEnded)
def remember_the_end(event: SessionEnded) -> None:
    """So that an access token of the session opens nothing any more, in every gateway and after a restart."""
    ended = service.store.collection("ended_sessions")
    ended.update_one({"_id": event.session_id}, {"$set": {"at": event.at}}, upsert=True)


# -- deliveries


def _devices_of(people: Iterable[str]) -> list[Raw]:
    return list(service.store.collection("devices").find({"person": {"$in": list(people)}}))


def _make_deliveries(cause: str, kind: Kind, ref: str, devices: list[Raw]) -> list[str]:
    """A delivery for each device, due now or after its quiet hours. Made once, however often the cause is heard."""
    moment = now()
    made = [
        {
            "_id": derived_id(cause, device["_id"], "delivery"),
            "device": device["_id"],
            "person": device["person"],
            "kind": kind,
            "ref": ref,
            "state": "made",
            "why": None,
            "at": moment,
            "due_at": moment if kind in OVERRIDES else after_quiet_hours(moment, device),
            "tries": 0,
        }
        for device in devices
    ]
    if made:
        try:
            service.store.collection("deliveries").insert_many(made, ordered=False)
        except BulkWriteError as error:
            if any(wrong["code"] != DUPLICATE_KEY for wrong in error.details["writeErrors"]):
                raise
    return [str(delivery["_id"]) for delivery in made]


def _away(devices: list[Raw]) -> list[Raw]:
    """Those that hold no socket open on a gateway that has a pulse."""
    if not devices:
        return []
    since = clock_of(service.store.records) - FRESH
    alive = [pulse["_id"] for pulse in service.store.collection("pulses").find({"at": {"$gt": since}})]
    where = {"device": {"$in": [device["_id"] for device in devices]}, "gateway": {"$in": alive}}
    here = {connection["device"] for connection in service.store.collection("connections").find(where)}
    return [device for device in devices if device["_id"] not in here]


def after_quiet_hours(moment: datetime, device: Raw) -> datetime:
    """The moment, or the end of the device's quiet hours when it falls into them, on the device's own clock."""
    quiet = device.get("quiet_hours")
    if not quiet:
        return moment
    zone = ZoneInfo(device["timezone"])
    local = moment.astimezone(zone)
    clock = local.strftime("%H:%M")
    start, end = quiet["start"], quiet["end"]
    inside = start <= clock < end if start <= end else clock >= start or clock < end
    if not inside:
        return moment
    hour, minute = map(int, end.split(":"))
    day = local.date() + timedelta(days=1 if clock >= end else 0)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(moment.tzinfo)


@service.every(1)
def send_what_is_due(moment: datetime) -> None:
    """Deferred ones, those to try again, and what a crash left."""
    due = service.store.collection("deliveries").find({"state": "made", "due_at": {"$lte": moment}}, {"_id": 1})
    _send_now([delivery["_id"] for delivery in due.limit(BATCH)])


def _send_now(ids: list[str]) -> None:
    claimed = [delivery for id in ids if (delivery := _claim(id)) is not None]
    by_kind: dict[tuple[str, str, str], list[Raw]] = {}
    for delivery in claimed:
        by_kind.setdefault((delivery["kind"], delivery["ref"], delivery["person"]), []).append(delivery)
    for group in by_kind.values():
        _send_group(group)


def _claim(id: str) -> Raw | None:
    """Take a delivery for a while, so that no other worker sends it too; a worker that dies gives it back in time."""
    moment = now()
    return service.store.collection("deliveries").find_one_and_update(
        {"_id": id, "state": "made", "due_at": {"$lte": moment}},
        {"$set": {"due_at": moment + LEASE}, "$inc": {"tries": 1}},
        return_document=True,
    )


def _send_group(group: list[Raw]) -> None:
    """Send what goes to one person's devices about one thing."""
    devices = {
        device["_id"]: device
        for device in service.store.collection("devices").find({"_id": {"$in": [d["device"] for d in group]}})
    }
    present = [delivery for delivery in group if delivery["device"] in devices]
    for delivery in group:
        if delivery["device"] not in devices:
            _end(delivery, "failed", "the device was removed")
    if not present:
        return
    first = present[0]
    person = first["person"]
    push = Push(first["kind"], first["ref"], _chat_store().badge(person), "en", first["ref"])
    targets = [Target(d["device"], devices[d["device"]]["kind"], _address(devices[d["device"]])) for d in present]
    for delivery, outcome in zip(present, _sender().send(push, targets), strict=True):
        _note(delivery, outcome)


def _note(delivery: Raw, outcome: Outcome) -> None:
    telemetry.pushes.labels(delivery["kind"], outcome.state).inc()
    if outcome.state == "sent":
        _end(delivery, "sent", None)
    elif outcome.state == "gone":
        service.store.collection("devices").delete_one({"_id": delivery["device"]})
        _end(delivery, "failed", "the address is no longer known")
    elif outcome.state == "refused" or delivery["tries"] >= TRIES:
        _end(delivery, "failed", outcome.why)
    else:
        wait = timedelta(seconds=outcome.retry_after or min(2.0 ** delivery["tries"], 300))
        service.store.collection("deliveries").update_one(
            {"_id": delivery["_id"]}, {"$set": {"due_at": now() + min(wait, LATER_MOST), "why": outcome.why}}
        )


def _end(delivery: Raw, state: str, why: str | None) -> None:
    service.store.collection("deliveries").update_one(
        {"_id": delivery["_id"]}, {"$set": {"state": state, "why": why and why[:200]}}
    )


# -- devices


def keep_device(person_id: str, device_id: str, body: Raw) -> None:
    """Keep where a person's device is reached. An address belongs to whoever signed in on the device last."""
    devices = service.store.collection("devices")
    id = f"{person_id}/{device_id}"
    hashed = hashlib.sha256(body["value"].encode()).hexdigest()
    devices.delete_many({"value_hash": hashed, "_id": {"$ne": id}})
    state = {
        "person": person_id,
        "device": device_id,
        "kind": body["kind"],
        "value": service.vault.seal(person_id, f"devices/{device_id}", body["value"]),
        "value_hash": hashed,
        "timezone": body["timezone"],
        "quiet_hours": body["quiet_hours"],
        "refreshed_at": now(),
    }
    devices.update_one({"_id": id}, {"$set": state}, upsert=True)


def _address(device: Raw) -> str:
    return service.vault.open(device["person"], f"devices/{device['device']}", bytes(device["value"]))


@cache
def _sender() -> Sender:
    settings = service.settings
    return open_sender(settings.firebase_credentials, settings.fcm_endpoint, settings.firebase_project)


def _chat_store() -> ChatStore:
    return ChatStore(service.store, service.vault)
