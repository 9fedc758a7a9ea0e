"""REST of conversations with whoever is on duty: who waits, and how they are taken, handed over and closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway import duty
from gateway.chat_store import ChatStore
from gateway.live import Live
from infra.access import NotYours
from infra.service import Service
from infra.store import Raw
from infra.web import Blueprint, conflict, needs, page, permit, refuse, who
from schemas import chat as say
from schemas.base import Event, now


def duty_routes(api: Blueprint, service: Service, live: Live, store: ChatStore, shown: Callable[[Raw], Raw]) -> None:
    """Add the routes. ``shown`` is a conversation as the contract writes it for the caller."""

    @api.get("/conversations/waiting")
    @needs("coach|supervisor")
    @api.response(200, say.WaitingPage.Schema)
    def list_waiting() -> Any:
        """For any coach how long is waited; for a supervisor also who waits, which is a look at each."""
        asked, moment = page(), now()
        found, following = asked.cut(store.waiting(asked.limit + 1, asked.after), lambda found: str(found["_id"]))
        supervises = who().role == "supervisor"
        if supervises:
            service.grants.saw(who(), [conversation["owner"] for conversation in found], "waiting")
        items = [
            {
                "id": conversation["_id"],
                "client_id": conversation["owner"] if supervises else None,
                "waiting_since": conversation["waiting_since"],
                "waited_seconds": duty.waited(conversation, moment),
                "escalated_at": conversation.get("escalated_at"),
            }
            for conversation in found
        ]
        return {"items": items, "next": following}

    @api.post("/conversations/<conversation_id>/take")
    @needs("coach|supervisor")
    @api.response(200, say.ConversationOut.Schema)
    def take_by_hand(conversation_id: str) -> Any:
        """Whether or not one is on duty or has room: who takes by hand, decides."""
        conversation = _on_duty(conversation_id)
        if who().person_id not in conversation["members"]:
            if conversation["state"] == "closed":
                raise NotYours(conversation_id)
            told = duty.take(conversation, who().person_id)
            if told is None:
                conflict("Somebody else has taken it.")
            tell(told)
        return answer(conversation_id)

    @api.post("/conversations/<conversation_id>/transfer")
    @needs("coach|supervisor")
    @api.arguments(say.HandOver.Schema)
    @api.response(204)
    def transfer(body: say.HandOver, conversation_id: str) -> None:
        """By whoever has taken it, to a coach on duty: nobody is left with somebody who is not there."""
        conversation = _mine(conversation_id)
        if body.to == who().person_id or body.to not in duty.on_duty():
            refuse("to", "Must be another coach who is on duty now.")
        if conversation["state"] != "open":
            conflict("It is closed.")
        told = duty.hand_over(conversation, body.to)
        if told is None:
            conflict("It has changed in this moment; read it again.")
        tell(*told)

    @api.post("/conversations/<conversation_id>/close")
    @needs("client|coach|supervisor")
    @api.response(200, say.ConversationOut.Schema)
    def close(conversation_id: str) -> Any:
        """By the client, also while it waits, or by whoever has taken it."""
        conversation = _mine(conversation_id)
        if conversation["state"] != "closed":
            told = duty.close(conversation)
            if told is None:
                conflict("It has changed in this moment; read it again.")
            tell(told)
        return answer(conversation_id)

    def tell(*events: Event) -> None:
        """Tell at once what lies in the outbox; the relay tells it again if this process dies before that."""
        for event in events:
            live.chat.forget(event.partition_key)
            live.teller.tell(event)

    def answer(conversation_id: str) -> Any:
        conversation = _mine(conversation_id)
        permit(service.grants, conversation["owner"], "conversation", because=True)
        return shown(conversation)

    def _mine(conversation_id: str) -> Raw:
        conversation = _on_duty(conversation_id)
        if who().person_id not in conversation["members"]:
            raise NotYours(conversation_id)
        return conversation

    def _on_duty(conversation_id: str) -> Raw:
        """A conversation that was begun with whoever is on duty. Raises what answers 404, or 409 to those who talk."""
        conversation = store.conversation(conversation_id)
        if conversation is not None and conversation["kind"] == "on_duty":
            return conversation
        if conversation is not None and who().person_id in live.chat.readers(conversation):
            conflict("It is between the two of you, for as long as you are together.")
        raise NotYours(conversation_id)
