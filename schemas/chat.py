"""Conversations, messages, cursors, devices; and what the gateway's processes tell one another."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.base import Event, Hint, Shape
from schemas.fields import (
    ABSENT,
    Count,
    Id,
    Line,
    Moment,
    NoAttachments,
    PageSize,
    Secret,
    Text,
    Version,
    WallTime,
    Zone,
)
from schemas.risk import Card

ConversationState = Literal["open", "waiting", "closed"]
# In the place of a gateway process, where none has told its sockets.
NOBODY = "nobody"
EntryKind = Literal["edited", "taken_back", "transferred"]
PushKind = Literal["message", "alert", "session", "goal", "notice", "event"]


class _ConversationEvent(Event):
    topic: ClassVar[str] = "chat"
    key: ClassVar[str] = "conversation_id"
    conversation_id: Id
    tell: list[Id]


class ConversationOpened(_ConversationEvent):
    """People who may talk to each other now have a place for it."""

    hint: ClassVar[Hint | None] = Hint("conversation", ("conversation_id",), "opened", None)


class ConversationTaken(_ConversationEvent):
    """A coach on duty took a conversation that was waiting."""

    hint: ClassVar[Hint | None] = Hint("conversation", ("conversation_id",), "taken", "message")


class ConversationTransferred(ConversationTaken):
    """A coach handed a conversation over to another, who has taken it. The former coach reads it no more."""

    hint: ClassVar[Hint | None] = Hint("conversation", ("conversation_id",), "transferred", None)
    coach_id: Id
    to: Id


class ConversationWaiting(_ConversationEvent):
    """Nobody took a conversation for too long; supervisors are told, again and again until somebody does."""

    hint: ClassVar[Hint | None] = Hint("conversation", ("conversation_id",), "waiting", "message")
    waited_seconds: Count


class ConversationClosed(_ConversationEvent):
    """The two no longer have a reason to see each other's words."""

    hint: ClassVar[Hint | None] = Hint("conversation", ("conversation_id",), "closed", None)


class MessageSent(_ConversationEvent):
    """Messages ``from_seq`` to ``to_seq`` are stored. One event per conversation and write.

    ``senders`` wrote messages; what only says that earlier ones changed is nobody's. ``told_by`` is the gateway process
    whose own sockets have them already.
    """

    from_seq: Version
    to_seq: Version
    senders: list[Id]
    told_by: Id


class CursorMoved(_ConversationEvent):
    """A person's devices have, or the person has read, everything up to these numbers."""

    hint: ClassVar[Hint | None] = Hint("cursor", ("conversation_id", "person_id", "delivered", "read"), None, None)
    person_id: Id
    delivered: Count
    read: Count


class Typing(_ConversationEvent):
    """Somebody is writing, or has stopped."""

    hint: ClassVar[Hint | None] = Hint("typing", ("conversation_id", "person_id", "on"), None, None)
    person_id: Id
    on: bool


class PresenceChanged(Event):
    """A person's first device connected, or the last one left. Told to those who share a conversation."""

    topic: ClassVar[str] = "chat"
    key: ClassVar[str] = "person_id"
    hint: ClassVar[Hint | None] = Hint("presence", ("person_id", "on"), None, None)
    person_id: Id
    on: bool
    tell: list[Id]


class NewConversation(Shape):
    """``with`` is a person's id or ``on-duty``."""

    id: Id
    with_: Id


class Cursor(Shape):
    delivered: Count
    read: Count


class Away(Shape):
    """What a client is told while nobody has taken the conversation.

    ``expected_at`` is when a coach is next on duty, by the coach's own hours; null where somebody is on duty now, and
    where nobody knows.
    """

    words: Line
    expected_at: Moment | None
    cards: list[Card]


class ConversationOut(Shape):
    id: Id
    kind: Literal["direct", "on_duty"]
    with_: list[Id]
    last_seq: Count
    unread: Count
    cursors: dict[str, Cursor]
    state: ConversationState
    waiting_since: Moment | None
    away: Away | None


class WaitingOut(Shape):
    """``client_id`` is for supervisors; ``escalated_at`` is when they were told last."""

    id: Id
    client_id: Id | None
    waiting_since: Moment
    waited_seconds: Count
    escalated_at: Moment | None


class WaitingPage(Shape):
    """The one who has waited longest first."""

    items: list[WaitingOut]
    next: str | None


class HandOver(Shape):
    """``to`` is a coach on duty."""

    to: Id


class ConversationPage(Shape):
    items: list[ConversationOut]
    next: str | None


class NewMessage(Shape):
    client_message_id: Id
    text: Text
    attachments: NoAttachments = ABSENT


class MessageOut(Shape):
    """A message, or an entry between messages that says what became of them. All have a number of their own.

    An entry has a ``kind``: ``edited`` with the new text, or ``taken_back``, of the message whose number is
    ``changes``; or ``transferred``, to the coach ``to``. A message that was changed says when, and shows what holds:
    the text is null where it was taken back.
    """

    conversation_id: Id
    seq: Version
    id: Id
    client_message_id: Id
    sender_id: Id
    text: Text | None
    at: Moment
    kind: EntryKind = ABSENT
    changes: Version = ABSENT
    to: Id = ABSENT
    edited_at: Moment = ABSENT
    taken_back_at: Moment = ABSENT


class MessageEdit(Shape):
    client_message_id: Id
    text: Text


class TakeBack(Shape):
    client_message_id: Id


class MessageSearch(Shape):
    """``words`` that all have to be in a message, however they are cased or accented.

    ``before``: only below this number; the last one looked at, to go on from there.
    """

    words: Line
    before: Version | None = None
    limit: PageSize = 50


class FoundPage(Shape):
    """What was found, the newest first. ``next`` is where to go on, also when nothing was found as far as this."""

    items: list[MessageOut]
    next: Version | None


class MessagePage(Shape):
    items: list[MessageOut]
    next: str | None
    last_seq: Count


class CursorMove(Shape):
    seq: Count


class QuietHours(Shape):
    """On the device's own clock; ``start`` later than ``end`` spans midnight."""

    start: WallTime
    end: WallTime


# -- what a client says on a socket


class SendAsk(Shape):
    conversation_id: Id
    client_message_id: Id
    text: Text


class EditAsk(Shape):
    """The new text of the caller's own message ``seq``. Acknowledged like a message."""

    conversation_id: Id
    client_message_id: Id
    seq: Version
    text: Text


class TakeBackAsk(Shape):
    """The caller's own message ``seq`` is taken back. Acknowledged like a message."""

    conversation_id: Id
    client_message_id: Id
    seq: Version


class SyncAsk(Shape):
    """Up to ``limit`` messages above the number ``after``."""

    conversation_id: Id
    after: Count = 0
    limit: PageSize = 200


class CursorAsk(Shape):
    conversation_id: Id
    seq: Count


class TypingAsk(Shape):
    conversation_id: Id
    on: bool


class DutyAsk(Shape):
    on: bool


DeviceKind = Literal["fcm", "webpush"]
DeviceLanguage = Literal["en", "es"]


class NewDevice(Shape):
    """``value`` is the registration token of FCM, or the JSON of a browser's ``PushSubscription``.

    Until ``do_not_disturb_until``, and in the quiet hours, everything but an alert waits.
    """

    kind: DeviceKind
    value: Secret
    timezone: Zone = "UTC"
    quiet_hours: QuietHours | None = None
    do_not_disturb_until: Moment | None = None
    language: DeviceLanguage = "en"


class DeviceOut(Shape):
    id: Id
    kind: DeviceKind
    timezone: Zone
    quiet_hours: QuietHours | None
    do_not_disturb_until: Moment | None
    language: DeviceLanguage
    seen_at: Moment


class PushKey(Shape):
    """What a browser subscribes with (``applicationServerKey``), in base64url."""

    key: Line


DeliveryState = Literal["made", "sent", "failed", "opened", "needless"]


class DeliveryOut(Shape):
    """``made`` and not yet sent; ``needless``: the person had it by another way before it was sent, and ``why`` says
    which; ``opened`` by the person."""

    id: Id
    device_id: Id
    kind: PushKind
    ref: Id
    state: DeliveryState
    why: Line | None
    at: Moment
    opened_at: Moment | None


class DeliveryPage(Shape):
    items: list[DeliveryOut]
    next: str | None


class NoticeProgress(Shape):
    """How far a notice has come: counts, and nobody's name.

    Attributes:
        addressed: whether everybody whom it is to tell is known by now; ``people`` still grows until then.
        people: whom it is to tell.
        devices: how many devices of theirs are pushed to, so far; those that are connected are told by their socket.
        made, sent, failed, opened, needless: the devices by the state of their delivery.
    """

    addressed: bool
    people: Count
    devices: Count
    made: Count
    sent: Count
    failed: Count
    opened: Count
    needless: Count
