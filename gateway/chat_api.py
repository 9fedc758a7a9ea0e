"""REST of the chat: conversations and messages, the twin of what sockets say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import g, request

from gateway.away import WORDS
from gateway.chat import Chat, Refused
from gateway.chat_store import ChatStore, Draft, new_conversation
from gateway.duty import away_words, give_waiting
from gateway.duty_api import duty_routes
from gateway.live import Live
from gateway.search import plain, search
from infra.access import TALKING, Identity, NotYours, key_for
from infra.service import Service
from infra.store import Raw
from infra.web import (
    RETRY_AFTER,
    Blueprint,
    Problem,
    conflict,
    fingerprint,
    needs,
    page,
    permit,
    refuse,
    same_or_conflict,
    spoken,
    who,
)
from schemas import chat as say

ON_DUTY = "on-duty"


def chat_routes(service: Service, live: Live, store: ChatStore) -> Blueprint:
    """Conversations and messages."""
    api = Blueprint("chat", __name__)
    chat = live.chat

    @api.get("/conversations")
    @needs("care")
    @api.response(200, say.ConversationPage.Schema)
    def list_conversations() -> Any:
        asked = page()
        me = who().person_id
        live.teller.note_activity()
        found, following = asked.cut(store.of_person(me, asked.limit, asked.after), lambda found: str(found["_id"]))
        items = [conversation for conversation in found if me in chat.readers(conversation)]
        service.grants.saw(who(), [conversation["owner"] for conversation in items], "conversations")
        g.permitted = True
        return {"items": [_shown(store, conversation) for conversation in items], "next": following}

    @api.post("/conversations")
    @needs("care")
    @api.arguments(say.NewConversation.Schema)
    @api.response(201, say.ConversationOut.Schema)
    @api.alt_response(200, schema=say.ConversationOut.Schema)
    def open_conversation(body: say.NewConversation) -> Any:
        me = who()
        made = fingerprint(body, key_for(service.settings.secret, "fingerprint")) + me.person_id
        before = store.conversation(body.id)
        if before is None:
            fresh = _on_duty(body, me, made) if body.with_ == ON_DUTY else _direct(service, body, me, made)
            if store.open(fresh):
                g.permitted = True
                live.teller.opened(fresh)
                if fresh["state"] == "waiting":
                    # In turn: whoever waits longer is given a coach first.
                    for taken in give_waiting():
                        live.chat.forget(taken.conversation_id)
                        live.teller.tell(taken)
                    fresh = store.conversation(body.id) or fresh
                return _shown(store, fresh), 201
            before = store.conversation(body.id)
        assert before is not None
        if me.person_id not in before["members"]:
            conflict("This id is in use.")
        permit(service.grants, before["owner"], "conversation", because=_may_talk(service, before))
        same_or_conflict(before["fingerprint"], made)
        return _shown(store, before), 200

    @api.get("/conversations/<conversation_id>")
    @needs("care")
    @api.response(200, say.ConversationOut.Schema)
    def show_conversation(conversation_id: str) -> Any:
        return _shown(store, _member(chat, service, conversation_id, "conversation"))

    @api.get("/conversations/<conversation_id>/messages")
    @needs("care")
    @api.response(200, say.MessagePage.Schema)
    def list_messages(conversation_id: str) -> Any:
        """Ascending: those behind ``after``, or the last ones in front of ``before``."""
        limit, after, before = _range()
        last = store.last_seq(_member(chat, service, conversation_id, "messages"))
        if before is not None:
            found = store.before(conversation_id, min(before, last + 1), limit)
        else:
            found = store.after(conversation_id, after, limit)
        following = str(found[-1]["seq"]) if found and before is None and found[-1]["seq"] < last else None
        return {"items": [store.shown(message) for message in found], "next": following, "last_seq": last}

    @api.post("/conversations/<conversation_id>/messages")
    @needs("care")
    @api.arguments(say.NewMessage.Schema)
    @api.response(201, say.MessageOut.Schema)
    @api.alt_response(200, schema=say.MessageOut.Schema)
    def send_message(body: say.NewMessage, conversation_id: str) -> Any:
        return _sent(chat, lambda: chat.message(who(), conversation_id, body.client_message_id, body.text))

    @api.post("/conversations/<conversation_id>/messages/<int:seq>/edit")
    @needs("care")
    @api.arguments(say.MessageEdit.Schema)
    @api.response(201, say.MessageOut.Schema)
    @api.alt_response(200, schema=say.MessageOut.Schema)
    def edit_message(body: say.MessageEdit, conversation_id: str, seq: int) -> Any:
        """Give a message of one's own another text, for 24 hours."""
        return _sent(chat, lambda: chat.edit(who(), conversation_id, body.client_message_id, seq, body.text))

    @api.post("/conversations/<conversation_id>/messages/<int:seq>/take-back")
    @needs("care")
    @api.arguments(say.TakeBack.Schema)
    @api.response(201, say.MessageOut.Schema)
    @api.alt_response(200, schema=say.MessageOut.Schema)
    def take_message_back(body: say.TakeBack, conversation_id: str, seq: int) -> Any:
        """Take a message of one's own back, for 24 hours. Its words are shown to nobody any more, and destroyed."""
        return _sent(chat, lambda: chat.take_back(who(), conversation_id, body.client_message_id, seq))

    @api.post("/conversations/<conversation_id>/search")
    @needs("care")
    @api.arguments(say.MessageSearch.Schema)
    @api.response(200, say.FoundPage.Schema)
    def search_messages(body: say.MessageSearch, conversation_id: str) -> Any:
        """Messages that have all these words. A POST, because what is searched for must not stand in an address."""
        conversation = _member(chat, service, conversation_id, "messages")
        if not plain(body.words).split():
            refuse("words", "Must have a letter, a digit or a sign.")
        found, following = search(store, conversation, body.words, body.before, body.limit)
        return {"items": found, "next": following}

    for act, read in (("delivered", False), ("read", True)):
        _cursor_route(api, live, act, read)
    duty_routes(api, service, live, store, lambda conversation: _shown(store, conversation))

    return api


def _cursor_route(api: Blueprint, live: Live, act: str, read: bool) -> None:
    @api.post(f"/conversations/<conversation_id>/{act}", endpoint=act)
    @needs("care")
    @api.arguments(say.CursorMove.Schema)
    @api.response(204)
    def move(body: say.CursorMove, conversation_id: str) -> None:
        try:
            live.move_cursor(who(), conversation_id, body.seq, read)
        except Refused as refusal:
            raise _problem(refusal) from refusal
        g.permitted = True


def _sent(chat: Chat, draft: Callable[[], Draft]) -> Any:
    try:
        message, new = chat.send(draft())
    except Refused as refusal:
        raise _problem(refusal) from refusal
    g.permitted = True
    return message, 201 if new else 200


def _direct(service: Service, body: say.NewConversation, me: Identity, made: str) -> Raw:
    """Between a client and somebody who holds a grant on the client, whoever of the two begins."""
    pairs = [(body.with_, me.person_id)]
    if me.role == "client":
        # A client may also be somebody's peer; then the conversation is that somebody's.
        pairs.insert(0, (me.person_id, body.with_))
    for owner, holder in pairs:
        if service.grants.allows(holder, owner, TALKING):
            return new_conversation(body.id, "direct", owner, [owner, holder], False, made)
    raise NotYours(body.with_)


def _may_talk(service: Service, conversation: Raw) -> bool:
    return conversation["kind"] == "on_duty" or service.grants.may(who(), conversation["owner"], TALKING)


def _on_duty(body: say.NewConversation, me: Identity, made: str) -> Raw:
    """A client asks for whoever is on duty, and waits for the first who is free."""
    if me.role != "client":
        refuse("with", "Only a client asks for whoever is on duty.")
    return new_conversation(body.id, "on_duty", me.person_id, [me.person_id], True, made)


def _member(chat: Chat, service: Service, conversation_id: str, what: str) -> Raw:
    """The conversation as it is now, for one of its members."""
    try:
        conversation = chat.fresh_conversation_for(who(), conversation_id)
    except Refused as refusal:
        raise _problem(refusal) from refusal
    permit(service.grants, conversation["owner"], what, because=True)
    return conversation


def _range() -> tuple[int, int, int | None]:
    """``limit``, ``after`` and ``before`` of the query. Raises ``Problem`` 422 naming the field."""
    for name, value in request.args.items():
        if name not in ("limit", "after", "before"):
            refuse(name, "Unknown field.")
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            refuse(name, "Must be a whole number.")
    limit = int(request.args.get("limit", "50"))
    if not 1 <= limit <= 200:
        refuse("limit", "Must be a whole number from 1 to 200.")
    before = request.args.get("before")
    return limit, int(request.args.get("after", "0")), None if before is None else int(before)


def _problem(refusal: Refused) -> Problem:
    title = refusal.problem["title"]
    headers = {"Retry-After": RETRY_AFTER} if refusal.status == 503 else {}
    return Problem(refusal.status, title, title, refusal.problem.get("errors"), headers)


def _shown(store: ChatStore, conversation: Raw) -> Raw:
    me = who().person_id
    return {
        "id": conversation["_id"],
        "kind": conversation["kind"],
        "with_": [member for member in conversation["members"] if member != me],
        "last_seq": store.last_seq(conversation),
        "unread": store.unread(conversation, me),
        "cursors": {member: store.cursor(conversation, member) for member in conversation["members"]},
        "state": conversation["state"],
        "waiting_since": conversation["waiting_since"],
        "away": _away() if conversation["state"] == "waiting" else None,
    }


def _away() -> say.Away:
    """For its client, the only one who is in a conversation that waits."""
    return away_words(spoken(WORDS))
