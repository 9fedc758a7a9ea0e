"""Messages: who may send, their numbering, and the one writer through which all of them pass.

While one write is in flight the next messages gather, so an idle system adds no wait and a busy one writes more at
once. A message is acknowledged when the store has it, then told to open sockets, then to the log.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.queue import Empty, Queue

from gateway.chat_store import ChatStore, Draft, as_written, needs_grant
from infra import telemetry
from infra.access import TALKING, Grants, Identity
from infra.store import STORE_DOWN, Raw
from infra.vault import Erased
from schemas.base import now
from schemas.fields import ID_PATTERN, NO_ATTACHMENTS

log_line = telemetry.logger("chat")

BATCH = 128
WAITING_MOST = 10_000
GIVE_UP_SECONDS = 5.0
# A write whose answer never came may land as long as a connection to the store lives, and this is longer.
UNTOLD_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 1.0
REMEMBERED = 20_000
# The log tells of every change; this only bounds how long a process that cannot hear it goes on as before.
GRANT_REMEMBERED_SECONDS = 60.0
TEXT_MOST = 8000
ATTACHMENTS = frozenset(("attachment", "attachments", "file", "files", "image", "images", "audio", "video", "media"))

_id = re.compile(ID_PATTERN)


class Refused(Exception):
    """A request about chat that cannot be done. ``problem`` is what the contract shows of it."""

    def __init__(self, status: int, title: str, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(title)
        self.problem: dict[str, Any] = {"status": status, "title": title}
        if errors:
            self.problem["errors"] = errors

    @property
    def status(self) -> int:
        return int(self.problem["status"])


# How long one may edit or take back what one has written.
CHANGE_WITHIN = timedelta(hours=24)

NOT_FOUND = (404, "Not Found")
AWAY = (503, "Service Unavailable")


def check_draft(data: Any) -> tuple[str, str, str]:
    """Conversation, client message id and text of a ``message.send``.

    Written out by hand, because a schema object per message costs more than the rest of the way.

    Raises:
        Refused: 422 naming each wrong field.
    """
    if not isinstance(data, dict):
        raise Refused(422, "Unprocessable Content", {"": ["Must be an object."]})
    unknown = data.keys() - {"conversation_id", "client_message_id", "text"}
    errors = {name: [NO_ATTACHMENTS if name in ATTACHMENTS else "Unknown field."] for name in unknown}
    for name in ("conversation_id", "client_message_id"):
        if not isinstance(data.get(name), str) or not _id.fullmatch(data[name]):
            errors[name] = ["Must be an id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'."]
    if why := _wrong_text(data.get("text")):
        errors["text"] = [why]
    if errors:
        raise Refused(422, "Unprocessable Content", errors)
    return data["conversation_id"], data["client_message_id"], data["text"]


def _wrong_text(text: Any) -> str | None:
    if not isinstance(text, str) or not 1 <= len(text) <= TEXT_MOST:
        return "Must be written words, 1 to 8,000 characters."
    if "\x00" in text:
        return "Must not contain a NUL character."
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "Must be valid Unicode: half of a surrogate pair was found."
    return None


@dataclass
class Waiting:
    """A message that waits for its write. ``done`` is called once, with the message as the contract writes it and
    whether it is new, or with the refusal. ``document`` is made once, so that a try whose answer was lost is known
    again by its id."""

    draft: Draft
    done: Callable[[Raw | None, bool, Refused | None], None]
    document: Raw = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    answered: bool = False

    def answer(self, message: Raw | None, new: bool = False, refusal: Refused | None = None) -> None:
        self.answered = True
        self.done(message, new, refusal)


class Chat:
    """The chat of one gateway process."""

    def __init__(self, store: ChatStore, grants: Grants, stored: Callable[[Raw, list[Raw]], None]) -> None:
        """``stored`` is called with a conversation and its new messages as the contract writes them, in order, after
        their senders know."""
        self._store = store
        self._grants = grants
        self._stored = stored
        self._queue: Queue[Waiting] = Queue()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._known: OrderedDict[str, Raw] = OrderedDict()
        self._granted: dict[tuple[str, str], float] = {}
        # By conversation, sender and client message id of what may be stored without anybody having been told.
        self._untold: dict[str, set[tuple[str, str]]] = {}
        self._untold_until = self._look_again = 0.0
        self._writing = False
        self._writer = gevent.spawn(self._write_for_ever)

    # -- who may

    def conversation_for(self, person: Identity, conversation_id: str) -> Raw:
        """The conversation, if this person may read and write in it now.

        A client's conversations are the client's own. Anybody else needs a grant that holds now, or was given the
        conversation because the client asked for whoever is on duty.

        Raises:
            Refused: 404.
        """
        conversation = self.conversation(conversation_id)
        if conversation is None or person.person_id not in conversation["members"]:
            raise Refused(*NOT_FOUND)
        if not self._may_read(person.person_id, conversation):
            raise Refused(*NOT_FOUND)
        return conversation

    def forget(self, conversation_id: str | None = None) -> None:
        """Read a conversation again at its next use; with None, also every grant."""
        if conversation_id is not None:
            self._known.pop(conversation_id, None)
        else:
            self._granted.clear()
            self._known.clear()

    def fresh_conversation_for(self, person: Identity, conversation_id: str) -> Raw:
        """The same, as it is in the store at this moment. Raises ``Refused`` 404."""
        self.forget(conversation_id)
        return self.conversation_for(person, conversation_id)

    def readers(self, conversation: Raw) -> list[str]:
        """The members who may read in it now: its client, and everybody else whose grant holds."""
        return [member for member in conversation["members"] if self._may_read(member, conversation)]

    def conversation(self, conversation_id: str) -> Raw | None:
        """A conversation, as this process knows it; its members and state are told by the log when they change."""
        known = self._known.get(conversation_id)
        if known is None:
            known = self._store.conversation(conversation_id)
            if known is not None:
                _remember(self._known, conversation_id, known)
        return known

    def _may_read(self, member_id: str, conversation: Raw) -> bool:
        if not needs_grant(member_id, conversation):
            return True
        owner_id = conversation["owner"]
        key = (member_id, owner_id)
        if self._granted.get(key, 0.0) > time.monotonic():
            return True
        if not self._grants.allows(member_id, owner_id, TALKING):
            self._granted.pop(key, None)
            return False
        self._granted[key] = time.monotonic() + GRANT_REMEMBERED_SECONDS
        return True

    # -- sending

    def message(self, person: Identity, conversation_id: str, client_message_id: str, text: str) -> Draft:
        """A message of this person, to be sent.

        Raises:
            Refused: 404 or 409 (closed).
        """
        conversation = self._open_conversation(person, conversation_id)
        return Draft(conversation_id, conversation["owner"], person.person_id, client_message_id, text)

    def edit(self, person: Identity, conversation_id: str, client_message_id: str, seq: int, text: str) -> Draft:
        """That this person's own message ``seq`` has another text, to be sent.

        Raises:
            Refused: 404, 409 (closed, taken back) or 422 naming ``seq``.
        """
        conversation = self._open_conversation(person, conversation_id)
        draft = Draft(
            conversation_id, conversation["owner"], person.person_id, client_message_id, text, "edited", changes=seq
        )
        self._check_change(draft, seq)
        return draft

    def take_back(self, person: Identity, conversation_id: str, client_message_id: str, seq: int) -> Draft:
        """That this person's own message ``seq`` is taken back, to be sent; also where the conversation is closed.

        Raises:
            Refused: 404, 409 (taken back already) or 422 naming ``seq``.
        """
        owner_id = self.conversation_for(person, conversation_id)["owner"]
        draft = Draft(conversation_id, owner_id, person.person_id, client_message_id, None, "taken_back", changes=seq)
        self._check_change(draft, seq)
        return draft

    def _open_conversation(self, person: Identity, conversation_id: str) -> Raw:
        conversation = self.conversation_for(person, conversation_id)
        if conversation["state"] == "closed":
            raise Refused(409, "This conversation is closed.")
        return conversation

    def _check_change(self, draft: Draft, seq: int) -> None:
        """Whether a message may be changed like this. What was asked before is not judged again."""
        if self._store.by_client_id(draft.conversation_id, draft.sender_id, draft.client_message_id) is not None:
            return
        message = self._store.at(draft.conversation_id, seq)
        if message is None or "kind" in message or message["sender"] != draft.sender_id:
            raise Refused(422, "Unprocessable Content", {"seq": ["No message of one's own has this number."]})
        if "taken_back_at" in message:
            raise Refused(409, "This message was taken back.")
        if message["at"] + CHANGE_WITHIN < now():
            raise Refused(422, "Unprocessable Content", {"seq": ["A message can be changed for 24 hours."]})

    def send(self, draft: Draft) -> tuple[Raw, bool]:
        """Store a message or another entry and return it once it is durable, with whether it is new.

        Raises:
            Refused: 404 or 503.
        """
        result: AsyncResult = AsyncResult()

        def done(message: Raw | None, new: bool, refusal: Refused | None) -> None:
            if refusal is not None:
                result.set_exception(refusal)
            else:
                result.set((message, new))

        self.submit(draft, done)
        answer: tuple[Raw, bool] = result.get()
        return answer

    def submit(self, draft: Draft, done: Callable[[Raw | None, bool, Refused | None], None]) -> None:
        """Queue a message; messages of one caller are stored in the order of their calls.

        Raises:
            Refused: 503 at once, where ``done`` will not be called.
        """
        if self._queue.qsize() >= WAITING_MOST:
            raise Refused(*AWAY)
        self._queue.put(Waiting(draft, done))

    @property
    def behind(self) -> bool:
        """Whether something may be stored that nobody was told of."""
        return bool(self._untold)

    def drain(self, seconds: float) -> None:
        """Wait until what was queued is written and told, for at most ``seconds``."""
        with gevent.Timeout(seconds, False):
            while self._writing or not self._queue.empty():
                gevent.sleep(0.01)

    def _write_for_ever(self) -> None:
        while True:
            batch = self._gather()
            self._writing = True
            while batch:
                batch = self._write(batch)
            if self._untold and time.monotonic() >= self._look_again:
                self._look_for_the_untold()
            self._writing = False

    def _gather(self) -> list[Waiting]:
        """What has queued up, waited for; or nothing, when it is time to look for the untold."""
        try:
            batch = [self._queue.get(timeout=LOOK_AGAIN_SECONDS if self._untold else None)]
        except Empty:
            return []
        while len(batch) < BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    def _write(self, batch: list[Waiting]) -> list[Waiting]:
        """Write a batch; returns what still has to be written."""
        try:
            return self._number_and_insert(batch)
        except STORE_DOWN as error:
            # Nobody knows how much of it was written: the numbers are read again, and repeats find themselves.
            log_line.warning("store_away", waiting=len(batch), why=type(error).__name__)
            self._last.clear()
            left = self._without_the_late([waiting for waiting in batch if not waiting.answered])
            gevent.sleep(0.1 if left else 0)
            return left

    def _number_and_insert(self, batch: list[Waiting]) -> list[Waiting]:
        self._tell_the_untold({waiting.draft.conversation_id for waiting in batch})
        ready = [waiting for waiting in batch if self._seal(waiting)]
        for waiting in ready:
            waiting.document["seq"] = self._next_seq(waiting.draft.conversation_id)
        documents = [waiting.document for waiting in ready]
        count, met_duplicate = self._store.insert(documents) if documents else (0, False)
        self._tell(ready[:count], documents[:count])
        left = ready[count:]
        for waiting in left:
            self._last.pop(waiting.draft.conversation_id, None)
        return self._without_repeat(left) if met_duplicate else left

    def _seal(self, waiting: Waiting) -> bool:
        """Make the document, the first time; False when the client's key was destroyed, which is answered."""
        try:
            waiting.document = waiting.document or self._store.seal(waiting.draft)
        except Erased:
            waiting.answer(None, refusal=Refused(*NOT_FOUND))
        return not waiting.answered

    def _without_repeat(self, left: list[Waiting]) -> list[Waiting]:
        """The first met a duplicate: it was sent before, or another gateway took its number."""
        first = left[0]
        draft = first.draft
        before = self._store.by_client_id(draft.conversation_id, draft.sender_id, draft.client_message_id)
        if before is None:
            return left
        if before["_id"] == first.document["_id"]:
            # It met itself, because the answer to an earlier try was lost: it is news to everybody but the store.
            self._tell([first], [before])
        else:
            first.answer(self._store.shown(before))
        return left[1:]

    def _without_the_late(self, batch: list[Waiting]) -> list[Waiting]:
        cut = time.monotonic() - GIVE_UP_SECONDS
        for waiting in batch:
            if waiting.since < cut:
                waiting.answer(None, refusal=Refused(*AWAY))
                draft = waiting.draft
                self._keep_untold(draft.conversation_id, draft.sender_id, draft.client_message_id)
        return [waiting for waiting in batch if waiting.since >= cut]

    def _next_seq(self, conversation_id: str) -> int:
        last = self._last.get(conversation_id)
        if last is None:
            conversation = self._store.conversation(conversation_id)
            assert conversation is not None
            last = self._store.last_seq(conversation)
        _remember(self._last, conversation_id, last + 1)
        return last + 1

    def _tell(self, waiting: list[Waiting], documents: list[Raw]) -> None:
        """Acknowledge, then tell: senders first, then everybody else. Raises one of ``STORE_DOWN`` before either."""
        for document in documents:
            if "kind" in document:
                self._store.apply(document)
        by_conversation: dict[str, list[Raw]] = {}
        for one, document in zip(waiting, documents, strict=True):
            message = as_written(document, one.draft.text)
            one.answer(message, new=True)
            by_conversation.setdefault(document["c"], []).append(message)
        telemetry.messages.inc(len(documents))
        for conversation_id, new in by_conversation.items():
            try:
                self._spread(conversation_id, new)
            except STORE_DOWN:
                for message in new:
                    self._keep_untold(conversation_id, message["sender_id"], message["client_message_id"])

    def _spread(self, conversation_id: str, new: list[Raw]) -> None:
        conversation = self.conversation(conversation_id)
        assert conversation is not None
        self._stored(conversation, new)

    # -- what the store may have without anybody having been told

    def _keep_untold(self, conversation_id: str, sender_id: str, client_message_id: str) -> None:
        self._untold.setdefault(conversation_id, set()).add((sender_id, client_message_id))
        self._untold_until = time.monotonic() + UNTOLD_SECONDS

    def _tell_the_untold(self, conversation_ids: Iterable[str]) -> None:
        """Tell what turns out to be stored, before anything newer of its conversation. Raises one of ``STORE_DOWN``."""
        for conversation_id in self._untold.keys() & set(conversation_ids):
            keys = self._untold[conversation_id]
            found = [self._store.by_client_id(conversation_id, *key) for key in keys]
            for document in sorted(filter(None, found), key=itemgetter("seq")):
                self._tell_late(document)
                keys.discard((document["sender"], document["cmid"]))
            if not keys:
                del self._untold[conversation_id]

    def _tell_late(self, document: Raw) -> None:
        try:
            self._store.apply(document)
            self._spread(document["c"], [self._store.shown(document)])
        except Erased:
            # The words went with the person's key: there is nothing left to tell.
            log_line.info("erased_before_told", message_id=document["_id"])

    def _look_for_the_untold(self) -> None:
        self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
        try:
            self._tell_the_untold(list(self._untold))
        except STORE_DOWN as error:
            log_line.warning("store_away", untold=len(self._untold), why=type(error).__name__)
            self._untold_until = time.monotonic() + UNTOLD_SECONDS
        if time.monotonic() > self._untold_until:
            # Each was looked for as long as its write could still land, so the store never got it.
            self._untold.clear()


def _remember(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
