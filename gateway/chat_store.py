"""Where conversations and messages are kept. Raw documents: this is the hot path.

A message is one insert. Its number ``seq`` is the conversation's own, from 1, without a gap; the unique index on
(conversation, seq) settles who was first when two gateways write at once, and the one on (conversation, sender,
client_message_id) makes a repeat the same message for ever.

That a message was edited or taken back is an entry of its own behind it, with the next number, so that whoever was
away learns of it like of any message. The entry is written first; then it is applied to the message, and to what the
message was in earlier edits.

Numbers without a gap bound every read: the next 50 are those up to ``after + 50``. Queries name the fields of one index
and nothing else, because the embedded store reads a whole conversation otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection as Kept
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure

from infra.ids import new_id
from infra.store import Raw, Store, keep_outboxes, outgoing
from infra.vault import Vault
from schemas.base import Event, now
from schemas.chat import EntryKind
from schemas.fields import written

DUPLICATE_KEY = 11000
NOTED_AT_ONCE = 1000
# What an entry that is no message is about.
ABOUT = ("changes", "to")


class Draft(NamedTuple):
    """A message or another entry on its way into the store.

    ``owner_id`` is the client whose key seals the words. ``kind`` is None for a message; else the entry is about the
    message ``changes`` or the person ``to``.
    """

    conversation_id: str
    owner_id: str
    sender_id: str
    client_message_id: str
    text: str | None
    kind: EntryKind | None = None
    changes: int | None = None
    to: str | None = None


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    messages = store.collection("messages")
    messages.create_index([("c", ASCENDING), ("seq", ASCENDING)], unique=True)
    messages.create_index([("c", ASCENDING), ("sender", ASCENDING), ("cmid", ASCENDING)], unique=True)
    messages.create_index("at")
    store.collection("conversations").create_index([("members", ASCENDING), ("last_at", DESCENDING)])
    conversations = store.collection("conversations")
    conversations.create_index([("state", ASCENDING), ("waiting_since", ASCENDING)])
    conversations.create_index("place", unique=True, partialFilterExpression={"place": {"$exists": True}})
    # A conversation changes and tells of it in one write, as an aggregate does.
    keep_outboxes(store, conversations.name)


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

    def note_activity(self, last: dict[str, tuple[datetime, int]]) -> None:
        """Remember when conversations were last written in, and up to which number, for the order of the list and for
        ``last_seq``. What a crash loses of it is made good by the next message."""
        noted = [{"q": {"_id": id}, "u": {"$max": {"last_at": at, "last_seq": seq}}} for id, (at, seq) in last.items()]
        for start in range(0, len(noted), NOTED_AT_ONCE):
            self._command("update", self._conversations, "updates", noted[start : start + NOTED_AT_ONCE], {"w": 1})

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
        """How many messages of others are behind the person's read cursor, without those that were taken back."""
        behind = {"c": conversation["_id"], "seq": {"$gt": self.cursor(conversation, person_id)["read"]}}
        found = self._messages.find(behind, {"sender": 1, "kind": 1, "taken_back_at": 1})
        return sum(
            message["sender"] != person_id and "kind" not in message and "taken_back_at" not in message
            for message in found
        )

    # -- messages

    def last_seq(self, conversation: Raw) -> int:
        """The highest number there is; 0 in an empty conversation.

        Cheap for a conversation that was read a moment ago: only what is above the number noted there is looked at.
        """
        noted = int(conversation.get("last_seq", 0))
        above = self._messages.find({"c": conversation["_id"], "seq": {"$gt": noted}}, {"seq": 1})
        return max((int(message["seq"]) for message in above), default=noted)

    def seal(self, draft: Draft) -> Raw:
        """The document of a message, still without its number."""
        id = new_id()
        sealed: Raw = {
            "_id": id,
            "c": draft.conversation_id,
            "cmid": draft.client_message_id,
            "sender": draft.sender_id,
            "owner": draft.owner_id,
            "text": self._sealed(draft.owner_id, id, draft.text),
            "at": now(),
        }
        if draft.kind is not None:
            sealed["kind"] = draft.kind
            sealed |= {name: value for name in ABOUT if (value := getattr(draft, name)) is not None}
        return sealed

    def insert(self, documents: Sequence[Raw]) -> tuple[int, bool]:
        """Write numbered messages in order, up to the first that is a duplicate.

        In order, so that a kill in the middle leaves a beginning and never a gap.

        Returns:
            how many of them are stored, and whether the next one met a duplicate.
        """
        durable = self._messages.write_concern.document
        answer = self._command("insert", self._messages, "documents", documents, durable)
        if wrongs := answer.get("writeErrors"):
            if wrongs[0]["code"] != DUPLICATE_KEY:
                raise OperationFailure(wrongs[0]["errmsg"], wrongs[0]["code"])
            return int(wrongs[0]["index"]), True
        return len(documents), False

    def _command(self, act: str, into: Kept[Raw], named: str, what: Sequence[Raw], concern: Raw) -> Raw:
        """Many writes of one kind, in order. Raises one of ``STORE_DOWN``; those that failed are in the answer.

        The command itself, because the driver's own way looks at every document in turn, which takes longer than the
        rest of the gateway's work on a message.
        """
        answer = into.database.command({act: into.name, named: what, "ordered": True, "writeConcern": concern})
        if wrong := answer.get("writeConcernError"):
            # Stored, and not yet safe: whoever tries again finds it.
            raise AutoReconnect(str(wrong.get("errmsg")))
        return answer

    def append(self, draft: Draft) -> Raw:
        """Store one entry behind whatever there is, once: a repeat is answered with the first. Raises ``Erased``."""
        while (before := self.by_client_id(draft.conversation_id, draft.sender_id, draft.client_message_id)) is None:
            conversation = self.conversation(draft.conversation_id)
            assert conversation is not None
            entry = {**self.seal(draft), "seq": self.last_seq(conversation) + 1}
            if self.insert([entry])[0]:
                return entry
        return before

    def at(self, conversation_id: str, seq: int) -> Raw | None:
        """The one with this number."""
        return self._messages.find_one({"c": conversation_id, "seq": seq})

    def by_client_id(self, conversation_id: str, sender_id: str, client_message_id: str) -> Raw | None:
        """The message that a phone sent under this id before."""
        return self._messages.find_one({"c": conversation_id, "sender": sender_id, "cmid": client_message_id})

    def after(self, conversation_id: str, seq: int, limit: int) -> list[Raw]:
        """Ascending, those above ``seq``."""
        return self._between(conversation_id, seq, seq + limit)

    def before(self, conversation_id: str, seq: int, limit: int) -> list[Raw]:
        """Ascending, the last ones below ``seq``, which is at most one above the highest number."""
        return self._between(conversation_id, max(0, seq - 1 - limit), seq - 1)

    def _between(self, conversation_id: str, above: int, to: int) -> list[Raw]:
        where = {"c": conversation_id, "seq": {"$gt": above, "$lte": to}}
        return list(self._messages.find(where).sort("seq", ASCENDING))

    def stored_since(self, moment: datetime) -> Iterable[Raw]:
        """Every message made since then by the clock of whoever made it, in order."""
        return self._messages.find({"at": {"$gte": moment}}).sort("at", ASCENDING)

    def apply(self, entry: Raw) -> None:
        """Let what an entry says of an earlier message hold. Repeating it changes nothing, and no order is needed."""
        if entry.get("kind") == "edited":
            self._edit(entry)
        elif entry.get("kind") == "taken_back":
            self._take_back(entry)

    def _edit(self, entry: Raw) -> None:
        place = {"c": entry["c"], "seq": entry["changes"]}
        message = self._messages.find_one(place)
        assert message is not None
        if "taken_back_at" in message:
            self._messages.update_one({"_id": entry["_id"]}, {"$set": {"text": None}})
        elif message.get("edited_by", 0) < entry["seq"]:
            words = self._sealed(message["owner"], message["_id"], self._words(entry))
            holds = {"text": words, "edited_at": entry["at"], "edited_by": entry["seq"]}
            before = {name: message.get(name) for name in ("edited_by", "taken_back_at")}
            if not self._messages.update_one({**place, **before}, {"$set": holds}).matched_count:
                # Another change came first.
                self._edit(entry)

    def _take_back(self, entry: Raw) -> None:
        holds = {"text": None, "taken_back_at": entry["at"]}
        self._messages.update_one({"c": entry["c"], "seq": entry["changes"]}, {"$set": holds})
        for later in self._messages.find({"c": entry["c"], "seq": {"$gt": entry["changes"]}}, {"changes": 1}):
            if later.get("changes") == entry["changes"]:
                self._messages.update_one({"_id": later["_id"]}, {"$set": {"text": None}})

    def shown(self, message: Raw) -> dict[str, Any]:
        """A message as the contract writes it, with what became of it. Raises ``Erased``."""
        return as_written(message, self._words(message))

    def _sealed(self, owner_id: str, id: str, text: str | None) -> Binary | None:
        return None if text is None else Binary(self._vault.seal(owner_id, f"messages/{id}", text))

    def _words(self, message: Raw) -> str | None:
        if message["text"] is None:
            return None
        return self._vault.open(message["owner"], f"messages/{message['_id']}", bytes(message["text"]))


def _key(person_id: str) -> str:
    """An id as the name of a field, in which a dot would be a step. No id has the sign that stands for it."""
    return person_id.replace(".", "~")


def needs_grant(person_id: str, conversation: Raw) -> bool:
    """Whether a member reads in it only for as long as a grant on its client holds.

    A client's conversations are the client's own, and one begun with whoever is on duty was given because the client
    asked.
    """
    return conversation["kind"] == "direct" and person_id != conversation["owner"]


def as_written(message: Raw, text: str | None) -> dict[str, Any]:
    """A message as the contract writes it, whose words are at hand."""
    shown = {
        "conversation_id": message["c"],
        "seq": message["seq"],
        "id": message["_id"],
        "client_message_id": message["cmid"],
        "sender_id": message["sender"],
        "text": text,
        "at": written(message["at"]),
    }
    if "kind" in message:
        shown |= {name: message[name] for name in ("kind", *ABOUT) if name in message}
    for change in ("edited_at", "taken_back_at"):
        if change in message:
            shown[change] = written(message[change])
    return shown


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
