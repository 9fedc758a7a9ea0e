"""Peers who offered to be asked, and what was asked of them. The first to accept is the one."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from mongoengine import BinaryField, BooleanField, DateTimeField, ListField, StringField

from infra.store import Aggregate
from schemas.base import now
from schemas.peers import PeerAccepted, PeersAsked, PeerSupport, PeerTalkEnded
from services.risk import service
from services.risk.alert_model import WrongState

# How long an ask is open, and for how long the two may talk then: people gives the grant for as long.
OPEN = timedelta(hours=1)
TALK = timedelta(hours=24)
# Whoever has just said no is left in peace for this long.
REST = timedelta(hours=1)
# Their areas are opened one by one, so this bounds what an ask costs.
OFFERS_MOST = 2000

Mine = Literal["open", "accepted", "declined", "taken", "over"]


class Peer(Aggregate):
    """Somebody's offer to be asked. Where they are is sealed with their own key, and gone when they take it back."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "risk", "collection": "peers", "indexes": ["on"]}
    on = BooleanField(default=False)
    offer = BinaryField()
    declined_at = DateTimeField()

    def offers(self, said: PeerSupport) -> None:
        """Raises ``Erased``."""
        self.on = said.on
        offer = json.dumps({"area": said.area, "languages": said.languages})
        self.offer = service.vault.seal(self.id, _place(self.id), offer) if said.on else None

    def said(self) -> PeerSupport:
        """Raises ``Erased``."""
        if not self.on:
            return PeerSupport(on=False)
        return PeerSupport(on=True, **json.loads(service.vault.open(self.id, _place(self.id), bytes(self.offer))))

    def declines(self) -> None:
        self.declined_at = now()


def ready(client_id: str, moment: datetime) -> list[Peer]:
    """Everybody whom a client may ask at a moment: not the client, nor a peer with whom the client ended it."""
    ended = PeerAsk.raw().find({"client_id": client_id, "ended_by": client_id}, {"accepted_by": 1})
    but = [client_id, *(ask["accepted_by"] for ask in ended)]
    where = {"on": True, "_id": {"$nin": but}, "declined_at": {"$not": {"$gt": moment - REST}}}
    return [Peer.read(raw) for raw in Peer.raw().find(where, {"outbox": 0, "seen": 0}).limit(OFFERS_MOST)]


class PeerAsk(Aggregate):
    """One time that a client asked. Its id is the client's own."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "risk",
        "collection": "peer_asks",
        "indexes": ["asked", ("client_id", "until"), ("client_id", "ended_by")],
    }
    client_id = StringField(required=True)
    asked = ListField(StringField())
    declined = ListField(StringField())
    accepted_by = StringField()
    accepted_at = DateTimeField()
    ended_by = StringField()
    asked_at = DateTimeField(required=True)
    until = DateTimeField(required=True)
    fingerprint = StringField(required=True)

    def ask(self, people: list[str]) -> None:
        """Call once, before the first commit."""
        self.asked_at = now()
        self.until = self.asked_at + OPEN
        self.asked = people
        if people:
            self.record(PeersAsked, ask_id=self.id, client_id=self.client_id, tell=people)

    def accept(self, by: str) -> None:
        """The first to say yes. Raises ``WrongState`` for anybody after, and when its time is over."""
        if self.accepted_by == by:
            return
        if self.accepted_by is not None:
            raise WrongState("Somebody else was first.")
        if self.until <= now():
            raise WrongState("It is no longer asked.")
        self.accepted_by, self.accepted_at = by, now()
        self.declined = [person for person in self.declined if person != by]
        self.record(PeerAccepted, ask_id=self.id, client_id=self.client_id, peer_id=by, tell=[self.client_id])

    def decline(self, by: str) -> None:
        """Raises ``WrongState`` for the one who has accepted."""
        if self.accepted_by == by:
            raise WrongState("You have accepted it.")
        if by not in self.declined:
            self.declined = [*self.declined, by]

    def end(self, by: str) -> None:
        """The client or the peer wants no more of it. Raises ``WrongState`` where nobody has accepted."""
        if self.accepted_by is None:
            raise WrongState("Nobody has accepted it.")
        if self.ended_by is None:
            self.ended_by = by
            self.record(
                PeerTalkEnded,
                ask_id=self.id,
                client_id=self.client_id,
                peer_id=self.accepted_by,
                by=by,
                tell=[self.client_id, self.accepted_by],
            )

    def waits(self, moment: datetime) -> bool:
        """Whether somebody may still say yes."""
        return self.accepted_by is None and self.until > moment and set(self.asked) > set(self.declined)

    def state_for(self, peer_id: str, moment: datetime) -> Mine:
        """As one of those who were asked sees it."""
        if self.accepted_by == peer_id:
            return "accepted" if self.ended_by is None and self.accepted_at + TALK > moment else "over"
        if peer_id in self.declined:
            return "declined"
        if self.accepted_by is not None:
            return "taken"
        return "open" if self.until > moment else "over"


def waiting_ask(client_id: str, moment: datetime) -> PeerAsk | None:
    """The ask of a client to which somebody may still say yes."""
    found = PeerAsk.raw().find({"client_id": client_id, "until": {"$gt": moment}}, {"outbox": 0, "seen": 0})
    return next((ask for ask in map(PeerAsk.read, found) if ask.waits(moment)), None)


def anybody_offers(but: str) -> bool:
    """Whether somebody has offered to be asked."""
    return Peer.raw().find_one({"on": True, "_id": {"$ne": but}}, {"_id": 1}) is not None


def _place(person_id: str) -> str:
    return f"peers/{person_id}/offer"


service.aggregates += (Peer, PeerAsk)
