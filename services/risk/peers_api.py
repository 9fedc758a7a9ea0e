"""Asking people who offered: nobody has to be there, and nobody is told who asks before they say yes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from infra.access import NotYours, key_for
from infra.store import Conflict
from infra.vault import Erased
from infra.web import conflict, fingerprint, needs, page, refuse, same_or_conflict, spoken, who
from schemas import peers as say
from schemas.base import now
from schemas.crisis import LANGUAGES
from services.risk import service
from services.risk.alert_model import WrongState
from services.risk.help_rules import peers_card
from services.risk.peers_model import Peer, PeerAsk, ready, waiting_ask
from services.risk.peers_rules import Offer, nearest

api = service.api


@api.get("/me/peer-support")
@needs("client|coach|organiser")
@api.response(200, say.PeerSupport.Schema)
def show_offer() -> Any:
    peer = Peer.load(who().person_id)
    return peer.said() if peer else say.PeerSupport(on=False)


@api.put("/me/peer-support")
@needs("client|coach|organiser")
@api.arguments(say.PeerSupport.Schema)
@api.response(200, say.PeerSupport.Schema)
def offer(body: say.PeerSupport) -> Any:
    """Offer to be asked, or take the offer back: then where one is, is kept no longer."""
    if body.on and body.area is None:
        refuse("area", "Say roughly where you are, as coarsely as you like.")
    return Peer.change(who().person_id, lambda peer: peer.offers(body), create=True).said()


@api.post("/help/peers")
@needs("client")
@api.arguments(say.NewPeerAsk.Schema)
@api.response(201, say.PeerAskOut.Schema)
@api.alt_response(200, schema=say.PeerAskOut.Schema)
def ask_peers(body: say.NewPeerAsk) -> Any:
    """Ask up to three people who offered, the nearest first."""
    me, moment = who().person_id, now()
    made = fingerprint(body, key_for(service.settings.secret, "fingerprint")) + me
    if (before := PeerAsk.load(body.id)) is not None:
        return _repeat(before, made)
    if waiting_ask(me, moment) is not None:
        conflict("You have asked already, and somebody may still answer.")
    ask = PeerAsk(id=body.id, client_id=me, fingerprint=made)
    ask.ask(nearest(_offers(ready(me, moment)), body.area, spoken(LANGUAGES), body.id))
    try:
        ask.commit()
    except Conflict:
        return _repeat(_found(body.id), made)
    return _out(ask), 201


@api.get("/help/peers/<ask_id>")
@needs("client")
@api.response(200, say.PeerAskOut.Schema)
def show_ask(ask_id: str) -> Any:
    ask = _found(ask_id)
    if ask.client_id != who().person_id:
        raise NotYours(ask_id)
    return _out(ask)


@api.get("/help/asked")
@needs("self")
@api.response(200, say.AskedOfMePage.Schema)
def list_asked() -> Any:
    """What the caller was asked, the newest first."""
    me, moment = who().person_id, now()
    found, following = page().read(PeerAsk.raw(), {"asked": me})
    return {"items": _seen([_asked(PeerAsk.read(raw), me, moment) for raw in found]), "next": following}


@api.post("/help/peers/<ask_id>/accept")
@needs("self")
@api.response(200, say.AskedOfMe.Schema)
def accept(ask_id: str) -> Any:
    """The first who accepts may talk with the client for a day. Anybody later is answered 409."""
    return _act(ask_id, lambda ask: ask.accept(who().person_id))


@api.post("/help/peers/<ask_id>/decline")
@needs("self")
@api.response(200, say.AskedOfMe.Schema)
def decline(ask_id: str) -> Any:
    """Nobody is told, and the caller is not asked again for an hour."""
    answer = _act(ask_id, lambda ask: ask.decline(who().person_id))
    Peer.change(who().person_id, Peer.declines, create=True)
    return answer


@api.post("/help/peers/<ask_id>/end")
@needs("self")
@api.response(204)
def end(ask_id: str) -> None:
    """The client or the peer wants no more of it. A client is not brought to that peer again."""
    me, ask = who().person_id, _found(ask_id)
    if me not in (ask.client_id, ask.accepted_by):
        raise NotYours(ask_id)
    try:
        PeerAsk.change(ask_id, lambda ask: ask.end(me))
    except WrongState as error:
        conflict(str(error))


def _offers(peers: Iterable[Peer]) -> Iterator[Offer]:
    found = list(peers)
    service.vault.fetch(peer.id for peer in found)
    for peer in found:
        with suppress(Erased):
            said = peer.said()
            yield Offer(peer.id, said.area or "", said.languages)


def _act(ask_id: str, act: Callable[[PeerAsk], None]) -> say.AskedOfMe:
    me = who().person_id
    if me not in _found(ask_id).asked:
        raise NotYours(ask_id)
    try:
        ask = PeerAsk.change(ask_id, act)
    except WrongState as error:
        conflict(str(error))
    return _seen([_asked(ask, me, now())])[0]


def _found(ask_id: str) -> PeerAsk:
    ask = PeerAsk.load(ask_id)
    if ask is None:
        raise NotYours(ask_id)
    return ask


def _repeat(before: PeerAsk, made: str) -> Any:
    if before.client_id != who().person_id:
        conflict("This id is in use.")
    same_or_conflict(before.fingerprint, made)
    return _out(before), 200


def _out(ask: PeerAsk) -> dict[str, Any]:
    return {
        "id": ask.id,
        "asked": len(ask.asked),
        "until": ask.until,
        "accepted_by": ask.accepted_by,
        "cards": [peers_card(len(ask.asked), ask.accepted_by is not None, spoken(LANGUAGES))],
    }


def _asked(ask: PeerAsk, me: str, moment: datetime) -> say.AskedOfMe:
    state = ask.state_for(me, moment)
    return say.AskedOfMe(
        id=ask.id,
        asked_at=ask.asked_at,
        until=ask.until,
        state=state,
        client_id=ask.client_id if state == "accepted" else None,
    )


def _seen(items: list[say.AskedOfMe]) -> list[say.AskedOfMe]:
    """Who asks is a client's record too: that it is shown to somebody is written down."""
    service.grants.saw(who(), [item.client_id for item in items if item.client_id], "asked peers")
    return items
