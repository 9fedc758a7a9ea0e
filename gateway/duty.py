"""Who answers in a conversation: whoever is on duty, and whose grant still holds."""

from __future__ import annotations

from datetime import datetime

from gateway import service
from gateway.chat_store import ChatStore
from infra.ids import new_id
from infra.store import Raw, keep_newer
from schemas.base import now
from schemas.chat import ConversationClosed, ConversationOpened, ConversationTaken
from schemas.coaching import CoachWentOffDuty, CoachWentOnDuty
from schemas.people import GrantEnded, GrantGiven

CAPACITY = 8


@service.on(GrantEnded)
def close_what_is_between(event: GrantEnded) -> None:
    """A direct conversation closes when its coach has no grant any more; the client keeps what was said."""
    if service.grants.allows(event.holder_id, event.subject_id):
        return
    store = _chat_store()
    for conversation in store.between(event.subject_id, event.holder_id, "direct"):
        if conversation["owner"] == event.subject_id and store.set_state(conversation["_id"], "open", "closed"):
            _tell_change(ConversationClosed, conversation)


def _tell_change(kind: type[ConversationOpened | ConversationClosed], conversation: Raw) -> None:
    service.store.tell(
        kind(id=new_id(), at=now(), version=1, conversation_id=conversation["_id"], tell=list(conversation["members"]))
    )


@service.on(GrantGiven)
def open_what_was_closed(event: GrantGiven) -> None:
    """Whoever cares for the client again finds the old conversation open."""
    store = _chat_store()
    for conversation in store.between(event.subject_id, event.holder_id, "direct"):
        if conversation["owner"] == event.subject_id and store.set_state(conversation["_id"], "closed", "open"):
            _tell_change(ConversationOpened, conversation)


@service.on(CoachWentOnDuty, CoachWentOffDuty)
def know_who_is_on_duty(event: CoachWentOnDuty | CoachWentOffDuty) -> None:
    on = isinstance(event, CoachWentOnDuty)
    keep_newer(service.store.collection("duty"), event.coach_id, event.version, {"on": on})
    if on:
        give_waiting_conversations(event.at)


@service.every(2)
def give_waiting_conversations(_: datetime) -> None:
    """The oldest first, each to the coach on duty who has the fewest, within capacity."""
    store = _chat_store()
    for conversation in store.waiting():
        coach_id = next_on_duty()
        if coach_id is None:
            return
        if store.take(conversation["_id"], coach_id):
            service.store.tell(taken(conversation, coach_id))


def next_on_duty() -> str | None:
    """The coach on duty with the fewest open conversations of this kind, or None when all are full or away."""
    store = _chat_store()
    on_duty = [raw["_id"] for raw in service.store.collection("duty").find({"on": True})]
    burdens = sorted((store.open_count(coach), coach) for coach in on_duty)
    return burdens[0][1] if burdens and burdens[0][0] < CAPACITY else None


def taken(conversation: Raw, coach_id: str) -> ConversationTaken:
    """The fact that a coach has taken a conversation that was waiting."""
    return ConversationTaken(
        id=new_id(),
        at=now(),
        version=1,
        conversation_id=conversation["_id"],
        tell=[*conversation["members"], coach_id],
    )


def _chat_store() -> ChatStore:
    return ChatStore(service.store, service.vault)
