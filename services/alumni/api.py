"""Networks, joining them, and their notices."""

from __future__ import annotations

from typing import Any

from infra.access import NotYours, key_for
from infra.store import Conflict
from infra.web import fingerprint, needs, page, same_or_conflict, who
from schemas import alumni as say
from services.alumni import service
from services.alumni.model import Membership, Network, Notice

api = service.api


@api.post("/networks")
@needs("organiser")
@api.arguments(say.NewNetwork.Schema)
@api.response(201, say.NetworkOut.Schema)
@api.alt_response(200, schema=say.NetworkOut.Schema)
def found_network(body: say.NewNetwork) -> Any:
    made = _fingerprint(body)
    if (before := Network.load(body.id)) is not None:
        return _repeat_of_network(before, made)
    network = Network(id=body.id, name=body.name, founded_by=who().person_id, fingerprint=made)
    network.found()
    try:
        network.commit()
    except Conflict:
        return _repeat_of_network(_network(body.id), made)
    return _out(network), 201


@api.get("/networks")
@needs("self")
@api.response(200, say.NetworkPage.Schema)
def list_networks() -> Any:
    found, following = page().read(Network.raw(), {}, newest_first=False)
    return {"items": [_out(Network.read(raw)) for raw in found], "next": following}


@api.post("/networks/<network_id>/join")
@needs("self")
@api.response(200, say.NetworkOut.Schema)
def join(network_id: str) -> Any:
    network = _network(network_id)
    me = who().person_id
    Membership.change(Membership.id_of(network_id, me), lambda place: place.join(network_id, me), create=True)
    return _out(network)


@api.post("/networks/<network_id>/leave")
@needs("self")
@api.response(200, say.NetworkOut.Schema)
def leave(network_id: str) -> Any:
    network = _network(network_id)
    Membership.change(Membership.id_of(network_id, who().person_id), Membership.leave, create=True)
    return _out(network)


@api.post("/networks/<network_id>/notices")
@needs("organiser")
@api.arguments(say.NewNotice.Schema)
@api.response(201, say.NoticeOut.Schema)
@api.alt_response(200, schema=say.NoticeOut.Schema)
def post_notice(body: say.NewNotice, network_id: str) -> Any:
    """For the organiser of the network."""
    if _network(network_id).founded_by != who().person_id:
        raise NotYours(network_id)
    made = _fingerprint(body) + network_id
    if (before := Notice.load(body.id)) is not None:
        return _repeat_of_notice(before, made)
    notice = Notice(id=body.id, network_id=network_id, by=who().person_id, fingerprint=made)
    notice.post(body.title, body.body)
    try:
        notice.commit()
    except Conflict:
        return _repeat_of_notice(_notice(body.id), made)
    return _notice_out(notice), 201


@api.get("/networks/<network_id>/notices")
@needs("self")
@api.response(200, say.NoticePage.Schema)
def list_notices(network_id: str) -> Any:
    """For members and the organiser. That somebody is a member is nobody else's to know."""
    network = _network(network_id)
    if network.founded_by != who().person_id and not Membership.holds(network_id, who().person_id):
        raise NotYours(network_id)
    found, following = page().read(Notice.raw(), {"network_id": network_id})
    return {"items": [_notice_out(Notice.read(raw)) for raw in found], "next": following}


def _fingerprint(body: say.NewNetwork | say.NewNotice) -> str:
    return fingerprint(body, key_for(service.settings.secret, "fingerprint")) + who().person_id


def _repeat_of_network(before: Network, made: str) -> Any:
    same_or_conflict(before.fingerprint, made)
    return _out(before), 200


def _repeat_of_notice(before: Notice, made: str) -> Any:
    same_or_conflict(before.fingerprint, made)
    return _notice_out(before), 200


def _network(network_id: str) -> Network:
    network = Network.load(network_id)
    if network is None:
        raise NotYours(network_id)
    return network


def _notice(notice_id: str) -> Notice:
    notice = Notice.load(notice_id)
    if notice is None:
        raise NotYours(notice_id)
    return notice


def _out(network: Network) -> dict[str, Any]:
    return {
        "id": network.id,
        "name": network.name,
        "members": Membership.count(network.id),
        "joined": Membership.holds(network.id, who().person_id),
    }


def _notice_out(notice: Notice) -> dict[str, Any]:
    return {"id": notice.id, "network_id": notice.network_id, "at": notice.at, **notice.words()}
