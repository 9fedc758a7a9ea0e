"""Where people are reached: their devices, which of those are connected, and when one may be woken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from pymongo import UpdateOne

from gateway import service
from gateway.presence import STALE
from infra.store import Raw, Store, clock_of
from schemas.base import now

T = TypeVar("T")

# An app registers its device whenever it starts. Google ends an address after 270 idle days, and so do we.
IDLE = timedelta(days=270)
# An `$in` of more than this takes the embedded store longer for each of its values, and MongoDB no less.
AT_ONCE = 50
_READ_AHEAD = 200
_QUIET = ("timezone", "quiet_hours", "do_not_disturb_until")
# An event's moment is by its gateway's clock. Where that is behind, a reading can be this much older than the event.
_SHARED_FOR = timedelta(seconds=0.2)


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    store.collection("devices").create_index("person")
    store.collection("devices").create_index("value_hash")
    store.collection("devices").create_index("seen_at")
    store.collection("connections").create_index("device")
    store.collection("connections").create_index("person")


def keep_device(person_id: str, device_id: str, body: Raw) -> tuple[Raw, bool]:
    """Keep where a person's device is reached, and that it was seen now.

    An address belongs to whoever signed in on the device last.

    Returns:
        the device, and whether its times of quiet were others before.
    """
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
        "do_not_disturb_until": body.get("do_not_disturb_until"),
        "language": body.get("language", "en"),
        "seen_at": now(),
    }
    before = devices.find_one_and_update({"_id": id}, {"$set": state}, upsert=True)
    changed = before is not None and any(before.get(name) != state[name] for name in _QUIET)
    return {"_id": id, **state}, changed


def end_device(device: Raw) -> None:
    """Forget a device whose address is nobody's any more, unless it has registered another one meanwhile."""
    service.store.collection("devices").delete_one({"_id": device["_id"], "value_hash": device["value_hash"]})


@service.every(3600)
def end_idle_devices(moment: datetime) -> None:
    """Forget what no app has registered again for so long that nobody can be behind it."""
    devices = service.store.collection("devices")
    devices.delete_many({"seen_at": {"$lt": moment - IDLE}})
    # Kept before there was such a mark: it counts from now.
    unseen = [UpdateOne({"_id": d["_id"]}, {"$set": {"seen_at": moment}}) for d in devices.find({"seen_at": None})]
    if unseen:
        devices.bulk_write(unseen, ordered=False)


def address_of(device: Raw) -> str:
    """The registration token or the subscription. Raises ``Erased``."""
    return service.vault.open(device["person"], f"devices/{device['device']}", bytes(device["value"]))


def handfuls(things: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """The things in their order, a handful at a time."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def devices_of(people: Iterable[str]) -> list[Raw]:
    """Every device of these people."""
    found = service.store.collection("devices")
    return [device for some in handfuls(list(people)) for device in found.find({"person": {"$in": some}})]


def connected(device_ids: Iterable[str]) -> set[str]:
    """Those that hold a socket open on a gateway that has a pulse."""
    asked = list(device_ids)
    if not asked:
        return set()
    since = clock_of(service.store.records) - STALE
    alive = [pulse["_id"] for pulse in service.store.collection("pulses").find({"at": {"$gt": since}})]
    if not alive:
        return set()
    found = service.store.collection("connections")
    return {
        connection["device"]
        for some in handfuls(asked)
        for connection in found.find({"device": {"$in": some}, "gateway": {"$in": alive}}, {"device": 1})
    }


def away(devices: list[Raw]) -> list[Raw]:
    """Those that are not connected."""
    here = connected(device["_id"] for device in devices)
    return [device for device in devices if device["_id"] not in here]


class Asleep:
    """The devices of people that are not connected, for many events that happened at about the same time.

    What was read after an event happened is as true for it as what would be read now. So the events that were polled
    together share one reading, and nothing is taken from a reading that is older than the event.
    """

    def __init__(self) -> None:
        self._read_at = now() - 2 * _SHARED_FOR
        self._by_person: dict[str, list[Raw]] = {}
        self._asked: set[str] = set()

    def of(self, people: Sequence[str], happened: datetime) -> list[Raw]:
        """The devices of these people that were not connected at a moment after ``happened``."""
        moment = now()
        age = moment - self._read_at
        if happened >= self._read_at or age > _SHARED_FOR:
            # Whoever was asked for a moment ago is asked for again when many write at once.
            also = [] if age > _SHARED_FOR else list(self._asked)[:_READ_AHEAD]
            self._read_at, self._by_person, self._asked = moment, {}, set()
            self._read(list({*people, *also}))
        self._read([person for person in people if person not in self._by_person])
        self._asked.update(people)
        return [device for person in people for device in self._by_person[person]]

    def _read(self, people: list[str]) -> None:
        if people:
            self._by_person.update({person: [] for person in people})
            for device in away(devices_of(people)):
                self._by_person[device["person"]].append(device)


def may_wake_at(moment: datetime, device: Raw) -> datetime:
    """The moment, or the end of the quiet that the person asked for: do-not-disturb, then the quiet hours."""
    quiet_until = device.get("do_not_disturb_until")
    return after_quiet_hours(max(moment, quiet_until) if quiet_until else moment, device)


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
