"""Where conversations and messages are kept. Raw documents: this is the hot path.

A message is one insert. Its number ``seq`` is the conversation's own, from 1, without a gap; the unique index on
(conversation, seq) settles who was first when two gateways write at once, and the one on (conversation, sender,
client_message_id) makes a repeat the same message for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from infra.ids import new_id
from infra.store import Raw, Store, outgoing
from infra.vault import Vault
from schemas.base import Event, now
from schemas.fields import written

DUPLICATE_KEY = 11000


class Draft(NamedTuple):
    """A message on its way into the store. ``owner_id`` is the client whose key seals the words."""

    conversation_id: str
    owner_id: str
    sender_id: str
    client_message_id: str
    text: str


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    messages = store.collection("messages")
    messages.create_index([("c", ASCENDING), ("seq", ASCENDING)], unique=True)
    messages.create_index([("c", ASCENDING), ("sender", ASCENDING), ("cmid", ASCENDING)], unique=True)
    store.collection("conversations").create_index([("members", ASCENDING), ("last_at", DESCENDING)])
    conversations = store.collection("conversations")
    conversations.create_index([("state", ASCENDING), ("waiting_since", ASCENDING)])
    conversations.create_index("place", unique=True, partialFilterExpression={"place": {"$exists": True}})
    conversations.create_index("outbox.id", sparse=True)
    # A conversation changes and tells of it in one write, as an aggregate does.
    store.outboxes.add(conversations.name)


class ChatStore:
    """Conversations and messages of all clients."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._committed = store.committed
        self._conversations = store.collection("conversations")
        self._messages = store.collection("messages")
        self._vault = vault

    # -- conversations

    def open(self, conversation: Raw) -> bool:
        """Keep a new conversation; False when there is one of this id."""
        try:
            self._conversations.insert_one(conversation)
        except DuplicateKeyError:
            return False
        return True

    def conversation(self, conversation_id: str) -> Raw | None:
        return self._conversations.find_one({"_id": conversation_id})

    def of_person(self, person_id: str, limit: int, after: str | None) -> list[Raw]:
        """Newest activity first; one more than ``limit`` where there are more. ``after`` is a conversation's id."""
        where: Raw = {"members": person_id}
        if after is not None and (mark := self.conversation(after)) is not None:
            where["$or"] = [
                {"last_at": {"$lt": mark["last_at"]}},
                {"last_at": mark["last_at"], "_id": {"$lt": after}},
            ]
        found = self._conversations.find(where).sort([("last_at", DESCENDING), ("_id", DESCENDING)])
        return list(found.limit(limit + 1))

    def neighbours(self, person_id: str) -> list[str]:
        """Everybody who shares an open conversation with this person."""
        found = self._conversations.find({"members": person_id, "state": {"$ne": "closed"}}, {"members": 1})
        return sorted({member for conversation in found for member in conversation["members"]} - {person_id})

    def between(self, one: str, other: str, kind: str) -> list[Raw]:
        return list(self._conversations.find({"members": {"$all": [one, other]}, "kind": kind}))

    def waiting(self, most: int = 0, after: str | None = None) -> list[Raw]:
        """Conversations that nobody has taken, the oldest first; all of them, or at most so many behind an id."""
        where: Raw = {"state": "waiting"}
        mark = self.conversation(after) if after is not None else None
        # Where the mark was taken in between, the list begins anew: rather somebody twice than somebody not at all.
        if mark is not None and (since := mark["waiting_since"]) is not None:
            where["$or"] = [{"waiting_since": {"$gt": since}}, {"waiting_since": since, "_id": {"$gt": after}}]
        order = [("waiting_since", ASCENDING), ("_id", ASCENDING)]
        return list(self._conversations.find(where).sort(order).limit(most))

    def take(self, conversation: Raw, coach_id: str, room: int | None, event: Event) -> bool:
        """Give a waiting conversation to somebody; False when another was first, or there is no room left.

        Each conversation that somebody has taken holds one of that person's numbered places, and no two hold the same:
        however many processes give at once, nobody gets more than ``room``. None: by hand, as many as one likes.
        """
        while (place := self._free_place(coach_id, room)) is not None:
            change = {"$set": {"state": "open", "waiting_since": None, "place": place}, "$push": {"members": coach_id}}
            try:
                return self._change({"_id": conversation["_id"], "state": "waiting"}, change, event)
            except DuplicateKeyError:
                # Another process gave this place away in this moment.
                continue
        return False

    def hand_over(self, conversation: Raw, coach_id: str, *events: Event) -> bool:
        """Put somebody in the place of whoever has taken it; False when it is not as it was read any more."""
        where = {"_id": conversation["_id"], "state": "open", "members": conversation["members"]}
        while True:
            place = self._free_place(coach_id, None)
            change: Raw = {"$set": {"members": [conversation["owner"], coach_id], "place": place}}
            try:
                return self._change(where, change, *events)
            except DuplicateKeyError:
                continue

    def close(self, conversation: Raw, event: Event) -> bool:
        """End it and free its place; False when it is not as it was read any more."""
        where = {name: conversation[name] for name in ("_id", "state", "members")}
        change: Raw = {"$set": {"state": "closed", "waiting_since": None}, "$unset": {"place": ""}}
        return self._change(where, change, event)

    def escalate(self, conversation: Raw, moment: datetime, event: Event) -> bool:
        """Note that supervisors are told once more; False when somebody was first."""
        stage = conversation.get("escalations", 0)
        where = {"_id": conversation["_id"], "state": "waiting", "escalations": stage or {"$in": [0, None]}}
        return self._change(where, {"$set": {"escalations": stage + 1, "escalated_at": moment}}, event)

    def open_count(self, coach_id: str) -> int:
        return self._conversations.count_documents({"members": coach_id, "kind": "on_duty", "state": "open"})

    def _free_place(self, coach_id: str, room: int | None) -> str | None:
        found = self._conversations.find({"members": coach_id, "kind": "on_duty", "state": "open"}, {"place": 1})
        held = [conversation.get("place") for conversation in found]
        if room is not None and len(held) >= room:
            return None
        return next(place for number in count() if (place := f"{coach_id}/{number}") not in held)

    def _change(self, where: Raw, change: Raw, *events: Event) -> bool:
        """Change a conversation and put what follows into its outbox, in one write; False when ``where`` finds none."""
        told = {"outbox": {"$each": [outgoing(event) for event in events]}}
        change = {**change, "$push": {**change.get("$push", {}), **told}}
        if not self._conversations.update_one(where, change).modified_count:
            return False
        self._committed(self._conversations.name, where["_id"])
        return True

    def set_state(self, conversation_id: str, before: str, after: str) -> bool:
        changed = self._conversations.update_one({"_id": conversation_id, "state": before}, {"$set": {"state": after}})
        return bool(changed.modified_count)

    def note_activity(self, last: dict[str, datetime]) -> None:
        """Remember when conversations were last written in, for the order of the list. What a crash loses of it is
        made good by the next message."""
        if last:
            self._conversations.bulk_write(
                [UpdateOne({"_id": id}, {"$max": {"last_at": at}}) for id, at in last.items()], ordered=False
            )

    # -- cursors

    def move_cursor(self, conversation_id: str, person_id: str, delivered: int, read: int) -> Raw:
        """Move a person's cursors forward, never back, and return where they are. What was read was delivered."""
        place = f"cursors.{_key(person_id)}"
        moved = self._conversations.find_one_and_update(
            {"_id": conversation_id},
            {"$max": {f"{place}.delivered": max(delivered, read), f"{place}.read": read}},
            return_document=True,
        )
        return self.cursor(moved or {}, person_id)

    def cursor(self, conversation: Raw, person_id: str) -> Raw:
        """Up to where a person's devices have a conversation, and up to where the person has read it."""
        return {"delivered": 0, "read": 0, **conversation.get("cursors", {}).get(_key(person_id), {})}

    def unread(self, conversation: Raw, person_id: str) -> int:
        """How many messages of others are behind the person's read cursor."""
        read = self.cursor(conversation, person_id)["read"]
        return self._messages.count_documents(
            {"c": conversation["_id"], "seq": {"$gt": read}, "sender": {"$ne": person_id}}
        )

    def badge(self, person_id: str) -> int:
        """Unread messages over all of a person's conversations."""
        found = self._conversations.find({"members": person_id}, {"cursors": 1})
        return sum(self.unread(conversation, person_id) for conversation in found)

    # -- messages

    def last_seq(self, conversation_id: str) -> int:
        """The highest number there is; 0 in an empty conversation."""
        found = self._messages.find_one({"c": conversation_id}, {"seq": 1}, sort=[("seq", DESCENDING)])
        return 0 if found is None else int(found["seq"])

    def seal(self, draft: Draft) -> Raw:
        """The document of a message, still without its number."""
        id = new_id()
        return {
            "_id": id,
            "c": draft.conversation_id,
            "cmid": draft.client_message_id,
            "sender": draft.sender_id,
            "owner": draft.owner_id,
            "text": Binary(self._vault.seal(draft.owner_id, f"messages/{id}", draft.text)),
            "at": now(),
        }

    def insert(self, documents: Sequence[Raw]) -> tuple[int, bool]:
        """Write numbered messages in order, up to the first that is a duplicate.

        In order, so that a kill in the middle leaves a beginning and never a gap.

        Returns:
            how many of them are stored, and whether the next one met a duplicate.
        """
        try:
            self._messages.bulk_write([InsertOne(document) for document in documents], ordered=True)
        except BulkWriteError as error:
            first = error.details["writeErrors"][0]
            if first["code"] != DUPLICATE_KEY:
                raise
            return int(first["index"]), True
        return len(documents), False

    def by_client_id(self, conversation_id: str, sender_id: str, client_message_id: str) -> Raw | None:
        """The message that a phone sent under this id before."""
        return self._messages.find_one({"c": conversation_id, "sender": sender_id, "cmid": client_message_id})

    def by_client_ids(self, conversation_id: str, client_message_ids: list[str]) -> list[Raw]:
        """Ascending, those of a conversation that phones sent under these ids, whoever sent them."""
        found = self._messages.find({"c": conversation_id, "cmid": {"$in": client_message_ids}})
        return list(found.sort("seq", ASCENDING))

    def after(self, conversation_id: str, seq: int, limit: int) -> list[Raw]:
        """Ascending, those above ``seq``."""
        found = self._messages.find({"c": conversation_id, "seq": {"$gt": seq}}).sort("seq", ASCENDING)
        return list(found.limit(limit))

    def before(self, conversation_id: str, seq: int, limit: int) -> list[Raw]:
        """Ascending, the last ones below ``seq``."""
        found = self._messages.find({"c": conversation_id, "seq": {"$lt": seq}}).sort("seq", DESCENDING)
        return list(found.limit(limit))[::-1]

    def senders(self, conversation_id: str, from_seq: int, to_seq: int) -> set[str]:
        where = {"c": conversation_id, "seq": {"$gte": from_seq, "$lte": to_seq}}
        return {message["sender"] for message in self._messages.find(where, {"sender": 1})}

    def stored_since(self, id: str) -> Iterable[Raw]:
        """Conversation, number and sender of every message made since an id, in order."""
        return self._messages.find({"_id": {"$gte": id}}, {"c": 1, "seq": 1, "sender": 1}).sort("_id", ASCENDING)

    def shown(self, message: Raw) -> dict[str, Any]:
        """A message as the contract writes it. Raises ``Erased``."""
        place = f"messages/{message['_id']}"
        return as_written(message, self._vault.open(message["owner"], place, bytes(message["text"])))


def _key(person_id: str) -> str:
    """An id as the name of a field, in which a dot would be a step. No id has the sign that stands for it."""
    return person_id.replace(".", "~")


def as_written(message: Raw, text: str) -> dict[str, Any]:
    """A message as the contract writes it, whose words are at hand."""
    return {
        "conversation_id": message["c"],
        "seq": message["seq"],
        "id": message["_id"],
        "client_message_id": message["cmid"],
        "sender_id": message["sender"],
        "text": text,
        "at": written(message["at"]),
    }


def new_conversation(id: str, kind: str, owner_id: str, members: Collection[str], waiting: bool, print_: str) -> Raw:
    """The document of a conversation that starts now."""
    moment = now()
    return {
        "_id": id,
        "kind": kind,
        "owner": owner_id,
        "members": list(members),
        "state": "waiting" if waiting else "open",
        "waiting_since": moment if waiting else None,
        "cursors": {},
        "last_at": moment,
        "fingerprint": print_,
    }
