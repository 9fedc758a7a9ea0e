"""Who answers in a conversation: whoever is on duty, and whose grant still holds.

``take``, ``hand_over`` and ``close`` are the only places where somebody comes into a conversation that a client began
with whoever is on duty, or leaves it. Each answers with what was told, or None when somebody else was first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway import service
from gateway.away import away
from gateway.chat_store import ChatStore, Draft
from infra import telemetry
from infra.access import TALKING
from infra.ids import new_id
from infra.store import Raw, keep_newer
from schemas.base import now
from schemas.chat import (
    NOBODY,
    Away,
    ConversationClosed,
    ConversationOpened,
    ConversationTaken,
    ConversationTransferred,
    ConversationWaiting,
    MessageSent,
)
from schemas.coaching import CAPACITY, CoachAvailabilityChanged, CoachWentOffDuty, CoachWentOnDuty
from schemas.people import GrantEnded, GrantGiven

AT_ONCE = 100
# Supervisors are told ever less often, and never less often than this.
ASK_AGAIN_MOST = timedelta(hours=1)


@service.on(GrantEnded)
def close_what_is_between(event: GrantEnded) -> None:
    """A direct conversation closes when its coach or peer has no grant any more; the client keeps what was said."""
    if service.grants.allows(event.holder_id, event.subject_id, TALKING):
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


# -- who is there


@service.on(CoachWentOnDuty, CoachWentOffDuty)
def know_who_is_on_duty(event: CoachWentOnDuty | CoachWentOffDuty) -> None:
    on = isinstance(event, CoachWentOnDuty)
    keep_newer(service.store.collection("duty"), event.coach_id, event.version, {"on": on})
    if on:
        give_waiting()


@service.on(CoachAvailabilityChanged)
def know_how_many_and_when(event: CoachAvailabilityChanged) -> None:
    state = {"capacity": event.capacity, "back_at": event.back_at}
    keep_newer(service.store.collection("availability"), event.coach_id, event.version, state)
    give_waiting()


def on_duty() -> list[str]:
    """The coaches who answer now."""
    return [raw["_id"] for raw in service.store.collection("duty").find({"on": True})]


def away_words(language: str | None) -> Away:
    """What a client who waits is told at this moment."""
    known = service.store.collection("availability").find({"back_at": {"$gt": now()}}, {"back_at": 1})
    expected_at = min((coach["back_at"] for coach in known), default=None)
    return away(language, bool(on_duty()), expected_at, service.settings.region)


# -- who is given a conversation


@service.on(ConversationClosed, ConversationTransferred)
def give_to_whoever_is_free_again(_: ConversationClosed | ConversationTransferred) -> None:
    give_waiting()


@service.on(ConversationTransferred)
def mark_the_hand_over(event: ConversationTransferred) -> None:
    """Between the messages stands who handed over to whom, told to everybody as a message is."""
    conversation = _chat_store().conversation(event.conversation_id)
    assert conversation is not None
    owner_id = conversation["owner"]
    draft = Draft(event.conversation_id, owner_id, event.coach_id, event.id, None, "transferred", to=event.to)
    seq = _chat_store().append(draft)["seq"]
    service.store.tell(
        MessageSent(
            id=new_id(),
            at=now(),
            version=seq,
            conversation_id=event.conversation_id,
            from_seq=seq,
            to_seq=seq,
            senders=[],
            told_by=NOBODY,
            tell=conversation["members"],
        )
    )


@service.every(2)
def give_what_was_left(_: datetime) -> None:
    """What a crash, or a race for a coach's last place, left."""
    give_waiting()


def give_waiting() -> list[ConversationTaken]:
    """Give what waits, the oldest first, each to the coach on duty who has the fewest, within capacity."""
    told = []
    for conversation in _chat_store().waiting(AT_ONCE):
        free = _next_on_duty()
        if free is None:
            break
        if (taken := take(conversation, *free)) is not None:
            told.append(taken)
    return told


def _next_on_duty() -> tuple[str, int] | None:
    """The coach on duty with the fewest conversations of this kind, and the coach's room; None when all are full."""
    store, coaches = _chat_store(), on_duty()
    known = service.store.collection("availability").find({"_id": {"$in": coaches}}, {"capacity": 1})
    rooms = {coach["_id"]: coach["capacity"] for coach in known}
    burdens = sorted((store.open_count(coach), coach) for coach in coaches)
    free = ((coach, rooms.get(coach, CAPACITY)) for burden, coach in burdens if burden < rooms.get(coach, CAPACITY))
    return next(free, None)


# -- what becomes of a conversation


def take(conversation: Raw, coach_id: str, room: int | None = None) -> ConversationTaken | None:
    """Somebody takes a conversation that waits; ``room`` is how many the coach may have, None when taken by hand."""
    event = _taken(conversation, [conversation["owner"], coach_id])
    return event if _chat_store().take(conversation, coach_id, room, event) else None


def hand_over(conversation: Raw, coach_id: str) -> list[ConversationTaken] | None:
    """Whoever has taken it hands it over. All three hear of it, and the new one is woken."""
    (former,) = set(conversation["members"]) - {conversation["owner"]}
    changed = ConversationTransferred(
        id=new_id(),
        at=now(),
        version=1,
        conversation_id=conversation["_id"],
        tell=[*conversation["members"], coach_id],
        coach_id=former,
        to=coach_id,
    )
    events = [changed, _taken(conversation, [coach_id])]
    return events if _chat_store().hand_over(conversation, coach_id, *events) else None


def close(conversation: Raw) -> ConversationClosed | None:
    """It is over, taken or not. What was said stays, for its client and whoever answered."""
    event = ConversationClosed(
        id=new_id(), at=now(), version=1, conversation_id=conversation["_id"], tell=list(conversation["members"])
    )
    return event if _chat_store().close(conversation, event) else None


def _taken(conversation: Raw, tell: list[str]) -> ConversationTaken:
    return ConversationTaken(id=new_id(), at=now(), version=1, conversation_id=conversation["_id"], tell=tell)


# -- what nobody takes


@service.every(2)
def tell_of_those_who_wait(moment: datetime) -> None:
    """Supervisors hear of whoever waits too long, until somebody takes the conversation.

    With no supervisor known it stays due, for the first one there is. Where two processes race, one tells.
    """
    waiting = _chat_store().waiting()
    supervisors = service.people.with_role("supervisor")
    for conversation in waiting if supervisors else ():
        if due_at(conversation) <= moment:
            _escalate(conversation, moment, supervisors)
    telemetry.conversations_waiting.set(len(waiting))
    telemetry.longest_wait.set(waited(waiting[0], moment) if waiting else 0)


def due_at(conversation: Raw) -> datetime:
    """When supervisors are told next: after the first wait, then each time after one twice as long, up to an hour."""
    first = timedelta(seconds=service.settings.waiting_seconds)
    stage = conversation.get("escalations", 0)
    # No power of two above this one is needed, and a high one is no number of seconds any more.
    wait = min(first * 2 ** min(stage, 12), max(first, ASK_AGAIN_MOST))
    due: datetime = (conversation.get("escalated_at") or conversation["waiting_since"]) + wait
    return due


def waited(conversation: Raw, moment: datetime) -> int:
    """Whole seconds that it has waited."""
    return max(0, int((moment - conversation["waiting_since"]).total_seconds()))


def _escalate(conversation: Raw, moment: datetime, supervisors: list[str]) -> None:
    event = ConversationWaiting(
        id=new_id(),
        at=now(),
        version=1,
        conversation_id=conversation["_id"],
        tell=supervisors,
        waited_seconds=waited(conversation, moment),
    )
    _chat_store().escalate(conversation, moment, event)


def _chat_store() -> ChatStore:
    return ChatStore(service.store, service.vault)
