"""What is told to many at once, and how far it has come.

An event that tells hundreds is kept as it was heard and unfolded into deliveries beside the hearing, so that nothing
behind it waits.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from gateway import service
from gateway.devices import AT_ONCE, away, devices_of, handfuls
from gateway.post import KEPT_SECONDS, TO_MANY, deliveries, make
from gateway.senders import Kind
from infra.store import Raw, Store
from schemas.alumni import NoticePosted, NoticeShareAddressed
from schemas.base import Event, now

# Unfolding a share takes a second or two; a worker that died with it gives it back in time.
_LEASE = timedelta(seconds=15)
_SWEEP_SECONDS = 2.0
_heard: queue.SimpleQueue[str] = queue.SimpleQueue()


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    crowds = store.collection("crowds")
    crowds.create_index("unfold_at", sparse=True)
    crowds.create_index("ref")
    crowds.create_index("at", expireAfterSeconds=KEPT_SECONDS)
    store.collection("notices").create_index("at", expireAfterSeconds=KEPT_SECONDS)


def is_crowd(kind: Kind, people: Sequence[str]) -> bool:
    """Whether it is unfolded beside the hearing."""
    return kind in TO_MANY or len(people) > AT_ONCE


def gather(event: Event, kind: Kind, ref: str, people: Sequence[str]) -> None:
    """Keep whom an event tells of a thing, to be unfolded soon. Kept once, however often it is heard."""
    share, last = (event.share, event.last) if isinstance(event, NoticeShareAddressed) else (0, False)
    crowd = {
        "_id": event.id,
        "kind": kind,
        "ref": ref,
        "people": list(people),
        "count": len(people),
        "share": share,
        "last": last,
        "at": now(),
        "unfold_at": now(),
    }
    try:
        service.store.collection("crowds").insert_one(crowd)
    except DuplicateKeyError:
        return
    _heard.put(event.id)


@service.every(0)
def unfold_crowds(_: datetime) -> None:
    """For ever: waits by itself when nobody is told."""
    unfold()


def unfold(seconds: float = _SWEEP_SECONDS) -> None:
    """Make the deliveries of what was heard here, waiting for it up to ``seconds``, or else of what somebody left."""
    crowds = service.store.collection("crowds")
    try:
        id: str | None = _heard.get(timeout=seconds)
    except queue.Empty:
        left = crowds.find_one({"unfold_at": {"$lte": now()}}, {"_id": 1})
        id = None if left is None else left["_id"]
    where = {"_id": id, "unfold_at": {"$lte": now()}}
    crowd = id and crowds.find_one_and_update(where, {"$set": {"unfold_at": now() + _LEASE}})
    if not crowd:
        return
    for people in handfuls(crowd["people"]):
        _make(crowd, people)
    crowds.update_one({"_id": id}, {"$unset": {"unfold_at": 1}})


def _make(crowd: Raw, people: Sequence[str]) -> None:
    # By the thing for a notice, of which a device is to hear once in whichever share.
    cause = crowd["ref"] if crowd["kind"] in TO_MANY else crowd["_id"]
    make(cause, crowd["kind"], crowd["ref"], away(devices_of(people)))


# -- how far a notice has come


@service.on(NoticePosted)
def know_the_notice(event: NoticePosted) -> None:
    """Who may ask how far it has come."""
    notice = {"network_id": event.network_id, "by": event.by, "at": event.at}
    service.store.collection("notices").update_one({"_id": event.notice_id}, {"$set": notice}, upsert=True)


def progress(network_id: str, notice_id: str, asker: str) -> Raw | None:
    """Counts of a notice for whoever posted it; None for others, and when it is older than deliveries are kept."""
    notice = service.store.collection("notices").find_one({"_id": notice_id})
    if notice is None or (notice["network_id"], notice["by"]) != (network_id, asker):
        return None
    heard = list(service.store.collection("crowds").find({"ref": notice_id}, {"people": 0}))
    last = [crowd["share"] for crowd in heard if crowd["last"]]
    by_state = dict.fromkeys(("made", "sent", "failed", "opened", "needless"), 0)
    counted: list[Raw] = [
        {"$match": {"ref": notice_id, "kind": "notice"}},
        {"$group": {"_id": "$state", "count": {"$sum": 1}}},
    ]
    by_state |= {row["_id"]: row["count"] for row in deliveries().aggregate(counted)}
    return {
        "addressed": bool(last)
        and {crowd["share"] for crowd in heard} >= set(range(1, max(last) + 1))
        and not any("unfold_at" in crowd for crowd in heard),
        "people": sum(crowd["count"] for crowd in heard),
        "devices": sum(by_state.values()),
        **by_state,
    }
