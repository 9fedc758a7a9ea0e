"""What one gateway process tells the log, and what it takes over from those that died."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import gevent
from gevent.event import Event as Bell

from gateway.chat import Chat
from gateway.chat_store import ChatStore
from gateway.presence import STALE, Presence
from infra import telemetry
from infra.ids import new_id
from infra.log import Log, LogDown, Outgoing
from infra.store import STORE_DOWN, Raw
from infra.worker import backoff
from schemas.base import Event, encode, now
from schemas.chat import NOBODY, ConversationOpened, MessageSent

log_line = telemetry.logger("teller")

AT_ONCE = 500
PULSE_SECONDS = 2.0
# A message is stored a moment before this process knows that it has to tell it; a write is given up after five seconds.
TOLD_SLACK = timedelta(seconds=15)


@dataclass
class Span:
    """New messages of one conversation that the log has not been told of."""

    conversation_id: str
    told_by: str
    from_seq: int
    to_seq: int
    senders: set[str]
    tell: list[str]

    def event(self) -> MessageSent:
        """One event, however many messages have gathered."""
        return MessageSent(
            id=new_id(),
            at=now(),
            version=self.to_seq,
            conversation_id=self.conversation_id,
            from_seq=self.from_seq,
            to_seq=self.to_seq,
            senders=sorted(self.senders),
            told_by=self.told_by,
            tell=self.tell,
        )


class Teller:
    """The voice of one gateway process on the log."""

    def __init__(self, id: str, log: Log, store: ChatStore, chat: Chat, pulses: Any, connections: Any) -> None:
        """
        Args:
            id: of the process.
            pulses: collection in which this process says that it lives, and up to where it has told the log.
            connections: collection of the open connections of all processes.
        """
        self._id = id
        self._log = log
        self._store = store
        self._chat = chat
        self._pulses = pulses
        self.presence = Presence(id, store, connections, pulses, self.tell)
        self._events: list[Event] = []
        self._spans: dict[tuple[str, str], Span] = {}
        self._news = Bell()
        self._telling_now = False
        self._told_until = now()
        self._active: dict[str, tuple[datetime, int]] = {}

    def loops(self) -> tuple[Callable[[], None], ...]:
        """What has to run for as long as the process lives."""
        return self._tell_for_ever, self._pulse_for_ever

    def stop(self) -> None:
        """Tell what there is to tell, and say goodbye."""
        with gevent.Timeout(5, False):
            while self._busy:
                gevent.sleep(0.01)
        try:
            self.note_activity()
            self._pulses.delete_one({"_id": self._id})
            self.presence.goodbye()
        except STORE_DOWN as error:
            # Another process takes over what the pulse speaks of, as after a kill.
            log_line.warning("no_farewell", why=type(error).__name__)

    # -- what is told

    def tell(self, event: Event) -> None:
        """Tell the log, soon, and so every gateway process, this one included."""
        self._events.append(event)
        self._news.set()

    def opened(self, conversation: Raw) -> None:
        """Tell the members of a new conversation."""
        self.tell(
            ConversationOpened(
                id=new_id(), at=now(), version=1, conversation_id=conversation["_id"], tell=conversation["members"]
            )
        )

    def sent(self, conversation: Raw, messages: list[Raw], told_by: str) -> None:
        """Tell of new messages, together with those of the conversation that still wait to be told.

        Args:
            messages: with ``seq``, ``sender_id`` and the ``kind`` of what is no message, ascending.
            told_by: the process whose sockets have them already, or ``NOBODY``.
        """
        conversation_id, tell = conversation["_id"], self._chat.readers(conversation)
        first, last = messages[0]["seq"], messages[-1]["seq"]
        senders = {message["sender_id"] for message in messages if "kind" not in message}
        span = self._spans.get((conversation_id, told_by))
        if span is None:
            self._spans[conversation_id, told_by] = Span(conversation_id, told_by, first, last, senders, tell)
        else:
            span.from_seq, span.to_seq, span.tell = min(span.from_seq, first), max(span.to_seq, last), tell
            span.senders |= senders
        self._active[conversation_id] = now(), last
        self._news.set()

    @property
    def _busy(self) -> bool:
        return self._telling_now or bool(self._events or self._spans)

    def _tell_for_ever(self) -> None:
        """Tell the log what gathers, as many at once as there are."""
        while True:
            self._news.wait()
            self._news.clear()
            moment = now()
            spans, self._spans = self._spans, {}
            events, self._events = [*(span.event() for span in spans.values()), *self._events], []
            self._telling_now = True
            for start in range(0, len(events), AT_ONCE):
                self._publish([_outgoing(event) for event in events[start : start + AT_ONCE]])
            if not self._chat.behind:
                self._told_until = moment
            self._telling_now = False

    def _publish(self, outgoing: list[Outgoing]) -> None:
        attempt = 0
        while True:
            try:
                return self._log.publish(outgoing)
            except LogDown as error:
                attempt += 1
                log_line.warning("log_away", why=type(error).__name__)
                gevent.sleep(backoff(attempt))

    # -- who lives

    def note_activity(self) -> None:
        """Write down which conversations are active: now and then, and before somebody asks for the order of a list."""
        active, self._active = self._active, {}
        try:
            self._store.note_activity(active)
        except STORE_DOWN:
            self._active = {**active, **self._active}
            raise

    def _pulse_for_ever(self) -> None:
        """Say that this process lives and up to when it has told everything; take over from those that died."""
        started = False
        while True:
            try:
                self._pulse()
                self._take_over(everybody=not started)
                self.note_activity()
                started = True
            except STORE_DOWN as error:
                log_line.warning("no_pulse", why=type(error).__name__)
            gevent.sleep(PULSE_SECONDS)

    def _pulse(self) -> None:
        told_until = self._told_until if self._busy or self._chat.behind else now()
        state = {"at": now(), "told_until": told_until - TOLD_SLACK}
        self._pulses.update_one({"_id": self._id}, {"$set": state}, upsert=True)

    def _take_over(self, everybody: bool) -> None:
        """Tell again what a process that died may have stored and not told. Hints twice do no harm.

        At its own start a process does so for every other one, because it was most likely started in its place.
        """
        for pulse in self._pulses.find({"_id": {"$ne": self._id}}):
            stale = now() - pulse["at"] > STALE
            if stale or everybody:
                self._tell_again(pulse["told_until"])
            if stale:
                self._pulses.delete_one({"_id": pulse["_id"]})
                self.presence.process_died(pulse["_id"])

    def _tell_again(self, since: datetime) -> None:
        by_conversation: dict[str, list[Raw]] = {}
        for message in self._store.stored_since(since):
            self._store.apply(message)
            by_conversation.setdefault(message["c"], []).append(message)
        for conversation_id, messages in by_conversation.items():
            conversation = self._store.conversation(conversation_id)
            if conversation is not None:
                brief = [{**message, "sender_id": message["sender"]} for message in messages]
                self.sent(conversation, brief, NOBODY)


def _outgoing(event: Event) -> Outgoing:
    value, headers = encode(event, telemetry.request_id.get())
    return Outgoing(event.topic, event.partition_key, value, headers)
