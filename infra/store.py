"""Where state is kept: one Mongo document is one consistency boundary.

An ``Aggregate`` carries, beside its state, its ``version``, the ids of the events it has ``seen`` and an ``outbox`` of
events still to be told. ``commit`` writes all of it at once, so there is no moment at which one is true without the
others, on any MongoDB and without a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

import mongoengine
import pymongo
from bson.codec_options import CodecOptions
from mongoengine import DictField, Document, IntField, ListField, StringField
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout, PyMongoError

from infra import telemetry
from infra.ids import new_id
from infra.settings import Settings
from schemas.base import Event, encode, now

Raw = dict[str, Any]

# What a store that is away raises. A reader tries again; a phone is told 503.
STORE_DOWN = (ConnectionFailure, ExecutionTimeout)


def clock_of(database: Database[Raw]) -> datetime:
    """The moment by the store's own clock: the one that all processes share, however far apart theirs are.

    Raises one of ``STORE_DOWN``.
    """
    told: datetime = database.command("hello", codec_options=CodecOptions(tz_aware=True))["localTime"]
    return told


# An event comes twice when its first handling was not committed on the log: soon after. A dead letter replayed months
# later is the longest way round, and is one id in this many.
SEEN_KEPT = 200

# Documents that only carry an event to the relay, and are removed once it is told.
CARRIERS = "carriers"


class Conflict(Exception):
    """Somebody else changed the document first. Load it again and decide again."""


class AlreadyDone(Exception):
    """The event that caused this change was applied before."""


@dataclass
class Store:
    """The databases of one part: its records, and apart from them the keys that its words are sealed with.

    Attributes:
        name: of the service, which is also the name of its database.
        records: the database of records.
        keys: the database of wrapped keys, backed up in a cycle of its own.
        committed: called with a collection and an id after each commit that has something to tell.
        outboxes: the collections that the relay looks into.
    """

    name: str
    client: MongoClient[Raw]
    records: Database[Raw]
    keys: Database[Raw]
    committed: Callable[[str, str], None] = field(default=lambda *_: None)
    outboxes: set[str] = field(default_factory=lambda: {CARRIERS})

    def ping(self) -> None:
        """Return if the store answers within two seconds. Raises one of ``STORE_DOWN``."""
        with pymongo.timeout(2):
            # A read of ours, because a store that stands still may go on answering a ping.
            self.collection(CARRIERS).find_one({}, {"_id": 1})

    def collection(self, name: str) -> Collection[Raw]:
        return self.records[name]

    def tell(self, event: Event) -> None:
        """Keep an event that changes no document of ours until the relay has told it. Repeating it changes nothing.

        Raises:
            marshmallow.ValidationError: the event does not fit its own schema.
        """
        carrier = {"_id": event.id, "outbox": [outgoing(event)]}
        # A driver that lost the answer asks again, and the store has it already.
        with suppress(DuplicateKeyError):
            self.collection(CARRIERS).insert_one(carrier)
        self.committed(CARRIERS, event.id)

    def close(self) -> None:
        mongoengine.disconnect(self.name)
        _stores.pop(self.name, None)


_stores: dict[str, Store] = {}
# How long a store that does not answer is waited for, unless whoever connects can wait for longer.
PATIENCE_SECONDS = 3.0


def connect(name: str, settings: Settings, patience_seconds: float = PATIENCE_SECONDS) -> Store:
    """Open the databases of a part. Nothing is sent until the first use, so a store that is away is no error here.

    ``patience_seconds`` is how long a store that does not answer is waited for.
    """
    options = {
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "serverSelectionTimeoutMS": int(1000 * patience_seconds),
        "connectTimeoutMS": 2000,
        "socketTimeoutMS": 10000,
        "w": "majority",
        "journal": True,
        "appname": f"alongside-{name}",
    }
    records = settings.store_prefix + name
    client: MongoClient[Raw] = mongoengine.connect(records, alias=name, host=settings.store_url, **options)
    codec: CodecOptions[Raw] = CodecOptions(tz_aware=True)
    store = Store(
        name=name,
        client=client,
        records=client.get_database(records, codec_options=codec),
        keys=client.get_database(f"{records}_keys", codec_options=codec),
    )
    _stores[name] = store
    return store


class Aggregate(Document):
    """A document that changes as one and tells what happened to it.

    A subclass names its service in ``meta = {"db_alias": "risk", "collection": "courses"}``; its methods decide, call
    ``record`` for each fact, and never publish.
    """

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "strict": False, "auto_create_index": False}

    id = StringField(primary_key=True)
    version = IntField(default=0)
    seen = ListField(StringField())
    outbox = ListField(DictField())

    @classmethod
    def store(cls) -> Store:
        return _stores[cls._meta["db_alias"]]

    @classmethod
    def raw(cls) -> Collection[Raw]:
        """The collection itself, for reads that need no object."""
        return cls.store().collection(cls._meta["collection"])

    @classmethod
    def load(cls, id: str) -> Self | None:
        """The document as it is now, or None."""
        found = cls._found(id)
        return None if found is None else cls.read(found)

    @classmethod
    def _found(cls, id: str) -> Raw | None:
        return cls.raw().find_one({"_id": id}, {"outbox": 0, "seen": 0})

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """An object of a raw document."""
        document: Self = cls._from_son(raw)
        return document

    @classmethod
    def change(cls, id: str, act: Callable[[Self], Any], cause: str | None = None, create: bool = False) -> Self:
        """Load, ``act``, commit; again with the newer document when somebody else was first.

        An act without a cause that changes nothing writes nothing.

        Args:
            id: of the document.
            act: decides on the document and records facts; it may run more than once and must not reach outside.
            cause: the id of the event that this reacts to, so that it is applied once.
            create: start a new document where there is none.
        Raises:
            KeyError: no such document, and ``create`` was not asked for.
            AlreadyDone: ``cause`` was applied before.
            Conflict: others were first 50 times in a row.
        """
        for _ in range(50):
            found = cls._found(id)
            if found is None and not create:
                raise KeyError(id)
            document = cls(id=id) if found is None else cls.read(found)
            act(document)
            if cause is None and found and not document._recorded() and document._is_as(found):
                return document
            try:
                document.commit(cause)
            except Conflict:
                continue
            return document
        raise Conflict(f"{cls.__name__} {id}")

    def _is_as(self, found: Raw) -> bool:
        # Both written out, because what is read from the store may lack what is empty.
        return bool(self.read(found).to_mongo() == self.to_mongo())

    def record(self, kind: type[Event], **fields: Any) -> Event:
        """Remember a fact; it is told after the commit that makes it true, and never without it.

        Raises:
            marshmallow.ValidationError: the fields do not fit the event.
        """
        event = kind(id=new_id(), at=now(), version=self.version + 1, **fields)
        self._recorded().append(outgoing(event))
        return event

    def commit(self, cause: str | None = None) -> None:
        """Write the state, what was seen and what is to be told, in one document write.

        Raises:
            Conflict: the document is not the one that was loaded.
            AlreadyDone: ``cause`` was applied before.
            pymongo.errors.DuplicateKeyError: another document has the value of a unique field.
        """
        state = self.to_mongo().to_dict()
        for name in ("_id", "version", "seen", "outbox"):
            state.pop(name, None)
        if self.version == 0:
            self._insert(state, cause)
        else:
            self._update(state, cause)
        self.version += 1
        if self._recorded():
            self._recorded().clear()
            self.store().committed(self._meta["collection"], self.id)

    def _insert(self, state: Raw, cause: str | None) -> None:
        seen = [cause] if cause else []
        try:
            self.raw().insert_one(
                {"_id": self.id, "version": 1, "seen": seen, "outbox": list(self._recorded()), **state}
            )
        except DuplicateKeyError as error:
            if self.raw().find_one({"_id": self.id}, {"_id": 1}) is None:
                # Not this document but another has the value of a unique field: no newer version will help.
                raise
            self._refuse(cause, error)

    def _update(self, state: Raw, cause: str | None) -> None:
        where: Raw = {"_id": self.id, "version": self.version}
        push: Raw = {"outbox": {"$each": list(self._recorded())}} if self._recorded() else {}
        if cause:
            where["seen"] = {"$ne": cause}
            push["seen"] = {"$each": [cause], "$slice": -SEEN_KEPT}
        change: Raw = {"$inc": {"version": 1}, "$set": state}
        if push:
            change["$push"] = push
        # A field that was emptied is absent from the state, and must not keep its old value in the store.
        kept = {"_id", "version", "seen", "outbox", *state}
        gone = {spec.db_field: "" for spec in self._fields.values() if spec.db_field not in kept}
        if gone:
            change["$unset"] = gone
        if not state:
            del change["$set"]
        if self.raw().update_one(where, change).matched_count == 0:
            self._refuse(cause, None)

    def _refuse(self, cause: str | None, error: PyMongoError | None) -> None:
        if cause and self.raw().find_one({"_id": self.id, "seen": cause}, {"_id": 1}):
            raise AlreadyDone(cause) from error
        raise Conflict(f"{type(self).__name__} {self.id}") from error

    def _recorded(self) -> list[Raw]:
        recorded: list[Raw] = self.__dict__.setdefault("_events", [])
        return recorded


def keep_newer(collection: Collection[Raw], id: str, version: int, state: Raw) -> bool:
    """Keep a copy of what another service tells, unless the copy is as new already. Returns whether it changed."""
    try:
        collection.update_one(
            {"_id": id, "version": {"$lt": version}}, {"$set": {**state, "version": version}}, upsert=True
        )
    except DuplicateKeyError:
        # The copy did not match because it is newer, so the upsert met the document itself.
        return False
    return True


def outgoing(event: Event) -> Raw:
    """An event as it lies in the outbox of a document.

    Raises:
        marshmallow.ValidationError: the event does not fit its own schema.
    """
    value, headers = encode(event, telemetry.request_id.get())
    return {"id": event.id, "topic": event.topic, "key": event.partition_key, "value": value, "headers": headers}


def prepare(store: Store, *kinds: type[Aggregate]) -> None:
    """Make the indexes of a service's aggregates, and the one that the relay sweeps by. Safe to repeat."""
    for kind in kinds:
        kind.ensure_indexes()
    for name in (CARRIERS, *(kind._meta["collection"] for kind in kinds)):
        keep_outboxes(store, name)


def keep_outboxes(store: Store, name: str) -> None:
    """Let the relay look into a collection whose documents have outboxes. Safe to repeat."""
    store.outboxes.add(name)
    store.collection(name).create_index("outbox.id", sparse=True)
