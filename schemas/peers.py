"""People who offered to be asked by somebody in need, and what becomes of an ask."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from marshmallow import fields, validate

from schemas.base import Event, Hint, Shape
from schemas.fields import Count, Id, Language, Moment, String
from schemas.risk import Card

Area = Annotated[
    str,
    String(
        validate=validate.Length(1, 60),
        metadata={"description": "A postal prefix or a place, as coarse as the person likes: 1 to 60 characters."},
    ),
]
Languages = Annotated[
    list[str],
    fields.List(Language.__metadata__[0], validate=validate.Length(max=10), metadata={"description": "At most 10."}),
]


class PeersAsked(Event):
    """A client asked people who had offered. Whom it is about is told to nobody until one of them says yes."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    # Their devices are woken as for an event of a network: within their quiet hours, and in neutral words.
    hint: ClassVar[Hint | None] = Hint("peer", ("ask_id",), "asked", "event")
    ask_id: Id
    client_id: Id
    tell: list[Id]


class PeerAccepted(Event):
    """One of those who were asked was the first to say yes. The two may talk with each other for a while."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    hint: ClassVar[Hint | None] = Hint("peer", ("ask_id",), "accepted", "event")
    ask_id: Id
    client_id: Id
    peer_id: Id
    tell: list[Id]


class PeerTalkEnded(Event):
    """The client or the peer ended what they had, before its time."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    hint: ClassVar[Hint | None] = Hint("peer", ("ask_id",), "ended", None)
    ask_id: Id
    client_id: Id
    peer_id: Id
    by: Id
    tell: list[Id]


class PeerSupport(Shape):
    """Whether somebody may be asked, where they are, and which languages they speak. ``on`` needs an ``area``."""

    on: bool
    area: Area | None = None
    languages: Languages = field(default_factory=list)


class NewPeerAsk(Shape):
    """``area`` is compared with those of who offered, and kept nowhere."""

    id: Id
    area: Area | None = None


class PeerAskOut(Shape):
    """What the client sees. ``asked`` is how many; who they are is theirs to say."""

    id: Id
    asked: Count
    until: Moment
    accepted_by: Id | None
    cards: list[Card]


class AskedOfMe(Shape):
    """What somebody who offered sees.

    Attributes:
        state: ``open``; ``accepted`` or ``declined`` by the reader; ``taken``: somebody else was first; ``over``.
        client_id: who asks, once the reader has accepted and for as long as the two may talk.
    """

    id: Id
    asked_at: Moment
    until: Moment
    state: Literal["open", "accepted", "declined", "taken", "over"]
    client_id: Id | None


class AskedOfMePage(Shape):
    items: list[AskedOfMe]
    next: str | None
