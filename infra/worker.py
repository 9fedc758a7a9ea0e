"""What runs behind a service's door: hearing events, telling them, keeping deadlines.

A consumed event ends as *done* (its offset is committed), *retry* (nothing is committed, its partition waits, the order
is kept) or *dead* (kept with its origin and error, counted, an operator told, replayable). There is no fourth end.
"""

from __future__ import annotations

import enum
import queue
import time
import traceback
from collections.abc import Callable
from datetime import timedelta

from pymongo import DeleteOne, UpdateOne

from infra import telemetry
from infra.ids import id_at
from infra.log import Log, LogDown, Outgoing, Place, Reader, Record
from infra.service import Service
from infra.store import CARRIERS, STORE_DOWN, AlreadyDone, Conflict, Raw, Store
from schemas.base import Unknown, Unreadable, decode, now
from schemas.catalogue import EVENTS

log_line = telemetry.logger("worker")


class Later(Exception):
    """A handler's own word that something it needs is not there yet. The event is tried again, in order."""


class End(enum.Enum):
    """How the handling of one event ended."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"


# Worth trying for as long as it takes: the cause lies outside and passes.
PASSING = (*STORE_DOWN, LogDown, Conflict, Later)

# An error of ours may still be a race that a second try wins; five lose to a bug.
TRIES = 5


def backoff(attempt: int) -> float:
    """Seconds to wait before try number ``attempt`` (from 1): 0.05, doubling, at most 5."""
    return min(5.0, 0.05 * 2.0 ** min(attempt - 1, 10))


class Worker:
    """Hears a service's events, one after the other within a partition."""

    def __init__(self, service: Service, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._log = log
        self._clock = clock
        self._reader: Reader | None = None
        self._waiting: dict[Place, float] = {}
        self._tries: dict[tuple[Place, int], int] = {}

    def step(self, seconds: float = 0.5) -> int:
        """Hear what there is, waiting up to ``seconds``. Returns how many records ended, done or dead.

        Raises:
            LogDown: call again later.
        """
        if self._reader is None:
            self._reader = self._log.subscribe(self._service.name, self._service.topics)
        self._resume_those_due()
        offsets: dict[Place, int] = {}
        ended = 0
        held_back: set[Place] = set()
        records = self._reader.poll(min(seconds, self._next_due()))
        self._service.polls += 1
        for record in records:
            if record.place in held_back:
                continue
            if self._handle(record) is End.RETRY:
                held_back.add(record.place)
                self._hold(record)
            else:
                offsets[record.place] = record.offset + 1
                ended += 1
        if offsets:
            self._reader.commit(offsets)
        return ended

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def waiting(self) -> int:
        """How many partitions wait for another try."""
        return len(self._waiting)

    def replay(self) -> None:
        """Try again the dead letters that an operator asked for."""
        letters = self._service.store.collection("dead")
        for letter in letters.find({"replay": True}).limit(100):
            record = Record(
                letter["topic"],
                letter["partition"],
                letter["offset"],
                letter["key"],
                letter["value"],
                letter["headers"],
                letter["at"],
            )
            try:
                self._react(record)
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raised is kept with the letter
                letters.update_one({"_id": letter["_id"]}, {"$unset": {"replay": 1}, "$set": _why(error)})
            else:
                letters.delete_one({"_id": letter["_id"]})
        telemetry.dead.labels(self._service.name).set(letters.count_documents({}))

    def _handle(self, record: Record) -> End:
        tries = self._tries.get((record.place, record.offset), 0) + 1
        kind = record.headers.get("ce_type", "(none)")
        try:
            self._react(record)
            end = End.DONE
        except PASSING as error:
            log_line.warning("event_waits", event_id=record.headers.get("ce_id"), why=type(error).__name__)
            end = End.RETRY
        except Exception as error:  # noqa: BLE001 - whatever a handler raised ends as retry or dead, never unseen
            final = tries >= TRIES or isinstance(error, Unreadable)
            end = self._bury(record, error) if final else End.RETRY
        if end is End.RETRY:
            self._tries[record.place, record.offset] = tries
        else:
            self._tries.pop((record.place, record.offset), None)
        telemetry.handled.labels(self._service.name, kind, end.value).inc()
        return end

    def _react(self, record: Record) -> None:
        """Call the handlers. What they raise says how the event ends."""
        try:
            event = decode(record.value, record.headers, EVENTS)
        except Unknown:
            telemetry.unknown.labels(self._service.name).inc()
            return
        token = telemetry.request_id.set(record.headers.get("ce_requestid"))
        try:
            for handler in self._service.handlers.get(type(event), ()):
                try:
                    handler(event)
                except AlreadyDone:
                    continue
        finally:
            telemetry.request_id.reset(token)

    def _bury(self, record: Record, error: Exception) -> End:
        letter = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "value": record.value,
            "headers": dict(record.headers),
            "at": record.at,
            **_why(error),
        }
        letters = self._service.store.collection("dead")
        try:
            letters.update_one(
                {"_id": f"{record.topic}-{record.partition}-{record.offset}"}, {"$set": letter}, upsert=True
            )
        except STORE_DOWN:
            return End.RETRY
        telemetry.dead.labels(self._service.name).inc()
        log_line.error("event_dead", event_id=record.headers.get("ce_id"), why=type(error).__name__)
        return End.DEAD

    def _hold(self, record: Record) -> None:
        assert self._reader is not None
        tries = self._tries[record.place, record.offset]
        self._waiting[record.place] = self._clock() + backoff(tries)
        self._reader.rewind(record.place, record.offset)
        self._reader.pause([record.place])

    def _resume_those_due(self) -> None:
        assert self._reader is not None
        moment = self._clock()
        due = [place for place, at in self._waiting.items() if at <= moment]
        for place in due:
            del self._waiting[place]
        self._reader.resume(due)

    def _next_due(self) -> float:
        return max(0.0, min(self._waiting.values(), default=float("inf")) - self._clock())


def _why(error: Exception) -> Raw:
    return {
        "error": f"{type(error).__name__}: {error}"[:500],
        "trace": "".join(traceback.format_exception(error))[-4000:],
        "died_at": now(),
    }


class Relay:
    """Tells the log what the outboxes hold: at once after a commit, and by a sweep for what a crash left.

    Several processes may tell the same event; consumers drop the second. Within one document the first telling of each
    event is in order, because an outbox is always told from its front.
    """

    # Younger ones are on their way already: told by the process that wrote them.
    LEFT_BEHIND_SECONDS = 2.0

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._nudges: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        store.committed = lambda collection, id: self._nudges.put((collection, id))

    def step(self, seconds: float = 0.5) -> int:
        """Tell what was committed, waiting up to ``seconds`` for the first. Returns how many events were told.

        Raises:
            LogDown: nothing is lost; ``sweep`` finds it again.
        """
        nudges = self._gathered(seconds)
        by_collection: dict[str, list[str]] = {}
        for collection, id in nudges:
            by_collection.setdefault(collection, []).append(id)
        return sum(self._tell(name, {"_id": {"$in": ids}}) for name, ids in by_collection.items())

    def sweep(self, older_than: float = LEFT_BEHIND_SECONDS) -> int:
        """Tell what has been waiting for longer than ``older_than`` seconds. Returns how many events were told."""
        before = id_at(now() - timedelta(seconds=older_than))
        return sum(self._tell(name, {"outbox.id": {"$lt": before}}) for name in sorted(self._store.outboxes))

    def _gathered(self, seconds: float) -> set[tuple[str, str]]:
        """The first nudge, waited for, and all that came with it."""
        nudges: set[tuple[str, str]] = set()
        try:
            nudges.add(self._nudges.get(timeout=seconds))
            while len(nudges) < 200:
                nudges.add(self._nudges.get_nowait())
        except queue.Empty:
            return nudges
        return nudges

    def _tell(self, name: str, where: Raw) -> int:
        collection = self._store.collection(name)
        waiting = [d for d in collection.find(where, {"outbox": 1}).limit(500) if d.get("outbox")]
        if not waiting:
            return 0
        events = [_to_log(entry) for document in waiting for entry in document["outbox"]]
        telemetry.untold.labels(self._store.name).set(len(events))
        self._log.publish(events)
        telemetry.untold.labels(self._store.name).set(0)
        collection.bulk_write([_told(name, document) for document in waiting], ordered=False)
        return len(events)


def _to_log(entry: Raw) -> Outgoing:
    return Outgoing(entry["topic"], entry["key"], bytes(entry["value"]), entry["headers"])


def _told(name: str, document: Raw) -> DeleteOne | UpdateOne:
    if name == CARRIERS:
        return DeleteOne({"_id": document["_id"]})
    ids = [entry["id"] for entry in document["outbox"]]
    return UpdateOne({"_id": document["_id"]}, {"$pull": {"outbox": {"id": {"$in": ids}}}})
