"""How many messages wait to be read, for the number on an app's icon."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from gateway.chat_store import ChatStore, needs_grant
from gateway.devices import handfuls
from infra.access import TALKING, Grants
from infra.store import Raw, Store


class Unread:
    """What a person has not read. Counted once, when it is first asked for; any thread may ask."""

    def __init__(self, chat: ChatStore, person_id: str, conversations: list[Raw]) -> None:
        self._chat = chat
        self._person = person_id
        self._conversations = conversations
        self._counts: dict[str, int] | None = None
        self._lock = threading.Lock()

    def counts(self) -> dict[str, int]:
        """Unread messages by conversation. Raises one of ``STORE_DOWN``."""
        with self._lock:
            if self._counts is None:
                self._counts = {c["_id"]: self._chat.unread(c, self._person) for c in self._conversations}
            return self._counts

    def badge(self) -> int:
        """Unread messages over all conversations. Raises one of ``STORE_DOWN``."""
        return sum(self.counts().values())


def unread_of(store: Store, grants: Grants, chat: ChatStore, people: Iterable[str]) -> dict[str, Unread]:
    """By person, of the conversations that the person's list shows."""
    asked = sorted(set(people))
    mine: dict[str, list[Raw]] = {person: [] for person in asked}
    for some in handfuls(asked):
        where = {"members": {"$in": some}}
        shown = {"members": 1, "cursors": 1, "owner": 1, "kind": 1}
        for conversation in store.collection("conversations").find(where, shown):
            for member in set(conversation["members"]) & mine.keys():
                # The same conversation is found again with the share of another member.
                if all(known["_id"] != conversation["_id"] for known in mine[member]):
                    mine[member].append(conversation)
    return {person: Unread(chat, person, _readable(grants, person, found)) for person, found in mine.items()}


def _readable(grants: Grants, person_id: str, conversations: list[Raw]) -> list[Raw]:
    """Without those between a client and somebody whose grant has ended."""
    if not any(needs_grant(person_id, conversation) for conversation in conversations):
        return conversations
    granted = grants.subjects(person_id, TALKING)
    return [c for c in conversations if not needs_grant(person_id, c) or c["owner"] in granted]
