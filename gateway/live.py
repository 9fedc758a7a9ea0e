"""Open sockets: who is here, what they ask, and what they are told.

What happens elsewhere arrives from the log, which every gateway process reads for itself. A hint says that something
changed; the truth is fetched by REST. Messages are told in the order of their numbers, each once to a socket.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

import gevent
from flask_socketio import ConnectionRefusedError
from gevent.lock import BoundedSemaphore
from marshmallow import ValidationError

from gateway import wire
from gateway.chat import Chat, Refused, check_draft
from gateway.chat_store import ChatStore
from gateway.teller import Teller
from gateway.wire import Outbox
from infra import telemetry
from infra.access import Grants, Identity, NotSignedIn, Tokens
from infra.ids import new_id
from infra.log import Log, LogDown, Reader, Record
from infra.store import STORE_DOWN, Raw
from infra.vault import Erased
from infra.worker import backoff
from schemas import chat as say
from schemas.base import Event, Shape, Unknown, Unreadable, decode, now
from schemas.catalogue import EVENTS, TOPICS
from schemas.chat import (
    NOBODY,
    ConversationClosed,
    ConversationTaken,
    CursorMoved,
    MessageSent,
    Typing,
)
from schemas.fields import ID_PATTERN, written
from schemas.people import GrantEnded, GrantGiven, SessionEnded

log_line = telemetry.logger("live")
S = TypeVar("S", bound=Shape)

SYNC_MOST = 200
EXPIRY_SECONDS = 1.0
CONVERSATIONS_REMEMBERED = 20_000
# How long another process's message may be on its way here through the log.
UNHEARD = timedelta(seconds=10)
_CHANGES_WHO_MAY = (GrantGiven, GrantEnded, ConversationTaken, ConversationClosed)

# What each socket event of a client needs; a test walks this table. ``member``: a member of the conversation whose
# grant holds now. An event that is not here is not heard.
NEEDS: dict[str, str] = {
    "message.send": "member",
    "message.edit": "member",
    "message.take_back": "member",
    "message.sync": "member",
    "conversation.delivered": "member",
    "conversation.read": "member",
    "typing": "member",
    "duty": "coach",
}


class Live:
    """The sockets of one gateway process."""

    def __init__(
        self,
        server: Any,
        tokens: Tokens,
        store: ChatStore,
        grants: Grants,
        log: Log,
        pulses: Any,
        connections: Any,
        ended_sessions: Any,
        set_duty: Callable[[Identity, bool], None],
    ) -> None:
        """
        Args:
            server: the python-socketio server; handlers are registered on it and not through Flask, whose request
                context per event would cost half of the time.
            tokens: reads access tokens.
            store, grants: the gateway's own.
            log: is read from now on, and told of messages.
            pulses: collection in which this process says that it lives, and up to where it has told the log.
            connections: collection of the open connections of all processes.
            ended_sessions: collection of the sign-ins that ended lately.
            set_duty: asks coaching to put a coach on or off duty; raises ``Refused``.
        """
        self.id = new_id()
        self.chat = Chat(store, grants, self._stored)
        self.teller = Teller(self.id, log, store, self.chat, pulses, connections)
        self._presence = self.teller.presence
        self._server = server
        self._tokens = tokens
        self._store = store
        self._grants = grants
        self._log = log
        self._ended_sessions = ended_sessions
        self._set_duty = set_duty
        self._people: dict[str, Identity] = {}
        self._here: defaultdict[str, dict[str, Outbox]] = defaultdict(dict)
        self._told: OrderedDict[str, int] = OrderedDict()
        self._started = now()
        self._emitting = BoundedSemaphore()
        self._ended: dict[str, float] = {}
        self._stopping = False
        self._register()

    # -- the life of the process

    def start(self) -> None:
        """Listen, tell, and take over from processes that died."""
        self._ended = {ended["_id"]: time.time() + 86_400 for ended in self._ended_sessions.find({}, {"_id": 1})}
        for act in (self._hear_for_ever, self._expire_for_ever, *self.teller.loops()):
            gevent.spawn(act).link_exception(_die)

    def stop(self) -> None:
        """Finish the writes under way and tell the log of them."""
        self._stopping = True
        self.chat.drain(5)
        self.teller.stop()

    # -- what a client says

    def _register(self) -> None:
        on = self._server.on
        on("connect", self._connect)
        on("disconnect", self._disconnect)
        answers: dict[str, Callable[[Identity, Any], dict[str, Any]]] = {
            "message.edit": self._edit,
            "message.take_back": self._take_back,
            "message.sync": self._sync,
            "conversation.delivered": lambda person, data: self._cursor(person, data, read=False),
            "conversation.read": lambda person, data: self._cursor(person, data, read=True),
            "typing": self._typing,
            "duty": self._duty,
        }
        for name, answer in answers.items():
            on(name, self._answering(answer))
        # The library acknowledges with what a handler returns. A send is acknowledged later, by the write that it
        # joins, so that the next packet of the same socket does not wait for it.
        self._server._handle_event_internal = self._handle_event

    def _handle_event(self, server: Any, sid: str, eio_sid: str, data: Any, namespace: str, id: int | None) -> None:
        outbox = self._outbox(sid)

        def acknowledge(answer: dict[str, Any]) -> None:
            if id is not None:
                outbox.send(wire.acknowledgement(id, answer))

        name, payload = data[0], data[1] if len(data) > 1 else None
        if not isinstance(name, str) or name not in NEEDS:
            acknowledge(_refusal(Refused(404, "No such event.")))
        elif name == "message.send":
            self._send(sid, payload, acknowledge)
        else:
            acknowledge(server._trigger_event(name, namespace, sid, payload))

    def _connect(self, sid: str, environ: Raw, auth: Any) -> None:
        """Let a person in by the access token."""
        try:
            person = self._tokens.read(auth["token"] if isinstance(auth, dict) and "token" in auth else "")
        except NotSignedIn as problem:
            if problem.code == "expired":
                # The contract tells an old friend what happened, and only then shows the door.
                gevent.spawn(self._expire, sid)
                return
            raise _refused(problem.code) from problem
        except TypeError as error:
            raise _refused("unauthenticated") from error
        if person.session_id in self._ended:
            raise _refused("unauthenticated")
        self._people[sid] = person
        telemetry.sockets.set(len(self._people))
        # What is told before the library has answered the connection would be lost on the other side.
        gevent.spawn(self._welcome, sid, person, auth.get("device"))

    def _outbox(self, sid: str) -> Outbox:
        """Where to put what a socket is told; for one that has just gone, a box that nobody empties."""
        socket = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, "/"))
        return Outbox() if socket is None else socket.queue

    def _welcome(self, sid: str, person: Identity, device: Any) -> None:
        if sid not in self._people:
            return
        here = self._here[person.person_id]
        here[sid] = outbox = self._outbox(sid)
        outbox.send(wire.event("ready", {"person_id": person.person_id, "server_time": written(now())}))
        named = isinstance(device, str) and re.fullmatch(ID_PATTERN, device)
        first = len(here) == 1
        self._presence.connected(sid, person.person_id, device if named else None)
        if sid not in self._people:
            # It went while its note was written; what noted the going found nothing to forget, or took it for here.
            self._farewell(sid, person.person_id)
        elif first:
            self._presence.came(person.person_id)

    def _disconnect(self, sid: str, *_: Any) -> None:
        person = self._people.pop(sid, None)
        telemetry.sockets.set(len(self._people))
        if person is None:
            return
        here = self._here[person.person_id]
        here.pop(sid, None)
        if not here:
            del self._here[person.person_id]
        gevent.spawn(self._farewell, sid, person.person_id)

    def _farewell(self, sid: str, person_id: str) -> None:
        self._presence.disconnected(sid)
        if person_id not in self._here and not self._stopping:
            self._presence.left(person_id)

    def _send(self, sid: str, data: Any, acknowledge: Callable[[dict[str, Any]], None]) -> None:
        person = self._people.get(sid)

        def done(message: Raw | None, _: bool, refusal: Refused | None) -> None:
            acknowledge(_refusal(refusal) if message is None else {"ok": True, "message": message})

        try:
            if person is None:
                raise Refused(401, "Unauthorized")
            self.chat.submit(self.chat.message(person, *check_draft(data)), done)
        except Refused as refusal:
            acknowledge(_refusal(refusal))
        except STORE_DOWN:
            acknowledge(_refusal(Refused(503, "Service Unavailable")))

    def _answering(self, answer: Callable[[Identity, Any], dict[str, Any]]) -> Callable[[str, Any], dict[str, Any]]:
        def handler(sid: str, data: Any) -> dict[str, Any]:
            person = self._people.get(sid)
            try:
                if person is None:
                    raise Refused(401, "Unauthorized")
                return {"ok": True, **answer(person, data)}
            except Refused as refusal:
                return _refusal(refusal)
            except Erased:
                return _refusal(Refused(404, "Not Found"))
            except (*STORE_DOWN, LogDown):
                return _refusal(Refused(503, "Service Unavailable"))

        return handler

    def _edit(self, person: Identity, data: Any) -> dict[str, Any]:
        asked = _checked(say.EditAsk, data)
        draft = self.chat.edit(person, asked.conversation_id, asked.client_message_id, asked.seq, asked.text)
        return {"message": self.chat.send(draft)[0]}

    def _take_back(self, person: Identity, data: Any) -> dict[str, Any]:
        asked = _checked(say.TakeBackAsk, data)
        draft = self.chat.take_back(person, asked.conversation_id, asked.client_message_id, asked.seq)
        return {"message": self.chat.send(draft)[0]}

    def _sync(self, person: Identity, data: Any) -> dict[str, Any]:
        asked = _checked(say.SyncAsk, data)
        conversation = self.chat.fresh_conversation_for(person, asked.conversation_id)
        self._grants.saw(person, [conversation["owner"]], "messages")
        found = self._store.after(conversation["_id"], asked.after, asked.limit)
        last = self._store.last_seq(conversation)
        return {
            "messages": [self._store.shown(message) for message in found],
            "last_seq": last,
        }

    def _cursor(self, person: Identity, data: Any, read: bool) -> dict[str, Any]:
        asked = _checked(say.CursorAsk, data)
        self.move_cursor(person, asked.conversation_id, asked.seq, read)
        return {}

    def move_cursor(self, person: Identity, conversation_id: str, seq: int, read: bool) -> None:
        """Say that a person's devices have, or the person has read, everything up to ``seq``. Raises ``Refused``."""
        conversation = self.chat.conversation_for(person, conversation_id)
        if seq and self._store.at(conversation_id, seq) is None:
            raise Refused(422, "Unprocessable Content", {"seq": ["No message has this number yet."]})
        cursor = self._store.move_cursor(conversation_id, person.person_id, seq, seq if read else 0)
        self.teller.tell(
            CursorMoved(
                id=new_id(),
                at=now(),
                version=max(1, cursor["delivered"]),
                conversation_id=conversation_id,
                person_id=person.person_id,
                tell=self.chat.readers(conversation),
                **cursor,
            )
        )

    def _typing(self, person: Identity, data: Any) -> dict[str, Any]:
        asked = _checked(say.TypingAsk, data)
        conversation = self.chat.conversation_for(person, asked.conversation_id)
        others = [reader for reader in self.chat.readers(conversation) if reader != person.person_id]
        self.teller.tell(
            Typing(
                id=new_id(),
                at=now(),
                version=1,
                conversation_id=conversation["_id"],
                person_id=person.person_id,
                on=asked.on,
                tell=others,
            )
        )
        return {}

    def _duty(self, person: Identity, data: Any) -> dict[str, Any]:
        asked = _checked(say.DutyAsk, data)
        if person.role != NEEDS["duty"]:
            raise Refused(404, "Not Found")
        self._set_duty(person, asked.on)
        return {}

    # -- what everybody is told

    def _stored(self, conversation: Raw, messages: list[Raw]) -> None:
        """New messages of this process: to the sockets here at once, to the other processes by the log."""
        try:
            self._emit_messages(conversation, messages)
            told_by = self.id
        except STORE_DOWN:
            # What has to be read first cannot be read now; the log brings it back to this process as well.
            told_by = NOBODY
        self.teller.sent(conversation, messages, told_by)

    def _emit(self, people: Iterable[str], name: str, data: Any) -> None:
        """Tell every device here of these people."""
        outboxes = [outbox for person in people if person in self._here for outbox in self._here[person].values()]
        if outboxes:
            frame = wire.event(name, data)
            for outbox in outboxes:
                outbox.tell(frame)

    def _emit_messages(self, conversation: Raw, messages: list[Raw]) -> None:
        """Emit in the order of the numbers; what another process wrote in between is read from the store first."""
        with self._emitting:
            told = self._told_of(conversation["_id"], messages[0]["seq"])
            gap = messages[0]["seq"] - told - 1
            if 0 < gap <= SYNC_MOST:
                missed = self._store.after(conversation["_id"], told, gap)
                messages = [*(self._store.shown(message) for message in missed), *messages]
            readers = self.chat.readers(conversation)
            for message in messages:
                if message["seq"] > told:
                    told = message["seq"]
                    self._emit(readers, "message", message)
            self._remember_told(conversation["_id"], told)

    def _told_of(self, conversation_id: str, first: int) -> int:
        """Up to which number the sockets here have a conversation, of which ``first`` comes next.

        Where nothing was heard of it lately, another process may have written just before, and not be heard yet.
        """
        told = self._told.get(conversation_id)
        if told is not None:
            return told
        since = max(self._started, now() - UNHEARD)
        told = first - 1
        # Bounded, for a writer whose clock is ahead.
        while told > max(0, first - 1 - SYNC_MOST) and (one := self._store.at(conversation_id, told)):
            if one["at"] < since:
                break
            told -= 1
        return told

    def _remember_told(self, conversation_id: str, seq: int) -> None:
        self._told[conversation_id] = max(seq, self._told.get(conversation_id, 0))
        self._told.move_to_end(conversation_id)
        if len(self._told) > CONVERSATIONS_REMEMBERED:
            self._told.popitem(last=False)

    # -- loops

    def _hear_for_ever(self) -> None:
        """Read the log and tell the sockets here. Sockets miss what is told while the log is away, and ask."""
        reader: Reader | None = None
        attempt = 0
        while True:
            try:
                reader = reader or self._log.tail(sorted(TOPICS))
                for record in reader.poll(1.0):
                    self._hear_at_last(record)
                attempt = 0
            except LogDown as error:
                attempt += 1
                log_line.warning("log_away", why=type(error).__name__)
                gevent.sleep(backoff(attempt))

    def _hear_at_last(self, record: Record) -> None:
        """Hear a record, again while the store is away."""
        attempt = 0
        while True:
            try:
                return self._hear(record)
            except STORE_DOWN as error:
                attempt += 1
                log_line.warning("store_away", why=type(error).__name__)
                gevent.sleep(backoff(attempt))

    def _hear(self, record: Record) -> None:
        try:
            event = decode(record.value, record.headers, EVENTS)
        except (Unknown, Unreadable):
            # It is the push worker's to bury; sockets only get hints.
            telemetry.unknown.labels("live").inc()
            return
        if isinstance(event, (GrantGiven, GrantEnded)):
            # The push worker keeps it too; here it holds from this moment.
            self._grants.keep(event)
        if isinstance(event, _CHANGES_WHO_MAY):
            self.chat.forget(getattr(event, "conversation_id", None))
        if isinstance(event, SessionEnded):
            self._end_session(event.session_id)
        if isinstance(event, MessageSent) and event.told_by != self.id:
            self._hear_messages(event)
        if event.hint is not None:
            self._emit_hint(event)

    def _hear_messages(self, event: MessageSent) -> None:
        if self._told.get(event.conversation_id, 0) >= event.to_seq:
            return
        conversation = self.chat.conversation(event.conversation_id)
        if conversation is None or not any(member in self._here for member in conversation["members"]):
            self._remember_told(event.conversation_id, event.to_seq)
            return
        found = self._store.after(event.conversation_id, event.from_seq - 1, event.to_seq - event.from_seq + 1)
        if event.told_by == NOBODY:
            # Told again for a process that died. Whoever is connected here came, and asked, after those of before.
            found = [message for message in found if message["at"] >= self._started]
        if found:
            self._emit_messages(conversation, [self._store.shown(message) for message in found])

    def _emit_hint(self, event: Event) -> None:
        hint = event.hint
        assert hint is not None
        if hint.name is None:
            return
        told = {name: getattr(event, name) for name in hint.fields}
        if hint.change is not None:
            told["change"] = hint.change
        self._emit(getattr(event, "tell", ()), hint.name, told)

    def _end_session(self, session_id: str) -> None:
        self._ended[session_id] = time.time() + 86_400
        for sid, person in list(self._people.items()):
            if person.session_id == session_id:
                gevent.spawn(self._expire, sid)

    def ended(self, session_id: str) -> bool:
        """Whether this session was signed out."""
        return session_id in self._ended

    def _expire_for_ever(self) -> None:
        while True:
            gevent.sleep(EXPIRY_SECONDS)
            moment = time.time()
            for sid, person in list(self._people.items()):
                if person.expires <= moment:
                    gevent.spawn(self._expire, sid)
            self._ended = {session: until for session, until in self._ended.items() if until > moment}

    def _expire(self, sid: str) -> None:
        """Tell a socket that its token ended. From here on it hears nothing and speaks for nobody."""
        self._disconnect(sid)
        outbox = self._outbox(sid)
        outbox.send(wire.event("expired", {}))
        # The packet has to leave before the door closes.
        gevent.sleep(0.2)
        self._server.disconnect(sid)


def _checked(shape: type[S], data: Any) -> S:
    """What a socket event says. Raises ``Refused`` 422 naming each wrong field."""
    try:
        return shape.load(data)
    except ValidationError as error:
        raise Refused(422, "Unprocessable Content", error.messages_dict) from error


def _refusal(refusal: Refused | None) -> dict[str, Any]:
    assert refusal is not None
    return {"ok": False, "problem": refusal.problem}


def _refused(code: str) -> ConnectionRefusedError:
    error = ConnectionRefusedError(code, {"code": code})
    error.error_args["code"] = code
    return error


def _die(greenlet: Any) -> None:
    """A loop that died is never taken for a quiet one: the process ends, and is started again."""
    log_line.error("loop_died", why=repr(greenlet.exception))
    os._exit(70)
